"""Each branch for a release of Mercurial says which, and why."""

from __future__ import annotations

import importlib.util
import re

import pytest

import environments
from hgext3rd.bundlestore import metadata

PACKAGE = environments.ROOT / 'hgext3rd' / 'bundlestore'
COMPAT = (PACKAGE / 'compat.py').read_text('utf-8')
#: the release, the changeset or the module, and what happened there
DATE = re.compile(r' *# hg <= (\d+\.\d+) \(([0-9a-f]{12}|[a-z_.0-9]+): .+\)')
DATED = [
    line for line in COMPAT.splitlines() if '# hg' in line and '``' not in line
]


def release(text: str) -> list[int]:
    return [int(number) for number in text.split('.')[:2]]


@pytest.mark.parametrize('line', DATED)
def test_branch_is_dated(line: str) -> None:
    found = DATE.fullmatch(line)
    assert found, line
    oldest = release(metadata.minimumhgversion.decode())
    newest = release(environments.supported()[-1])
    assert oldest <= release(found[1]), 'no supported release needs it'
    assert release(found[1]) <= newest, 'no such release is tested'
    if not re.fullmatch('[0-9a-f]{12}', found[2]):
        # by the names of the newest release
        assert importlib.util.find_spec(f'mercurial.{found[2]}') is not None


def test_no_branch_is_without_a_date() -> None:
    assert len(DATED) > 10
    handlers = re.findall(r'except .*(?:Import|Attribute)Error.*\n(.*)', COMPAT)
    assert handlers
    assert set(handlers) <= set(DATED)


def test_branches_are_in_one_place() -> None:
    for path in PACKAGE.rglob('*.py'):
        if path.name != 'compat.py':
            found = re.findall(r'# .*\bhg [<>]=? *\d', path.read_text('utf-8'))
            assert not found, path
