"""What is measured: each module makes some rows of the table."""
