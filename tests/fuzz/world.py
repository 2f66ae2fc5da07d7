"""A base repository with a bundle store, in this process, to fuzz against."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mercurial import (
    bundle2,
    changegroup,
    context,
    discovery,
    encoding,
    extensions,
    obsolete,
    ui as uimod,
)

from hgext3rd.bundlestore import compat, model
from hgext3rd.bundlestore.bundle import container
from hgext3rd.bundlestore.push import check

NULL = b'\0' * 20


class World:
    """``base`` is served; ``client`` has two changesets more, of which the
    store holds the first, and the second is to be pushed."""

    def __init__(self, folder: Path) -> None:
        # Descriptions are shown in UTF-8, not as the fuzzer's shell has it.
        encoding.encoding = b'UTF-8'
        self.folder = folder
        ui: Any = uimod.ui()
        for section, name, value in (
            (b'extensions', b'bundlestore', b''),
            (b'ui', b'username', b'alice'),
            (b'experimental', b'evolution', b'all'),
            (b'devel', b'default-date', b'0 0'),
            (b'bundlestore', b'server', b'yes'),
            (b'bundlestore', b'max-bundle-size', b'4 MB'),
            (b'push', b'pushvars.server', b'yes'),
        ):
            ui.setconfig(section, name, value, b'fuzz')
        extensions.loadall(ui)
        ui.pushbuffer(error=True, subproc=True)
        self.ui = ui
        self.base = self._create('base')
        self.client = self._create('client')
        first = self._commit(self.base, NULL, {b'a': b'a\n', b'd/b': b'b\n'})
        assert first == self._commit(
            self.client, NULL, {b'a': b'a\n', b'd/b': b'b\n'}
        )
        self.first = first
        lines = b''.join(b'%d\n' % n for n in range(3))
        self.stored = self._commit(self.client, first, {b'a': lines})
        self.pushed = self._commit(
            self.client, self.stored, {b'a': lines + b'!\n', b'new': b'n\n'}
        )
        self.other = self._commit(self.client, first, {b'o': lines})
        self.server = self.base.bundlestore
        self.key = self._store(self.stored)

    def _create(self, name: str) -> Any:
        path = str(self.folder / name).encode()
        factory: Any = compat._factory
        return factory().repository(self.ui, path, create=True)

    def _commit(
        self, repo: Any, parent: bytes, files: dict[bytes, bytes]
    ) -> bytes:
        def filectx(repo: Any, ctx: Any, path: bytes) -> Any:
            return context.memfilectx(repo, ctx, path, files[path])

        ctx = context.memctx(
            repo,
            (parent, NULL),
            b'message %d\n\nand more' % len(repo),
            list(files),
            filectx,
            user=b'alice',
            date=b'0 0',
        )
        node: bytes = repo.commitctx(ctx)
        return node

    def changegroup(
        self, heads: Sequence[bytes], common: Sequence[bytes], version: bytes
    ) -> bytes:
        """Return the changegroup with ``only(heads, common)``."""
        outgoing = discovery.outgoing(
            self.client.unfiltered(), list(common), list(heads)
        )
        return b''.join(
            changegroup.makestream(
                self.client.unfiltered(), outgoing, version, b'push'
            )
        )

    def _store(self, node: bytes) -> str:
        data = self.changegroup([node], [self.first], b'02')
        part = container.changegrouppart(iter([data]), b'02', False)
        chunks = list(container.container(self.ui, [part]))
        key: str = self.server.store.put(chunks)
        self.server.index.record(
            model.NewPush(
                time=1.0,
                user='alice',
                key=key,
                size=sum(map(len, chunks)),
                nodes=(node,),
                heads=(model.Head(node, 'title'),),
            )
        )
        return key

    def markers(self) -> bytes:
        meta = ((b'user', b'alice'),)
        found = [(self.other, (self.pushed,), 0, meta, (0.0, 0), None)]
        return b''.join(obsolete.encodemarkers(found, True, 1))


@functools.cache
def world() -> World:
    folder = Path(tempfile.mkdtemp(prefix='hg-bundlestore-fuzz-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return World(folder)


# -- seeds


def seeds() -> dict[str, list[bytes]]:
    """Return honest inputs for each target."""
    made = world()
    versions = (b'01', b'02', b'03')
    groups = {
        v: made.changegroup([made.pushed, made.other], [made.first], v)
        for v in versions
    }
    upper = made.changegroup([made.pushed], [made.stored], b'02')
    return {
        'push': list(_pushes(groups, upper)),
        'changegroup': [
            *(bytes([n]) + groups[v] for n, v in enumerate(versions)),
            bytes([1]) + upper,
            bytes([1 + 64]) + upper,
        ],
        'arguments': list(_arguments()),
        'stored': list(_stored(groups, upper)),
        'search': list(_searches()),
        'web': list(_requests()),
    }


def _bundle(parts: Sequence[Any], **params: str) -> bytes:
    made = world()
    bundler = bundle2.bundle20(made.ui)
    for name, value in params.items():
        if name == 'Compression':
            bundler.setcompression(value.encode())
        else:
            bundler.addparam(name.encode(), value.encode())
    for kind, data, values in parts:
        part = bundler.newpart(kind, data=data)
        for key, value in values:
            part.addparam(key, value)
    return b''.join(bundler.getchunks())


def _pushes(groups: dict[bytes, bytes], upper: bytes) -> Iterator[bytes]:
    made = world()
    name = b'scratch/x'
    marks = made.pushed + len(name).to_bytes(2, 'big') + name
    caps = (b'replycaps', b'HG20\nerror=abort%2Cpushkey\n', ())
    for version, group in groups.items():
        part = (b'changegroup', group, [(b'version', version)])
        yield b'\0' + _bundle([caps, part], BUNDLESTORE='1')
    part = (b'changegroup', upper, [(b'version', b'02')])
    hex = made.pushed.hex().encode()
    yield b'\1' + _bundle(
        [
            caps,
            (b'pushvars', b'', [(b'BUNDLESTORE', b'1'), (b'X', b'y')]),
            (b'check:bookmarks', b'\xff' * 20 + b'\0\x09' + name, ()),
            (b'check:heads', made.first, ()),
            part,
            (b'phase-heads', b'\0\0\0\0' + made.pushed, ()),
            (b'obsmarkers', made.markers(), ()),
            (b'bookmarks', marks, ()),
            (
                b'pushkey',
                b'',
                [
                    (b'namespace', b'bookmarks'),
                    (b'key', name),
                    (b'old', b''),
                    (b'new', hex),
                ],
            ),
        ]
    )
    for engine in ('GZ', 'BZ', 'ZS'):
        yield b'\2' + _bundle([part], Compression=engine)
    same = (
        b'bundlestore:same',
        made.stored,
        [(b'key', made.key.encode())],
    )
    yield b'\0' + _bundle([caps, same], BUNDLESTORE='1')
    yield b'\0' + b'HG10UN' + groups[b'01']
    interrupted = _bundle([part], BUNDLESTORE='1')[:-8]
    abort = bundle2.bundlepart(
        b'error:abort', mandatoryparams=[(b'message', b'stop')]
    )
    abort.id = 9
    yield b'\0' + interrupted + b'\xff' * 4 + b''.join(abort.getchunks(made.ui))


def _arguments() -> Iterator[bytes]:
    made = world()
    nodes = b' '.join(n.hex().encode() for n in (made.stored, made.pushed))
    yield b'pushes\0last\x005\0limit\x003\0user\0alice\0rev\0' + nodes[:12]
    yield b'pushes\0rev\0scratch%2Fx\0nodes\x001'
    yield b'known\0nodes\0' + nodes + b'\0heads\0' + nodes[:40]
    yield b'known\0nodes\0' + nodes + b'\0base\0' + nodes[:40] + b'\0total\x009'
    for word in (nodes[:12], nodes[:40], b'scratch/x', b'tip', b'default'):
        yield b'lookup\0key\0' + word
    for space in (b'bookmarks', b'phases', b'namespaces', b'obsolete'):
        yield b'listkeys\0namespace\0' + space
    yield (
        b'pushkey\0namespace\0bookmarks\0key\0scratch/x\0old\0\0new\0'
        + nodes[:40]
    )
    yield b'getbundle\0heads\0' + nodes[:40] + b'\0common\0' + b'0' * 40
    yield b'getbundle\0heads\0' + nodes[:40] + b'\0bundlecaps\0HG20'


def _stored(groups: dict[bytes, bytes], upper: bytes) -> Iterator[bytes]:
    made = world()
    for version in (b'02', b'03'):
        part = container.changegrouppart(
            iter([groups[version]]), version, False
        )
        markers = container.markerspart(made.markers())
        yield b''.join(container.container(made.ui, [part, markers]))
    part = container.changegrouppart(iter([upper]), b'02', False)
    yield b''.join(container.container(made.ui, [part]))


def _searches() -> Iterator[bytes]:
    yield b't\0fix bug'
    yield 't\0Zürich \ufb01x'.encode()
    yield b'b\0scratch/*'
    yield b'b\0scratch/[a-z]?'
    yield b'n\0ab'
    yield b'n\0' + hashlib.sha1(b'1').hexdigest().encode()
    yield b'u\0alice'


def _requests() -> Iterator[bytes]:
    node = world().stored.hex().encode()
    forged = b'a%0d%0a%0d%0a%3Cimg%20src=x%3E'
    for name in (
        *(b'startID', b'endID', b'startdate', b'enddate', b'fromchange'),
        *(b'tochange', b'changeset', b'user', b'text', b'version', b'full'),
        *(b'tipsonly', b'style', b'cmd'),
    ):
        for page in (b'pushes', b'json-pushes', b'atom-pushes'):
            yield b'GET /%s?%s=%s' % (page, name, forged)
    yield b'GET /pushes?user=alice&text=title&changeset=%s&startID=0' % node
    yield b'HEAD /json-pushes?version=2&startID=0&endID=1&full=1'
    yield b'GET /bundlestore-health?style=%s' % forged
    yield b'GET /bundlestore-metrics?style=%s' % forged
    yield b'GET /%s-health' % forged
    for page in (b'pushes', b'json-pushes', b'atom-pushes', b'bundle'):
        yield b'GET /%s?user=j%%C3%%BCrgen&text=%%E4+\xff' % page
    yield b'GET /bundle/1\nRange: bytes=5-10\nIf-None-Match: "x", W/"1"'
    yield b'HEAD /bundle/%s\nIf-Range: "x"\nRange: bytes=-1' % node[:12]
    for command in (b'pushes', b'bundle', b'changeset', b'lookup'):
        yield b'GET /?cmd=%s&node=scratch/%s&key=x' % (command, forged)
    for page in (
        *(b'rev', b'raw-rev', b'json-rev', b'atom-log', b'rss-log', b'graph'),
        *(b'file', b'json-file', b'raw-file', b'annotate', b'comparison'),
        *(b'diff', b'log', b'json-annotate', b'archive', b'bundle'),
    ):
        yield b'GET /%s/%s/a?style=paper' % (page, node)
        yield b'GET /%s/%s/%s?rev=%s' % (page, node, forged, forged)
        yield b'GET /%s/scratch/%s' % (page, forged)
        yield b'GET /%s/%%ff%%fe%%c3%%28' % page


def isrefusal(exc: BaseException) -> bool:
    """Whether a user sees the exception as one line that begins with
    ``abort:``."""
    from mercurial import error

    from hgext3rd.bundlestore import errors

    return isinstance(
        exc,
        (
            error.Abort,
            error.BundleValueError,
            error.RepoError,
            error.StorageError,
            errors.BundleStoreError,
        ),
    )


TITLE = check.TITLE_LENGTH
