"""Clients with core's remotefilelog, which fetch contents of files later."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import Transport
from harness.store import tryurl


@pytest.fixture
def served(base: Repo) -> Repo:
    """The base, as such clients need it."""
    base.configure('extensions', {'remotefilelog': ''})
    base.configure('remotefilelog', {'server': 'yes'})
    return base


@pytest.fixture
def shallow(
    transport: Transport,
    served: Repo,
    hashes: History,
    hg: Callable[..., Hg],
    client_version: str,
    tmp_path: Path,
) -> Repo:
    """A client without the contents, and without the end of the base."""
    config = [
        'extensions.remotefilelog=',
        f'remotefilelog.cachepath={tmp_path / "cache"}',
        'remotefilelog.reponame=base',
        *transport.commandline(),
    ]
    made = hg(client_version, False).clone(
        transport.url(served),
        *(tmp_path / 'shallow', '--shallow', '-r', hashes.left),
        config=config,
    )
    for item in config:
        name, _equals, value = item.partition('=')
        section, _dot, key = name.partition('.')
        made.configure(section, {key: value})
    return made


versions = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('ssh', matrix.VERSIONS[0], matrix.NEWEST),
        *(
            pytest.param(
                *(name, version, version),
                marks=[matrix.ANOTHER, pytest.mark.nightly('and the others')],
            )
            for version in matrix.VERSIONS
            for name in ('ssh', 'http')
        ),
    ],
)


@versions
def test_contents_come_along(
    transport: Transport, served: Repo, client: Repo, shallow: Repo
) -> None:
    first = client.commit({'a': 'a\n', 'README': 'changed\n'}, 'first')
    client.inspect('copy', '-q', 'docs/manual.txt', 'copy')
    second = client.commit({'copy': 'other\n'}, 'second')
    client.run('push', '--bundle-store')
    # a part of a bundle, behind what the client lacks of the base; then as it
    # is stored
    for node, name, text in (
        (first, 'README', 'changed\n'),
        (second, 'copy', 'other\n'),
    ):
        shallow.run('pull', '-r', node)
        shallow.run('update', '-q', '-r', node)
        assert (shallow.path / name).read_text() == text
    # and back
    made = tryurl(transport, served)
    shallow.write({'a': 'mine\n'})
    shallow.run('commit', '-m', 'mine')
    pushed = shallow.run('push', transport.url(made))
    assert 'stored 3 changesets as push 2' in pushed.out
    mine = shallow.run('log', '-r', '.', '-T', '{node}').out
    client.run('pull', '-r', mine)
    assert client.cat('a', mine) == 'mine\n'


LAYERS = """\
import sys
from mercurial import changegroup, extensions, ui as uimod
ui = uimod.ui.load()
extensions.loadall(ui)
extensions.populateui(ui)
from hgext3rd.bundlestore import compat, server
from hgext3rd.bundlestore.bundle import overlay
repo = compat.repository(ui, sys.argv[1].encode())
before = changegroup.cgpacker.generatefiles
push = server.of(repo).index.push(1)
overlay.openbundles(repo, server.of(repo), [push.key]).close()
assert changegroup.cgpacker.generatefiles is before
"""


@matrix.over('ssh')
def test_pages_pile_nothing_up(
    transport: Transport, served: Repo, client: Repo
) -> None:
    """What remotefilelog wraps for a repository, it wraps once more for each
    that it is shown: it must not be shown an overlay for each page."""
    client.commit({'a': 'a\n'}, 'one')
    client.run('push', '--bundle-store')
    subprocess.run(
        [transport.hg.python, '-c', LAYERS, served.path],
        env={
            **transport.serverenviron,
            'HGRCPATH': str(served.hgrc),
        },
        check=True,
    )
