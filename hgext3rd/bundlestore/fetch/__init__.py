"""A fetch goes out: what a server says of scratch changesets, and sends."""
