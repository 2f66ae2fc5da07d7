"""``hg backup``: every draft is kept on the server, and comes back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import matrix
from harness.drafts import finished
from harness.hg import Repo
from harness.servers import Transport
from harness.snapshot import untouched

#: what a command may end with that aborts
ABORTED = (10, 20, 30, 100, 255)


def state(repo: Repo) -> dict[str, Any]:
    """Return what a backup has to bring back."""
    return {
        'drafts': repo.log('{node} {phase} {bookmarks}\n', 'draft()'),
        'bookmarks': sorted(repo.inspect('bookmarks').splitlines()),
        'parent': repo.log('{node}', '.'),
    }


@pytest.mark.parametrize(
    'transport_name', ['ssh', pytest.param('wsgi', marks=matrix.ANOTHER)]
)
@pytest.mark.parametrize('webconfig', [{'allow-push': 'alice, bob'}])
def test_there_and_back(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    url = transport.url(base, 'alice')
    assert client.run('backup', '--status', ok=(0,)).out == (
        'never backed up\nall drafts are backed up\n'
    )
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    client.inspect('bookmark', '-r', first, 'one')
    client.inspect('bookmark', '-r', f'{first}^', 'public')
    client.inspect('bookmark', '-r', second, 'two')
    client.commit({'c': 'c\n'}, 'third', secret=True)
    client.inspect('update', '-q', 'two')
    before = state(client)
    assert client.run('backup', '--status', ok=(1,)).out == (
        'never backed up\nnot backed up: 2 changesets\n'
    )
    with untouched(base.path):
        out = client.run('backup', url).out
    assert out == (
        'backed up 2 changesets (2 heads, +2/-0)\nignored 1 secret changeset\n'
    )
    out = client.run('backup', url).out
    assert out == 'nothing to back up (2 heads)\nignored 1 secret changeset\n'
    shown = client.run('log', '-r', 'backedup()', '-T', '{node} {backedup}\n')
    assert shown.out == f'{first} backedup\n{second} backedup\n'
    assert client.run('log', '-r', 'notbackedup()').out == ''
    assert 'backup:' not in client.run('summary').out
    more = client.commit({'b': 'c\n'}, 'more', parent=second)
    assert client.run('log', '-r', 'notbackedup()', '-T', '{node}').out == more
    assert 'backup: 1 draft\n' in client.run('summary').out
    client.inspect('update', '-q', 'two')
    out = client.run('backup', url).out
    assert out.startswith('backed up 1 changeset (2 heads, +1/-1)\n')
    before = state(client)
    # the laptop is lost
    other = newclient('other')
    with untouched(base.path):
        out = other.run('backup', '--restore', url).out
    assert f':{client.path}, as it was at ' in out
    after = state(other)
    before['drafts'] = ''.join(
        line for line in before['drafts'].splitlines(True) if ' draft ' in line
    )
    assert after == before
    assert other.log('{activebookmark}', '.') == 'two'


@matrix.over('ssh')
def test_nothing_new_is_one_question(base: Repo, client: Repo) -> None:
    client.commit({'a': 'a\n'}, 'first')
    client.run('backup')
    said = client.run('backup', '--debug').out
    assert 'sending bundlestoreviews command\n' in said
    for other in ('unbundle', 'known', 'bundlestoreview ', 'heads'):
        assert f'sending {other}' not in said


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_what_landed_or_is_obsolete_leaves(base: Repo, client: Repo) -> None:
    client.configure('experimental', {'evolution': 'all'})
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    client.run('backup')
    amended = client.commit({'b': 'c\n'}, 'amended', amend=True)
    client.run('push', '-r', first, '-f')
    out = client.run('backup').out
    assert out == 'backed up 1 changeset (1 head, +1/-2)\n'
    (one,) = json.loads(client.run('workspace', '-v', '-T', 'json').out)
    shown = json.loads(
        client.run('workspace', '-T', 'json', f'alice/{one["name"]}').out
    )
    assert shown[0]['heads'] == [amended]
    assert second not in shown[0]['heads']


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_only_some(base: Repo, client: Repo) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    assert client.run('backup', '-r', first).out == (
        'backed up 1 changeset (1 head, +1/-0)\n'
    )
    assert client.run('log', '-r', 'notbackedup()', '-T', '{node}').out == (
        second
    )
    assert client.run('backup', '-r', second).out == (
        'backed up 1 changeset (2 heads, +1/-0)\n'
    )


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_of_several_clones(
    base: Repo, client: Repo, newclient: Callable[..., Repo]
) -> None:
    fresh = newclient('fresh')
    err = fresh.run('backup', '--restore', ok=ABORTED).err
    assert 'abort: there is no backup of yours\n' in err
    mine = client.commit({'a': 'a\n'}, 'first')
    client.run('backup')
    other = newclient('other')
    other.commit({'b': 'b\n'}, 'other')
    other.run('backup')
    result = fresh.run('backup', '--restore', ok=ABORTED)
    assert f':{client.path}  ' in result.out
    assert f':{other.path}  ' in result.out
    assert 'abort: which backup shall be restored?\n' in result.err
    fresh.run('backup', '--restore', '--from', f':{client.path}')
    assert fresh.nodes('draft()') == [mine]
    err = fresh.run(
        'backup', '--restore', '--from', 'elsewhere', ok=ABORTED
    ).err
    assert "abort: there is no backup of 'elsewhere'\n" in err


def away(repo: Repo, name: str) -> Repo:
    """Have a clone be where it does not stand in the way."""
    place = repo.path.with_name(name)
    repo.path.rename(place)
    return Repo(repo.hg, place)


@matrix.over('ssh')
def test_made_anew_after_a_loss(
    base: Repo, client: Repo, newclient: Callable[..., Repo]
) -> None:
    """What is in the backup stays there, and a restore carries it on."""
    first = client.commit({'a': 'a\n'}, 'first')
    client.inspect('bookmark', 'one')
    client.inspect('bookmark', '-r', f'{first}^', 'public')
    client.run('backup')
    name = client.path.name
    away(client, 'lost')
    fresh = newclient(name)
    out = fresh.run('backup').out
    assert out.startswith(
        'nothing to back up (0 heads)\n'
        "(there is another backup of this place: 'hg backup --restore --from "
    )
    assert finished(fresh) == [first]
    out = fresh.run('backup', '--restore').out
    assert 'has a backup of its own' not in out
    assert fresh.log('{bookmarks} {activebookmark}', '.') == 'one one'
    assert fresh.node('public') == fresh.node(f'{first}^')
    # it is of this clone now, so it goes with it
    second = fresh.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    fresh.inspect('bookmark', '-d', 'one')
    fresh.run('debugstrip', '-q', '--no-backup', first)
    out = fresh.run('backup').out
    assert out == 'backed up 1 changeset (1 head, +1/-1)\n'
    assert finished(fresh) == [second]


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_two_of_one_place(
    base: Repo, client: Repo, newclient: Callable[..., Repo]
) -> None:
    """As in containers: what one does is nothing to the other."""
    name = client.path.name
    common = client.commit({'a': 'a\n'}, 'common')
    client.run('backup')
    one = away(client, 'one')
    other = newclient(name)
    other.run('pull', '-q', '-r', common)
    other.inspect('update', '-q', common)
    other.inspect('bookmark', 'mark')
    out = other.run('backup').out
    assert out.startswith('backed up 1 changeset (1 head, +1/-0)\n(there is ')
    other.run('debugstrip', '-q', '--no-backup', common)
    mine = other.commit({'b': 'b\n'}, 'mine')
    other.run('backup')
    assert sorted(finished(other)) == sorted([common, mine])
    two = away(other, 'two')
    one = away(one, name)
    one.inspect('bookmark', 'mark')
    assert one.run('backup').out == 'backed up 0 changesets (1 head, +0/-0)\n'
    third = away(one, 'three')
    # which one is meant is typed as it is shown
    fresh = newclient(name)
    result = fresh.run('backup', '--restore', ok=ABORTED)
    assert 'abort: which backup shall be restored?\n' in result.err
    shown = [line.split() for line in result.out.splitlines()[1:]]
    assert [line[-1] for line in shown] == [f'{fresh.path}'] * 2
    for line in shown:
        fresh.run('backup', '--restore', '--from', line[0])
    assert set(fresh.nodes('heads(draft())')) == {common, mine}
    assert sorted(finished(fresh)) == sorted([common, mine])
    assert third.path != two.path


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_copy(base: Repo, client: Repo) -> None:
    """One that has all that a clone has: it has a backup of its own as soon
    as one of them does what the other does not know of."""
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('backup')
    place = client.path
    shutil.copytree(place, place.with_name('copy'), symlinks=True)
    second = client.commit({'b': 'b\n'}, 'second')
    client.run('backup')
    one = away(client, 'one')
    copy = away(Repo(client.hg, place.with_name('copy')), place.name)
    third = copy.commit({'c': 'c\n'}, 'third')
    out = copy.run('backup').out
    assert out.startswith('backed up 1 changeset (1 head, +1/-0)\n(there is ')
    assert sorted(finished(copy)) == sorted([second, third])
    # one takes away what the other has
    copy = away(copy, 'copy')
    one = away(one, place.name)
    shutil.copytree(one.path, place.with_name('again'), symlinks=True)
    one.run('debugstrip', '-q', '--no-backup', first)
    one.run('backup')
    away(one, 'one')
    again = away(Repo(client.hg, place.with_name('again')), place.name)
    again.run('backup')
    assert sorted(finished(again)) == sorted([second, third])


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_another_is_quicker(base: Repo, client: Repo, tmp_path: Path) -> None:
    """What is committed and backed up while a backup begins stays there."""
    client.commit({'a': 'a\n'}, 'first')
    client.run('backup')
    slow = tmp_path / 'slow.py'
    slow.write_text(
        'import os\n'
        'from hgext3rd.bundlestore.client import views\n'
        'def reposetup(ui, repo):\n'
        '    if repo.local():\n'
        '        len(repo)\n'
        'get = views.get\n'
        'def late(*args):\n'
        '    views.get = get\n'
        f'    os.system("{client.hg.executable} commit -q -m second &&"\n'
        f'              " {client.hg.executable} backup -q")\n'
        '    return get(*args)\n'
        'views.get = late\n'
    )
    client.write({'a': 'b\n'})
    config = [f'extensions.slow={slow}']
    out = client.run('backup', config=config).out
    assert out == 'nothing to back up (1 head)\n'
    assert finished(client) == [client.node('.')]
    assert client.log('{desc}', '.') == 'second'


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_two_users(transport: Transport, base: Repo, client: Repo) -> None:
    """What one has seen of theirs is nothing that the other has seen."""
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('backup', transport.url(base, 'alice'))
    client.run('debugstrip', '-q', '--no-backup', first)
    second = client.commit({'b': 'b\n'}, 'second')
    client.run('backup', transport.url(base, 'bob'))
    client.run('debugstrip', '-q', '--no-backup', second)
    third = client.commit({'c': 'c\n'}, 'third')
    for user in ('alice', 'bob', 'alice', 'bob'):
        client.run('backup', transport.url(base, user))
        assert held(client, transport.url(base, user)) == [third]


def held(client: Repo, url: str) -> list[str]:
    """Return what is in the backups of a user."""
    found: list[str] = []
    shown = client.run('workspace', '-v', '-s', url, '-T', '{owner}/{name}\n')
    for name in shown.out.split():
        shown = client.run('workspace', '-s', url, '-T', 'json', name)
        found += json.loads(shown.out)[0]['heads']
    return found


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_dropped(base: Repo, client: Repo) -> None:
    """Who backs up wants it to be there."""
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('backup')
    (one,) = json.loads(client.run('workspace', '-v', '-T', 'json').out)
    client.run('workspace', '--drop', one['name'])
    assert client.run('backup').out == (
        'backed up 0 changesets (1 head, +0/-0)\n'
    )
    client.run('debugstrip', '-q', '--no-backup', first)
    client.run('backup', '--restore')
    assert client.nodes('draft()') == [first]


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_what_the_store_has_lost_is_sent_again(
    base: Repo, client: Repo
) -> None:
    client.commit({'a': 'a\n'}, 'first')
    client.run('backup')
    client.run('pushes', '--remove', '1')
    out = client.run('backup').out
    assert out == 'backed up 1 changeset (1 head, +0/-0)\n'
    assert client.run('backup').out == 'nothing to back up (1 head)\n'


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_path_in_another_encoding(
    base: Repo, newclient: Callable[..., Repo]
) -> None:
    client = newclient('clone-\xe9')
    client.commit({'a': 'a\n'}, 'first')
    client.run('backup', env={'HGENCODING': 'utf-8'})
    for encoding in ('latin-1', 'ascii'):
        out = client.run('backup', env={'HGENCODING': encoding}).out
        assert out == 'nothing to back up (1 head)\n'
    other = newclient('other')
    where = f':{client.path}'
    other.run(
        *('backup', '--restore', '--from', where), env={'HGENCODING': 'latin-1'}
    )
    assert other.nodes('draft()')


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_too_many_bookmarks(base: Repo, client: Repo) -> None:
    """That is no reason to lose changesets."""
    first = client.commit({'a': 'a\n'}, 'first')
    public = client.node(f'{first}^')
    lines = [f'{first} {name:05}' for name in range(10_001)]
    lines += [f'{first} {"b" * 300}']
    lines += [f'{public} {name:0200}' for name in range(4200)]
    (client.path / '.hg' / 'bookmarks').write_text('\n'.join(lines) + '\n')
    out = client.run('backup').out
    assert out == 'backed up 1 changeset (1 head, +1/-0)\n'
    assert client.run('backup').out == 'nothing to back up (1 head)\n'


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_server_without_a_store(
    transport: Transport, plainbase: Repo, newclient: Callable[..., Repo]
) -> None:
    client = newclient('client')
    for command in (('backup',), ('pull', '--workspace', 'w')):
        err = client.run(*command, ok=ABORTED).err
        assert ' has no bundle store\n(the server needs ' in err
