"""Makes pushes byte by byte, and sends any bytes as a push.

A command of an extension does it (see rawpusher.py), so that the bytes go
over the wire as real pushes do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .hg import Repo

_EXTENSION = Path(__file__).with_name('rawpusher.py')


def _run(repo: Repo, order: dict[str, Any]) -> Any:
    done = repo.run(
        'rawpush',
        config=[f'extensions.rawpusher={_EXTENSION}'],
        input=json.dumps(order),
    )
    return json.loads(done.out.splitlines()[-1])


def make(repo: Repo, heads: Sequence[str], common: Sequence[str]) -> bytes:
    """Return a push of ``heads`` without ``common``, as a client with the
    extension sends it."""
    path = repo.path.parent / 'push.bin'
    order = {'make': str(path), 'heads': list(heads), 'common': list(common)}
    _run(repo, order)
    return path.read_bytes()


def send(
    repo: Repo, url: str, pushes: Sequence[bytes], together: bool = False
) -> list[dict[str, str]]:
    """Push each of ``pushes`` to ``url`` with the configuration of ``repo``,
    all by way of one connection if they go ``together``.

    Return for each ``{}`` if it was taken, else its ``message`` and
    ``hint``.
    """
    files = []
    for number, data in enumerate(pushes):
        path = repo.path.parent / f'raw{number}.bin'
        path.write_bytes(data)
        files.append(str(path))
    order = {'send': files, 'url': url, 'together': together}
    answers: list[dict[str, str]] = _run(repo, order)
    return answers
