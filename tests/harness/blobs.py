"""Repositories whose large contents are kept outside of changesets."""

from __future__ import annotations

from collections.abc import Mapping

from .hg import Repo
from .store import folder


def enable(kind: str, *repos: Repo) -> None:
    """Turn lfs or largefiles on, each repository with a cache of its own: in
    one for all, everything would be found."""
    for repo in repos:
        repo.configure('extensions', {kind: ''})
        cache = repo.path.parent / f'{repo.path.name}-cache'
        repo.configure(kind, {'usercache': str(cache)})
        if kind == 'lfs':
            repo.configure(kind, {'track': 'all()'})


def commit(repo: Repo, kind: str, files: Mapping[str, str]) -> str:
    """Commit files whose contents are kept elsewhere; return the node."""
    repo.write(files)
    repo.run('add', *(['--large'] if kind == 'largefiles' else []), *files)
    repo.run('commit', '-m', 'with blobs')
    return repo.node('.')


def stored(base: Repo, kind: str) -> list[str]:
    """Return what the blobs in the bundle store hold."""
    return sorted(
        path.read_text()
        for path in (folder(base) / kind).glob('*/*')
        if path.is_file()
    )


def landed(base: Repo, kind: str) -> list[str]:
    """Return what the blobs in the repository itself hold."""
    root = base.path / '.hg' / ('store/lfs' if kind == 'lfs' else kind)
    files = (p for p in root.rglob('*') if p.is_file())
    # largefiles has notes of its working copy there
    return sorted(p.read_text() for p in files if p.name != 'dirstate')
