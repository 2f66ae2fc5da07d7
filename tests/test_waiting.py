"""``hg pushes --wait`` that names no push: the last one that was made here."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport
from harness.store import folder, tryurl
from hgext3rd.bundlestore.client import waiting
from hgext3rd.bundlestore.wire.pushes import Query

STATUS = 'admin::bundlestore-status'
NOW = ('--timeout', '0')


def told(base: Repo, id: int, state: str) -> None:
    base.run(STATUS, str(id), '--context', 'linux', '--state', state)


def waited(repo: Repo, *args: str) -> str:
    """Return what push is waited for."""
    result = repo.run('pushes', *args, '--wait', *NOW, ok=(255,))
    begin, _hash, _rest = result.out.partition(' (')
    assert begin.startswith('waiting for push '), str(result)
    return begin.rpartition(' ')[2]


def refused(repo: Repo, *args: str) -> str:
    return repo.run('pushes', *args, '--wait', *NOW, ok=(10, 255)).err


@matrix.each_version('client_version')
@matrix.over('ssh')
def test_try_run(transport: Transport, base: Repo, client: Repo) -> None:
    """As a user types it."""
    nothing = refused(client)
    assert (
        'abort: no push to default is known that was made from here' in nothing
    )
    assert "(name it, 'hg pushes' lists the pushes)" in nothing
    client.write({'README': 'to be tested\n'})
    out = client.run('push', '--bundle-store', '--working-copy').out
    node = out.split('as push 1\n')[1].split()[1]
    told(base, 1, 'success')
    done = client.run('pushes', '--wait')
    assert done.out == (
        f'waiting for push 1 ({node})\nstatus:      linux success\n'
    )
    told(base, 1, 'failure')
    failed = client.run('pushes', '--wait', '-Tjson', ok=(1,))
    (found,) = json.loads(failed.out)
    assert found['push'] == 1


@matrix.over('ssh')
def test_which_server(transport: Transport, base: Repo, client: Repo) -> None:
    made = tryurl(transport, base)
    client.configure('paths', {'try': transport.url(made)})
    client.configure('paths', {'try:pushrev': '.'})
    for n in range(3):
        client.commit({'a': f'{n}\n'}, f'{n}')
        client.run('push', *(['try'] if n else ['--bundle-store', '-r', '.']))
    assert waited(client) == '1'
    assert waited(client, 'try') == '3'
    assert waited(client, transport.url(made)) == '3'
    # where pulls come from elsewhere
    client.configure('paths', {'pulled': str(base.path)})
    client.configure('paths', {'pulled:pushurl': transport.url(made)})
    assert waited(client, 'pulled') == '3'
    client.configure('paths', {'default-push': transport.url(made)})
    assert waited(client) == '3'
    other = ['paths.default=/nowhere', 'paths.default-push=/nowhere']
    message = client.run('pushes', '--wait', config=other, ok=(10, 255)).err
    assert '(the last one was push 3 to ssh://' in message
    # the server began anew, and has other pushes with these numbers
    shutil.rmtree(folder(base))
    for n in range(3):
        node = client.commit({'b': f'{n}\n'}, f'{n}', parent='0')
        pushing = ['--bundle-store', '-r', node, str(base.path)]
        client.run('push', *pushing)
    assert "abort: no push '3'" in refused(client, 'try')


@matrix.over('ssh')
def test_each_working_copy_has_its_own(
    transport: Transport, base: Repo, client: Repo
) -> None:
    share = Repo(client.hg, client.path.with_name('share'))
    client.configure('extensions', {'share': ''})
    client.run('share', '.', share.path)
    shutil.copy(client.hgrc, share.hgrc)
    for repo in (client, share):
        repo.write({'README': f'{repo.path}\n'})
        repo.run('push', '--bundle-store', '--working-copy')
    assert waited(client) == '1'
    assert waited(share) == '2'
    # they know the same
    assert len(list((client.path / '.hg/cache/bundlestore').iterdir())) == 1
    assert not (share.path / '.hg/cache').exists()


@matrix.over('ssh')
def test_subcommand_without_a_repository(
    transport: Transport, base: Repo, client: Repo
) -> None:
    outside = client.path.parent
    result = client.hg.run(
        'pushes',
        '--wait',
        transport.url(base),
        cwd=outside,
        config=['extensions.bundlestore='],
        ok=(10, 255),
    )
    assert 'is known that was made from here' in result.err


@pytest.mark.parametrize(
    ('words', 'name', 'source'),
    [
        ('', None, None),
        ('12', '12', None),
        ('12 try', '12', 'try'),
        ('try 12', '12', 'try'),
        ('try', None, 'try'),
        ('https://hg.example.org/x', None, 'https://hg.example.org/x'),
        ('. scratch/x', 'scratch/x', '.'),
        ('scratch/x .', 'scratch/x', '.'),
        ('abcdef', 'abcdef', None),
        ('abcdef 12', 'abcdef', '12'),
        ('other', 'other', None),
        ('other try', 'other', 'try'),
        ('try other', 'other', 'try'),
        ('other elsewhere', 'other', 'elsewhere'),
    ],
)
def test_words(words: str, name: str | None, source: str | None) -> None:
    """Either may come first, as ``--wait`` may stand anywhere."""
    ui: Any = SimpleNamespace(
        paths={b'try': None},
        config=lambda section, item: b're:^scratch/',
    )
    found = waiting._meant(ui, [word.encode() for word in words.split()])
    assert found == tuple(x and x.encode() for x in (name, source))


@pytest.mark.parametrize('there', [True, False])
def test_number_that_may_be_a_hash(there: bool) -> None:
    asked = []

    def ask(query: Query) -> dict[str, Any]:
        asked.append(query)
        return {'pushes': [{'push': 123456 if there else 123}]}

    query = waiting._query(ask, b'123456')
    assert (query.last, query.rev) == (
        (123456, None) if there else (None, '123456')
    )
    assert waiting._query(ask, b'12345').last == 12345
    assert len(asked) == 1


@matrix.over('ssh')
def test_too_many_words(client: Repo) -> None:
    for words in (['a', 'b'], ['--wait', 'a', 'b', 'c']):
        result = client.run('pushes', *words, ok=(10, 255))
        assert 'hg pushes: invalid arguments\n' in result.err
