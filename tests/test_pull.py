"""What was stored comes back: by hash, prefix or bookmark, to any client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import matrix, rawpush
from harness.collision import collision
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import Transport
from harness.shelf import Shelf
from harness.snapshot import untouched
from harness.store import bundles, leftovers


@pytest.fixture
def pushed(
    transport: Transport, base: Repo, client: Repo, shelf: Shelf
) -> list[str]:
    """A stack of three that was pushed: full hashes, oldest first."""

    def push() -> list[str]:
        stack = [
            client.commit({f'{n}.txt': f'{n}\n'}, f'change {n}')
            for n in range(3)
        ]
        client.run('push', '--bundle-store')
        return stack

    return shelf.once(f'{transport.name} three', [base, client], push)


@matrix.every_version
def test_clone_incoming_identify(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    hg: Callable[..., Hg],
    tmp_path: Path,
    client_version: str,
) -> None:
    client = newclient('client')
    ci = newclient('ci', ext=False)
    node = client.commit({'a': 'a\n'}, 'stored')
    client.run('push', '--bundle-store')
    with untouched(base.path):
        out = ci.run('incoming', '-r', node, '-T', '{node} {phase}\n').out
        # over http a second request asks for phases, and gets the base's
        phase = 'public' if transport.name == 'http' else 'draft'
        assert f'{node} {phase}\n' in out
        url = transport.url(base)
        out = ci.run('identify', '--id', '-r', node[:12], url).out
        assert out.strip() == node[:12]
        clone = hg(client_version, transport.name == 'path').clone(
            url, tmp_path / 'clone', '-r', node, config=transport.commandline()
        )
    assert clone.node('.') == node
    assert clone.phase(node) == 'draft'
    assert clone.phase(f'{node}^') == 'public'
    clone.verify()


def test_prefix(
    transport: Transport, base: Repo, vanilla: Repo, pushed: list[str]
) -> None:
    vanilla.run('pull', '-r', pushed[-1][:6])
    assert vanilla.knows(pushed[-1])


def test_prefix_that_is_too_short(
    transport: Transport, base: Repo, vanilla: Repo, pushed: list[str]
) -> None:
    result = vanilla.run('pull', '-r', pushed[-1][:5], ok=(255,))
    assert f"unknown revision '{pushed[-1][:5]}'" in result.err


def test_ambiguous_prefix(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    client.write({'f': 'f\n'})
    first, second = collision(client)
    client.run('push', '--bundle-store', '-r', first, '-r', second)
    prefix = first[:6]
    assert second[:6] == prefix
    result = vanilla.run('pull', '-r', prefix, ok=(255,))
    text = result.out + result.err
    candidates = ', '.join(sorted([first, second]))
    assert f"abort: ambiguous prefix '{prefix}': {candidates}" in text
    vanilla.run('pull', '-r', second)
    # longer is unambiguous
    digits = next(n for n in range(40) if first[:n] != second[:n])
    vanilla.run('pull', '-r', first[:digits])
    assert vanilla.knows(first)


def test_middle_of_a_stack(
    transport: Transport, base: Repo, vanilla: Repo, pushed: list[str]
) -> None:
    vanilla.run('pull', '-r', pushed[1])
    assert vanilla.knows(pushed[1])
    assert not vanilla.knows(pushed[2])
    vanilla.run('pull', '-r', pushed[2])
    assert vanilla.nodes('draft()') == pushed
    vanilla.verify()


def test_heads_of_several_bundles(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: History,
    tempfolder: Path,
) -> None:
    """Also with a base changeset among what is asked for."""
    nodes = []
    for number, parent in enumerate([hashes.start, hashes.left, hashes.fixed]):
        node = client.commit(
            {'src/main.txt': f'{number}\n', 'same': 'same\n'},
            f'on {number}',
            parent=parent,
        )
        client.run('push', '--bundle-store', '-r', node)
        nodes.append(node)
    assert len(bundles(base)) == 3
    with untouched(base.path):
        args = [x for node in [*nodes, hashes.tagged] for x in ('-r', node)]
        vanilla.run('pull', *args)
    assert sorted(vanilla.nodes('draft()')) == sorted(nodes)
    for number, node in enumerate(nodes):
        assert vanilla.cat('src/main.txt', node) == f'{number}\n'
    vanilla.verify()
    assert not leftovers(base, tempfolder)


def test_stack_pushed_piece_by_piece(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    nodes = []
    for number in range(4):
        nodes.append(client.commit({'f': f'{number}\n'}, f'change {number}'))
        client.run('push', '--bundle-store')
    vanilla.run('pull', '-r', nodes[1])
    vanilla.run('pull', '-r', nodes[3])
    assert vanilla.nodes('draft()') == nodes
    vanilla.verify()


def test_landed_changeset_is_served_from_the_base(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    pushed: list[str],
) -> None:
    client.run('push', '-r', pushed[1])
    for path in bundles(base):
        path.unlink()
    vanilla.run('pull', '-r', pushed[1])
    assert vanilla.phase(pushed[1]) == 'public'
    result = vanilla.run('pull', '-r', pushed[2], ok=(255, 100))
    assert 'is missing from the bundle store' in result.out + result.err


def test_half_landed_stack(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    pushed: list[str],
) -> None:
    client.run('push', '-r', pushed[1])
    vanilla.run('pull', '-r', pushed[2])
    phases = vanilla.phases(f'{pushed[0]}::')
    assert list(phases.values()) == ['public', 'public', 'draft']
    vanilla.verify()


def test_lost_bundle_heals(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    pushed: list[str],
) -> None:
    (path,) = bundles(base)
    path.unlink()
    result = vanilla.run('pull', '-r', pushed[2], ok=(255, 100))
    text = result.out + result.err
    assert 'is missing from the bundle store' in text
    assert 'push the same changesets again' in text
    assert text.count('\nabort: ') == 1, text
    client.run('push', '--bundle-store')
    vanilla.run('pull', '-r', pushed[2])
    vanilla.verify()


def test_rotten_bundle_is_never_served(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    pushed: list[str],
) -> None:
    (path,) = bundles(base)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    result = vanilla.run('pull', '-r', pushed[2], ok=(255, 100))
    assert (result.out + result.err).count('\nabort: ') == 1
    assert not vanilla.knows(pushed[0])
    client.run('push', '--bundle-store')
    vanilla.run('pull', '-r', pushed[2])
    vanilla.verify()


def test_pull_after_a_scratch_pull_gets_only_news(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    newclient: Callable[..., Repo],
    pushed: list[str],
) -> None:
    """A server that took scratch changesets for common ground would send the
    whole repository."""
    vanilla.run('pull', '-r', pushed[2])
    other = newclient('other', ext=False)
    node = other.commit({'landed': 'x\n'}, 'landed')
    other.run('push')
    result = vanilla.run('pull')
    assert 'added 1 changesets with 1 changes to 1 files' in result.out
    assert vanilla.phase(node) == 'public'
    assert set(vanilla.phases(f'{pushed[0]}::').values()) == {'draft'}


@pytest.mark.parametrize(
    'evolution',
    [
        pytest.param('', id='without-markers', marks=matrix.ANOTHER),
        pytest.param('all', id='with-markers'),
    ],
)
def test_draft_base(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    evolution: str,
) -> None:
    """A base that does not publish: its drafts stay drafts."""
    base.configure('phases', {'publish': 'no'})
    base.configure('experimental', {'evolution': evolution})
    transport.restart()
    client, vanilla = newclient('client'), newclient('vanilla', ext=False)
    landed = client.commit({'a': 'a\n'}, 'draft in the base')
    client.run('push')
    scratch = client.commit({'b': 'b\n'}, 'scratch')
    client.run('push', '--bundle-store')
    vanilla.run('pull', '-r', scratch)
    assert vanilla.phases('draft()') == {landed: 'draft', scratch: 'draft'}
    assert base.phase(landed) == 'draft'


def test_drafts_of_a_publishing_base_are_public(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """To clients they are, and stay so when they come with scratch ones."""
    landed = client.commit({'a': 'a\n'}, 'landed')
    client.run('push')
    base.inspect('phase', '--force', '--draft', landed)
    scratch = client.commit({'b': 'b\n'}, 'scratch')
    client.run('push', '--bundle-store')
    vanilla.run('pull', '-r', scratch)
    assert vanilla.phase(landed) == 'public'
    assert vanilla.phase(scratch) == 'draft'


class Veiled(NamedTuple):
    """Changesets that the base holds and does not show."""

    first: str
    second: str
    third: str
    aside: str


@pytest.fixture
def veiled(
    transport: Transport, base: Repo, hashes: History
) -> tuple[Veiled, Veiled]:
    """Two stacks of three, each with a fourth beside it: one is hidden, the
    other secret."""
    base.configure('experimental', {'evolution': 'all'})
    transport.restart()

    def make(kind: str, secret: bool) -> Veiled:
        nodes = [
            base.commit(
                {f'{kind}{name}': 'x\n'},
                f'{kind} {name}',
                parent=None if name in ('second', 'third') else hashes.start,
                secret=secret,
            )
            for name in Veiled._fields
        ]
        base.inspect('update', '-q', 'null')
        return Veiled(*nodes)

    hidden, secret = make('hidden', False), make('secret', True)
    for node in hidden:
        base.inspect('debugobsolete', node)
    return hidden, secret


def give(source: Repo, target: Repo, rev: str) -> None:
    """Bring a changeset to ``target`` as a draft, past all servers."""
    bundle = target.path.parent / 'given.hg'
    source.inspect(
        *('bundle', '-q', '--hidden', '-r', rev, '--base', 'public()'),
        str(bundle),
    )
    target.inspect('unbundle', '-q', str(bundle))


LOOK = """\
def look(ui, repo, hooktype, **kwargs):
    view = repo.filtered(b'served')
    with open({log!r}, 'w') as file:
        for rev in view:
            words = (view[rev].hex(), view[rev].phasestr())
            print(b' '.join(words).decode(), file=file)
"""


@pytest.fixture
def shown(transport: Transport, base: Repo) -> Callable[[], dict[str, str]]:
    """What clients can see, with its phase, in the overlay of a push."""
    code, log = transport.root / 'look.py', transport.root / 'look.log'
    code.write_text(LOOK.format(log=str(log)))
    base.configure('hooks', {'bundlestore': f'python:{code}:look'})
    return lambda: dict(line.split() for line in log.read_text().splitlines())


@matrix.every_version
def test_what_the_base_does_not_show(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    veiled: tuple[Veiled, Veiled],
    shown: Callable[[], dict[str, str]],
) -> None:
    """What was pushed is pulled, though the base holds it hidden or secret;
    nothing else of that kind comes along."""
    client, vanilla = newclient('client'), newclient('vanilla', ext=False)
    public = dict.fromkeys(base.nodes('public()'), 'public')
    drafts: dict[str, str] = {}
    for stack in veiled:
        give(base, client, stack.second)
    with untouched(base.path):
        for stack in veiled:
            child = client.commit({'c': 'c\n'}, 'child', parent=stack.first)
            client.run('push', '--bundle-store', '-r', stack.second, '-r', '.')
            pushed = dict.fromkeys([stack.first, stack.second, child], 'draft')
            assert shown() == {**public, **pushed}
            vanilla.run('pull', '-r', stack.second)
            assert not vanilla.knows(child)
            vanilla.run('pull', '-r', child[:12])
            drafts.update(pushed)
            assert vanilla.phases('draft()') == drafts
            for node in (stack.third, stack.aside):
                vanilla.run('pull', '-r', node, ok=(255,))
        vanilla.run('pull')
    assert vanilla.phases('draft()') == drafts
    assert vanilla.phases('public()') == public
    vanilla.verify()


@matrix.over('ssh', later=['path'])
def test_bundle1_client_and_what_the_base_does_not_show(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    veiled: tuple[Veiled, Veiled],
) -> None:
    """It asks for phases in a request of its own."""
    for stack in veiled:
        give(base, client, stack.second)
        client.run('push', '--bundle-store', '-r', stack.second)
        vanilla.run(
            *('pull', '-r', stack.second),
            config=['devel.legacy.exchange=bundle1'],
        )
        pushed = dict.fromkeys([stack.first, stack.second], 'draft')
        assert vanilla.phases(f'{stack.first}::') == pushed


@pytest.mark.parametrize('storeconfig', [{'verify': 'none'}])
@matrix.over('ssh')
def test_secret_changeset_under_a_false_flag(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    veiled: tuple[Veiled, Veiled],
    hashes: History,
) -> None:
    """Where nothing is hashed, a push may call anything by the name of a
    changeset that it does not have."""
    own = client.commit({'z': 'z\n'}, 'mine', parent=hashes.start)
    push = rawpush.make(client, [own], [hashes.start])
    secret = veiled[1].first
    push = push.replace(bytes.fromhex(own), bytes.fromhex(secret))
    rawpush.send(client, transport.url(base), [push])
    result = vanilla.run('pull', '-r', secret, ok=(255,))
    # nothing of it is sent, not even what was pushed under its name
    assert f'changeset {secret[:12]} is not in the bundle' in str(result)
    assert not vanilla.knows(secret)


@pytest.mark.parametrize(
    'publish', ['yes', pytest.param('no', marks=matrix.ANOTHER)]
)
def test_what_a_push_rests_on_becomes_secret(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    newclient: Callable[..., Repo],
    publish: str,
) -> None:
    base.configure('phases', {'publish': 'no'})
    transport.restart()
    landed = client.commit({'a': 'a\n'}, 'landed')
    client.run('push')
    base.configure('phases', {'publish': publish})
    node = client.commit({'b': 'b\n'}, 'scratch')
    client.run('push', '--bundle-store', '-r', node)
    base.inspect('phase', '--force', '--secret', landed)
    transport.restart()
    result = vanilla.run('pull', '-r', node, ok=(100, 255))
    assert f'{node[:12]} rests on' in str(result)
    assert not vanilla.knows(landed)
    # pushed again, the push has what it rests on
    client.run('push', '--bundle-store', '-r', node)
    vanilla.run('pull', '-r', node)
    assert vanilla.phases('draft()') == {landed: 'draft', node: 'draft'}


@matrix.over('ssh', 'http')
def test_pullbundle_server(
    transport: Transport, base: Repo, vanilla: Repo, pushed: list[str]
) -> None:
    base.configure('server', {'pullbundle': 'yes'})
    base.inspect('bundle', '--all', '-t', 'none-v2', '.hg/all.hg')
    manifest = f'all.hg BUNDLESPEC=none-v2 heads={base.node("tip")}'
    (base.path / '.hg' / 'pullbundles.manifest').write_text(manifest + '\n')
    transport.restart()
    vanilla.run('pull', '-r', pushed[2])
    assert vanilla.knows(pushed[2])


@pytest.mark.slow('a hundred processes')
@pytest.mark.parametrize(
    'transport_name',
    [
        'ssh',
        *(
            pytest.param(name, marks=pytest.mark.nightly('as over ssh'))
            for name in ('path', 'http')
        ),
    ],
)
def test_many_operations_leave_the_base_alone(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    hg: Callable[..., Hg],
    hashes: History,
    tempfolder: Path,
    tmp_path: Path,
) -> None:
    """A hundred of them, of all kinds, and not a byte or time changed."""
    client, vanilla = newclient('client'), newclient('vanilla', ext=False)
    url = transport.url(base)
    operations = 0
    with untouched(base.path):
        for number in range(10):
            parent = [hashes.start, hashes.right, hashes.tagged][number % 3]
            node = client.commit(
                {'f': f'{number}\n'}, f'change {number}', parent=parent
            )
            name = f'scratch/alice/{number}'
            for args in (
                ['push', '--bundle-store', '-r', node],
                ['push', '-r', node, '-B', name],
            ):
                client.run(*args)
            for args in (
                ['incoming', '-r', node],
                ['identify', '-r', node[:10], url],
                ['identify', '-r', name, url],
                ['pull', '-r', node[:8]],
                ['pull', '-r', name],
                ['incoming'],
                ['pull'],
                ['identify', '-r', 'ffffffffff', url],
            ):
                vanilla.run(*args, ok=(0, 1, 255))
            operations += 10
    assert operations == 100
    assert len(vanilla.nodes('draft()')) == 10
    assert not leftovers(base, tempfolder)
