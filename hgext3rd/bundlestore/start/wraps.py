"""How functions of Mercurial are wrapped: those in ``points.py``, each when it
can first matter.

A room is loaded when a function of it is first called, so a server never loads
the client's rooms, nor a client the server's. A room that cannot be loaded
ends the request with an abort: no push goes on to the base because of it.

What fails when something is wrapped fails the opening of the repository, so
that nobody works with half an extension.
"""

from __future__ import annotations

import functools
import importlib
import threading

from mercurial import error, extensions, exthelper, registrar
from mercurial.i18n import _
from mercurial.utils import stringutil

from .. import compat, config, names
from . import PACKAGE, loading, points

eh = exthelper.exthelper()


def inplaceof(name: str):
    """Mark a room's function as the one that wraps ``name``."""

    def mark(function):
        function.inplaceof = name
        return function

    return mark


# -- rooms that are loaded when they are called


@functools.cache
def room(target: str):
    """Return the function ``ROOM.NAME`` of ours; aborts if it cannot be
    had."""
    module, _dot, name = target.rpartition('.')
    try:
        return getattr(importlib.import_module(f'{PACKAGE}.{module}'), name)
    except Exception as exc:
        raise _abort(exc) from exc


def late(target: str, doc: str = ''):
    """Return a function that calls the room's function ``target``."""

    def call(*args, **kwargs):
        return room(target)(*args, **kwargs)

    # for who lists functions; the room's own words would load it
    call.__name__ = call.__qualname__ = target.rpartition('.')[2]
    call.__doc__ = doc or f'Call ``{target}``, whose room is loaded for it.'
    return call


# -- what is put in the place of a function looks like it


def replace(container, name: str, wrapper) -> None:
    """Put ``wrapper`` in the place of the function ``name``; it gets the
    original as its first argument."""
    original = extensions.wrapfunction(container, name, wrapper)
    _resemble(getattr(container, name), original)


def _resemble(replacement, original) -> None:
    """Give what took the place of a function what functions have.

    For some it is a ``functools.partial``, which has no ``__code__``: but
    Mercurial's caches of what functions return (``util.lrucachefunc``) count
    the arguments there.
    """
    for name in ('__name__', '__qualname__', '__module__', '__doc__'):
        if hasattr(original, name):
            setattr(replacement, name, getattr(original, name))
    replacement.__wrapped__ = original
    # that of a real function is what it does
    if not hasattr(replacement, '__code__') and hasattr(original, '__code__'):
        replacement.__code__ = original.__code__


def _abort(exc: Exception) -> error.Abort:
    abort = error.Abort(
        _(b'cannot load the bundlestore extension: %s')
        % stringutil.forcebytestr(exc),
        hint=_(b'install hg-bundlestore again'),
    )
    # so that a client that pushes is told, see ``receive.py``
    abort.duringunbundle2 = True
    return abort


# -- moments


def _holding(step):
    """Keep what fails for ``reposetup``. Mercurial would go on without an
    extension that fails before, even if it is required, and pushes would
    land."""

    def run(ui) -> None:
        try:
            step()
        except Exception as exc:
            _failures.append(exc)

    return run


#: commands that get options, and what there is of these
_EXTENDED = {
    b'push': 'client.commands.PUSH',
    b'pull': 'client.commands.PULL',
    b'incoming': 'client.commands.INCOMING',
}


def _workspaceoption(ui, path, value):
    """Return the option of a path as it is: what it names is looked at when it
    is used."""
    return value


def _wrapcommands() -> None:
    from mercurial import commands
    from mercurial.utils import urlutil

    there = {
        c: t for c, t in points.DEBUGCOMMANDS.items() if c in commands.table
    }
    for command, target in {**points.COMMANDS, **there}.items():
        entry = extensions.wrapcommand(commands.table, command, late(target))
        for function, *_rest in commands.table.values():
            if getattr(function, '_origfunc', None) is entry[0]:
                _resemble(function, entry[0])
                if command in _EXTENDED:
                    function.__doc__ += room(_EXTENDED[command])
        if command in _EXTENDED:
            entry[1].extend(room(f'{_EXTENDED[command]}OPTIONS'))
    urlutil.pathsuboption(b'workspace', 'workspace')(_workspaceoption)
    compat.boolpathoption(b'bundle-store', 'bundle_store')(
        late('client.push.pathoption')
    )


def _knowtryurls() -> None:
    """Have Mercurial open try URLs where this extension is on."""
    from mercurial import requirements

    compat.requirementfuncs().add(_supporttryurls)
    # It says something of the one repository, and nothing of the changesets
    # that this shares: it must not get into the requirements of the base, nor
    # into those that clones are told of.
    requirements.WORKING_DIR_REQUIREMENTS.add(names.TRYURL)
    compat.streamignorable().add(names.TRYURL)


def _supporttryurls(ui, supported: set[bytes]) -> None:
    supported.add(names.TRYURL)


# Mercurial asks those of the modules of extensions that are on for the
# repository: another one in the same process may lack this extension.
_supporttryurls.__module__ = PACKAGE


def _tellsummary() -> None:
    from mercurial import cmdutil

    cmdutil.summaryhooks.add(b'bundlestore', late('client.backedup.summary'))


def _startweb() -> None:
    # a WSGI or CGI script has loaded Mercurial's modules before
    if compat.isweb():
        apply('web')
        loading.prepare()


eh.uisetup(_holding(_wrapcommands))
eh.uisetup(_holding(_knowtryurls))
eh.uisetup(_holding(_tellsummary))
eh.extsetup(_holding(_startweb))


@eh.extsetup
def _awaitneighbours(ui) -> None:
    for name, table in points.NEIGHBOURS.items():
        extensions.afterloaded(
            name.encode(), functools.partial(_metneighbour, name, table)
        )


def _metneighbour(name: str, table: dict[str, str], loaded: bool) -> None:
    def wrap() -> None:
        _wrapinside(f'hgext.{name}', table)

    if loaded:
        _holding(wrap)(None)


@eh.reposetup
def reposetup(ui, repo) -> None:
    if _failures:
        raise _abort(_failures[0])
    if not repo.local():
        return
    apply('repository')
    if compat.hassubrepos():
        apply('subrepos')
    if names.TRYURL in repo.requirements:
        config.maketryurl(repo.ui)
    if repo.url().startswith(b'file:') and repo.svfs.exists(names.PRIVATEFILE):
        # this one first: a backup looks at what it notes
        closed = late('client.privacy.closed')
        hook = b'txnclose.bundlestore'
        repo.ui.setconfig(b'hooks', hook, closed, b'bundlestore')
    if repo.ui.configbool(
        config.SECTION, b'auto-backup'
    ) and repo.url().startswith(b'file:'):
        room('client.autobackup.setup')(repo)
    # overlays come by here, too
    if config.isserver(repo.ui) and not repo.url().startswith(b'bundle:'):
        apply('store')
        if compat.isweb():
            apply('web')
        _wrapothers()
        room('fetch.serve.setup')(repo)


_failures: list[Exception] = []
_applied: set = set()
_lock = threading.RLock()


def apply(moment: str) -> None:
    """Wrap what is to be wrapped at a moment (see ``MOMENTS``), once in a
    process."""
    if moment in _applied:
        # no lock: a command server may fork while a thread holds it
        return
    with _lock:
        if moment in _applied:
            return
        try:
            MOMENTS[moment]()
        except Exception as exc:
            raise _abort(exc) from exc
        _applied.add(moment)


def _applyrepository() -> None:
    from mercurial import bundle2, exchange

    _wrap(points.REPOSITORY)
    addkeywords()
    tables = compat.revsets()
    # elsewhere it waits for ``client.fromstore.register``
    if tables is not None:
        addrevsets(*tables)
    # of pushes that go Mercurial's own way
    if names.TELL not in exchange.b2partsgenmapping:
        declare = exchange.b2partsgenerator(names.TELL)
        declare(late('client.push.asktotell'))
    # The last of all. From here on the extension takes pushes that ask for
    # the bundle store, and what keeps them out of the repository must be in
    # place.
    bundle2.b2streamparamhandler(names.PARAMETER.lower())(
        late('wire.stored.checkparameter')
    )


def addkeywords() -> None:
    """Make the template keywords known."""
    table = compat.keywords()
    declare = registrar.templatekeyword(table)
    for name, (target, doc) in points.KEYWORDS.items():
        # other extensions have some of these names, too
        if name not in table:
            declare(name, requires={b'ctx', b'cache'})(late(target, doc))


def addrevsets(symbols: dict, safe: set[bytes]) -> None:
    """Make the predicates known to Mercurial's tables of them."""
    for declaration, (target, issafe, doc) in points.REVSETS.items():
        name = declaration.partition(b'(')[0]
        if name in symbols:
            continue
        symbols[name] = late(target, doc)
        declare = registrar.revsetpredicate()
        declare(declaration, safe=issafe)(symbols[name])
        if issafe:
            safe.add(name)


def _applystore() -> None:
    from mercurial import exchange, wireprotov1server

    _wrap(points.STORE)
    if names.FROMSTORE not in exchange.getbundle2partsmapping:
        declare = exchange.getbundle2partsgenerator(names.FROMSTORE, idx=0)
        declare(late('fetch.origin.step'))
    for command, target in points.WIRE.items():
        _wrapattribute(wireprotov1server.commands[command], 'func', target)
    apply('ask')


def _wrapothers() -> None:
    from mercurial import wireprotov1server

    for command, target in points.OTHERS.items():
        entry = wireprotov1server.commands.get(command)
        if entry is not None:
            _wrapattribute(entry, 'func', target)


def _applyask() -> None:
    from mercurial import wireprotov1server

    for command, target in points.WIRECOMMANDS.items():
        if command not in wireprotov1server.commands:
            declare = wireprotov1server.wireprotocommand
            permission = b'push' if command in points.PUSHING else b'pull'
            declare(command, b'*', permission=permission)(late(target))


def _applypeer() -> None:
    _wrap(points.PEER)


def _applyasking() -> None:
    _wrap(points.ASKING)


def _applytogether() -> None:
    _wrapinside('mercurial', points.TOGETHER)


def _applyssh() -> None:
    _wrapinside('mercurial', points.SSH)


def _applypull() -> None:
    _wrapinside('mercurial', points.PULL)


def _applysubrepos() -> None:
    _wrapinside('mercurial', points.SUBREPOS)


MOMENTS = {
    'repository': _applyrepository,
    'store': _applystore,
    'ask': _applyask,
    'peer': _applypeer,
    'asking': _applyasking,
    'together': _applytogether,
    'ssh': _applyssh,
    'pull': _applypull,
    'push': lambda: _wrap(points.PUSH),
    'subrepos': _applysubrepos,
    'web': late('web.install'),
}


def _wrap(table: dict) -> None:
    for name, target in table.items():
        module, _dot, function = name.rpartition('.')
        container = importlib.import_module(f'mercurial.{module}')
        _wrapattribute(container, function, target)


def _wrapinside(package: str, table: dict[str, str]) -> None:
    """Wrap functions and methods of the modules of a package."""
    for name, target in table.items():
        module, _dot, function = name.partition('.')
        container = importlib.import_module(f'{package}.{module}')
        while '.' in function:
            inner, _dot, function = function.partition('.')
            container = getattr(container, inner)
        _wrapattribute(container, function, target)


def _wrapattribute(container, name: str, target: str) -> None:
    # one that failed halfway is tried again
    key = (id(container), name)
    if key not in _applied:
        replace(container, name, late(target))
        _applied.add(key)
