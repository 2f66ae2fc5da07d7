"""What ``docs/ci.rst`` has CI machines do works as it stands there, with an
``hg`` without this project."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import environments
from harness import matrix, others
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import PASSWORDS, Transport
from harness.shelf import Shelf
from harness.store import bundles, tryurl
from harness.web import anonymous, get

pytestmark = pytest.mark.slow('machines that clone')

PAGE = environments.ROOT / 'docs' / 'ci.rst'
FILES = environments.ROOT / 'docs' / 'examples' / 'ci'
URL = 'https://hg.example.org/project'
CISERVER = 'https://ci.example.org'
MAKEFILE = 'test:\n\ttouch tested\n'

VERSIONS = [
    matrix.NEWEST,
    *(
        pytest.param(v, marks=pytest.mark.nightly('others do the same'))
        for v in matrix.VERSIONS
        if v != matrix.NEWEST
    ),
]


def sections() -> dict[str, list[str]]:
    """Return the blocks of the page by the heading that they stand below."""
    found: dict[str, list[str]] = {}
    blocks: list[str] = []
    for chunk in re.split(r'\n\n+', PAGE.read_text('utf-8')):
        heading = re.fullmatch(r'(.+)\n(=+|-+)', chunk)
        if heading:
            blocks = found.setdefault(heading[1], [])
        if chunk.startswith('    '):
            blocks.append(textwrap.dedent(chunk).strip())
    return found


class Machine:
    """A machine that builds ``node``, in ``folder``."""

    def __init__(self, hg: Hg, url: str, node: str, folder: Path) -> None:
        self.hg = hg
        self.url = url
        self.node = node
        self.folder = folder

    def run(self, command: str, **environ: str) -> str:
        """Run lines of the page, which must succeed; return what they print."""
        text = re.sub(r'^\$ ', '', command, flags=re.M)
        text = text.replace(URL, self.url)
        text = text.replace('/var/lib/ci', str(self.folder))
        text = re.sub(r'(?<![\[{$\w])HASH\b(?!=)', self.node, text)
        bin = f'{self.hg.executable.parent}:{FILES}:'
        clean = self.hg.cleanenviron()
        done = subprocess.run(
            ['sh', '-ec', text],
            cwd=self.folder,
            env={**clean, 'PATH': bin + clean['PATH'], **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f'{text}\n{done.stdout}'
        return done.stdout

    def follow(self, section: str) -> str:
        """Run what a section has; return what its last block prints."""
        out = ''
        for block in sections()[section]:
            out = self.run(block)
        return out

    def has(self, name: str) -> bool:
        return (self.folder / name / 'tried').is_file()

    def told(self) -> dict[str, str]:
        """Return what the server knows of how push 1 went."""
        query = 'json-pushes?version=2&startID=0&full=1'
        push = get(f'{self.url}/{query}').json()['pushes']['1']
        return {each['context']: each['state'] for each in push['statuses']}

    def repo(self, name: str) -> Repo:
        return Repo(self.hg, self.folder / name)


@pytest.fixture
def transport_name() -> str:
    return 'http'


@pytest.fixture
def base(base: Repo) -> Repo:
    base.configure('extensions', {'narrow': ''})
    base.configure('experimental', {'narrowservebrokenellipses': 'yes'})
    base.configure('web', {'allow-archive': 'gz'})
    base.configure('web', {'push_ssl': 'no', 'allow-push': '*'})
    base.configure('bundlestore', {'allow-status': '*'})
    return base


@pytest.fixture
def machine(
    transport: Transport,
    base: Repo,
    client: Repo,
    hashes: History,
    hg: Callable[..., Hg],
    shelf: Shelf,
    tmp_path: Path,
) -> Callable[..., Machine]:
    """``machine(version)``: one that is to build what alice has pushed."""

    def push() -> str:
        files = {'Makefile': MAKEFILE, 'tried': 'tried\n'}
        node = client.commit(files, 'tried', parent=hashes.merged)
        client.run('push', '--bundle-store', '-r', node)
        return node

    node = shelf.once('ci', [base, client], push)

    def make(version: str = matrix.NEWEST) -> Machine:
        folder = tmp_path / 'machine'
        folder.mkdir()
        plain = hg(version, ext=False)
        return Machine(plain, transport.url(base), node, folder)

    return make


# -- the page as such


def test_everything_is_run() -> None:
    """A section, or a command, that is new has to be followed below."""
    commands = {
        name
        for name, blocks in sections().items()
        if any(block.startswith('$ ') for block in blocks)
    }
    here = Path(__file__).read_text('utf-8')
    assert commands
    for name in commands:
        assert f"'{name}'" in here, name
    page = PAGE.read_text('utf-8')
    for path in FILES.iterdir():
        assert f'{path.name}``' in page


# -- one changeset


@pytest.mark.parametrize('version', VERSIONS)
def test_a_machine_that_keeps_nothing(
    machine: Callable[..., Machine], version: str
) -> None:
    made = machine(version)
    narrow, stream, archive = sections()['A machine that keeps nothing']
    # Mercurial has it from 6.5 on
    if version != matrix.VERSIONS[0]:
        made.run(narrow)
        assert made.has('build')
        made.run('rm -r build')
    made.run(stream)
    assert made.repo('build').node('.') == made.node
    made.run(archive)
    (unpacked,) = made.folder.glob(f'*-{made.node}')
    assert made.has(unpacked.name)


@pytest.mark.parametrize('version', VERSIONS)
def test_a_machine_that_keeps_a_clone(
    machine: Callable[..., Machine], version: str
) -> None:
    made = machine(version)
    clone, build = sections()['A machine that keeps a clone']
    made.run(clone)
    for _ in range(2):
        made.run(build)
        assert sorted(made.repo('build').inspect('status')) == []
        assert made.repo('build').node('.') == made.node
        made.run('touch build/left; echo changed > build/tried')


@pytest.mark.parametrize('version', VERSIONS)
def test_a_pool(machine: Callable[..., Machine], version: str) -> None:
    made = machine(version)
    made.follow('Several jobs on one machine')
    assert made.repo('build').node('.') == made.node
    (pool,) = (made.folder / 'pool').iterdir()
    assert [path.name for path in pool.iterdir()] == ['.hg']
    # the next job finds it there
    (made.folder / 'build').rename(made.folder / 'before')
    made.follow('Several jobs on one machine')
    assert made.repo('build').node('.') == made.node
    shared = (made.folder / 'build' / '.hg' / 'sharedpath').read_text()
    assert shared == str(pool / '.hg')


@pytest.fixture(scope='module')
def robustcheckout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('packages')
    others.frompypi(folder, '--no-deps', 'taskcluster-taskgraph')
    path = folder / 'taskgraph' / 'run-task' / 'robustcheckout.py'
    if not path.exists():
        pytest.skip('the package does not have it any more')
    return path


@pytest.mark.nightly('a package of others has to be fetched')
@pytest.mark.parametrize('version', matrix.VERSIONS)
def test_robustcheckout(
    machine: Callable[..., Machine],
    robustcheckout: Path,
    base: Repo,
    client: Repo,
    hashes: History,
    version: str,
) -> None:
    made = machine(version)
    (command,) = sections()['A pool by robustcheckout']
    command = command.replace('robustcheckout.py', str(robustcheckout))
    made.run(command)
    assert made.repo('build').node('.') == made.node
    # what another job has fetched is in the pool
    assert 'pulling' not in made.run(command.replace(' build', ' another'))
    # another changeset, in the same folder
    node = client.commit({'other': 'other\n'}, 'other', parent=hashes.merged)
    client.run('push', '--bundle-store', '-r', node)
    (made.folder / 'build' / 'left').touch()
    made.run(command.replace('HASH', node))
    assert made.repo('build').node('.') == node
    assert not made.has('build/left')
    # not that of the branch, which the pool has
    made.run(re.sub('--revision HASH', '--branch default', command))
    assert made.repo('build').node('.') == hashes.tagged


@pytest.mark.nightly('a package of others has to be fetched')
def test_robustcheckout_of_a_try_url(
    machine: Callable[..., Machine],
    robustcheckout: Path,
    base: Repo,
    transport: Transport,
) -> None:
    made = machine()
    (command,) = sections()['A pool by robustcheckout']
    command = command.replace('robustcheckout.py', str(robustcheckout))
    path = tryurl(transport, base)
    upstream = command.replace(URL, f'--upstream {URL} {transport.url(path)}')
    made.run(upstream)
    assert made.repo('build').node('.') == made.node
    made.run('rm -r build pool')
    made.run(command.replace(URL, transport.url(path)))
    assert made.repo('build').node('.') == made.node


@pytest.mark.parametrize('version', VERSIONS)
def test_a_mirror(machine: Callable[..., Machine], version: str) -> None:
    made = machine(version)
    made.follow('A machine with a mirror')
    assert made.repo('mirror').node('.') == made.node


# -- what goes wrong


@pytest.mark.parametrize('version', VERSIONS)
def test_the_head_of_default(
    machine: Callable[..., Machine], hashes: History, version: str
) -> None:
    made = machine(version)
    wrong, right = sections()['The head of ``default``']
    assert made.run(wrong).endswith(f'\n{made.node} draft\n')
    assert made.run(right) == f'{hashes.tagged}\n'


def test_a_clone_that_lacks_the_hash(
    machine: Callable[..., Machine], hashes: History
) -> None:
    made = machine()
    made.follow('A clone that lacks the hash')
    assert made.repo('build').node('.') == hashes.tagged


# -- what was pushed


def test_polling(machine: Callable[..., Machine]) -> None:
    made = machine()
    command, _, poll, *_ = sections()['What was pushed']
    answer = json.loads(made.run(command))
    assert answer['lastpushid'] == 1
    (changeset,) = answer['pushes']['1']['changesets']
    assert changeset['node'] == made.node
    seen = made.folder / 'seen'
    job = made.folder / 'start-job'
    job.write_text('echo $HASH $PUSHID $PUSHVARS\ntest -z "$BROKEN"\n')
    poll = poll.replace('start-job', f'sh {job}')
    # what was there before is not told
    assert made.run(poll) == made.run(poll) == ''
    assert seen.read_text() == '1\n'
    seen.write_text('0\n')
    # and what could not be started is
    made.run(f'! {poll[2:]}', BROKEN='yes')
    told = made.run(poll)
    assert told == f'{made.node} 1 {{}}\n'
    assert made.run(poll) == ''


@pytest.mark.parametrize('transport_name', ['wsgi'])
def test_polling_where_one_logs_in(
    machine: Callable[..., Machine], base: Repo
) -> None:
    base.configure('web', {'allow_read': 'alice'})
    made = machine()
    made.url = anonymous(made.url)
    poll = f'poll-pushes {URL} seen true'
    home = {'HOME': str(made.folder)}
    made.run(f'! {poll}', **home)
    netrc = made.folder / '.netrc'
    netrc.write_text(
        f'machine 127.0.0.1 login alice password {PASSWORDS["alice"]}\n'
    )
    netrc.chmod(0o600)
    made.run(poll, **home)
    command = sections()['What was pushed'][0]
    made.run(command.replace('curl ', 'curl --netrc '), **home)


def test_a_push_with_two_heads(
    machine: Callable[..., Machine], base: Repo, client: Repo
) -> None:
    made = machine()
    before = bundles(base)
    parent = client.commit({'a': 'a\n'}, 'parent', parent='tip')
    heads = [
        client.commit({name: ''}, name, parent=parent) for name in ('b', 'c')
    ]
    client.run('push', '--bundle-store', '-r', heads[0], '-r', heads[1])
    (made.folder / 'seen').write_text('1\n')
    poll = f"poll-pushes {URL} seen sh -c 'echo $HASH'"
    assert made.run(poll).split() == heads
    # not each of its changesets, where nobody can tell which they are
    for path in {*bundles(base)} - {*before}:
        path.unlink()
    (made.folder / 'seen').write_text('1\n')
    assert made.run(poll).split() == heads[1:]


class CIServer(BaseHTTPRequestHandler):
    """Takes what it is told to start."""

    took: tuple[str, str | None, str]

    def do_POST(self) -> None:
        length = int(self.headers['Content-Length'])
        body = self.rfile.read(length).decode()
        login = self.headers['Authorization']
        CIServer.took = (self.path, login, body)
        self.send_response(201)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def ciserver() -> Iterator[str]:
    """The address of a CI server."""
    server = HTTPServer(('127.0.0.1', 0), CIServer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with contextlib.closing(server.socket):
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


def test_starting_a_job(
    ciserver: str, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    made = Machine(hg(ext=False), '', '', tmp_path)
    environ = {
        'HASH': 'a' * 40,
        'PUSHID': '7',
        'JENKINS_USER': 'alice',
        'JENKINS_TOKEN': 'token',
        'TRIGGER_TOKEN': 'token',
        'TOKEN': 'token',
    }

    def told(command: str) -> tuple[str, str | None, str]:
        made.run(command.replace(CISERVER, ciserver), **environ)
        return CIServer.took

    jenkins, gitlab, github = sections()['What was pushed'][3:]
    path, login, body = told(jenkins)
    assert path == '/job/try/buildWithParameters'
    assert (login, body) == (
        'Basic YWxpY2U6dG9rZW4=',
        f'HASH={"a" * 40}&PUSHID=7',
    )
    path, _, body = told(gitlab)
    assert path == '/api/v4/projects/1/trigger/pipeline'
    assert f'name="variables[HASH]"\r\n\r\n{"a" * 40}\r\n' in body
    assert 'name="variables[PUSHID]"\r\n\r\n7\r\n' in body
    path, login, body = told(github)
    assert path == '/repos/alice/project/actions/workflows/try.yml/dispatches'
    assert login == 'Bearer token'
    inputs = {'hash': 'a' * 40, 'pushid': '7'}
    assert json.loads(body) == {'ref': 'main', 'inputs': inputs}


def test_how_it_went(machine: Callable[..., Machine]) -> None:
    made = machine()
    (command,) = (
        block for block in sections()['How it went'] if block.startswith('$ ')
    )
    made.run(command, PASSWORD='some-password', PUSHID='1')
    assert made.told() == {'linux/test': 'pending'}


#: where the commands are in these files
COMMANDS = {
    'Jenkinsfile': r"sh '''(.*?)'''",
    'gitlab-ci.yml': r'(?m)^    - (?:\|\n)?(hg .*|make .*|(?: {6}.*\n)+)',
    'workflow.yml': r'(?m)^ +- run: (?:\|\n)?(.*(?:\n {10}.*)*)$',
}


@pytest.mark.parametrize('name', COMMANDS)
def test_jobs(machine: Callable[..., Machine], name: str) -> None:
    made = machine()
    text = (FILES / name).read_text()
    found = re.findall(COMMANDS[name], text, re.S * (name == 'Jenkinsfile'))
    assert len(found) > 2
    environ = {
        'HASH': made.node,
        'PUSHID': '1',
        'PASSWORD': 'some-password',
        'STATE': 'failure',
        'BUILD_URL': CISERVER,
        'CI_PIPELINE_URL': CISERVER,
    }
    for command in found:
        # which Groovy reads first
        made.run(command.replace('\\\\', '\\'), **environ)
    assert (made.folder / 'build' / 'tested').exists()
    assert made.told() == {'try': 'failure'}
