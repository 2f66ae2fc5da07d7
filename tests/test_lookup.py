"""What names mean: those of the base stay the base's."""

from __future__ import annotations

import os
import subprocess
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import history, matrix, servers, web
from harness.collision import collision
from harness.hg import Hg, Repo
from harness.store import folder
from hgext3rd.bundlestore import backends, model

TAG = 'abcdef12'
BOOKMARK = 'scratch/ours'


def like(name: str, number: int = 0) -> bytes:
    """Return another hash that begins as a name does."""
    return bytes.fromhex(f'{name[:6]}{number:034x}')


def record(base: Repo, nodes: list[bytes], marks: dict[str, bytes]) -> None:
    """Record a push of such changesets; there is no bundle for it."""
    place = model.Place(os.fsencode(folder(base)))
    index = backends.openindex('file', place)
    index.record(
        model.NewPush(
            1700000000.0,
            'bob',
            '0' * 64,
            1000,
            tuple(nodes),
            tuple(model.Head(node, 'a try') for node in nodes),
            tuple(model.BookmarkMove(*mark) for mark in marks.items()),
        )
    )
    index.close()


def quoted(name: str) -> str:
    return urllib.parse.quote(name)


@matrix.over('http')
def test_names_of_the_base(
    transport: servers.Transport, base: Repo, hashes: history.History
) -> None:
    """Nobody changes what they mean by a push with a similar hash, also where
    Mercurial calls them ambiguous or does not show what they name."""
    secret = base.commit({'s': 's\n'}, 'secret', parent=hashes.start)
    base.inspect('phase', '--force', '--secret', secret)
    pair = collision(base)
    base.inspect('tag', '--local', '-r', hashes.left, TAG)
    base.inspect('bookmark', '-r', hashes.left, BOOKMARK)
    base.inspect('bookmark', '-r', hashes.left, 'scratch')
    names = [
        *(hashes.tagged[:6], hashes.tagged[:12], pair[0][:6], secret[:6]),
        *(TAG, BOOKMARK),
    ]
    url = transport.url(base)

    def answers() -> list[tuple[int, str]]:
        pages = [f'{url}?cmd=lookup&key={quoted(name)}' for name in names]
        pages += [f'{url}/raw-rev/{name}' for name in names]
        pages += [f'{url}/raw-file/scratch/src/main.txt']
        found = [web.get(page) for page in pages]
        return [(page.status, page.text) for page in found]

    before = answers()
    assert before[0][1] == before[1][1] == f'1 {hashes.tagged}\n'
    assert 'ambiguous' in before[2][1]
    assert before[3][1].startswith('0 ')
    assert before[4][1] == before[5][1] == f'1 {hashes.left}\n'
    nodes = [like(name) for name in names if '/' not in name]
    record(
        base,
        list(dict.fromkeys(nodes)),
        {BOOKMARK: nodes[0], 'scratch/src': nodes[0]},
    )
    assert answers() == before
    # and the same for who asks for pushes
    for name in names:
        page = web.get(f'{url}/json-pushes?changeset={quoted(name)}')
        assert '"1"' not in page.text, page
        assert web.get(f'{url}/bundle/{name}').status == 404
    # what only the store knows is found
    lone = like(names[0], 1)
    assert lone not in nodes
    found = web.get(f'{url}?cmd=lookup&key={nodes[0].hex()}')
    assert found.text == f'1 {nodes[0].hex()}\n'


@pytest.fixture
def landed(base: Repo, hashes: history.History) -> str:
    """A scratch bookmark on a changeset that has landed."""
    node = bytes.fromhex(hashes.tagged)
    record(base, [node], {'scratch/landed': node})
    return 'scratch/landed'


@matrix.over('http')
def test_bookmark_on_what_landed(
    transport: servers.Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    hashes: history.History,
    landed: str,
) -> None:
    url = transport.url(base)
    page = web.get(f'{url}/raw-rev/{landed}')
    assert page.status == 200
    assert page.text == web.get(f'{url}/raw-rev/{hashes.tagged}').text
    # it may move
    seen = {'If-None-Match': page.headers.get('etag', 'W/"0"')}
    assert web.get(f'{url}/raw-rev/{landed}', seen).status == 200
    found = web.get(f'{url}/json-pushes?changeset={landed}').json()
    assert list(found) == ['1']


@matrix.over('http')
def test_fewer_than_six_digits(
    transport: servers.Transport, base: Repo, client: Repo, landed: str
) -> None:
    """It is said where that is the reason."""
    node = bytes.fromhex('abc12' + '3' * 35)
    assert base.log('{node}\n').find('\nabc12') < 0
    place = model.Place(os.fsencode(folder(base)))
    index = backends.openindex('file', place)
    head = model.Head(node, 'a try')
    index.record(
        model.NewPush(1700000001.0, 'bob', '1' * 64, 10, (node,), (head,))
    )
    index.close()
    text = "unknown revision 'abc12': fewer than 6 digits do not name"
    result = client.run('pull', '-r', 'abc12', ok=(255,))
    assert text in result.err
    result = client.run('pushes', '-r', 'abc12', ok=(10, 255))
    assert text in result.err
    url = transport.url(base)
    for page in ('pushes?changeset=', 'json-pushes?changeset=', 'bundle/'):
        assert text in web.get(f'{url}/{page}abc12').text.replace('&#39;', "'")
    # nobody pushed one
    result = client.run('pull', '-r', 'abc13', ok=(255,))
    assert 'fewer' not in result.err


@pytest.mark.slow('real starts')
def test_what_the_base_lacks_is_looked_for_once(
    hg: Callable[..., Hg], tempfolder: Path
) -> None:
    """In a long history that takes a while, and a push asks several times for
    what it brings. What comes is there at once."""
    code = """
import sys
from mercurial import context, extensions, localrepo, ui as uimod
from hgext3rd.bundlestore import server
repo = localrepo.instance(uimod.ui.load(), sys.argv[1].encode(), create=True)
class Counting:
    def __init__(self, index):
        self.index, self.asked = index, 0
    def __len__(self):
        return len(self.index)
    def __getitem__(self, rev):
        return self.index[rev]
    def __getattr__(self, name):
        return getattr(self.index, name)
    def get_rev(self, node):
        self.asked += 1
        return self.index.get_rev(node)
def lookups(node):
    log = repo.unfiltered().changelog
    index, log.index = log.index, Counting(log.index)
    try:
        return [server.hasnode(repo, node) for _ in range(3)], log.index.asked
    finally:
        log.index = index
def commit(repo):
    ctx = context.memctx(repo, (repo.nullid,) * 2, b'one', [], None, b'bob',
                         b'0 0', {b'close': b'1'})
    return repo.commitctx(ctx)
twin = localrepo.instance(repo.ui, sys.argv[2].encode(), create=True)
node = commit(twin)
assert lookups(node) == ([False] * 3, 1), lookups(node)
assert lookups(node)[1] == 0
assert lookups(repo.nullid)[0] == [True] * 3
assert lookups(b'\\xff' * 20)[0] == [False] * 3
assert commit(repo) == node
assert lookups(node)[0] == [True] * 3
"""
    for version in matrix.VERSIONS:
        made = hg(version)
        paths = (tempfolder / f'{version}-{name}' for name in ('one', 'two'))
        done = subprocess.run(
            [made.python, '-c', code, *map(str, paths)],
            capture_output=True,
            text=True,
            env=made.cleanenviron(),
        )
        assert done.returncode == 0, (version, done.stderr)
