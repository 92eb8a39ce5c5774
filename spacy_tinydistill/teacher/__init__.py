"""Running a teacher, once, and recording its predictions."""
