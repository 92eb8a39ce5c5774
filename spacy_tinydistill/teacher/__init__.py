"""Asking a teacher, once."""
