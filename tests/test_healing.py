"""What cannot be served any more is said once, and heals when it comes again.

A stored bundle may be damaged or lost, or the base may lose what it rests on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix, servers, web
from harness.hg import Repo
from harness.servers import Transport
from harness.shelf import Shelf
from harness.store import bundles, tryurl

OTHERS = ('http', 'path')
BUNDLE1 = 'devel.legacy.exchange=bundle1'


def strip(base: Repo, node: str) -> None:
    """Take a changeset out of the base, which others rest on."""
    base.hg.plain().run(
        *('-R', base.path, 'strip', '--no-backup', '-r', node),
        config=['extensions.strip='],
    )


@pytest.fixture
def lost(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    shelf: Shelf,
) -> dict[str, str]:
    """A series of scratch changesets, in two pushes, that rests on one which
    the base had then."""

    def push() -> dict[str, str]:
        nodes = {'landed': client.commit({'landed': 'x\n'}, 'landed')}
        client.run('push')
        for name in ('below', 'top'):
            nodes[name] = client.commit({name: f'{name}\n'}, name)
            client.run('push', '--bundle-store', '-r', '.')
        strip(base, nodes['landed'])
        return nodes

    nodes = shelf.once(f'{transport.name} lost', [base, client], push)
    transport.restart()
    return nodes


def complaint(lost: dict[str, str]) -> str:
    return (
        f'copy of the repository lacks {lost["landed"][:12]}; try again, or '
        'use another server'
    )


@pytest.mark.parametrize(
    'transport_name',
    [
        'ssh',
        *(pytest.param(t, marks=matrix.ANOTHER) for t in OTHERS),
    ],
)
def test_the_base_lacks_what_a_push_rests_on(
    transport: Transport, base: Repo, vanilla: Repo, lost: dict[str, str]
) -> None:
    for args in (
        ['pull', '-r', lost['top']],
        ['incoming', '-r', lost['top']],
        ['pull', '-r', lost['below'], '--config', BUNDLE1],
    ):
        said = str(vanilla.run(*args, ok=(255, 100)))
        # Mercurial does not read on to what the server says
        ends = 'incoming' in args and 'No changegroups found' in said
        assert ends or complaint(lost) in said
        assert said.count('\nabort: ') == 1 or BUNDLE1 in args
        # Mercurial cannot end a changegroup of bundle1 otherwise over ssh
        assert 'unexpected' not in said or BUNDLE1 in args


@matrix.over('ssh')
@pytest.mark.parametrize('name', ['top', 'below'])
def test_the_next_push_brings_what_the_base_lacks(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    lost: dict[str, str],
    name: str,
) -> None:
    pushed = client.run('push', '--bundle-store', '-r', lost[name])
    assert f'stored {3 if name == "top" else 2} changesets' in pushed.out
    vanilla.run('pull', '-r', lost['top'])
    assert set(vanilla.phases('draft()')) == set(lost.values())
    vanilla.verify()
    # what the store has again need not be sent again
    pushed = client.run('push', '--bundle-store', '-r', lost[name])
    assert 'are in the bundle store already' in pushed.out


@matrix.over('ssh')
def test_a_client_without_the_extension_brings_it(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    lost: dict[str, str],
) -> None:
    url = transport.url(tryurl(transport, base))
    client.run(
        *('push', '-r', lost['top'], url), config=['extensions.bundlestore=!']
    )
    vanilla.run('pull', '-r', lost['top'])
    vanilla.verify()


@pytest.mark.slow('a page of each kind, from a server of its own')
@pytest.mark.parametrize('webconfig', [{'allow-archive': 'gz'}])
@servers.overweb('wsgi')
def test_pages_say_what_the_base_lacks(
    transport: Transport, base: Repo, client: Repo, lost: dict[str, str]
) -> None:
    url, top = transport.url(base, 'bob'), lost['top']
    pages = ('rev', 'raw-rev', 'json-rev', 'log', 'file', 'archive')
    for page in pages:
        ending = '.tar.gz' if page == 'archive' else ''
        answer = web.get(f'{url}/{page}/{top}{ending}')
        assert answer.status == 503
        assert answer.headers['retry-after'] == '10'
        assert complaint(lost).encode() in answer.body
    for name in ('1', '2', top):
        answer = web.get(f'{url}/bundle/{name}')
        assert answer.status == 503, name
        assert answer.headers['retry-after'] == '10'
        assert complaint(lost).encode() in answer.body
    client.run('push', '--bundle-store', '-r', top)
    # a bundle that is complete, also by the number of the old push
    for name in ('2', top):
        clone = base.hg.plain().clone(base.path, base.path / f'clone{name}')
        bundle = web.get(f'{url}/bundle/{name}')
        assert bundle.status == 200, bundle
        (clone.path / 'got').write_bytes(bundle.body)
        clone.run('unbundle', 'got')
        assert clone.knows(top)
    for page in pages:
        ending = '.tar.gz' if page == 'archive' else ''
        assert web.get(f'{url}/{page}/{top}{ending}').status == 200


def spoil(path: Path, how: str) -> None:
    if how == 'lost':
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize(
    'how', ['lost', pytest.param('rotten', marks=matrix.ANOTHER)]
)
@pytest.mark.parametrize(
    'transport_name',
    [
        'ssh',
        pytest.param('http', marks=matrix.ANOTHER),
    ],
)
def test_other_bytes_of_the_same_changesets_serve(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    newclient: Callable[..., Repo],
    how: str,
) -> None:
    parent = client.node('.')
    nodes = [
        client.commit({f'f{n}': f'{n}\n'}, f'{n}', parent=parent)
        for n in range(2)
    ]
    revs = [x for node in nodes for x in ('-r', node)]
    client.run('push', '--bundle-store', *revs)
    top = client.commit({'top': 'top\n'}, 'top')
    client.run('push', '--bundle-store', '-r', top)
    files = bundles(base)
    (first,) = (f for f in files if 'first' in _names(base, f, nodes, top))
    spoil(first, how)
    transport.restart()
    url = transport.url(tryurl(transport, base))
    # as bundle1 has the changesets in deltas against others
    pushed = client.run(
        *('push', *revs, url),
        config=['extensions.bundlestore=!', BUNDLE1],
    )
    assert 'stored 2 changesets' in str(pushed)
    assert len(bundles(base)) == len(files) + (how == 'rotten')
    # for what it holds, and for what rests on it
    vanilla.run('pull', '-r', nodes[0])
    vanilla.run('pull', '-r', top)
    vanilla.verify()
    # a push may rest on it, and is it again
    pushed = client.run('push', '--bundle-store', *revs)
    assert 'all of 2 changesets are in the bundle store already' in pushed.out
    more = client.commit({'more': 'x\n'}, 'more', parent=nodes[1])
    pushed = client.run('push', '--bundle-store', '-r', more)
    assert '1 of 2 changesets is in the bundle store already' in pushed.out
    newclient('other', ext=False).run('pull', '-r', more)
    # nothing else heals what was damaged
    spoil(next(f for f in bundles(base) if f not in files), 'lost')
    said = newclient('third', ext=False).run('pull', '-r', more, ok=(255, 100))
    assert str(said).count('\nabort: ') == 1


@pytest.mark.slow('real clients and a server of pages')
@pytest.mark.parametrize('how', ['lost', 'rotten'])
@servers.overweb('wsgi')
def test_other_bytes_are_downloaded(
    transport: servers.WebTransport, base: Repo, client: Repo, how: str
) -> None:
    """By hash and by the number of the push whose bundle it was."""
    nodes = [client.commit({f: f'{f}\n'}, f) for f in ('below', 'top')]
    for node in nodes:
        client.run('push', '--bundle-store', '-r', node, base.path)
    (path,) = (
        f
        for f in bundles(base)
        if bytes.fromhex(nodes[1]) not in f.read_bytes()
    )
    spoil(path, how)
    transport.maycrash = True
    url = transport.url(base, 'bob')
    damaged = web.get(f'{url}/bundle/1')
    assert damaged.status == (404 if how == 'lost' else 500)
    # the new bundle holds both
    client.run('push', '--bundle-store', '-r', nodes[1], base.path)
    for name in ('1', '2', *nodes):
        answer = web.get(f'{url}/bundle/{name}')
        assert answer.status == 200, answer
        assert bytes.fromhex(nodes[0]) in answer.body
        assert answer.headers['content-length'] == str(len(answer.body))
    head = web.get(f'{url}/bundle/1', method='HEAD')
    assert head.status == 200


def _names(base: Repo, file: Path, nodes: list[str], top: str) -> list[str]:
    data = file.read_bytes()
    return ['first'] if bytes.fromhex(nodes[0]) in data else ['top']
