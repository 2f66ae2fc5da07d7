"""The pages, in a real browser."""

from __future__ import annotations

import struct
import tarfile

import pytest
from selenium.common.exceptions import WebDriverException

from harness import servers
from harness.browser import DESKTOP, PHONE, REQUIRED, Browser
from harness.hg import Repo
from harness.history import History
from harness.servers import WsgiTransport

pytestmark = pytest.mark.slow('starts a browser')


@servers.overweb('wsgi')
def test_hgweb(
    transport: WsgiTransport, base: Repo, browser: Browser, hashes: History
) -> None:
    """What Mercurial has itself: that the browser works."""
    base.configure('web', {'allow-archive': 'gz', 'name': 'the base'})
    browser.open(transport.url(base, 'nobody'))
    assert browser.title == 'the base: log'
    browser.screenshot('hgweb-desktop', whole=False)
    browser.follow(browser.link('merge right into left'))
    assert browser.url.endswith(f'/rev/{hashes.merged[:12]}')
    archive = browser.download(browser.link('gz'))
    with tarfile.open(archive) as tar:
        assert any(name.endswith('/docs/copy.txt') for name in tar.getnames())
    browser.search('.search input[type=text]', 'on stable')
    assert 'fix on stable' in browser.text
    assert 'merge right into left' not in browser.text
    assert browser.errors() == []


@servers.overweb('wsgi')
def test_sizes(transport: WsgiTransport, base: Repo, browser: Browser) -> None:
    width = 'return document.documentElement.clientWidth'
    browser.open(transport.url(base, 'nobody'))
    assert browser.driver.execute_script(width) == DESKTOP.width
    assert browser.overflow() == 0
    browser.resize(PHONE)
    # a page without a viewport is laid out for a desktop
    browser.open('data:text/html,<html><body>no viewport')
    assert browser.driver.execute_script(width) > PHONE.width
    viewport = '<meta name="viewport" content="width=device-width">'
    browser.open(f'data:text/html,{viewport}<p style="width: 400px">wide')
    assert browser.driver.execute_script(width) == PHONE.width
    assert browser.overflow() > 0
    browser.open(f'data:text/html,{viewport}<p>narrow')
    assert browser.overflow() == 0
    path = browser.screenshot('phone', whole=False)
    size = path.read_bytes()[16:24]
    assert struct.unpack('>II', size) == (2 * PHONE.width, 2 * PHONE.height)


def test_scripts_that_should_not_run(browser: Browser) -> None:
    """What the tests of escaping rely on."""
    page = 'data:text/html,<script>{}</script><p>text'
    browser.open(page.format('1'))
    assert browser.dialog() is None
    assert browser.errors() == []
    browser.open(page.format('alert("let in")'))
    assert browser.dialog() == 'let in'
    browser.driver.switch_to.alert.dismiss()
    browser.open(page.format('throw "trouble"'))
    (error,) = browser.errors()
    assert 'Uncaught' in error
    browser.javascript(False)
    browser.open(page.format('document.write("written")'))
    assert browser.text == 'text'


def test_nothing_but_this_machine_is_reached(browser: Browser) -> None:
    with pytest.raises(WebDriverException, match='ERR_NAME_NOT_RESOLVED'):
        browser.open('http://hg.example.org/')


@pytest.mark.parametrize('webconfig', [{'allow_read': 'bob'}])
@servers.overweb('wsgi')
def test_login(transport: WsgiTransport, base: Repo, browser: Browser) -> None:
    browser.open(transport.url(base, 'nobody'))
    assert 'merge right into left' not in browser.text
    browser.open(transport.url(base, 'bob'))
    assert 'merge right into left' in browser.text


@pytest.mark.parametrize('required', [False, True])
def test_without_a_browser(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    required: bool,
) -> None:
    """A test is skipped, or fails; nobody goes and fetches one."""
    monkeypatch.setenv('PATH', '/nonexistent')
    monkeypatch.setenv(REQUIRED, '1' if required else '')
    outcome = pytest.fail if required else pytest.skip
    with pytest.raises(outcome.Exception, match='not found: chromium, '):
        request.getfixturevalue('browser')
