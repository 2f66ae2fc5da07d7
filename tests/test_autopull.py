"""Commands fetch what they are given and do not know."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from harness import matrix
from harness.commandserver import CommandServer
from harness.connections import Connections
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.shelf import Shelf
from harness.snapshot import untouched

NAME = 'scratch/alice/some-thing'


@pytest.fixture
def pushed(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    shelf: Shelf,
) -> list[str]:
    author = newclient('author')

    def push() -> list[str]:
        nodes = [
            author.commit({f'f{n}': f'{n}\n'}, f'change {n}') for n in range(2)
        ]
        author.run('push', '-r', '.', '-B', NAME)
        return nodes

    return shelf.once(f'{transport.name} to update to', [base, author], push)


@matrix.every_version
def test_update(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    author, client = newclient('author'), newclient('client')
    node = author.commit({'a': 'a\n'}, 'change')
    author.run('push', '--bundle-store')
    with untouched(base.path):
        result = client.run('update', node)
    assert result.out.count(f'pulling {node[:12]} from ') == 1
    assert client.node('.') == node
    assert client.phase(node) == 'draft'


@pytest.mark.parametrize(
    'command',
    [
        ['log', '-r', '{}'],
        ['log', '-r', '::{}'],
        ['log', '-r', '{}^ + tip'],
        ['log', '-r', '{}::.'],
        ['log', '-r', 'only({}, tip)'],
        ['log', '-r', 'not (::{}) and tip'],
        ['diff', '-r', 'tip', '-r', '{}'],
        ['diff', '-c', '{}'],
        ['export', '{}'],
        ['cat', '-r', '{}', 'f1'],
        ['graft', '{}'],
        ['rebase', '--config', 'extensions.rebase=', '-s', '{}', '-d', '0'],
        ['merge', '{}'],
        ['archive', '-r', '{}', '../archive'],
        ['bookmark', '-r', '{}', 'here'],
        ['files', '-r', '{}'],
    ],
    ids=lambda command: ' '.join(command),
)
@matrix.over('ssh')
def test_commands(
    transport: Transport,
    base: Repo,
    client: Repo,
    pushed: list[str],
    hashes: History,
    command: list[str],
) -> None:
    client.commit({'other': 'other\n'}, 'mine')
    result = client.run(*(word.format(pushed[1]) for word in command))
    assert result.out.count('pulling ') == 1, result


@pytest.mark.parametrize('name', ['prefix', 'bookmark'])
def test_prefix_and_bookmark(
    transport: Transport,
    base: Repo,
    client: Repo,
    pushed: list[str],
    name: str,
) -> None:
    word = {'prefix': pushed[1][:7], 'bookmark': NAME}[name]
    result = client.run('update', word)
    assert f'pulling {word} from' in result.out
    assert client.node('.') == pushed[1]
    bookmarks = client.log('{bookmarks}', '.')
    assert bookmarks == (NAME if name == 'bookmark' else '')


@matrix.over('ssh')
def test_several_in_one_round_trip(
    transport: Transport, base: Repo, client: Repo, pushed: list[str]
) -> None:
    client.run('log', '-r', f'{pushed[0]} + {pushed[1][:8]} + {NAME}')
    assert client.nodes('draft()') == pushed


@matrix.over('ssh')
def test_hash_that_is_a_name_elsewhere(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """The server has a bookmark that looks like a hash: that was not meant."""
    node = base.commit({'a': 'a\n'}, 'not asked for')
    base.inspect('bookmark', '-r', node, 'abcdef123456')
    result = client.run('update', 'abcdef123456', ok=(255,))
    assert "abort: unknown revision 'abcdef123456'" in result.err
    assert not client.knows(node)


@matrix.over('ssh')
def test_typo_costs_one_connection(
    transport: Transport, base: Repo, client: Repo
) -> None:
    connections = Connections(client, transport)
    result = client.run('update', 'abcdef123456', ok=(255,))
    assert "abort: unknown revision 'abcdef123456'" in result.err
    assert connections.count() == 1
    result = client.run('diff', '-r', 'abcdefabcdef', '-r', 'tip', ok=(255,))
    assert "abort: unknown revision 'abcdefabcdef'" in result.err
    assert connections.count() == 2


@pytest.fixture
def commandserver(
    client: Repo,
) -> Iterator[Callable[[], CommandServer]]:
    """``commandserver()``: one in ``client``, as it is configured then."""
    with contextlib.ExitStack() as stack:

        def start() -> CommandServer:
            server = CommandServer(client)
            stack.callback(server.close)
            return server

        yield start


@matrix.over('ssh')
@matrix.each_version('client_version')
def test_command_server_asks_again(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    commandserver: Callable[[], CommandServer],
) -> None:
    """What was not there for one command may be for the next."""
    author = newclient('author')
    node = author.commit({'a': 'a\n'}, 'pushed late')
    connections = Connections(client, transport)
    server = commandserver()
    for count in (1, 2):
        code, text = server.run('diff', '-r', node, '-r', 'tip')
        assert code == 255, text
        assert f"unknown revision '{node}'" in text
        assert connections.count() == count, 'once each time'
    author.run('push', '--bundle-store')
    code, text = server.run('update', node)
    assert code == 0, text
    assert client.node('.') == node


@pytest.mark.parametrize('word', ['nonsense', 'abcde', 'ABCDEF12', 'v1.x'])
@matrix.over('ssh')
def test_what_is_no_hash_costs_none(
    transport: Transport, base: Repo, client: Repo, word: str
) -> None:
    connections = Connections(client, transport)
    result = client.run('update', word, ok=(255,))
    assert 'abort: ' in result.err
    assert connections.count() == 0


@matrix.over('ssh')
def test_what_is_known_costs_none(
    transport: Transport, base: Repo, client: Repo, hashes: History
) -> None:
    connections = Connections(client, transport)
    client.run('log', '-r', hashes.start)
    client.run('log', '-r', f'{hashes.left[:6]}::tip')
    client.run('log', '-r', 'f' * 40)
    assert connections.count() == 0


def test_turned_off(
    transport: Transport, base: Repo, client: Repo, pushed: list[str]
) -> None:
    client.configure('bundlestore', {'autopull': 'no'})
    result = client.run('update', pushed[1], ok=(255,))
    assert f"abort: unknown revision '{pushed[1]}'" in result.err


def land(author: Repo) -> str:
    node = author.commit({'a': 'a\n'}, 'landed')
    author.run('push')
    return node


def test_server_without_a_bundle_store(
    plainbase: Repo, client: Repo, vanilla: Repo
) -> None:
    """Nothing that was not asked for is pulled from just any server."""
    node = land(vanilla)
    result = client.run('update', node, ok=(255,))
    assert f"abort: unknown revision '{node}'" in result.err


def test_landed_changeset(base: Repo, client: Repo, vanilla: Repo) -> None:
    node = land(vanilla)
    client.run('update', node)
    assert client.phase(node) == 'public'


@matrix.over('ssh')
def test_server_does_not_pull_itself(
    transport: Transport, base: Repo, client: Repo, pushed: list[str]
) -> None:
    """A served repository may have a default path of its own."""
    base.configure('paths', {'default': str(base.path)})
    with untouched(base.path):
        base.run('log', '-r', pushed[1], ok=(255,))
