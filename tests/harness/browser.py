"""A real browser: Debian's Chromium without a window, driven by selenium.

Selenium is imported when a browser is asked for, and told where the driver
is, so that it does not look for one to download. The browser starts with an
empty profile and can reach nothing but this machine.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import environments

from .hg import PATIENCE
from .servers import patiently

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

SCREENSHOTS = environments.ROOT / 'artefacts' / 'screenshots'

#: where this is set, a browser that is missing is a failure
REQUIRED = 'BUNDLESTORE_REQUIRE_BROWSER'

PROGRAMS = ('chromium', 'chromedriver')

OPTIONS = (
    '--headless=new',
    # which root has to do without
    '--no-sandbox',
    '--disable-gpu',
    # what containers have of it is too small
    '--disable-dev-shm-usage',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-proxy-server',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
)


class Size(NamedTuple):
    """What a page has for itself, in CSS pixels."""

    width: int
    height: int
    phone: bool


DESKTOP = Size(1280, 900, False)
PHONE = Size(390, 844, True)


def missing() -> Optional[str]:
    """Return why there can be no browser, None if there can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if not absent:
        return None
    return (
        f'not found: {", ".join(absent)}\n'
        'On Debian: apt-get install chromium chromium-driver'
    )


class Browser:
    """One window. ``driver`` is selenium's, for all that is not here."""

    def __init__(self, folder: Path) -> None:
        from selenium import webdriver

        profile = folder / 'profile'
        self.downloads = folder / 'downloads'
        for path in (profile, self.downloads):
            path.mkdir(parents=True)
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which('chromium'))
        for option in (*OPTIONS, f'--user-data-dir={profile}'):
            options.add_argument(option)
        # one that is shown stays, for dialog() to tell of
        options.unhandled_prompt_behavior = 'ignore'
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        service = webdriver.ChromeService(
            executable_path=shutil.which('chromedriver'),
            env={**os.environ, 'HOME': str(folder), 'TZ': 'UTC'},
        )
        self.driver: Chrome = webdriver.Chrome(options, service)
        self.driver.set_page_load_timeout(PATIENCE)
        self._begin()

    def _begin(self) -> None:
        self._tell(
            'Browser.setDownloadBehavior',
            behavior='allow',
            downloadPath=str(self.downloads),
        )
        self.resize(DESKTOP)

    def renew(self) -> None:
        """Begin anew in another window, with an empty cache. What is kept is
        who has logged in where."""
        old = self.driver.current_window_handle
        self.driver.switch_to.new_window('window')
        new = self.driver.current_window_handle
        self.driver.switch_to.window(old)
        self.driver.close()
        self.driver.switch_to.window(new)
        self._tell('Network.clearBrowserCache')
        self._tell('Network.clearBrowserCookies')
        for path in self.downloads.iterdir():
            path.unlink()
        self.errors()
        self._begin()

    def close(self) -> None:
        self.driver.quit()

    def _tell(self, command: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, arguments)

    def resize(self, size: Size) -> None:
        """Become another device. A phone honours the page's viewport."""
        self._tell(
            'Emulation.setDeviceMetricsOverride',
            width=size.width,
            height=size.height,
            deviceScaleFactor=2 if size.phone else 1,
            mobile=size.phone,
        )
        self._tell('Emulation.setTouchEmulationEnabled', enabled=size.phone)

    def javascript(self, enabled: bool) -> None:
        """Switch the scripts of pages that are opened from now on."""
        self._tell('Emulation.setScriptExecutionDisabled', value=not enabled)

    def trust(self) -> None:
        """Take whatever certificate a server of the tests has, in this
        window."""
        self._tell('Security.setIgnoreCertificateErrors', ignore=True)

    def open(self, url: str) -> None:
        self.driver.get(url)

    @property
    def url(self) -> str:
        url: str = self.driver.current_url
        return url

    @property
    def title(self) -> str:
        title: str = self.driver.title
        return title

    @property
    def text(self) -> str:
        """What a reader sees, hidden things left out."""
        return self.find('body').text

    def findall(self, selector: str) -> list[WebElement]:
        """Return what a CSS selector matches."""
        elements: list[WebElement] = self.driver.find_elements(
            'css selector', selector
        )
        return elements

    def find(self, selector: str) -> WebElement:
        """Return the one thing that a CSS selector matches."""
        found = self.findall(selector)
        assert len(found) == 1, f'{len(found)} of {selector} on {self.url}'
        return found[0]

    def link(self, text: str) -> WebElement:
        """Return the first link with this text."""
        found = self.driver.find_elements('link text', text)
        assert found, f'no link {text!r} on {self.url}\n{self.text}'
        return found[0]

    def follow(self, link: WebElement) -> None:
        """Click on a link and wait until another page is there."""
        self._leave(link.click)

    def search(self, selector: str, text: str) -> None:
        """Type into a field, hit return and wait for the answer."""
        field = self.find(selector)
        field.clear()
        self._leave(lambda: field.send_keys(text + '\n'))

    def _leave(self, act: Callable[[], None]) -> None:
        """Do what leads to another page, and wait until it is loaded."""
        from selenium.common.exceptions import WebDriverException

        old = self.find('html')
        act()
        for _ in patiently():
            try:
                old.is_enabled()
            except WebDriverException:
                break
        else:
            raise AssertionError(f'still on {self.url}')
        for _ in patiently():
            if self.driver.execute_script('return document.readyState') == (
                'complete'
            ):
                return
        raise AssertionError(f'no end of {self.url}')

    def download(self, link: WebElement) -> Path:
        """Click on a link to a file and return the file, once it is whole."""
        before = {*self.downloads.iterdir()}
        link.click()
        for _ in patiently():
            new = {*self.downloads.iterdir()} - before
            if new and not any(p.suffix == '.crdownload' for p in new):
                (path,) = new
                return path
        raise AssertionError(f'nothing was downloaded from {self.url}')

    def overflow(self) -> int:
        """Return by how many pixels the page is too wide for the window."""
        # the window itself is no measure: on a phone, it shows all of a page
        # that is too wide, but smaller
        wide: int = self.driver.execute_script(
            'const root = document.documentElement;'
            'return root.scrollWidth - root.clientWidth'
        )
        return max(0, wide)

    def dialog(self) -> Optional[str]:
        """Return what a dialog that a script opened says, None without."""
        from selenium.common.exceptions import NoAlertPresentException

        try:
            text: str = self.driver.switch_to.alert.text
        except NoAlertPresentException:
            return None
        return text

    def errors(self) -> list[str]:
        """Return what the page's console complained of since last asked."""
        getlog: Callable[[str], list[dict[str, str]]] = self.driver.get_log
        return [
            entry['message']
            for entry in getlog('browser')
            if entry['level'] == 'SEVERE'
        ]

    def screenshot(self, name: str, whole: bool = True) -> Path:
        """Keep a picture of the page (not ``whole``: of what the window shows)
        as ``artefacts/screenshots/NAME.png``."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        picture = self._tell(
            'Page.captureScreenshot', captureBeyondViewport=whole
        )
        path = SCREENSHOTS / f'{name}.png'
        path.write_bytes(base64.b64decode(picture['data']))
        return path
