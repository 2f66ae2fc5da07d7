"""Fills bundle stores through the interface of the backends.

    python -m bench.fill BUNDLE TARGET LEVEL…

``TARGET/LEVEL`` becomes the folder of a bundle store (as ``.hg/bundlestore``)
after so many pushes of one changeset. Each has a bundle file of its own up to
``FILES`` of them: the bytes of BUNDLE and, behind the end that a reader
comes to, a number. Later pushes are recorded without a file, as a million
files is work for the file system alone.

The filling is done in a folder in memory where there is one: no disk is
waited for there. What is measured later is a copy on a disk.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hgext3rd.bundlestore import backends, model

#: pushes that get a bundle file of their own
FILES = 10_000

MEMORY = Path('/dev/shm')

_USERS = 200


def pushes(bundle: bytes, put: object) -> Iterator[model.NewPush]:
    """Yield pushes as users might make them; ``put`` stores a bundle."""
    assert callable(put)
    chance = random.Random(1)
    for number in range(sys.maxsize):
        node = chance.randbytes(20)
        if number < FILES:
            key = put([bundle, number.to_bytes(8, 'big')])
        else:
            key = chance.randbytes(32).hex()
        user = f'user{chance.randrange(_USERS)}'
        title = f'Bug {chance.randrange(2_000_000)}: change number {number}'
        moves: tuple[model.BookmarkMove, ...] = ()
        if number % 10 == 0:
            name = f'scratch/{user}/work'
            moves = (model.BookmarkMove(name, node, force=True),)
        yield model.NewPush(
            time=1_700_000_000.0 + 60 * number,
            user=user,
            key=key,
            size=len(bundle) + 8,
            nodes=(node,),
            heads=(model.Head(node, title),),
            moves=moves,
            text=title,
        )


@contextlib.contextmanager
def workfolder() -> Iterator[Path]:
    """Give a temporary folder, in memory if possible."""
    inmemory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    with tempfile.TemporaryDirectory(
        prefix='bundlestore-bench-', dir=MEMORY if inmemory else None
    ) as folder:
        yield Path(folder)


def fill(bundle: bytes, target: Path, levels: list[int]) -> None:
    with workfolder() as folder:
        place = model.Place(os.fsencode(folder / 'bundlestore'))
        store = backends.openstore('file', place)
        index = backends.openindex('file', place)
        source = pushes(bundle, store.put)
        done = 0
        for level in sorted(levels):
            for push in source:
                index.record(push)
                done += 1
                if done == level:
                    break
            # SQLite writes its log into the file when it is closed
            index.close()
            shutil.copytree(folder / 'bundlestore', target / str(level))
            print(level, flush=True)


if __name__ == '__main__':
    fill(
        Path(sys.argv[1]).read_bytes(),
        Path(sys.argv[2]),
        [int(word) for word in sys.argv[3:]],
    )
