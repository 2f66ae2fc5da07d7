"""Sixteen users at once, and the administrator's commands: no error, nothing
lost, nothing held for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import history, servers
from harness.hg import Repo
from harness.load import Load
from harness.nightly import upto

pytestmark = [
    pytest.mark.slow('sixteen users at once, for a while'),
    pytest.mark.realstarts('what processes take, from their start'),
]

#: how long it takes: five minutes at night; ``make load`` takes an hour
SECONDS = float(os.environ.get('BUNDLESTORE_LOAD_SECONDS', upto(30, 300)))
#: More memory than that in the second half than in the first is a leak, in
#: bytes, and more descriptors than that one of files.
LEAK = 40_000_000
OPEN = 30


@pytest.mark.parametrize('transport_name', ['ssh'])
@pytest.mark.parametrize('webconfig', [{'allow-archive': 'gz'}])
def test_load(
    transport: servers.Transport,
    base: Repo,
    hashes: history.History,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / 'users'
    root.mkdir()
    keep = min(600, SECONDS / 3)
    load = Load(base.hg, base, root, seconds=SECONDS, keep=keep)
    report = load.run(hashes.merged)
    with capsys.disabled():
        print(f'\n{report}')
    assert not report.errors, str(report)
    assert not report.lost, str(report)
    assert report.expected
    assert report.removed
    descriptors, memory = report.growth()
    assert descriptors <= OPEN, str(report)
    assert memory < LEAK, str(report)
