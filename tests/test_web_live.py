"""Pages of pushes that keep themselves up to date, in a real browser."""

from __future__ import annotations

import concurrent.futures
import time

import pytest

from harness import servers
from harness.browser import DESKTOP, PHONE, Browser
from harness.hg import PATIENCE, Repo
from harness.history import History
from harness.servers import WsgiTransport, patiently
from harness.shelf import Shelf
from harness.web import get

pytestmark = pytest.mark.slow('starts a browser')

#: what machines are told when nothing came
EMPTY = b'{"lastpushid":1,"pus'

STATUSES = '[data-part=statuses]'
STYLES = ('paper', 'coal', 'gitweb', 'monoblue', 'spartan')

#: Has a page be shown, or not, as where another tab is in front of it.
TURN = """
Object.defineProperty(document, 'hidden',
    {value: arguments[0], configurable: true});
document.dispatchEvent(new Event('visibilitychange'));
"""


@pytest.fixture
def webconfig() -> dict[str, str]:
    return {'allow-archive': 'gz', 'name': 'parser'}


@pytest.fixture
def pushed(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    shelf: Shelf,
) -> str:
    return shelf.once(
        'to be built', [base, client], lambda: push(client, base, hashes, 'one')
    )


def push(client: Repo, base: Repo, hashes: History, name: str) -> str:
    node = client.commit({name: name}, f'the {name}', parent=hashes.merged)
    client.run(
        *('push', '--bundle-store', '-r', node, base.path),
        env={'REMOTE_USER': 'alice'},
    )
    return node


def tell(base: Repo, context: str, state: str, id: int = 1) -> None:
    base.run(
        *('admin::bundlestore-status', f'{id}'),
        *('--context', context, '--state', state),
    )


def becomes(browser: Browser, selector: str, text: str) -> None:
    for _ in patiently():
        if text in (browser.find(selector).get_attribute('textContent') or ''):
            return
    raise AssertionError(browser.find(selector).get_attribute('outerHTML'))


def asked(transport: WsgiTransport) -> int:
    """Return how often a page has asked and was answered."""
    return transport.accesslog.read_text().count('live=')


@servers.overweb('wsgi')
def test_statuses_appear(
    transport: WsgiTransport, base: Repo, pushed: str, browser: Browser
) -> None:
    """What has focus, or is selected, stays as it is meanwhile."""
    site = transport.url(base, 'nobody')
    browser.open(f'{site}/push/1')
    run = browser.driver.execute_script
    run('window.mine = 1')
    assert 'how it went' not in browser.text
    tell(base, 'linux', 'pending')
    becomes(browser, STATUSES, 'linux')
    assert 'how it went' in browser.text
    # a script of hgweb makes ages of dates
    becomes(browser, f'{STATUSES} .age', 'second')
    assert run('return document.querySelector(".push-fresh")') is None
    run(
        'getSelection().selectAllChildren(document.querySelector(".push-state"))'
    )
    before = asked(transport)
    tell(base, 'linux', 'success')
    tell(base, 'mac', 'failure')
    for _ in patiently():
        if asked(transport) > before:
            break
    time.sleep(0.5)
    assert run('return String(getSelection())') == 'pending'
    run('getSelection().removeAllRanges()')
    becomes(browser, STATUSES, 'mac')
    (linux, mac) = browser.findall(f'{STATUSES} li')
    assert linux.text.startswith('success linux')
    assert mac.text.startswith('failure mac')
    run('arguments[0].id = "same"', mac)
    tell(base, 'linux', 'error')
    becomes(browser, STATUSES, 'error')
    # what is the same is left alone
    assert browser.find('#same').text.startswith('failure mac')
    assert run('return window.mine') == 1
    assert browser.errors() == []


@servers.overweb('wsgi')
def test_landing(
    transport: WsgiTransport, base: Repo, pushed: str, browser: Browser
) -> None:
    browser.open(f'{transport.url(base, "nobody")}/push/1')
    # so that it waits, by a repository that does not have what lands
    tell(base, 'linux', 'pending')
    becomes(browser, STATUSES, 'linux')
    assert 'landed' not in browser.text
    time.sleep(3.5)
    base.run('admin::bundlestore-land', '--force', pushed)
    becomes(browser, '[data-part=landings]', f'as {pushed[:12]}')
    assert 'landed' in browser.text
    assert browser.errors() == []


@servers.overweb('wsgi')
def test_list(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    pushed: str,
    browser: Browser,
) -> None:
    """New pushes are offered, so that nothing moves below a reader's eyes."""
    site = transport.url(base, 'nobody')
    for style in STYLES:
        browser.open(f'{site}/pushes?style={style}')
        browser.find('input[name=user]').send_keys('bo')
        tell(base, style, 'success')
        number = STYLES.index(style) + 1
        becomes(browser, '#push-1', f'{number} success')
        field = browser.find('input[name=user]')
        assert field.get_attribute('value') == 'bo'
    assert browser.text.count('new push') == 0
    push(client, base, hashes, 'two')
    becomes(browser, '#push-news', '1 new push')
    push(client, base, hashes, 'three')
    becomes(browser, '#push-news', '2 new pushes')
    assert 'the two' not in browser.text
    browser.follow(browser.link('2 new pushes'))
    assert 'the two' in browser.text
    assert 'new push' not in browser.text
    # pages of old do not ask
    browser.open(f'{site}/pushes?endID=2')
    assert browser.findall('#push-live') == []
    assert browser.errors() == []


@servers.overweb('wsgi')
def test_nobody_looks(
    transport: WsgiTransport, base: Repo, pushed: str, browser: Browser
) -> None:
    """A page that is not shown does not ask, and lets go of its place."""
    site = transport.url(base, 'nobody')
    browser.open(f'{site}/push/1')
    tell(base, 'linux', 'pending')
    becomes(browser, STATUSES, 'linux')
    # one that waits now
    time.sleep(3.5)
    browser.driver.execute_script(TURN, True)
    for _ in patiently():
        before = asked(transport)
        time.sleep(1.5)
        if asked(transport) == before:
            break
    tell(base, 'linux', 'success')
    time.sleep(4)
    assert asked(transport) == before
    assert 'pending' in browser.find(STATUSES).text
    browser.driver.execute_script(TURN, False)
    becomes(browser, STATUSES, 'success')
    for _ in patiently():
        if asked(transport) > before:
            return
    raise AssertionError('it does not ask')


@servers.overweb('wsgi')
def test_without_scripts(
    transport: WsgiTransport, base: Repo, pushed: str, browser: Browser
) -> None:
    tell(base, 'linux', 'failure')
    browser.javascript(False)
    site = transport.url(base, 'nobody')
    for size in (DESKTOP, PHONE):
        browser.resize(size)
        browser.open(f'{site}/push/1')
        assert 'failure linux' in browser.text
        assert 'the one' in browser.text
        browser.open(f'{site}/pushes')
        assert '1 failure' in browser.text
        assert 'new push' not in browser.text
        assert browser.overflow() == 0


@servers.overweb('wsgi')
def test_policy(
    transport: WsgiTransport, base: Repo, pushed: str, browser: Browser
) -> None:
    """The script has the nonce of the page; where none is allowed, the page
    goes without."""
    site = transport.url(base, 'nobody')
    for policy, isrun in (
        ("default-src 'self'; script-src 'self' 'nonce-%nonce%'", True),
        ("default-src 'none'", False),
    ):
        base.configure('web', {'csp': policy})
        browser.open(f'{site}/push/1')
        tell(base, 'mac', 'success' if isrun else 'error')
        if isrun:
            becomes(browser, STATUSES, 'mac')
            # styles without a nonce are those of hgweb
            assert not [e for e in browser.errors() if 'script' in e]
        else:
            time.sleep(2)
            assert 'error' not in browser.find(STATUSES).text


@servers.overweb('wsgi')
def test_who_asks(transport: WsgiTransport, base: Repo, pushed: str) -> None:
    """One page waits in each process, and leaves a place to the machines."""
    site = transport.url(base, 'nobody')
    seen = ''

    def ask(path: str) -> float:
        start = time.monotonic()
        answer = get(f'{site}/{path}')
        assert (answer.status, answer.body[:20]) in ((200, b''), (200, EMPTY))
        return time.monotonic() - start

    tell(base, 'linux', 'pending')
    page = get(f'{site}/push/1').text
    assert page.count('data-seen="') == 1
    seen = page.partition('data-seen="')[2].partition('"')[0]
    pool = concurrent.futures.ThreadPoolExecutor(2)
    with pool, transport.only(transport.workers()[0]):
        waiting = {pool.submit(ask, f'push/1?live={seen}') for _ in range(2)}
        done, waiting = concurrent.futures.wait(
            waiting, PATIENCE, concurrent.futures.FIRST_COMPLETED
        )
        (early,) = done
        assert early.result() < 20
        assert ask('json-pushes?startID=1&version=2&wait=1') >= 1
        tell(base, 'linux', 'success')
        with pytest.raises(AssertionError):
            # it has the page
            next(iter(waiting)).result()
        # all is over: nobody waits
        page = get(f'{site}/push/1').text
        seen = page.partition('data-seen="')[2].partition('"')[0]
        assert ask(f'push/1?live={seen}') < 20
    answer = get(f'{site}/push/1?live={seen}')
    assert answer.headers['cache-control'] == 'no-store'
    assert f'data-seen="{seen}"' in get(f'{site}/push/1?live=old').text
    assert get(f'{site}/push/7?live={seen}').status == 404
