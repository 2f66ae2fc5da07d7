"""The fuzzer's corpus again, and a short round with it (see tests/fuzz).

In a process of its own: it loads the extension, as a server does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
#: of each target, on top of the corpus
EXECUTIONS = 300


def fuzz(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args, '--dry', '--plain', '--seed', '1'],
        cwd=TESTS,
        env={**os.environ, 'HGRCPATH': '', 'PYTHONPATH': str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow('the whole corpus')
def test_corpus_and_a_short_round() -> None:
    done = fuzz('-m', 'fuzz', '--executions', str(EXECUTIONS))
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r'^(\w+): (\d+) executions', done.stdout, re.MULTILINE)
    assert len(counts) == 6
    for name, count in counts:
        corpus = len(list((TESTS / 'fuzz' / 'corpus' / name).iterdir()))
        assert corpus
        assert int(count) > EXECUTIONS + corpus


@pytest.mark.slow('starts the fuzzer, which loads everything')
def test_faults_are_told() -> None:
    """The measure itself: what is no clean refusal, is slow, or takes memory
    without end."""
    script = """\
import sys
from fuzz import __main__, loop, targets
loop.PATIENCE = 1
def endless(data):
    while True:
        pass
targets.TARGETS = {
    'push': lambda data: data[100],
    'stored': endless,
    'search': lambda data: bytes(1 << 30),
}
loop.corpus = lambda name: []
loop.seeds = lambda: {name: [b''] for name in targets.TARGETS}
sys.exit(__main__.main())
"""
    done = fuzz('-c', script, '--executions', '1')
    assert done.returncode == 1, done.stdout + done.stderr
    for name in ('IndexError', 'Slow', 'MemoryError'):
        assert name in done.stdout
