"""What only ``make nightly`` does, as it needs long to say something.

``BUNDLESTORE_NIGHTLY=1`` turns it on: tests marked ``nightly`` run, and others
do more. Everything of the kind asks here.
"""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

NIGHTLY = os.environ.get('BUNDLESTORE_NIGHTLY') == '1'

#: the marks that say why a test is not in the quick loop, or not in CI
MARKS = ('slow', 'nightly')

T = TypeVar('T')


def upto(count: T, nightly: T) -> T:
    """Return how much is to be done: in ``make nightly`` more."""
    return nightly if NIGHTLY else count


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not for now, and have each mark say why."""
    for item in items:
        for mark in item.iter_markers():
            if mark.name in MARKS and not (mark.args and str(mark.args[0])):
                raise pytest.UsageError(
                    f'{item.nodeid}: the mark "{mark.name}" must say why'
                )
    later = [item for item in items if item.get_closest_marker('nightly')]
    if later and not NIGHTLY:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in set(later)]
