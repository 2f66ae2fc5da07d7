"""The URL of an index in a server of databases.

No password stands in it: it would be in the configuration of a repository,
which others may read, and in lists of processes.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from ... import errors
from ...records import NamedTuple

_URL = re.compile(r'(?P<scheme>[a-z0-9]+)://(?P<rest>.*)', re.S)


class Address(NamedTuple):
    """What a URL says."""

    scheme: str
    #: without a password
    user: str
    #: host and port, as they stand there; maybe several, maybe none
    hosts: str
    database: str
    parameters: dict[str, str]


def parse(url: str, passwords: str) -> Address:
    """Take a URL apart. ``passwords`` tells where passwords belong. Raises
    ``UnknownScheme``, in which nothing of the URL stands."""
    match = _URL.fullmatch(url)
    if match is None or '#' in url or '\0' in url:
        raise errors.UnknownScheme(
            'URL of the bundle index names no server',
            'it is of the form SCHEME://USER@HOST:PORT/DATABASE',
        )
    rest, _mark, query = match['rest'].partition('?')
    place, _slash, database = rest.partition('/')
    login, _at, hosts = place.rpartition('@')
    user, colon, _password = login.partition(':')
    parameters = {}
    for item in filter(None, query.split('&')):
        name, _equals, value = item.partition('=')
        parameters[name] = unquote(value)
    if colon or any(
        'pass' in name and name != 'passfile' for name in parameters
    ):
        raise errors.UnknownScheme(
            'URL of the bundle index has a password in it', passwords
        )
    return Address(
        match['scheme'], unquote(user), hosts, unquote(database), parameters
    )
