"""The store ``command``, with commands of a shell."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mercurial import config as configmod

import environments
from harness import matrix
from harness.hg import Repo
from harness.snapshot import untouched
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.declaring import provides
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.store import (
    GOOD,
    HOSTILE,
    StoreConformance,
    content,
    keyof,
    readwhole,
)

pytestmark = [
    pytest.mark.slow('the whole suite, by processes of the administrator'),
    pytest.mark.filterwarnings(processes.IGNOREFORKS),
]

ITEMS = ('put-command', 'get-command', 'delete-command', 'list-command')


def commands(root: Path) -> dict[str, str]:
    """Return the configuration of a store in the folder ``root``."""
    to = f'cd {root} 2>/dev/null || exit 3;'
    return {
        'put-command': f'mkdir -p "{root}/${{HGBS_KEY%/*}}" && cd {root}'
        ' && cp -- "$HGBS_FILE" "$HGBS_KEY.$$"'
        ' && mv -- "$HGBS_KEY.$$" "$HGBS_KEY"',
        'get-command': f'{to} test -e "$HGBS_KEY" || exit 3;'
        ' cp -- "$HGBS_KEY" "$HGBS_FILE"',
        'delete-command': f'{to} test -e "$HGBS_KEY" || exit 3;'
        ' rm -- "$HGBS_KEY"',
        'list-command': f'{to} test -e "$HGBS_KEY" || exit 3;'
        r" find $HGBS_KEY -type f -printf '%p %s %T@\n'",
    }


@pytest.mark.slow('a shell for each thing that is done')
class TestCommandStore(StoreConformance):
    def makestore(self, place: model.Place) -> Any:
        root = Path(os.fsdecode(place.directory)) / 'elsewhere'
        config = commands(root)
        return backends.openstore('command', place._replace(config=config))

    def damage(self, store: Any, key: str, data: bytes | None) -> None:
        folder = Path(os.fsdecode(store._spool._folder)).parent
        path = folder / 'elsewhere' / 'bundles' / key[:2] / key
        path.unlink()
        if data is not None:
            path.write_bytes(data)


Make = Callable[..., Any]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / 'elsewhere'


@pytest.fixture
def make(tmp_path: Path, root: Path) -> Make:
    """``make(item=command)``: a store, with some commands that are others."""

    def make(**others: str) -> Any:
        config = commands(root)
        config.update({k.replace('_', '-'): v for k, v in others.items()})
        directory = os.fsencode(tmp_path / 'bundlestore')
        place = model.Place(directory, config=config)
        return backends.openstore('command', place)

    return make


# -- failures


@pytest.mark.parametrize(
    ('command', 'says'),
    [
        ('exit 1', 'failed with exit code 1$'),
        ('exit 2', 'failed with exit code 2$'),
        ('exit 5', 'failed with exit code 5$'),
        ('echo first >&2; echo "no host" >&2; exit 255', 'code 255: no host$'),
        ('printf "a\\033[1m\\0b\\rc\\n \\n" >&2; exit 1', r'1: a \[1m b c$'),
        ('kill -9 $$', 'was ended by signal 9$'),
        ('/no/such/command', 'code 127: .*/no/such/command'),
        ('yes talk | head -c 9000000 >&2; exit 7', 'exit code 7: .*talk$'),
        ('yes talk | head -c 9000000; exit 7', 'exit code 7$'),
        ('sleep 60', 'took longer than 0.2 s$'),
        ('trap "" TERM INT; sleep 60 & wait', 'took longer than 0.2 s$'),
        ('exec 2>&-; sleep 60', 'took longer than 0.2 s$'),
    ],
)
def test_failures_are_told(make: Make, command: str, says: str) -> None:
    patience = '0.2' if '0.2' in says else '60'
    store = make(
        **{item.replace('-', '_'): command for item in ITEMS},
        command_timeout=patience,
    )
    begin = time.monotonic()
    for item, action in (
        ('put-command', lambda: store.put([b'some'])),
        ('put-command', lambda: store.putnote('ab/x.json', b'{}')),
        ('get-command', lambda: store.open(GOOD)),
        ('get-command', lambda: store.note('ab/x.json')),
        ('delete-command', lambda: store.delete(GOOD)),
        ('delete-command', lambda: store.deletenote('ab/x.json')),
        ('list-command', lambda: [*store.keys()]),
        ('list-command', lambda: [*store.notes('ab/')]),
        ('list-command', lambda: store.size(GOOD)),
    ):
        with pytest.raises(errors.BackendUnavailable) as caught:
            action()
        assert re.search(says, str(caught.value)), caught.value
        assert str(caught.value).startswith(f'{item} of the bundle store ')
        assert caught.value.hint is not None
        assert f'bundlestore.{item}' in caught.value.hint
    assert time.monotonic() - begin < 30
    assert [*store.strays(0)] == []


def test_what_a_failed_command_printed_is_no_list(make: Make) -> None:
    store = make(list_command=f'echo bundles/ab/{GOOD} 1 1; exit 1')
    found = store.keys()
    with pytest.raises(errors.BackendUnavailable):
        next(found)


def test_commands_that_are_not_set(make: Make) -> None:
    store = make(put_command='', list_command='')
    troubles = [str(exc) for exc in store.troubles()]
    assert troubles == [
        'bundlestore.put-command is not set',
        'bundlestore.list-command is not set',
    ]
    assert provides(store, 'ISelfCheck')

    def unread() -> Any:
        raise AssertionError('nothing is read of a push in vain')
        yield b''

    for action in (lambda: store.put(unread()), lambda: [*store.keys()]):
        with pytest.raises(errors.BackendUnavailable, match='is not set') as e:
            action()
        assert e.value.hint is not None
        assert all(item in e.value.hint for item in ITEMS)
    assert [*make().troubles()] == []


def test_urls_that_say_too_much(tmp_path: Path) -> None:
    place = model.Place(os.fsencode(tmp_path))
    for url in ('command:', 'command:/x', 'command:rm -rf'):
        with pytest.raises(errors.UnknownScheme):
            backends.openstore(url, place)


# -- what a command gets, and says


def test_what_a_command_gets(make: Make, tmp_path: Path) -> None:
    """Nothing but what is a key gets as far as that, in the environment."""
    log = tmp_path / 'log'
    note = f'echo "$0 $# $HGBS_KEY [$HGBS_FILE]" >>{log}; cat >>{log}; exit 3'
    store = make(
        get_command=note,
        delete_command=note,
        list_command=note,
        put_command=note.replace('exit 3', f'cat "$HGBS_FILE" >>{log}'),
    )
    for method in (store.open, store.size, store.delete, store.modified):
        for key in HOSTILE:
            with pytest.raises(errors.InvalidKey):
                method(key)
    for prefix in ('../', '$(touch x)/', 'a b/', '-x/', '/', 'x/'):
        assert [*store.notes(prefix)] == []
    assert not log.exists()
    with pytest.raises(errors.UnknownKey):
        store.delete(GOOD)
    with pytest.raises(errors.UnknownNote):
        store.note('ab/x.json')
    assert [*store.notes('ab/x')] == []
    assert [*store.keys()] == []
    key = store.put([b'some'])
    lines = re.sub(r'\[/[^]]*\]', '[FILE]', log.read_text()).splitlines()
    assert lines == [
        f'/bin/sh 0 bundles/ab/{GOOD} []',
        '/bin/sh 0 notes/ab/x.json [FILE]',
        '/bin/sh 0 notes/ab []',
        '/bin/sh 0 bundles []',
        f'/bin/sh 0 bundles/{key[:2]}/{key} [FILE]',
        'some',
    ]


def test_what_a_list_may_say(make: Make, tmp_path: Path) -> None:
    other = keyof(b'other')
    folder = f'bundles/{other[:2]}'
    lines = [
        f'bundles/ab/{GOOD}',
        f'bundles/{other}',
        f'bundles/ab/{other}',
        f'{folder}/{other} 12 1700000000.5 and so on',
        f'./{folder}/{other}',
        f'/srv/{folder}/{other}',
        f'{folder}/{other}.part 12',
        f'{folder}/{other[:-1]} 12',
        f'{folder}/{other}/x 12',
        f'{folder}/{other} many',
        f'notes/ab/{other} 12',
        other,
        'bundles/' + 'a' * 5000,
        'bundles/\xff',
        '',
        'x' * 3000000,
    ]
    file = tmp_path / 'list'
    file.write_text('\n'.join(lines))
    store = make(list_command=f'cat {file}')
    assert [*store.keys()] == [GOOD]
    assert [*store.notes()] == []


def test_lists_without_sizes_and_times(make: Make, root: Path) -> None:
    short = 'cd {0} && find "$HGBS_KEY" -type f 2>/dev/null; true'
    store = make(list_command=short.format(root))
    key = store.put([content('some', 100000)])
    assert [*store.keys()] == [key]
    assert store.size(key) == 100000
    # it is never old enough to go
    os.utime(root / 'bundles' / key[:2] / key, (0, 0))
    assert abs(store.modified(key) - time.time()) < 60
    with pytest.raises(errors.UnknownKey):
        store.size(GOOD)


def test_a_get_command_that_does_nothing(make: Make) -> None:
    with pytest.raises(errors.BackendUnavailable, match='left no file'):
        make(get_command='true').open(GOOD)


def test_what_a_command_leaves_running(make: Make, root: Path) -> None:
    """It is not waited for, though it could go on to print."""
    store = make(get_command=commands(root)['get-command'] + '; sleep 20 &')
    begin = time.monotonic()
    key = store.put([b'some'])
    assert readwhole(store, key) == b'some'
    assert time.monotonic() - begin < 15


def test_a_list_that_nobody_reads_to_its_end(make: Make) -> None:
    store = make()
    for number in range(3):
        store.put([b'%d' % number])
    assert next(iter(store.keys()))
    assert len([*store.keys()]) == 3


# -- what docs/backends.rst shows


@pytest.mark.parametrize('tool', ['rclone', 'ssh'])
def test_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    text = (environments.ROOT / 'docs/backends.rst').read_text('utf-8')
    blocks = re.findall(r'::\n\n((?:  .*\n|\n)+)', text)
    (block,) = (b for b in blocks if f'put-command = {tool} ' in b)
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    block = textwrap.dedent(block).replace('/srv/hg', str(elsewhere))
    parsed = configmod.config()
    parsed.parse(b'example', block.encode())
    config = {k.decode(): v.decode() for k, v in parsed.items(b'bundlestore')}
    tools = tmp_path / 'bin'
    tools.mkdir()
    (tools / 'ssh').write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    (tools / 'ssh').chmod(0o755)
    path = [str(tools), str(Path(sys.executable).parent), os.environ['PATH']]
    monkeypatch.setenv('PATH', ':'.join(path))
    monkeypatch.setenv('RCLONE_CONFIG_REMOTE_TYPE', 'alias')
    monkeypatch.setenv('RCLONE_CONFIG_REMOTE_REMOTE', str(elsewhere))
    place = model.Place(os.fsencode(tmp_path / 'bundlestore'), config=config)
    store = backends.openstore(config['store'], place)
    assert [*store.keys()] == []
    key = store.put([b'some'])
    store.putnote('ab/x.json', b'before')
    store.putnote('ab/x.json', b'{}')
    assert [*store.keys()] == [key]
    assert [*store.notes('ab/')] == ['ab/x.json']
    assert store.size(key) == 4
    assert abs(store.modified(key) - time.time()) < 60
    assert readwhole(store, key) == b'some'
    assert store.note('ab/x.json') == b'{}'
    store.delete(key)
    for method in (store.open, store.delete, store.size):
        with pytest.raises(errors.UnknownKey):
            method(key)


@matrix.over('ssh')
def test_a_push_that_cannot_be_put(
    base: Repo, client: Repo, newclient: Callable[..., Repo], tmp_path: Path
) -> None:
    """One line says so, nothing is stored, and the base goes on."""
    root = tmp_path / 'elsewhere'
    good = commands(root)
    base.configure('bundlestore', {'store': 'command', **good})
    bad = {'put-command': "echo 'disk of alice is full' >&2; exit 9"}
    base.configure('bundlestore', bad)
    node = client.commit({'a': 'a\n'}, 'first')
    with untouched(base.path):
        result = client.run('push', '--bundle-store', ok=[255])
    assert (
        'abort: put-command of the bundle store failed with exit code 9:'
        ' disk of alice is full\n' in result.err
    )
    assert "look at 'bundlestore.put-command')" in result.err
    spool = base.path / '.hg' / 'bundlestore' / 'spool' / 'tmp'
    assert [*spool.iterdir()] == []
    base.configure('bundlestore', {'put-command': good['put-command']})
    assert 'push 1' in client.run('push', '--bundle-store').out
    # what was pushed here is here; elsewhere it would not be had
    base.configure('bundlestore', {'get-command': ''})
    newclient('other').run('pull', '-r', node)
    shutil.rmtree(base.path / '.hg' / 'bundlestore' / 'cache')
    more = newclient('more')
    result = more.run('pull', '-r', node, ok=[255])
    assert 'bundlestore.get-command is not set' in result.err
    assert 'abort: ' in result.err
    more.run('pull')
    result = base.run('admin::bundlestore-stats', '--check', ok=[1])
    assert 'bundlestore.get-command is not set' in result.out + result.err
