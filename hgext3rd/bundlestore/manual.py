"""The help topics; their text is in ``helptext/``."""

from __future__ import annotations

from mercurial import exthelper, help as helpmod
from mercurial.i18n import _
from mercurial.utils import resourceutil

eh = exthelper.exthelper()


def _text(name: bytes):
    def load(ui):
        package = b'hgext3rd.bundlestore.helptext'
        with resourceutil.open_resource(package, name) as fh:
            return fh.read()

    return load


@eh.extsetup
def register(ui):
    """Add the administrator's topic to ``hg help``."""
    helpmod.helptable.append(
        (
            [b'bundlestore-server'],
            _(b'Running a Bundle Store'),
            _text(b'bundlestore-server.rst'),
            helpmod.TOPIC_CATEGORY_CONFIG,
        )
    )
