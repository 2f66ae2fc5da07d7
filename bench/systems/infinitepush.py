"""infinitepush, which Mercurial had up to 6.5: files for its index, too."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import environments

from .. import measure
from ..place import Mercurial, Place, diskbytes, filebytes
from ..repositories import ready
from .base import Unavailable
from .hg import HgSystem

#: the newest Mercurial that has it
VERSION = '6.5.3'

CONFIG = """
[extensions]
infinitepush =

[infinitepush]
branchpattern = re:scratch/.+
deprecation-message = no
deprecation-abort = no
"""

SERVER = """\
server = yes
storetype = disk
indextype = disk
reponame = bench
"""


class InfinitePush(HgSystem):
    key = 'infinitepush'
    pushwords = ('--bundle-store',)
    clientconfig = CONFIG
    serverconfig = CONFIG + SERVER

    def __init__(self, place: Place, version: str = VERSION) -> None:
        super().__init__(place)
        self.mercurial = Mercurial(version, 'plain')
        self.maker = self.mercurial

    @property
    def title(self) -> str:
        return f'infinitepush (Mercurial {self.mercurial.version})'

    def prepare(self) -> None:
        version = self.mercurial.version
        try:
            ready({version: ['plain']})
        except environments.Failure as exc:
            raise Unavailable(f'Mercurial {version} cannot be installed: {exc}')

    def fill(self, server: Path, stored: int) -> None:
        """Write files as its store and its index do, after one true push."""
        if not stored:
            return
        seeder = server.with_name(f'{server.name}-seed')
        self._seed(server, seeder)
        store = self._store(server)
        nodemap = self._index(server) / 'nodemap'
        (bundle,) = [path for path in store.rglob('*') if path.is_file()]
        content = bundle.read_bytes()
        for _ in range(stored):
            key = hashlib.sha1(os.urandom(20)).hexdigest()
            path = store / key[:2] / key[2:4] / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            node = hashlib.sha1(os.urandom(20)).hexdigest()
            (nodemap / node).write_text(key)

    def _seed(self, server: Path, client: Path) -> None:
        self.place.quietly(
            *(self.maker.hg, 'clone', '--quiet', '--noupdate', server, client),
            *('--config', 'extensions.infinitepush=!'),
        )
        (client / '.hg' / 'hgrc').write_text(self.clientconfig)
        (node,) = self.changes(client, -1, 1)
        measure.run(self.push(client, server, node))

    def storedbytes(self, server: Path) -> int:
        return filebytes(self._store(server))

    def indexbytes(self, server: Path) -> int:
        return diskbytes(self._index(server))

    def _store(self, server: Path) -> Path:
        return server / '.hg' / 'scratchbranches' / 'filebundlestore'

    def _index(self, server: Path) -> Path:
        return server / '.hg' / 'scratchbranches' / 'index'
