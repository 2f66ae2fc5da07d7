"""A try URL: every push is a scratch push, and none can land by way of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, tryurl


def test_init_leaves_the_base_alone(transport: Transport, base: Repo) -> None:
    with untouched(base.path, exclude=()):
        made = tryurl(transport, base)
    assert base.run('config', 'bundlestore.route', ok=(1,)).out == ''
    assert made.run('config', 'bundlestore.route').out == 'all\n'
    assert made.nodes('parents()') == []


@matrix.over('ssh')
def test_init_of_a_plain_base(
    transport: Transport, plainbase: Repo, vanilla: Repo
) -> None:
    """The base need not know that it has a try URL."""
    made = tryurl(transport, plainbase)
    url = transport.url(made)
    node = vanilla.commit({'a': 'a\n'}, 'stored')
    with untouched(plainbase.path):
        vanilla.run('push', url)
    assert len(bundles(plainbase)) == 1
    other = vanilla.hg.clone(
        transport.url(plainbase),
        vanilla.path.parent / 'other',
        config=transport.commandline(),
    )
    other.run('pull', '-r', node, url, config=transport.commandline())
    assert other.phase(node) == 'draft'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['base', 'base'], 'already exists'),
        (['nothing', 'new'], 'not found'),
        (['base'], 'invalid arguments'),
    ],
)
@matrix.over('path')
def test_init_with_bad_arguments(
    transport: Transport, base: Repo, arguments: list[str], message: str
) -> None:
    result = base.hg.run(
        'admin::bundlestore-init',
        *arguments,
        cwd=transport.root,
        config=['extensions.bundlestore='],
        ok=(10, 255),
    )
    assert message in result.err
    assert not (transport.root / 'new').exists()


@pytest.mark.parametrize('server_version', matrix.VERSIONS)
@matrix.over('ssh')
def test_hg_without_the_extension_refuses_it(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    """A server whose hg lost the extension must not let a push land."""
    made = tryurl(transport, base)
    vanilla.commit({'a': 'a\n'}, 'must not land')
    before = base.nodes()
    url = transport.url(made)
    bare = [f'ui.remotecmd={transport.hg.plain().executable}']
    with untouched(base.path):
        result = vanilla.run('push', url, config=bare, ok=(255,))
        assert 'loading of this extension was required' in str(result)
    # and were the extension not required, a hook would refuse it
    hgrc = made.hgrc.read_text()
    made.hgrc.write_text(hgrc.replace('bundlestore:required = yes', ''))
    result = vanilla.run('push', '-f', url, config=bare, ok=(1, 100, 255))
    assert 'a try URL takes no changes itself' in str(result)
    assert base.nodes() == before


@matrix.over('path')
def test_half_an_extension_is_none(
    transport: Transport, base: Repo, tmp_path: Path
) -> None:
    """Mercurial swallows an AttributeError of an extension's import, and a
    required extension that did not load would count as loaded."""
    made = tryurl(transport, base)
    fake = tmp_path / 'fake'
    fake.mkdir()
    # a Mercurial that lacks a name that the extension wraps
    (fake / 'sitecustomize.py').write_text(
        'import mercurial.exthelper as e\ndel e.exthelper.merge\n'
    )
    result = made.run('root', env={'PYTHONPATH': str(fake)}, ok=(255,))
    assert 'cannot load the bundlestore extension' in result.err
    assert 'loading of this extension was required' in result.err


@matrix.over('path')
@pytest.mark.parametrize('client_version', matrix.VERSIONS)
def test_missing_package(
    transport: Transport, base: Repo, client: Repo, tmp_path: Path
) -> None:
    """A broken installation is told of at once, not when a push comes."""
    made = tryurl(transport, base)
    fake = tmp_path / 'fake'
    (fake / 'zope').mkdir(parents=True)
    # hides what else is called so, zope.interface among it
    (fake / 'zope' / '__init__.py').touch()
    environ = {'PYTHONPATH': str(fake)}
    result = made.run('root', env=environ, ok=(255,))
    assert 'needs the Python package zope.interface' in result.err
    assert 'loading of this extension was required' in result.err
    client.commit({'a': 'a\n'}, 'must not land')
    with untouched(base.path):
        result = client.run('push', '--bundle-store', env=environ, ok=(10, 255))
    assert 'failed to import extension' in result.err
    assert 'needs the Python package zope.interface' in result.err


@matrix.over('ssh', 'http')
def test_pull_and_clone_see_nothing(
    transport: Transport, base: Repo, vanilla: Repo, hashes: History
) -> None:
    """Unless a revision is named: that is how new heads need no -f."""
    url = transport.url(tryurl(transport, base))
    node = vanilla.commit({'a': 'a\n'}, 'stored')
    vanilla.run('push', url)
    clone = vanilla.hg.clone(
        url, vanilla.path.parent / 'all', config=transport.commandline()
    )
    assert clone.nodes() == []
    clone = vanilla.hg.clone(
        url,
        vanilla.path.parent / 'one',
        '-r',
        node,
        config=transport.commandline(),
    )
    assert clone.phases(f'{node} + {hashes.start}') == {
        hashes.start: 'public',
        node: 'draft',
    }


def test_only_what_is_missing_is_sent(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    url = transport.url(tryurl(transport, base))
    vanilla.commit({'a': os.urandom(1000)}, 'stored')
    result = vanilla.run('push', url)
    assert 'stored 1 changeset as' in result.out


@pytest.mark.parametrize(
    'what',
    [
        'phases',
        'working folder',
        'no hash',
        'bookmarks',
        'scratch bookmark',
        'obsolete',
    ],
)
def test_pushkey_is_refused(
    transport: Transport,
    base: Repo,
    vanilla: Repo,
    hashes: History,
    what: str,
) -> None:
    base.inspect('phase', '--force', '--draft', hashes.tagged)
    made = tryurl(transport, base)
    namespace, key, old, new = {
        'phases': ('phases', hashes.tagged, '1', '0'),
        # Mercurial's name for it
        'working folder': ('phases', 'f' * 40, '1', '0'),
        'no hash': ('phases', 'x', '1', 'x'),
        'bookmarks': ('bookmarks', 'main', '', hashes.tagged),
        'scratch bookmark': ('bookmarks', 'scratch/x', '', 'x'),
        'obsolete': ('obsolete', 'dump0', '', 'x'),
    }[what]
    with untouched(base.path):
        result = vanilla.run(
            *('debugpushkey', transport.url(made), namespace, key, old, new),
            config=transport.commandline(),
            ok=(1,),
        )
    assert 'False' in result.out


def test_open_heads_can_be_turned_off(
    transport: Transport, base: Repo, vanilla: Repo, hashes: History
) -> None:
    made = tryurl(transport, base)
    made.configure('bundlestore', {'open-heads': 'no'})
    url = transport.url(made)
    vanilla.commit({'a': 'a\n'}, 'a new head', parent=hashes.start)
    result = vanilla.run('push', '-r', '.', url, ok=(20, 255))
    assert 'push creates new remote head' in result.err
    vanilla.run('push', '-f', '-r', '.', url)
    assert len(bundles(base)) == 1
    vanilla.run('incoming', url, ok=(1,))


@pytest.mark.parametrize('client_version', matrix.VERSIONS)
@matrix.over('ssh', 'http')
def test_empty_base(transport: Transport, vanilla: Repo) -> None:
    """The first push ever may be a scratch push; it must stay draft."""
    empty = transport.hg.init(transport.root / 'empty')
    made = tryurl(transport, empty, 'empty-try')
    repo = vanilla.hg.init(vanilla.path.parent / 'fresh')
    transport.connect(repo, made)
    node = repo.commit({'a': 'a\n'}, 'root')
    repo.run('push')
    assert repo.phase(node) == 'draft'
    assert empty.nodes() == []
    other = vanilla.hg.init(vanilla.path.parent / 'other')
    transport.connect(other, made)
    other.run('pull', '-r', node)
    assert other.phase(node) == 'draft'


def test_try_url_of_a_try_url(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    first = tryurl(transport, base)
    second = tryurl(transport, first, 'second')
    node = vanilla.commit({'a': 'a\n'}, 'stored')
    vanilla.run('push', transport.url(second))
    vanilla.run('incoming', '-r', node, transport.url(base), ok=(1,))
    assert len(bundles(base)) == 1
