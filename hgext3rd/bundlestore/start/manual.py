"""The help topics; their text is in ``helptext/``."""

from __future__ import annotations

import functools

from mercurial import help as helpmod
from mercurial.i18n import _
from mercurial.utils import resourceutil

from . import PACKAGE
from .wraps import addkeywords, inplaceof, room


def _text(name: bytes):
    def load(ui):
        package = f'{PACKAGE}.helptext'.encode()
        with resourceutil.open_resource(package, name) as fh:
            return fh.read()

    return load


@inplaceof('the command help')
def help(orig, ui, *args, **opts):
    """Know the topics."""
    register()
    # a repository may not be open, or nobody has asked for a revset
    addkeywords()
    room('client.fromstore.register')()
    return orig(ui, *args, **opts)


@functools.cache
def register() -> None:
    """Add the administrator's topic to Mercurial's, in its sorted place."""
    topic = (
        [b'bundlestore-server'],
        _(b'Running a Bundle Store'),
        _text(b'bundlestore-server.rst'),
        helpmod.TOPIC_CATEGORY_CONFIG,
    )
    table = helpmod.helptable
    # those of other extensions may stand anywhere
    after = [i for i, other in enumerate(table) if other[0] > topic[0]]
    table.insert(after[0] if after else len(table), topic)
