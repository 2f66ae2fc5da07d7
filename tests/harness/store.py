"""Looks into a bundle store from outside."""

from __future__ import annotations

from pathlib import Path

from .hg import Repo
from .servers import Transport


def folder(base: Repo) -> Path:
    return base.path / '.hg' / 'bundlestore'


def bundles(base: Repo) -> list[Path]:
    """Return the files of the stored bundles."""
    store = folder(base) / 'bundles'
    return sorted(
        path
        for path in store.glob('??/*')
        if path.is_file() and len(path.name) == 64
    )


def leftovers(base: Repo, tempfolder: Path) -> list[Path]:
    """Return the temporary files that a server or client forgot."""
    store = folder(base) / 'bundles' / 'tmp'
    return [*store.glob('*'), *tempfolder.glob('*')]


def replace(path: Path, data: bytes) -> None:
    """Put another file in the place of one. To write over one that a server
    has open would be another thing."""
    new = path.with_name(f'{path.name}.new')
    new.write_bytes(data)
    new.replace(path)


def tryurl(transport: Transport, base: Repo, name: str = 'try') -> Repo:
    """Make a try URL for ``base`` with the command for it."""
    path = transport.root / name
    base.hg.run(
        'admin::bundlestore-init',
        base.path,
        path,
        config=['extensions.bundlestore='],
    )
    return Repo(base.hg, path)
