"""The house is as ``docs/architecture.rst`` draws it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import environments

PACKAGE = environments.ROOT / 'hgext3rd' / 'bundlestore'
DRAWING = (
    (environments.ROOT / 'docs/architecture.rst')
    .read_text('utf-8')
    .partition('The house\n')[2]
    .partition('Where do I change')[0]
)

#: the folders, lowest first: none imports one that comes later
FLOORS = [
    *('start', 'wire', 'stores', 'indexes', 'bundle'),
    *('push', 'blobs', 'keep', 'views', 'fetch', 'web', 'client'),
]
#: rooms beside the folders that open a door to some of them
DOORS = {
    '__init__': {'start', 'client'},
    'admin': {'start'},
    'backends': {'stores', 'indexes'},
    'cachefolder': {'stores'},
    'lookup': {'bundle'},
    'tryurl': {'bundle', 'start'},
}


def imported(path: Path) -> Iterator[str]:
    """Yield the folders that a room imports from, be it late."""
    inside = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.ImportFrom) and node.level > len(inside):
            # from the package itself: "from .. import x", "from ..x import y"
            names = [alias.name for alias in node.names]
            if node.module:
                names = [node.module.partition('.')[0]]
            yield from names


@pytest.mark.parametrize('folder', FLOORS)
def test_no_arrow_runs_back_up(folder: str) -> None:
    later = set(FLOORS[FLOORS.index(folder) + 1 :])
    rooms = [*(PACKAGE / folder).rglob('*.py')]
    assert rooms
    for path in rooms:
        assert not later.intersection(imported(path)), path


def test_who_opens_a_door() -> None:
    opened = {
        path.stem: found
        for path in PACKAGE.glob('*.py')
        if (found := set(imported(path)).intersection(FLOORS))
    }
    assert opened == DOORS


def test_every_room_is_in_the_drawing() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    others = {'__pycache__', 'helptext', 'interfaces', 'testing'}
    assert folders - others == set(FLOORS)
    drawn = set(re.findall(r'\w+', DRAWING))
    rooms = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob('*.py')
        if path.stem not in drawn and path.stem != '__init__'
    }
    assert {room for room in rooms if not room.startswith('testing/')} == set()


def test_records_are_the_cheap_ones() -> None:
    """Each push over ssh defines anew what the rooms have that it loads."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text('utf-8')))
        if isinstance(node, ast.ImportFrom)
        and node.module == 'typing'
        and any(alias.name == 'NamedTuple' for alias in node.names)
    }
    # for type checkers
    found.remove('records.py')
    assert {path for path in found if not path.startswith('testing/')} == set()
