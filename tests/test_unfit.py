"""A base repository that no bundle store can be had for goes on without."""

from __future__ import annotations

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport
from harness.store import bundles

#: what a base gets that is upgraded to a changelog with side data
SIDEDATA = (
    'format.exp-use-changelog-v2=enable-unstable-format-and-corrupt-my-data'
)


@matrix.over('ssh')
def test_changelog_with_side_data(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """A pull would compute for ever."""
    node = client.commit({'a': 'a\n'}, 'scratch')
    client.run('push', '--bundle-store', '-r', node)
    base.hg.plain().run(
        *('-R', base.path, 'debugupgraderepo', '--run', '--no-backup'),
        config=[SIDEDATA],
    )
    said = str(vanilla.run('pull', '-r', node, ok=(255,)))
    assert f"unknown revision '{node}'" in said
    more = client.commit({'b': 'b\n'}, 'more')
    said = str(client.run('push', '--bundle-store', '-r', more, ok=(255,)))
    assert 'a bundle store does not work with' in said
    assert 'debugupgraderepo' in said
    assert len(bundles(base)) == 1
    said = str(client.run('pushes', ok=(255,)))
    assert 'a bundle store does not work with' in said
    # the base alone can do all that it could
    other = vanilla.commit({'c': 'c\n'}, 'landing')
    vanilla.run('push', '-r', other)
    client.run('pull')
    assert client.phase(other) == 'public'
    vanilla.run('incoming', ok=(1,))
