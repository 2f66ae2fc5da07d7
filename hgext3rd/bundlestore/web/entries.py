"""What pages and feeds show of a push."""

from __future__ import annotations

from typing import Any

from mercurial import templateutil, util
from mercurial.node import hex
from mercurial.utils import dateutil

from ..server import tolocal
from . import styles

#: heads that a list of pushes shows of each
MAX_HEADS = 10
#: bookmarks
MAX_BOOKMARKS = 10
#: what a page shows of a push
Entry = dict[bytes, Any]


def entry(web, push) -> Entry:
    """Return what a list of pushes shows of one."""
    shown = push.heads[:MAX_HEADS]
    rest = len(push.heads) - len(shown)
    marks = [(name, node) for name, node in push.bookmarks if node]
    moremarks = max(len(marks) - MAX_BOOKMARKS, 0)
    return {
        **facts(web, push),
        b'heads': templateutil.mappinglist(
            [
                {
                    b'node': hex(head.node),
                    b'desc': tolocal(head.title),
                    b'archives': web.archivelist(hex(head.node)),
                }
                for head in shown
            ]
        ),
        b'moreheads': b'%d' % rest if rest else b'',
        b'bookmarks': bookmarks(marks[:MAX_BOOKMARKS]),
        b'morebookmarks': b'%d' % moremarks if moremarks else b'',
        b'node': hex(push.changesets[-1]),
    }


def facts(web, push) -> Entry:
    """Return what the index knows of a push, lists left out."""
    user = push.user.encode('utf-8')
    if user.startswith((b're:', b'literal:')):
        user = b'literal:' + user
    return {
        b'push': b'%d' % push.id,
        b'date': dateutil.makedate(push.time),
        b'user': tolocal(push.user),
        b'uservars': styles.linkvars(web.tmpl, {b'user': user}),
        b'count': len(push.changesets),
        b'size': util.bytecount(push.size),
    }


def bookmarks(marks):
    """Return moves of bookmarks, pairs of a name and a node or None, for a
    template."""
    return templateutil.mappinglist(
        [
            {b'name': tolocal(name), b'node': hex(node) if node else b''}
            for name, node in marks
        ]
    )
