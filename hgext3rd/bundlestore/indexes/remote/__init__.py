"""What indexes in servers of databases share, whatever the server."""
