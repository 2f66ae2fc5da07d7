"""A bundle and all that it rests on, as one that is complete with the base
repository: for hooks, overlays, downloads and the check of everything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .. import model
from ..stores import localfiles
from . import changegroup, container, reading


def join(ui, paths: list[bytes], directory: bytes | None = None) -> bytes:
    """Write the bundles at ``paths`` as one into a new temporary file and
    return its path; the caller removes it."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(reading.File(ui, path)) for path in paths]
        sources = [(file.payload, file.layout()) for file in files]
        layouts = [layout for _payload, layout in sources]
        parts = [
            container.changegrouppart(
                changegroup.concatenate(sources),
                changegroup.jointversion(layouts),
                any(file.trees for file in files),
            )
        ]
        markers = dict.fromkeys(m for file in files for m in file.markers)
        parts += map(container.markerspart, markers)
        return container.writetemp(container.container(ui, parts), directory)


@contextlib.contextmanager
def completefile(
    ui, store: Any, rests: Iterable[str], file: AbstractContextManager[bytes]
) -> Iterator[bytes]:
    """Give the path of a bundle that is complete with the base repository:
    what ``file`` gives (see ``container.plainfile``), and the bundles of
    ``store`` that it rests on."""
    with contextlib.ExitStack() as stack:
        paths = [
            stack.enter_context(container.checkedfile(store, key))
            for key in rests
        ]
        paths.append(stack.enter_context(file))
        if len(paths) > 1:
            paths = [join(ui, paths)]
            stack.callback(localfiles.tryunlink, paths[0])
        yield paths[0]


class _Joined:
    """A joined bundle, to be read from front to end (as ``IBundleReader``)."""

    def __init__(self, path: bytes) -> None:
        self._file = open(path, 'rb')
        self.size = os.fstat(self._file.fileno()).st_size
        self.read = self._file.read
        self.seek = self._file.seek
        self.close = self._file.close

    def __enter__(self) -> _Joined:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def joined(ui, store: Any, bundle: model.Location) -> Any:
    """Return a reader of a bundle and of what it rests on, in one; raises
    ``BundleStoreError``."""
    # the file goes with its name; what is open stays
    with completefile(
        ui, store, bundle.rests, container.checkedfile(store, bundle.key)
    ) as path:
        return _Joined(path)
