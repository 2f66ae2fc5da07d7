"""Which words of a revset name revisions.

A revset holds more than names: words to look for, dates, users, files,
numbers. Only what stands where Mercurial expects a revision is worth asking a
server for.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercurial import error, revsetlang

from ..records import NamedTuple


class _Sets(NamedTuple):
    """Which arguments of a function are sets: by place, or by name."""

    first: bool = False
    second: bool = False
    rest: bool = False
    key: bytes = b'set'


_FIRST = _Sets(first=True)
_ALL = _Sets(first=True, second=True, rest=True)

#: The functions of Mercurial, and of the extensions that come with it, that
#: take sets. Nothing is known of others, so nothing is asked for in them.
SETS = {
    b'ancestor': _ALL,
    b'ancestors': _FIRST,
    b'branch': _FIRST,
    b'children': _FIRST,
    b'commonancestors': _FIRST,
    b'descendants': _FIRST,
    b'destination': _FIRST,
    b'expectsize': _FIRST,
    b'first': _FIRST,
    b'follow': _Sets(second=True, key=b'startrev'),
    b'followlines': _Sets(key=b'startrev'),
    b'heads': _FIRST,
    b'last': _FIRST,
    b'limit': _FIRST,
    b'matching': _FIRST,
    b'max': _FIRST,
    b'min': _FIRST,
    b'only': _ALL,
    b'origin': _FIRST,
    b'p1': _FIRST,
    b'p2': _FIRST,
    b'parents': _FIRST,
    b'present': _FIRST,
    b'reverse': _FIRST,
    b'revset': _FIRST,
    b'roots': _FIRST,
    b'sort': _FIRST,
    b'stack': _FIRST,
    b'successors': _FIRST,
    b'transplanted': _FIRST,
}

#: operators that combine sets
_COMBINING = {
    b'and',
    b'dagrange',
    b'dagrangepost',
    b'dagrangepre',
    b'group',
    b'minus',
    b'not',
    b'only',
    b'onlypost',
    b'or',
    b'parentpost',
    b'range',
    b'rangepost',
    b'rangepre',
}
#: operators whose first operand is a set, such as ``HASH~2``
_MODIFYING = {
    b'ancestor',
    b'parent',
    b'relation',
    b'relsubscript',
    b'subscript',
}
#: ``branch(word)``: the word is the name of a branch
_BRANCH = (b'branch', b'symbol')


def revisions(spec: bytes, aliases, isname) -> Iterator[bytes]:
    """Yield the symbols of the revset ``spec`` that stand for revisions.

    ``isname`` tells what is a name although it holds an operator. The aliases
    of revsets are pairs of a declaration and what it stands for.
    """
    try:
        tree = revsetlang.parse(spec, lookup=isname)
        if aliases:
            tree = revsetlang.expandaliases(tree, aliases)
    except (error.ParseError, error.Abort):
        # whoever evaluates it will say what is wrong
        return
    yield from _walk(tree)


def _walk(node) -> Iterator[bytes]:
    """Yield the symbols of a tree that stands for a set."""
    if not node:
        return
    kind, operands = node[0], node[1:]
    if kind == b'symbol':
        yield operands[0]
    for operand in _setsin(kind, operands):
        yield from _walk(operand)


def _setsin(kind: bytes, operands) -> list:
    """Return what of an operation, or of a function, are sets themselves."""
    if kind == b'or':
        return [*_items(operands[0]), *operands[1:]]
    if kind in _COMBINING:
        return list(operands)
    if kind in _MODIFYING:
        return [operands[0]]
    if kind == b'func':
        return _sets(*operands)
    return []


def _items(node) -> list:
    if node is None:
        return []
    return list(node[1:]) if node[0] == b'list' else [node]


def _sets(function, arguments=None) -> list:
    """Return those arguments of a function that are sets."""
    name = function[1]
    sets = SETS.get(name)
    if sets is None:
        return []
    found = []
    for place, argument in enumerate(_items(arguments)):
        if argument[0] == b'keyvalue':
            if argument[1] == (b'symbol', sets.key):
                found.append(argument[2])
        elif sets[min(place, 2)] and (name, argument[0]) != _BRANCH:
            found.append(argument)
    return found
