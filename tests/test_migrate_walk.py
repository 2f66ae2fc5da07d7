"""The commands of ``docs/migrate.rst`` do what it says."""

from __future__ import annotations

import re
import shlex

import pytest

import environments
from harness import matrix
from harness.backends import PostgreSQL, Rclone
from harness.hg import Hg, Repo
from harness.infinitepush import Scratchbranches
from harness.servers import Transport
from harness.store import tryurl

pytestmark = pytest.mark.slow('databases and object stores of others')

PAGE = (environments.ROOT / 'docs' / 'migrate.rst').read_text('utf-8')


def commands(section: str) -> list[str]:
    """Return the commands below a heading, up to the next one."""
    found = PAGE.partition(f'\n{section}\n')[2].partition('\n')[2]
    found = re.split(r'\n[^\n]+\n(?:===+|---+)\n', found)[0]
    joined = found.replace('\\\n', ' ')
    return re.findall(r'^ +\$ (.*)$', joined, re.M)


@pytest.fixture
def named(transport: Transport, base: Repo) -> dict[str, str]:
    """What the page calls otherwise."""
    return {'/srv/hg/project': str(base.path)}


def _run(made: Hg, named: dict[str, str], command: str) -> str:
    words = shlex.split(command)
    assert words.pop(0) == 'hg'
    for name, value in named.items():
        words = [word.replace(name, value) for word in words]
    result = made.run(*words)
    assert result.err == ''
    return result.out


@pytest.mark.slow('commands and servers that load what S3 takes')
@matrix.over('path')
def test_walk(
    transport: Transport,
    base: Repo,
    client: Repo,
    named: dict[str, str],
    postgresql: PostgreSQL,
    rclone: Rclone,
) -> None:
    """From files to PostgreSQL and S3."""
    store, index = rclone.fresh(), postgresql.fresh()
    named['s3://hg-bundles/project?region=eu-west-1'] = store
    named['postgresql://hg@db.example.org/hg?schema=project'] = index
    made = tryurl(transport, base)
    nodes = [client.commit({'file': f'{n}\n'}, f'{n}') for n in range(4)]

    def push(number: int, *where: str, ok: int = 0) -> str:
        words = ('--bundle-store', '-r', nodes[number], *where)
        result = client.run('push', *words, ok=[ok])
        return result.out + result.err

    assert 'push 1' in push(0)
    verify, schema, most, rest, check, look = commands(
        'From files to PostgreSQL and S3'
    )
    assert _run(base.hg, named, verify).endswith(' 0 problems, 0 remarks\n')
    _run(base.hg, named, schema)
    told = _run(base.hg, named, most).splitlines()
    assert told[0].startswith('pass 1: copied 1 push, 1 bundle, 1 note')
    assert 'push 2' in push(1)
    told = _run(base.hg, named, rest).splitlines()
    assert told[0].startswith('pass 1: copied 1 push, 1 bundle, 1 note')
    assert told[1] == 'pass 2: copied nothing, nobody could push'
    lines = [f'  store = {store}', f'  index = {index}']
    assert [line for line in told if ' = ' in line] == lines
    assert 'the bundle store is being moved' in push(2, ok=255)
    for repo in (base, made):
        repo.configure('bundlestore', {'store': store, 'index': index})
    assert 'push 3' in push(2)
    # over the other address, too
    assert 'push 4' in push(3, transport.url(made))
    assert _run(base.hg, named, check) == ''
    assert 'checked 4 pushes' in _run(base.hg, named, look)
    client.run('identify', '-r', nodes[3], 'default')
    # the old one is where it was, and can be opened again
    base.configure('bundlestore', {'store': 'file', 'index': 'file'})
    (abandon,) = commands("To change one's mind")
    assert _run(base.hg, named, abandon) == 'opened the bundle store\n'
    assert 'push 3' in push(2)


@matrix.over('path')
def test_walk_of_one_half(
    transport: Transport,
    base: Repo,
    client: Repo,
    named: dict[str, str],
    postgresql: PostgreSQL,
) -> None:
    index = postgresql.fresh()
    named['postgresql://hg@db.example.org/hg?schema=project'] = index
    _run(base.hg, named, commands('From files to PostgreSQL and S3')[1])
    node = client.commit({'file': '1\n'}, '1')
    client.run('push', '--bundle-store', '-r', node)
    (half,) = commands('One half alone')
    _run(base.hg, named, half)
    node = client.commit({'file': '2\n'}, '2')
    client.run('push', '--bundle-store', '-r', node, ok=[255])
    base.configure('bundlestore', {'index': index})
    out = client.run('push', '--bundle-store', '-r', node).out
    assert 'push 2' in out


@matrix.over('path')
def test_walk_from_infinitepush(
    transport: Transport, base: Repo, client: Repo, named: dict[str, str]
) -> None:
    old = Scratchbranches(base.path / '.hg' / 'scratchbranches')
    node = client.commit({'file': '1\n'}, '1')
    old.add(client, node)
    (command,) = commands('From infinitepush')
    assert _run(base.hg, named, command) == 'imported 1 push and 0 bookmarks\n'
    client.run('identify', '-r', node, 'default')
