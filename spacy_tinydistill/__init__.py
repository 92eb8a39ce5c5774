"""Distil a spaCy pipeline on a transformer into a tiny one that says nearly the same."""
