"""What the client is told after a scratch push."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from mercurial import bundle2, formatter
from mercurial.i18n import _
from mercurial.node import hex, short

from .. import model, names
from ..bundle.unbundle import listener
from ..records import NamedTuple
from ..server import tolocal

#: heads and bookmarks that are listed before the rest is only counted
MAX_HEADS = 10
MAX_BOOKMARKS = 10

#: bytes of a parameter
_LONGEST = 255


class Answer(NamedTuple):
    """A part of the push that wants an answer in the reply."""

    #: ``changegroup``, ``obsmarkers`` or ``pushkey``
    kind: bytes
    #: id of the part in the push
    part: int
    #: number of markers, or 1 if a key was accepted
    value: int = 1


#: name of the parameter that the answer's value goes by
_PARAMETER = {
    b'changegroup': b'return',
    b'obsmarkers': b'new',
    b'pushkey': b'return',
}


class Outcome:
    """What became of a push."""

    def __init__(self) -> None:
        #: the recorded push, None if only bookmarks moved
        self.push: Optional[model.Push] = None
        #: where bookmarks are now, None if they were deleted
        self.moved: list[tuple[str, Optional[bytes]]] = []
        #: further lines for the user
        self.notes: list[bytes] = []
        #: what parts of the push want to know
        self.answers: list[Answer] = []


class _Reply(bundle2.bundle20):
    """A reply that goes out in one piece: a web server sends each by itself,
    and Mercurial's pieces are as small as four bytes."""

    def getchunks(self) -> Iterator[bytes]:
        yield b''.join(super().getchunks())


def make(ui, outcome: Outcome, link, iswanted: bool, tells: bool):
    """Return the reply to a push, as ``exchange.unbundle`` does: a bundle2
    bundler, or 1 for a client that pushed a bundle1.

    ``link`` makes a link to a head, see :func:`linker`. ``iswanted`` is whether
    the client said what it can read; there is nothing in it that some cannot.
    One with this extension, which ``tells`` so, is told of the push in a part
    of ours.
    """
    push = outcome.push
    text = b''.join(outcome.notes)
    if push is not None:
        text += describe(push, link)
    text += _describemoves(outcome.moved)
    if not iswanted and not outcome.answers:
        ui.status(text)
        return 1
    bundler = _Reply(listener(ui))
    for answer in outcome.answers:
        part = bundler.newpart(b'reply:' + answer.kind, mandatory=False)
        part.addparam(b'in-reply-to', b'%d' % answer.part, mandatory=False)
        part.addparam(
            _PARAMETER[answer.kind], b'%d' % answer.value, mandatory=False
        )
    if push is not None and tells:
        part = bundler.newpart(names.STORED, mandatory=False)
        part.addparam(names.PUSH, b'%d' % push.id, mandatory=False)
        part.addparam(names.KEY, push.key.encode(), mandatory=False)
        url = link(push, push.heads[-1])
        # more cannot be sent
        if 0 < len(url) <= _LONGEST:
            part.addparam(names.URL, url, mandatory=False)
        part.data = b''.join(push.changesets)
    bundler.newpart(b'output', data=text, mandatory=False)
    return bundler


def describe(push, link) -> bytes:
    """Return the lines that tell a user what was stored. ``link`` makes a
    link to a head, see :func:`linker`."""
    count = len(push.changesets)
    what = _(b'1 changeset') if count == 1 else _(b'%d changesets') % count
    lines = [_(b'stored %s as push %d\n') % (what, push.id)]
    shown = push.heads[:MAX_HEADS]
    for head in shown:
        lines.append(b'  %s\n' % b' '.join(_headline(head, link(push, head))))
    if len(push.heads) > len(shown):
        rest = len(push.heads) - len(shown)
        what = _(b'head') if rest == 1 else _(b'heads')
        lines.append(_(b'  and %d more %s\n') % (rest, what))
    return b''.join(lines)


def _describemoves(moved) -> bytes:
    text = b''.join(map(_bookmarkline, moved[:MAX_BOOKMARKS]))
    rest = len(moved) - MAX_BOOKMARKS
    if rest > 0:
        what = _(b'bookmark') if rest == 1 else _(b'bookmarks')
        text += _(b'  and %d more %s\n') % (rest, what)
    return text


def _bookmarkline(bookmark) -> bytes:
    name, node = bookmark
    if node is None:
        return _(b'deleted bookmark %s\n') % tolocal(name)
    return _(b'bookmark %s is at %s\n') % (tolocal(name), short(node))


def _headline(head, url: bytes) -> list[bytes]:
    return [x for x in (short(head.node), tolocal(head.title), url) if x]


def linker(ui, template: bytes | None):
    """Return a function that makes the link to a head of a push."""
    if not template:
        return lambda push, head: b''
    renderer = formatter.maketemplater(ui, template)

    def link(push, head) -> bytes:
        return renderer.renderdefault(
            {
                b'node': hex(head.node),
                b'desc': tolocal(head.title),
                b'user': tolocal(push.user),
                b'push': b'%d' % push.id,
            }
        )

    return link
