"""Certifies a bundle index.

Subclass :class:`IndexConformance` in a test module; see the package.
"""

from __future__ import annotations

from .concurrency import ConcurrencyTests
from .data import HOSTILE_TEXTS, ids, keyof, moveto, newpush, nodeof
from .deliveries import DeliveryTests
from .holdings import HoldingTests
from .labels import LabelTests
from .lists import ListTests
from .lookups import LookupTests
from .privacy import PrivacyTests
from .publishing import PublishTests
from .randomuse import RandomTests
from .records import RecordTests
from .repairs import RepairTests
from .rests import RestTests
from .statuses import LandingTests, StatusTests
from .views import ViewTests

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
    PublishTests,
    HoldingTests,
    RepairTests,
    ListTests,
    LandingTests,
    StatusTests,
    DeliveryTests,
    LabelTests,
    ViewTests,
    PrivacyTests,
    RandomTests,
    ConcurrencyTests,
):
    """Every index passes these tests."""
