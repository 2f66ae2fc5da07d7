"""Records are as named tuples of the standard library, and cost less."""

from __future__ import annotations

import copy
import pickle
import typing
from collections.abc import Callable
from typing import Any

import pytest

from hgext3rd.bundlestore import records


class Mine(records.NamedTuple):
    """A record."""

    name: str
    number: int = 1

    @property
    def double(self) -> int:
        return 2 * self.number


class Theirs(typing.NamedTuple):
    """A record."""

    name: str
    number: int = 1

    @property
    def double(self) -> int:
        return 2 * self.number


class Derived(Mine):
    """What has something more, of which there may be none before."""

    def more(self) -> str:
        return self.name * self.number


ANSWERS: dict[str, Callable[[Any], Any]] = {
    'values': lambda kind: kind('a', number=2),
    'defaults': lambda kind: kind(name='a'),
    'made': lambda kind: kind._make(['a', 3]),
    'equal': lambda kind: kind('a') == ('a', 1) and hash(kind('a')),
    'attributes': lambda kind: (kind('a', 2).name, kind('a', 2).double),
    'places': lambda kind: [*kind('a', 2), kind('a', 2)[1]],
    'replaced': lambda kind: kind('a')._replace(number=4),
    'fields': lambda kind: (kind._fields, kind._field_defaults),
    'dictionary': lambda kind: kind('a')._asdict(),
    'said': lambda kind: repr(kind('a')).partition('(')[2],
    'copied': lambda kind: copy.deepcopy(kind('a', 2)),
    'pickled': lambda kind: pickle.loads(pickle.dumps(kind('a', 2))),
    'missing': lambda kind: kind(),
    'unknown': lambda kind: kind('a', other=1),
    'many': lambda kind: kind('a', 1, 2),
    'unmade': lambda kind: kind._make(['a', 1, 2]),
    'written': lambda kind: setattr(kind('a'), 'name', 'b'),
    'new': lambda kind: setattr(kind('a'), 'other', 'b'),
    'described': lambda kind: kind.__doc__,
}


@pytest.mark.parametrize('question', ANSWERS)
def test_as_those_of_the_standard_library(question: str) -> None:
    def ask(kind: Any) -> Any:
        try:
            return ANSWERS[question](kind)
        except (AttributeError, TypeError) as exc:
            return type(exc)

    assert ask(Mine) == ask(Theirs)


def test_first_is_of_a_derived_class() -> None:
    class First(records.NamedTuple):
        name: str

    class Later(First):
        pass

    later = Later('a')
    assert type(later) is Later
    assert later.name == 'a'
    assert type(First('b')) is First
    assert type(later._replace(name='c')) is Later
    assert Derived('ab', 2).more() == 'abab'
