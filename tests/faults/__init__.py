"""Has what a server does to its files fail, one operation after the other."""
