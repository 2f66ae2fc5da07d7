"""Does a push go to the bundle store or to the base repository?

It must be known before the push takes any lock, and before its changesets
were read. What tells:

* the stream parameter of a client with this extension,
* ``route = all``,
* ``--pushvars BUNDLESTORE=1``: a part before the changesets (where the server
  takes no such variables, the push is refused),
* a scratch bookmark. A client that does not force announces it in a part
  before the changesets as well. One that forces sends it behind them; such a
  push is put into a temporary file first, as Mercurial does with every push
  unless ``server.streamunbundle`` is set. (A bundle store server sets that,
  so that limits come in time; what then goes to the base repository is put
  into a file here, so that no slow client keeps the base's lock.)
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from typing import Optional

from mercurial import (
    bookmarks as bookmod,
    bundle2,
    changegroup,
    error,
    pushkey,
)
from mercurial.i18n import _
from mercurial.utils import stringutil

from .. import access
from ..bundle import container
from ..bundle.unbundle import SILENT
from ..names import PARAMETER
from ..records import NamedTuple
from ..server import fromutf8

#: ``--pushvars`` variable
PUSHVAR = b'BUNDLESTORE'

#: what comes before the changesets is kept in memory up to this size
_MAX_PREAMBLE = 4 * 1024 * 1024
#: bytes of a part with bookmarks: more than ten thousand of them
_MAX_BOOKMARKS = 1024 * 1024


class Decision(NamedTuple):
    """Where a push goes. ``cg`` is to be read in place of the original."""

    scratch: bool
    #: the client has this extension
    requested: bool
    cg: object


class _PreambleTooLong(Exception):
    pass


class _Recorder:
    """Keeps what is read from ``fp``, to be read again."""

    def __init__(self, fp) -> None:
        self._fp = fp
        self._recorded = io.BytesIO()

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._fp.read(size)
        self._recorded.write(data)
        if self._recorded.tell() > _MAX_PREAMBLE:
            raise _PreambleTooLong
        return data

    def replay(self):
        """Return a stream of what was read and then the rest."""
        self._recorded.seek(0)
        return _Replay(self._recorded, self._fp)


class _Replay:
    def __init__(self, first, rest) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._first.read(size)
        if size < 0:
            return data + self._rest.read()
        if len(data) < size:
            data += self._rest.read(size - len(data))
        return data


def requested(cg) -> bool:
    """Whether the client asks for the bundle store itself.

    In lower case the parameter is advisory, and another server would ignore
    it. One bit makes the difference; here none lets the push land.
    """
    return isinstance(cg, bundle2.unbundle20) and any(
        name.upper() == PARAMETER for name in cg.params
    )


@contextlib.contextmanager
def decide(repo, server, cg, remote: bool) -> Iterator[Decision]:
    """Decide about the push ``cg`` (as ``unbundle.tame`` gives it).

    ``remote`` tells that it comes over a wire, at a client's pace.
    """
    server.checkroute()
    byparameter = requested(cg)
    if byparameter or server.settings.routeall:
        yield Decision(True, byparameter, cg)
        return
    spool = remote and server.spools
    scratch = None
    if isinstance(cg, bundle2.unbundle20):
        scratch, cg = _peek(repo, server, cg)
    else:
        scratch = False
    if scratch is False:
        server.request.lifttimeout()
    if scratch or (scratch is False and not spool):
        yield Decision(scratch, False, cg if scratch else _untamed(cg))
        return
    with tempfile.TemporaryFile(prefix=b'hg-unbundle-') as fh:
        if spool:
            # what Mercurial says, whose file has a name
            repo.ui.debug(b'redirecting incoming bundle to a temporary file\n')
        cg = _spooled(cg, fh)
        if scratch is None:
            scratch = _hasscratchbookmark(repo, server, cg.over(fh))
            fh.seek(0)
            cg = cg.over(fh)
        yield Decision(scratch, False, cg if scratch else _untamed(cg))


def _untamed(cg):
    """Return Mercurial's own unbundler for what goes to the base."""
    if isinstance(cg, bundle2.unbundle20):
        return cg.over(cg._fp, bundle2.unbundle20)
    return cg


def _spooled(cg, fh):
    """Copy all of the push into ``fh`` and return an unbundler of that."""
    if isinstance(cg, bundle2.unbundle20):
        shutil.copyfileobj(cg._fp, fh, container.BLOCK)
        fh.seek(0)
        return cg.over(fh)
    for chunk in cg.getchunks():
        fh.write(chunk)
    fh.seek(0)
    return changegroup.cg1unpacker(fh, b'UN')


def _peek(repo, server, cg):
    """Look at the parts before the changesets. Return whether they make it a
    scratch push (None: they do not tell), and an unbundler of it all."""
    recorder = _Recorder(cg._fp)
    scratch = None
    forced = True
    try:
        for part in _silent(cg.over(recorder)).iterparts():
            if part.type == b'changegroup':
                break
            if part.type in (b'check:heads', b'check:updated-heads'):
                forced = False
            elif _isscratchpart(repo, server, part):
                scratch = True
                break
        if scratch is None and not forced:
            scratch = False
    except _PreambleTooLong:
        scratch = None
    return scratch, cg.over(recorder.replay())


def _hasscratchbookmark(repo, server, cg) -> bool:
    parts = _silent(cg).iterparts()
    return any(_isscratchpart(repo, server, part) for part in parts)


def _silent(cg):
    """Let an unbundler that reads ahead say nothing: whoever reads the same
    parts afterwards says it with ``--debug``."""
    cg.ui = SILENT
    return cg


def _isscratchpart(repo, server, part) -> bool:
    if part.type == b'pushvars':
        return pushvarsrequest(repo.ui, part)
    return any(map(server.isscratchbookmark, _bookmarknames(repo, part)))


def pushvarsrequest(ui, part) -> bool:
    """Whether a ``pushvars`` part asks for the bundle store.

    Aborts where it may ask but cannot be heard: who asks must not land.
    """
    # Mercurial makes the names upper case for its hooks, too
    values = {name.upper(): value for name, value in part.params.items()}
    value = values.get(PUSHVAR, b'')
    asks = stringutil.parsebool(value) if value else False
    if asks is None:
        raise error.Abort(
            _(b"pushvar BUNDLESTORE is not a boolean ('%s')") % value,
            hint=_(b'nothing was pushed'),
        )
    if asks and not ui.configbool(b'push', b'pushvars.server'):
        raise error.Abort(
            _(b'this server takes no pushvars, BUNDLESTORE=1 included'),
            hint=_(b'nothing was pushed; %s')
            % (
                access.elsewhere(ui)
                if ui.config(b'bundlestore', b'try-url')
                else _(
                    b"the server's configuration lacks "
                    b"'push.pushvars.server = yes'"
                )
            ),
        )
    return asks


def readsmall(part, limit: int) -> bytes:
    """Return the payload of a part that is never large; aborts beyond
    ``limit`` bytes."""
    data: bytes = part.read(limit + 1)
    if len(data) > limit:
        raise error.Abort(
            _(b"push has too much in its part '%s' (more than %d bytes)")
            % (stringutil.pprint(part.type), limit)
        )
    return data


def decodebookmarks(repo, part) -> list[tuple[bytes, Optional[bytes]]]:
    """Return what a part with bookmarks says: names and nodes."""
    data = readsmall(part, _MAX_BOOKMARKS)
    found = bookmod.binarydecode(repo, io.BytesIO(data))
    # Mercurial sends them as they are in the client's encoding.
    return [(fromutf8(name), node) for name, node in found]


def _bookmarknames(repo, part) -> list[bytes]:
    """Return the bookmarks that a part moves or checks."""
    if part.type in (b'bookmarks', b'check:bookmarks'):
        return [name for name, _node in decodebookmarks(repo, part)]
    if part.type == b'pushkey':
        params = part.params
        if pushkey.decode(params.get(b'namespace', b'')) == b'bookmarks':
            return [pushkey.decode(params.get(b'key', b''))]
    return []
