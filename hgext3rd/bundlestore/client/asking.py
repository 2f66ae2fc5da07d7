"""Asks a server for changesets, and does not wait for it for ever.

Mercurial waits as long as a server keeps silent. Where the user asked for a
revision, not for a connection, that would look like a command that hangs. So a
thread of its own connects and asks, the main one waits for it, and leaves it
behind when the time is up: nothing else gets out of a name server that does
not answer. What can be ended then is: the processes of ssh, and what the
thread reads from sockets.

The limit is for the answer. What is pulled then may take as long as it takes.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from http import client as httpclient
from typing import Any

from mercurial import encoding, error, pycompat, wireprototypes
from mercurial.i18n import _
from mercurial.node import bin
from mercurial.utils import stringutil, urlutil

from .. import compat
from ..names import CAPABILITY
from ..records import NamedTuple
from ..start import wraps
from ..start.loading import quickend
from ..start.wraps import inplaceof
from ..wire import exchange
from . import processes

#: seconds between two looks at the clock, and for what has been ended to end
_TICK = 0.05
_FAREWELL = 2.0


class NoAnswer(Exception):
    """The server could not be asked; ``args[0]`` says why (bytes)."""


class Answer(NamedTuple):
    """What a server says."""

    #: the connection, for more; whoever asked closes it
    peer: Any
    hasstore: bool
    #: the changesets of those names that it knows
    nodes: dict[bytes, bytes]
    #: of those that were asked about the ones that it has
    there: set[bytes]
    #: its heads
    heads: list[bytes]


def ask(
    repo,
    location: bytes,
    names: list[bytes],
    ground: list[bytes],
    limit: int,
) -> Answer:
    """Ask the server at ``location`` what it knows of ``names``, and which
    changesets of ``ground`` it has.

    After ``limit`` seconds without an answer, 0 for none, or if there can be
    none, raises ``NoAnswer``. Raises what Mercurial does for an ambiguous
    name.
    """
    quickend()
    question = _Question(repo, location, names, ground)
    try:
        if urlutil.url(location).islocal():
            # Nobody to wait for, and what opens a repository may have to be
            # the main thread.
            question.put(repo)
        else:
            question.wait(limit)
        return question.answer()
    except _FAILURES as exc:
        question.close()
        raise NoAnswer(_reason(exc, question.lines, location)) from exc
    except Ambiguous as exc:
        question.close()
        raise error.InputError(exc.args[0]) from exc
    except BaseException:
        question.close()
        raise


#: what there may be in the place of an answer
_FAILURES = (
    error.Abort,
    error.RepoError,
    error.ResponseError,
    OSError,
    httpclient.HTTPException,
    # names of hosts that are none, answers that have no sense
    ValueError,
)


class Ambiguous(Exception):
    """A name means several changesets over there."""


class _Question:
    """One question, and what its connection is made of."""

    def __init__(
        self, repo, location: bytes, names: list[bytes], ground: list[bytes]
    ) -> None:
        self._repo = repo
        self._location = location
        self._names = names
        self._ground = ground
        self._lock = threading.Lock()
        self._left = False
        self._done = threading.Event()
        self._answer: Answer | None = None
        self._failure: BaseException | None = None
        #: how many prompts wait for the user
        self.prompting = 0
        #: whether output of the other end is kept
        self.keeping = True
        #: that output
        self.lines: list[bytes] = []
        self.processes: list[subprocess.Popen] = []
        self.openers: list[Any] = []

    # -- asking

    def put(self, place) -> None:
        """Connect on behalf of ``place``, a repository or its stand-in, and
        ask."""
        peer = compat.peer(place, self._location)
        try:
            answer = _inquire(peer, self._names, self._ground)
        except BaseException:
            peer.close()
            raise
        with self._lock:
            if not self._left:
                self._answer = answer
                return
        peer.close()

    def wait(self, limit: int) -> None:
        """Have a thread ask; return when it has, or when time is up."""
        wraps.apply('asking')
        if urlutil.url(self._location).scheme == b'ssh':
            wraps.apply('ssh')
        thread = threading.Thread(
            target=self._run, args=(_Place(self._repo, self),), daemon=True
        )
        thread.start()
        left = float(limit)
        before = time.monotonic()
        while not self._done.wait(_TICK):
            now = time.monotonic()
            # a user who types a password is not a server that keeps silent
            if not self.prompting:
                left -= now - before
            before = now
            if limit and left <= 0:
                raise error.RemoteError(_(b'no answer within %d s') % limit)

    def _run(self, place) -> None:
        try:
            self.put(place)
        except BaseException as exc:
            self._failure = exc
        finally:
            self._done.set()

    def answer(self) -> Answer:
        """Return what came; raises what went wrong."""
        if self._failure is not None:
            raise self._failure
        assert self._answer is not None
        self.keeping = False
        for line in self.lines:
            self._repo.ui.warn(_(b'remote: '), line, b'\n')
        return self._answer

    # -- the end

    def close(self) -> None:
        """End what was begun."""
        with self._lock:
            self._left = True
            answer, self._answer = self._answer, None
        if answer is not None:
            answer.peer.close()
        if not self.processes and not self.openers:
            return
        for process in self.processes:
            processes.end(process)
        for opener in self.openers:
            _hangup(opener)
        self._done.wait(_FAREWELL)


def _hangup(opener) -> None:
    """End what a thread reads from the connections of an opener: to close
    them would not wake it."""
    for handler in opener.handlers:
        manager = getattr(handler, '_cm', None)
        if manager is None:
            continue
        for connections in manager.get_all().values():
            for connection in connections:
                # one that has not come about yet has none
                sock = getattr(connection, 'sock', None)
                if sock is not None:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)


def _inquire(peer, names: list[bytes], ground: list[bytes]) -> Answer:
    """Ask, in one round trip."""
    answer = Answer(peer, peer.capable(CAPABILITY), {}, set(), [])
    if not answer.hasstore:
        return answer
    if peer.local():
        for name in names:
            try:
                answer.nodes[name] = peer.lookup(name)
            except (error.RepoError, error.LookupError) as exc:
                _checkunknown(pycompat.bytestr(exc))
        return answer
    known = [
        (b'known', {'nodes': wireprototypes.encodelist(ground)}),
        (b'heads', {}),
    ]
    answers = exchange.batch(
        peer,
        [
            *((b'lookup', {'key': encoding.fromlocal(n)}) for n in names),
            *(known if ground else []),
        ],
    )
    if ground:
        answer.heads.extend(exchange.readheads(answers.pop()))
        flags = answers.pop()
        answer.there.update(n for n, f in zip(ground, flags) if f == ord('1'))
    for name, line in zip(names, answers):
        # Mercurial would close a connection over ssh where it is not known
        success, said = line[:-1].split(b' ', 1)
        if int(success):
            answer.nodes[name] = bin(said)
        else:
            _checkunknown(said)
    return answer


def _checkunknown(message: bytes) -> None:
    """Raise ``Ambiguous`` if the error of a look-up says so."""
    if b'ambiguous' in message:
        raise Ambiguous(message)


# -- the user interface that a connection gets


class _Place:
    """Stands in for the repository that connects.

    Mercurial copies ``baseui`` for the connection; so all that is made of it
    knows the question.
    """

    def __init__(self, repo, question: _Question) -> None:
        self.ui = repo.ui
        self.baseui = _asking(repo.baseui, question)


def _asking(ui, question: _Question):
    class askingui(ui.__class__):
        """Knows for which question it is there."""

        def __init__(self, src=None):
            super().__init__(src)
            self.bundlestorequestion = question

        def warn(self, *msg, **opts):
            if not _keep(question, msg):
                super().warn(*msg, **opts)

        def status(self, *msg, **opts):
            if not _keep(question, msg):
                super().status(*msg, **opts)

        def prompt(self, *args, **kwargs):
            with _prompting(question):
                return super().prompt(*args, **kwargs)

        def getpass(self, *args, **kwargs):
            with _prompting(question):
                return super().getpass(*args, **kwargs)

    return askingui(ui)


def _keep(question: _Question, message: tuple[bytes, ...]) -> bool:
    """Keep a line that the other end sent while it was asked."""
    if not question.keeping or message[:1] != (_(b'remote: '),):
        return False
    question.lines.append(b''.join(message[1:]).strip())
    return True


@contextlib.contextmanager
def _prompting(question: _Question):
    question.prompting += 1
    try:
        yield
    finally:
        question.prompting -= 1


# -- what a connection is made of


@inplaceof('sshpeer._makeconnection')
def makeconnection(orig, ui, *args, **kwargs):
    """Remember the process."""
    made = orig(ui, *args, **kwargs)
    question = getattr(ui, 'bundlestorequestion', None)
    if question is not None:
        question.processes.append(made[0])
    return made


@inplaceof('url.opener')
def opener(orig, ui, *args, **kwargs):
    """Remember who opens connections."""
    made = orig(ui, *args, **kwargs)
    question = getattr(ui, 'bundlestorequestion', None)
    if question is not None:
        question.openers.append(made)
    return made


# -- why there is no answer


def _reason(exc: BaseException, lines: list[bytes], location: bytes) -> bytes:
    """Return in a few words why there is no answer."""
    said = [line for line in lines if line]
    if isinstance(exc, error.RepoError) and said:
        # what ssh, or the command that it ran, had to say of it
        reason = said[-1]
    else:
        reason = _words(exc)
    passwd = urlutil.url(location).passwd
    if passwd:
        reason = reason.replace(passwd, b'***')
    return b' '.join(reason.split())


def _words(exc: BaseException) -> bytes:
    # an error of a connection may be in another one, which may have no words
    inner = getattr(exc, 'reason', None) or getattr(exc, 'strerror', None)
    if isinstance(inner, BaseException):
        return _words(inner)
    if isinstance(exc, OSError) and exc.strerror:
        return encoding.strtolocal(exc.strerror)
    return stringutil.forcebytestr(exc) or type(exc).__name__.encode()
