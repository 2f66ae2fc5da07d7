"""What users may not do: read what is closed to them, move what is others',
and have what they choose taken for a name, a word or a line of another kind.

Who may push and read at all is in test_permissions.py.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from mercurial import error, wireprotov1server

from harness import matrix, rawpush, web, wire
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport, WsgiTransport
from harness.snapshot import untouched
from harness.store import bundles, tryurl
from harness.wire import Part, Wire
from hgext3rd.bundlestore import access, bookmarks, names
from hgext3rd.bundlestore.server import tolocal
from hgext3rd.bundlestore.start import points, wraps

#: what a shell, SQL, a template, a path or a pattern might trip over
HOSTILE = (
    "'; touch pwned; echo $(touch pwned) `touch pwned` \\ *?[a-z]{a,b}~/$HOME",
    '"; DROP TABLE push; -- {node|nonempty} %s %(user)s %n ../../../etc/passwd',
)
REFUSED = (100, 255)


def account(transport: Transport, user: str) -> list[str]:
    """Return the configuration of a client whose account is shared."""
    script = transport.root / f'account-{len(list(transport.root.iterdir()))}'
    (transport.root / f'{script.name}.user').write_text(user)
    script.write_text(
        f'#!/bin/sh\nREMOTE_USER="$(cat {script}.user)"\nexport REMOTE_USER\n'
        f'exec {transport.hg.executable} "$@"\n'
    )
    script.chmod(0o755)
    return [f'ui.remotecmd={script}']


def test_our_commands_declare_a_permission(hg: Callable[..., object]) -> None:
    """One that declares none was open to all, and one that ``batch`` runs
    unasked still is (CVE-2018-1000132)."""
    wraps.MOMENTS['ask']()
    declared = {
        name: wireprotov1server.commands[name].permission
        for name in points.WIRECOMMANDS
    }
    assert declared == {
        names.PUSHES: b'pull',
        names.KNOWN: b'pull',
        names.REMOVE: b'push',
        names.PUTBLOB: b'push',
        names.LFS: b'pull',
        names.VIEWS: b'pull',
        names.VIEW: b'push',
    }


@matrix.over('ssh')
def test_names_are_names_only(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """Users, descriptions and bookmarks go to the index, to hooks, to the
    template of a link and back, and stay what they are."""
    seen = transport.root / 'seen'
    look = 'printf "%s\\n" "$HG_USER" "$HG_BOOKMARK" "$HG_BUNDLEREPO"'
    base.configure('hooks', {'bundlestore': f'{look} >> {seen}'})
    base.configure(
        'bundlestore', {'changeset-url': 'http://x/{node|short}?{desc}'}
    )
    other = newclient('other')
    with untouched(base.path):
        for text in HOSTILE:
            node = client.commit({'a': text}, text)
            name = f'scratch/{text}'
            config = account(transport, text)
            result = client.run('push', '-r', node, '-B', name, config=config)
            assert f'http://x/{node[:12]}?{text}\n' in result.out
            assert f'bookmark {name} is at {node[:12]}\n' in result.out
            user, bookmark, repo = seen.read_text().splitlines()[-3:]
            assert (user, bookmark) == (text, name)
            assert repo.startswith(f'bundle:{base.path}+')
            listed = client.run('pushes', '--user', text, '-T', '{user}\n').out
            assert listed == f'{text}\n'
            other.run('pull', '-r', name)
            assert other.knows(node)
    assert not list(transport.root.parent.rglob('pwned'))
    assert len(bundles(base)) == len(HOSTILE)


@matrix.over('ssh')
def test_hooks_are_told_the_truth(
    transport: Transport, base: Repo, client: Repo, hashes: History
) -> None:
    """No variable that a user sends takes the place of one of ours, or of the
    system's; what no environment can hold is refused."""
    base.configure('push', {'pushvars.server': 'yes'})
    seen = transport.root / 'seen'
    base.configure('hooks', {'prebundlestore': f'env -0 > {seen}'})
    node = client.commit({'a': 'a\n'}, 'one', parent=hashes.tagged)
    names = 'HG_NODE NODE node HG_BUNDLEREPO BUNDLEREPO HGRCPATH PATH '
    names += 'PYTHONPATH LD_PRELOAD HG_USER USER SOURCE URL HOOKTYPE PENDING'
    tried = dict.fromkeys(names.split(), 'forged\nHG_PUSHID=9')

    def push(*sets: dict[str, str]) -> list[dict[str, str]]:
        group = wire.changegroup(client, node, hashes.tagged)
        pushes = [
            wire.bundle2(
                [
                    wire.replycaps(),
                    Part('pushvars', b'', [*one.items()]),
                    group,
                ],
                BUNDLESTORE='1',
            )
            for one in sets
        ]
        return rawpush.send(client, transport.url(base), pushes)

    assert push(tried) == [{}]
    pairs = [entry.partition('=') for entry in seen.read_text().split('\0')]
    found = {name: value for name, _equals, value in pairs}
    forged = {name for name, value in found.items() if 'forged' in value}
    assert forged == {f'HG_USERVAR_{name.upper()}' for name in tried}
    assert found['HG_NODE'] == node
    assert found['HG_USER'] == 'alice'
    assert found['HG_BUNDLEREPO'].startswith(f'bundle:{base.path}+')
    stored = len(bundles(base))
    for answer in push({'A=B': 'c'}, {'A': 'b\0c'}, {'A\0B': 'c'}):
        assert 'invalid pushvar' in answer['message']
    assert len(bundles(base)) == stored


# -- bookmarks of others


MINE = 'scratch/alice/x'


@pytest.fixture
def first(
    base: Repo, client: Repo, transport: Transport, hashes: History
) -> str:
    """Return the changeset that alice's bookmark is at."""
    node = client.commit({'a': 'a\n'}, 'first', parent=hashes.tagged)
    client.run('push', '-r', node, '-B', MINE)
    return node


@pytest.fixture
def trial(base: Repo, first: str, transport: Transport) -> Repo:
    """The try URL, with the same owners."""
    repo = tryurl(transport, base)
    repo.configure('bundlestore', {'bookmark-owner': 'yes'})
    repo.configure('web', {'allow-push': 'alice, bob'})
    return repo


def where(transport: Transport, base: Repo) -> str:
    """Return where the bookmark is, '' if there is none."""
    said = Wire(transport, base, 'alice')
    answer = said.call('lookup', [('key', MINE)])
    return ''.join(re.findall(r'^1 (\w+)$', answer, re.M))


@pytest.mark.parametrize('storeconfig', [{'bookmark-owner': 'yes'}])
@matrix.over('ssh')
def test_bookmarks_of_others(
    transport: Transport,
    base: Repo,
    trial: Repo,
    client: Repo,
    vanilla: Repo,
    first: str,
) -> None:
    """Only their owner moves, deletes or forces them, with any client."""
    ahead = client.commit({'a': 'aa\n'}, 'ahead')
    vanilla.inspect('pull', '-q', str(client.path))
    vanilla.inspect('bookmark', '-r', ahead, MINE)
    bob, bobtry = (transport.url(repo, 'bob') for repo in (base, trial))
    for url, options in (
        (bob, ['-f', '-r', ahead]),
        # a deletion
        (bob, ['-f']),
    ):
        result = client.run('push', *options, '-B', MINE, url, ok=REFUSED)
        assert "does not belong to user 'bob'" in result.err
    for url, options in (
        (bob, []),
        (bobtry, ['-f']),
        # the bookmark comes after the push, which is taken
        (bobtry, ['--config', 'devel.legacy.exchange=bundle1']),
    ):
        args = ('push', *options, '-r', ahead, '-B', MINE, url)
        result = vanilla.run(*args, ok=None)
        assert "does not belong to user 'bob'" in result.out + result.err
    assert where(transport, base) == first
    # the owner may
    client.run('push', '-r', ahead, '-B', MINE, transport.url(base, 'alice'))
    assert where(transport, base) == ahead


@pytest.mark.slow('a WSGI server of its own')
@pytest.mark.parametrize('storeconfig', [{'bookmark-owner': 'yes'}])
@pytest.mark.parametrize('webconfig', [{'allow-push': 'alice, bob'}])
@pytest.mark.parametrize('transport_name', ['wsgi'])
def test_bookmarks_of_others_by_the_wire(
    transport: Transport,
    base: Repo,
    trial: Repo,
    client: Repo,
    first: str,
    hashes: History,
) -> None:
    """The same by ``pushkey``: alone, in a batch, as a part; by a part with
    bookmarks; with changesets and without."""
    ahead = client.commit({'a': 'aa\n'}, 'ahead')
    group = wire.changegroup(client, ahead, hashes.tagged)
    for repo in (base, trial):
        said = Wire(transport, repo, 'bob')
        for new in (hashes.merged, ''):
            key = ('bookmarks', MINE, first, new)
            assert "does not belong to user 'bob'" in said.pushkey(*key)
            named = [*zip(('namespace', 'key', 'old', 'new'), key)]
            said.call('batch', wire.batch(('pushkey', named)))
        for part in (
            wire.pushkey('bookmarks', MINE, first, hashes.merged),
            wire.pushkey('bookmarks', MINE, first, ''),
            wire.bookmarks(MINE, hashes.merged),
        ):
            for parts in ([group, part], [part, group], [part]):
                data = [wire.replycaps(), *parts]
                said.unbundle(wire.bundle2(data, BUNDLESTORE='1'))
        assert where(transport, base) == first
    said = Wire(transport, base, 'alice')
    said.pushkey('bookmarks', MINE, first, '')
    assert where(transport, base) == ''


@pytest.mark.parametrize(
    ('user', 'name'),
    [
        ('alice', 'scratch/Alice/x'),
        ('ALICE', 'scratch/alice/x'),
        # decomposed and composed, another alphabet, a wide letter
        ('rene\u0301', 'scratch/ren\u00e9/x'),
        ('\u0430lice', 'scratch/alice/x'),
        ('\uff41lice', 'scratch/alice/x'),
        ('alice/x', 'scratch/alice/x'),
        ('alice ', 'scratch/alice/x'),
        ('alice\u200b', 'scratch/alice/x'),
        ('alice\0', 'scratch/alice/x'),
        ('alice', 'scratch/alice'),
        ('alice', 'scratch//alice/x'),
        ('alice', 'scratch/bob/../alice/x'),
        ('', 'scratch//x'),
    ],
)
def test_users_that_look_like_others(user: str, name: str) -> None:
    settings = SimpleNamespace(bookmarkowner=True)
    server = SimpleNamespace(settings=settings)
    url = b'remote:http:host:' + quote(user).encode()
    with pytest.raises(error.Abort, match='does not belong to'):
        bookmarks.checkname(server, tolocal(name), access.username(url))


def test_no_two_users_are_one() -> None:
    names = [b'a\n', b'a\\n', b'a\x0a\x0a', b'a\xff', b'a\xfe', b'a\xc3\xbf']
    names += ['a\ufffd'.encode(), 'a\ufffd000a'.encode(), b'a\\u000a', b'a']
    users = {
        access.username(b'remote:http:host:' + quote(name).encode())
        for name in names
    }
    assert len(users) == len(names)
    assert all(user.isprintable() for user in users)


@pytest.mark.parametrize('storeconfig', [{'bookmark-owner': 'yes'}])
@matrix.over('ssh')
def test_long_names(transport: Transport, base: Repo, client: Repo) -> None:
    """What cannot be sent as a whole is said in part."""
    node = client.commit({'a': 'a\n'}, 'one')
    for user, name, match in (
        ('u' * 255, 'scratch/bob/' + 'n' * 180, 'does not belong'),
        # the index could not hold it
        ('u' * 256, 'scratch/x', 'the name of the user is too long'),
        ('bob', 'scratch/bob/' + '\u00e9' * 180, 'invalid bookmark name'),
    ):
        result = client.run(
            *('push', '-r', node, '-B', name),
            config=account(transport, user),
            ok=REFUSED,
        )
        assert result.err.startswith('abort: '), result.err
        assert len(result.err) < 400
        assert match in result.err


# -- what is closed


SECRETS = 'the secret text'


@pytest.fixture
def closed(
    transport: Transport,
    base: Repo,
    client: Repo,
    hashes: History,
) -> tuple[str, str]:
    """Return a secret changeset of the base, and a scratch changeset on it
    that was pushed while it was a draft."""
    base.configure('phases', {'publish': 'no'})
    below = base.commit({'s': SECRETS}, SECRETS, parent=hashes.tagged)
    client.inspect('pull', '-q', str(base.path))
    above = client.commit({'t': 't\n'}, 'above', parent=below)
    client.run('push', '--bundle-store', '-r', above)
    base.inspect('phase', '--force', '--secret', below)
    base.inspect('update', '-q', 'null')
    return below, above


@pytest.mark.slow('a WSGI server of its own')
@pytest.mark.parametrize('transport_name', ['wsgi'])
def test_what_became_secret(
    transport: WsgiTransport,
    base: Repo,
    vanilla: Repo,
    closed: tuple[str, str],
    hashes: History,
) -> None:
    """No answer has anything of it, and no command of ours tells that it is
    there. (Mercurial's own ``lookup`` tells who knows the hash.)"""
    below, above = closed
    unknown = '0123456789' * 4
    said = Wire(transport, base, 'alice')

    def asked(node: str) -> dict[str, str]:
        """Return all answers about a node, without its own hash."""
        commands: list[tuple[str, wire.Arguments]] = [
            ('batch', wire.batch(('known', [('nodes', node)]))),
            ('bundlestorepushes', [('rev', node)]),
            ('bundlestoreknown', [('nodes', node), ('heads', node)]),
            ('bundlestoreknown', [('nodes', node), ('base', node)]),
        ]
        found = {}
        for number, (command, args) in enumerate(commands):
            answer = said.call(command, args)
            found[f'{command} {number}'] = re.sub(
                node[:12] + '[0-9a-f]*', 'NODE', answer.partition('\n\n')[2]
            )
        return found

    assert asked(below) == asked(unknown)
    bundle2 = 'HG20,bundle2=HG20%0Achangegroup%3D01%2C02'
    for heads in (below, f'{above} {below}', above):
        for common in {hashes.tagged, below} - {heads}:
            answer = said.call(
                'getbundle',
                [('heads', heads), ('common', common), ('bundlecaps', bundle2)],
            )
            assert SECRETS not in answer
    for rev in (below, above, below[:12]):
        vanilla.run('pull', '-r', rev, transport.url(base), ok=None)
    assert not vanilla.knows(below)
    assert not vanilla.knows(above)
    # what a page says is logged, too
    transport.maycrash = True
    url = transport.url(base)
    for page in (
        *(f'rev/{above}', f'raw-rev/{above}', f'file/{above}/s'),
        *(f'rev/{below}', f'raw-file/{below}/s', f'log/{above}'),
        *(f'diff/{below}:{above}', f'archive/{above}.tar.gz', f'graph/{above}'),
        *(f'comparison/{above}/s', f'annotate/{above}/s', f'json-rev/{above}'),
        *(f'bundle/{above}', 'bundle/1', f'bundle/{below}'),
        *('json-pushes?full=1', 'atom-pushes', 'pushes'),
        f'json-pushes?full=1&changeset={below}',
    ):
        response = web.get(f'{url}/{page}', user='alice')
        assert SECRETS.encode() not in response.body, page


@pytest.mark.slow('a WSGI server of its own')
@pytest.mark.parametrize('transport_name', ['wsgi'])
def test_who_may_not_read(
    transport: Transport, base: Repo, client: Repo, hashes: History
) -> None:
    """Whoever ``web.deny_read`` names gets nothing of the store: no text, no
    hash, not whether there is one."""
    node = client.commit({'s': SECRETS}, SECRETS)
    client.run('push', '-r', node, '-B', 'scratch/x')
    base.configure('web', {'deny_read': 'carol, bob', 'allow-push': 'bob'})
    base.configure('bundlestore', {'allow-push': 'bob'})
    transport.restart()
    commands: list[tuple[str, list[tuple[str, str]]]] = [
        ('lookup', [('key', node)]),
        ('lookup', [('key', 'scratch/x')]),
        ('known', [('nodes', node)]),
        ('heads', []),
        ('branchmap', []),
        ('listkeys', [('namespace', 'bookmarks')]),
        ('listkeys', [('namespace', 'phases')]),
        ('getbundle', [('heads', node), ('common', '0' * 40)]),
        ('bundlestorepushes', []),
        ('bundlestoreknown', [('nodes', node)]),
        ('capabilities', []),
    ]
    batches = [
        ('batch', wire.batch((command, args)))
        for command, args in commands
        if command in ('lookup', 'known', 'heads', 'listkeys')
    ]
    pages = ('pushes', 'json-pushes', 'atom-pushes', 'bundle/1', f'rev/{node}')
    for user in ('carol', 'bob'):
        said = Wire(transport, base, user)
        for command, args in itertools.chain(commands, batches):
            answer = said.call(command, args)
            assert node not in answer.replace(f'key={node}', ''), command
            assert SECRETS not in answer
            assert '401' in answer, (command, answer)
        url = transport.url(base, user)
        for page in pages:
            answers = web.get(f'{url}/{page}', user=user)
            assert answers.status == 401
            assert node.encode() not in answers.body
    # a user who may push and not read cannot ask by pushing, either
    said = Wire(transport, base, 'bob')
    part = wire.bookmarks('scratch/bob', node)
    data = wire.bundle2([wire.replycaps(), part], BUNDLESTORE='1')
    assert '401' in said.unbundle(data)
    url = transport.url(base, 'alice')
    assert web.get(f'{url}/pushes', user='alice').status == 200
