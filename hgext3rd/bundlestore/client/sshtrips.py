"""Over ssh, what a client can do is told along with its first question.

Mercurial tells it by a command of its own, and waits for the answer, which
says nothing. A server with a bundle store is told in the first batch of
commands; where the first command goes by itself, it is told before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import names
from ..start.wraps import inplaceof

_COMMAND = b'protocaps'
#: attribute of a peer: the arguments of that command, which is owed
_OWED = '_bundlestoreowed'


@inplaceof('sshpeer.sshv1peer._call')
def call(orig, peer, cmd, **args):
    if cmd != _COMMAND or not {names.CAPABILITY, b'batch'} <= peer._caps:
        return orig(peer, cmd, **args)
    setattr(peer, _OWED, {key.encode(): args[key] for key in args})
    return b'OK'


@inplaceof('sshpeer.sshv1peer._submitbatch')
def submitbatch(orig, peer, req) -> Iterator[bytes]:
    owed = _take(peer)
    if owed is None:
        yield from orig(peer, req)
    else:
        answers = orig(peer, [(_COMMAND, owed), *req])
        next(answers)
        yield from answers


@inplaceof('sshpeer.sshv1peer._sendrequest')
def sendrequest(orig, peer, cmd, args, **opts):
    owed = _take(peer)
    if owed is not None:
        orig(peer, _COMMAND, owed, framed=True).read()
    return orig(peer, cmd, args, **opts)


def _take(peer) -> Any:
    """Return what is owed, which the caller tells."""
    owed = getattr(peer, _OWED, None)
    setattr(peer, _OWED, None)
    return owed
