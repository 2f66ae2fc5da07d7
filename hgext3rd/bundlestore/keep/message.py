"""What a web hook is told of a push, as ``docs/ci.rst`` has it."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from mercurial import error

from .. import errors, model
from ..bundle import telling

#: Of a push with more changesets, or more bytes of what there is to tell of
#: them, only their hashes are told.
MAX_CHANGESETS = 2000
MAX_BYTES = 8 << 20


def body(repo, server, push: model.Push) -> bytes:
    """Return the body; raises ``BackendUnavailable`` if the store cannot tell
    what is in the push."""
    changesets = _changesets(repo, server, push)
    if changesets is None:
        changesets = [{'node': node.hex()} for node in push.changesets]
    told = telling.entry(push, changesets)
    told['statuses'] = telling.statusesof(server, [push.id]).get(push.id, [])
    address = repo.ui.config(b'web', b'baseurl')
    found = {
        'type': 'push',
        'timestamp': time.strftime(
            '%Y-%m-%dT%H:%M:%SZ', time.gmtime(push.time)
        ),
        'data': {
            'pushid': push.id,
            'repository': address.decode('utf-8', 'replace').rstrip('/')
            if address
            else None,
            'heads': [head.node.hex() for head in push.heads],
            **told,
        },
    }
    # what is no text is none for a receiver either
    text = json.dumps(found, ensure_ascii=False, separators=(',', ':'))
    return text.encode('utf-8', 'replace')


def _changesets(repo, server, push: model.Push) -> list[dict[str, Any]] | None:
    """Return what there is to tell of the changesets; None where that is too
    much, or the bundle is not sound."""
    if len(push.changesets) > MAX_CHANGESETS:
        return None
    found = []
    size = 0
    try:
        view = telling.opened(repo, server, push)
        with contextlib.closing(view):
            unfiltered = view.unfiltered()
            for node in push.changesets:
                told = telling.changeset(unfiltered[node])
                size += len(told['desc']) + sum(map(len, told['files']))
                if size > MAX_BYTES:
                    return None
                found.append(told)
    except Exception as exc:
        cause = exc.__cause__ if isinstance(exc, error.Abort) else exc
        if isinstance(cause, errors.BackendUnavailable):
            raise cause
        return None
    return found
