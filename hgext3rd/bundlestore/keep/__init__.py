"""Keeps a bundle store in order: what administrators run, and what for."""
