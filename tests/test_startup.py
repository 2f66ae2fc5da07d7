"""What a process loads: each push over ssh is a new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Hg

#: an extension that tells what the process has loaded in the end
LOADED = """\
import atexit, sys

def tell():
    # Mercurial puts a module that it has not loaded yet here, too
    names = [n for n, m in sys.modules.items() if type(m).__name__ == 'module']
    sys.stderr.write(''.join(f'LOADED {name}\\n' for name in sorted(names)))

def extsetup(ui):
    atexit.register(tell)
"""

#: what neither a client nor a server over ssh has any use for; ``zope`` is
#: for servers that are asked something
NEEDLESS = (
    'mercurial.hgweb.hgweb_mod',
    'mercurial.hgweb.hgweb_mod_inner',
    'hgext3rd.bundlestore.web.scratch',
    'hgext3rd.bundlestore.web.pushlog',
    'hgext3rd.bundlestore.pushlist',
    'hgext3rd.bundlestore.testing',
    'hgext3rd.bundlestore.indexes.database',
    'sqlite3',
    'importlib.metadata',
)


@pytest.mark.parametrize('version', matrix.VERSIONS)
@pytest.mark.parametrize('server', [False, True], ids=['client', 'server'])
def test_nothing_needless_is_loaded(
    hg: Callable[..., Hg], tmp_path: Path, version: str, server: bool
) -> None:
    made = hg(version)
    repo = made.init(tmp_path / 'repo')
    repo.enable()
    if server:
        repo.configure('bundlestore', {'server': 'yes'})
    script = tmp_path / 'loaded.py'
    script.write_text(LOADED)
    told = repo.run('root', config=[f'extensions.loaded={script}']).err
    names = {
        line.partition(' ')[2]
        for line in told.splitlines()
        if line.startswith('LOADED ')
    }
    assert 'hgext3rd.bundlestore.loading' in names or not server
    assert not names.intersection(NEEDLESS)
