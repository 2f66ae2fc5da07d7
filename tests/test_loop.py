"""The loop: what alice has is pushed, built and landed, and she knows how it
went."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.backends.daemon import freeports
from harness.browser import Browser
from harness.buildbot import PAGE, Buildbot
from harness.hg import PATIENCE, Hg, Repo, finish
from harness.history import History
from harness.machine import BASE, Machine, needs
from harness.receiver import SECRET, Receiver, hooked, receiving
from harness.servers import NOBODY, PASSWORDS, HttpsTransport, patiently
from harness.snapshot import NOTED, untouched
from harness.webfronts import (
    CERTIFICATE,
    answers,
    certify,
    nginx,
    served,
    service,
)

#: seconds; nobody waits on where a test has failed
TIMEOUT = str(PATIENCE)
PUSH = ('push', '--bundle-store', '--working-copy', '-m', 'try: this')


class Watched:
    """A page that somebody looks at, and does not load again."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        browser.trust()
        browser.open(url)
        self._script('window.stays = true')

    def _script(self, text: str) -> object:
        return self._browser.driver.execute_script(text)

    def until(self, *words: str) -> None:
        for _ in patiently():
            # to look is dear
            time.sleep(0.3)
            text = self._browser.text
            if all(word in text for word in words):
                break
        else:
            raise AssertionError(f'{words}: not in\n{text}')
        assert self._script('return window.stays'), 'it was loaded again'


@pytest.fixture
def transport_name() -> str:
    return 'https'


@pytest.fixture
def storeconfig() -> dict[str, str]:
    return {'allow-status': 'carol'}


@pytest.fixture
def webconfig() -> dict[str, str]:
    return {'push_ssl': 'yes', 'allow-push': 'alice'}


def tell(url: str, cert: Path, push: int, state: str) -> None:
    """Tell how a push went, as ``docs/ci.rst`` has it."""
    told = {'context': 'ci', 'state': state}
    subprocess.run(
        [
            *('curl', '-fsS', '--cacert', cert),
            *('-u', f'carol:{PASSWORDS["carol"]}'),
            *('-H', 'Content-Type: application/json'),
            *('-d', json.dumps(told), f'{url}/push-status/{push}'),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.mark.slow('a server with TLS, and a browser')
def test_loop(
    transport: HttpsTransport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
    browser: Browser,
    receiver: Receiver,
) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    hooked(base, receiver)
    url = transport.url(base, NOBODY)
    client.inspect('update', hashes.tagged)
    client.write({'README': 'tried\n'})
    client.run('status')
    with untouched(client.path, NOTED), untouched(base.path):
        client.run(*PUSH, '--pushvars', 'TRY=linux')
    page = Watched(browser, f'{transport.url(base)}/push/1')
    page.until('TRY', 'linux')
    waits = client.start('pushes', '--wait', '--timeout', TIMEOUT)
    # the machine
    (told,) = receiver.wait(1)
    assert told.signatures()
    data = told.json()['data']
    assert data['pushvars'] == {'TRY': 'linux'}
    (node,) = data['heads']
    machine = newclient('machine', ext=False)
    machine.run('pull', '-r', node)
    assert machine.cat('README', node) == 'tried\n'
    tell(url, transport.cert, data['pushid'], 'success')
    page.until('success')
    finish(waits, ok=(0,))
    base.run('admin::bundlestore-land', node)
    assert base.phase(node) == 'public'
    page.until(f'{node[:12]} as {node[:12]}')
    browser.follow(browser.link('pushes'))
    assert f'landed as {node[:12]}' in browser.text


# -- with a real Buildbot, on the machine that docs/deployment.rst sets up

MAKEFILE = 'test:\n\tgrep -q good state\n'


@pytest.fixture
def site(one: Machine) -> Machine:
    """nginx with TLS and logins, and gunicorn behind it."""
    needs('openssl', 'htpasswd', 'nginx', 'gunicorn')
    certify(one)
    served(one)
    front = nginx(one)
    one.follow('Over https')
    (port,) = freeports(1)
    one.words['https://buildbot.example.org'] = f'http://127.0.0.1:{port}'
    one.words['tcp:8010:interface'] = f'tcp:{port}:interface'
    one.follow('Buildbot', PAGE)
    # which is for addresses like this one
    with open(one.path(f'{BASE}/.hg/hgrc'), 'a') as hgrc:
        hgrc.write('[bundlestore]\nwebhook.buildbot:allow-private = yes\n')
    service(one)
    one.start(front, answers(one.port), one.root)
    return one


def login(site: Machine, name: str, password: str) -> str:
    """Return what somebody has in a hgrc."""
    return (
        f'[auth]\nx.prefix = *\nx.username = {name}\nx.password = {password}\n'
        f'[web]\ncacerts = {site.here(CERTIFICATE)}\n'
    )


def webpage(site: Machine, path: str) -> str:
    """Return the address of a page, with alice's login."""
    who = f'alice:{PASSWORDS["alice"]}'
    return f'https://{who}@127.0.0.1:{site.port}/project/{path}'


@pytest.fixture
def person(
    site: Machine, hg: Callable[..., Hg], tmp_path: Path
) -> Callable[[str], Repo]:
    """``person('alice')``: a clone of hers."""

    def make(name: str) -> Repo:
        made = hg().clone(site.path(BASE), tmp_path / name)
        made.enable()
        url = f'https://{name}@localhost:{site.port}/project'
        made.configure('paths', {'default': url})
        with open(made.hgrc, 'a') as file:
            file.write(login(site, name, PASSWORDS[name]))
        return made

    return make


@pytest.fixture
def buildbot(
    site: Machine, buildbotpackages: Path, tmp_path: Path
) -> Iterator[Buildbot]:
    """A Buildbot that hears of pushes by the web hook only."""
    folder = tmp_path / 'buildbot'
    folder.mkdir()
    (folder / '.hgrc').write_text(login(site, 'worker', 'some-password'))
    words = {
        word: site.words[word]
        for word in (
            'https://hg.example.org',
            'https://buildbot.example.org',
            'tcp:8010:interface',
        )
    }
    words['pollInterval=30'] = 'pollInterval=36000'
    secret = site.path('/etc/mercurial/webhook-buildbot.secret').read_text()
    made = Buildbot(buildbotpackages, folder, words, 'some-password', secret)
    made.environ['SSL_CERT_FILE'] = site.here(CERTIFICATE)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.nightly('Buildbot has to be fetched')
def test_with_buildbot(
    site: Machine,
    person: Callable[[str], Repo],
    buildbot: Buildbot,
    hg: Callable[..., Hg],
    browser: Browser,
) -> None:
    alice = person('alice')
    alice.commit({'Makefile': MAKEFILE, 'state': 'bad\n'}, 'base')
    alice.run('push')
    alice.write({'state': 'good\n'})
    alice.run('status')
    with untouched(alice.path, NOTED):
        alice.run(*PUSH, '--pushvars', 'TRY=linux')
    waits = alice.start('pushes', '--wait', '--timeout', TIMEOUT)
    page = Watched(browser, webpage(site, 'push/1'))
    page.until('linux')
    assert buildbot.hook(SECRET) == 400
    buildbot.worker(hg(ext=False))
    page.until('buildbot/try', 'success')
    finish(waits, ok=(0,))
    (build,) = buildbot.builds(1)
    properties = {k: v[0] for k, v in build['properties'].items()}
    assert properties['pushvars'] == {'TRY': 'linux'}
    node = properties['got_revision']

    # what is wrong ends otherwise
    alice.write({'state': 'bad\n', 'more': ''})
    alice.run('add', 'more')
    alice.run(*PUSH)
    alice.run('pushes', '--wait', '--timeout', TIMEOUT, ok=(1,))

    # another lands something meanwhile
    base = Repo(hg(), site.path(BASE))
    other = hg().clone(base.path, site.root / 'home' / 'other')
    other.commit({'other': 'other\n'}, 'other')
    other.run('push')
    land = site.run(
        f'hg -R {base.path} admin::bundlestore-land --rebase {node}'
    )
    assert land.returncode == 0, land.stdout
    tip = base.node('tip')
    assert base.cat('state', tip) == 'good\n'
    assert base.phase(tip) == 'public'
    page.until(f'{node[:12]} as {tip[:12]}')
