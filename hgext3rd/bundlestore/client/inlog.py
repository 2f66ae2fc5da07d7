"""What ``hg log`` and others show of pushes: template keywords and a revset.

No server is asked: it is what ``noted.py`` knows. Their help is in
``start/wraps.py``.
"""

from __future__ import annotations

from mercurial import error, revset as revsetmod, smartset, templateutil
from mercurial.i18n import _
from mercurial.utils import dateutil

from . import noted

_STATES = [state.encode() for state in noted.STATES]


def _of(context, mapping) -> list[noted.Push]:
    """Return the pushes of the changeset, the newest first."""
    ctx = context.resource(mapping, b'ctx')
    kept = context.resource(mapping, b'cache')
    if b'bundlestore-pushes' not in kept:
        kept[b'bundlestore-pushes'] = noted.bychangeset(ctx.repo())
    found: list[noted.Push] = kept[b'bundlestore-pushes'].get(
        ctx.hex().decode(), []
    )
    return found


def pushid(context, mapping):
    """Return the number of the newest push, None if there is none."""
    found = _of(context, mapping)
    return found[0].id if found else None


def pushstatus(context, mapping) -> bytes:
    """Return how it went."""
    found = _of(context, mapping)
    return found[0].status.encode() if found else b''


def pushurl(context, mapping) -> bytes:
    """Return where it can be looked at."""
    found = _of(context, mapping)
    return found[0].url.encode('latin-1') if found else b''


def pushes(context, mapping):
    """Return all pushes, the newest first."""
    return templateutil.mappinglist(
        [
            {
                b'push': push.id,
                b'date': dateutil.makedate(push.time),
                b'source': push.server.encode('latin-1'),
                b'status': push.status.encode(),
                b'url': push.url.encode('latin-1'),
            }
            for push in _of(context, mapping)
        ],
        tmpl=b'{push}',
        sep=b' ',
    )


def pushed(repo, subset, x):
    """Return the changesets that were pushed; with a status, those whose
    newest push went so."""
    args = revsetmod.getargs(x, 0, 1, _(b'pushed takes one or no arguments'))
    wanted = None
    if args:
        wanted = revsetmod.getstring(
            args[0], _(b'the argument of pushed must be a string')
        )
        if wanted not in _STATES:
            raise error.ParseError(
                _(b"a push has no status '%s'") % wanted,
                hint=_(b'it is one of: %s') % b', '.join(_STATES),
            )
    getrev = repo.unfiltered().changelog.index.get_rev
    revs = [
        getrev(bytes.fromhex(node))
        for node, found in noted.bychangeset(repo).items()
        if wanted is None or found[0].status.encode() == wanted
    ]
    return subset & smartset.baseset(
        sorted(rev for rev in revs if rev is not None)
    )
