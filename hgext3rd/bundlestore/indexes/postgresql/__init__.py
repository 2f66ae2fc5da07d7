"""The index ``postgresql``: what is PostgreSQL's own."""
