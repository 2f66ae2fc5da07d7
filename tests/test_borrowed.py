"""What the base has, but not below a push, is in the push's bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import Transport
from harness.store import bundles, folder

#: the same change as that of ``fixed``, on the same parent
FIX = {'README': 'a base repository, fixed\n'}

#: a client that knows nothing of ``fixed`` gets it as anybody does
some_combinations = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('ssh', matrix.NEWEST, matrix.NEWEST),
        pytest.param(
            *('http', matrix.VERSIONS[0], matrix.VERSIONS[1]),
            marks=matrix.ANOTHER,
        ),
        pytest.param(
            *('http', matrix.VERSIONS[1], matrix.VERSIONS[0]),
            marks=matrix.ANOTHER,
        ),
    ],
)


over_ssh = pytest.mark.parametrize('transport_name', ['ssh'])


@some_combinations
def test_same_change_as_one_that_landed(
    tmp_path: Path,
    hg: Callable[..., Hg],
    transport: Transport,
    base: Repo,
    client: Repo,
    client_version: str,
    hashes: History,
) -> None:
    first = client.commit(FIX, 'before it landed', parent=hashes.start)
    node = client.commit({'more.txt': 'more\n'}, 'and more')
    client.run('push', '--quiet', '--bundle-store', '-r', node)
    got = hg(client_version, False).clone(
        transport.url(base),
        tmp_path / 'got',
        *('-r', node),
        config=transport.commandline(),
    )
    assert got.nodes() == [hashes.start, first, node]
    got.verify()
    assert got.cat('README', first) == FIX['README']

    # it is part of the bundle: others who know no more can unbundle it
    (bundle,) = bundles(base)
    again = client.hg.init(tmp_path / 'again')
    again.inspect('pull', '--quiet', '-r', hashes.start, str(client.path))
    again.inspect('unbundle', '--quiet', str(bundle))
    again.verify()

    # and pushed again, it is the same bundle
    client.run('push', '--quiet', '--bundle-store', '--force', '-r', node)
    assert list(bundles(base)) == [bundle]


@over_ssh
@pytest.mark.slow('no command of Mercurial makes such a changeset')
def test_file_that_is_made_from_others(
    base: Repo, client: Repo, tmp_path: Path, hashes: History
) -> None:
    # README@fixed, then a later revision, both unknown below ``grown``
    landed = client.commit({'README': 'later\n'}, 'later', parent=hashes.fixed)
    client.run('push', '--quiet', '-r', landed)
    # A commit that takes over a revision whatever its parents are, as tools
    # that rewrite history do.
    script = tmp_path / 'take.py'
    script.write_text(
        'from mercurial import metadata, registrar\n'
        'cmdtable = {}\n'
        'command = registrar.command(cmdtable)\n'
        "@command(b'take', [], b'')\n"
        'def take(ui, repo, source, parent):\n'
        '    source, parent = repo[source], repo[parent]\n'
        "    with repo.lock(), repo.transaction(b'take') as tr:\n"
        '        cl = repo.changelog\n'
        '        made = repo.manifestlog[parent.manifestnode()].copy()\n'
        "        made.read()[b'README'] = source.filenode(b'README')\n"
        '        node = made.write(tr, len(cl), parent.manifestnode(),\n'
        "            repo.nullid, [b'README'], [])\n"
        "        files = metadata.ChangingFiles(touched=[b'README'])\n"
        "        cl.add(node, files, b'take', tr, parent.node(),\n"
        "            repo.nullid, b'alice', b'0 0')\n"
    )
    client.run(
        *('take', landed, hashes.start), config=[f'extensions.take={script}']
    )
    node = client.node('desc(take)')
    client.run('push', '--quiet', '--bundle-store', '-r', node)
    (bundle,) = bundles(base)
    again = client.hg.init(tmp_path / 'again')
    again.inspect('pull', '--quiet', '-r', hashes.start, str(client.path))
    again.inspect('unbundle', '--quiet', str(bundle))
    assert again.cat('README', node) == 'later\n'


@over_ssh
def test_what_is_removed_is_not_looked_for(
    base: Repo, client: Repo, hashes: History
) -> None:
    client.commit({'README': None}, 'removal', parent=hashes.tagged)
    client.run('push', '--quiet', '--bundle-store', '-r', '.')
    (bundle,) = bundles(base)
    assert b'a base repository' not in bundle.read_bytes()
    assert not list((folder(base) / 'bundles').rglob('*.tmp'))
