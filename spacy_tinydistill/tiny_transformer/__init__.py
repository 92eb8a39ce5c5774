"""The small transformer that a student may read its tokens with, in place of a CNN; needs PyTorch."""
