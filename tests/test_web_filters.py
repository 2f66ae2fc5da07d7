"""hgweb: the push log by branch, and by how pushes went."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import servers, store
from harness.hg import Repo
from harness.history import History
from harness.shelf import Shelf
from harness.web import get
from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.stores import notes

ATOM = '{http://www.w3.org/2005/Atom}'


#: of all that JSON is asked for, what pages and feeds are asked for, too
ON_PAGES = (
    'status=failure&status=none',
    'branch=caf%C3%A9+%3Cb%3E&status=none',
    'branch=elsewhere',
)


@pytest.fixture
def pushed(
    base: Repo, client: Repo, hashes: History, shelf: Shelf
) -> list[str]:
    """Three pushes: on the default branch, which failed; on another one; and
    on both, which goes on, of bob."""

    def push() -> list[str]:
        one = client.commit({'a': 'a'}, 'one', parent=hashes.merged)
        two = client.commit(
            {'b': 'b'}, 'two', parent=hashes.merged, branch='caf\xe9 <b>'
        )
        three = client.commit({'c': 'c'}, 'three', parent=two)
        for user, nodes in (
            ('alice', [one]),
            ('alice', [two]),
            ('bob', [one, three]),
        ):
            client.run(
                *('push', '--bundle-store', base.path),
                *(arg for node in nodes for arg in ('-r', node)),
                env={'REMOTE_USER': user},
            )
        for id, context, state in (
            *((1, 'linux', 'success'), (1, 'mac', 'failure')),
            *((3, 'linux', 'success'), (3, 'mac', 'pending')),
        ):
            base.run(
                *('admin::bundlestore-status', f'{id}'),
                *('--context', context, '--state', state),
            )
        return [one, two, three]

    return shelf.once('by branch', [base, client], push)


@servers.overweb('wsgi', later=['http'])
def test_filters(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    """JSON, page and feed have the same ones."""
    site = transport.url(base)
    for query, expected in (
        ('status=none', '2'),
        ('status=failure', '1'),
        ('status=pending', '3'),
        ('status=success', ''),
        ('status=failure&status=none', '12'),
        ('branch=default', '13'),
        ('branch=caf%C3%A9+%3Cb%3E', '23'),
        ('branch=caf%C3%A9+%3Cb%3E&status=none', '2'),
        ('branch=default&user=alice', '1'),
        ('branch=default&user=bob&status=pending&text=thr', '3'),
        ('branch=elsewhere', ''),
    ):
        found = get(f'{site}/json-pushes?version=2&startID=0&{query}').json()
        assert ''.join(found['pushes']) == expected, query
        if query not in ON_PAGES:
            continue
        page = get(f'{site}/pushes?{query}').text
        shown = re.findall('id="push-([0-9])"', page)
        assert ''.join(sorted(shown)) == expected, query
        assert ('no push found' in page) == (not expected)
        feed = ElementTree.fromstring(get(f'{site}/atom-pushes?{query}').body)
        assert len(feed.findall(f'{ATOM}entry')) == len(expected)
    for query in ('status=passed', 'status=%FF', 'branch=a&' * 101):
        assert get(f'{site}/json-pushes?{query}').status == 400


@servers.overweb('wsgi')
def test_wait_for_a_status(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    """Who waits for pushes that went so is told when one does."""
    site = transport.url(base)
    late = threading.Timer(
        0.5,
        lambda: base.run(
            *('admin::bundlestore-status', '2'),
            *('--context', 'linux', '--state', 'error'),
        ),
    )
    late.start()
    query = 'version=2&startID=1&status=error&wait=50'
    begun = time.monotonic()
    found = get(f'{site}/json-pushes?{query}').json()
    late.join()
    assert list(found['pushes']) == ['2']
    assert time.monotonic() - begun < 45


@pytest.mark.slow('pages of all styles')
@servers.overweb('wsgi')
def test_form(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    """It shows what was asked for, and the feed has it."""
    site = transport.url(base)
    # before that, nobody helps Mercurial to read a query
    get(f'{site}/pushes')
    for style in ('paper', 'coal', 'gitweb', 'monoblue', 'spartan'):
        page = get(
            f'{site}/pushes?style={style}&status=none&branch=caf%C3%A9+%3Cb%3E'
        ).text
        assert re.findall('value="([a-z]+)" selected', page) == ['none'], style
        assert 'name="branch" value="caf\xe9 &lt;b&gt;"' in page, style
        assert 'atom-pushes?branch=caf%C3%A9%20%3Cb%3E&status=none"' in page


@servers.overweb('wsgi')
def test_pushes_of_an_older_release(
    transport: servers.WebTransport,
    base: Repo,
    pushed: list[str],
    tmp_path: Path,
) -> None:
    """Their branches come back by a repair, from note, index or bundle, and go
    along where the index moves."""
    place = model.Place(os.fsencode(store.folder(base)))
    index = backends.openindex('file', place)
    kept = backends.openstore('file', place)
    recorded = index.pushes()
    assert [push.branches for push in recorded] == [
        ('default',),
        ('caf\xe9 <b>',),
        ('caf\xe9 <b>', 'default'),
    ]
    first, second, third = recorded
    for push in (second, third):
        index.restore(push._replace(branches=()), False)
    for push in (first, third):
        notes.write(kept, index, push._replace(branches=()))
    index.close()
    assert index.pushes(branch='default') == [first]
    plain = base.run('admin::bundlestore-verify', '-Tjson')
    assert [one['kind'] for one in json.loads(plain.out)] == ['note']
    told = base.run('admin::bundlestore-verify', '--repair')
    assert '3 pushes that could not be found by branch' in told.out
    assert index.pushes() == recorded
    for push in recorded:
        found = notes.read(kept, push.key, push.id).push
        assert found.branches == push.branches
    index.close()
    again = base.run('admin::bundlestore-verify', '--repair', '-Tjson')
    assert json.loads(again.out) == []
    copy = f'file:{tmp_path / "copy.sqlite3"}'
    base.run('admin::bundlestore-migrate', '--index', copy, '--no-close')
    moved = backends.openindex(copy, place)
    assert moved.pushes() == recorded
    for status, ids in (('failure', [1]), ('none', [2]), ('pending', [3])):
        assert [p.id for p in moved.pushes(status=status)] == ids
    moved.close()
