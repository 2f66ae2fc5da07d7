"""What ``docs/deployment.rst`` says works as it stands there.

Each section with something to do is followed by a test; what is done in another
way than on a real machine says ``harness/machine.py``.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import prometheus
from harness.backends import PostgreSQL, Rclone
from harness.backends.daemon import freeports
from harness.backends.objects import KEY, SECRET
from harness.backends.postgresql import ADMIN, ADMINPASSWORD
from harness.hg import Hg, Repo
from harness.machine import BIN, FILES, HOST, PAGE, Machine, sections
from harness.rights import publicfolder
from harness.servers import PASSWORDS

#: where this is set, a program that is missing is a failure
REQUIRED = 'BUNDLESTORE_REQUIRE_DEPLOYMENT'
#: what is followed nowhere, and why
NOT_FOLLOWED = {
    'In a container': 'no test makes an image, but one looks at what it has',
}


def needs(*programs: str) -> None:
    """Skip the test where one of the programs is not installed."""
    path = f'{BIN}:{os.environ.get("PATH", os.defpath)}:/usr/sbin'
    missing = [each for each in programs if not shutil.which(each, path=path)]
    if missing:
        assert not os.environ.get(REQUIRED), missing
        pytest.skip(f'not installed: {", ".join(missing)}')


@pytest.fixture
def machine() -> Iterator[Machine]:
    with publicfolder() as root:
        made = Machine(root / 'm')
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
def one(machine: Machine) -> Machine:
    """One machine, with a repository and its try URL."""
    machine.follow('One machine')
    return machine


# -- the page as such


def followed() -> set[str]:
    """Return the headings that the tests here follow."""
    tree = ast.parse(Path(__file__).read_text('utf-8'))
    return {
        node.args[0].value
        for node in ast.walk(tree)
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


# -- https


def connect(port: int, cert: Path) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(cert))
    return http.client.HTTPSConnection('localhost', port, context=context)


def ask(
    machine: Machine,
    path: str,
    user: str | None = None,
    headers: dict[str, str] | None = None,
    method: str = 'GET',
) -> tuple[int, str]:
    """Make a request of the web server; return code and body."""
    connection = connect(machine.port, machine.path(CERTIFICATE))
    sent = dict(headers or {})
    if user:
        pair = f'{user}:{PASSWORDS.get(user, "some-password")}'
        sent['Authorization'] = (
            'Basic ' + base64.b64encode(pair.encode()).decode()
        )
    connection.request(method, path, headers=sent)
    answer = connection.getresponse()
    body = answer.read().decode('utf-8', 'replace')
    connection.close()
    return answer.status, body


CERTIFICATE = f'/etc/ssl/certs/{HOST}.pem'
_KEY = f'/etc/ssl/private/{HOST}.key'


def served(machine: Machine) -> None:
    """Have a machine be served at a port of this one."""
    (port,) = freeports(1)
    machine.port = port
    machine.words.update(
        {
            'listen 443 ssl': f'listen 127.0.0.1:{port} ssl',
            'VirtualHost *:443': f'VirtualHost 127.0.0.1:{port}',
            f'https://{HOST}': f'https://localhost:{port}',
            f'@{HOST}': f'@localhost:{port}',
        }
    )


def certify(machine: Machine) -> None:
    """Make a certificate."""
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-nodes', '-newkey', 'ec'),
            *('-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'),
            *('-subj', '/CN=localhost', '-addext'),
            'subjectAltName=DNS:localhost',
            *('-keyout', machine.here(_KEY)),
            *('-out', machine.here(CERTIFICATE)),
        ],
        check=True,
        capture_output=True,
    )


def answers(port: int) -> Callable[[], bool]:
    """Return what tells whether somebody listens at a port."""

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', port)) == 0

    return ready


def service(machine: Machine) -> None:
    """Start what the unit of hgweb starts."""
    unit = machine.unit('hgweb.service')
    # pip's uwsgi has Python in itself
    unit['ExecStart'] = unit['ExecStart'].replace('--plugin python3 ', '')
    folder = machine.path(f'/run/{unit["RuntimeDirectory"]}')
    folder.chmod(int(unit['RuntimeDirectoryMode'], 8))
    if os.geteuid() == 0:
        shutil.chown(folder, group=unit['Group'])
    there = folder / 'hgweb.socket'
    machine.start(machine.confined(unit), there.exists, machine.path('/srv/hg'))


#: as Debian's files have it, in short
_NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {root}/run/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/var/lib/body;
    proxy_temp_path {root}/var/lib/proxy;
    fastcgi_temp_path {root}/var/lib/fastcgi;
    uwsgi_temp_path {root}/var/lib/uwsgi;
    scgi_temp_path {root}/var/lib/scgi;
    include {root}/etc/nginx/sites-enabled/*;
}}
"""
_APACHE = """\
ServerRoot {root}
ServerName localhost
PidFile {root}/run/apache.pid
DefaultRuntimeDir {root}/run
ErrorLog /dev/stderr
Listen 127.0.0.1:{port}
User www-data
Group www-data
{modules}
IncludeOptional {root}/etc/apache2/sites-enabled/*.conf
"""
_MODULES = Path('/usr/lib/apache2/modules')


def nginx(machine: Machine) -> str:
    """Have nginx be there as Debian installs it; return the command."""
    main = machine.root / 'etc/nginx/nginx.conf'
    user = 'user www-data;' if os.geteuid() == 0 else ''
    main.write_text(_NGINX.format(root=machine.root, user=user))
    command = f'/usr/sbin/nginx -e stderr -c {main}'
    machine.instead('nginx', command)
    return command


def apache(machine: Machine) -> str:
    """The same with Apache, and the modules that the page turns on."""
    (line,) = (
        line
        for block in sections()['In the place of nginx: Apache']
        for line in block.lines
        if line.startswith('a2enmod')
    )
    names = [
        *('mpm_event', 'authn_core', 'authn_file', 'authz_core'),
        *('authz_user', 'auth_basic', 'socache_shmcb'),
        *line.split()[1:],
    ]
    modules = '\n'.join(
        f'LoadModule {name}_module {_MODULES}/mod_{name}.so' for name in names
    )
    main = machine.root / 'etc/apache2/apache2.conf'
    main.write_text(
        _APACHE.format(root=machine.root, port=machine.port, modules=modules)
    )
    # what "configtest" means
    machine.instead('apache2ctl', f'/usr/sbin/apache2 -f {main} -t #')
    return f'/usr/sbin/apache2 -f {main} -D FOREGROUND'


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


def shown(section: str) -> list[str]:
    """Return the commands that users type."""
    return [
        line
        for block in sections()[section]
        if block.isuser
        for line in block.lines
    ]


# -- ssh


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


BASE = '/srv/hg/project'


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


def test_units_are_understood(one: Machine) -> None:
    needs('gunicorn')
    if not shutil.which('systemd-analyze'):
        pytest.skip('no systemd')
    one.follow('Housekeeping')
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
    )
    assert (done.returncode, done.stdout) == (0, '')


def test_monitoring(
    one: Machine, hg: Callable[..., Hg], tmp_path: Path
) -> None:
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


# -- several machines


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
        *(f'{BASE}/.hg/hgrc', CERTIFICATE, _KEY),
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
