"""hgweb: ``/workspaces`` and ``/workspace/USER/NAME``."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from harness import matrix, servers, store
from harness.hg import Repo
from harness.history import History
from harness.shelf import Shelf
from harness.snapshot import untouched
from harness.web import get

#: what would be something else on a page that does not escape it
ODD = 'caf\xe9 <b> & "x"'
STYLES = ('paper', 'gitweb', 'monoblue', 'spartan')
BETWEEN = pytest.mark.nightly('the oldest and the newest are in CI')
RELEASES = pytest.mark.parametrize(
    ('transport_name', 'server_version'),
    [
        ('wsgi', matrix.NEWEST),
        pytest.param('http', matrix.VERSIONS[0], marks=matrix.ANOTHER),
        *(
            pytest.param('http', version, marks=BETWEEN)
            for version in matrix.VERSIONS[1:]
        ),
    ],
)


@pytest.fixture
def made(base: Repo, client: Repo, shelf: Shelf) -> list[str]:
    """Two workspaces of alice, one of bob, one that was dropped, a backup."""

    def make() -> list[str]:
        one = client.commit({'a': 'a'}, 'one <i>')
        two = client.commit({'a': 'b'}, 'two', parent=f'{one}^')
        client.inspect('bookmark', '-r', two, 'idea')
        for user, name, revs in (
            ('alice', 'first', (one,)),
            ('alice', 'first', (two,)),
            ('alice', ODD, (one,)),
            ('bob', 'his', (two,)),
            ('example/bob', 'his', (one,)),
            ('bob', 'gone', (two,)),
        ):
            client.run(
                *('push', '--workspace', name, base.path),
                *(arg for rev in revs for arg in ('-r', rev)),
                env={'REMOTE_USER': user, 'HGENCODING': 'utf-8'},
                ok=(0, 1),
            )
        client.run(
            *('workspace', '--drop', 'gone', '-s', base.path),
            env={'REMOTE_USER': 'bob'},
        )
        client.run('backup', base.path)
        return [one, two]

    return shelf.once('workspaces', [base, client], make)


@servers.overweb('wsgi', later=['http'])
@pytest.mark.slow('others look at the same, in less time')
def test_pages(
    transport: servers.WebTransport, base: Repo, made: list[str]
) -> None:
    one, two = made
    site = transport.url(base, 'nobody')
    with untouched(base.path):
        listed = get(f'{site}/json-workspaces').json()
        names = [(view['owner'], view['name']) for view in listed['views']]
        assert names == [
            ('alice', ODD),
            ('alice', 'first'),
            ('bob', 'his'),
            ('example/bob', 'his'),
        ]
        his = get(f'{site}/json-workspace/example/bob/his').json()
        assert his['heads'] == [one]
        for path in ('json-workspaces?user=bob', 'json-workspace/bob'):
            (his,) = get(f'{site}/{path}').json()['views']
            assert (his['name'], his['version'], his['heads']) == ('his', 1, 1)
        whole = get(f'{site}/json-workspace/alice/first').json()
        assert whole['heads'] == sorted([one, two])
        assert whole['bookmarks'] == {'idea': two}
        assert [v['version'] for v in whole['versions']] == [2, 1]
        for style in STYLES:
            answer = get(f'{site}/workspaces?style={style}')
            assert answer.status == 200
            assert '<b>' not in answer.text.replace('<b></b>', '')
            links = re.findall(r'href="([^"]*/workspace/[^"]*)"', answer.text)
            assert len(links) == 4
            assert quote(ODD) in links[0]
            page = get(f'{site}/workspace/alice/first?style={style}').text
            assert f'/rev/{one}' in page
            assert f'/graph/{two}' in page
            assert 'one &lt;i&gt;' in page
            assert 'idea' in page
            assert '1 head added' in page
        odd = get(f'{site}/workspace/alice/{quote(ODD)}').text
        assert 'caf\xe9 &lt;b&gt; &amp; &quot;x&quot;' in odd
        for path in (
            *('workspace/bob/gone', 'workspace/bob/none', 'workspace/x/first'),
            f'workspace/alice/{quote("backup/x")}',
        ):
            answer = get(f'{site}/{path}')
            assert answer.status == 404, path
            assert 'there is no workspace' in answer.text
        assert get(f'{site}/rss-workspaces').status == 404


# -- the graph


class Drawn(NamedTuple):
    """What a graph is of."""

    one: str
    two: str
    other: str
    landed: str


@pytest.fixture
def drawn(base: Repo, client: Repo, hashes: History, shelf: Shelf) -> Drawn:
    """A workspace with a stack, another head, and one in the repository."""

    def push(*revs: str) -> None:
        client.run(
            *('push', '--workspace', 'w', base.path),
            *(arg for rev in revs for arg in ('-r', rev)),
            env={'REMOTE_USER': 'alice'},
        )

    def make() -> Drawn:
        one = client.commit({'a': 'a'}, 'one', parent=hashes.merged)
        two = client.commit(
            {'a': 'b'}, 'two <i>', parent=one, user='caf\xe9 & bob'
        )
        other = client.commit({'b': 'b'}, 'other', parent=hashes.merged)
        landed = client.commit({'c': 'c'}, 'landed', parent=hashes.fixed)
        client.inspect('bookmark', '-r', two, 'idea')
        push(two)
        push(other)
        push(landed)
        client.run('push', '-r', landed, base.path)
        return Drawn(one, two, other, landed)

    return shelf.once('a graph', [base, client], make)


def graphof(text: str) -> dict[str, tuple[int, list[list[Any]]]]:
    """Return the column and the edges of each changeset that a page draws, by
    its short hash, in their order."""
    (data,) = re.findall(r'graph\.render\((.*)\);', text)
    rows = [(r['node'], (r['vertex'][0], r['edges'])) for r in json.loads(data)]
    assert [node for node, _ in rows] == re.findall(r'data-node="(\w+)"', text)
    return dict(rows)


@RELEASES
def test_graph(
    transport: servers.WebTransport,
    base: Repo,
    hashes: History,
    drawn: Drawn,
) -> None:
    """All heads are in one graph, down to where they leave the base."""
    site = transport.url(base, 'nobody')
    one, two, other, landed = (node[:12] for node in drawn)
    with untouched(base.path):
        for style in STYLES:
            text = get(f'{site}/workspace/alice/w?style={style}').text
            graph = graphof(text)
            assert [*graph] == [two, one, other, landed, hashes.merged[:12]]
            assert [column for column, _ in graph.values()] == [0, 0, 1, 1, 0]
            # where: from column to column
            lines = [[e[:2] for e in edges] for _, edges in graph.values()]
            assert lines == [
                [[0, 0]],
                [[0, 0]],
                [[0, 0], [1, 0]],
                [[0, 0]],
                [],
            ]
            assert 'two &lt;i&gt;' in text
            assert 'by caf\xe9 &amp; bob<' in text
            assert text.count('push-head">base<') == 2
            assert 'not in the graph' not in text


@servers.overweb('wsgi')
@pytest.mark.slow('one more of a kind')
def test_graph_of_damage(
    transport: servers.WebTransport, base: Repo, drawn: Drawn
) -> None:
    """A bundle that cannot be read takes away its heads, and no others."""
    transport.maycrash = True
    site = f'{transport.url(base, "nobody")}/workspace/alice/w'
    (path,) = (
        path for path in store.bundles(base) if b'other' in path.read_bytes()
    )
    store.replace(path, path.read_bytes()[:-9] + b'x' * 9)
    text = get(site).text
    assert drawn.other[:12] not in graphof(text)
    assert drawn.two[:12] in graphof(text)
    assert '1 head is not in the graph' in text
    for path in store.bundles(base):
        path.unlink()
    text = get(site).text
    assert drawn.landed[:12] in graphof(text)
    assert '2 heads are not in the graph' in text
    assert f'/rev/{drawn.two}' in text
