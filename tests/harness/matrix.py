"""Which versions and transports the tests run over.

All of it follows from ``testedwith`` in metadata.py, so that what is claimed
there is what is tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import environments

#: oldest first; those that run with a Python of this machine
VERSIONS: tuple[str, ...] = tuple(environments.available())
NEWEST = VERSIONS[-1]
TRANSPORTS = ('path', 'ssh', 'http')


#: client and server of the quick loop, once over each wire
QUICKPAIRS = {
    'ssh': {(VERSIONS[0], NEWEST)},
    'http': {(NEWEST, VERSIONS[1])},
    'path': set(),
}

#: marks what differs from a test of the quick loop by the version, the
#: transport or another such thing alone
ANOTHER = pytest.mark.slow('one of a kind is enough for a quick look')
_AGAIN = pytest.mark.nightly(
    'each pair, and each version on each wire, is in CI'
)


def combinations() -> Iterator[Any]:
    """Every client with every server over ssh, and with the newest over http:
    what differs between versions is in the commands, not in what carries them.

    By path there is one process only, so client and server are one version.

    ``make test`` runs each pair once, and so that it comes to each version on
    each wire; ``make nightly`` runs all.
    """
    for version in VERSIONS:
        yield _combination('path', version, version, True)
    overssh = {(VERSIONS[0], NEWEST), (NEWEST, VERSIONS[-2])}
    for wire in ('ssh', 'http'):
        for pair in itertools.product(VERSIONS, VERSIONS):
            newest = NEWEST in pair
            if newest or wire == 'ssh':
                chosen = 'http' if newest and pair not in overssh else 'ssh'
                once = pair[0] != pair[1] and wire == chosen
                yield _combination(wire, *pair, once)


def _combination(transport: str, client: str, server: str, once: bool) -> Any:
    """``once``: whether it is among those that ``make test`` runs."""
    marks = []
    if (client, server) not in QUICKPAIRS[transport]:
        marks = [ANOTHER] if once else [ANOTHER, _AGAIN]
    ident = client if transport == 'path' else f'{client}-to-{server}'
    return pytest.param(
        transport, client, server, marks=marks, id=f'{transport}-{ident}'
    )


#: without a decorator a test runs once over each transport, with the newest
#: version on both sides; in the quick loop over one that has a wire
TRANSPORTPARAMS = [
    pytest.param(name, marks=[] if name == 'ssh' else [ANOTHER])
    for name in TRANSPORTS
]

#: decorates a test that is to run in every combination
every_combination = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    list(combinations()),
)


def _withnewest() -> Iterator[Any]:
    oldest = VERSIONS[0]
    yield _combination('path', NEWEST, NEWEST, True)
    for pair in itertools.product(VERSIONS, VERSIONS):
        if NEWEST in pair:
            once = pair[0] != pair[1] and pair != (NEWEST, oldest)
            yield _combination('ssh', *pair, once)
    for pair in ((oldest, NEWEST), (NEWEST, oldest), (NEWEST, NEWEST)):
        yield _combination('http', *pair, pair == (NEWEST, oldest))


#: Decorates a test that is to run with every version on either side, the
#: newest on the other, once each, in ``make nightly`` over ssh and some over
#: http. What both sides have to agree on is tested in every
#: combination by pushes and pulls; this is for the rest.
every_version = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    list(_withnewest()),
)


def over(*names: str, later: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Decorate a test that is to run over these transports only, and, but not
    in the quick loop, over those of ``later``."""
    assert {*names, *later} <= set(TRANSPORTS)
    others = (pytest.param(name, marks=ANOTHER) for name in later)
    return pytest.mark.parametrize('transport_name', [*names, *others])


def each_version(name: str) -> pytest.MarkDecorator:
    """Decorate a test that is to run with each version, given to it as
    ``name``, in the quick loop with the newest only."""
    older = (pytest.param(v, marks=ANOTHER) for v in VERSIONS[:-1])
    return pytest.mark.parametrize(name, [*older, NEWEST])


def pairwise(
    factors: Sequence[Sequence[str]],
    fits: Callable[[tuple[str, ...]], bool],
) -> Iterator[tuple[str, ...]]:
    """Yield combinations of one value of each factor, so that any two values
    of two factors are together in one of them, as far as that ``fits``."""
    every = {
        row: pairs(row) for row in itertools.product(*factors) if fits(row)
    }
    left = set().union(*every.values())
    while left:
        # the first of the best, so that they are the same each time
        best = max(every, key=lambda row: len(left & every[row]))
        left -= every[best]
        yield best


def pairs(row: tuple[str, ...]) -> set[tuple[tuple[int, str], ...]]:
    return set(itertools.combinations(enumerate(row), 2))
