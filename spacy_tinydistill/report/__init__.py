"""Teacher and student side by side: scores, speed, size, agreement."""
