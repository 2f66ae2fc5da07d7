"""What the tests of a store put into it, and how they look at it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ...interfaces import IDownloadURL, ILocalPath

GOOD = 'ab' * 32

#: what is no key, each in a way that another check may miss
HOSTILE = [
    '',
    '.',
    '..',
    'tmp',
    '/' + GOOD[1:],
    '../../' + GOOD[6:],
    GOOD[:2] + '/' + GOOD[3:],
    GOOD[:2] + '\\' + GOOD[3:],
    GOOD[:2] + '\0' + GOOD[3:],
    GOOD[:-1] + '\n',
    GOOD + '\n',
    GOOD + '\0',
    ' ' + GOOD[1:],
    GOOD[:-1],
    GOOD + 'a',
    GOOD.upper(),
    GOOD[:-1] + 'B',
    'g' * 64,
    '-' * 64,
    '*' * 64,
    '%2e%2e%2f' + GOOD[9:],
    '\u0661' * 64,
    '\uff41' * 64,
    '\udc80' * 64,
    'a' * 1000000,
    GOOD.encode('ascii'),
    bytearray(GOOD.encode('ascii')),
    bytes.fromhex(GOOD),
    list(GOOD),
    Path(GOOD),
    None,
    0,
    True,
]

MEGABYTE = 1 << 20
SIZES = [0, 1, 65536, 262143, 262144, 262145, 3 * MEGABYTE + 1]


def content(seed: object, size: int = 1000) -> bytes:
    """Return bytes that differ from seed to seed."""
    return random.Random(f'{seed}').randbytes(size)


def keyof(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def readwhole(store: Any, key: str) -> bytes:
    with store.open(key) as reader:
        data: bytes = reader.read()
        return data


def can(ability: Any, thing: Any) -> bool:
    return bool(ability.providedBy(thing))


def methodswithkey(store: Any) -> list[Callable[[Any], object]]:
    methods = [store.open, store.size, store.delete]
    if can(ILocalPath, store):
        methods.append(store.localpath)
    if can(IDownloadURL, store):
        methods.append(store.downloadurl)
    return methods


def assertraises(
    error: type[BaseException], method: Callable[[Any], object], key: Any
) -> None:
    try:
        method(key)
    except error:
        return
    pytest.fail(f'{method} takes {key!a:.80}')


def drain(reader: Any, size: int, pieces: list[bytes]) -> None:
    """Read to the end, in reads of ``size``, and add the results to
    ``pieces``."""
    while True:
        piece = reader.read(size)
        if not piece:
            return
        pieces.append(piece)


class Failure(Exception):
    """What only an iterator of the tests raises."""


def failing(error: BaseException, after: int = 3) -> Iterator[bytes]:
    for number in range(after):
        yield content(number, 100000)
    raise error
