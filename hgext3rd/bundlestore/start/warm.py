"""Servers that stay: what they load before the first request.

``hg serve`` answers in threads (see ``loading.py``). ``chg`` keeps an ``hg``
that has started and forks for each command; what that process has loaded its
children find warm. It opens no repository, no store and no index: a connection
to SQLite must not cross a fork.
"""

from __future__ import annotations

import sys

from . import PACKAGE, loading, wraps
from .wraps import inplaceof


@inplaceof('the command serve')
def serve(orig, ui, repo, **opts):
    """Get ready for ``hg serve`` before it opens a port."""
    if opts.get('cmdserver') in (b'chgunix', b'unix'):
        _startforking(ui)
    elif not opts.get('stdio') and not opts.get('cmdserver'):
        wraps.apply('web')
        loading.prepare(True, ui)
    elif opts.get('stdio') and hasattr(repo, 'hasbundlestore'):
        loading.searchrarely()
    return orig(ui, repo, **opts)


def _startforking(ui=None) -> None:
    for moment in ('repository', 'store', 'peer', 'asking', 'together'):
        wraps.apply(moment)
    loading.loadall(False, ui)
    from mercurial import chgserver

    wraps.replace(chgserver, '_getmtimepaths', _getmtimepaths)


def _getmtimepaths(orig, ui) -> list[bytes]:
    """Have chg start another server when a room was changed, too: of an
    extension it watches the first file only."""
    prefix = f'{PACKAGE}.'
    files = {
        module.__file__.encode()
        for name, module in list(sys.modules.items())
        if name.startswith(prefix) and module.__file__
    }
    return sorted(files.union(orig(ui)))
