"""Who may do what over which transport.

The base lets alice push, the bundle store alice and bob. carol may read, and
nobody is who does not log in. A second base repository is closed to them all
by ``web.deny_read``.

What is found is the table in docs/permissions.rst, see :class:`Table`.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, NamedTuple, TypeVar

import pytest
from mercurial import ui as uimod
from mercurial.hgweb.common import HTTP_UNAUTHORIZED, ErrorResponse

import environments
from harness import history, matrix, servers, web, wire
from harness.hg import Repo
from harness.history import History
from harness.servers import NOBODY, PASSWORDS, Transport, WsgiTransport
from harness.snapshot import differences, snapshot
from harness.store import bundles, tryurl
from harness.wire import FORCE, Wire
from hgext3rd.bundlestore.request import Request
from hgext3rd.bundlestore.web import permissions

DOCUMENT = environments.ROOT / 'docs' / 'permissions.rst'

#: set, it has the tests write the tables instead of comparing them
WRITE = 'BUNDLESTORE_WRITE_DOCS'

USERS = (*PASSWORDS, NOBODY)
MARK = '0123456789abcdef' * 2 + '01234567'


T = TypeVar('T')

#: what worlds of one name have in common
_MADE: dict[tuple[object, ...], Any] = {}


class World:
    """A base repository with a bundle store, its try URL, and clients."""

    def __init__(
        self,
        transport: Transport,
        template: tuple[Path, History],
        newclient: Callable[..., Repo],
        name: str,
        store: dict[str, str],
        webitems: dict[str, str],
    ) -> None:
        self.transport = transport
        source, self.hashes = template
        self.base = Repo(transport.hg, transport.root / name)
        history.copy(source, self.base.path)
        # something to turn public, and to make obsolete
        self.draft = self.base.commit(
            {'draft': 'draft\n'}, 'a draft', parent=self.hashes.start
        )
        self.base.inspect('update', '--quiet', 'null')
        # the server takes all that can be refused
        self.base.configure('experimental', {'evolution': 'all'})
        self.base.configure('push', {'pushvars.server': 'yes'})
        servers.serve_bundlestore(self.base, {})
        self.tryrepo = tryurl(transport, self.base, f'{name}-try')
        self.tryrepo.configure('experimental', {'evolution': 'all'})
        history.warm(self.base)
        self.client = newclient(f'{name}-client')
        self.vanilla = newclient(f'{name}-vanilla', ext=False)
        self._numbers = itertools.count()
        self.stored = self.commit(self.client)
        self.client.run('push', '--bundle-store', self.base.path)
        self._hgrcs = {
            repo.hgrc: repo.hgrc.read_text()
            for repo in (self.base, self.tryrepo)
        }
        self.allow(store, webitems)
        self._marker = self._makemarker()
        self._pristine = transport.root.parent / f'{name}-pristine'
        shutil.copytree(self.base.path, self._pristine, symlinks=True)

    def allow(self, store: dict[str, str], webitems: dict[str, str]) -> None:
        """Set these items of ``[bundlestore]`` and ``[web]``, and no others."""
        for repo in (self.base, self.tryrepo):
            repo.hgrc.write_text(self._hgrcs[repo.hgrc])
            repo.configure('bundlestore', store)
            repo.configure('web', webitems)

    def url(self, user: str) -> str:
        return self.transport.url(self.base, user)

    def tryurl(self, user: str) -> str:
        return self.transport.url(self.tryrepo, user)

    def talk(self, user: str) -> Wire:
        return Wire(self.transport, self.base, user)

    def trytalk(self, user: str) -> Wire:
        return Wire(self.transport, self.tryrepo, user)

    def commit(self, repo: Repo) -> str:
        """Return a new changeset, on what the base has."""
        return self._commit(repo, next(self._numbers))

    def _commit(self, repo: Repo, number: int) -> str:
        return repo.commit(
            {f'file{number}': f'{number}\n'},
            f'changeset {number} of {repo.path.name}',
            parent=self.hashes.tagged,
        )

    def changegroup(self) -> wire.Part:
        """Return the part of a bundle2 with a new changeset."""
        return self._made(wire.changegroup)

    def bundle1(self) -> bytes:
        return self._made(wire.bundle1)

    def _made(self, make: Callable[[Repo, str, str], T]) -> T:
        """Return what ``make`` makes of a new changeset. It is not made again
        for another world where the same would come of it."""
        vanilla = self.vanilla
        number = next(self._numbers)
        key = (make, vanilla.hg.version, vanilla.path.name, number)
        if key not in _MADE:
            node = self._commit(vanilla, number)
            _MADE[key] = make(vanilla, node, self.hashes.tagged)
        made: T = _MADE[key]
        return made

    def newrepo(self) -> Repo:
        """Return an empty repository that reaches the server."""
        number = next(self._numbers)
        path = self.vanilla.path.with_name(f'{self.base.path.name}-{number}')
        assert not path.exists()
        repo = self.vanilla.hg.init(path)
        repo.configure('ui', self.transport.clientconfig())
        return repo

    def _makemarker(self) -> bytes:
        """Return the obsolescence marker that hides the draft of the base."""
        repo = self.newrepo()
        evolution = ('--config', 'experimental.evolution=all')
        repo.inspect('debugobsolete', *evolution, self.draft, MARK)
        return (repo.path / '.hg' / 'store' / 'obsstore').read_bytes()

    @property
    def markers(self) -> wire.Part:
        return wire.Part('obsmarkers', self._marker)

    @property
    def keys(self) -> dict[str, tuple[str, str, str, str]]:
        """Arguments of ``pushkey`` that change the base."""
        markers = base64.b85encode(self._marker).decode()
        return {
            'bookmark': ('bookmarks', 'mark', '', self.hashes.left),
            'phase': ('phases', self.draft, '1', '0'),
            'markers': ('obsolete', 'dump0', '', markers),
        }

    def attempt(self, act: Attempt, user: str) -> Outcome:
        """Let ``user`` act, and return what came of it."""
        before = snapshot(self.base.path)
        stored = len(bundles(self.base))
        got = act(self, user)
        changes = differences(before, snapshot(self.base.path))
        new = len(bundles(self.base)) - stored
        if changes:
            self._restore()
        return Outcome(bool(got), new, changes)

    def _restore(self) -> None:
        """Put the base back, without what was stored."""
        folder = self.base.path / '.hg' / 'bundlestore'
        aside = self.transport.root.parent / 'aside'
        folder.rename(aside)
        shutil.rmtree(self.base.path)
        shutil.copytree(self._pristine, self.base.path, symlinks=True)
        shutil.rmtree(folder)
        aside.rename(folder)


#: tries something as a user, and may return whether it was given
Attempt = Callable[[World, str], object]


class Outcome(NamedTuple):
    given: bool
    #: how many bundles were stored
    stored: int
    #: what changed in the base repository
    changes: list[str]


class Row(NamedTuple):
    """A line of the table. ``rule`` says what must come of it for whom."""

    what: str
    rule: Rule
    act: Attempt
    transports: tuple[str, ...] = ('wsgi', 'ssh')


class Rule(NamedTuple):
    """What an attempt is about, and who may, by transport."""

    #: tells from the outcome whether it worked out
    done: Callable[[Outcome], bool]
    #: returns what must not come of it in any case
    others: Callable[[Outcome], object]
    may: dict[str, tuple[str, ...]]


READ = Rule(
    lambda outcome: outcome.given,
    lambda outcome: outcome.stored or outcome.changes,
    {'wsgi': USERS, 'ssh': tuple(PASSWORDS)},
)
STORE = Rule(
    lambda outcome: outcome.stored == 1,
    lambda outcome: outcome.changes,
    {'wsgi': ('alice', 'bob'), 'ssh': ('alice', 'bob')},
)
# over ssh Mercurial asks nobody: the account is what lets one in
BASE = Rule(
    lambda outcome: bool(outcome.changes),
    lambda outcome: outcome.stored,
    {'wsgi': ('alice',), 'ssh': tuple(PASSWORDS)},
)
NEVER = Rule(
    lambda outcome: bool(outcome.changes),
    lambda outcome: outcome.changes,
    {'wsgi': (), 'ssh': ()},
)


# reading


def pages(*paths: str) -> Attempt:
    """Return an attempt to get each of these pages."""

    def act(world: World, user: str) -> bool:
        answers = {
            path: web.get(
                world.url(user) + path.format(world=world), user=user
            ).status
            for path in paths
        }
        given = {status == 200 for status in answers.values()}
        assert len(given) == 1, answers
        return given.pop()

    return act


def pull(world: World, user: str) -> bool:
    repo = world.newrepo()
    repo.run('pull', world.url(user), ok=None)
    return repo.knows(world.hashes.tagged)


def pullscratch(world: World, user: str) -> bool:
    repo = world.newrepo()
    repo.run('pull', '-r', world.stored, world.url(user), ok=None)
    return repo.knows(world.stored)


def pushes(world: World, user: str) -> bool:
    result = world.client.run('pushes', world.url(user), ok=None)
    return world.stored[:12] in result.out


# pushes of hg to the base


def hgpush(*options: str, ext: bool = False, tryurl: bool = False) -> Attempt:
    """Return an attempt to push a new changeset."""

    def act(world: World, user: str) -> None:
        repo = world.client if ext else world.vanilla
        url = world.tryurl(user) if tryurl else world.url(user)
        node = world.commit(repo)
        repo.run('push', '-r', node, *options, url, ok=None)

    return act


OLD = ('--config', 'devel.legacy.exchange=bundle1')


def pushbookmark(world: World, user: str) -> None:
    repo, url = world.vanilla, world.url(user)
    repo.inspect('bookmark', '--force', '-r', world.hashes.left, 'mark')
    repo.run('push', '-r', world.hashes.left, '-B', 'mark', url, ok=None)


# the wire protocol


def pushkeys(name: str, tryurl: bool = False) -> Attempt:
    """Return an attempt to change the base with ``pushkey``."""

    def act(world: World, user: str) -> None:
        speak = world.trytalk(user) if tryurl else world.talk(user)
        speak.pushkey(*world.keys[name])

    return act


def batched(name: str) -> Attempt:
    def act(world: World, user: str) -> None:
        values = zip(('namespace', 'key', 'old', 'new'), world.keys[name])
        world.talk(user).call(
            'batch',
            wire.batch(('lookup', [('key', 'tip')]), ('pushkey', [*values])),
        )

    return act


def batchedunbundle(world: World, user: str) -> None:
    world.talk(user).call(
        'batch', wire.batch(('unbundle', [FORCE])), world.bundle1()
    )


def twocommands(first: str, second: str) -> Attempt:
    """Return an attempt to have one command allowed and the other run."""

    def act(world: World, user: str) -> None:
        names = ('namespace', 'key', 'old', 'new')
        values = [*zip(names, world.keys['bookmark'])]
        cmds = wire.batch(('pushkey', values))
        query = [('cmd', first), ('cmd', second), FORCE, *values, *cmds]
        world.talk(user).request(query, world.bundle1())

    return act


def commandinheader(world: World, user: str) -> None:
    """Arguments may come in headers, and the command might."""
    names = ('namespace', 'key', 'old', 'new')
    values = [*zip(names, world.keys['bookmark'])]
    header = '&'.join(f'{k}={v}' for k, v in [('cmd', 'pushkey'), *values])
    world.talk(user).request(
        [('cmd', 'unbundle'), FORCE],
        world.bundle1(),
        {'X-HgArg-1': header},
    )


def unbundle1(world: World, user: str) -> None:
    world.talk(user).unbundle(world.bundle1())


def unbundle2(*kinds: str) -> Attempt:
    """Return an attempt to push a bundle2 that does not ask for the store,
    with a new changeset and these parts, or with the parts alone."""

    def act(world: World, user: str) -> None:
        parts = [part for kind in kinds for part in made(world, kind)]
        world.talk(user).unbundle(wire.bundle2([wire.replycaps(), *parts]))

    return act


def smuggled(
    *kinds: str, tryurl: bool = False, parameter: str = 'BUNDLESTORE'
) -> Attempt:
    """Return an attempt to have parts of a scratch push change the base."""

    def act(world: World, user: str) -> None:
        parts = [part for kind in kinds for part in made(world, kind)]
        bundle = wire.bundle2(
            [wire.replycaps(), *parts], **({} if tryurl else {parameter: '1'})
        )
        (world.trytalk if tryurl else world.talk)(user).unbundle(bundle)

    return act


def made(world: World, kind: str) -> Iterator[wire.Part]:
    """Return the parts that a word above stands for."""
    if kind == 'changegroup':
        yield world.changegroup()
    elif kind == 'bookmarks':
        yield wire.bookmarks('mark', world.hashes.left)
    elif kind == 'scratch bookmark':
        yield wire.bookmarks('scratch/mark', world.hashes.left)
    elif kind == 'phases':
        yield wire.phaseheads(world.draft)
    elif kind == 'markers':
        yield world.markers
    elif kind == 'pushvars':
        yield wire.Part('pushvars', b'', [('BUNDLESTORE', '1')], False)
    elif kind == 'pushkeys':
        for values in world.keys.values():
            yield wire.pushkey(*values)
    else:
        raise ValueError(kind)


ROWS = (
    Row('read pages of the base', READ, pages('/', '/rev/tip'), ('wsgi',)),
    Row(
        'read pages of a scratch changeset',
        READ,
        pages(
            '/rev/{world.stored}',
            '/raw-rev/{world.stored}',
            '/json-automationrelevance/{world.stored}',
        ),
        ('wsgi',),
    ),
    Row(
        '/pushes, /json-pushes, /atom-pushes',
        READ,
        pages('/pushes', '/json-pushes', '/atom-pushes'),
        ('wsgi',),
    ),
    Row(
        '/bundlestore-health, -metrics',
        READ,
        pages('/bundlestore-health', '/bundlestore-metrics'),
        ('wsgi',),
    ),
    Row(
        'download /bundle/ID',
        READ,
        pages('/bundle/1', '/bundle/{world.stored}'),
        ('wsgi',),
    ),
    Row('hg pull', READ, pull),
    Row('hg pull -r SCRATCH', READ, pullscratch),
    Row('hg pushes', READ, pushes),
    Row('hg push', BASE, hgpush()),
    Row('hg push, bundle1', BASE, hgpush(*OLD)),
    Row('hg push -B BOOKMARK', BASE, pushbookmark),
    Row('pushkey: a bookmark', BASE, pushkeys('bookmark')),
    Row('pushkey: a phase', BASE, pushkeys('phase')),
    Row('pushkey: markers', BASE, pushkeys('markers')),
    Row('pushkey in a batch', BASE, batched('bookmark')),
    Row('hg push --bundle-store', STORE, hgpush('--bundle-store', ext=True)),
    Row(
        'hg push -B scratch/x',
        STORE,
        hgpush('-B', 'scratch/x', '--force', ext=True),
    ),
    Row('hg push TRY-URL', STORE, hgpush(tryurl=True)),
    Row('hg push TRY-URL, bundle1', STORE, hgpush(*OLD, tryurl=True)),
    Row('scratch push + bookmark', NEVER, smuggled('changegroup', 'bookmarks')),
    Row('scratch push + phases', NEVER, smuggled('changegroup', 'phases')),
    Row('scratch push + markers', NEVER, smuggled('changegroup', 'markers')),
    Row('scratch push + pushkey', NEVER, smuggled('changegroup', 'pushkeys')),
    Row('scratch push of two groups', NEVER, smuggled(*['changegroup'] * 2)),
    Row('pushkey to the try URL', NEVER, pushkeys('phase', tryurl=True)),
)


@pytest.fixture
def newworld(
    transport: Transport,
    template: Callable[[str], tuple[Path, History]],
    newclient: Callable[..., Repo],
) -> Callable[..., World]:
    """``newworld(name)``, with other items of ``[bundlestore]`` or further
    ones of ``[web]``."""

    def make(
        name: str,
        store: dict[str, str] | None = None,
        webitems: dict[str, str] | None = None,
    ) -> World:
        return World(
            transport,
            template(transport.hg.version),
            newclient,
            name,
            {'allow-push': 'alice, bob'} if store is None else store,
            {'allow-push': 'alice', **(webitems or {})},
        )

    return make


@pytest.mark.slow('each way in for each user, each time with a server')
@servers.overweb('wsgi')
def test_table_of_http(
    transport: Transport, newworld: Callable[..., World]
) -> None:
    """Each user tries everything."""
    world = newworld('open')
    closed = newworld('closed', webitems={'deny_read': ', '.join(PASSWORDS)})
    table = Table()
    for row in ROWS:
        table.add(
            row.what,
            {user: check(row, world, user) for user in USERS},
            {user: check(row, closed, user, ()) for user in USERS},
        )
    table.compare('http')


@pytest.mark.slow('each way in for each user, each time with a server')
@pytest.mark.realstarts('users of the system and their processes')
@matrix.over('ssh')
def test_table_of_ssh(
    transport: Transport, newworld: Callable[..., World]
) -> None:
    """Each user tries what can be tried there."""
    world = newworld('open')
    closed = newworld('closed', webitems={'deny_read': ', '.join(PASSWORDS)})
    table = Table()
    for row in ROWS:
        found = {}
        if 'ssh' in row.transports:
            found = {user: check(row, world, user) for user in PASSWORDS}
        table.add(row.what, found, {})
        if found and row.rule is READ:
            # not asked for, so there is nothing to find out about the rest
            assert all(check(row, closed, user) for user in PASSWORDS)
    table.compare('ssh')


def check(
    row: Row, world: World, user: str, may: Sequence[str] | None = None
) -> bool:
    """Return whether the user could do it; fail unless it is as it should.
    ``may`` takes the place of those who may, by the rule."""
    outcome = world.attempt(row.act, user)
    done = row.rule.done(outcome)
    if may is None:
        may = row.rule.may[world.transport.name]
    told = f'{row.what}, {user} in {world.base.path.name}: {outcome}'
    assert done == (user in may), told
    assert not row.rule.others(outcome), told
    return done


class Table:
    """What the tests found, as people read it."""

    HEAD = ('what', *USERS, 'deny_read')

    def __init__(self) -> None:
        self._rows: list[list[str]] = []

    def add(
        self, what: str, found: dict[str, bool], denied: dict[str, bool]
    ) -> None:
        """Add a line: who could do it, and who of those that are in
        ``web.deny_read``. Who is left out cannot try."""
        cells = [self._word([found[u]] if u in found else []) for u in USERS]
        self._rows.append([what, *cells, self._word(denied.values())])

    @staticmethod
    def _word(found: Iterable[bool]) -> str:
        different = {*found}
        assert len(different) < 2
        return {(): '—', (True,): 'yes', (False,): 'no'}[tuple(different)]

    def __str__(self) -> str:
        rows = [list(self.HEAD), *self._rows]
        widths = [max(map(len, column)) for column in zip(*rows)]
        rule = '  '.join('=' * width for width in widths)
        lines = [
            '  '.join(map(str.ljust, row, widths)).rstrip() for row in rows
        ]
        return '\n'.join([rule, lines[0], rule, *lines[1:], rule])

    def compare(self, name: str) -> None:
        """Compare this with what stands in the documentation, between two
        comments. ``BUNDLESTORE_WRITE_DOCS=1`` puts it there instead."""
        pattern = re.compile(
            rf'(?<=^\.\. found by the tests, {name}\n\n).*?(?=\n\n\.\. end$)',
            re.MULTILINE | re.DOTALL,
        )
        with open(DOCUMENT, 'r+', encoding='utf-8') as file:
            # the other table may be written at the same moment
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read()
            (there,) = pattern.findall(text)
            if os.environ.get(WRITE):
                file.seek(0)
                file.write(pattern.sub(lambda match: str(self), text))
                file.truncate()
            else:
                assert there == str(self), (
                    f'{DOCUMENT.name} says otherwise. If what was found is'
                    f' right, run the test with {WRITE}=1\n{self}'
                )


ATTACKS: dict[str, Attempt] = {
    'bundle1': unbundle1,
    'bundle2': unbundle2('changegroup'),
    'bundle2 with a bookmark': unbundle2('changegroup', 'bookmarks'),
    'bookmark alone': unbundle2('bookmarks'),
    'phases alone': unbundle2('phases'),
    'markers alone': unbundle2('markers'),
    'pushkeys alone': unbundle2('pushkeys'),
    'nothing': unbundle2(),
    'all at once': unbundle2(
        'changegroup', 'bookmarks', 'phases', 'markers', 'pushkeys'
    ),
    'pushvars': unbundle2('pushvars', 'changegroup', 'bookmarks', 'pushkeys'),
    'scratch bookmark first': unbundle2(
        'scratch bookmark', 'changegroup', 'bookmarks', 'phases', 'pushkeys'
    ),
    'scratch bookmark last': unbundle2(
        'changegroup', 'pushkeys', 'markers', 'scratch bookmark'
    ),
    'scratch bookmark only': unbundle2('scratch bookmark', 'pushkeys'),
    'parameter': smuggled(
        'changegroup', 'bookmarks', 'phases', 'markers', 'pushkeys'
    ),
    'parameter, nothing to store': smuggled('bookmarks', 'phases', 'pushkeys'),
    'parameter in lower case': smuggled(
        'changegroup', 'bookmarks', 'phases', parameter='bundlestore'
    ),
    'another parameter': smuggled('changegroup', parameter='BUNDLESTORES'),
    'two changegroups': smuggled('changegroup', 'changegroup', 'bookmarks'),
    'pushkey of a bookmark': pushkeys('bookmark'),
    'pushkey of a phase': pushkeys('phase'),
    'pushkey of markers': pushkeys('markers'),
    'batch of a bookmark': batched('bookmark'),
    'batch of a phase': batched('phase'),
    'batch of markers': batched('markers'),
    'try URL': smuggled(
        'changegroup', 'phases', 'markers', 'pushkeys', tryurl=True
    ),
    'try URL, nothing to store': smuggled('phases', 'pushkeys', tryurl=True),
    'try URL, pushkey of a bookmark': pushkeys('bookmark', tryurl=True),
    'try URL, pushkey of a phase': pushkeys('phase', tryurl=True),
    'try URL, pushkey of markers': pushkeys('markers', tryurl=True),
}
HTTP_ATTACKS: dict[str, Attempt] = {
    'batch of an unbundle': batchedunbundle,
    'unbundle and pushkey': twocommands('unbundle', 'pushkey'),
    'pushkey and unbundle': twocommands('pushkey', 'unbundle'),
    'unbundle and batch': twocommands('unbundle', 'batch'),
    'batch and unbundle': twocommands('batch', 'unbundle'),
    'command in a header': commandinheader,
}
#: which of these store something, if bob may push to the store. (A client
#: without the extension is to use the try URL over http.)
STORED = {'parameter', 'parameter in lower case', 'try URL'}
STORED_BY_SSH = {
    'scratch bookmark first',
    'scratch bookmark last',
    'pushvars',
}


def attack(world: World, user: str, attacks: dict[str, Attempt]) -> set[str]:
    """Try each; return by which of them something got stored."""
    outcomes = {k: world.attempt(act, user) for k, act in attacks.items()}
    changes = {k: x.changes for k, x in outcomes.items() if x.changes}
    assert not changes
    return {name for name, outcome in outcomes.items() if outcome.stored}


@pytest.mark.parametrize(
    ('transport_name', 'server_version', 'user'),
    [
        pytest.param(
            *(name, version, user),
            marks=[]
            if (name, version, user) == ('wsgi', matrix.NEWEST, 'bob')
            else [pytest.mark.slow('each way in, with each version')],
        )
        for name, version, user in [
            *itertools.product(
                ('wsgi', 'wsgi-hgweb'), matrix.VERSIONS, ['bob']
            ),
            ('wsgi', matrix.NEWEST, 'carol'),
            ('wsgi', matrix.NEWEST, NOBODY),
        ]
    ],
)
def test_no_way_into_the_base(
    transport: WsgiTransport, newworld: Callable[..., World], user: str
) -> None:
    """Who may push to the store only, or not at all, cannot write to the base
    by any trick."""
    world = newworld('open')
    stored = attack(world, user, {**ATTACKS, **HTTP_ATTACKS})
    assert stored == (STORED if user == 'bob' else set())


@pytest.mark.slow('each way in, each time with a server')
@pytest.mark.realstarts('users of the system and their processes')
@pytest.mark.parametrize('user', ['bob', 'carol'])
@matrix.over('ssh')
def test_no_way_into_the_base_over_ssh(
    transport: Transport, newworld: Callable[..., World], user: str
) -> None:
    """There anybody may push to it, but not by way of a scratch push."""
    world = newworld('open')
    expected = STORED | STORED_BY_SSH
    refused = {'two changegroups', 'parameter, nothing to store'}
    tried = expected | refused | {k for k in ATTACKS if 'try URL' in k}
    stored = attack(world, user, {name: ATTACKS[name] for name in tried})
    assert stored == (expected if user == 'bob' else set())


@pytest.mark.slow('each way in, each time with a server')
@servers.overweb('wsgi')
def test_attacks_are_real(
    transport: WsgiTransport, newworld: Callable[..., World]
) -> None:
    """Each would change the base, for someone who may: the tests above do not
    hold because of a mistake in what they send."""
    # Mercurial's own batch fails when it has run an unbundle
    transport.maycrash = True
    world = newworld('open')
    attacks = {**ATTACKS, **HTTP_ATTACKS}
    harmless = {
        name
        for name, act in attacks.items()
        if not world.attempt(act, 'alice').changes
    }
    # except what goes to the store, or is refused whoever sends it
    words = ('parameter', 'try URL', 'scratch', 'pushvars', 'two')
    assert harmless == {k for k in attacks if any(w in k for w in words)}


#: items of [bundlestore] and of [web], and who may push to the store then
LISTS: list[tuple[dict[str, str], dict[str, str], set[str]]] = [
    # those of [web] decide where there is none of [bundlestore]
    ({}, {'allow-push': 'alice'}, {'alice'}),
    ({}, {'allow-push': '*'}, {*USERS}),
    ({'deny-push': 'alice'}, {'allow-push': 'alice, bob'}, {'bob'}),
    ({'deny-push': 'alice'}, {'allow-push': '*'}, {'bob', 'carol'}),
    ({'deny-push': 'alice'}, {}, set()),
    ({}, {}, set()),
    ({'allow-push': '*'}, {}, {*USERS}),
    ({'allow-push': '*'}, {'allow-push': 'alice'}, {*USERS}),
    ({'allow-push': 'bob'}, {'allow-push': 'alice'}, {'bob'}),
    ({'allow-push': 'bob'}, {'deny_push': 'bob'}, {'bob'}),
    # whoever does not log in may be who is denied
    ({'allow-push': '*', 'deny-push': 'bob'}, {}, {'alice', 'carol'}),
    ({'allow-push': '*', 'deny-push': '*'}, {'allow-push': '*'}, set()),
    # what keeps all out of the server holds for the store as well
    ({'allow-push': '*'}, {'push_ssl': 'yes'}, set()),
    ({'allow-push': '*'}, {'allow_read': 'carol'}, {'carol'}),
    ({'allow-push': 'alice, bob'}, {'deny_read': 'bob'}, {'alice'}),
]


@pytest.mark.slow('a WSGI server for each kind of list')
@servers.overweb('wsgi')
def test_lists(
    transport: WsgiTransport, newworld: Callable[..., World]
) -> None:
    """Who may push to the store, by what is in the configuration."""
    transport.webconf.write_text(
        transport.webconf.read_text().replace('allow-push = *\n', '')
    )
    world = newworld('open')
    attempts = smuggled('changegroup'), smuggled('changegroup', tryurl=True)
    for store, webitems, may in LISTS:
        world.allow(store, webitems)
        for act in attempts:
            outcomes = {user: world.attempt(act, user) for user in USERS}
            stored = {user for user in USERS if outcomes[user].stored}
            assert stored == may, (store, webitems)
            assert not any(outcome.changes for outcome in outcomes.values())


@pytest.mark.slow('a WSGI server of its own')
@servers.overweb('wsgi')
def test_name_of_the_user(
    transport: WsgiTransport, newworld: Callable[..., World]
) -> None:
    """What is recorded is who logged in."""
    world = newworld('open')
    world.attempt(hgpush('--bundle-store', ext=True), 'bob')
    out = world.client.run('pushes', '-T', '{user}\\n', world.url('bob')).out
    assert out == 'bob\nalice\n'


@pytest.mark.slow('a WSGI server, a base and its clients')
@servers.overweb('wsgi')
def test_what_a_user_is_told(
    transport: WsgiTransport, newworld: Callable[..., World]
) -> None:
    """Someone who took the wrong way learns of the right one."""
    world = newworld('open')
    for repo in (world.client, world.vanilla):
        world.commit(repo)
        result = repo.run('push', '-r', '.', world.url('bob'), ok=(100, 255))
        text = result.out + result.err
        assert text.count('push not authorized') == 1, text
        assert 'you may push to its bundle store: push to the' in text
        assert '--bundle-store' not in text
    result = world.vanilla.run('push', '-r', '.', world.url('carol'), ok=(255,))
    assert 'authorization failed' in result.err
    assert 'bundle store' not in result.err
    # who may not read may not push to the store either
    assert world.attempt(smuggled('changegroup'), 'bob').stored
    world.allow({'allow-push': 'bob'}, {'deny_read': 'bob'})
    assert not world.attempt(smuggled('changegroup'), 'bob').stored


def test_who_may_not_read_may_not_push() -> None:
    """Who may push to the store alone is asked for twice."""
    asked = []

    def refuse(rctx: Any, req: Any, op: bytes | None) -> None:
        asked.append(op)
        raise ErrorResponse(HTTP_UNAUTHORIZED)

    ui: Any = uimod.ui()
    ui.setconfig(b'bundlestore', b'allow-push', b'bob')
    server = SimpleNamespace(request=Request())
    repo = SimpleNamespace(ui=ui, hasbundlestore=True, bundlestore=server)
    params = {b'cmd': b'unbundle'}
    req = SimpleNamespace(qsparams=params, remoteuser=b'bob')
    with pytest.raises(ErrorResponse):
        permissions.wrapped(refuse)(SimpleNamespace(repo=repo), req, b'push')
    assert asked == [b'push', None]
    assert not server.request.storeonly
