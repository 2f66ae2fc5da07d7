"""The client: thin, and never imported by the server's rooms."""
