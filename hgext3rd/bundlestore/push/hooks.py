"""The hooks ``prebundlestore`` and ``bundlestore``.

Shell hooks get the variables; Python hooks get the overlay of base and push
as ``repo``, and the variables without ``HG_`` in lower case. A hook costs
nothing where none is configured. They run as well when bookmarks move without
a push; there is no bundle then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Callable

from mercurial import error, hook, pycompat
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import stringutil

from .. import model
from ..bundle import overlay, sound
from ..records import NamedTuple
from ..server import aborting, tolocal
from . import hookenv

#: called if there is a hook, gives the path of the complete bundle
File = Callable[[], AbstractContextManager[bytes]]


class Source(NamedTuple):
    """Where a push comes from, as hooks are told."""

    repo: Any
    url: bytes
    user: str
    pushvars: Mapping[bytes, bytes]


def prehook(source: Source, push, file: File) -> None:
    """Run ``prebundlestore`` on a push (``model.NewPush``) that is about to
    be recorded; raises if it fails."""
    _run(
        source,
        b'prebundlestore',
        push,
        file,
        True,
        bookmarks=[tolocal(move.name) for move in push.moves],
    )


def posthook(source: Source, push, file: File) -> None:
    """Run ``bundlestore`` on a recorded push (``model.Push``); its failure
    changes nothing, and never raises: the client must be told that the push
    is stored."""
    try:
        _run(
            source,
            b'bundlestore',
            push,
            file,
            False,
            bookmarks=[tolocal(name) for name, _node in push.bookmarks],
            pushid=b'%d' % push.id,
        )
    except Exception as exc:
        _failed(source.repo.ui, _(b'push %d is stored') % push.id, exc)


class Event(NamedTuple):
    """Bookmarks that move without a push."""

    source: Source
    server: Any
    moves: Sequence[model.BookmarkMove]


def premove(event: Event) -> None:
    """Run ``prebundlestore`` before bookmarks move; raises if it fails."""
    _runmove(event, b'prebundlestore', True)


def postmove(event: Event, id: int) -> None:
    """Run ``bundlestore`` when bookmarks have moved; never raises."""
    try:
        _runmove(event, b'bundlestore', False, pushid=b'%d' % id)
    except Exception as exc:
        _failed(event.source.repo.ui, _(b'the bookmarks have moved'), exc)


def _runmove(event: Event, name: bytes, throw: bool, **extra) -> None:
    repo = event.source.repo
    if not hook.hashook(repo.ui, name):
        return
    new = list(dict.fromkeys(move.new for move in event.moves if move.new))
    variables = {
        'node': hex(new[0]) if new else b'',
        'node_last': hex(new[-1]) if new else b'',
        'count': b'0',
        **_common(event.source),
        **extra,
    }
    with contextlib.ExitStack() as stack:
        with aborting():
            view = overlay.opennodes(repo, event.server, new) if new else None
        if view is None:
            view = overlay.readonly(repo)
        else:
            stack.callback(view.close)
        lists = {
            'heads': [*map(hex, new)],
            'bookmark': [tolocal(move.name) for move in event.moves],
        }
        hookenv.run(repo.ui, view, name, throw, variables, lists)


def _failed(ui, done: bytes, exc: Exception) -> None:
    """Warn that the second hook failed, and of what is so nevertheless."""
    if isinstance(exc, error.Abort):
        reason = exc.message
    else:
        reason = stringutil.forcebytestr(exc)
    text = _(b'warning: %s, but the bundlestore hook failed: %s\n')
    ui.warn(text % (done, reason))
    ui.traceback()


def _common(source: Source) -> dict[str, bytes]:
    return {
        'user': tolocal(source.user),
        'source': b'push',
        'url': source.url,
        **pycompat.strkwargs(dict(source.pushvars)),
    }


def _run(source, name, push, file, throw, bookmarks, **extra) -> None:
    repo = source.repo
    if not hook.hashook(repo.ui, name):
        return
    variables = {
        'node': hex(push.changesets[0]),
        'node_last': hex(push.changesets[-1]),
        'count': b'%d' % len(push.changesets),
        'bundleid': push.key.encode(),
        **_common(source),
        **extra,
    }
    if push.private:
        variables['private'] = b'1'
    with contextlib.ExitStack() as stack:
        with sound.reading():
            path = stack.enter_context(file())
            view = overlay.openfile(repo, path)
        stack.callback(view.close)
        variables['bundlerepo'] = stack.enter_context(
            _bundlerepo(repo.root, path)
        )
        lists = {
            'heads': [hex(head.node) for head in push.heads],
            'bookmark': bookmarks,
        }
        hookenv.run(repo.ui, view, name, throw, variables, lists)


@contextlib.contextmanager
def _bundlerepo(base: bytes, path: bytes) -> Iterator[bytes]:
    """Give the location by which ``hg -R`` opens the bundle over the base.

    Mercurial splits it at the first ``+`` and cuts it at a ``#``, and knows
    no way to escape them. Where the paths hold them, links stand in for them.
    """
    if b'+' not in base and b'#' not in base + path:
        yield b'bundle:%s+%s' % (base, path)
        return
    folder = tempfile.mkdtemp(prefix=b'hg-bundlestore-')
    try:
        links = [os.path.join(folder, name) for name in (b'base', b'bundle')]
        for target, link in zip((base, path), links):
            os.symlink(target, link)
        yield b'bundle:%s+%s' % tuple(links)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
