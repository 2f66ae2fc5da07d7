"""Nonsense for every reader of bytes that a user controls: see README.rst."""
