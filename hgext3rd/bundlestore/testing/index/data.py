"""What the tests of an index record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Optional

from ... import model

#: users, bookmark names, titles and texts that break what is not careful
HOSTILE_TEXTS = [
    "Robert'); DROP TABLE push;--",
    '"quoted"',
    'back\\slash',
    'per%cent_under',
    '100%',
    '[a-z]',
    '[',
    ']',
    '*',
    '?',
    '**',
    '?*[!a]',
    'brace{s}',
    '%s %d {0} :name ?1 $1',
    ' leading and trailing ',
    'tab\tand\nnewline',
    'NULL',
    '-1',
    '0',
    '1e5',
    'äöüß',
    'e\u0301 and \u00e9',
    '\u65e5\u672c\u8a9e',
    '\U0001f600',
    '\U0010ffff',
    '\ud7ff\ue000',
    'A',
    'a',
    'x' * 5000,
]


#: those of users and bookmarks: not as long
HOSTILE_NAMES = [text[: model.NAME_LENGTH] for text in HOSTILE_TEXTS]


#: what somebody may type to search for, with what other programs would take
#: for operators
HOSTILE_QUERIES = [
    '',
    ' ',
    '"',
    '"""',
    "'",
    'fix"',
    '"fix',
    '"fix bug"',
    'fix*',
    '*',
    '* *',
    '^fix',
    'fix:bug',
    'words:fix',
    '-fix',
    '+fix',
    '!fix',
    'fix & bug',
    'fix | bug',
    'NOT fix',
    'AND',
    'fix AND',
    'AND AND AND',
    'OR fix',
    'NEAR(',
    'NEAR(fix bug, 5)',
    '{words} : fix',
    '(fix',
    'fix)',
    '((((((((((fix',
    '(' * 1000,
    '=fix',
    '= fix ==',
    '%',
    'f%x',
    'f_x',
    'fi?',
    '[a-z]',
    'fi[x]',
    'fix\\',
    '\\',
    'fix\0bug',
    '\0',
    '\udc80',
    'fix\ud800bug',
    'fix\ud83d\ude00',
    '\U0001f600',
    'fix\u200bbug',
    '\u2028fix',
    '--',
    'fix -- bug',
    "fix'); DROP TABLE push;--",
    'fix;bug',
    '$fix @bug #1',
    ':fix ?1 $1',
    'rowid',
    'rank',
    'null',
    'a b c d e f g h i j k l m n o p q r s t u v w x y z',
    'fix ' * 3000,
    'x' * 100000,
    ' '.join(f'word{n}' for n in range(5000)),
    ' '.join('x' * n for n in range(1, 300)),
]


def nodeof(name: object) -> bytes:
    return hashlib.sha1(f'{name}'.encode()).digest()


def keyof(name: object) -> str:
    return hashlib.sha256(f'{name}'.encode()).hexdigest()


def moveto(
    name: str, new: Optional[bytes], old: Optional[bytes] = None
) -> model.BookmarkMove:
    return model.BookmarkMove(name, new, old)


def newpush(
    name: object,
    count: int = 1,
    user: str = 'alice',
    moves: Sequence[model.BookmarkMove] = (),
    nodes: Sequence[bytes] = (),
    heads: Sequence[bytes] = (),
    title: str = 'a title',
    text: Optional[str] = None,
    time: float = 1700000000.25,
) -> model.NewPush:
    """Return a push of a bundle that is called ``name``.

    It has ``count`` changesets, or ``nodes``, of which the last is the head
    if there are no ``heads``.
    """
    nodes = tuple(nodes) or tuple(nodeof((name, n)) for n in range(count))
    return model.NewPush(
        time=time,
        user=user,
        key=keyof(name),
        size=1000 + len(nodes),
        nodes=nodes,
        heads=tuple(model.Head(n, title) for n in heads or nodes[-1:]),
        moves=tuple(moves),
        text=f'{title}\n\nof {name}' if text is None else text,
    )


def ids(pushes: Sequence[model.Push]) -> list[int]:
    return [push.id for push in pushes]


def inanyorder(found: Any) -> Any:
    """Return what an index returned, to compare it: with all keys sorted, as
    bundles that do not rest on each other may come in any order, and without
    what depends on the backend."""
    if isinstance(found, dict):
        return {key: inanyorder(value) for key, value in found.items()}
    if isinstance(found, model.Statistics):
        return found._replace(indexsize=0)
    if isinstance(found, list):
        if all(isinstance(value, str) for value in found):
            return sorted(found)
        return [inanyorder(value) for value in found]
    if isinstance(found, (model.Push, model.Location, model.Bundle)):
        return found._replace(rests=tuple(sorted(found.rests)))
    return found
