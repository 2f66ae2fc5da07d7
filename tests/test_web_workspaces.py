"""hgweb: ``/workspaces`` and ``/workspace/USER/NAME``."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from harness import servers
from harness.hg import Repo
from harness.shelf import Shelf
from harness.snapshot import untouched
from harness.web import get

#: what would be something else on a page that does not escape it
ODD = 'caf\xe9 <b> & "x"'
STYLES = ('paper', 'gitweb', 'monoblue', 'spartan')


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
