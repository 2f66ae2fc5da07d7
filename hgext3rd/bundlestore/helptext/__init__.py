"""Texts of the help topics."""
