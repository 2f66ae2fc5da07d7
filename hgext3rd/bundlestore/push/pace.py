"""How long a push may keep the server waiting: ``bundlestore.timeout``.

A client that is gone without a word, or sends a byte a second, holds a process
or a thread, a file and a share of the server's memory. So within the timeout
:data:`AMOUNT` bytes must arrive, or the push is dropped. Only the time counts
that the server spends waiting for the client; what it takes for itself, on a
slow disk say, is not the client's fault.

Everything that is read of a push goes through a reader of ours, which sees
each piece as it arrives; Mercurial asks for blocks, and a read that asks for a
block does not return for the first byte of it. What ends a read that waits is
another matter with each transport:

* over ssh, and in a CGI script, a signal (:func:`_alarm`): the process has
  one client, and its main thread waits;
* in a web server with threads there are no signals. A second thread
  (:func:`_watched`) closes one half of the connection, which makes the read
  return. The other half can still carry the answer. The time-outs that sockets
  have begin anew with each byte, and a WSGI server may well read until it has
  a whole block;
* in a web server that does not give its connection away, nothing does but its
  own time-outs. The pace is looked at when a read returns.

Pushes to the base repository have all the time that Mercurial gives them:
``route`` lifts the limit when it knows.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Callable

from mercurial import error, util
from mercurial.i18n import _

from .. import compat, log, pipes, server as servermod, words
from ..request import nothing
from ..start.wraps import inplaceof

#: What must arrive within the timeout, in bytes: one block of those that
#: Mercurial's own clients write over ssh, so that whatever they do send is
#: enough. A client at this pace needs an hour for 120 kB, by default; the
#: slowest of real lines is a hundred times as fast.
AMOUNT = 4096

_BUNDLE2 = b'HG20'

#: the most that is asked for at once
_BLOCK = 256 * 1024
#: the same where the server does not tell how much has come; to ask a web
#: server for less at once slows pushes down
_LITTLE = 16 * 1024
#: the longest line that announces a block over ssh
_LONGESTLINE = 20


@inplaceof('the command unbundle')
def unbundle(orig, repo, proto, *args):
    """Receive a push over a wire, at a pace."""
    server = servermod.of(repo)
    if server is None:
        return orig(repo, proto, *args)
    with limited(repo, server, proto):
        return orig(repo, proto, *args)


@contextlib.contextmanager
def limited(repo, server, proto) -> Iterator[None]:
    """Keep a client who sends something to its pace."""
    pace = Pace(server.settings.timeout)
    receive = _overssh if hasattr(proto, '_fin') else _overhttp
    server.request.lifttimeout = pace.lift
    try:
        with receive(proto, pace):
            yield
    finally:
        server.request.lifttimeout = nothing
        if pace.dropped:
            log.dropped(repo.ui, server, pace.reason())


@contextlib.contextmanager
def payload(repo, server, proto) -> Iterator[Iterator[bytes]]:
    """Give what a client sends with a command, which keeps it to its pace."""
    with limited(repo, server, proto):
        chunks = proto.getpayload()
        try:
            yield chunks
        finally:
            # what is left would be taken for commands
            for _chunk in chunks:
                pass


class Pace:
    """The pace of one client, who has ``timeout`` seconds (0: for ever) for
    each ``amount`` bytes."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.amount = AMOUNT
        #: seconds that the client has left when it is waited for next
        self.left = timeout
        #: While the client is waited for: the moment when it is too late, by
        #: the monotonic clock. Another thread may look at it.
        self._deadline: float | None = None
        #: too late
        self.dropped = False
        #: what ends the next read in so many seconds; 0: no more
        self.alarm: Callable[[float], object] = lambda seconds: None
        #: how the push begins
        self.head = b''
        #: whether there is a limit (any more)
        self.limited = timeout > 0
        self._arrived = 0

    def lift(self) -> None:
        """Give the client all the time in the world from here on."""
        self.limited = False

    def read(self, function: Callable[[int], bytes], size: int) -> bytes:
        """Return ``function(size)``; raises ``error.Abort`` where that takes
        too long."""
        if not self.limited:
            return function(size)
        start = time.monotonic()
        self._deadline = start + self.left
        self.alarm(self.left)
        try:
            data = function(size)
        finally:
            self._deadline = None
            self.alarm(0)
        self._arrived += len(data)
        if self._arrived >= self.amount:
            self._arrived = 0
            self.left = self.timeout
        else:
            self.left -= time.monotonic() - start
        if self.dropped or self.left <= 0:
            self.drop()
        return data

    def remaining(self) -> float:
        """Return how many seconds the client has left."""
        deadline = self._deadline
        return self.left if deadline is None else deadline - time.monotonic()

    def begin(self, data: bytes) -> None:
        """Look at the next bytes of the push."""
        if len(self.head) < len(_BUNDLE2):
            self.head += data[: len(_BUNDLE2) - len(self.head)]

    def drop(self) -> None:
        """Raise what ends the push."""
        self.dropped = True
        exc = self.abort()
        # Mercurial reads some way ahead of the code that marks exceptions for
        # clients that get a bundle2 for an answer (see ``receive.py``)
        exc.duringunbundle2 = _BUNDLE2.startswith(self.head)
        raise exc

    def abort(self) -> error.Abort:
        return error.Abort(
            _(b'push dropped: %s') % self.reason(),
            hint=_(
                b'nothing was stored; push again, or ask for a higher '
                b'bundlestore.timeout'
            ),
        )

    def reason(self) -> bytes:
        return _(b'less than %d bytes came in %s') % (
            self.amount,
            words.counted(int(self.timeout), 'second').encode(),
        )


def _eager(source, pace: Pace) -> Callable[[int], bytes]:
    """Return a function that reads from ``source`` at most so many bytes, and
    that does not wait for more when it has some. Where there is none, it asks
    for little, and all of that must come in time."""
    read1: Callable[[int], bytes] | None = getattr(source, 'read1', None)
    if read1 is not None:
        return read1
    pace.amount = _LITTLE
    return lambda size: source.read(min(size, _LITTLE))


def _brokenoff() -> error.Abort:
    return error.Abort(_(b'push broken off'), hint=_(b'the client has gone'))


# -- ssh


@contextlib.contextmanager
def _overssh(proto, pace: Pace) -> Iterator[None]:
    source = proto._fin
    proto._fin = frames = _Frames(source, pace)
    try:
        with _alarm(pace):
            yield
    finally:
        proto._fin = source
        if pace.dropped:
            # An answer is read when all is sent, and nobody takes the rest:
            # what the client sees is this, and the end of the connection.
            proto._ui.error(pace.abort().format())
            proto._ui.ferr.flush()
        if pace.dropped or frames.broken:
            _hangup(source)


def _hangup(source) -> None:
    """Close the line that ``source`` reads from, so that the server ends and
    does not take the rest of the push for commands."""
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(null, source.fileno())
    finally:
        os.close(null)
    # what is in its buffer
    while source.read(_BLOCK):
        pass


class _Frames:
    """The blocks of a push over ssh: each is announced by a line with its
    length, and the last one has the length zero.

    Long ones are handed on in pieces, as they come. A client that announces a
    gigabyte does not get a gigabyte of the server's memory.
    """

    def __init__(self, source, pace: Pace) -> None:
        self._readline = source.readline
        self._read = _eager(source, pace)
        self._source = source
        self._enlarged = False
        self._pace = pace
        #: nobody knows where the push ends
        self.broken = False
        #: what is to come of the block
        self._left = 0

    def readline(self) -> bytes:
        if not self._left:
            self._left = self._announced()
            if not self._left:
                self._pace.lift()
        return b'%d\n' % min(self._left, _BLOCK)

    def _announced(self) -> int:
        line = self._pace.read(self._readline, _LONGESTLINE)
        if line.endswith(b'\n') and line[:-1].isdigit():
            size = int(line)
            if size >= _BLOCK and not self._enlarged:
                self._enlarged = True
                pipes.enlarge(self._source)
            return size
        self.broken = True
        if line.endswith(b'\n') or len(line) == _LONGESTLINE:
            raise error.Abort(
                _(b'push is not in blocks'), hint=_(b"use 'hg push' to push")
            )
        raise _brokenoff()

    def read(self, size: int) -> bytes:
        data = self._pace.read(self._read, min(size, self._left))
        self._pace.begin(data)
        self._left -= len(data)
        if not data:
            self._left = 0
        return data


@contextlib.contextmanager
def _alarm(pace: Pace) -> Iterator[None]:
    """Raise what ends the push in the middle of a read, by a signal."""
    if (
        not pace.limited
        or not hasattr(signal, 'setitimer')
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def ring(signum, frame) -> None:
        pace.drop()

    def alarm(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    handler = signal.signal(signal.SIGALRM, ring)
    pace.alarm = alarm
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)


# -- http


@contextlib.contextmanager
def _overhttp(proto, pace: Pace) -> Iterator[None]:
    body = proto._req.bodyfh
    environ = proto._req.rawenv
    connection = _connection(environ)
    if not pace.limited or not isinstance(body, util.cappedreader):
        yield
        return
    source = body._fh
    body._fh = _Body(source, pace)
    try:
        with _waking(environ, connection, pace):
            yield
    finally:
        body._fh = source
        if pace.dropped:
            # nothing may wait for the rest of the request: not Mercurial,
            # which reads it before it answers, and not the web server
            if connection is None:
                body._left = 0
            else:
                _deafen(connection)
            compat.breakoff(environ.get(b'wsgi.errors'))


class _Body:
    """The body of a request."""

    def __init__(self, source, pace: Pace) -> None:
        self._read = _eager(source, pace)
        self._pace = pace

    def read(self, size: int) -> bytes:
        try:
            data = self._pace.read(self._read, min(size, _BLOCK))
        except ConnectionError as exc:
            raise _brokenoff() from exc
        self._pace.begin(data)
        return data


def _connection(environ) -> socket.socket | None:
    """Return the connection of a request, where the web server tells."""
    connection = environ.get(b'gunicorn.socket')
    if connection is None:
        # hg serve
        handler = getattr(environ.get(b'wsgi.errors'), 'handler', None)
        connection = getattr(handler, 'connection', None)
    return connection if isinstance(connection, socket.socket) else None


def _deafen(connection: socket.socket) -> None:
    """Have all reads from a connection end now; writes go on."""
    with contextlib.suppress(OSError):
        # not the method of an encrypted one: what is written after that
        # would not be encrypted
        socket.socket.shutdown(connection, socket.SHUT_RD)


def _waking(environ, connection: socket.socket | None, pace: Pace):
    """Return a context in which a read that takes too long is ended."""
    if connection is not None:
        return _watched(pace, connection)
    if environ.get(b'wsgi.run_once'):
        # a CGI script
        return _alarm(pace)
    return contextlib.nullcontext()


@contextlib.contextmanager
def _watched(pace: Pace, connection: socket.socket) -> Iterator[None]:
    """Have a thread look after the connection; it sleeps while the push is in
    time."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(max(pace.remaining(), 0.01)) and pace.limited:
            if pace.remaining() <= 0:
                pace.dropped = True
                _deafen(connection)
                return

    thread = threading.Thread(
        target=watch, name='bundlestore-pace', daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        # from here on nobody touches the connection
        over.set()
        thread.join()
