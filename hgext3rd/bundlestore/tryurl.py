"""Try URLs: how they are made, and how older ones are mended.

A try URL is a share with an entry of ours in its ``requires``. A Mercurial
without this extension refuses to open it, with or without its hgrc; with the
extension, the entry makes every push a scratch push (see ``wraps.reposetup``).
The hgrc turns the extension on, and says for people what the repository is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from mercurial import config as configmod, error, extensions, scmutil, util
from mercurial.i18n import _
from mercurial.utils import stringutil

from . import compat, config
from .bundle import caches
from .names import TRYURL
from .start.wraps import inplaceof

_HGRC = b"""\
# A try URL: what is pushed here goes to the bundle store of
#   %s
# and never into that repository. The entry %s in the file
# "requires" says so, too, and holds when this file is not read.

[extensions]
bundlestore =
# an hg without the extension must refuse this repository, as what it pushed
# would land
bundlestore:required = yes

[bundlestore]
server = yes
route = all

[hooks]
# no push that gets this far has been taken by the extension
pretxnopen.bundlestore = echo "a try URL takes no changes itself" >&2; exit 1
"""

#: what of this cannot be done without
_NEEDED = (
    (b'extensions', b'bundlestore'),
    (b'extensions', b'bundlestore:required'),
    (b'bundlestore', b'server'),
    (b'bundlestore', b'route'),
)

_ADDRESS = b"""
# the try URL of this repository, see "hg help bundlestore-server"
[bundlestore]
try-url = %s
"""

#: files that only their owner changes, whoever may write to the repository
_OWN = (b'hgrc', b'requires', b'sharedpath')


def init(ui, base: bytes, try_: bytes, url: bytes) -> None:
    """Make a try URL, or mend one; ``url`` is its address, or empty."""
    if len(url.split()) > 1:
        raise error.InputError(_(b"an address has no spaces: '%s'") % url)
    ui = enabled(ui)
    source = compat.repository(ui, util.expandpath(base)).unfiltered()
    target = util.expandpath(try_)
    if os.path.lexists(target):
        _mend(ui, source, target)
    else:
        with compat.newrequirement(TRYURL):
            compat.share(ui, source.root, target)
        _writehgrc(source, target)
        giveaccess(ui, source, target)
        ui.status(_(b'made %s: pushes to it are stored, not landed\n') % target)
    if caches.isdue(source):
        ui.status(
            _(
                b"(the caches of %s lag behind: run 'hg debugupdatecaches' "
                b'there)\n'
            )
            % source.root
        )
    if url:
        _writeaddress(ui, source, url)
    elif not source.ui.config(config.SECTION, b'try-url'):
        ui.status(
            _(
                b'(run this again with --url ADDRESS to have clients without '
                b'the extension told of it)\n'
            )
        )


def enabled(ui):
    """Return ``ui`` with this extension on: it may be so in the repository
    alone in which the command is run."""
    ui = ui.copy()
    for name, module in extensions.extensions():
        if module.__name__ == __package__ and not ui.hasconfig(
            b'extensions', name
        ):
            ui.setconfig(b'extensions', name, b'', b'bundlestore')
    return ui


def _writehgrc(source, target: bytes) -> None:
    path = os.path.join(target, b'.hg', b'hgrc')
    # ``hg share`` has left the source as the default path: keep it
    with open(path, 'ab') as fh:
        fh.write(b'\n' + _HGRC % (source.root, TRYURL))


# -- one that is there


def _mend(ui, source, target: bytes) -> None:
    """Give a try URL what it lacks of one that is made now."""
    done = False
    if _addrequirement(_opened(ui, source, target)):
        ui.status(_(b'wrote %s into the requires of %s\n') % (TRYURL, target))
        done = True
    if not _iscomplete(target):
        _writehgrc(source, target)
        ui.status(_(b'wrote the hgrc of %s\n') % target)
        done = True
    if giveaccess(ui, source, target):
        ui.status(_(b'gave %s the group and mode of its base\n') % target)
        done = True
    if not done:
        ui.status(_(b'%s is a try URL, and lacks nothing\n') % target)


def _opened(ui, source, target: bytes):
    """Return the repository at ``target``; aborts unless it is a try URL of
    ``source``."""
    refusal = error.InputError(
        _(b"'%s' already exists") % target,
        hint=_(b"it is no try URL of '%s'") % source.root,
    )
    if not os.path.isdir(os.path.join(target, b'.hg')):
        raise refusal
    repo = compat.repository(ui, target).unfiltered()
    if repo.root == source.root or repo.sharedpath != source.sharedpath:
        raise refusal
    byhand = (
        config.isserver(repo.ui)
        and repo.ui.config(config.SECTION, b'route') == b'all'
    )
    if TRYURL not in repo.requirements and not byhand:
        # a working copy of somebody, perhaps
        raise refusal
    return repo


def _addrequirement(repo) -> bool:
    """Write our entry into ``requires`` unless it is there."""
    if TRYURL in repo.requirements:
        return False
    with repo.wlock():
        # not all of the repository's: most of them may be in the base alone
        entries = set(repo.vfs.read(b'requires').split())
        scmutil.writerequires(repo.vfs, entries | {TRYURL})
    return True


def _iscomplete(target: bytes) -> bool:
    found = configmod.config()
    with contextlib.suppress(FileNotFoundError):
        found.read(os.path.join(target, b'.hg', b'hgrc'))
    return all(found.hasitem(*item) for item in _NEEDED)


@inplaceof('the command debugupgraderepo')
def upgrade(orig, ui, repo, *args, **opts):
    """Keep our entry when a repository is upgraded: Mercurial does not upgrade
    one that has an entry for which it knows no place in the new format."""
    if TRYURL not in repo.requirements:
        return orig(ui, repo, *args, **opts)
    from mercurial.upgrade_utils import actions

    def more(asked, repo):
        return asked(repo) | {TRYURL}

    with contextlib.ExitStack() as stack:
        for name in ('preservedrequirements', 'supporteddestrequirements'):
            stack.enter_context(extensions.wrappedfunction(actions, name, more))
        return orig(ui, repo, *args, **opts)


# -- who may get at it


def giveaccess(ui, source, target: bytes) -> bool:
    """Give a try URL the owner, group and mode of its base, for the accounts
    that push, and whose hg trusts its hgrc; warn where that is not possible.
    Return whether there was anything to do."""
    changed = False
    try:
        for path, wanted in _access(source, target):
            changed |= _give(path, wanted)
    except OSError as exc:
        ui.warn(
            _(b"warning: cannot give '%s' the group and mode of its base: %s\n")
            % (target, stringutil.forcebytestr(exc.strerror).lower())
        )
        ui.warn(
            _(
                b'(other accounts may not be able to push; run this again as '
                b'root)\n'
            )
        )
    return changed


def _access(
    source, target: bytes
) -> Iterator[tuple[bytes, tuple[int, int, int]]]:
    """Yield all files and folders of a try URL, and owner, group and mode
    that each should have."""
    root, inside = os.stat(source.root), os.stat(source.path)
    yield target, _attributes(root, 0o7777)
    for folder, _folders, files in os.walk(os.path.join(target, b'.hg')):
        yield folder, _attributes(inside, 0o7777)
        for name in files:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            own = name in _OWN
            # as Mercurial does with what it writes there
            yield path, _attributes(inside, 0o644 if own else 0o666)


def _attributes(like: os.stat_result, mask: int) -> tuple[int, int, int]:
    return like.st_uid, like.st_gid, stat.S_IMODE(like.st_mode) & mask


def _give(path: bytes, wanted: tuple[int, int, int]) -> bool:
    """Return whether it was something else before; raises ``OSError``."""
    uid, gid, mode = wanted
    before = os.stat(path)
    if os.geteuid():
        uid = before.st_uid  # nobody but root can give something away
    if _attributes(before, 0o7777) == (uid, gid, mode):
        return False
    if (before.st_uid, before.st_gid) != (uid, gid):
        os.chown(path, uid, gid)
    # this after that, which takes setgid away
    os.chmod(path, mode)
    if stat.S_IMODE(os.stat(path).st_mode) != mode:
        # what the kernel does not grant it drops, and says nothing
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    return True


# -- its address


def _writeaddress(ui, source, url: bytes) -> None:
    """Have the base tell of the address, where it does not yet."""
    if source.ui.config(config.SECTION, b'try-url') == url:
        return
    try:
        with source.vfs(b'hgrc', b'ab') as fh:
            fh.write(_ADDRESS % url)
    except OSError as exc:
        raise error.Abort(
            _(b"cannot write '%s': %s")
            % (source.vfs.join(b'hgrc'), stringutil.forcebytestr(exc.strerror)),
            hint=_(b"add 'bundlestore.try-url = %s' to it") % url,
        )
    ui.status(
        _(b'wrote bundlestore.try-url into the hgrc of %s\n') % source.root
    )
