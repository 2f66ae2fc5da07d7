"""Fuzzing guided by coverage: atheris calls a target, with our mutations
besides its own. It runs in a process of its own and never returns."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import NoReturn

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

from . import loop, mutation, targets
from .world import seeds

#: whose branches count
_INSTRUMENTED = ('hgext3rd.bundlestore.', 'mercurial.bundle2')


def fuzz(name: str, folder: Path, seconds: float) -> NoReturn:
    """Fuzz a target for so long; inputs are in the folder of its name."""
    for module in list(sys.modules.values()):
        if getattr(module, '__name__', '').startswith(_INSTRUMENTED):
            _instrument(module)
    pool = [*seeds()[name], *loop.corpus(name)]

    def run(data: bytes) -> None:
        targets.run(name, data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            result: bytes = atheris.Mutate(data, most)
        else:
            result = mutation.mutate(data, pool, rng)
        return result[:most]

    arguments = [
        sys.argv[0],
        f'-max_total_time={int(seconds)}',
        f'-timeout={loop.PATIENCE}',
        f'-rss_limit_mb={4 * loop.MEMORY >> 20}',
        f'-artifact_prefix={folder / name}/fault-',
        '-max_len=65536',
        '-print_final_stats=1',
        str(folder / name),
    ]
    atheris.Setup(arguments, run, custom_mutator=mutate)
    atheris.Fuzz()
    raise SystemExit


def _instrument(module: object) -> None:
    """Have atheris count the branches of what is loaded already."""
    for value in list(vars(module).values()):
        owner = getattr(value, '__module__', None)
        if owner != getattr(module, '__name__', None):
            continue
        if isinstance(value, type):
            for attr, method in list(vars(value).items()):
                _instrumentfunction(method, attr)
        else:
            _instrumentfunction(value, '')


def _instrumentfunction(function: object, name: str) -> None:
    if hasattr(function, '__code__'):
        atheris.instrument_func(function)
