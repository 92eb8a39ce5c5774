"""Making a student: its config, its start, its package."""
