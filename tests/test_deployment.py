"""What ``docs/deployment.rst`` says works as it stands there.

Each section with something to do is followed by a test, here or in the files
beside this one; what is done in another way than on a real machine says
``harness/machine.py``.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import prometheus
from harness.hg import Hg, Repo
from harness.listener import HOST as HOOKS
from harness.machine import (
    BASE,
    BIN,
    FILES,
    HOST,
    PAGE,
    Machine,
    needs,
    sections,
    shown,
)
from harness.receiver import receiving
from harness.servers import patiently

pytestmark = pytest.mark.slow('follows a long page')

#: what is followed nowhere, and why
NOT_FOLLOWED = {
    'In a container': 'no test makes an image, but one looks at what it has',
}


# -- the page as such


def followed() -> set[str]:
    """Return the headings that the tests here follow."""
    here = Path(__file__).parent
    return {
        node.args[0].value
        for path in here.glob('test_deployment*.py')
        for node in ast.walk(ast.parse(path.read_text('utf-8')))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == 'follow'
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_every_section_is_followed() -> None:
    todo = {name for name, blocks in sections().items() if blocks}
    assert todo == followed() | set(NOT_FOLLOWED)


def test_files_say_where_they_go() -> None:
    """And the page copies each of them, or names it."""
    page = PAGE.read_text('utf-8')
    copied = re.findall(r'^    (?:cp|install) (.+) (/\S+)$', page, re.M)
    for path in FILES.iterdir():
        assert f'``{path.name}``' in page or f'/{path.name} ' in page, path
        targets = [
            target
            for names, target in copied
            if f'docs/deployment/{path.name}' in names.split()
        ]
        for target in targets:
            place = re.search(r'/[\w./@-]+', path.read_text('utf-8'))
            if path.name == 'hg-serve':
                place = re.search(r'/usr/local\S+', path.read_text('utf-8'))
            assert place
            assert target in (place[0], os.path.dirname(place[0])), path


# -- what runs beside


def test_one_machine(
    one: Machine, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    """For who has an account, a server is there at once."""
    environ = ' '.join(
        f"{name}='{value}'" for name, value in one.environ.items()
    )
    one.instead('ssh', f'env -i {environ} sh -c "$2" #')
    one.words[f'ssh://{HOST}//srv/hg'] = f'ssh://{HOST}/{one.root}/srv/hg'
    clone, folder, push = shown('One machine')
    config = [f'ui.ssh={one.root}/bin/ssh']
    client = hg(ext=False)
    client.run(*one.here(clone).split()[1:], cwd=tmp_path, config=config)
    repo = Repo(client, tmp_path / folder.removeprefix('cd '))
    repo.commit({'a': 'a\n'}, 'tried')
    result = repo.run(*one.here(push).split()[1:], config=config)
    assert 'stored 1 changeset as push 1' in result.out
    assert one.path('/srv/hg/project').stat().st_mode & 0o2070 == 0o2070
    limits = one.run('hg -R "$PWD" config bundlestore', cwd=one.path(BASE))
    assert 'bundlestore.quota=20 GB' in limits.stdout
    said = one.run('hg admin::bundlestore-stats --check', cwd=one.path(BASE))
    assert (said.returncode, said.stdout) == (0, '')


def filled(machine: Machine, hg: Callable[..., Hg], folder: Path) -> None:
    """Push something to the try URL, by path."""
    repo = hg().init(folder)
    repo.enable()
    repo.commit({'a': 'a\n'}, 'tried')
    environ = {'HGRCPATH': machine.environ['HGRCPATH']}
    repo.run('push', machine.path('/srv/hg/project-try'), env=environ)


def test_housekeeping(
    one: Machine, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    one.follow('Housekeeping')
    filled(one, hg, tmp_path / 'client')
    base = one.path(BASE)
    assert [*base.glob('.hg/bundlestore/bundles/??/*')]
    with open(base / '.hg/hgrc', 'a') as file:
        file.write('[bundlestore]\nretention = 0 seconds\n')
    unit = one.unit('hg-bundlestore-gc@.service', 'project')
    done = one.run(one.confined(unit))
    assert (done.returncode, done.stdout) == (0, '')
    assert not [*base.glob('.hg/bundlestore/bundles/??/*')]
    timer = one.unit('hg-bundlestore-gc@.timer', 'project')
    assert timer['OnCalendar'] == 'daily'
    assert one.calls[-1].endswith(' hg-bundlestore-gc@project.timer')


def test_web_hooks(one: Machine, hg: Callable[..., Hg], tmp_path: Path) -> None:
    """A push to the try URL is told at once, or else by the unit."""
    with receiving() as receiver:
        one.words['https://ci.example.org'] = f'http://{HOOKS}:{receiver.port}'
        one.follow('Web hooks')
        base = one.path(BASE)
        secret = one.path('/etc/mercurial/webhook-ci.secret')
        assert secret.stat().st_mode & 0o777 == 0o640
        unit = one.unit('hg-bundlestore-deliver@.service', 'project')
        unit['ExecStart'] += ' --now'
        # a new web hook is told of what comes
        filled(one, hg, tmp_path / 'first')
        # what the push has started may be at it just now
        for _again in patiently():
            done = one.run(one.confined(unit))
            if done.returncode:
                break
        assert done.returncode == 1
        assert ', which is no public address' in done.stdout
        with open(base / '.hg/hgrc', 'a') as file:
            file.write('[bundlestore]\nwebhook.ci:allow-private = yes\n')
        done = one.run(one.confined(unit))
        assert (done.returncode, done.stdout) == (0, '')
        filled(one, hg, tmp_path / 'second')
        told = receiver.wait(2)
        assert [message.push for message in told] == [1, 2]
        assert told[0].signatures(secret.read_text().strip())
    timer = one.unit('hg-bundlestore-deliver@.timer', 'project')
    assert timer['OnCalendar'] == 'minutely'
    assert one.calls[-1].endswith(' hg-bundlestore-deliver@project.timer')


def test_units_are_understood(one: Machine) -> None:
    needs('gunicorn')
    if not shutil.which('systemd-analyze'):
        pytest.skip('no systemd')
    one.follow('Housekeeping')
    one.follow('Web hooks')
    folder = one.root / 'etc/systemd/system'
    for name in ('hgweb.service', 'hgweb-uwsgi.conf'):
        text = one.here((FILES / name).read_text())
        path = folder / name
        if name.endswith('.conf'):
            path = folder / 'hgweb.service.d' / 'uwsgi.conf'
            path.parent.mkdir()
        path.write_text(text)
    done = one.run(
        f'SYSTEMD_UNIT_PATH={folder}: systemd-analyze verify --man=no'
        ' --recursive-errors=no hgweb.service hg-bundlestore-gc@project.timer'
        ' hg-bundlestore-gc@project.service'
        ' hg-bundlestore-deliver@project.timer'
        ' hg-bundlestore-deliver@project.service'
    )
    assert (done.returncode, done.stdout) == (0, '')


def test_monitoring(
    one: Machine, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    one.follow('Web hooks')
    filled(one, hg, tmp_path / 'client')
    one.follow('Monitoring')
    written = one.path('/var/lib/prometheus/node-exporter/hg.prom').read_text()
    found = prometheus.parse(written)
    assert prometheus.values(written)['pushes'] == 1
    # what the page and the rules name is there
    page = PAGE.read_text('utf-8').partition('Monitoring\n===')[2]
    named = set(re.findall(r'``(?:hg_bundlestore)?(_\w+)``', page))
    rules = (FILES / 'alerts.yml').read_text()
    named.update(re.findall(r'hg_bundlestore(_\w+)', rules))
    assert len(named) > 8
    assert {f'hg_bundlestore{name}' for name in named} <= set(found)
    scraped = (FILES / 'prometheus.yml').read_text()
    assert 'metrics_path: /project/bundlestore-metrics\n' in scraped


def test_logs(one: Machine, hg: Callable[..., Hg], tmp_path: Path) -> None:
    needs('logrotate')
    one.words['su hg hg'] = f'su {one.user} {one.group}'
    state = one.root / 'var/lib/logrotate'
    one.instead('logrotate', f'/usr/sbin/logrotate --state {state}')
    one.follow('Logs')
    log = one.path(BASE) / '.hg/blackbox.log'
    filled(one, hg, tmp_path / 'client')
    assert ' stored push=1 ' in log.read_text()
    done = one.run(f'logrotate --force {one.root}/etc/logrotate.d/*')
    assert done.returncode == 0, done.stdout
    assert ' stored push=1 ' in log.with_name('blackbox.log.1').read_text()
    filled(one, hg, tmp_path / 'another')
    (line,) = log.read_text().splitlines()
    assert ' stored push=2 ' in line


def test_container(one: Machine) -> None:
    """What of the image can be looked at without one."""
    text = (FILES / 'Containerfile').read_text()
    steps = re.findall(r'^([A-Z]+) (.+)$', text, re.M)
    (command,) = (words for step, words in steps if step == 'CMD')
    unit = (FILES / 'hgweb.service').read_text()
    (exec,) = re.findall(r'^ExecStart=/usr/bin/(.+)$', unit, re.M)
    assert ast.literal_eval(command) == exec.split()
    # what is copied is enough to install the package
    for step, words in steps:
        if step == 'COPY':
            *names, target = words.split()
            place = Path(f'{one.root}{target}')
            for name in map(Path, names):
                source = FILES.parents[1] / name
                if source.is_dir():
                    shutil.copytree(source, place)
                else:
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, place)
    build = 'from setuptools import build_meta as b; print(b.build_wheel("."))'
    done = subprocess.run(
        [BIN / 'python', '-c', build],
        cwd=f'{one.root}/usr/src/hg-bundlestore',
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    wheel = one.root / 'usr/src/hg-bundlestore' / done.stdout.splitlines()[-1]
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name).name for name in archive.namelist()}
    assert {'bundlestore-server.rst', 'admin.py', 'LICENSE'} <= held
