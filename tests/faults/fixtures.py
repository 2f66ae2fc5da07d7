"""What the tests share."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from harness.rights import publicfolder

from . import shim
from .site import Site, newest


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Make a site, in memory; skip the test where there is no compiler."""
    why = shim.missing()
    if why is not None:
        if os.environ.get(shim.REQUIRED):
            pytest.fail(why)
        pytest.skip(why)
    library = shim.build()
    try:
        with publicfolder() as top:
            made = Site(newest(), library, top / 'site')
            try:
                yield made
            finally:
                made.close()
    finally:
        shutil.rmtree(library.parent)
