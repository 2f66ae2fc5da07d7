"""All that differs between the supported releases of Mercurial.

Each branch names the last release that needs it, so that it can go when that
release does, and the changeset or the module of Mercurial that made it
necessary: ``# hg <= X.Y (CHANGESET: what)`` or ``# hg <= X.Y (MODULE: what)``.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types

from mercurial import extensions, requirements
from mercurial.utils import urlutil

try:
    from mercurial import bundle2_part_handlers as parthandlers
    from mercurial.exchanges import bundle_caps  # noqa: F401  is it there?

    #: the function of Mercurial that lists the bundle2 capabilities
    REPOCAPS = 'exchanges.bundle_caps.get_repo_caps'
except ImportError:
    # hg <= 7.1 (503d63ff9b1a: handlers of parts have a module of their own)
    # hg <= 7.1 (4963494bbd3f: getrepocaps of bundle2 is going to go)
    from mercurial import bundle2 as parthandlers

    REPOCAPS = 'bundle2.getrepocaps'


#: Modules with the applications of hgweb: only a process that serves pages
#: touches them. Others load ``hgweb.common``, if only to show a help text.
HGWEB = (
    'mercurial.hgweb.hgweb_mod_inner',
    'mercurial.hgweb.hgwebdir_mod_inner',
    # hg <= 7.1 (hgweb.hgweb_mod_inner: hgweb_mod had all that is in it)
    'mercurial.hgweb.hgweb_mod',
    # hg <= 7.1 (hgweb.hgwebdir_mod_inner: so had hgwebdir_mod)
    'mercurial.hgweb.hgwebdir_mod',
)


def isweb() -> bool:
    """Whether this process serves web pages, as a WSGI or CGI script or as
    ``hg serve`` that has opened its port."""
    # one that was not loaded yet has another type
    return any(type(sys.modules.get(n)) is types.ModuleType for n in HGWEB)


def hgwebdir():
    """Return the module of Mercurial that makes the index of repositories."""
    for name in HGWEB:
        if 'hgwebdir' in name:
            try:
                return importlib.import_module(name)
            except ImportError:
                # hg <= 7.1 (hgweb.hgwebdir_mod_inner: see HGWEB)
                continue
    raise ImportError('mercurial.hgweb.hgwebdir_mod')


def hassubrepos() -> bool:
    """Whether this process has met a subrepository."""
    module = sys.modules.get('mercurial.subrepo')
    return type(module) is types.ModuleType


#: Templates of hgweb's styles that put the name of a file between the quotes
#: of an attribute as it is: what is wrong there, and what is right.
UNESCAPED = {
    # hg <= 7.2 (templates: filelog.tmpl of paper and of spartan)
    b'filelog': (b':{file}"', b':{file|escape}"'),
}


#: the names of the step of a pull that sends the files of a repository
STREAMSTEPS = (
    b'stream',
    # hg <= 6.4 (exchange: the step had the name of the part)
    b'stream2',
)


def clientcaps(repo) -> dict:
    """Return the bundle2 capabilities of ``repo`` acting as a client."""
    module, _dot, name = REPOCAPS.rpartition('.')
    getrepocaps = getattr(importlib.import_module(f'mercurial.{module}'), name)
    caps: dict = getrepocaps(repo, role=b'client')
    return caps


def parthandler(name: bytes, params: tuple[bytes, ...]):
    """Declare a decorated function to read bundle2 parts."""
    return parthandlers.parthandler(name, params)


def boolpathoption(option: bytes, attr: str):
    """Declare a yes/no option of ``[paths]``."""
    display = getattr(urlutil, 'display_bool', None)
    if display is None:
        # hg <= 6.4 (utils.urlutil: display_bool came with 6.4.5)
        return urlutil.pathsuboption(option, attr)
    return urlutil.pathsuboption(option, attr, display=display)


def pushlocation(path) -> bytes:
    """Return where a path that ``urlutil.get_push_paths`` gives has pushes go
    to."""
    location: bytes = path.loc
    # later on, "pushloc" is a method for a while
    if not hasattr(path, 'get_push_variant'):
        # hg <= 6.3 (utils.urlutil: push variants of paths came with 6.4)
        location = path.pushloc or location
    return location


def keywords() -> dict:
    """Return the table of template keywords."""
    try:
        from mercurial import tables

        table: dict = tables.template_keyword_table
    except (ImportError, AttributeError):
        # hg <= 7.1 (56da8902ae00: templates take their keywords from tables)
        # it is loaded with a repository
        from mercurial import templatekw

        table = templatekw.keywords
    return table


def revsets() -> tuple[dict, set[bytes]] | None:
    """Return the tables of revset predicates and of those that are safe, if
    they can be had before the language of revsets is loaded."""
    try:
        from mercurial import tables

        return tables.revset_symbol_table, tables.safe_revset_symbols
    except (ImportError, AttributeError):
        # hg <= 7.1 (tables: predicates were in tables of revset)
        return None


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
    except ImportError:
        # hg <= 7.1 (repo.factory: its functions were in hg)
        from mercurial import hg as factory
    return factory


def requirementfuncs() -> set:
    """Return the functions that Mercurial asks which entries in ``requires``
    it knows."""
    try:
        from mercurial.repo import requirements as module
    except ImportError:
        # hg <= 7.1 (repo.requirements: localrepo had featuresetupfuncs)
        from mercurial import localrepo

        found: set = localrepo.featuresetupfuncs
    else:
        found = module.feature_setup_funcs
    return found


def streamignorable() -> set:
    """Return the entries in ``requires`` that say nothing of what is copied
    when a repository is cloned file by file."""
    # hg <= 6.8 (requirements: what says something was listed, not the rest)
    return getattr(requirements, 'STREAM_IGNORABLE_REQUIREMENTS', set())


@contextlib.contextmanager
def newrequirement(entry: bytes):
    """Have the repositories that the body makes get an entry in their
    ``requires`` from the very beginning."""
    try:
        from mercurial.repo import creation as module

        name = 'new_repo_requirements'
    except ImportError:
        # hg <= 7.1 (repo.creation: its functions were in localrepo)
        from mercurial import localrepo as module

        name = 'newreporequirements'

    def more(orig, *args, **kwargs):
        return orig(*args, **kwargs) | {entry}

    with extensions.wrappedfunction(module, name, more):
        yield


def share(ui, source: bytes, dest: bytes) -> None:
    """Make ``dest`` a share of the repository at ``source``, without a
    working copy, as ``hg share -U`` does."""
    try:
        from mercurial.cmd_impls import clone as module
    except ImportError:
        # hg <= 7.1 (cmd_impls.clone: its functions were in hg)
        from mercurial import hg as module
    module.share(ui, source, dest=dest, update=False, bookmarks=False)


def cachedbranchmap(view):
    """Return the branch map of a view of a repository that is in a file of its
    caches; None if there is none, or it is not true any more."""
    from mercurial import branchmap

    read = getattr(branchmap, 'branch_cache_from_file', None)
    if read is None:
        # hg <= 6.7 (branchmap: a method of its only class did it)
        read = branchmap.branchcache.fromfile
    return read(view)


def contentlength(proto) -> int | None:
    """Return how many bytes a client says that its request has, None if it
    does not say, as over ssh."""
    request = getattr(proto, '_req', None)
    length = request and request.headers.get(b'Content-Length')
    return int(length) if length and length.isdigit() else None


def logerror(stream, text: str) -> None:
    """Write text to the ``wsgi.errors`` stream of a web server."""
    try:
        stream.write(text)
    except TypeError:
        # hg <= 7.2 (hgweb.server: that of hg serve takes bytes)
        stream.write(text.encode('utf-8', 'backslashreplace'))
    stream.flush()


def breakoff(stream) -> None:
    """Have the web server that the stream belongs to close the connection
    after the response, which was cut short."""
    # hg <= 7.2 (hgweb.server: hg serve would wait for the next request)
    # The client would wait for the rest. Other servers see to it themselves.
    handler = getattr(stream, 'handler', None)
    if handler is not None:
        handler.close_connection = True
