"""The index ``mysql``: what is particular about MariaDB and MySQL."""
