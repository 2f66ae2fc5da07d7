"""Makes pushes byte by byte, and sends any bytes as a push.

Run by the Python of an environment with Mercurial (see :func:`make` and
:func:`send`), so that the bytes go over the wire as real pushes do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

if __name__ != '__main__':
    from .hg import Hg, Repo


def _run(hg: Hg, order: dict[str, Any]) -> Any:
    done = subprocess.run(
        [hg.python, __file__],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        env=hg.cleanenviron(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def make(repo: Repo, heads: Sequence[str], common: Sequence[str]) -> bytes:
    """Return a push of ``heads`` without ``common``, as a client with the
    extension sends it."""
    path = repo.path.parent / 'push.bin'
    order = {
        'make': str(path),
        'repo': str(repo.path),
        'heads': list(heads),
        'common': list(common),
    }
    _run(repo.hg, order)
    return path.read_bytes()


def send(
    repo: Repo, url: str, pushes: Sequence[bytes], together: bool = False
) -> list[dict[str, str]]:
    """Push each of ``pushes`` to ``url`` with the configuration of ``repo``,
    all by way of one connection if they go ``together``.

    Return for each ``{}`` if it was taken, else its ``message`` and
    ``hint``.
    """
    files = []
    for number, data in enumerate(pushes):
        path = repo.path.parent / f'raw{number}.bin'
        path.write_bytes(data)
        files.append(str(path))
    order: dict[str, Any] = {'send': files, 'repo': str(repo.path), 'url': url}
    order['together'] = together
    answers: list[dict[str, str]] = _run(repo.hg, order)
    return answers


# what follows runs in the other Python


def _main() -> None:
    from mercurial import extensions, ui as uimod

    order = json.loads(sys.stdin.read())
    ui = uimod.ui.load()
    extensions.loadall(ui)
    repo = _open(ui, order['repo'].encode())
    if 'make' in order:
        _make(repo, order)
        result = []
    else:
        result = list(_sendall(repo, order))
    print(json.dumps(result))


def _factory() -> Any:
    try:
        from mercurial.repo import factory
    except ImportError:
        from mercurial import hg as factory
    return factory


def _open(ui: Any, path: bytes) -> Any:
    return _factory().repository(ui, path)


def _make(repo: Any, order: dict[str, Any]) -> None:
    from mercurial import bundle2, changegroup, discovery

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
            peer = _factory().peer(repo, {}, order['url'].encode())
        try:
            yield _send(repo, peer, path)
        finally:
            if not order['together']:
                peer.close()
                peer = None
    if peer is not None:
        peer.close()


def _send(repo: Any, peer: Any, path: str) -> dict[str, str]:
    from mercurial import bundle2, error, util

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


if __name__ == '__main__':
    _main()
