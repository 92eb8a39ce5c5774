"""A small transformer as a student's encoder, in place of a CNN. It needs PyTorch."""
