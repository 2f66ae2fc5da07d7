"""Somebody tells how a push went.

It comes from a page of the web or from who runs the store. Who may is theirs to
ask.
"""

from __future__ import annotations

import re

from mercurial import error
from mercurial.i18n import _

from .. import errors, log, model
from ..declaring import provides
from ..server import aborting, noting, tolocal
from ..stores import notes, statusnotes

#: what would make several lines of one, or hide some of it
_CONTROL = re.compile('[\0-\x1f\x7f-\x9f\u2028-\u202e]+')


def setstatus(
    ui, server, id: int, status: model.Status, by: str
) -> model.Status:
    """Set a status of the push ``id``, and return what it is then. Nothing
    changes where it is so already, whoever set it.

    Raises ``error.InputError`` for what no push can have, and
    ``error.Abort``, with what the index raised behind it.
    """
    status = status._replace(
        description=_CONTROL.sub(' ', status.description).strip()
    )
    if _CONTROL.search(status.context):
        raise error.InputError(_(b'the context has control characters'))
    try:
        status.check()
    except ValueError as exc:
        raise error.InputError(tolocal(str(exc)))
    with aborting():
        if not provides(server.index, 'IStatuses'):
            raise errors.BundleStoreError(
                'the bundle index cannot keep statuses'
            )
        push = server.index.push(id)
        for known in server.index.statuses([id]).get(id, ()):
            if known.what == status.what:
                found: model.Status = known
                return found
        server.index.setstatus(id, status)
    with noting(ui):
        name = notes.PushName(push.key, id)
        statusnotes.keep(server.store, server.index, name)
    log.event(
        ui,
        server,
        'status',
        push=id,
        context=status.context,
        state=status.state,
        user=status.user,
        by=by,
    )
    return status
