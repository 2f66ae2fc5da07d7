"""Searches do not ask the server: only what stands where a revision is
expected is looked for there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import listener, matrix
from harness.commandserver import CommandServer
from harness.hg import Hg
from harness.listener import Listener

#: no question is worth a connection in these; ``abcdef12`` is no changeset
NOT_ASKED = """
abcdef12345678901234567890abcdef123456789
abcde
1790123
12345678901
limit(all(), 100000)
limit(all(), n=100000)
limit(all(), 1, 100000)
last(all(), 100000)
first(all(), 100000)
ancestors(tip, 100000)
ancestors(tip, depth=100000)
descendants(tip, startdepth=100000)
tip~100000
tip^1
123456:654321
rev(123456)
rev(abcdef12)
id(abcdef12)
'abcdef12'
"abcdef12"
desc(1790123)
desc(abcdef12)
desc('abcdef12')
keyword(decade)
keyword(facade)
user(facade)
author(decade)
date(20201231)
date('20201231 to 20210101')
grep(decade)
branch(decade)
branch('decade')
branch("re:decade")
bookmark(decade)
bookmark("re:scratch/x")
tag(facade)
tag(scratch/x)
named(facade)
file(facade)
file(abcdef12)
file('path:facade')
filelog(decade)
contains(decade)
adds(decade)
modifies(decade)
removes(decade)
diffcontains(decade)
follow(decade)
followlines(decade, 100000:200000)
followlines(decade, 1:2, descend=100000)
extra(decade)
extra(branch, decade)
extra(branch, value=decade)
converted(abcdef12)
subrepo(decade)
matching(tip, decade)
sort(all(), decade)
outgoing(decade)
remote(abcdef12, decade)
extdata(decade)
bisect(decade)
nodefromfile(decade)
expectsize(tip, 100000)
unknownfunction(abcdef12)
abcdef12(tip)
tip[100000]
tip#decade
tip#generations[100000]
abcd ## ef12
_rev(abcdef12)
tip and desc(abcdef12) or user(facade)
max(desc(abcdef12))
search(abcdef12)
words(abcdef12)
decade(tip)
present(desc(facade))
(
abcdef12 and
f(abcdef12
"""

#: but in these
ASKED = """
abcdef12
(abcdef12)
123456789012
scratch/some-thing
scratch/some-thing:tip
::abcdef12
abcdef12::
abcdef12::tip
abcdef12:tip
abcdef12:
:abcdef12
tip..abcdef12
not abcdef12
!abcdef12
tip or abcdef12
tip + (null + abcdef12)
tip & abcdef12
all() - abcdef12
tip % abcdef12
abcdef12^
abcdef12^2
abcdef12~3
abcdef12#g[1]
abcdef12[0]
only(abcdef12)
only(tip, abcdef12)
ancestor(tip, null, abcdef12)
ancestors(abcdef12)
ancestors(abcdef12, 100000)
ancestors(set=abcdef12)
ancestors(depth=1, set=abcdef12)
branch(abcdef12::)
branch(abcdef12 + tip)
children(abcdef12)
commonancestors(abcdef12 + tip)
descendants(abcdef12)
destination(abcdef12)
expectsize(abcdef12, 1)
first(abcdef12, 1)
follow(a, startrev=abcdef12)
followlines(a, 1:2, startrev=abcdef12)
heads(abcdef12)
last(abcdef12)
limit(abcdef12, 100000)
matching(abcdef12, user)
max(abcdef12)
min(abcdef12)
origin(abcdef12)
p1(abcdef12)
p2(abcdef12)
parents(abcdef12)
present(abcdef12)
reverse(abcdef12)
revset(abcdef12)
roots(abcdef12)
sort(abcdef12, date)
sort(abcdef12 + tip, user)
stack(abcdef12)
successors(abcdef12)
desc(1790123) and present(abcdef12)
mine
family(abcdef12)
both(tip, heads(abcdef12))
"""

ALIASES = {
    'mine': 'abcdef12::',
    'search(x)': 'desc(x)',
    'words(x)': 'keyword(x) or user(x) and grep(x)',
    'family(x)': '(::x) + (x::)',
    'both(x, y)': 'x + y',
    'decade(x)': 'x',
}


@pytest.fixture
def closed() -> Iterator[Listener]:
    """A server that hangs up on everybody."""
    with listener.listening(b'') as made:
        yield made


@matrix.each_version('version')
def test_what_is_asked_for(
    hg: Callable[..., Hg], tmp_path: Path, closed: Listener, version: str
) -> None:
    repo = hg(version).init(tmp_path / 'repo')
    repo.enable()
    repo.configure('paths', {'default': f'http://127.0.0.1:{closed.port}/'})
    repo.configure('revsetalias', ALIASES)
    repo.commit({'a': 'a\n'}, 'first')
    server = CommandServer(repo)
    wrong = []
    try:
        for text, expected in ((NOT_ASKED, False), (ASKED, True)):
            for revset in text.strip().splitlines():
                before = closed.count
                _code, said = server.run('log', '-r', revset)
                assert 'Traceback' not in said, revset
                if (closed.count > before, 'asking' in said) != 2 * (expected,):
                    wrong.append(revset)
    finally:
        server.close()
    assert wrong == []


def test_each_function_of_mercurial_is_known(hg: Callable[..., Hg]) -> None:
    """A new one that takes a set must be put into the table, and what is in
    the table must be there."""
    code = """
import re
from mercurial import revset
try:
    from mercurial import revset_predicates
    assert len(revset_predicates.__doc__ or 'x')
except ImportError:
    pass
import hgext.transplant
len(hgext.transplant.__doc__)
from mercurial import extensions
from hgext3rd.bundlestore.client import symbols
table = dict(revset.symbols)
table.update(hgext.transplant.revsetpredicate._table)
assert len(table) > 80
for name, function in table.items():
    said = re.match(r'``(\\w+)\\((.*)\\)``', function.__doc__ or '')
    # not for users
    if said is None or name.startswith(b'_'):
        assert name not in symbols.SETS, name
        continue
    takes = re.search(r'\\bset\\b|revision|changeset|revs|startrev', said[2])
    assert (name in symbols.SETS) == bool(takes), said[0]
assert set(symbols.SETS) <= set(table), set(symbols.SETS) - set(table)
"""
    for version in matrix.VERSIONS:
        made = hg(version)
        done = subprocess.run(
            [made.python, '-c', code],
            capture_output=True,
            text=True,
            env=made.cleanenviron(),
        )
        assert done.returncode == 0, (version, done.stderr)
