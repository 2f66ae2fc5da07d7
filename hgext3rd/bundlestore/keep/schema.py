"""``hg admin::bundlestore-migrate --schema``: makes the tables of an index in a
database server, or brings them up to date."""

from __future__ import annotations

from mercurial import error, pycompat
from mercurial.i18n import _

from .. import backends
from ..declaring import provides
from ..server import aborting, totext
from .commands import administered, logged

#: what goes with ``--schema`` beside ``--index``
_NOTHING = ('store', 'no_close', 'abandon', 'from_infinitepush', 'dry_run')


def run(ui, repo, opts) -> int:
    server = administered(repo)
    if any(opts[name] for name in _NOTHING):
        raise error.InputError(_(b'--schema goes with --index alone'))
    url = totext(opts['index'] or b'') or server.settings.indexurl
    with aborting(), logged(ui, server, 'migrate') as fields:
        fields['schema'] = True
        index = backends.openindex(url, server.place)
        if not provides(index, 'ISchema'):
            raise error.InputError(
                _(b'this bundle index makes its tables by itself'),
                hint=_(b"'--index' names one in a database server"),
            )
        made = index.schema(create=True)
        with ui.formatter(
            b'bundlestore-migrate', pycompat.byteskwargs(opts)
        ) as fm:
            fm.startitem()
            fm.data(kind=b'schema', made=made)
            if made:
                fm.plain(_(b'made the tables of the bundle index\n'))
            else:
                fm.plain(_(b'the tables of the bundle index are up to date\n'))
    return 0
