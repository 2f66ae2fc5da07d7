"""Drives real ``hg`` processes of several versions; see tests/README.rst."""
