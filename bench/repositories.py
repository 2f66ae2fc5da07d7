"""The repositories that are pushed to.

Each is built once, with plain Mercurial, as a repository of public changesets
without a working folder; every server and client is a copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

import environments

from .place import Mercurial, Place, linktree


class Template:
    """A repository to copy. ``name`` is that of a folder, ``title`` for
    people; ``large``: it has so many files that copies are hard links."""

    def __init__(
        self,
        place: Place,
        maker: Mercurial,
        path: Path,
        name: str,
        title: str,
        large: bool = False,
    ) -> None:
        self.path = path
        self.name = name
        self.large = large
        facts = place.hgwork(maker, {'do': 'facts', 'repo': str(path)})
        self.changesets: int = facts['changesets']
        self.files: int = facts['files']
        self.tip: str = facts['tip']
        self.title = (
            f'{title}: {self.changesets:,} changesets, {self.files:,} files'
        )


def releases(place: Place, maker: Mercurial, count: int) -> Template:
    """Return the repository of the demonstration: a changeset for each of
    ``count`` releases of a package, which pip downloads."""
    import demo

    def make(path: Path) -> None:
        path.mkdir()
        show = demo.Demo(path, maker.version)
        show.config.write_text(demo.CONFIG)
        demo.RELEASES = count
        # it tells on standard output what it does
        with contextlib.redirect_stdout(sys.stderr):
            demo.build(show)
        _warm(place, maker, path / 'base')

    name = f'releases-{count}'
    path = place.build(name, make) / 'base'
    return Template(place, maker, path, name, f'releases of {demo.PACKAGE}')


def copied(place: Place, maker: Mercurial, source: str) -> Template:
    """Return a copy of a repository of the user's own, all of it public."""

    def make(path: Path) -> None:
        place.quietly(
            *(maker.hg, 'clone', '--quiet', '--noupdate', '--pull'),
            *(Path(source).resolve() if '://' not in source else source, path),
        )
        place.quietly(maker.hg, 'phase', '--public', '--rev', 'all()', cwd=path)
        _warm(place, maker, path)

    name = 'copied' + ''.join(c if c.isalnum() else '-' for c in source)
    path = place.build(name, make)
    return Template(place, maker, path, name, f'copy of {Path(source).name}')


def wide(place: Place, maker: Mercurial, files: int) -> Template:
    """Return a repository with many files."""

    def make(path: Path) -> None:
        place.hgwork(maker, {'do': 'wide', 'repo': str(path), 'files': files})
        _warm(place, maker, path)

    name = f'files-{files}'
    path = place.build(name, make)
    return Template(place, maker, path, name, 'many files', large=True)


def long(place: Place, maker: Mercurial, changesets: int) -> Template:
    """Return a repository with many changesets."""

    def make(path: Path) -> None:
        order = {'do': 'long', 'repo': str(path), 'changesets': changesets}
        place.hgwork(maker, order)
        _warm(place, maker, path)

    name = f'changesets-{changesets}'
    path = place.build(name, make)
    return Template(place, maker, path, name, 'many changesets', large=True)


def checkout(place: Place, maker: Mercurial, template: Template) -> Template:
    """Return a copy of what :func:`wide` or :func:`long` made, with a working
    folder."""

    def make(path: Path) -> None:
        linktree(template.path, path)
        place.hgwork(maker, {'do': 'checkout', 'repo': str(path)})

    name = f'checkout-{template.name}'
    path = place.build(name, make)
    return Template(place, maker, path, name, 'checkout', large=True)


def history(
    place: Place, maker: Mercurial, changesets: int, files: int, size: int
) -> Template:
    """Return a repository with a long history, of files of so many bytes in
    all, as people write them."""

    def make(path: Path) -> None:
        order = {
            'do': 'history',
            'repo': str(path),
            'changesets': changesets,
            'files': files,
            'size': size,
        }
        place.hgwork(maker, order)
        place.quietly(maker.hg, 'phase', '--public', '--rev', 'all()', cwd=path)
        _warm(place, maker, path)

    name = f'history-{changesets}-{files}-{size}'
    path = place.build(name, make)
    return Template(place, maker, path, name, 'made up')


def heads(
    place: Place, maker: Mercurial, template: Template, count: int
) -> Path:
    """Return a copy of ``template`` with so many heads that are drafts, as a
    repository has after so many pushes."""

    def make(path: Path) -> None:
        shutil.copytree(template.path, path)
        order = {'do': 'one', 'repo': str(path), 'count': count, 'seed': 0}
        place.hgwork(maker, order)
        _warm(place, maker, path)

    return place.build(f'heads-{count}-of-{template.name}', make)


def _warm(place: Place, maker: Mercurial, path: Path) -> None:
    """Have the caches written that every copy would have to write."""
    place.quietly(maker.hg, 'debugupdatecaches', cwd=path)


def ready(versions: dict[str, list[str]]) -> None:
    """Make environments, kinds by version; as they are, if there is
    ``BUNDLESTORE_STALE``, as for the tests."""
    if os.environ.get('BUNDLESTORE_STALE'):
        return
    with contextlib.redirect_stdout(sys.stderr):
        for version, kinds in versions.items():
            environments.make([version], kinds)


def remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
