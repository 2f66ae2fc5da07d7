"""What a stored bundle tells of the changesets of a push: author, branch and
description, which the index does not have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial import error

from .. import compat
from ..bundle import telling
from ..server import totext
from . import scratch


def forjson(web, server, push, nodes) -> list[dict[str, Any]]:
    """Return what ``full`` tells of each changeset. Of one whose bundle cannot
    be read it is the hash: the other pushes must not suffer."""
    with contexts(web, server, push, nodes) as found:
        if found is not None:
            return [telling.changeset(ctx) for ctx in found]
    return [{'node': node.hex()} for node in nodes]


@contextlib.contextmanager
def contexts(web, server, push, nodes) -> Iterator[list[Any] | None]:
    """Give the contexts of changesets of a push, or None if its bundle cannot
    be read; the log of the web server has why."""
    with contextlib.ExitStack() as stack:
        try:
            view = telling.opened(web.repo, server, push)
            stack.enter_context(contextlib.closing(view))
            unfiltered = view.unfiltered()
            found = [unfiltered[node] for node in nodes]
        except error.Abort as exc:
            text = f'push {push.id}: {totext(exc.message)}\n'
            compat.logerror(web.req.rawenv[b'wsgi.errors'], text)
            found = None
        except Exception as exc:
            scratch.log(web, exc)
            found = None
        yield found
