"""A repository with a bundle store, pushes to send to it, and what should be
in it afterwards."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from harness import history, matrix, wire
from harness.hg import Hg, Repo
from harness.servers import serve_bundlestore
from harness.snapshot import Snapshot, differences, snapshot
from harness.store import folder as storefolder
from hgext3rd.bundlestore.viewmodel import View, ViewChange

from . import invariants
from .forking import Done, Forking
from .shim import Plan, State, readstate


class Expected(NamedTuple):
    """A push as it must be found again."""

    name: str
    #: key and bytes of its bundle
    key: str
    data: bytes
    #: the changesets of its bundle, and the head of the push, in hexadecimal
    nodes: tuple[str, ...]
    head: str
    #: how many bundles it rests on
    rests: int
    bookmarks: tuple[tuple[str, str], ...]


class Message(NamedTuple):
    """A push as bytes, as a client with the extension sends it."""

    name: str
    data: bytes


class Reply(NamedTuple):
    """What a client was told: the id of its push, or why it was refused.
    Neither means that the connection broke."""

    push: Optional[int]
    key: str
    abort: Optional[str]
    hint: str

    @property
    def stored(self) -> bool:
        return self.push is not None


class Run(NamedTuple):
    """One push, and what went wrong with it."""

    done: Done
    reply: Reply
    state: State


class Changing(NamedTuple):
    """One change of a workspace, and what went wrong with it."""

    done: Done
    #: what the client was told, None where the connection broke
    answer: Optional[dict[str, Any]]
    state: State


#: a change that changes nothing
_NOTHING: dict[str, Any] = {
    'action': 'put',
    'owner': None,
    'expected': 0,
    'added': (),
    'removed': (),
    'bookmarks': {},
    'state': None,
    'machine': 'laptop',
    'argument': '',
}


#: a view, and its log
Viewed = tuple[View, list[ViewChange]]


class Site:
    """A base repository ``base`` below ``top``, served by ``hg`` in the
    process ``forking``; the temporary files are in ``top/tmp``."""

    def __init__(self, hg: Hg, library: Path, top: Path) -> None:
        self.top = top
        self.hg = Hg(hg.version, True, {'TMPDIR': str(top / 'tmp')})
        (top / 'tmp').mkdir(parents=True)
        (top / 'io').mkdir()
        plain = hg.plain()
        self.hashes = history.build(plain, top / 'base')
        self.base = Repo(self.hg, top / 'base')
        self.base.inspect('update', '--quiet', 'null')
        history.copy(self.base.path, top / 'client')
        self.author = Repo(self.hg, top / 'client')
        serve_bundlestore(self.base, {})
        self.author.enable()
        history.copy(self.author.path, top / 'pristine')
        self.store = storefolder(self.base)
        self.library = library
        #: what the last push did, see ``powerloss.readlog``
        self.log = top / 'io' / 'log'
        self.forking = Forking(self.hg, library, top / 'io')
        #: what each push looks like when it is stored
        self.expected: dict[str, Expected] = {}
        self.messages: dict[str, Message] = {}
        #: the views in states that are kept, and how they came about
        self.views: dict[str, list[Viewed]] = {}
        self._makepushes()
        self._before: Snapshot = {}
        self._prepare()

    # -- pushes

    def _makepushes(self) -> None:
        author, tagged = self.author, self.hashes.tagged
        one = author.commit({'one.txt': '1\n' * 50}, 'one', parent=tagged)
        two = author.commit(
            {'two.bin': bytes(range(256)) * 400}, 'two', parent=tagged
        )
        author.commit({'new.txt': 'new\n'}, 'new', parent=tagged)
        new = author.commit({'new.txt': 'new\nnewer\n'}, 'newer')
        top = author.commit({'one.txt': '1\n' * 60}, 'top', parent=one)
        self._message('one', one, tagged, 'scratch/one')
        self._message('two', two, tagged, None)
        self._message('new', new, tagged, 'scratch/new')
        self._message('top', top, one, 'scratch/one')

    def _message(
        self, name: str, node: str, parent: str, bookmark: Optional[str]
    ) -> None:
        parts = [
            wire.replycaps(),
            wire.changegroup(self.author, node, parent),
        ]
        if bookmark:
            parts.append(wire.bookmarks(bookmark, node))
        data = wire.bundle2(parts, BUNDLESTORE='1')
        self.messages[name] = Message(name, data)

    def makeprivate(self) -> str:
        """Make the private workspace ``plan`` of alice; return its ``uid``."""
        done = self.change({'name': 'plan', 'private': True})
        assert done.answer, done
        uid: str = done.answer['view']['uid']
        return uid

    def addprivate(self, name: str, uid: str) -> None:
        """Push to the private view ``uid``, which is in the store."""
        node = self.expected['new'].head
        changegroup = wire.changegroup(self.author, node, self.hashes.tagged)
        parts = [wire.replycaps(), changegroup]
        data = wire.bundle2(parts, BUNDLESTORE=uid)
        self.messages[name] = Message(name, data)
        self._learn(name)

    def _prepare(self) -> None:
        """Find out what each push looks like, and make the store that the
        sweeps begin with."""
        for name in ('one', 'two'):
            self._learn(name)
        self.keep('prepared')
        for name in ('new', 'top'):
            self._learn(name)
        self.restore('prepared')
        self._before = snapshot(self.base.path)

    def _learn(self, name: str) -> None:
        run = self.send(name)
        assert run.reply.stored, run.done
        with invariants.opened(self.store) as (store, index):
            push = index.pushes()[-1]
            with store.open(push.key) as reader:
                data = reader.read()
        self.expected[name] = Expected(
            name,
            push.key,
            data,
            tuple(node.hex() for node in push.nodes),
            push.heads[-1].node.hex(),
            len(push.rests),
            tuple((n, node.hex()) for n, node in push.bookmarks if node),
        )

    # -- states of the store

    def keep(self, name: str) -> None:
        """Remember the store as it is."""
        shutil.copytree(self.store, self.top / name)

    def restore(self, name: Optional[str]) -> None:
        """Put back a store that was kept, None for none at all."""
        shutil.rmtree(self.store, ignore_errors=True)
        for path in (self.top / 'tmp').iterdir():
            path.unlink()
        if name is not None:
            shutil.copytree(self.top / name, self.store)

    def checkbase(self) -> None:
        """Fail if a byte of the base repository changed."""
        changes = differences(self._before, snapshot(self.base.path))
        assert not changes, 'base touched:\n' + '\n'.join(changes)

    # -- the server

    def plan(
        self,
        kind: str = 'none',
        at: int = 0,
        log: bool = False,
        clock: float = 0,
    ) -> Plan:
        """Return a plan for a server of this repository."""
        return Plan(
            (self.base.path, self.top / 'tmp'),
            kind,
            at,
            self.top / 'io' / 'state',
            self.log if log else None,
            self.forking.out,
            clock=clock,
        )

    def send(self, name: str, plan: Optional[Plan] = None) -> Run:
        """Send a push to ``hg serve --stdio``; any end will do."""
        message = self.messages[name]
        plan = plan or self.plan()
        self._forget(plan)
        payload = b'%d\n%s0\n' % (len(message.data), message.data)
        heads = b'force'.hex().encode()
        done = self.forking.run(
            *('-R', self.base.path, 'serve', '--stdio'),
            input=b'unbundle\nheads %d\n%s%s' % (len(heads), heads, payload),
            plan=plan,
        )
        assert plan.state is not None
        return Run(done, readreply(done.out), readstate(plan.state))

    def change(
        self, wanted: Mapping[str, Any], plan: Optional[Plan] = None
    ) -> Changing:
        """Send a change of a workspace to ``hg serve --stdio``, with the
        fields of ``wire.views.Change`` that matter; any end will do."""
        plan = plan or self.plan()
        self._forget(plan)
        body = json.dumps({**_NOTHING, **wanted}).encode()
        done = self.forking.run(
            *('-R', self.base.path, 'serve', '--stdio'),
            input=b'bundlestoreview\n* 0\n%d\n%s0\n' % (len(body), body),
            plan=plan,
        )
        assert plan.state is not None
        # what comes first says that the change may be sent, and its length
        said = done.out.split(b'\n', 2)[2:]
        answer = json.loads(said[0]) if said else None
        return Changing(done, answer, readstate(plan.state))

    def _forget(self, plan: Plan) -> None:
        assert plan.state is not None
        plan.state.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)

    def command(
        self, *args: str, plan: Optional[Plan] = None
    ) -> tuple[Done, State]:
        """Run a command in the base repository; any end will do."""
        plan = plan or self.plan()
        self._forget(plan)
        done = self.forking.run('-R', str(self.base.path), *args, plan=plan)
        assert plan.state is not None
        return done, readstate(plan.state)

    def pull(self, heads: Sequence[str], plan: Optional[Plan] = None) -> Done:
        """Pull these into a fresh clone, ``top/clone``, by path."""
        clone = self.top / 'clone'
        shutil.rmtree(clone, ignore_errors=True)
        shutil.copytree(self.top / 'pristine', clone, symlinks=True)
        revs = [word for head in heads for word in ('-r', head)]
        return self.forking.run(
            *('-R', str(clone), 'pull', '--quiet', *revs, str(self.base.path)),
            plan=plan,
        )

    @property
    def clone(self) -> Repo:
        """What was pulled into."""
        return Repo(self.hg, self.top / 'clone')

    def close(self) -> None:
        self.forking.close()


def newest() -> Hg:
    """Return the Mercurial that serves."""
    return Hg(matrix.NEWEST, True)


# -- replies


def readreply(data: bytes) -> Reply:
    """Return what ``hg serve --stdio`` answered to an ``unbundle``."""
    push, key, abort, hint = None, '', None, ''
    for kind, params in _parts(data):
        if kind == 'bundlestore:stored':
            push, key = int(params['push']), params['key']
        elif kind == 'error:abort':
            abort, hint = params['message'], params.get('hint', '')
    return Reply(push, key, abort, hint)


def _parts(data: bytes) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield name and parameters of each part that is there as a whole."""
    begin = data.find(b'HG20')
    if begin < 0:
        return
    try:
        (size,) = struct.unpack_from('>i', data, begin + 4)
        offset = begin + 8 + size
        while True:
            (size,) = struct.unpack_from('>i', data, offset)
            offset += 4
            if not size:
                return
            header = data[offset : offset + size]
            offset += size
            while True:
                (chunk,) = struct.unpack_from('>i', data, offset)
                offset += 4 + max(chunk, 0)
                if not chunk:
                    break
            yield _header(header)
    except struct.error:
        return


def _header(header: bytes) -> tuple[str, Mapping[str, str]]:
    length = header[0]
    kind = header[1 : 1 + length].decode().lower()
    offset = 1 + length + 4
    count = header[offset] + header[offset + 1]
    offset += 2
    sizes = list(header[offset : offset + 2 * count])
    offset += 2 * count
    values = []
    for size in sizes:
        values.append(header[offset : offset + size].decode('utf-8', 'replace'))
        offset += size
    return kind, dict(zip(values[::2], values[1::2]))
