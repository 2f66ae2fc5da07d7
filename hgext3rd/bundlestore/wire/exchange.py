"""How a command of ours goes over, and its answer comes back.

Commands answer in JSON, maybe with nothing but an ``error`` and a ``hint``: an
exception would end the connection over ssh, and give none of its text over
http.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Callable, TypeVar

from mercurial import error, httpconnection, wireprototypes
from mercurial.i18n import _

from .. import server as servermod
from ..start import wraps
from . import values

_T = TypeVar('_T')

# -- on the client


def call(peer, command: bytes, args: Mapping[str, bytes]) -> bytes:
    """Send a command of ours and return the answer."""
    # Mercurial wants to know it at this end, too
    wraps.apply('ask')
    answer: bytes = peer._call(command, **args)
    return answer


def ishttp(peer) -> bool:
    """Whether a peer is asked over http."""
    return bool(peer.url().startswith((b'http://', b'https://')))


def haslogin(peer) -> bool:
    """Whether a peer that is asked over http may be told who asks: a user is
    known for its address, and nobody has to be asked for one."""
    url = peer.url()
    user, _password = peer.ui.httppasswordmgrdb.find_user_password(
        None, url.decode('latin-1')
    )
    return bool(user or httpconnection.readauthforuri(peer.ui, url, user))


def batch(
    peer, requests: Iterable[tuple[bytes, Mapping[str, bytes]]]
) -> list[bytes]:
    """Send commands in one round trip and return their answers.

    Mercurial's executor does that with a thread of its own, which a process
    waits for before it ends, whatever that one waits for.
    """
    sent = [
        (_asked(peer, command), {key.encode(): args[key] for key in args})
        for command, args in requests
    ]
    answers = list(peer._submitbatch(sent))
    if len(answers) != len(sent):
        raise _nonsense()
    return answers


def _asked(peer, command: bytes) -> bytes:
    """Return the command to send. A client with the extension largefiles asks
    for heads by another one, or a server with large files would refuse it."""
    if (
        command == b'heads'
        and hasattr(peer, 'lheads')
        and peer.capable(b'largefiles')
    ):
        return b'lheads'
    return command


def readheads(data: bytes) -> list[bytes]:
    """Return the answer to Mercurial's command ``heads``; raises
    ``error.RemoteError``."""
    try:
        heads: list[bytes] = wireprototypes.decodelist(data[:-1])
    except ValueError:
        raise _nonsense()
    return heads


def decode(data: bytes, read: Callable[[dict[str, Any]], _T]) -> _T:
    """Return what ``read`` makes of an answer, whatever the server sent;
    raises ``error.RemoteError``."""
    try:
        raw = json.loads(data.decode('utf-8'))
        if 'error' in raw:
            hint = raw.get('hint')
            raise error.RemoteError(
                _tolocal(raw['error']),
                hint=None if hint is None else _tolocal(hint),
            )
        return read(raw)
    except values.NONSENSE:
        raise _nonsense()


def _nonsense() -> error.RemoteError:
    return error.RemoteError(
        _(b'the server gave an answer that makes no sense'),
        hint=_(b'it may run another release of hg-bundlestore'),
    )


def _tolocal(value: Any) -> bytes:
    return servermod.tolocal(values.text(value))


# -- on the server


def answer(repo, ask: Callable[[servermod.Server], dict[str, Any]]):
    """Return the response with what ``ask`` says, be it that it aborts."""
    try:
        server = servermod.of(repo)
        if server is None:
            raise error.Abort(_(b'the repository has no bundle store'))
        said = ask(server)
    except error.Abort as exc:
        said = {'error': servermod.totext(exc.message)}
        if exc.hint is not None:
            said['hint'] = servermod.totext(exc.hint)
    data = json.dumps(said, ensure_ascii=False, separators=(',', ':'))
    return wireprototypes.bytesresponse(data.encode('utf-8', 'replace'))
