"""Named tuples that cost little to define.

``typing.NamedTuple`` takes as long for a class as a small module takes to
load: for each of them, and for each annotation, it has source code compiled.
A push over ssh is a new process, which defines dozens and makes instances of a
few. So these get what their instances need when the first one is made.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple


# type checkers want to read its arguments
_namedtuple: Any = collections.namedtuple


class _Record(tuple):
    """What the classes have in common, beside what a tuple has."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: dict[str, Any] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the first instance of a class, or of one that is derived from
        it."""
        made: Any = next(c for c in cls.__mro__ if '_fields' in vars(c))
        like = _namedtuple(
            made.__name__, made._fields, defaults=made._field_defaults.values()
        )
        for field in made._fields:
            setattr(made, field, vars(like)[field])
        made.__new__ = staticmethod(like.__new__)
        return like.__new__(cls, *args, **kwargs)

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Any:
        return cls(*values)

    def _replace(self, **values: Any) -> Any:
        return type(self)(**{**self._asdict(), **values})

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self))

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        values = ', '.join(f'{k}={v!r}' for k, v in self._asdict().items())
        return f'{type(self).__name__}({values})'


class _Meta(type):
    def __new__(
        meta, name: str, bases: tuple[type, ...], space: dict[str, Any]
    ) -> type:
        fields = tuple(space.get('__annotations__', ()))
        defaults = {f: space.pop(f) for f in fields if f in space}
        space.update(_fields=fields, _field_defaults=defaults, __slots__=())
        return type(name, (_Record,), space)


if not TYPE_CHECKING:
    #: the base of a record, as ``typing.NamedTuple`` is
    NamedTuple = type.__new__(_Meta, 'NamedTuple', (), {})
