"""The checks of a push: what is let through, and what is not."""

from __future__ import annotations

import hashlib
import struct
import tracemalloc
from collections.abc import Sequence
from typing import Any, Optional

import pytest
from hypothesis import given, strategies as st
from mercurial import mdiff

from harness.changegroups import (
    CENSORED,
    NULL,
    QUICK,
    Revision,
    Stream,
    encode,
    node,
    transcoded,
)
from hgext3rd.bundlestore.bundle import changegroup
from hgext3rd.bundlestore.bundle.changegroup import (
    FLAG_ELLIPSIS as ELLIPSIS,
    Entry,
    MalformedChangegroup,
)
from hgext3rd.bundlestore.errors import BundleStoreError
from hgext3rd.bundlestore.model import TEXT_LENGTH
from hgext3rd.bundlestore.push.check import ChangesetChecker, Refused

# the checks of changesets


def text(
    description: bytes = b'description',
    files: Sequence[bytes] = (),
    user: bytes = b'alice',
    date: bytes = b'0 0',
    manifest: bytes = b'0' * 40,
) -> bytes:
    lines = [manifest, user, date, *files]
    return b'\n'.join(lines) + b'\n\n' + description


def hashed(data: bytes, p1: bytes = NULL, p2: bytes = NULL) -> bytes:
    return hashlib.sha1(b''.join(sorted([p1, p2])) + data).digest()


def full(data: bytes, old: bytes = b'') -> bytes:
    """Return the delta that puts ``data`` in the place of all of ``old``."""
    return struct.pack('>lll', 0, len(old), len(data)) + data


class Base:
    """What the checks see of the repository."""

    def __init__(self, *texts: bytes) -> None:
        self.texts = {hashed(text): text for text in texts}
        self.asked: list[bytes] = []

    def hasnode(self, node: bytes) -> bool:
        self.asked.append(node)
        return node in self.texts

    def text(self, node: bytes) -> bytes:
        return self.texts[node]


def entry(
    data: bytes, p1: bytes = NULL, p2: bytes = NULL, base: bytes = NULL
) -> Entry:
    node = hashed(data, p1, p2)
    return Entry(node, p1, p2, base, node, 0)


def test_right_hash_is_accepted() -> None:
    checker = ChangesetChecker(Base())
    first, second = text(b'first'), text(b'second')
    one = entry(first)
    two = entry(second, one.node)
    checker.changeset(one, full(first))
    checker.changeset(two, full(second))
    checker.endchangesets()
    checker.close()
    assert checker.nodes == (one.node, two.node)
    assert checker.parents == {
        one.node: (NULL, NULL),
        two.node: (one.node, NULL),
    }
    assert [tuple(head) for head in checker.heads()] == [(two.node, 'second')]


LINES = st.binary(max_size=20).map(lambda b: b.replace(b'\n', b''))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[bytes, int, int, int]]:
    """Changesets: text, and which are its parents and delta base; those
    below 0 are in the base repository, 0 is none."""
    result = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        earlier = st.integers(-2, number - 1)
        words = text(draw(st.binary(max_size=60)), draw(st.lists(LINES)))
        result.append((words, draw(earlier), draw(earlier), draw(earlier)))
    return result


@QUICK
@given(history=histories())
def test_any_history(history: list[tuple[bytes, int, int, int]]) -> None:
    base = Base(text(b'one of the base'), text(b'another one'))
    known = dict(zip([-1, -2], base.texts.items()))
    known[0] = (NULL, b'')
    checker = ChangesetChecker(base)
    heads: dict[bytes, None] = {}
    for number, (words, p1, p2, old) in enumerate(history, 1):
        header = entry(words, known[p1][0], known[p2][0], known[old][0])
        known[number] = (header.node, words)
        if header.node in checker.parents:
            continue
        checker.changeset(header, mdiff.textdiff(known[old][1], words))
        for parent in (header.p1, header.p2):
            heads.pop(parent, None)
        heads[header.node] = None
    checker.endchangesets()
    assert set(checker.nodes) == {
        node for number, (node, _) in known.items() if number > 0
    }
    assert [head.node for head in checker.heads()] == list(heads)


@QUICK
@given(
    history=histories(),
    flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(1, 255))),
)
def test_flipped_bytes_in_changesets(
    history: list[tuple[bytes, int, int, int]], flips: list[tuple[int, int]]
) -> None:
    """Whatever is wrong with a delta, it is refused; so are all hashes that
    do not fit. What passes was not changed."""
    known: dict[int, tuple[bytes, bytes]] = {}
    base = Base(text(b'one of the base'), text(b'another one'))
    known = dict(zip([-1, -2], base.texts.items()))
    known[0] = (NULL, b'')
    group: list[Revision] = []
    for number, (words, p1, p2, old) in enumerate(history, 1):
        header = entry(words, known[p1][0], known[p2][0], known[old][0])
        delta = mdiff.textdiff(known[old][1], words)
        known[number] = (header.node, words)
        group.append(Revision(header, delta))
    good = {revision.entry.node for revision in group}
    data = bytearray(encode(Stream(tuple(group)), b'02'))
    for where, bits in flips:
        data[where % len(data)] ^= bits
    checker = ChangesetChecker(base)
    try:
        transcoded(bytes(data), b'02', b'02', checker)
    except BundleStoreError:
        return
    assert set(checker.nodes) <= good


def refused(
    reason: str,
    header: Entry,
    delta: bytes,
    checker: Optional[ChangesetChecker] = None,
    kind: type[BundleStoreError] = MalformedChangegroup,
) -> None:
    checker = checker or ChangesetChecker(Base())
    before = checker.nodes
    with pytest.raises(kind, match=reason):
        checker.changeset(header, delta)
    assert checker.nodes == before


def test_wrong_hash() -> None:
    words = text()
    header = entry(words)
    refused('does not match its hash', header, full(words + b'!'))
    moved = header._replace(p1=hashed(text(b'base')))
    checker = ChangesetChecker(Base(text(b'base')))
    refused('does not match its hash', moved, full(words), checker)
    # unless it is not to be checked
    checker = ChangesetChecker(Base(), hashes=False)
    checker.changeset(header, full(words + b'!'))
    assert checker.nodes == (header.node,)


def test_duplicate() -> None:
    checker = ChangesetChecker(Base())
    checker.changeset(entry(text()), full(text()))
    refused('comes twice', entry(text()), full(text()), checker)


@pytest.mark.parametrize('hashes', [True, False])
def test_strange_header(hashes: bool) -> None:
    header = entry(text())
    for changed in (
        header._replace(link=node(1)),
        header._replace(flags=CENSORED),
        header._replace(flags=1),
    ):
        checker = ChangesetChecker(Base(), hashes=hashes)
        refused('strange header', changed, full(text()), checker)


def test_ellipses() -> None:
    """They must stand for something, and are left out."""
    old, new = text(b'old'), text(b'new')
    elided = entry(old)._replace(flags=ELLIPSIS)
    one = entry(new, elided.node, base=elided.node)
    refused('without its history', elided, full(old), kind=Refused)
    checker = ChangesetChecker(Base(old))
    assert not checker.changeset(elided, full(old))
    assert checker.changeset(one, full(new, old))
    checker.endchangesets()
    assert checker.nodes == (one.node,)
    revision = Entry(node(1), NULL, NULL, NULL, elided.node, ELLIPSIS)
    assert not checker.revision(revision)
    assert checker.revision(revision._replace(link=one.node, flags=0))
    with pytest.raises(Refused, match='without its history'):
        checker.revision(revision._replace(link=one.node))
    checker = ChangesetChecker(Base(old))
    checker.changeset(elided, full(old))
    with pytest.raises(Refused, match='no changesets that are not stored'):
        checker.endchangesets()


def test_unsent_files() -> None:
    words = text(files=[b'a', b'b/c', b'd'])
    checker = ChangesetChecker(Base())
    checker.changeset(entry(words), full(words))
    checker.endchangesets()
    for name in (b'a', b'b/c', b'e', b''):
        checker.group(name)
        checker.revision(entry(words))
    assert checker.unsent == {b'd'}


def test_unknown_parent() -> None:
    known, words = text(b'in the base'), text()
    for parents in [(node(1), NULL), (NULL, node(1)), (hashed(known), node(1))]:
        checker = ChangesetChecker(Base(known))
        refused(
            f'unknown parent {node(1).hex()[:12]} of changeset',
            entry(words, *parents),
            full(words),
            checker,
            Refused,
        )
    checker.changeset(entry(words, hashed(known)), full(words))
    assert checker.parents == {
        hashed(words, hashed(known)): (hashed(known), NULL)
    }


@pytest.mark.parametrize(
    'words',
    [
        b'',
        b'no changeset',
        text(manifest=b'0' * 39),
        text(manifest=b'G' * 40),
        text(user=b''),
        text(date=b'yesterday'),
        text(date=b'0'),
        b'0' * 40 + b'\nalice\n0 0',
    ],
)
def test_unreadable(words: bytes) -> None:
    refused('cannot be read', entry(words), full(words))


@pytest.mark.parametrize(
    'words',
    [
        # Mercurial looks for the empty line that ends the list of files, and
        # for the colon after the key of an extra
        b'0' * 40 + b'\nalice\n0 0\n',
        b'0' * 40 + b'\nalice\n0 0\nfile\ndescription',
        text(date=b'0 0 extra'),
    ],
)
def test_unreadable_by_mercurial(words: bytes) -> None:
    refused('cannot be read', entry(words), full(words))


@pytest.mark.parametrize(
    'words',
    [
        text(date=b'1700000000 -7200 branch:stable\0close:1'),
        text(date=b'-1 0'),
        text(date=b'1.5 0'),
        text(user=b'al\xefce', files=[b'n\xefce']),
        text(b''),
    ],
)
def test_readable(words: bytes) -> None:
    checker = ChangesetChecker(Base())
    checker.changeset(entry(words), full(words))
    assert len(checker.nodes) == 1


def test_delta_against_unknown() -> None:
    header = entry(text(), base=node(1))
    refused(f'against unknown {node(1).hex()[:12]}', header, full(text()))
    # itself is not known yet
    refused('unknown', header._replace(base=header.node), full(text()))


@pytest.mark.parametrize(
    'delta',
    [
        b'x',
        struct.pack('>lll', 0, 0, 100),
        struct.pack('>lll', 0, 10, 0),
        struct.pack('>lll', 5, 2, 0),
        struct.pack('>lll', -1, 0, 0),
        struct.pack('>lll', 0, 0, -1),
        struct.pack('>lll', 0, 0, 2**31 - 1),
        full(text())[:-1],
        full(text()) + b'x',
    ],
)
def test_broken_delta(delta: bytes) -> None:
    for hashes in (True, False):
        header = entry(text())
        checker = ChangesetChecker(Base(), hashes=hashes)
        with pytest.raises(MalformedChangegroup):
            checker.changeset(header, delta)


def test_delta_that_unfolds_to_too_much() -> None:
    start = text()
    most = start + b'd' * (changegroup.MAX_CHANGESET - len(start))
    base = Base(most)
    more = struct.pack('>lll', len(most), len(most), 1) + b'!'
    for hashes in (True, False):
        header = entry(most + b'!', base=hashed(most))
        checker = ChangesetChecker(base, hashes=hashes)
        refused('absurd size', header, more, checker)
    # one byte less is no more than it may
    replaced = struct.pack('>lll', len(most) - 1, len(most), 1) + b'!'
    checker.changeset(entry(most[:-1] + b'!', base=hashed(most)), replaced)
    assert len(checker.nodes) == 1


def test_changesets_that_unfold_to_too_much() -> None:
    base = Base(text(b'd' * 1000))
    (old,) = base.texts
    checker = ChangesetChecker(base, maxbytes=3 * len(base.texts[old]))
    for number in range(4):
        words = text(b'%d' % number + b'd' * 999)
        header = entry(words, base=old)
        delta = mdiff.textdiff(base.texts[old], words)
        if number < 3:
            checker.changeset(header, delta)
        else:
            refused('unfold to more', header, delta, checker, Refused)


def test_too_many_changesets() -> None:
    checker = ChangesetChecker(Base(), maxchangesets=3)
    for number in range(3):
        words = text(b'%d' % number)
        checker.changeset(entry(words), full(words))
    reason = r'exceeds the limit of 3 changesets \(got 4 so far\)'
    refused(reason, entry(text()), full(text()), checker, Refused)


def test_no_changesets() -> None:
    with pytest.raises(Refused, match='no changesets'):
        ChangesetChecker(Base()).endchangesets()


def test_links_of_revisions() -> None:
    base = Base(text(b'base'))
    (known,) = base.texts
    checker = ChangesetChecker(base)
    own = entry(text())
    checker.changeset(own, full(text()))
    checker.endchangesets()
    for link in (own.node, known, known, own.node):
        checker.group(b'file')
        checker.revision(Entry(node(1), NULL, NULL, NULL, link, 0))
    # the repository is asked once: there may be thousands of revisions
    assert base.asked == [known]
    for link in (node(9), NULL):
        checker.group(b'file')
        with pytest.raises(MalformedChangegroup, match='belongs to unknown'):
            checker.revision(Entry(node(1), NULL, NULL, NULL, link, 0))


@pytest.mark.parametrize(
    'name', [b'../a', b'.hg/hgrc', b'a/.HG/hgrc', b'/a', b'a//b', b'a\0b']
)
def test_names_of_files(name: bytes) -> None:
    checker = ChangesetChecker(Base())
    checker.group(b'.hgtags')
    with pytest.raises(MalformedChangegroup, match='without a revision'):
        checker.group(b'a/b')
    for word in (name, name + b'/'):
        with pytest.raises(Refused, match='cannot be the name'):
            ChangesetChecker(Base()).group(word)


def test_texts_go_to_disk() -> None:
    """Three of 4 MB: the first is in no one's memory any more when it is the
    base of a delta."""
    checker = ChangesetChecker(Base())
    texts = [text(b'%d' % number * 2**22) for number in range(3)]
    spooled: Any = checker._texts._file
    for number, words in enumerate(texts):
        assert spooled._rolled == (number * 2**22 > 2**23 - 1)
        checker.changeset(entry(words), full(words))
    assert spooled._rolled
    for number, old in enumerate(texts):
        words = old + b' and %d' % number
        delta = struct.pack('>lll', len(old), len(old), 6) + b' and %d' % number
        checker.changeset(entry(words, base=hashed(old)), delta)
    assert len(checker.nodes) == 6
    checker.endchangesets()
    assert spooled.closed


@pytest.mark.parametrize(
    ('description', 'title'),
    [
        (b'', ''),
        (b'one', 'one'),
        (b'one\ntwo', 'one'),
        (b'one\r\ntwo', 'one'),
        (b'\n\n  \n one\n\ntwo', 'one'),
        (b' \n\t\n', ''),
        ('z\u00fcrich'.encode(), 'z\u00fcrich'),
        (b'z\xfcrich', 'z\ufffdrich'),
        (b'a\0b\nc', 'a\ufffdb'),
        (b'x' * 5000, 'x' * 200),
        ('\u00fc'.encode() * 5000, '\u00fc' * 200),
    ],
)
def test_title(description: bytes, title: str) -> None:
    for files in ([], [b'a', b'b']):
        words = text(description, files)
        checker = ChangesetChecker(Base())
        checker.changeset(entry(words), full(words))
        (head,) = checker.heads()
        assert tuple(head) == (hashed(words), title)
        assert '\0' not in checker.text()


def test_title_takes_no_memory() -> None:
    """Nor does a description of a million lines."""
    words = text(b'title' + b'\n' * 2**22 + b'end')
    header, delta = entry(words), full(words)
    checker = ChangesetChecker(Base())
    tracemalloc.start()
    try:
        checker.changeset(header, delta)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checker.heads()[0].title == 'title'
    # a line in a list takes forty bytes
    assert peak < 10 * len(words)


def described(*descriptions: bytes) -> str:
    """Return the text of a push with a head for each description."""
    checker = ChangesetChecker(Base())
    for number, description in enumerate(descriptions):
        words = text(description, user=b'user %d' % number)
        checker.changeset(entry(words), full(words))
    checker.endchangesets()
    checker.close()
    return checker.text()


@pytest.mark.parametrize(
    ('descriptions', 'expected'),
    [
        ([b''], ''),
        ([b'one'], 'one'),
        ([b'one\n\ntwo\nthree'], 'one\n\ntwo\nthree'),
        ([b'\n one\r\n\r\n two \n\n'], 'one\r\n\r\n two'),
        ([b'one', b'two\n2', b'three'], 'one\ntwo\n2\nthree'),
        ([b'', b'two', b''], '\ntwo\n'),
        (['z\u00fcrich'.encode(), b'z\xfcrich'], 'z\u00fcrich\nz\ufffdrich'),
        ([b'x' * 5000], 'x' * 4000),
        ([b'x' * 4000, b'y'], 'x' * 4000),
        ([b'x' * 3999, b'y'], 'x' * 3999 + '\n'),
        ([b'x' * 3998, b'yz', b'z'], 'x' * 3998 + '\ny'),
        ([b'', b'x' * 4000], '\n' + 'x' * 3999),
        ([b'x' * 100] * 100, ('x' * 100 + '\n') * 39 + 'x' * 61),
        (['\u00fc'.encode() * 5000], '\u00fc' * 4000),
        (['\U0001f600'.encode() * 5000], '\U0001f600' * 4000),
        # a character that is cut is not shown
        (['x\U0001f600'.encode() + '\U0001f600'.encode() * 5000], None),
        ([b'\xff' * 20000], '\ufffd' * 4000),
    ],
)
def test_text(descriptions: Sequence[bytes], expected: Optional[str]) -> None:
    if expected is None:
        expected = 'x' + '\U0001f600' * 3999
    assert TEXT_LENGTH == 4000
    assert described(*descriptions) == expected


def test_text_of_heads_only() -> None:
    checker = ChangesetChecker(Base(text(b'base')))
    one, two, three = (text(b'%d' % n) for n in range(1, 4))
    first, second = entry(one, hashed(text(b'base'))), entry(two)
    for header, words in [
        (first, one),
        (second, two),
        (entry(three, first.node), three),
    ]:
        checker.changeset(header, full(words))
    assert checker.text() == ''
    checker.endchangesets()
    assert [head.title for head in checker.heads()] == ['2', '3']
    assert checker.text() == '2\n3'


def test_text_takes_no_memory() -> None:
    """As long as heads may become none, theirs are not collected."""
    checker = ChangesetChecker(Base())
    sizes = []
    for number in range(2000):
        words = text(b'%d ' % number + b'x' * 20000)
        checker.changeset(entry(words), full(words))
        if number == 500:
            # by now what came is in a file
            tracemalloc.start()
    try:
        sizes.append(tracemalloc.get_traced_memory()[0])
        checker.endchangesets()
        sizes.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert len(checker.heads()) == 2000
    # 30 MB of them came by, 6 of which are no longer than a text
    assert max(sizes) < 3 * 2**20
    assert checker.text() == '0 ' + 'x' * 3998
