"""What is wanted of stored bundles goes out without an overlay.

``test_verbatim.py`` compares some such answers with those of overlays, and
``test_roundtrip.py`` compares many with pulls from a plain repository.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import forgery, matrix, rawpush
from harness.answers import Log
from harness.changegroups import Stream
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import Transport

over_ssh = pytest.mark.parametrize('transport_name', ['ssh'])


def lines(seed: int) -> list[str]:
    """Return lines that no compression makes much smaller."""
    made = random.Random(seed)
    return [f'{made.getrandbits(200):x}\n' for _number in range(400)]


@matrix.over('ssh', later=['http'])
def test_amended_stack(
    tmp_path: Path,
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
    log: Log,
) -> None:
    """Its new top, its lower half, and each with what the base lacks."""
    one = client.commit({'one': '1\n'}, 'one', parent=hashes.tagged)
    two = client.commit({'one': '2\n', 'two': '2\n'}, 'two')
    old = client.commit({'one': '3\n', 'three': '3\n'}, 'three')
    client.run('push', '-q', '--bundle-store')
    # the content of the new top is that of the old one, all but a file
    client.inspect('update', '-q', two)
    client.inspect('revert', '-q', '-a', '-r', old)
    top = client.commit({'four': '4\n'}, 'three and four')
    client.run('push', '-q', '--bundle-store', '-r', top)
    log.new()

    vanilla = newclient('vanilla', ext=False)
    vanilla.run('pull', '-q', '-r', top)
    assert log.new() == ['some 3']
    assert vanilla.nodes('draft()') == [one, two, top]
    vanilla.verify()
    assert vanilla.cat('three', top) == '3\n'
    assert vanilla.cat('one', top) == '3\n'
    vanilla.run('pull', '-q', '-r', old)
    assert log.new() == ['3']
    vanilla.verify()
    lower = newclient('lower', ext=False)
    lower.run('pull', '-q', '-r', two)
    assert log.new() == ['some 2']
    lower.verify()
    clone = vanilla.hg.clone(
        transport.url(base),
        tmp_path / 'clone',
        *('-r', two),
        config=transport.commandline(),
    )
    assert log.new() == ['some 8 behind']
    clone.verify()


@over_ssh
@pytest.mark.parametrize('client_version', [matrix.VERSIONS[0]])
def test_made_from_what_is_left_out(
    client: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
    log: Log,
) -> None:
    """The second of two heads comes as what differs from the first, from
    clients of such a version."""
    text = lines(1)
    first = client.commit(
        {'large.txt': ''.join(text), 'more.txt': 'more\n'},
        'first',
        parent=hashes.tagged,
    )
    text[7] = 'changed\n'
    second = client.commit(
        {'large.txt': ''.join(text), 'other.txt': 'other\n'},
        'second',
        parent=hashes.tagged,
    )
    client.run('push', '-q', '--bundle-store', '-r', first, '-r', second)
    vanilla = newclient('vanilla', ext=False)
    vanilla.run('pull', '-q', '-r', second)
    assert log.new() == ['some 1']
    assert not vanilla.knows(first)
    vanilla.verify()
    assert vanilla.cat('large.txt', second) == ''.join(text)


@over_ssh
def test_below_what_is_left_out(
    tmp_path: Path,
    transport: Transport,
    base: Repo,
    client: Repo,
    client_version: str,
    hg: Callable[..., Hg],
    hashes: History,
    log: Log,
) -> None:
    """A revision that the base has, though not for this changeset, takes an
    overlay."""
    left = client.commit({'left': 'left\n'}, 'left', parent=hashes.fixed)
    # the same change as that of ``fixed``
    readme = client.cat('README', hashes.fixed)
    right = client.commit({'README': readme}, 'right', parent=hashes.start)
    client.run('push', '-q', '--bundle-store', '-r', left, '-r', right)
    log.new()
    vanilla = hg(client_version, False).clone(
        transport.url(base),
        tmp_path / 'vanilla',
        *('-r', right),
        config=transport.commandline(),
    )
    assert log.new() == ['overlay']
    assert vanilla.nodes() == [hashes.start, right]
    vanilla.verify()
    assert vanilla.cat('README', right) == readme


@over_ssh
def test_made_from_itself(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo, log: Log
) -> None:
    """A push with manifests that cannot be rebuilt is not read for ever."""
    lower = bytes.fromhex('11' * 20), bytes.fromhex('22' * 20)
    one = forgery.changeset([b'a'], lower[0])
    two = forgery.changeset([b'a'], lower[1], p1=one.entry.node)
    manifests = [
        forgery.revision(b'', top.entry.node, node=node, delta=b'', base=other)
        for top, node, other in zip((one, two), lower, reversed(lower))
    ]
    push = forgery.pushof(Stream((one, two), tuple(manifests)))
    assert rawpush.send(client, transport.url(base), [push]) == [{}]
    log.new()
    for node in (one.entry.node.hex(), two.entry.node.hex()):
        result = vanilla.run('pull', '-r', node, ok=(1, 255))
        assert 'abort: ' in result.err
        assert not vanilla.knows(node)
