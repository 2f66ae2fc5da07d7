"""A push comes in: where it goes, whether it may, and what is said of it."""
