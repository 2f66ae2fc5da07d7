"""What an index in an SQL database does, whatever the database."""
