"""Says to a server what no client would: wire protocol commands and bundle2
pushes, byte by byte, by way of ssh and http."""

from __future__ import annotations

import json
import shlex
import struct
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import web
from .hg import PATIENCE, Repo
from .servers import HOST, SshTransport, Transport

Arguments = Sequence[tuple[str, str]]

#: ``heads`` of an unbundle that does not mind who else pushed
FORCE = ('heads', b'force'.hex())


class Wire:
    """Speaks to one repository as one user."""

    def __init__(self, transport: Transport, repo: Repo, user: str) -> None:
        self._transport = transport
        self._repo = repo
        self._user = user

    def call(
        self,
        command: str,
        arguments: Arguments = (),
        payload: bytes | None = None,
    ) -> str:
        """Send a command and return all that came back, in whatever form."""
        if isinstance(self._transport, SshTransport):
            return self._ssh(command, arguments, payload)
        return self.request([('cmd', command), *arguments], payload)

    def request(
        self,
        query: Arguments,
        payload: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Send a POST with this query string, over http."""
        answer = web.get(
            self._transport.url(self._repo, self._user)
            + '?'
            + urllib.parse.urlencode(query),
            {'Content-Type': 'application/mercurial-0.1', **(headers or {})},
            'POST',
            self._user,
            payload or b'',
        )
        return str(answer)

    def _ssh(
        self, command: str, arguments: Arguments, payload: bytes | None
    ) -> str:
        assert isinstance(self._transport, SshTransport)
        sent = f'{command}\n'.encode()
        if command == 'batch':
            sent += b'* 0\n'
        for name, value in arguments:
            sent += f'{name} {len(value.encode())}\n{value}'.encode()
        if payload is not None:
            sent += b'%d\n%s0\n' % (len(payload), payload)
        serve = [str(self._transport.hg.executable), '-R']
        serve += [str(self._repo.path), 'serve', '--stdio']
        done = subprocess.run(
            [self._transport.script, f'{self._user}@{HOST}', shlex.join(serve)],
            input=sent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
        text = done.stdout.decode('utf-8', 'replace')
        assert 'Traceback' not in text, text
        return text

    def pushkey(self, namespace: str, key: str, old: str, new: str) -> str:
        return self.call(
            'pushkey',
            [
                ('namespace', namespace),
                ('key', key),
                ('old', old),
                ('new', new),
            ],
        )

    def unbundle(self, bundle: bytes) -> str:
        return self.call('unbundle', [FORCE], bundle)


def batch(*commands: tuple[str, Arguments]) -> Arguments:
    """Return the argument of ``batch`` that holds these commands."""
    texts = [
        f'{command} ' + ','.join(f'{k}={_escaped(v)}' for k, v in arguments)
        for command, arguments in commands
    ]
    return [('cmds', ';'.join(texts))]


def _escaped(value: str) -> str:
    for plain, coded in ((':', ':c'), (',', ':o'), (';', ':s'), ('=', ':e')):
        value = value.replace(plain, coded)
    return value


Questions = Sequence[Mapping[bytes, bytes]]


def overssh(base: Repo, command: str, questions: Questions) -> list[Any]:
    """Ask ``hg serve --stdio`` with a command that answers in JSON, all in
    one connection; return the answers."""
    data = b''
    for args in questions:
        data += f'{command}\n* {len(args)}\n'.encode()
        for name, value in args.items():
            data += b'%s %d\n%s' % (name, len(value), value)
    # what is no text comes through unharmed
    done = base.hg.run(
        *('-R', base.path, 'serve', '--stdio'),
        input=data.decode('utf-8', 'surrogateescape') + '\n',
    )
    assert not done.err
    rest, found = done.out.encode('utf-8', 'surrogateescape'), []
    while rest:
        length, _, rest = rest.partition(b'\n')
        found.append(json.loads(rest[: int(length)]))
        rest = rest[int(length) :]
    return found


def overhttp(url: str, command: str, questions: Questions) -> list[Any]:
    """Ask the server at ``url``, in a request each."""
    answers = []
    for args in questions:
        query = urllib.parse.urlencode({b'cmd': command, **args})
        with urllib.request.urlopen(f'{url}?{query}', timeout=PATIENCE) as file:
            answers.append(json.load(file))
    return answers


class Part(NamedTuple):
    """A part of a bundle2."""

    kind: str
    data: bytes = b''
    params: Sequence[tuple[str, str]] = ()
    mandatory: bool = True


def bundle2(parts: Sequence[Part], **params: str) -> bytes:
    """Return a bundle2 with these parts and stream parameters."""
    text = ' '.join(f'{k}={v}' for k, v in params.items()).encode()
    chunks = [b'HG20', struct.pack('>i', len(text)), text]
    for number, part in enumerate(parts):
        kind = part.kind.upper() if part.mandatory else part.kind
        pairs = [(k.encode(), v.encode()) for k, v in part.params]
        header = b''.join(
            [
                struct.pack('>B', len(kind)),
                kind.encode(),
                struct.pack('>IBB', number, len(pairs), 0),
                *(struct.pack('>BB', len(k), len(v)) for k, v in pairs),
                *(k + v for k, v in pairs),
            ]
        )
        chunks += [struct.pack('>i', len(header)), header]
        if part.data:
            chunks += [struct.pack('>i', len(part.data)), part.data]
        chunks.append(struct.pack('>i', 0))
    chunks.append(struct.pack('>i', 0))
    return b''.join(chunks)


def replycaps() -> Part:
    return Part('replycaps', b'HG20\nerror=abort%2Cunsupportedcontent')


def changegroup(repo: Repo, node: str, parent: str) -> Part:
    """Return the part with the changesets of ``only(node, parent)``."""
    data = _bundle(repo, node, parent, 'none-v2')
    for kind, payload in _parts(data):
        if kind == b'CHANGEGROUP':
            return Part('changegroup', payload, [('version', '02')])
    raise AssertionError('no changegroup')


def bundle1(repo: Repo, node: str, parent: str) -> bytes:
    """Return the same as a push of an old client."""
    return _bundle(repo, node, parent, 'none-v1')


def bookmarks(name: str, node: str) -> Part:
    """Return the part that moves a bookmark."""
    text = name.encode()
    data = bytes.fromhex(node) + struct.pack('>H', len(text)) + text
    return Part('bookmarks', data)


def pushkey(namespace: str, key: str, old: str, new: str) -> Part:
    values = (
        ('namespace', namespace),
        ('key', key),
        ('old', old),
        ('new', new),
    )
    return Part('pushkey', b'', values)


def phaseheads(node: str) -> Part:
    """Return the part that makes a changeset public."""
    return Part('phase-heads', struct.pack('>i', 0) + bytes.fromhex(node))


def _bundle(repo: Repo, node: str, parent: str, kind: str) -> bytes:
    path = Path(repo.path).parent / 'wire.hg'
    repo.inspect(
        *('bundle', '--quiet', '--type', kind, '--base', parent),
        *('--rev', node, str(path)),
    )
    data = path.read_bytes()
    path.unlink()
    return data


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and payload of each part of a bundle2."""
    assert data.startswith(b'HG20')
    (size,) = struct.unpack_from('>i', data, 4)
    offset = 8 + size
    while True:
        (size,) = struct.unpack_from('>i', data, offset)
        offset += 4
        if not size:
            return
        header = data[offset : offset + size]
        offset += size
        payload = b''
        while True:
            (size,) = struct.unpack_from('>i', data, offset)
            offset += 4
            if not size:
                break
            payload += data[offset : offset + size]
            offset += size
        yield header[1 : 1 + header[0]].upper(), payload
