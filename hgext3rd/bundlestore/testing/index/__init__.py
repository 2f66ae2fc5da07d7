"""Certifies a bundle index.

Subclass :class:`IndexConformance` in a test module; see the package.
"""

from __future__ import annotations

from .concurrency import ConcurrencyTests
from .data import HOSTILE_TEXTS, ids, keyof, moveto, newpush, nodeof
from .lists import ListTests
from .lookups import LookupTests
from .randomuse import RandomTests
from .records import RecordTests
from .rests import RestTests

__all__ = [
    'HOSTILE_TEXTS',
    'IndexConformance',
    'ids',
    'keyof',
    'moveto',
    'newpush',
    'nodeof',
]


class IndexConformance(
    RecordTests,
    LookupTests,
    RestTests,
    ListTests,
    RandomTests,
    ConcurrencyTests,
):
    """Every index passes these tests."""
