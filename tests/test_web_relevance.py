"""hgweb: what a job that builds a changeset is told of its push."""

from __future__ import annotations

import time
from typing import Any

import pytest

from harness import history, matrix, servers
from harness.hg import Repo
from harness.web import get

#: those whose style for JSON differs
OVERVERSIONS = pytest.mark.parametrize(
    ('transport_name', 'server_version'),
    [
        ('wsgi', matrix.NEWEST),
        pytest.param('wsgi', matrix.VERSIONS[0], marks=matrix.ANOTHER),
    ],
)
#: what json-rev has besides where the changeset was pushed
PUSHED = ['pushid', 'pushdate', 'pushuser']


def commit(client: Repo, name: str, parent: str) -> str:
    return client.commit(
        {f'{name}.txt': name, 'all.txt': name},
        f'{name}\n\nbody of {name}',
        parent=parent,
        user='alice <alice@example.org>',
        date='1700000000 0',
    )


def push(client: Repo, base: Repo, *args: str) -> None:
    users = {'REMOTE_USER': 'alice'}
    client.run('push', '--bundle-store', *args, base.path, env=users)


def relevant(site: str, rev: str) -> list[dict[str, Any]]:
    """Return what a job is told that builds a changeset."""
    answer = get(f'{site}/json-automationrelevance/{rev}')
    assert answer.status == 200, answer
    assert answer.type == 'application/json'
    # the next push may be one of it
    assert 'etag' not in answer.headers
    told = answer.json()
    assert told['visible'] is True
    found: list[dict[str, Any]] = told['changesets']
    return found


@pytest.mark.slow('many pages')
@OVERVERSIONS
def test_relevance(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    """In the form of Mozilla's, and ``json-rev`` in that of Mercurial's with
    what Mozilla's has besides."""
    one = commit(client, 'one', hashes.merged)
    two = commit(client, 'two', one)
    other = commit(client, 'other', one)
    push(client, base, '-r', two, '-r', other)
    site = transport.url(base)
    first, last = relevant(site, two)
    assert abs(first['pushdate'][0] - time.time()) < 10_000
    assert first == {
        'author': 'alice <alice@example.org>',
        'backsoutnodes': [],
        'bugs': [],
        'date': [1700000000.0, 0],
        'desc': 'one\n\nbody of one',
        'extra': {'branch': 'default'},
        'files': ['all.txt', 'one.txt'],
        'node': one,
        'parents': [hashes.merged],
        'phase': 'draft',
        'pushdate': last['pushdate'],
        'pushhead': other,
        'pushid': 1,
        'pushuser': 'alice',
        'rev': last['rev'] - 1,
        'reviewers': [],
    }
    assert (last['node'], last['parents']) == (two, [one])
    # with one more on top it is another push, of all of them
    three = commit(client, 'three', two)
    push(client, base, '-r', three, '-B', 'scratch/a/b')
    found = relevant(site, 'scratch/a/b')
    assert [each['node'] for each in found] == [one, two, three]
    assert {each['pushid'] for each in found} == {2}
    assert [each['node'] for each in relevant(site, other[:12])] == [one, other]

    shown = get(f'{site}/json-rev/{three}').json()
    assert [shown[name] for name in PUSHED] == [
        2,
        found[0]['pushdate'],
        'alice',
    ]
    assert shown['node'] == three
    assert list(shown)[-3:] == PUSHED

    # what nobody pushed stands alone, and its page is Mercurial's
    (alone,) = relevant(site, hashes.merged)
    assert alone['parents'] == [hashes.left, hashes.right]
    assert alone['phase'] == 'public'
    assert {alone[name] for name in [*PUSHED, 'pushhead']} == {None}
    assert relevant(site, 'tip')[0]['node'] == base.nodes('tip')[0]
    shown = get(f'{site}/json-rev/{hashes.merged}').json()
    assert set(PUSHED).isdisjoint(shown)

    # what has landed was pushed all the same
    client.run('push', '--force', '-r', one)
    assert base.knows(one)
    for rev in (one, two):
        assert relevant(site, rev)[0]['phase'] == 'public'
        assert relevant(site, rev)[-1]['pushid'] == 2
    assert len(relevant(site, two)) == 2

    unknown = get(f'{site}/json-automationrelevance/{"1" * 40}')
    assert unknown.status == 404
    assert 'unknown revision' in unknown.json()['error']
    for path, status in (
        (f'automationrelevance/{one}', 404),
        ('json-automationrelevance', 400),
    ):
        assert get(f'{site}/{path}').status == status, path


@pytest.mark.slow('many pages')
@OVERVERSIONS
def test_unknown(
    transport: servers.WebTransport, base: Repo, hashes: history.History
) -> None:
    """Whatever asks and by whatever name, the two words are in the answer."""
    site = transport.url(base)
    for name in ('1' * 40, 'abcdefabcdef', 'nothing', 'scratch/nothing'):
        for page in (
            f'json-rev/{name}',
            f'json-pushes?changeset={name}',
            f'json-pushes?fromchange={name}',
        ):
            answer = get(f'{site}/{page}')
            assert answer.status == 404, f'{page}\n{answer}'
            assert 'unknown revision' in answer.json()['error'], page
    # it is known, and nobody pushed it
    pushed = get(f'{site}/json-pushes?changeset={hashes.merged}')
    assert (pushed.status, pushed.json()) == (200, {})
