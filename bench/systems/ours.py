"""Mercurial with this project on both sides."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import environments
from hgext3rd.bundlestore import model

from .. import measure
from ..place import Mercurial, Place, filebytes
from ..repositories import Template, ready, remove
from .base import Unavailable
from .hg import HgSystem

CONFIG = """
[extensions]
bundlestore =
"""

SERVER = """
[bundlestore]
server = yes
"""


class Ours(HgSystem):
    key = 'ours'
    pushwords = ('--bundle-store',)
    nothingwords = ('--bundle-store',)
    clientconfig = CONFIG
    serverconfig = CONFIG + SERVER
    ondemand = True

    def __init__(self, place: Place, version: str = '') -> None:
        super().__init__(place)
        version = version or environments.supported()[-1]
        self.mercurial = Mercurial(version, 'ext')
        self.maker = Mercurial(version, 'plain')
        #: bundle stores by the number of pushes in them (see fill.py)
        self.stores: dict[int, Path] = {}

    @property
    def title(self) -> str:
        return f'hg-bundlestore (Mercurial {self.mercurial.version})'

    def onebundle(self, template: Template) -> bytes:
        """Return the stored bundle of a push of one changeset."""
        server = self.server('one-server', template)
        client = self.client('one-client', template)
        (node,) = self.changes(client, 1, 1)
        measure.run(self.push(client, server, node))
        data = self.largest(server).read_bytes()
        remove(server, client)
        return data

    def fill(self, server: Path, stored: int) -> None:
        if stored:
            shutil.copytree(self.stores[stored], self.folderof(server))

    def folderof(self, server: Path) -> Path:
        """Return the folder of a server's bundle store."""
        return server / '.hg' / 'bundlestore'

    def largest(self, server: Path) -> Path:
        """Return the largest of a server's bundle files."""
        found = (self.folderof(server) / 'bundles').glob('??/*')
        # notes lie beside them
        bundles = [path for path in found if model.iskey(path.name)]
        return max(bundles, key=lambda path: path.stat().st_size)

    def storedbytes(self, server: Path) -> int:
        folder = self.folderof(server) / 'bundles'
        # what only takes room for a full disk is as large for any store
        with contextlib.suppress(FileNotFoundError):
            return filebytes(folder) - (folder / 'reserve').stat().st_size
        return filebytes(folder)

    def indexbytes(self, server: Path) -> int:
        folder = self.folderof(server)
        return filebytes(folder) - filebytes(folder / 'bundles')


class OursOld(Ours):
    """The same with the Mercurial of a peer, which starts sooner than the
    newest one."""

    key = 'oursold'

    def prepare(self) -> None:
        version = self.mercurial.version
        try:
            ready({version: ['plain', 'ext']})
        except environments.Failure as exc:
            raise Unavailable(f'Mercurial {version} cannot be installed: {exc}')
