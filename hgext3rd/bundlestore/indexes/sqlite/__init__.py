"""The index ``file``: what is SQLite's own."""
