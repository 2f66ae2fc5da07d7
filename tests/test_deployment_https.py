"""What ``docs/deployment.rst`` says of web servers (see test_deployment.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import prometheus
from harness.hg import Hg, Repo
from harness.machine import Machine, needs, sections, shown
from harness.servers import PASSWORDS
from harness.webfronts import (
    CERTIFICATE,
    answers,
    apache,
    ask,
    certify,
    nginx,
    served,
    service,
)

pytestmark = pytest.mark.slow('follows a long page')


@pytest.fixture
def user(
    one: Machine, hg: Callable[..., Hg], tmp_path: Path
) -> Callable[[str], Repo]:
    """``user('alice')``: a clone, with the paths that the page has."""
    (paths,) = (
        block.text
        for block in sections()['Over https']
        if block.text.startswith('[paths]')
    )

    def make(name: str) -> Repo:
        made = hg(ext=name == 'alice').init(tmp_path / name)
        text = one.here(paths).replace('alice@', f'{name}@')
        with open(made.hgrc, 'a') as file:
            file.write(
                f'{text}\n[auth]\nx.prefix = *\nx.username = {name}\n'
                f'x.password = {PASSWORDS[name]}\n'
                f'[web]\ncacerts = {one.here(CERTIFICATE)}\n'
            )
        if name == 'alice':
            made.enable()
        return made

    return make


_ANOTHERPAIR = pytest.mark.nightly('each of them is in another pair')


@pytest.mark.slow('two servers of their own, and several clients')
@pytest.mark.parametrize(
    ('front', 'back'),
    [
        ('nginx', 'gunicorn'),
        ('apache2', 'uwsgi'),
        pytest.param('apache2', 'gunicorn', marks=_ANOTHERPAIR),
        pytest.param('nginx', 'uwsgi', marks=_ANOTHERPAIR),
    ],
)
def test_over_https(
    front: str,
    back: str,
    one: Machine,
    user: Callable[[str], Repo],
) -> None:
    needs('openssl', 'htpasswd', front, back)
    certify(one)
    served(one)
    (one.root / 'etc/systemd/system/hgweb.service.d').mkdir()
    server = nginx(one)
    one.follow('Over https')
    assert 'systemctl enable --now hgweb.service' in one.calls
    if front == 'apache2':
        server = apache(one)
        one.follow('In the place of nginx: Apache')
    if back == 'uwsgi':
        one.follow('In the place of gunicorn: uwsgi')
        assert 'uwsgi' in one.unit('hgweb.service')['ExecStart']
    service(one)
    one.start(server, answers(one.port), one.root)

    # nobody but who logs in, and as nobody else
    liar = dict.fromkeys(('Hguser', 'Hg_user', 'Remote-User'), 'alice')
    assert ask(one, '/project')[0] == 401
    assert ask(one, '/project', headers=liar)[0] == 401
    assert ask(one, '/project/pushes', 'alice')[0] == 200

    alice, bob = user('alice'), user('bob')
    landed = alice.commit({'a': 'a\n'}, 'landed')
    alice.run('push')
    bob.run('pull')
    tried = bob.commit({'b': 'b\n'}, 'tried', parent=landed)
    result = bob.run('push', ok=(255,))
    assert 'push not authorized' in result.err
    # who pushes is who logged in, whatever is said
    push = '/project?cmd=unbundle&heads=666f726365'
    assert ask(one, push, 'monitor', liar, 'POST')[0] == 401
    assert ask(one, push, 'alice', method='POST')[0] == 200
    for line in shown('Over https'):
        assert line.startswith('hg ')
        bob.run(*line.split()[1:], ok=(0, 255) if 'pushes' in line else (0,))
    alice.run('pull', '-r', tried)
    assert alice.run('pushes', '-T', '{push} {user}\n').out == '1 bob\n'

    # arguments are in headers, of which there are many
    nodes = ('1' * 40 + '+') * 1000
    argument = f'nodes={nodes[:-1]}'
    headers = {
        f'X-HgArg-{number}': argument[at : at + 1024]
        for number, at in enumerate(range(0, len(argument), 1024), 1)
    }
    known = ask(one, '/project?cmd=known', 'bob', headers)
    assert known == (200, '0' * 1000)
    status, text = ask(one, '/project/bundlestore-metrics', 'monitor')
    assert status == 200
    assert prometheus.values(text)['pushes'] == 1
