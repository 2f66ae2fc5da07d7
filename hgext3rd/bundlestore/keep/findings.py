"""What is found wrong, and what to look for."""

from __future__ import annotations

from typing import Optional

from ..records import NamedTuple

#: how many pushes a finding names
MOST = 10


class Finding(NamedTuple):
    """Something that is not as it should be."""

    #: see the help of ``admin::bundlestore-verify``
    kind: str
    #: what it is, for people, in the local encoding
    message: bytes
    #: or else a remark
    isproblem: bool = True
    #: some of the pushes that it concerns
    pushes: tuple[int, ...] = ()
    key: Optional[str] = None
    name: Optional[str] = None
    repaired: bool = False


class Wish(NamedTuple):
    """How to check."""

    repair: bool = False
    #: only see whether bundles are there
    quick: bool = False
    #: rebuild manifests and files
    full: bool = False
