"""Which pushes a request for the push log asks for, and in what order."""

from __future__ import annotations

import heapq
import itertools
import math
import operator
import re
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import error
from mercurial.hgweb import common
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import lookup, model, users
from ..declaring import provides
from ..records import NamedTuple
from ..server import hasnode
from . import queries, refusals

#: values of one parameter that a request may give, and pairs of a user and a
#: changeset: each is a question to the index
_MAX_VALUES = 100
#: words, and characters, of a description to look for
_MAX_WORDS = 10
_MAX_TEXT = 200
#: pushes that are asked for at first and at most at once, by all questions
#: together, and changesets of these from which on fewer are asked for next:
#: the index gives whole pushes, each of which may have 10,000
_FIRST_CHUNK = 10
_MAX_CHUNK = 50
_LARGE_CHUNK = 2000

#: control characters are replaced in the names of users
_NOBODY = '\0'

_ID = re.compile(rb'[0-9]{1,15}\Z')
_SECONDS = re.compile(rb'[0-9]{1,12}(\.[0-9]{1,9})?\Z')


class Selection(NamedTuple):
    """What a request asks for."""

    #: bounds on the push id, inclusive
    first: int
    last: Optional[int]
    #: bounds on the time, exclusive
    since: Optional[float]
    until: Optional[float]
    #: any of these users, any of these changesets
    users: tuple[str, ...]
    nodes: tuple[bytes, ...]
    text: str
    #: whether there is a lower bound, from which on to list
    forward: bool
    #: any of these outcomes, any of these branches
    statuses: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()

    @property
    def isanything(self) -> bool:
        """Whether all pushes between the bounds are wanted."""
        return not any(
            (self.users, self.nodes, self.text, self.statuses, self.branches)
        )

    @property
    def timed(self) -> bool:
        return self.since is not None or self.until is not None


def select(web, server) -> Selection:
    """Read the parameters; raises ``ErrorResponse`` for a strange one."""
    params = web.req.qsparams
    first, last = 1, None
    since = until = None
    forward = True
    if params.get(b'startdate'):
        since = _date(params, b'startdate')
    elif params.get(b'fromchange'):
        first = _introducedby(web, server, params[b'fromchange']) + 1
    elif params.get(b'startID'):
        first = _id(params, b'startID') + 1
    else:
        forward = False
    if params.get(b'enddate'):
        until = _date(params, b'enddate')
    elif params.get(b'tochange'):
        last = _introducedby(web, server, params[b'tochange'])
    elif params.get(b'endID'):
        last = _id(params, b'endID')
    names = _users(server, web.req)
    nodes = tuple(
        _node(web, server, symbol) for symbol in _values(params, b'changeset')
    )
    statuses, branches = _labels(server, params)
    count = 1
    for name, values in (
        *((b'user', names), (b'changeset', nodes)),
        *((b'status', statuses), (b'branch', branches)),
    ):
        count *= len(values) or 1
        if count > _MAX_VALUES:
            raise bad(name)
    return Selection(
        first,
        last,
        since,
        until,
        names,
        nodes,
        _words(params, b'text'),
        forward,
        statuses,
        branches,
    )


def _labels(server, params) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which outcomes and branches are asked for."""
    statuses = tuple(_text(value) for value in _values(params, b'status'))
    if not set(model.OUTCOMES).issuperset(statuses):
        raise bad(b'status')
    branches = tuple(
        model.branch(_text(value)) for value in _values(params, b'branch')
    )
    if (statuses or branches) and not provides(server.index, 'ILabels'):
        raise refusals.refusal(
            common.HTTP_BAD_REQUEST,
            _(b'the bundle index cannot look for pushes by status or branch'),
        )
    return statuses, branches


def _users(server, req) -> tuple[str, ...]:
    """Return the users that are asked for: machines name them, people type
    what may be a part of a name, or want their own pushes."""
    params = req.qsparams
    if params.get(b'mine'):
        return (_text(req.remoteuser or b'') or _NOBODY,)
    typed = [_text(user) for user in _values(params, b'user')]
    if params.get(b'style') == b'json' or not typed:
        return tuple(typed)
    found: dict[str, None] = {}
    for pattern in typed:
        try:
            found.update(dict.fromkeys(users.matching(server, pattern)))
        except error.InputError as exc:
            raise refusals.unknown(exc.message) from exc
    if len(found) > users.MOST:
        raise bad(b'user')
    # a name that no user has
    return tuple(found) or (_NOBODY,)


def _values(params, name: bytes) -> list[bytes]:
    """Return the values of a parameter; an empty field of a form is none."""
    values = [value for value in params.getall(name) if value.strip()]
    if len(values) > _MAX_VALUES:
        raise bad(name)
    return list(dict.fromkeys(values))


def bad(name: bytes) -> common.ErrorResponse:
    """Return the error for a strange value of a parameter of ours."""
    return refusals.refusal(
        common.HTTP_BAD_REQUEST, _(b'invalid parameter: %s') % name
    )


def _text(value: bytes) -> str:
    return queries.text(value).strip()


def typed(value: bytes) -> bytes:
    """Return what a field of the form shows."""
    return queries.tolocal(queries.text(value))


def _words(params, name: bytes) -> str:
    words = _text(params.get(name, b''))
    # each word costs a look at all pushes that have it
    if len(words.split()) > _MAX_WORDS:
        raise bad(name)
    return words[:_MAX_TEXT]


def _id(params, name: bytes) -> int:
    if not _ID.match(params[name]):
        raise bad(name)
    return int(params[name])


def seconds(params, name: bytes) -> float:
    """Return a number of seconds, 0 if there is none."""
    value = params.get(name) or b'0'
    if not _SECONDS.match(value):
        raise bad(name)
    return float(value)


def _date(params, name: bytes) -> float:
    """Return seconds since the epoch; the value is that, or a date as in
    ``hg help dates``."""
    value = params[name]
    if _SECONDS.match(value):
        return float(value)
    try:
        return float(dateutil.parsedate(value)[0])
    except (error.Abort, error.ParseError, ValueError, OverflowError):
        raise bad(name)


def _node(web, server, symbol: bytes) -> bytes:
    """Return the changeset that was pushed; raises ``RepoLookupError``."""
    symbol = symbol.strip()
    try:
        node = lookup.pushed(web.repo, server, queries.name(symbol))
    except error.InputError as exc:
        raise refusals.unknown(exc.message) from exc
    if node is None:
        raise _unknown(symbol)
    return node


def _introducedby(web, server, symbol: bytes) -> int:
    """Return the id of the first push that brought a changeset."""
    node = _node(web, server, symbol)
    found = server.need(lambda index: index.pushes(node=node, limit=1))
    if not found:
        raise _unknown(symbol)
    return int(found[0].id)


def _unknown(symbol: bytes) -> error.RepoLookupError:
    return refusals.unknown(
        # clients look for the first two words
        _(b"unknown revision '%s': not in the bundle store")
        % refusals.shown(symbol)
    )


def checkknown(web, server, wanted: Selection) -> None:
    """Raise ``RepoLookupError`` for a changeset that is neither in the base
    nor in the store: to be called where nothing was found."""
    located = server.locate(web.repo, wanted.nodes)
    for node in wanted.nodes:
        if node not in located and not hasnode(web.repo, node):
            raise _unknown(hex(node))


def newest(server, node: bytes) -> Optional[model.Push]:
    """Return the newest push that has a changeset, None if there is none."""
    found = server.need(
        lambda index: index.pushes(node=node, limit=1, newestfirst=True)
    )
    return found[0] if found else None


# -- one after the other


def find(server, wanted: Selection, newestfirst: bool) -> Iterator[model.Push]:
    """Yield the pushes in the order of their ids, or of ``(time, id)`` if
    there are bounds on the time; no more are read than some chunks ahead."""
    questions = [
        {
            name: value
            for name, value in zip(('user', 'node', 'status', 'branch'), values)
            if value is not None
        }
        for values in itertools.product(
            *(wanted.users or (None,), wanted.nodes or (None,)),
            *(wanted.statuses or (None,), wanted.branches or (None,)),
        )
    ]
    answers = [
        _chunks(server, wanted, question, newestfirst, len(questions))
        for question in questions
    ]

    def order(push: model.Push) -> Any:
        return (push.time, push.id) if wanted.timed else push.id

    last = None
    for push in heapq.merge(*answers, key=order, reverse=newestfirst):
        if push.id != last:
            last = push.id
            yield push


def _chunks(
    server,
    wanted: Selection,
    question: dict[str, Any],
    newestfirst: bool,
    sharing: int,
) -> Iterator[model.Push]:
    """Yield the pushes that answer one question."""
    if wanted.text:
        question = {**question, 'text': wanted.text}
    size = max(_FIRST_CHUNK // sharing, 1)
    # the next one last
    ranges = [_Range(wanted.first, wanted.last, wanted.since, wanted.until)]
    while ranges:
        range = ranges.pop()
        ask = operator.methodcaller(
            'pushes',
            **range._asdict(),
            **question,
            limit=size,
            newestfirst=newestfirst,
        )
        found = server.need(ask)
        yield from found
        if len(found) < size:
            continue
        ranges += _rest(range, found[-1], wanted.timed, newestfirst)
        count = sum(len(push.nodes) + len(push.below) for push in found)
        size = size * 2 if count < _LARGE_CHUNK else size // 2
        size = max(min(size, _MAX_CHUNK // sharing), 1)


class _Range(NamedTuple):
    """Bounds as ``IBundleIndex.pushes`` has them."""

    first: int
    last: Optional[int]
    since: Optional[float]
    until: Optional[float]


def _rest(
    range: _Range, end: model.Push, timed: bool, newestfirst: bool
) -> list[_Range]:
    """Return what of a range comes after a push, what comes next last."""
    if newestfirst:
        ids = range._replace(last=end.id - 1)
    else:
        ids = range._replace(first=end.id + 1)
    if not timed:
        return [ids]
    # those of the same time, and then those of other times
    before = math.nextafter(end.time, -math.inf)
    after = math.nextafter(end.time, math.inf)
    rest = [ids._replace(since=before, until=after)]
    if newestfirst and (range.since is None or range.since < before):
        rest.insert(0, range._replace(until=end.time))
    if not newestfirst and (range.until is None or range.until > after):
        rest.insert(0, range._replace(since=end.time))
    return rest
