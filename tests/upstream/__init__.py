"""Runs Mercurial's and hg-evolve's own tests with this extension on."""
