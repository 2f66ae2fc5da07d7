"""What a disk may hold after the loss of power.

From the log of ``shim.c`` follows, for each moment, what was written and what
of that was made durable: the content of a file by ``fsync`` of the file, its
name by ``fsync`` of the folder. Of the rest a file system may have kept any
part.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional, Union


class Entry(NamedTuple):
    """One operation of the log; see ``record`` in shim.c."""

    what: str
    inode: int
    offset: int
    length: int
    path: str
    other: str
    data: bytes


def readlog(path: Path) -> Iterator[Entry]:
    """Yield the operations of a log; none if there is no log."""
    data = path.read_bytes() if path.exists() else b''
    position = 0
    while position < len(data):
        end = data.index(b'\n', position)
        what, inode, offset, length, one, two = os.fsdecode(
            data[position:end]
        ).split('\t')
        position = end + 1
        content = b''
        if what == 'write':
            content = data[position : position + int(length)]
            position += len(content)
        yield Entry(
            what, int(inode), int(offset), int(length), one, two, content
        )


class _File:
    def __init__(self, content: bytes = b'') -> None:
        self.durable = content
        self.now = bytearray(content)
        #: what was done since it was made durable
        self.pending: list[Entry] = []

    def apply(self, entry: Entry) -> None:
        _apply(self.now, entry)
        self.pending.append(entry)

    def sync(self) -> None:
        self.durable = bytes(self.now)
        self.pending.clear()


def _apply(content: bytearray, entry: Entry) -> None:
    if entry.what == 'write':
        end = entry.offset + len(entry.data)
        if len(content) < entry.offset:
            content.extend(bytes(entry.offset - len(content)))
        content[entry.offset : end] = entry.data
        return
    size = 0 if entry.what == 'empty' else entry.offset
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    elif entry.what != 'extend':
        del content[size:]


class _Folder:
    def __init__(self) -> None:
        self.durable: dict[str, _Node] = {}
        self.now: dict[str, _Node] = {}
        #: changes since: name, and what it stands for then (None: nothing)
        self.pending: list[tuple[str, Optional[_Node]]] = []

    def set(self, name: str, node: Optional[_Node]) -> None:
        self.pending.append((name, node))
        if node is None:
            self.now.pop(name, None)
        else:
            self.now[name] = node

    def sync(self) -> None:
        self.durable = dict(self.now)
        self.pending.clear()


_Node = Union[_File, _Folder]

#: a state of a disk: files with their content, None for a folder
State = dict[str, Optional[bytes]]

#: which part of what was not made durable is there nevertheless: of the names
#: and of the contents
POLICIES = (
    ('nothing', 'nothing'),
    ('all', 'nothing'),
    ('nothing', 'all'),
    ('all', 'all'),
)


class Disk:
    """The folder ``root`` while a log is played. What is in it at first is
    durable."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._inodes: dict[int, _File] = {}
        self._top = self._scan(root)

    def _scan(self, path: Path) -> _Folder:
        folder = _Folder()
        for child in path.iterdir():
            if child.is_dir():
                folder.now[child.name] = self._scan(child)
            else:
                file = _File(child.read_bytes())
                self._inodes[child.stat().st_ino] = file
                folder.now[child.name] = file
        folder.sync()
        return folder

    def _folder(self, path: str) -> Optional[_Folder]:
        node: Optional[_Node] = self._top
        if path != self._root:
            for name in os.path.relpath(path, self._root).split('/'):
                if not isinstance(node, _Folder):
                    return None
                node = node.now.get(name)
        return node if isinstance(node, _Folder) else None

    def _place(self, path: str) -> tuple[_Folder, str]:
        folder = self._folder(os.path.dirname(path))
        assert folder is not None, path
        return folder, os.path.basename(path)

    def play(self, entry: Entry) -> None:
        """Do one operation of the log. Those outside are left out."""
        if not entry.path.startswith(self._root + '/'):
            if entry.path == self._root and entry.what == 'sync':
                self._top.sync()
            return
        if entry.what in ('reply', 'open', 'chmod', 'touch'):
            return
        if entry.what == 'sync':
            (self._folder(entry.path) or self._inodes[entry.inode]).sync()
        elif entry.what == 'create':
            folder, name = self._place(entry.path)
            self._inodes[entry.inode] = made = _File()
            folder.set(name, made)
        elif entry.what == 'mkdir':
            folder, name = self._place(entry.path)
            folder.set(name, _Folder())
        elif entry.what in ('unlink', 'rmdir'):
            folder, name = self._place(entry.path)
            folder.set(name, None)
        elif entry.what in ('rename', 'link'):
            folder, name = self._place(entry.path)
            target, new = self._place(entry.other)
            target.set(new, folder.now[name])
            if entry.what == 'rename':
                folder.set(name, None)
        else:
            self._inodes[entry.inode].apply(entry)

    def now(self) -> State:
        """Return what a process sees."""
        return self.state('all', 'all')

    def state(
        self, names: str, contents: str, seed: Optional[int] = None
    ) -> State:
        """Return what may be there after the loss of power: of what is not
        durable ``nothing`` or ``all``, see POLICIES, or with ``some`` any part
        of it, by ``seed``."""
        found: State = {}
        self._collect(
            self._top, '', names, contents, random.Random(seed), found
        )
        return found

    def _collect(
        self,
        folder: _Folder,
        prefix: str,
        names: str,
        contents: str,
        chance: random.Random,
        found: State,
    ) -> None:
        entries = folder.durable if names == 'nothing' else folder.now
        if names == 'some':
            entries = dict(folder.durable)
            # a file system has the changes of a folder in their order
            kept = chance.randint(0, len(folder.pending))
            for name, node in folder.pending[:kept]:
                if node is None:
                    entries.pop(name, None)
                else:
                    entries[name] = node
        for name in sorted(entries):
            node = entries[name]
            path = prefix + name
            if isinstance(node, _Folder):
                found[path] = None
                self._collect(node, f'{path}/', names, contents, chance, found)
            elif not name.endswith('-shm'):
                found[path] = _content(node, contents, chance)


def _content(file: _File, contents: str, chance: random.Random) -> bytes:
    if contents == 'nothing':
        return file.durable
    if contents == 'all':
        return bytes(file.now)
    content = bytearray(file.durable)
    for entry in file.pending:
        # in any order, and half of a write at times
        if chance.random() < 0.5:
            if entry.what == 'write' and chance.random() < 0.2:
                half = entry.data[: chance.randint(0, len(entry.data))]
                entry = entry._replace(data=half)
            _apply(content, entry)
    return bytes(content)


def read(root: Path) -> State:
    """Return what is on the disk, in the form of ``Disk.state``."""
    found: State = {}
    for path in sorted(root.rglob('*')):
        if not path.name.endswith('-shm'):
            content = None if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(root))] = content
    return found


def write(state: State, root: Path) -> None:
    """Make ``root``, which is empty, look like that."""
    for name, content in state.items():
        path = root / name
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
