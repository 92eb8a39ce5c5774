"""Exporting a student for web pages and Node; the runtime that reads it is in the folder web/ of the repository."""
