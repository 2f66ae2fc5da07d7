"""A try URL: every push is a scratch push, and none can land by way of it."""

from __future__ import annotations

import os
import stat
import types
from pathlib import Path

import pytest
from mercurial import ui as uimod

from harness import matrix
from harness.hg import Repo, Result
from harness.history import History
from harness.rights import NOBODY, asnobody, publicfolder
from harness.servers import Transport, WebTransport
from harness.snapshot import untouched
from harness.store import bundles, tryurl

#: what makes a try URL of a share
ENTRY = 'bundlestore-tryurl'
#: what a Mercurial says that does not know it
UNKNOWN = f'repository requires features unknown to this Mercurial: {ENTRY}'


def test_init_leaves_the_base_alone(transport: Transport, base: Repo) -> None:
    with untouched(base.path, exclude=()):
        made = tryurl(transport, base)
    assert base.run('config', 'bundlestore.route', ok=(1,)).out == ''
    assert made.run('config', 'bundlestore.route').out == 'all\n'
    assert made.run('parents').out == ''


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


def _init(
    base: Repo, target: Path, *args: str, ok: tuple[int, ...] = (0,)
) -> Result:
    return base.hg.run(
        'admin::bundlestore-init',
        *args,
        base.path,
        target,
        config=['extensions.bundlestore='],
        ok=ok,
    )


@matrix.over('path')
def test_init_again_mends(transport: Transport, base: Repo) -> None:
    made = tryurl(transport, base)
    whole = made.hgrc.read_text()
    _takeentry(made)
    with untouched(base.path, exclude=()):
        assert ENTRY in _init(base, made.path).out
    assert ENTRY in _requires(made)
    made.hgrc.write_text('')
    assert 'wrote the hgrc' in _init(base, made.path).out
    assert made.hgrc.read_text().strip() in whole
    with untouched(made.path, exclude=()):
        assert 'lacks nothing' in _init(base, made.path).out


@matrix.over('http')
def test_clients_are_told_of_its_address(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    """And of no option that they lack."""
    made = transport.root / 'try'
    address = 'https://hg.example.org/try'
    assert (
        'wrote bundlestore.try-url' in _init(base, made, '--url', address).out
    )
    with untouched(base.path, exclude=()):
        assert 'wrote' not in _init(base, made, '--url', address).out
    result = _init(base, made, '--url', 'https://x/\n[hooks]', ok=(10, 255))
    assert 'an address has no spaces' in result.err
    transport.restart()
    node = vanilla.commit({'a': 'a\n'}, 'must not land')
    vanilla.inspect('bookmark', 'scratch/x')
    for words in (('-B', 'scratch/x'), ('--pushvars', 'BUNDLESTORE=1')):
        result = vanilla.run('push', '-r', node, *words, ok=(100, 255))
        text = result.out + result.err
        assert f'push to {address}' in text
        assert '--bundle-store' not in text
    assert not bundles(base)


@matrix.over('path')
def test_init_keeps_off_a_share(transport: Transport, base: Repo) -> None:
    """Somebody works in it."""
    share = transport.root / 'share'
    base.inspect('--config', 'extensions.share=', 'share', '.', str(share))
    with untouched(share, exclude=()):
        result = _init(base, share, ok=(10, 255))
    assert 'already exists' in result.err
    assert 'it is no try URL of' in result.err


@pytest.mark.skipif(os.geteuid() != 0, reason='only root gives files away')
@matrix.over('path')
def test_group_and_mode_of_the_base(transport: Transport, base: Repo) -> None:
    for path in (base.path, *base.path.rglob('*')):
        os.chown(path, 12345, 54321)
    for path in (base.path, base.path / '.hg'):
        path.chmod(0o2770)
    made = tryurl(transport, base)
    for path in (made.path, *made.path.rglob('*')):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (12345, 54321), path
        mode = 0o2770 if path.is_dir() else 0o640
        assert stat.S_IMODE(status.st_mode) == mode, path
    made.hgrc.chmod(0o600)
    assert 'group and mode' in _init(base, made.path).out
    assert stat.S_IMODE(made.hgrc.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason='nobody is somebody else')
def test_group_that_cannot_be_given() -> None:
    from hgext3rd.bundlestore import tryurl as room

    with publicfolder() as folder:
        for name in ('base/.hg', 'try/.hg'):
            (folder / name).mkdir(parents=True)
            for path in (folder / name, (folder / name).parent):
                os.chown(path, NOBODY, NOBODY)
        os.chown(folder / 'base' / '.hg', NOBODY, 54321)
        base = types.SimpleNamespace(
            root=bytes(folder / 'base'), path=bytes(folder / 'base' / '.hg')
        )

        def give() -> bytes:
            ui = uimod.ui.load()
            ui.pushbuffer(error=True)
            room.giveaccess(ui, base, bytes(folder / 'try'))
            said: bytes = ui.popbuffer()
            return said

        said = asnobody(give)
    assert b'the group and mode of its base: operation not permitted' in said
    assert b'run this again as root' in said


@pytest.mark.parametrize(
    'server_version',
    [
        pytest.param(matrix.VERSIONS[0], marks=matrix.ANOTHER),
        matrix.NEWEST,
    ],
)
@matrix.over('ssh')
def test_entry_stays_where_it_is(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    """An upgrade keeps it and gives it to nobody, nor does a clone get it."""
    made = tryurl(transport, base)
    hint = 'format.use-dirstate-tracked-hint=yes'
    made.run('debugupgraderepo', '--run', '--no-backup', config=[hint])
    assert {ENTRY, 'dirstate-tracked-key-v1'}.issubset(_requires(made))
    for path in ('requires', 'store/requires'):
        assert ENTRY not in (base.path / '.hg' / path).read_text()
    clone = vanilla.hg.clone(
        transport.url(made),
        vanilla.path.parent / 'stream',
        '--stream',
        config=transport.commandline(),
    )
    clone.verify()


@matrix.each_version('server_version')
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
        # the same where the extension is not required, or nobody reads that
        hgrc = made.hgrc.read_text()
        made.hgrc.write_text(hgrc.replace('bundlestore:required = yes', ''))
        result = vanilla.run('push', '-f', url, config=bare, ok=(255,))
        assert UNKNOWN in str(result)
    # and of one that an older release made, a hook refuses it
    _takeentry(made)
    result = vanilla.run('push', '-f', url, config=bare, ok=(1, 100, 255))
    assert 'a try URL takes no changes itself' in str(result)
    assert base.nodes() == before


def _requires(repo: Repo) -> list[str]:
    return (repo.path / '.hg' / 'requires').read_text().split()


def _takeentry(made: Repo) -> None:
    entries = _requires(made)
    entries.remove(ENTRY)
    (made.path / '.hg' / 'requires').write_text('\n'.join(entries) + '\n')


@pytest.mark.parametrize(
    ('transport_name', 'how'),
    [
        ('ssh', 'on'),
        pytest.param('ssh', 'off', marks=matrix.ANOTHER),
        ('ssh', 'missing'),
        pytest.param('http', 'on', marks=matrix.ANOTHER),
        pytest.param('http', 'off', marks=matrix.ANOTHER),
        pytest.param('path', 'on', marks=matrix.ANOTHER),
        pytest.param('path', 'off', marks=matrix.ANOTHER),
    ],
)
def test_hgrc_that_is_not_read(
    transport: Transport, base: Repo, vanilla: Repo, how: str
) -> None:
    """Whether the extension is on, off or missing in the server's own
    configuration: what is pushed is stored or refused."""
    made = tryurl(transport, base)
    environ = {'HGRCSKIPREPO': '1'}
    config = []
    if how == 'on':
        transport.rc.write_text('[extensions]\nbundlestore =\n')
        config.append('extensions.bundlestore=')
    if isinstance(transport, WebTransport):
        transport.hg.environ.update(environ)
        # Mercurial's own page for a repository that it does not open
        transport.maycrash = how == 'off'
        transport.restart()
    if transport.name == 'ssh':
        served = transport.hg.plain() if how == 'missing' else transport.hg
        script = transport.root / 'skipping'
        script.write_text(
            f'#!/bin/sh\nHGRCSKIPREPO=1 exec {served.executable} "$@"\n'
        )
        script.chmod(0o755)
        config = [f'ui.remotecmd={script}']
    vanilla.commit({'a': 'a\n'}, 'must not land')
    environ = environ if transport.name == 'path' else {}
    url = transport.url(made)
    with untouched(base.path):
        result = vanilla.run(
            'push', '-f', url, config=config, env=environ, ok=None
        )
    if how == 'on':
        assert result.code == 0
        assert 'stored 1 changeset as push 1' in result.out
    else:
        assert result.code
        if transport.name != 'http':
            assert UNKNOWN in result.err
    assert len(bundles(base)) == (how == 'on')


@matrix.over('ssh')
def test_bad_settings(transport: Transport, base: Repo, vanilla: Repo) -> None:
    """What is wrong with the store keeps nobody from the base, but this is
    not the way there."""
    made = tryurl(transport, base)
    made.configure('bundlestore', {'verify': 'fulll', 'route': 'requested'})
    vanilla.commit({'a': 'a\n'}, 'must not land')
    with untouched(base.path):
        result = vanilla.run('push', '-f', transport.url(made), ok=None)
    assert result.code
    # nor is any other command
    bundle = vanilla.path / 'all.hg'
    vanilla.inspect('bundle', '-q', '--all', str(bundle))
    made.configure('bundlestore', {'verify': 'full'})
    made.configure('hooks', {'pretxnopen.bundlestore': ''})
    before = base.nodes()
    for words in (('unbundle', bundle), ('pull', vanilla.path)):
        result = made.run(*words, ok=(255,))
        assert 'a try URL takes no changes itself' in result.err
    assert base.nodes() == before


@matrix.over('path')
def test_half_an_extension_is_none(
    transport: Transport, base: Repo, tmp_path: Path
) -> None:
    """Mercurial swallows an AttributeError of an extension's import, and a
    required extension that did not load would count as loaded. It goes on,
    too, without one that cannot set itself up."""
    made = tryurl(transport, base)
    fake = tmp_path / 'fake'
    fake.mkdir()
    # a Mercurial that lacks what the extension needs, or wraps
    for lacking, hint in (
        ('import mercurial.exthelper as e\ndel e.exthelper.merge\n', True),
        ('import mercurial.commands as c\ndel c.table[b"help"]\n', False),
    ):
        (fake / 'sitecustomize.py').write_text(lacking)
        result = made.run('root', env={'PYTHONPATH': str(fake)}, ok=(255,))
        assert 'cannot load the bundlestore extension' in result.err
        required = 'loading of this extension was required' in result.err
        assert required == hint


@matrix.over('path')
@matrix.each_version('client_version')
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


@matrix.over('ssh', later=['http'])
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


@matrix.over('ssh')
def test_bookmarks_of_the_base_are_not_listed(
    transport: Transport, base: Repo, vanilla: Repo, hashes: History
) -> None:
    """A client would push along those that it has moved."""
    base.inspect('bookmark', '-r', hashes.tagged, 'feature')
    # one by hand: a share has no bookmarks but its own
    for route, expected in (
        ('requested', f'feature\t{hashes.tagged}\n'),
        ('all', ''),
    ):
        base.configure('bundlestore', {'route': route})
        result = vanilla.run(
            *('debugpushkey', transport.url(base), 'bookmarks'),
            config=transport.commandline(),
        )
        assert result.out == expected


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


@matrix.each_version('client_version')
@matrix.over('ssh', later=['http'])
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
