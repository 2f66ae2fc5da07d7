"""Mercurial with this project on both sides."""

from __future__ import annotations

import shutil
from pathlib import Path

import environments

from .. import measure
from ..place import Mercurial, Place, filebytes
from ..repositories import Template, remove
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

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        version = environments.supported()[-1]
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
        (path,) = (self.folderof(server) / 'bundles').glob('??/*')
        data = path.read_bytes()
        remove(server, client)
        return data

    def fill(self, server: Path, stored: int) -> None:
        if stored:
            shutil.copytree(self.stores[stored], self.folderof(server))

    def folderof(self, server: Path) -> Path:
        """Return the folder of a server's bundle store."""
        return server / '.hg' / 'bundlestore'

    def storedbytes(self, server: Path) -> int:
        return filebytes(self.folderof(server) / 'bundles')

    def indexbytes(self, server: Path) -> int:
        folder = self.folderof(server)
        return filebytes(folder) - self.storedbytes(server)
