"""What the overlay of a page gets of what was found out for earlier pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix, servers
from harness.hg import Repo
from harness.snapshot import untouched
from harness.web import get

#: Notes what a server does: that it makes the text of a manifest from deltas,
#: and checks it (``m``), that it searches for tags (``t``).
COUNTER = """\
from mercurial import revlog, tags
from mercurial.revlogutils import constants

def count(owner, name, kind, seen):
    original = getattr(owner, name)
    def counting(*args, **kwargs):
        if seen(args[0]):
            with open({path!r}, 'a') as fh:
                fh.write(kind)
        return original(*args, **kwargs)
    setattr(owner, name, counting)

manifests = constants.KIND_MANIFESTLOG
count(revlog.revlog, 'checkhash', 'm', lambda log: log.target[0] == manifests)
count(tags, 'findglobaltags', 't', lambda ui: True)
"""

VERSIONS = pytest.mark.parametrize(
    'server_version',
    [
        pytest.param(
            version, marks=[] if version == matrix.NEWEST else [matrix.ANOTHER]
        )
        for version in matrix.VERSIONS
    ],
)

#: the server that keeps repositories open
pytestmark = [servers.overweb('wsgi-hgweb'), VERSIONS]


@pytest.fixture
def counted(
    transport: servers.WsgiTransport, base: Repo, tmp_path: Path
) -> Callable[[], str]:
    """``counted()`` is what the one process of a server did since it was called
    last."""
    transport.WORKERS = 1
    path = tmp_path / 'counted'
    counter = tmp_path / 'counter.py'
    counter.write_text(COUNTER.format(path=str(path)))
    transport.rc.write_text(f'[extensions]\ncounter = {counter}\n')

    def done() -> str:
        found = path.read_text() if path.exists() else ''
        path.unlink(missing_ok=True)
        return found

    return done


def pushed(client: Repo, files: dict[str, str]) -> str:
    client.run('update', '-r', '0')
    node = client.commit(files, 'a try')
    client.run('push', '--bundle-store', '-r', node)
    return node


def look(page: str) -> str:
    """Return what a page shows."""
    return re.sub('nonce="[^"]+"', '', get(page).text)


def test_manifests(
    transport: servers.Transport,
    base: Repo,
    counted: Callable[[], str],
    client: Repo,
) -> None:
    one, other = (pushed(client, {'new.txt': text}) for text in 'ab')
    url = transport.url(base)
    with untouched(base.path):
        shown = look(f'{url}/rev/{one}')
        assert 'm' in counted()
        assert look(f'{url}/rev/{one}') == shown
        assert 'new.txt' in look(f'{url}/file/{one}/')
        assert 'm' not in counted()
        # what is below is the same
        assert '+b' in look(f'{url}/raw-rev/{other}')
        assert counted().count('m') == 1
        assert '+a' in look(f'{url}/raw-rev/{one}')
        assert 'm' not in counted()


@pytest.mark.slow('others look at the same, in less time')
def test_tags(
    transport: servers.Transport,
    base: Repo,
    counted: Callable[[], str],
    client: Repo,
) -> None:
    base.run('update')
    base.run('tag', '--rev', '0', 'released')
    client.run('pull')
    one = pushed(client, {'new.txt': 'a\n'})
    tagged = pushed(client, {'.hgtags': f'{one} tried\n{one} released\n'})
    url = transport.url(base)
    with untouched(base.path):
        for times in 't', '':
            shown = look(f'{url}/shortlog/{one}')
            assert '>released<' in shown
            assert 'tried' not in shown
            assert counted().replace('m', '') == times
        # it says something new
        look(f'{url}/shortlog/{tagged}')
        assert counted().replace('m', '') == 't'
    # what the base says later counts
    base.run('tag', '--rev', '0', 'again')
    counted()
    assert '>again<' in look(f'{url}/shortlog/{one}')
    assert counted().replace('m', '') == 't'
