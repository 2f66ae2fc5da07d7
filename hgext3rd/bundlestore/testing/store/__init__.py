"""Certifies a bundle store.

Subclass :class:`StoreConformance` in a test module; see the package.
"""

from __future__ import annotations

from .bundles import BundleTests
from .concurrency import ConcurrencyTests
from .data import (
    GOOD,
    HOSTILE,
    MEGABYTE,
    SIZES,
    Failure,
    assertraises,
    can,
    chunks,
    content,
    drain,
    failing,
    flipped,
    keyof,
    methodswithkey,
    readwhole,
)
from .notes import NoteTests
from .staging import StagingTests

__all__ = [
    'GOOD',
    'HOSTILE',
    'MEGABYTE',
    'SIZES',
    'Failure',
    'StoreConformance',
    'assertraises',
    'can',
    'chunks',
    'content',
    'drain',
    'failing',
    'flipped',
    'keyof',
    'methodswithkey',
    'readwhole',
]


class StoreConformance(BundleTests, StagingTests, NoteTests, ConcurrencyTests):
    """Every store passes these tests."""
