"""The extension of rawpush.py: a command that takes an order in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mercurial import (
    bundle2,
    changegroup,
    discovery,
    error,
    registrar,
    util,
)

try:
    from mercurial.repo import factory
except ImportError:
    from mercurial import hg as factory

cmdtable: dict[bytes, Any] = {}
command = registrar.command(cmdtable)


@command(b'rawpush')
def rawpush(ui: Any, repo: Any) -> None:
    order = json.loads(ui.fin.read())
    result = []
    if 'make' in order:
        _make(repo, order)
    else:
        result = list(_sendall(repo, order))
    ui.write(json.dumps(result).encode() + b'\n')


def _make(repo: Any, order: dict[str, Any]) -> None:
    bundler = bundle2.bundle20(repo.ui)
    bundler.addparam(b'BUNDLESTORE', b'1')
    bundler.newpart(b'replycaps', data=b'HG20\nerror=abort\n')
    if order['heads']:
        outgoing = discovery.outgoing(
            repo.unfiltered(),
            commonheads=[bytes.fromhex(n) for n in order['common']],
            ancestorsof=[bytes.fromhex(n) for n in order['heads']],
        )
        stream = changegroup.makestream(
            repo.unfiltered(), outgoing, b'02', b'push'
        )
        part = bundler.newpart(b'changegroup', data=stream)
        part.addparam(b'version', b'02')
    with open(order['make'], 'wb') as file:
        for chunk in bundler.getchunks():
            file.write(chunk)


def _sendall(repo: Any, order: dict[str, Any]) -> Iterator[dict[str, str]]:
    peer = None
    for path in order['send']:
        if peer is None:
            peer = factory.peer(repo, {}, order['url'].encode())
        try:
            yield _send(repo, peer, path)
        finally:
            if not order['together']:
                peer.close()
                peer = None
    if peer is not None:
        peer.close()


def _send(repo: Any, peer: Any, path: str) -> dict[str, str]:
    try:
        with open(path, 'rb') as file:
            stream = util.chunkbuffer(iter([file.read()]))
        with peer.commandexecutor() as executor:
            reply = executor.callcommand(
                b'unbundle',
                {b'bundle': stream, b'heads': [b'force'], b'url': peer.url()},
            ).result()
        bundle2.processbundle(repo, reply)
    except error.BundleUnknownFeatureError as exc:
        return {'message': str(exc), 'hint': 'unknown feature'}
    except error.Abort as exc:
        return {
            'message': exc.message.decode('utf-8', 'replace'),
            'hint': (exc.hint or b'').decode('utf-8', 'replace'),
        }
    return {}
