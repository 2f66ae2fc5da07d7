"""What a stored bundle is, and how one is read."""
