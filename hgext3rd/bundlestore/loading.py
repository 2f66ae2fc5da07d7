"""Loads modules at once where threads will use them.

Mercurial imports lazily: a module is executed when it is first touched. Before
Python 3.13 that is not safe when two threads touch it at the same moment: one
of them sees a module without its names, and its client a server error.
Servers with threads (hgweb) therefore load all modules that wait, when they
open a repository with a bundle store; it takes them half a second, once. A
process that serves one client, over ssh or as a CGI script, stays lazy.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import types

from . import compat

_SAFE = sys.version_info >= (3, 13)
_lock = threading.Lock()


def prepare(force: bool = False) -> None:
    """Load everything if this process has threads or soon will have, which
    the caller knows for sure with ``force``."""
    if _SAFE or not (force or _threaded()):
        return
    with _lock:
        waiting = _waiting()
        while waiting:
            for module in waiting:
                _load(module)
            # those loaded now have brought new ones
            waiting = [m for m in _waiting() if m not in waiting]


def _waiting() -> list[types.ModuleType]:
    # the class is private to importlib, and any other way to ask a module
    # something would load it
    return [
        module
        for module in list(sys.modules.values())
        if type(module).__name__ == '_LazyModule'
    ]


def _load(module: types.ModuleType) -> None:
    # One for another platform fails, say. Whoever needs it will get the
    # error; nobody may.
    with contextlib.suppress(Exception):
        module.__doc__  # noqa: B018  any attribute will do


def _threaded() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return True
    # a CGI script serves one request
    return isweb() and 'GATEWAY_INTERFACE' not in os.environ


def isweb() -> bool:
    """Whether this process serves web pages, as a WSGI or CGI script or as
    ``hg serve`` that has opened its port."""
    return any(map(_isloaded, compat.HGWEB))


def _isloaded(name: str) -> bool:
    """Whether the module is here and does not wait to be loaded."""
    return type(sys.modules.get(name)) is types.ModuleType
