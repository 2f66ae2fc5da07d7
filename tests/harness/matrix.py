"""Which versions and transports the tests run over.

All of it follows from ``testedwith`` in metadata.py, so that what is claimed
there is what is tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

import environments

#: oldest first; those that run with a Python of this machine
VERSIONS: tuple[str, ...] = tuple(environments.available())
NEWEST = VERSIONS[-1]
TRANSPORTS = ('path', 'ssh', 'http')


#: client and server of the quick loop, once over each wire; ``make test`` runs
#: all combinations
QUICKPAIRS = {
    'ssh': {(VERSIONS[0], NEWEST)},
    'http': {(NEWEST, VERSIONS[1])},
    'path': set(),
}


def combinations() -> Iterator[Any]:
    """Every client with every server over ssh, and with the newest over http:
    what differs between versions is in the commands, not in what carries them.

    By path there is one process only, so client and server are one version.
    """
    pairs = [('path', version, version) for version in VERSIONS]
    pairs += itertools.product(['ssh'], VERSIONS, VERSIONS)
    pairs += [
        ('http', client, server)
        for client, server in itertools.product(VERSIONS, VERSIONS)
        if NEWEST in (client, server)
    ]
    for transport, client, server in pairs:
        quick = (client, server) in QUICKPAIRS[transport]
        ident = client if transport == 'path' else f'{client}-to-{server}'
        yield pytest.param(
            transport,
            client,
            server,
            marks=[] if quick else [pytest.mark.slow],
            id=f'{transport}-{ident}',
        )


#: without a decorator a test runs once over each transport, with the newest
#: version on both sides; in the quick loop over one that has a wire
TRANSPORTPARAMS = [
    pytest.param(name, marks=[] if name == 'ssh' else [pytest.mark.slow])
    for name in TRANSPORTS
]

#: decorates a test that is to run in every combination
every_combination = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    list(combinations()),
)


def _withnewest() -> Iterator[Any]:
    for param in combinations():
        transport, client, server = param.values
        ends = {VERSIONS[0], NEWEST}
        if NEWEST not in (client, server):
            continue
        if transport == 'http' and not {client, server} <= ends:
            continue
        yield param


#: Decorates a test that is to run with every version on either side, the
#: newest on the other. What both sides have to agree on is tested in every
#: combination by pushes and pulls; this is for the rest.
every_version = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    list(_withnewest()),
)


def over(*names: str) -> pytest.MarkDecorator:
    """Decorate a test that is to run over these transports only."""
    assert set(names) <= set(TRANSPORTS)
    return pytest.mark.parametrize('transport_name', names)


def each_version(name: str) -> pytest.MarkDecorator:
    """Decorate a test that is to run with each version, given to it as
    ``name``, in the quick loop with the newest only."""
    older = (pytest.param(v, marks=pytest.mark.slow) for v in VERSIONS[:-1])
    return pytest.mark.parametrize(name, [*older, NEWEST])
