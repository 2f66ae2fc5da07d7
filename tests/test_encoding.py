"""Names are the same whatever encoding the two ends work in."""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Callable

import pytest

from harness import matrix, web
from harness.hg import Hg, Repo
from harness.servers import Transport
from harness.store import tryurl

NAME = 'scratch/café'
#: the same as it is typed where the encoding is Latin-1
LATIN = os.fsdecode(NAME.encode('latin-1'))
ENV = {'HGENCODING': 'latin-1'}


_REAL = pytest.mark.slow('real starts: modules read the encoding early')


@pytest.fixture(
    params=[
        pytest.param('latin-1', marks=_REAL),
        pytest.param('utf-8', marks=_REAL),
        pytest.param('ascii', marks=_REAL),
    ]
)
def encoding(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def hg(tempfolder: object, encoding: str) -> Callable[..., Hg]:
    """Servers have an encoding of their own; what runs without the extension
    has it, too."""

    def make(version: str = matrix.NEWEST, ext: bool = True) -> Hg:
        environ = {'TMPDIR': str(tempfolder), 'HGENCODING': encoding}
        return Hg(version, ext, environ)

    return make


@matrix.over('ssh')
def test_scratch_bookmarks(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    encoding: str,
) -> None:
    utf8 = {'HGENCODING': 'utf-8'}
    alice, bob = newclient('alice'), newclient('bob')
    vanilla = newclient('vanilla', ext=False)
    node = alice.commit({'a': 'a\n'}, 'a try')
    alice.run('push', '-r', node, '-B', NAME, env=utf8)
    vanilla.run('pull', '-r', NAME, env=utf8)
    assert vanilla.knows(node)
    bob.run('pull', '-B', LATIN, env=ENV)
    assert bob.node(f'bookmark("{NAME}")') == node
    found = json.loads(
        alice.run('pushes', '-T', 'json', '-r', NAME, env=utf8).out
    )
    assert [mark['bookmark'] for mark in found[0]['bookmarks']] == [NAME]
    # and the other way round: it moves, it is not another one
    ahead = bob.commit({'a': 'aa\n'}, 'ahead', parent=node)
    bob.run('push', '-r', ahead, '-B', LATIN, env=ENV)
    out = alice.run('pushes', '-q', '--bookmarks', '*é', env=utf8).out
    assert out == f'{NAME}\n'
    vanilla.run('pull', '-r', LATIN, env=ENV)
    assert vanilla.knows(ahead)
    if encoding == 'latin-1':
        # Mercurial sends it in the client's encoding
        top = vanilla.commit({'a': 'aaa\n'}, 'top', parent=ahead)
        vanilla.inspect('bookmark', '-r', top, NAME)
        vanilla.run('push', '-B', LATIN, env=ENV)
        alice.run('pull', '-r', NAME, env=utf8)
        assert alice.knows(top)


@pytest.mark.slow('a server for each encoding')
@matrix.over('http')
@pytest.mark.parametrize('encoding', ['latin-1'], indirect=True)
def test_pages_and_pushkey(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    utf8 = {'HGENCODING': 'utf-8'}
    client = newclient('client')
    node = client.commit({'a': 'a\n'}, 'a try')
    client.run('push', '-r', node, '-B', NAME, env=utf8)
    url = transport.url(base)
    for name in (NAME.encode(), NAME.encode('latin-1')):
        quoted = urllib.parse.quote(name)
        page = web.get(f'{url}/raw-rev/{quoted}')
        assert f'# Node ID {node}' in page.text
        page = web.get(f'{url}/json-pushes?changeset={quoted}')
        assert node in page.text
        assert web.get(f'{url}/bundle/{quoted}').status == 200
    trial = transport.url(tryurl(transport, base))
    key = ('debugpushkey', trial, 'bookmarks', NAME, node, '')
    assert client.run(*key, env=utf8).out == 'True\n'
    client.run('pull', '-r', NAME, env=utf8, ok=(255,))
