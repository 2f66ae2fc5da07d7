"""Commands for those who run a bundle store: ``hg admin::bundlestore-…``."""

from __future__ import annotations

import os

from mercurial import error, exthelper, registrar, util
from mercurial.i18n import _

from . import compat

eh = exthelper.exthelper()

_TRY_HGRC = b"""\
# A try URL: what is pushed here goes to the bundle store of
#   %s
# and never into that repository.

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


@eh.command(
    b'admin::bundlestore-init',
    [],
    _(b'BASE TRY'),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def init(ui, base, try_, **opts):
    """make a try URL for a repository

    Makes TRY, a share without a working copy of the repository BASE, and its
    configuration: every push to TRY goes to the bundle store of BASE, from
    any client, with new heads and branches as they come. TRY works only
    where this extension is installed; a hook refuses whatever else would
    change the repository by way of it.

    BASE is not changed. For pushes with :hg:`push --bundle-store` to BASE,
    and for pulls from it, turn the bundle store on in its hgrc too, see
    :hg:`help bundlestore-server`.
    """
    source = compat.repository(ui, util.expandpath(base))
    target = util.expandpath(try_)
    if os.path.lexists(target):
        raise error.InputError(_(b"'%s' already exists") % target)
    compat.share(ui, source.root, target)
    _writehgrc(target, source)
    ui.status(_(b'made %s: pushes to it are stored, not landed\n') % target)


def _writehgrc(target: bytes, source) -> None:
    path = os.path.join(target, b'.hg', b'hgrc')
    # ``hg share`` has left the source as the default path: keep it
    with open(path, 'ab') as fh:
        fh.write(b'\n' + _TRY_HGRC % source.root)
