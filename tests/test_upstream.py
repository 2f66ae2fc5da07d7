"""Mercurial's own tests: the cheapest of those that ``make upstream`` runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import environments
from upstream import comparing, judging, runs
from upstream.running import Result

RUNS = {run.name: run for run in runs.RUNS}


@pytest.fixture(autouse=True)
def source() -> None:
    if not environments.source(runs.MERCURIAL).is_dir():
        pytest.skip("no source of Mercurial's: python3 tools/environments.py")


@pytest.mark.slow('scripts with many starts of hg each')
@pytest.mark.parametrize('name', runs.HANDFUL)
def test_handful(tmp_path: Path, name: str) -> None:
    run = RUNS[name].only(runs.HANDFUL[name])
    verdicts = judging.judge(run, tmp_path, jobs=1)
    assert len(verdicts) >= len(run.tests)
    good = (judging.SAME, judging.EXPECTED, judging.MACHINE)
    assert not [str(v) for v in verdicts if v.word not in good]


def test_what_is_expected() -> None:
    """Each difference has a reason, a test, and lines."""
    for path in comparing.EXPECTED.rglob('*.diff'):
        run = RUNS[path.parent.name]
        test = path.name[len('test-') :].partition('.t')[0]
        assert test in run.tests, path
        reason, lines = comparing.read(path)
        assert reason, path
        assert lines, path


def difference(wanted: str, found: str) -> list[str]:
    return comparing.difference(Result('test-x.t', False, wanted, found))


def test_what_is_ours_does_not_differ() -> None:
    theirs = (
        '  batch branchmap $USUAL_BUNDLE2_CAPS_SERVER$ changegroupsubset'
        ' [a-z]+ (re)\n'
    )
    caps = (
        'bundle2=HG20%0Abookmarks%0Abundlestore%0Achangegroup%3D01%2C02%2C03%0A'
        'checkheads%3Drelated%0Adelta-compression%3Dnone%2Czlib%2Czstd%0A'
        'digests%3Dmd5%2Csha1%2Csha512%0Aerror%3Dabort%2Cunsupportedcontent'
        '%2Cpushraced%2Cpushkey%0Ahgtagsfnodes%0Alistkeys%0Aphases%3Dheads%0A'
        'pushkey%0Aremote-changegroup%3Dhttp%2Chttps'
    )
    ours = (
        f'  batch branchmap {caps} bundlestore bundlestoreknown=parents'
        ' changegroupsubset unbundle\n'
    )
    assert difference(theirs.replace('$', r'\$'), ours) == []
    link = '<div class="bundlestore-nav"><a href="/pushes">pushes</a></div>'
    assert difference('  </form>\n', f'  </form>{link}\n') == []
    assert difference('Content-Length: 7\n', 'Content-Length: 42\n') == []
    whole = '\n  s>     8\\r\\n\n  s>     something\\n\n'
    chunks = r"""
  s>     12\r\n
  s>     some
  s>     \r\n
  s>     3f\r\n
  s>     thing\n
"""
    assert difference(whole, chunks) == []
    assert difference('a\n  x (?)\nb\n', 'a\nb\n') == []


@pytest.mark.parametrize(
    ('wanted', 'found', 'lines'),
    [
        ('a\nb\n', 'a\nc\n', ['@@', '-b', '+c']),
        ('a\nb\n', 'a\n', ['@@', '-b']),
        ('a\n', 'a\nb\n', ['@@', '+b']),
        ('a\n', 'a bundlestore\n', ['@@', '-a', '+a bundlestore']),
        ('a* (glob)\n', 'ba\n', ['@@', '-a* (glob)', '+ba']),
    ],
)
def test_what_differs(wanted: str, found: str, lines: list[str]) -> None:
    assert difference(wanted, found) == lines
