"""What hooks get to know, within what a system can hand to a process.

Linux takes 128 KiB for one variable of an environment, and for all of it and
the command line a quarter of the limit on the stack (2 MiB as a rule, never
less than 128 KiB); more, and no shell starts. A push may have thousands of
heads and bookmarks. So a variable with a list has as many whole items as fit,
and a file all of them. Hooks in Python are not handed any environment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mercurial import error, hook
from mercurial.i18n import _
from mercurial.utils import stringutil

#: Bytes of a variable with a list. There are two of them, and the pushvars
#: (see ``push/parts.py``): with these, the server's own environment has room
#: within the least that there is.
MAX_LIST = 32 * 1024

_Lists = Mapping[str, Sequence[bytes]]


def run(
    ui,
    repo,
    name: bytes,
    throw: bool,
    variables: Mapping[str, bytes],
    lists: _Lists,
) -> None:
    """Run the hooks ``name`` on ``repo``.

    With ``throw``, the first one that fails raises; else all are run, and
    then the first exception is raised that was no failure of the hook itself:
    it could not be run.
    """
    inpython = {key: b' '.join(items) for key, items in lists.items()}
    trouble = None
    with contextlib.ExitStack() as stack:
        inshell = None
        for full, command in hook._allhooks(ui):
            if full.split(b'.')[0] != name or not command:
                continue
            try:
                if _ispython(command):
                    more: Mapping[str, bytes] = inpython
                else:
                    inshell = inshell or stack.enter_context(_bounded(lists))
                    more = inshell
                with _starting(full, command):
                    hook.runhooks(
                        ui,
                        repo,
                        name,
                        [(full, command)],
                        throw=throw,
                        **{**variables, **more},
                    )
            except Exception as exc:
                if throw:
                    raise
                trouble = trouble or exc
    if trouble is not None:
        raise trouble


def _ispython(command: Any) -> bool:
    return callable(command) or (
        isinstance(command, bytes) and command.startswith(b'python:')
    )


@contextlib.contextmanager
def _starting(name: bytes, command: Any) -> Iterator[None]:
    """Say which hook it is that the system does not start. To a client, any
    other exception than an abort is a connection that ends."""
    try:
        yield
    except OSError as exc:
        if _ispython(command):
            raise
        reason = stringutil.forcebytestr(exc.strerror or exc)
        raise error.HookAbort(
            _(b'%s hook cannot be run: %s') % (name, reason)
        ) from exc


@contextlib.contextmanager
def _bounded(
    lists: _Lists,
) -> Iterator[dict[str, bytes]]:
    """Give the variables for lists, and the names of files that have all
    items, one a line, while the body runs."""
    folder = None
    try:
        try:
            folder = tempfile.mkdtemp(prefix=b'hg-bundlestore-')
            found = _written(folder, lists)
        except OSError as exc:  # no room, say
            raise error.Abort(
                _(b'cannot write what hooks are told: %s')
                % stringutil.forcebytestr(exc.strerror or exc)
            ) from exc
        yield found
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _written(folder: bytes, lists: _Lists) -> dict[str, bytes]:
    found = {}
    for name, items in lists.items():
        path = os.path.join(folder, name.encode())
        with open(path, 'wb') as fh:
            fh.writelines(b'%s\n' % item for item in items)
        found[name] = _joined(items)
        found[f'{name}_file'] = path
    return found


def _joined(items: Sequence[bytes]) -> bytes:
    """Return as many items as fit, with spaces between them."""
    size = -1
    for count, item in enumerate(items):
        size += 1 + len(item)
        if size > MAX_LIST:
            return b' '.join(items[:count])
    return b' '.join(items)
