"""The manual says what the code does."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Hg, Repo

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / 'hgext3rd' / 'bundlestore').rglob('*.py'))
EXTENSION = ['extensions.bundlestore=']


@pytest.fixture(
    params=[
        *(pytest.param(v, marks=matrix.ANOTHER) for v in matrix.VERSIONS[:-1]),
        matrix.NEWEST,
    ]
)
def text(request: pytest.FixtureRequest, hg: Callable[..., Hg]) -> str:
    """Both pages of the manual, as a user sees them."""
    made = hg(request.param)
    pages = [
        made.run('help', page, config=EXTENSION).out
        for page in ('bundlestore', 'bundlestore-server')
    ]
    return '\n'.join(pages)


def declared() -> set[str]:
    """Return the names in the table of configuration items."""
    source = (ROOT / 'hgext3rd/bundlestore/config.py').read_text()
    return set(re.findall(r"configitem\(\s*SECTION,\s*b'([\w-]+)'", source))


def read() -> set[str]:
    """Return the names that some room reads."""
    pattern = (
        r'(?:config(?:bool|int|bytes|list)?|_choice|_rate|_bytes|_duration)\(\s*'
        r"(?:ui,|(?:config\.)?SECTION,|b'bundlestore',)\s*b'([\w-]+)'"
    )
    # what config.settings reads, where a bad value must not end the process
    settings = r"\b(?:item|integer|boolean|choice|url)\(\s*b'([\w-]+)'"
    source = (ROOT / 'hgext3rd/bundlestore/config.py').read_text()
    return (
        {
            name
            for path in SOURCES
            for name in re.findall(pattern, path.read_text())
        }
        | set(re.findall(settings, source))
        | ofstores()
    )


def ofstores() -> set[str]:
    """Return the names that stores read, each by a constant."""
    found: set[str] = set()
    for path in (ROOT / 'hgext3rd/bundlestore/stores').rglob('*.py'):
        text = path.read_text()
        found.update(re.findall(r"^_[A-Z]+ = '([\w-]+-command)'", text, re.M))
    return found


def test_every_item_is_declared_read_and_described(text: str) -> None:
    # an item of the manual opens a line: "name", several joined by commas
    described = {
        name
        for line in text.splitlines()
        if re.match(r' *"[a-z.-]+"(, "[a-z.-]+")*$', line)
        for name in re.findall(r'"(?:bundlestore\.)?([a-z-]+)"', line)
    }
    described -= {'prebundlestore', 'bundlestore'}  # the hooks
    assert declared()
    assert declared() == read()
    assert declared() == described


def test_defaults_are_those_of_the_code(text: str) -> None:
    flat = ' '.join(text.split())
    defaults = dict(
        re.findall(
            r'"(?:bundlestore\.)?([a-z-]+)" [A-Z][^(]*\(default: ([^)]*)\)',
            flat,
        )
    )
    assert defaults['max-bundle-size'] == '1 GB'
    assert defaults['max-changesets'] == '10000'
    assert defaults['bookmark-pattern'] == '"re:^scratch/"'
    source = (ROOT / 'hgext3rd/bundlestore/config.py').read_text()
    for name in ('max-bundle-size', 'max-changesets', 'bookmark-pattern'):
        assert defaults[name].strip('"') in source


def test_references_resolve(hg: Callable[..., Hg]) -> None:
    made = hg()
    pages = [
        (ROOT / 'hgext3rd/bundlestore/__init__.py').read_text(),
        (
            ROOT / 'hgext3rd/bundlestore/helptext/bundlestore-server.rst'
        ).read_text(),
        (ROOT / 'hgext3rd/bundlestore/admin.py').read_text(),
    ]
    found = {
        ' '.join(words.split())
        for page in pages
        for words in re.findall(r':hg:`([^`]*)`', page)
    }
    assert found
    for words in found:
        command = words.split()
        if command[0] != 'help':
            command = ['help', command[0]]
        made.run(*command, config=EXTENSION)


def test_commands_have_help(hg: Callable[..., Hg]) -> None:
    made = hg()
    out = made.run('help', 'admin::bundlestore-init', config=EXTENSION).out
    assert 'make a try URL for a repository' in out
    out = made.run('help', 'push', config=EXTENSION).out
    assert '--bundle-store' in out


@pytest.mark.parametrize(
    'room',
    [
        'model',
        'errors',
        'interfaces',
        'backends',
        'stores.file',
        'indexes.sqlite.file',
        'bundle.changegroup',
    ],
)
def test_rooms_without_mercurial(room: str, hg: Callable[..., Hg]) -> None:
    """Backends of third parties and their tests need none."""
    code = (
        'import sys, importlib\n'
        f'importlib.import_module("hgext3rd.bundlestore.{room}")\n'
        'print([m for m in sys.modules if m.startswith("mercurial.")])\n'
    )
    # the front page is Mercurial's, so stand in for it
    start = (
        'import types, hgext3rd, os, sys\n'
        'p = [q + "/bundlestore" for q in hgext3rd.__path__]\n'
        'm = types.ModuleType("hgext3rd.bundlestore")\n'
        'm.__path__ = [q for q in p if os.path.isdir(q)]\n'
        'sys.modules["hgext3rd.bundlestore"] = m\n'
    )
    done = subprocess.run(
        [hg().python, '-c', start + code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == '[]\n'


def wsgi(made: Hg, repo: Repo, path: str = '', query: str = '') -> str:
    """Return what hgweb answers under a WSGI server."""
    code = (
        'from mercurial.hgweb import hgweb\n'
        'import io, sys\n'
        f'app = hgweb({str(repo.path).encode()!r})\n'
        'env = {"REQUEST_METHOD": "GET", "SERVER_NAME": "x",\n'
        f'       "SERVER_PORT": "80", "QUERY_STRING": {query!r},\n'
        '       "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),\n'
        '       "wsgi.errors": sys.stderr, "wsgi.multithread": True,\n'
        '       "wsgi.multiprocess": True, "wsgi.run_once": False,\n'
        '       "wsgi.version": (1, 0), "SCRIPT_NAME": "",\n'
        f'       "PATH_INFO": {path!r}}}\n'
        'print(b"".join(app(env, lambda *a: None)).decode())\n'
    )
    done = subprocess.run(
        [made.python, '-c', code],
        capture_output=True,
        text=True,
        env=made.cleanenviron(),
    )
    assert done.stderr == ''
    return done.stdout


def test_wsgi_server(hg: Callable[..., Hg], tmp_path: Path) -> None:
    """hgweb under a WSGI server never loads Mercurial's commands."""
    made = hg()
    repo = made.init(tmp_path / 'repo')
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes'})
    shown = wsgi(made, repo, query='cmd=capabilities')
    assert 'bundlestore' in shown.split()


def test_the_topic_stands_in_its_sorted_place(
    hg: Callable[..., Hg], tmp_path: Path
) -> None:
    """In Mercurial's list of topics, for ``hg help`` and for hgweb."""
    made = hg()
    listed = made.run('help', config=EXTENSION).out
    assert re.search(r'\n bundlestore-server\n +Running.*\n config ', listed), (
        listed
    )
    repo = made.init(tmp_path / 'repo')
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes'})
    found = wsgi(made, repo, path='/json-help')
    shown = [each['topic'] for each in json.loads(found)['topics']]
    assert 'bundlestore-server' in shown, shown
    assert shown == sorted(shown)


def snippets(text: str) -> list[str]:
    """Return the blocks that a text shows indented, as they stand there."""
    blocks: list[str] = []
    lines: list[str] = []
    for line in [*text.splitlines(), 'end']:
        if line.startswith(' ') or (lines and not line):
            lines.append(line.strip())
        elif lines:
            blocks.append('\n'.join(lines).strip())
            lines = []
    return blocks


PAGES = (
    'README.rst',
    'hgext3rd/bundlestore/__init__.py',
    'hgext3rd/bundlestore/helptext/bundlestore-server.rst',
)


@pytest.mark.parametrize('page', PAGES)
def test_whoever_turns_the_extension_on_requires_it(page: str) -> None:
    """Otherwise pushes land when an upgrade keeps it from being loaded."""
    found = [
        block
        for block in snippets((ROOT / page).read_text())
        if re.search(r'^bundlestore *=', block, re.MULTILINE)
    ]
    assert found
    for block in found:
        assert 'bundlestore:required = yes' in block.splitlines(), block


def test_a_path_for_scratch_pushes_says_what_is_pushed() -> None:
    """``hg push try`` alone would send every draft; and a try URL is shown
    before the option, which a client without the extension does not know."""
    for page in PAGES[:2]:
        text = (ROOT / page).read_text()
        paths = [
            block
            for block in snippets(text)
            if re.search(r'^try = ', block, re.MULTILINE)
        ]
        assert paths
        for block in paths:
            assert 'try:pushrev = .' in block.splitlines(), block
        assert 'try:bundle-store' not in paths[0]
