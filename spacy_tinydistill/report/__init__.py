"""The comparison of a student with its teacher: scores, speed and size, as JSON and as a table."""
