"""What ``docs/deployment.rst`` says of sshd (see test_deployment.py)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.backends.daemon import freeports
from harness.hg import Hg, Repo
from harness.machine import HOST, Machine, needs, shown
from harness.webfronts import answers

pytestmark = pytest.mark.slow('follows a long page')

_SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {root}/etc/ssh/hostkey
PidFile none
StrictModes no
UsePAM no
LogLevel VERBOSE
SetEnv PATH={path} HGRCPATH={hgrcpath}
Include {root}/etc/ssh/sshd_config.d/*.conf
AuthorizedKeysFile {root}/etc/ssh/accounts.keys
"""


def keypair(path: Path) -> str:
    """Make a key for ssh; return the public one."""
    subprocess.run(
        ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', path], check=True
    )
    return path.with_name(f'{path.name}.pub').read_text().split()[1]


@pytest.fixture
def sshd(machine: Machine) -> Machine:
    needs('sshd', 'ssh', 'ssh-keygen')
    (machine.port,) = freeports(1)
    environ = machine.environ
    main = machine.root / 'etc/ssh/sshd_config'
    main.write_text(
        _SSHD.format(
            root=machine.root,
            port=machine.port,
            path=environ['PATH'],
            hgrcpath=environ['HGRCPATH'],
        )
    )
    keypair(machine.root / 'etc/ssh/hostkey')
    machine.instead('sshd', f'/usr/sbin/sshd -f {main}')
    if os.geteuid() == 0:
        # Debian makes it when the machine starts
        os.makedirs('/run/sshd', exist_ok=True)
    return machine


def startsshd(machine: Machine) -> None:
    machine.start(
        f'/usr/sbin/sshd -D -e -f {machine.root}/etc/ssh/sshd_config',
        answers(machine.port),
        machine.root,
    )


def ssh(machine: Machine, user: str) -> str:
    """Return the command for ssh of a user with a key."""
    options = {
        'BatchMode': 'yes',
        'IdentitiesOnly': 'yes',
        'LogLevel': 'ERROR',
        'StrictHostKeyChecking': 'no',
        'UserKnownHostsFile': f'{machine.root}/home/known_hosts',
    }
    words = ' '.join(f'-o {name}={value}' for name, value in options.items())
    return f'ssh -F /dev/null -i {machine.root}/home/{user} {words}'


@pytest.mark.slow('sshd, and many connections')
def test_over_ssh(sshd: Machine, hg: Callable[..., Hg], tmp_path: Path) -> None:
    me = sshd.user
    sshd.words.update(
        {
            f'ssh://hg@{HOST}': f'ssh://{me}@127.0.0.1:{sshd.port}',
            'Match User hg': f'Match User {me}',
            'User *,!hg': f'User *,!{me}',
        }
    )
    sshd.follow('One machine')
    sshd.follow('Over ssh')
    assert 'adduser alice hg' in sshd.calls
    keys = sshd.path('/etc/ssh/hg.keys')
    text = keys.read_text()
    for name in ('alice', 'bob'):
        public = keypair(sshd.root / 'home' / name)
        text = text.replace('AAAA…', public, 1)
    keys.write_text(text)
    startsshd(sshd)

    asalice = [f'ui.ssh={ssh(sshd, "alice")}']
    clone, push = shown('Over ssh')
    client = hg()
    client.run(*sshd.here(clone).split()[1:], cwd=tmp_path, config=asalice)
    repo = Repo(client, tmp_path / 'project')
    node = repo.commit({'a': 'a\n'}, 'tried')
    client.run(*sshd.here(push).split()[1:], cwd=tmp_path, config=asalice)
    repo.enable()
    listed = repo.run('pushes', '-T', '{user}\n', config=asalice)
    assert listed.out == 'alice\n'
    assert repo.phase(node) == 'draft'

    # bob has the try URL, and nothing else
    asbob = [f'ui.ssh={ssh(sshd, "bob")}']
    address = f'ssh://{me}@127.0.0.1:{sshd.port}'
    repo.run('push', '-f', '-r', '.', f'{address}/project-try', config=asbob)
    for path in ('project', '../hg/project'):
        result = repo.run('id', f'{address}/{path}', config=asbob, ok=(255,))
        assert 'remote: no such repository for bob' in result.err
    whole = f'{address}/{sshd.path("/srv/hg/project-try")}'
    repo.run('pull', '-r', node, whole, config=asbob)
    assert repo.run('init', f'{address}/more', config=asbob, ok=(255,))
    assert not sshd.path('/srv/hg/more').exists()
    for asked in ('', 'ls', 'hg -R project-try serve --stdio; ls'):
        command = f'{ssh(sshd, "bob")} -p {sshd.port} {me}@127.0.0.1'
        done = sshd.run(f"{command} '{asked}'" if asked else command)
        assert done.stdout == 'no such repository for bob\n', done.stdout
        assert done.returncode == 255


@pytest.mark.nightly('the same, but for a few lines')
def test_over_ssh_with_accounts(
    sshd: Machine, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    me = sshd.user
    sshd.words.update(
        {
            'Match Group hg User *,!hg': f'Match Group {sshd.group}',
            'Match User hg': 'Match User nobody-here',
        }
    )
    sshd.follow('One machine')
    sshd.follow('Over ssh')
    public = keypair(sshd.root / 'home' / 'own')
    own = sshd.root / 'etc/ssh/accounts.keys'
    own.write_text(f'ssh-ed25519 {public}\n')
    startsshd(sshd)
    config = [f'ui.ssh={ssh(sshd, "own")}']
    repo = hg().init(tmp_path / 'clone')
    repo.enable()
    repo.commit({'a': 'a\n'}, 'tried')
    address = f'ssh://{me}@127.0.0.1:{sshd.port}'
    repo.run('push', f'{address}/project-try', config=config)
    repo.run('pull', f'{address}/project', config=config)
    listed = repo.run(
        'pushes', f'{address}/project', '-T', '{user}\n', config=config
    )
    assert listed.out == f'{me}\n'
    repo.run('id', f'{address}/other', config=config, ok=(255,))
