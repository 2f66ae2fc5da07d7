"""Clients of Mercurial's extension narrow get scratch changesets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import Transport
from harness.snapshot import snapshot

#: what has a vanilla client make clones of that kind, and pull into them
NARROW = 'extensions.narrow='

#: Mercurial has this over changegroup 03 only, which its clients up to 6.4 do
#: not take
some_combinations = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('ssh', matrix.VERSIONS[1], matrix.NEWEST),
        pytest.param(
            *('http', matrix.NEWEST, matrix.VERSIONS[0]), marks=matrix.ANOTHER
        ),
        pytest.param(
            *('path', matrix.NEWEST, matrix.NEWEST), marks=matrix.ANOTHER
        ),
    ],
)

#: what is answered does not depend on what carries it
over_ssh = pytest.mark.parametrize('transport_name', ['ssh'])
#: shapes of history and storage that few repositories have
rare = pytest.mark.slow('the shape is rare')

Clone = Callable[..., Repo]


@pytest.fixture
def base(base: Repo) -> Repo:
    base.configure('extensions', {'narrow': '', 'blackbox': ''})
    base.configure('experimental', {'narrowservebrokenellipses': 'yes'})
    base.configure('blackbox', {'track': 'bundlestore'})
    return base


@pytest.fixture
def clone(
    tmp_path: Path,
    hg: Callable[..., Hg],
    transport: Transport,
    base: Repo,
    client_version: str,
) -> Clone:
    """``clone(name, node, options…)``: a narrow clone by vanilla Mercurial."""

    def make(name: str, node: str, *options: str) -> Repo:
        repo = hg(client_version, transport.name == 'path').clone(
            transport.url(base),
            tmp_path / name,
            *('--narrow', '-r', node, *options),
            config=[NARROW, *transport.commandline()],
        )
        transport.connect(repo, base)
        repo.configure('extensions', {'narrow': ''})
        return repo

    return make


@pytest.fixture
def pushed(base: Repo, client: Repo, hashes: History) -> list[str]:
    """Scratch changesets: on the tip, two on an older one, on a merge's side.

    The first holds the very revision of a file that a changeset of the base
    brought which it does not rest on.
    """
    nodes = [
        client.commit(
            {'README': 'a base repository, fixed\n', 'src/new.txt': 'new\n'},
            'on the tip',
            parent=hashes.tagged,
        )
    ]
    client.commit(
        {'src/main.txt': 'short\n', 'docs/manual.txt': None},
        'older',
        parent=hashes.grown,
    )
    nodes.append(client.commit({'src/main.txt': 'shorter\n'}, 'and again'))
    nodes.append(
        client.commit({'data.bin': b'\0\n'}, 'aside', parent=hashes.right)
    )
    client.run('push', '--quiet', '--bundle-store', '-r', '+'.join(nodes))
    return nodes


def content(repo: Repo, node: str) -> dict[str, bytes]:
    """Return the files of a changeset; all of them come from the repository."""
    repo.inspect('update', '--quiet', '--clean', '--rev', 'null')
    repo.inspect('update', '--quiet', '--rev', node)
    return {
        str(path.relative_to(repo.path)): path.read_bytes()
        for path in sorted(repo.path.rglob('*'))
        if path.is_file() and '.hg' not in path.relative_to(repo.path).parts
    }


def graph(repo: Repo) -> set[str]:
    return set(repo.log('{node} {phase} {desc}\n').splitlines())


def ways(base: Repo) -> list[str]:
    """Return how the server's answers came to be, of those it logged."""
    text = (base.path / '.hg' / 'blackbox.log').read_text()
    served = [line for line in text.splitlines() if ' served ' in line]
    return [line.partition(' way=')[2].split()[0] for line in served]


@pytest.mark.slow('a detail of what the quick loop sees')
@some_combinations
def test_without_history(
    base: Repo, client: Repo, pushed: list[str], hashes: History, clone: Clone
) -> None:
    before = snapshot(base.path, ('.hg/bundlestore', '.hg/blackbox.log'))
    shallow = clone('shallow', pushed[0], '--depth', '1', '--include', 'path:')
    # nothing but the changeset, and what it rests on
    expected = {
        f'{hashes.tagged} public Added tag v1 for changeset '
        f'{hashes.merged[:12]}',
        f'{pushed[0]} draft on the tip',
    }
    assert graph(shallow) == expected
    assert content(shallow, pushed[0]) == content(client, pushed[0])

    # that is common now, so no force is needed
    shallow.run('pull', '--quiet', '--depth', '1', '-r', pushed[1])
    shallow.run('pull', '--quiet', '--depth', '1', '-r', pushed[2])
    assert graph(shallow) == expected | {
        f'{hashes.grown} public grow',
        f'{client.node("desc(older)")} draft older',
        f'{pushed[1]} draft and again',
        f'{hashes.right} public data on the right',
        f'{pushed[2]} draft aside',
    }
    for node in pushed:
        assert content(shallow, node) == content(client, node)
    assert ways(base) == ['narrow'] * 3
    assert before == snapshot(
        base.path, ('.hg/bundlestore', '.hg/blackbox.log')
    )
    # and one can go on with it
    shallow.commit({'src/more.txt': 'more\n'}, 'on top', parent=pushed[0])
    assert shallow.cat('src/more.txt', '.') == 'more\n'


@over_ssh
def test_all_files_where_none_were_named(
    client: Repo, pushed: list[str], hashes: History, clone: Clone
) -> None:
    shallow = clone('shallow', pushed[1], '--depth', '1')
    assert content(shallow, pushed[1]) == content(client, pushed[1])
    assert shallow.phase(hashes.grown) == 'public'
    # it is what the clone asks for from now on
    shallow.run('pull', '--quiet', '--depth', '1', '-r', pushed[0])
    assert content(shallow, pushed[0]) == content(client, pushed[0])


@over_ssh
@pytest.mark.parametrize(
    'ellipses', ['yes', pytest.param('no', marks=matrix.ANOTHER)]
)
def test_some_files_with_their_history(
    base: Repo,
    client: Repo,
    pushed: list[str],
    hashes: History,
    clone: Clone,
    ellipses: str,
) -> None:
    base.configure('experimental', {'narrowservebrokenellipses': ellipses})

    def docs(node: str) -> dict[str, bytes]:
        files = content(client, node)
        return {n: data for n, data in files.items() if n.startswith('docs/')}

    narrow = clone('narrow', pushed[0], '--include', 'docs')
    for node in [pushed[0], pushed[1], pushed[2]]:
        narrow.run('pull', '--quiet', '-r', node)
        assert content(narrow, node) == docs(node)
    drafts = narrow.phases('draft()').keys()
    assert drafts == client.phases('draft()').keys()
    if ellipses == 'no':
        # Mercurial's own pulls go on from there; with ellipses, they abort
        # wherever branches meet
        client.commit({'docs/a.txt': 'a\n'}, 'lands', parent=hashes.tagged)
        client.run('push', '--quiet', '-r', '.')
        narrow.run('pull', '--quiet')
        assert content(narrow, client.node('.')) == docs(client.node('.'))


@over_ssh
def test_client_with_the_extension(
    tmp_path: Path,
    transport: Transport,
    base: Repo,
    client: Repo,
    pushed: list[str],
) -> None:
    config = [NARROW, 'extensions.bundlestore=', *transport.commandline()]
    shallow = client.hg.clone(
        transport.url(base),
        tmp_path / 'shallow',
        *('--narrow', '--depth', '1', '-r', pushed[0]),
        config=config,
    )
    transport.connect(shallow, base)
    shallow.configure('extensions', {'narrow': '', 'bundlestore': ''})
    # what is not there is fetched on demand
    shallow.run('update', '--quiet', '--rev', pushed[1])
    left = shallow.run('log', '-r', 'draft() - fromstore()')
    assert not left.out
    # and what was fetched does not land by a push that names nothing
    done = shallow.run('push', ok=[255])
    assert 'that came from a bundle store would land' in done.err


@over_ssh
@rare
def test_generations_and_merges(
    base: Repo, client: Repo, hashes: History, clone: Clone
) -> None:
    node = client.commit({'new.txt': 'new\n'}, 'new', parent=hashes.merged)
    client.run('push', '--quiet', '--bundle-store', '-r', node)
    shallow = clone('shallow', node, '--depth', '2')
    # the last ones stand for all that is below them
    assert shallow.log('{desc}: {p1.desc}, {p2.desc}\n').splitlines() == [
        'copy on the left: , ',
        'data on the right: , ',
        'merge right into left: copy on the left, data on the right',
        'new: merge right into left, ',
    ]
    for name in ('left', 'right', 'merged'):
        one = getattr(hashes, name)
        assert content(shallow, one) == content(client, one)


@over_ssh
@rare
def test_two_parents_of_the_base(
    base: Repo, client: Repo, hashes: History, clone: Clone
) -> None:
    client.inspect('update', '--quiet', '--clean', hashes.fixed)
    client.inspect('merge', '--quiet', hashes.tagged)
    node = client.commit({}, 'merge')
    client.run('push', '--quiet', '--bundle-store', '-r', node)
    shallow = clone('shallow', node, '--depth', '1')
    assert shallow.log('{desc}\n', 'parents(draft())').splitlines() == [
        'fix on stable',
        f'Added tag v1 for changeset {hashes.merged[:12]}',
    ]
    for one in (node, hashes.fixed, hashes.tagged):
        assert content(shallow, one) == content(client, one)


@over_ssh
def test_what_is_kept(
    base: Repo, client: Repo, pushed: list[str], clone: Clone
) -> None:
    expected = content(client, pushed[0])

    def kept() -> dict[Path, int]:
        paths = (base.path / '.hg' / 'bundlestore' / 'cache').iterdir()
        return {path: path.stat().st_ino for path in paths}

    clone('first', pushed[0], '--depth', '1', '-U')
    (made,) = kept().items()
    clone('second', pushed[0], '--depth', '1', '-U')
    assert kept() == dict([made])
    # for other files there is another
    clone('third', pushed[0], '--depth', '1', '--include', 'docs', '-U')
    assert len(kept()) == 2

    # damage is seen, and made good
    data = bytearray(made[0].read_bytes())
    data[len(data) // 2] ^= 1
    made[0].write_bytes(data)
    assert content(clone('fourth', pushed[0], '--depth', '1'), pushed[0]) == (
        expected
    )
    assert kept()[made[0]] != made[1]
    # and where there is no room for it, it is not needed
    folder = made[0].parent
    for path in kept():
        path.unlink()
    folder.rmdir()
    folder.write_text('no folder\n')
    assert content(clone('fifth', pushed[0], '--depth', '1'), pushed[0]) == (
        expected
    )


@over_ssh
@rare
def test_tree_manifests(
    transport: Transport, base: Repo, tmp_path: Path, clone: Clone
) -> None:
    tree = Repo(transport.hg, transport.root / 'tree')
    transport.hg.run(
        *('init', tree.path), config=['experimental.treemanifest=yes']
    )
    first = tree.commit({'a/b/c.txt': 'c\n', 'a/d.txt': 'd\n'}, 'first')
    tree.inspect('phase', '--public', first)
    serving = base.hgrc.read_text()
    client = transport.hg.clone(str(tree.path), tmp_path / 'client')
    tree.hgrc.write_text(serving)
    client.enable()
    transport.connect(client, tree)
    node = client.commit({'a/b/c.txt': 'C\n', 'a/e/f.txt': 'f\n'}, 'scratch')
    client.run('push', '--quiet', '--bundle-store', '-r', node)
    for path in ('a', 'a/e'):
        narrow = transport.hg.clone(
            transport.url(tree),
            tmp_path / path.replace('/', '-'),
            *('--narrow', '--depth', '1', '--include', path, '-r', node),
            config=[NARROW, *transport.commandline()],
        )
        narrow.configure('extensions', {'narrow': ''})
        files = content(client, node)
        assert content(narrow, node) == {
            n: data for n, data in files.items() if n.startswith(f'{path}/')
        }


@over_ssh
@rare
def test_a_depth_that_is_none(
    transport: Transport, base: Repo, pushed: list[str], hg: Callable[..., Hg]
) -> None:
    for depth in ('0', 'x'):
        done = hg(ext=transport.name == 'path').run(
            *('clone', '--narrow', '--depth', depth, '-r', pushed[0]),
            *(transport.url(base), transport.root / 'none'),
            config=[NARROW, *transport.commandline()],
            ok=[255],
        )
        assert f'abort: depth must be positive, got {depth}\n' in done.err
