"""A short way through everything with releases of Mercurial between those that
the other tests run with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import environments
from harness import others
from harness.hg import Hg, Repo
from harness.servers import HttpTransport, serve_bundlestore
from harness.web import get

pytestmark = [
    pytest.mark.nightly('releases have to be fetched, some to be compiled'),
    pytest.mark.realstarts('each release starts'),
]

#: the last of each series, but of those in ``testedwith``
RELEASES = ('6.4.5', '6.5.3', '6.6.3', '6.7.4', '6.8.2', '7.1.2')


class Other(Hg):
    """Another release, with this project."""

    def __init__(self, version: str, folder: Path, temp: Path) -> None:
        super().__init__(version, True, {'TMPDIR': str(temp)})
        names = (f'mercurial=={version}', 'zope.interface')
        place = others.frompypi(folder, *names)
        python = environments.python(environments.ENVS / 'pip')
        self.executable = folder / 'hg'
        self.executable.write_text(
            '#!/bin/sh\n'
            f'PYTHONPATH={place}:{environments.ROOT} '
            f'exec {python} -S {place}/bin/hg "$@"\n'
        )
        self.executable.chmod(0o755)


@pytest.mark.parametrize('version', RELEASES)
def test_end_to_end(version: str, tmp_path: Path, tempfolder: Path) -> None:
    hg = Other(version, tmp_path / 'place', tempfolder)
    root = tmp_path / 'served'
    root.mkdir()
    hg.run('init', root / 'base')
    base = Repo(hg, root / 'base')
    serve_bundlestore(base, {}, {'push_ssl': 'no', 'allow-push': '*'})
    base.configure('push', {'pushvars.server': 'yes'})
    base.write({'a': 'a\n'})
    base.run('commit', '--addremove', '--message', 'base')
    base.run('phase', '--public', 'tip')
    transport = HttpTransport(hg, root)
    try:
        alice, bob = (
            hg.clone(transport.url(base), tmp_path / name)
            for name in ('alice', 'bob')
        )
        for repo in (alice, bob):
            repo.enable()
        alice.write({'a': 'tried\n'})
        told = ('--pushvars', 'TRY=linux')
        alice.run('push', '--bundle-store', '--working-copy', *told)
        url = transport.url(base)
        found = get(f'{url}/json-pushes?version=2&full=1').json()
        (changeset,) = found['pushes']['1']['changesets']
        node = changeset['node']
        words = ('--context', 'linux', '--state', 'success')
        base.run('admin::bundlestore-status', '1', *words)
        alice.run('pushes', '--wait')
        bob.run('update', node)
        assert (bob.path / 'a').read_text() == 'tried\n'
        bob.run('pushes')
        template = '{pushid} {pushstatus} {node}'
        log = bob.run('log', '--rev', 'pushed()', '--template', template).out
        assert log == f'1 success {node}'
        bob.write({'a': 'tried again\n'})
        bob.run('commit', '--message', 'more')
        bob.run('push', '--rev', '.', '-B', 'scratch/x')
        shown = bob.run('pushes', '-T', 'json', '--limit', '1').out
        (moved,) = json.loads(shown)[0]['bookmarks']
        assert moved['bookmark'] == 'scratch/x'
        alice.run('pull', '-B', 'scratch/x')
        for page in ('pushes', 'push/1', f'rev/{node}', 'atom-pushes'):
            answer = get(f'{url}/{page}')
            assert answer.status == 200, answer
            assert node[:12] in answer.text
        base.run('admin::bundlestore-land', node)
        base.run('update')
        base.write({'b': 'b\n'})
        base.run('commit', '--addremove', '--message', 'another')
        base.run('admin::bundlestore-land', '--rebase', 'scratch/x')
        base.run('update')
        assert (base.path / 'a').read_text() == 'tried again\n'
        assert 'landed as' in get(f'{url}/pushes').text
        assert node[:12] in bob.run('pushes').out
        base.run('admin::bundlestore-verify')
        base.run('admin::bundlestore-gc')
    finally:
        transport.close()
