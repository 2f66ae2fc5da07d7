"""Databases and object stores of others: the real programs, on loopback.

=================  ==========================================================
``daemon.py``      a server in a folder of its own: starts, stops, freezes
``keeper.py``      the process that ends it, whatever becomes of the tests
``session.py``     one of each kind for all tests of a session
``postgresql.py``  PostgreSQL, as Debian has it
``mariadb.py``     MariaDB, as Debian has it
``objects.py``     rclone and SeaweedFS, which speak S3
=================  ==========================================================
"""

from __future__ import annotations

from .daemon import REQUIRED, Daemon
from .mariadb import MariaDB
from .objects import ObjectStore, Rclone, SeaweedFS
from .postgresql import PostgreSQL

__all__ = [
    'KINDS',
    'OBJECTS',
    'REQUIRED',
    'Daemon',
    'MariaDB',
    'ObjectStore',
    'PostgreSQL',
    'Rclone',
    'SeaweedFS',
]

KINDS: tuple[type[Daemon], ...] = (PostgreSQL, MariaDB, Rclone, SeaweedFS)
#: those of them that are object stores
OBJECTS: tuple[type[ObjectStore], ...] = (Rclone, SeaweedFS)
