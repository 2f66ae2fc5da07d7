"""All that differs between the supported releases of Mercurial.

Each branch names the last release that needs it, so that it can go when that
release does: ``# hg <= X.Y``.
"""

from __future__ import annotations

import contextlib
import os

from mercurial import bundle2, commands
from mercurial.utils import urlutil

try:
    from mercurial import bundle2_part_handlers
    from mercurial.exchanges import bundle_caps

    parthandler = bundle2_part_handlers.parthandler
    #: (module, name) of the function that lists the bundle2 capabilities
    REPOCAPS = (bundle_caps, 'get_repo_caps')
except ImportError:  # hg <= 7.1
    parthandler = bundle2.parthandler
    REPOCAPS = (bundle2, 'getrepocaps')

# Commands can be wrapped once this module is loaded. A WSGI server has no
# other reason to load it, and the extension would fail there.
COMMANDS = commands.table


#: Modules with the applications of hgweb: only a process that serves pages
#: touches them. Others load ``hgweb.common``, if only to show a help text.
HGWEB = (
    'mercurial.hgweb.hgweb_mod_inner',
    'mercurial.hgweb.hgwebdir_mod_inner',
    'mercurial.hgweb.hgweb_mod',  # hg <= 7.1
    'mercurial.hgweb.hgwebdir_mod',  # hg <= 7.1
)

#: Templates of hgweb's styles that put the name of a file between the quotes
#: of an attribute as it is: what is wrong there, and what is right.
UNESCAPED = {  # hg <= 7.2
    b'filelog': (b':{file}"', b':{file|escape}"'),
}


def clientcaps(repo) -> dict:
    """Return the bundle2 capabilities of ``repo`` acting as a client."""
    module, name = REPOCAPS
    return getattr(module, name)(repo, role=b'client')


def seekablepart(part):
    """Return a part of ``iterparts(seekable=True)`` as a seekable file."""
    if hasattr(part, 'as_seekable'):
        return part.as_seekable()
    return part  # hg <= 7.1


def tryunlink(path) -> None:
    """Remove a file that may not be there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def boolpathoption(option: bytes, attr: str):
    """Declare a yes/no option of ``[paths]``."""
    display = getattr(urlutil, 'display_bool', None)
    if display is None:  # hg <= 6.3
        return urlutil.pathsuboption(option, attr)
    return urlutil.pathsuboption(option, attr, display=display)


def repository(ui, path: bytes):
    """Open the repository at ``path``."""
    return _factory().repository(ui, path)


def peer(repo, path: bytes):
    """Connect to the repository at the location ``path``, on behalf of
    ``repo``."""
    return _factory().peer(repo, {}, path)


def _factory():
    try:
        from mercurial.repo import factory
    except ImportError:  # hg <= 7.1
        from mercurial import hg as factory
    return factory


def share(ui, source: bytes, dest: bytes) -> None:
    """Make ``dest`` a share of the repository at ``source``, without a
    working copy, as ``hg share -U`` does."""
    try:
        from mercurial.cmd_impls import clone as module
    except ImportError:  # hg <= 7.1
        from mercurial import hg as module
    module.share(ui, source, dest=dest, update=False, bookmarks=False)


def logerror(stream, text: str) -> None:
    """Write text to the ``wsgi.errors`` stream of a web server."""
    try:
        stream.write(text)
    except TypeError:
        # That of ``hg serve`` takes bytes.  # hg <= 7.2
        stream.write(text.encode('utf-8', 'backslashreplace'))
    stream.flush()


def breakoff(stream) -> None:
    """Have the web server that the stream belongs to close the connection
    after the response, which was cut short."""
    # ``hg serve`` would wait for the next request, and the client for the
    # rest; other servers see to it themselves.  # hg <= 7.2
    handler = getattr(stream, 'handler', None)
    if handler is not None:
        handler.close_connection = True
