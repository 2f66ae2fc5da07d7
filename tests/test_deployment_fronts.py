"""What ``docs/deployment.rst`` says of several machines, and of the database
and object store that they share (see test_deployment.py)."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import prometheus
from harness.backends import PostgreSQL, Rclone
from harness.backends.daemon import freeports
from harness.backends.objects import KEY, SECRET
from harness.backends.postgresql import ADMIN, ADMINPASSWORD
from harness.hg import Hg
from harness.machine import BASE, Machine, needs, sections
from harness.rights import publicfolder
from harness.servers import PASSWORDS
from harness.webfronts import (
    CERTIFICATE,
    KEY as CERTIFICATEKEY,
    answers,
    certify,
    nginx,
    served,
    service,
)

pytestmark = pytest.mark.slow('follows a long page')


def onedatabase(machine: Machine, postgresql: PostgreSQL) -> None:
    """Have what the page says of a database be about one of the tests."""
    name = postgresql.newname()
    place = f'127.0.0.1:{postgresql.port}'
    admin = (
        f'PGHOST=127.0.0.1 PGPORT={postgresql.port} PGUSER={ADMIN}'
        f' PGPASSWORD={ADMINPASSWORD}'
    )
    machine.instead('runuser', f'env {admin} sh -c \'shift 3; "$@"\' -')
    machine.words.update(
        {
            'ROLE hg': f'ROLE {name}',
            '--owner hg': f'--owner {name}',
            'template0 hg': f'template0 {name}',
            'db.example.org:5432:hg:hg': f'{place}:{name}:{name}',
            'hg@db.example.org/hg': f'{name}@{place}/{name}',
        }
    )


def onebucket(machine: Machine, rclone: Rclone) -> None:
    place, _, parameters = rclone.fresh().partition('?')
    machine.words.update(
        {
            's3://bundles/project?endpoint=https://s3.example.org'
            '&region=eu-west-1': f'{place}?{parameters}',
            'KEYID': KEY,
            'SECRET': SECRET,
        }
    )


@pytest.mark.slow('moves to a database and to an object store')
def test_elsewhere(
    one: Machine,
    postgresql: PostgreSQL,
    rclone: Rclone,
    hg: Callable[..., Hg],
    tmp_path: Path,
) -> None:
    onedatabase(one, postgresql)
    onebucket(one, rclone)
    base = one.path(BASE)

    def pushed() -> str:
        done = one.run(f'hg -R {base} pushes -T "{{push}} "')
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def push(name: str) -> None:
        repo = hg().init(tmp_path / name)
        repo.commit({name: 'a\n'}, name)
        done = one.run(f'hg push {base}-try', cwd=repo.path)
        assert done.returncode == 0, done.stdout

    push('first')
    one.follow('A database')
    (base / '.hg/bundlestore/index.sqlite3').unlink()
    push('second')
    assert pushed() == '2 1'
    one.follow('An object store')
    shutil.rmtree(base / '.hg/bundlestore')
    push('third')
    assert pushed() == '3 2 1'
    done = one.run(f'hg -R {base} admin::bundlestore-verify')
    assert done.returncode == 0, done.stdout
    assert 'checked 3 pushes and 3 bundles' in done.stdout
    done = one.run(f'hg -R {base} admin::bundlestore-stats --prometheus')
    found = prometheus.values(done.stdout)
    assert (found['up'], found['pushes']) == (1, 3)


def alike(first: Machine, other: Machine) -> None:
    """Make another front end of a machine."""
    other.follow('One machine')
    for name in (
        *(f'{BASE}/.hg/hgrc', CERTIFICATE, CERTIFICATEKEY),
        *('/srv/hg/.pgpass', '/srv/hg/.aws/credentials'),
    ):
        os.makedirs(other.path(name).parent, exist_ok=True)
        shutil.copy(first.path(name), other.path(name))


@pytest.mark.nightly('three machines, each with its web server, and HAProxy')
def test_three_front_ends(
    postgresql: PostgreSQL,
    rclone: Rclone,
    hg: Callable[..., Hg],
    tmp_path: Path,
) -> None:
    needs('openssl', 'htpasswd', 'nginx', 'gunicorn', 'haproxy')
    with contextlib.ExitStack() as stack:
        fronts: list[Machine] = []
        for _ in range(3):
            made = Machine(stack.enter_context(publicfolder()) / 'm')
            stack.callback(made.stop)
            if fronts:
                alike(fronts[0], made)
            else:
                made.follow('One machine')
                certify(made)
                onedatabase(made, postgresql)
                onebucket(made, rclone)
                made.follow('A database')
                made.follow('An object store')
            fronts.append(made)
        before = Machine(stack.enter_context(publicfolder()) / 'm')
        stack.callback(before.stop)
        before.port, ssh = freeports(2)
        before.words.update(
            {
                'bind :443': f'bind 127.0.0.1:{before.port}',
                'bind :22': f'bind 127.0.0.1:{ssh}',
            }
        )
        for number, made in enumerate(fronts, 1):
            webserver(made)
            server = f'front{number}.example.org'
            before.words[f'{server}:443'] = f'127.0.0.1:{made.port}'
            # nobody is there
            before.words[f'{server}:22'] = f'127.0.0.1:{ssh}'
        before.follow('Three front ends')
        before.start(
            f'haproxy -db -f {before.root}/etc/haproxy/haproxy.cfg',
            answers(before.port),
            before.root,
        )

        client = hg(ext=False).init(tmp_path / 'client')
        client.configure('web', {'cacerts': fronts[0].here(CERTIFICATE)})
        address = f'alice:{PASSWORDS["alice"]}@localhost:{before.port}'
        for number in range(3):
            client.commit({'a': f'{number}\n'}, f'{number}')
            client.run('push', '-r', '.', f'https://{address}/project-try')
            for made in fronts[number:]:
                done = made.run(f'hg -R {made.path(BASE)} pushes -T "{{push}}"')
                assert done.stdout == '321'[2 - number :], done.stdout
            # one goes, and nobody notices
            fronts[number].stop()


def webserver(machine: Machine) -> None:
    """Start a front end as HAProxy wants it."""
    (listen,) = (
        block.text
        for block in sections()['Three front ends']
        if block.text.startswith('listen')
    )
    served(machine)
    listen = listen.replace('443', f'127.0.0.1:{machine.port}')
    listen = listen.replace('192.0.2.1', '127.0.0.1')
    machine.words = {'listen 443 ssl;': listen, **machine.words}
    server = nginx(machine)
    machine.follow('Over https')
    service(machine)
    machine.start(server, answers(machine.port), machine.root)
