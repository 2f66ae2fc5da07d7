"""Remembers which servers have no bundle store, lest they are asked again for
each word that nobody knows.

A small file in the repository's cache has a line for each: when it said so, in
seconds, and its address without user and password. A line holds for a day, or
until the server turns out to have a store after all.
"""

from __future__ import annotations

import contextlib
import time

from mercurial.utils import urlutil

from ..names import CAPABILITY

_FILE = b'bundlestore-none'
_DAY = 86400
#: servers that are remembered
_MOST = 100


def key(location: bytes) -> bytes:
    """Return what stands for a location in the file."""
    url = urlutil.url(location)
    url.user = url.passwd = None
    return bytes(url).replace(b'\n', b'%0a')


def knows(repo, location: bytes) -> bool:
    """Whether the server at ``location`` is known to have no store."""
    return key(location) in _read(repo)


def learn(repo, location: bytes, hasstore: bool) -> None:
    """Keep what a server has shown of itself."""
    known = _read(repo)
    name = key(location)
    if (name in known) is not hasstore:
        return
    if hasstore:
        del known[name]
    else:
        known[name] = int(time.time())
    newest = sorted(known.items(), key=lambda item: item[1])[-_MOST:]
    lines = [b'%d %s\n' % (when, name) for name, when in newest]
    # what cannot be written is found out again
    with (
        contextlib.suppress(OSError),
        repo.cachevfs(_FILE, b'wb', atomictemp=True) as file,
    ):
        file.write(b''.join(lines))


def met(repo, peer) -> None:
    """Keep what ``peer``, which was reached for another purpose, shows."""
    if peer.capable(CAPABILITY):
        learn(repo, peer.url(), True)


def _read(repo) -> dict[bytes, int]:
    """Return when each server said so, leaving out what is too old."""
    known = {}
    now = time.time()
    text = b''
    with contextlib.suppress(OSError):
        text = repo.cachevfs.tryread(_FILE)
    for line in text.splitlines():
        when, _space, name = line.partition(b' ')
        # a clock that was wrong must not make it last
        if when.isdigit() and name and 0 <= now - int(when) < _DAY:
            known[name] = int(when)
    return known
