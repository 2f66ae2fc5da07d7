"""What our pages are for people who see little, or use no mouse: in a real
browser, by the measures of WCAG 2, level AA."""

from __future__ import annotations

import pytest

from harness import servers
from harness.browser import PHONE, Browser
from harness.hg import Repo
from harness.history import History
from harness.servers import WsgiTransport

pytestmark = pytest.mark.slow('starts a browser')

STYLES = ('paper', 'coal', 'gitweb', 'monoblue', 'spartan')

#: Lists the texts below an element whose contrast is too low: 4.5 is the
#: least, 3 for large letters (WCAG 2, 1.4.3).
CONTRAST = """
function parse(text) {
  const found = text.match(/[0-9.]+/g).map(Number);
  return found.length > 3 ? found : [...found, 1];
}
function over(top, below) {
  return [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
}
function background(element) {
  let layers = [];
  for (; element; element = element.parentElement)
    layers.unshift(parse(getComputedStyle(element).backgroundColor));
  return layers.reduce((below, top) => over(top, below), [255, 255, 255]);
}
function luminance(colour) {
  const [r, g, b] = colour.map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
let faults = [], seen = 0;
for (const root of document.querySelectorAll(arguments[0])) {
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !element.getClientRects().length) continue;
    seen++;
    const style = getComputedStyle(element);
    const below = background(element);
    const [dark, light] = [over(parse(style.color), below), below]
      .map(luminance).sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
      faults.push(`${ratio.toFixed(2)} ${element.className}: ${text}`);
  }
}
return [faults, seen];
"""

#: lists fields without a label, cells of a head without a scope
UNNAMED = """
return [...document.querySelectorAll(
    'input[type=text], input[type=checkbox], select')]
  .filter(e => !e.labels.length).map(e => e.name)
  .concat([...document.querySelectorAll('th:not([scope])')]
    .map(e => e.textContent))
"""

#: lists what has focus, by name, one press of the key after the other
FOCUSED = """
const e = document.activeElement, style = getComputedStyle(e);
return [e.name || e.textContent.trim(), parseFloat(style.outlineWidth),
        style.outlineStyle]
"""


def faults(browser: Browser, selector: str = 'body') -> list[str]:
    found, seen = browser.driver.execute_script(CONTRAST, selector)
    assert seen, f'no text in {selector} on {browser.url}'
    return [f'{browser.url}: {fault}' for fault in found]


def pushed(client: Repo, base: Repo, hashes: History) -> str:
    node = client.commit({'a': 'a'}, 'one', parent=hashes.merged)
    other = client.commit({'b': 'b'}, 'other', parent=hashes.merged)
    for more in (('-B', 'scratch/x'), ('-r', other)):
        client.run(
            *('push', '--bundle-store', '-r', node, base.path),
            *more,
            env={'REMOTE_USER': 'alice'},
        )
    return node


@servers.overweb('wsgi')
def test_contrast(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    browser: Browser,
) -> None:
    """All of our own pages; of Mercurial's what is ours there."""
    base.configure('web', {'allow-archive': 'gz'})
    node = pushed(client, base, hashes)
    site = transport.url(base, 'nobody')
    found = []
    for style in STYLES:
        for path in ('pushes', 'push/2'):
            browser.open(f'{site}/{path}?style={style}')
            found += faults(browser)
            unnamed = browser.driver.execute_script(UNNAMED)
            assert unnamed == [], (style, path)
            assert browser.findall('h1, h2'), (style, path)
        browser.open(f'{site}/rev/{node}?style={style}')
        found += faults(browser, '.bundlestore-banner, .bundlestore-nav')
        if style != 'spartan':
            found += faults(browser, '.scratch')
    assert not found, '\n'.join(found)


@servers.overweb('wsgi')
def test_keyboard(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    browser: Browser,
) -> None:
    """The order of the page, and one sees where one is; on a phone, too, a
    reader is told of columns."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    pushed(client, base, hashes)
    site = transport.url(base, 'nobody')
    browser.open(f'{site}/pushes')
    names = []
    while 'search' not in names or '1' not in names:
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        name, width, kind = browser.driver.execute_script(FOCUSED)
        assert kind != 'none', name
        assert width >= 2, name
        names.append(name or 'search')
        assert len(names) < 60, names
    order = ['log', 'user', 'changeset', 'text', 'branch', 'status']
    order += ['2', 'one', '1']
    assert [n for n in dict.fromkeys(names) if n in order] == order
    browser.resize(PHONE)
    browser.open(f'{site}/push/2')
    assert browser.find('table.pushes').aria_role == 'table'
    heads = browser.findall('table.pushes th')
    assert [head.aria_role for head in heads] == ['columnheader'] * 4
    cells = browser.findall('table.pushes td')
    assert {cell.aria_role for cell in cells} == {'cell'}
