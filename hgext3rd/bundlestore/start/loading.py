"""Loads modules early where waiting for their first use does harm.

Mercurial imports lazily: a module is executed when it is first touched. Before
Python 3.13 that is not safe when two threads touch it at the same moment: one
of them sees a module without its names, and its client a server error.
Servers with threads (hgweb) therefore load all modules that wait, and all
rooms of this extension, when they open a repository with a bundle store; it
takes them half a second, once. So do command servers that fork, such as chg's:
what they have loaded, their children need not. A process that serves one
client, over ssh or as a CGI script, stays lazy.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import os
import pkgutil
import sys
import threading
import types
from collections.abc import Iterable, Iterator

from .. import compat
from . import PACKAGE

_SAFE = sys.version_info >= (3, 13)
_lock = threading.Lock()

#: more objects than a push of a few changesets makes, and few megabytes
_MANY = 20_000

#: modules that the rooms import where they use them, as few pushes need them
_LATE = (
    'concurrent.futures.thread',
    'importlib.metadata',
    'json',
    'sqlite3',
    'zope.interface',
    'mercurial.httppeer',
    'mercurial.sshpeer',
    'mercurial.wireprotoserver',
)


def prepare(force: bool = False, ui=None) -> None:
    """Load everything if this process has threads or soon will have, which
    the caller knows for sure with ``force``; what the backends need that
    ``ui`` names, too."""
    if force or _threaded():
        from .. import config

        urls = () if ui is None else tuple(config.backendurls(ui))
        with _lock:
            # ``hgwebdir`` opens the repository for each request
            if _prepared.get(urls) != _present():
                loadall(True, ui)
                _freeze()
                _prepared[urls] = _present()


#: by the backends' URLs, what :func:`_present` gave when all was loaded
_prepared: dict[tuple[str, ...], tuple[int, str]] = {}


def _present() -> tuple[int, str]:
    """Return what is another when a module was imported since, be it to wait
    for its first use."""
    return len(sys.modules), next(reversed(sys.modules))


@functools.cache
def _freeze() -> None:
    """Leave what is loaded alone in collections of garbage, once. ``hgwebdir``
    makes one with each request, which takes ten times as long as a request for
    all these modules, and they stay anyway."""
    import gc  # not for those who serve one client

    gc.collect()
    gc.freeze()


@functools.cache
def quickend() -> None:
    """Have this process end without a last search for garbage, which is a
    fifth of all that a short command costs; the system takes the memory back
    in any case. Whoever pushes over ssh waits for the end of both processes.
    """
    import gc

    if hasattr(gc, 'freeze'):  # PyPy has none
        atexit.register(gc.freeze)


@functools.cache
def searchrarely() -> None:
    """Have this process, which does one thing and ends, search for garbage
    once in :data:`_MANY` new objects. What a short one makes it needs until
    its end, and to look through that again and again is in vain."""
    import gc

    if hasattr(gc, 'set_threshold'):  # PyPy has none
        gc.set_threshold(_MANY, *gc.get_threshold()[1:])


def loadall(web: bool, ui=None) -> None:
    """Load the rooms, those for web servers if they are wanted, what the
    backends need that ``ui`` names, and all that waits in this process."""
    for name in _names(web):
        if name not in sys.modules:
            # whoever needs it will get the error; nobody may
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    if ui is not None:
        from .. import backends, config

        backends.preload(*config.backendurls(ui))
    # Where threads do no harm, all rooms are loaded none the less: an upgrade
    # must not put new ones beside old ones.
    waiting = _waiting()
    while waiting:
        for module in waiting:
            _load(module)
        # those loaded now have brought new ones
        waiting = [m for m in _waiting() if m not in waiting]


@functools.cache
def _names(web: bool) -> list[str]:
    """Return the names of the modules; ``hgwebdir`` asks for each request."""
    package = sys.modules[PACKAGE]
    return [*_LATE, *_rooms(package.__path__, f'{PACKAGE}.', web)]


def _rooms(path: Iterable[str], prefix: str, web: bool) -> Iterator[str]:
    for info in pkgutil.iter_modules(path, prefix):
        name = info.name[len(prefix) :]
        if name == 'testing' or (name == 'web' and not web):
            continue
        yield info.name
        if info.ispkg:
            inside = [os.path.join(folder, name) for folder in path]
            yield from _rooms(inside, f'{info.name}.', web)


def _waiting() -> list[types.ModuleType]:
    # the class is private to importlib, and any other way to ask a module
    # something would load it
    return [
        module
        for name, module in list(sys.modules.items())
        if type(module).__name__ == '_LazyModule'
        and (not _SAFE or name.startswith(f'{PACKAGE}.'))
    ]


def _load(module: types.ModuleType) -> None:
    # one for another platform fails, say
    with contextlib.suppress(Exception):
        module.__doc__  # noqa: B018  any attribute will do


def _threaded() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return True
    # a CGI script serves one request
    return compat.isweb() and 'GATEWAY_INTERFACE' not in os.environ
