"""``hg admin::bundlestore-status``."""

from __future__ import annotations

import time

from mercurial import error, pycompat
from mercurial.i18n import _
from mercurial.utils import dateutil

from .. import access, model
from ..declaring import provides
from ..server import aborting, tolocal, totext
from .commands import administered, findpush, logged
from .statuses import setstatus


def run(ui, repo, name: bytes, opts) -> int:
    server = administered(repo)
    given = {
        item: totext(opts[item])
        for item in ('context', 'state', 'url', 'description')
        if opts[item]
    }
    with (
        aborting(),
        ui.formatter(b'bundlestore-status', pycompat.byteskwargs(opts)) as fm,
    ):
        push = findpush(repo, server, name)
        if given:
            if not {'context', 'state'} <= given.keys():
                raise error.InputError(
                    _(b'a status has both --context and --state')
                )
            user = access.username(b'')
            wanted = model.Status(**given, time=time.time(), user=user)
            with logged(ui, server, 'status') as fields:
                fields.update(push=push.id)
                found = [setstatus(ui, server, push.id, wanted, 'path')]
        elif provides(server.index, 'IStatuses'):
            found = server.index.statuses([push.id]).get(push.id, [])
        else:
            found = []
        for status in found:
            fm.startitem()
            texts = {
                item: tolocal(getattr(status, item))
                for item in ('context', 'state', 'url', 'description', 'user')
            }
            if fm.isplain():
                words = [texts[i] for i in ('context', 'state', 'description')]
                line = b' '.join(filter(None, [*words, texts['url']]))
                fm.plain(b'push %d: %s\n' % (push.id, line))
            else:
                date = fm.formatdate(dateutil.makedate(status.time))
                fm.data(push=push.id, **texts, date=date)
    return 0
