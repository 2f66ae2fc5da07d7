"""A real Buildbot builds what is pushed, as ``docs/ci.rst`` sets it up.

Its step for Mercurial is its own, and the worker's Mercurial is without this
project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import matrix
from harness.buildbot import Buildbot
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import NOBODY, Transport, WsgiTransport

pytestmark = [
    pytest.mark.nightly('Buildbot has to be fetched'),
    pytest.mark.parametrize('transport_name', ['wsgi']),
]

MAKEFILE = 'test:\n\techo "$$PUSHVARS"\n\tgrep -q good state\n'
ANY = "schedulers.ForceScheduler(name='any', builderNames=['try'])"


@pytest.fixture
def webconfig() -> dict[str, str]:
    return {'push_ssl': 'no', 'allow-push': '*'}


@pytest.fixture
def base(base: Repo) -> Repo:
    base.configure('bundlestore', {'allow-status': 'carol'})
    base.configure('push', {'pushvars.server': 'yes'})
    return base


@pytest.fixture
def buildbot(
    transport: Transport, base: Repo, buildbotpackages: Path, tmp_path: Path
) -> Iterator[Buildbot]:
    folder = tmp_path / 'buildbot'
    folder.mkdir()
    # a reporter for another repository, too
    reporters = "c['services'] = [PushStatus(URL, auth=LOGIN)"
    words = {
        reporters: f"{reporters}, PushStatus(URL + '-other', auth=LOGIN)",
        'https://hg.example.org/project': transport.url(base, NOBODY),
        "LOGIN = ('buildbot'": "LOGIN = ('carol'",
        # what takes no care
        "c['schedulers'] = [": f"c['schedulers'] = [{ANY},",
    }
    made = Buildbot(buildbotpackages, folder, words)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def pushed(client: Repo, name: str, state: str, parent: str) -> str:
    files = {'Makefile': MAKEFILE, 'state': f'{state} {name}\n'}
    node = client.commit(files, name, parent=parent)
    words = ('--bundle-store', '-r', node, '--pushvars', f'NAME={name}')
    client.run('push', *words)
    return node


@pytest.mark.parametrize('version', [matrix.VERSIONS[0], matrix.NEWEST])
def test_builds_what_is_pushed(
    buildbot: Buildbot,
    client: Repo,
    hashes: History,
    hg: Callable[..., Hg],
    version: str,
) -> None:
    # all wait for a worker: none of them is left out
    nodes = [
        pushed(client, 'first', 'good', hashes.tagged),
        pushed(client, 'second', 'bad', hashes.tagged),
        pushed(client, 'third', 'good', hashes.fixed),
    ]
    buildbot.worker(hg(version, ext=False))
    builds = buildbot.builds(3)
    said = [buildbot.steps(build) for build in builds]
    got = [build['properties']['got_revision'][0] for build in builds]
    assert got == nodes, said
    assert [build['results'] for build in builds] == [0, 2, 0], said
    names = ('pushid', 'branch', 'pushvars')
    properties = [
        tuple(build['properties'][name][0] for name in names)
        for build in builds
    ]
    assert properties == [
        (1, 'default', {'NAME': 'first'}),
        (2, 'default', {'NAME': 'second'}),
        (3, 'stable', {'NAME': 'third'}),
    ]
    for name, each in zip(('first', 'second', 'third'), said):
        assert f'{{"NAME": "{name}"}}\n' in each['test'], each
    # and the pushers learn of it
    for number, code in ((1, 0), (2, 1), (3, 0)):
        client.run('pushes', '--wait', str(number), ok=[code])
    shown = client.run('pushes', '--rev', nodes[1], '-T', 'json').out
    (status,) = json.loads(shown)[0]['statuses']
    assert (status['context'], status['state']) == ('buildbot/try', 'failure')


def test_each_head_has_a_status(
    transport: WsgiTransport,
    buildbot: Buildbot,
    client: Repo,
    hashes: History,
    hg: Callable[..., Hg],
) -> None:
    buildbot.worker(hg(ext=False))
    states = {}
    for state in ('good', 'bad'):
        files = {'Makefile': MAKEFILE, 'state': state}
        node = client.commit(files, state, parent=hashes.tagged)
        states[f'buildbot/try/{node[:12]}'] = state
    client.run('push', '--bundle-store', '-r', 'heads(draft())')
    buildbot.builds(2)
    client.run('pushes', '--wait', '1', ok=[1])
    shown = client.run('pushes', '-T', 'json').out
    found = {s['context']: s['state'] for s in json.loads(shown)[0]['statuses']}
    told = {'good': 'success', 'bad': 'failure'}
    assert found == {name: told[state] for name, state in states.items()}
    requests = transport.accesslog.read_text()
    assert '/push-status/1' in requests
    assert 'other/push-status/1' not in requests


def test_a_build_names_its_changeset(
    buildbot: Buildbot,
    client: Repo,
    hashes: History,
    hg: Callable[..., Hg],
) -> None:
    worker = buildbot.worker(hg(ext=False))
    node = pushed(client, 'first', 'good', hashes.tagged)
    buildbot.builds(1)
    # what a build of "default" would take for its head
    work = Repo(hg(ext=False), worker / 'try' / 'build')
    assert work.node('default') == node
    assert 'error' in buildbot.force()
    assert 'error' in buildbot.force(revision='default')
    assert 'result' in buildbot.force(revision=hashes.grown)
    build = buildbot.builds(2)[-1]
    assert build['properties']['got_revision'][0] == hashes.grown
    assert work.node('.') == hashes.grown
    # nor does the builder rely on who starts it
    assert 'result' in buildbot.force('any')
    build = buildbot.builds(3)[-1]
    assert build['results'] == 2, buildbot.steps(build)
    assert 'got_revision' not in build['properties']
    assert work.node('.') == hashes.grown
