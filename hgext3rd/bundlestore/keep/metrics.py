"""What a store holds, and whether it is well, for Prometheus: the text of its
exposition format, version 0.0.4."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import util

from .. import config, metadata
from ..declaring import provides
from ..server import totext
from . import deliver, health

CONTENTTYPE = b'text/plain; version=0.0.4; charset=utf-8'

#: in order: the name of each metric, and what it is
_HELP = {
    'info': 'Versions of this extension and of Mercurial.',
    'up': 'Whether nothing keeps the store from working.',
    'trouble': (
        'Whether a part of it does not work; "hg admin::bundlestore-stats '
        '--check" says why.'
    ),
    'ids_total': (
        'Pushes, and moves of scratch bookmarks without one, ever recorded.'
    ),
    'pushes': 'Pushes that the store holds.',
    'pinned_pushes': 'Those of them that are kept whatever their age.',
    'users': 'Users who made the pushes.',
    'bookmarks': 'Scratch bookmarks.',
    'workspaces': 'Workspaces that were not dropped.',
    'backups': 'Backups of clones that were not dropped.',
    'dropped_views': 'Workspaces and backups that were dropped.',
    'changesets': 'Changesets in all bundles.',
    'bundles': 'Bundles that are recorded.',
    'bundles_bytes': 'Size of these bundles.',
    'index_bytes': 'Size of the index.',
    'unfinished': 'Files of pushes that are under way or were interrupted.',
    'unfinished_bytes': 'Size of these files.',
    'oldest_push_timestamp_seconds': 'When the oldest of the pushes was made.',
    'newest_push_timestamp_seconds': 'When the newest of the pushes was made.',
    'webhook_owed_pushes': 'Pushes that a web hook was not told of.',
}

#: What was counted is counted again after so many seconds, and after so many
#: times what it took: a process spends a fiftieth of its time on it at most.
_AGE = 10.0
_SHARE = 50.0

Counts = dict[str, Any]

#: by store, with the time (monotonic) until which they will do. Of the
#: process, as each request to ``hgwebdir`` makes repository objects anew.
_counts: dict[object, tuple[float, Counts]] = {}


def text(repo, server) -> bytes:
    """Return the metrics of the store of ``repo``, in UTF-8. Whatever is wrong
    with it, nothing is raised: that is what the metrics tell then."""
    counts: Counts = {}
    owed: dict[str, int] = {}
    troubles = {trouble.kind for trouble in health.check(server)}
    if not troubles.intersection(('index', 'store')):
        try:
            counts = _current(server)
            if config.webhooks(repo.ui):
                owed = server.need(
                    lambda index: deliver.owed(repo.ui, index), retry=True
                )
        except Exception:
            # it broke a moment ago
            troubles.add('index')
    versions = {
        'version': metadata.__version__,
        'mercurial': totext(util.version()),
    }
    samples: dict[str, list[tuple[dict[str, str], Any]]] = {
        'info': [(versions, 1)],
        'up': [({}, int(not troubles))],
        'trouble': [
            ({'kind': kind}, int(kind in troubles)) for kind in health.KINDS
        ],
        **{name: [({}, value)] for name, value in counts.items()},
        'webhook_owed_pushes': [
            ({'hook': hook}, number) for hook, number in owed.items()
        ],
    }
    lines = _lines(samples, {'repository': _name(repo)})
    return ''.join(lines).encode('utf-8', 'replace')


def _current(server) -> Counts:
    """Return what was counted a moment ago, or count."""
    settings = server.settings
    key = (server.place.directory, settings.storeurl, settings.indexurl)
    until, counts = _counts.get(key, (0.0, {}))
    now = time.monotonic()
    if until <= now:
        counts = _count(server)
        took = time.monotonic() - now
        _counts[key] = (now + max(_AGE, _SHARE * took), counts)
    return counts


def _count(server) -> Counts:
    held, lastid, views = server.need(
        lambda index: (index.statistics(), index.lastid(), countviews(index)),
        retry=True,
    )
    strays = list(server.store.strays(0))
    counts = {
        'ids_total': lastid,
        'pushes': held.pushes,
        'pinned_pushes': held.pinned,
        'users': held.users,
        'bookmarks': held.bookmarks,
        'changesets': held.changesets,
        'bundles': held.bundles,
        'bundles_bytes': held.size,
        'index_bytes': held.indexsize,
        'unfinished': len(strays),
        'unfinished_bytes': sum(stray.size for stray in strays),
    }
    if views is not None:
        names = ('workspaces', 'backups', 'dropped_views')
        counts.update(zip(names, views))
    if held.pushes:
        counts['oldest_push_timestamp_seconds'] = held.oldest
        counts['newest_push_timestamp_seconds'] = held.newest
    return counts


def countviews(index: Any) -> Optional[tuple[int, ...]]:
    """Return the ``ViewCounts`` of an index, None if it cannot keep views."""
    return index.countviews() if provides(index, 'IViews') else None


def _name(repo) -> str:
    """Return what tells the store from others: that of a try URL has the name
    of its base."""
    name = repo.ui.config(b'web', b'name', b'')
    return totext(name or os.path.basename(os.path.dirname(repo.sharedpath)))


def _lines(samples, labels: dict[str, str]) -> Iterator[str]:
    for name, what in _HELP.items():
        kind = 'counter' if name.endswith('_total') else 'gauge'
        name, found = f'hg_bundlestore_{name}', samples.get(name, ())
        if found:
            yield f'# HELP {name} {what}\n# TYPE {name} {kind}\n'
        for more, value in found:
            shown = ','.join(
                f'{key}="{_quoted(text)}"'
                for key, text in {**labels, **more}.items()
            )
            yield f'{name}{{{shown}}} {value!r}\n'


def _quoted(value: str) -> str:
    value = value.replace('\\', r'\\').replace('"', r'\"')
    return value.replace('\n', r'\n')
