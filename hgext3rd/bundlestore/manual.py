"""The help topics; their text is in ``helptext/``."""

from __future__ import annotations

import functools

from mercurial import help as helpmod
from mercurial.i18n import _
from mercurial.utils import resourceutil

from .wraps import inplaceof


def _text(name: bytes):
    def load(ui):
        package = f'{__package__}.helptext'.encode()
        with resourceutil.open_resource(package, name) as fh:
            return fh.read()

    return load


@inplaceof('the command help')
def help(orig, ui, *args, **opts):
    """Know the topics."""
    register()
    return orig(ui, *args, **opts)


@functools.cache
def register() -> None:
    """Add the administrator's topic to Mercurial's."""
    helpmod.helptable.append(
        (
            [b'bundlestore-server'],
            _(b'Running a Bundle Store'),
            _text(b'bundlestore-server.rst'),
            helpmod.TOPIC_CATEGORY_CONFIG,
        )
    )
