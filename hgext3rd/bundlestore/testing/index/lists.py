"""Tests of an index: lists of pushes."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from ... import model
from ..reference import ReferenceIndex
from .base import IndexTests
from .data import HOSTILE_QUERIES, ids, moveto, newpush, nodeof
from .randomuse import randomfilters, randompush


class ListTests(IndexTests):
    """``pushes``."""

    # -- lists of pushes

    def test_pushes(self, index: Any, reference: ReferenceIndex) -> None:
        users = ['alice', 'bob', '', 'carol']
        for number in range(40):
            push = newpush(
                number % 30,
                user=users[number % 3],
                nodes=[nodeof(n) for n in range(number % 30, number % 30 + 5)],
                moves=[moveto(f'{number}', nodeof(number))] * (number % 2),
            )
            index.record(push)
            reference.record(push)
        for id in (3, 17, 18, 40):
            index.remove(id)
            reference.remove(id)
        filters: list[dict[str, Any]] = [
            {},
            {'user': 'alice'},
            {'user': ''},
            {'user': 'carol'},
            {'user': 'Alice'},
            {'user': '\udc80'},
            {'node': nodeof(10)},
            {'node': nodeof('other')},
            {'node': nodeof(10), 'user': 'bob'},
        ]
        for first, last, some, limit, newestfirst in itertools.product(
            (-5, 1, 16, 40, 41, 1 << 70),
            (None, -1, 0, 1, 17, 39, 1 << 70),
            filters,
            (None, 0, 1, 7, 1000),
            (False, True),
        ):
            arguments: dict[str, Any] = {
                'first': first,
                'last': last,
                'limit': limit,
                'newestfirst': newestfirst,
                **some,
            }
            found = index.pushes(**arguments)
            assert found == reference.pushes(**arguments), arguments

    def test_pages(self, index: Any) -> None:
        for number in range(60):
            user = 'alice' if number % 3 else 'bob'
            text = 'fix' if number % 2 else 'other'
            push = newpush(number, user=user, text=text, time=-number)
            index.record(push)
        filters: list[dict[str, Any]] = [
            {},
            {'user': 'alice'},
            {'text': 'fix'},
            {'user': 'alice', 'text': 'fix'},
        ]
        for some, newestfirst in itertools.product(filters, (False, True)):
            found = index.pushes(newestfirst=newestfirst, **some)
            assert len(found) >= 20
            pages: list[model.Push] = []
            while True:
                begin: dict[str, Any] = {}
                if pages:
                    last = pages[-1].id
                    begin = {'first': last + 1}
                    if newestfirst:
                        begin = {'last': last - 1}
                page = index.pushes(
                    limit=7, newestfirst=newestfirst, **some, **begin
                )
                if not page:
                    break
                pages += page
            assert pages == found

    # -- by text

    @pytest.mark.parametrize(
        ('text', 'query', 'found'),
        [
            ('Fix the frobnicator', 'fix', True),
            ('Fix the frobnicator', 'FROB', True),
            ('Fix the frobnicator', 'frob fix', True),
            ('Fix the frobnicator', 'frobnicator frobnicator', True),
            ('Fix the frobnicator', 't', True),
            ('Fix the frobnicator', 'nicator', False),
            ('Fix the frobnicator', 'frobnicators', False),
            ('Fix the frobnicator', 'fix bug', False),
            ('Fix the frobnicator', 'thef', False),
            ('Fix the frobnicator', 'fixthe', False),
            ('Fix the frobnicator', '', True),
            ('Fix the frobnicator', ' .,"* ', True),
            ('', '', True),
            ('', '!', True),
            ('', 'a', False),
            ('...', 'a', False),
            ('bug12345', 'bug1', True),
            ('bug12345', '1', False),
            ('bug-12345', '123', True),
            ('first\nsecond\n\nthird', 'sec thi', True),
            ('foo_bar.baz/quux', 'ba qu', True),
            ('foo_bar.baz/quux', 'foo_bar.baz/quux', True),
            ('foo_bar.baz/quux', 'bar-foo', True),
            ("don't", "don't", True),
            ('f' * 40, 'f' * 12, True),
            ('f' * 40, 'f' * 40, True),
            ('f' * 40, 'f' * 41, False),
            ('f' * 39 + 'g', 'f' * 40, False),
            ('0123456789abcdef' * 2, '0123456789abcdef0', True),
            ('0123456789abcdef' * 2, '0123456789abcdef1', False),
            ('\u65e5\u672c\u8a9e', '\u65e5', True),
            ('\u65e5\u672c\u8a9e', '\u672c', False),
            ('\u041f\u0420\u0418', '\u043f\u0440', True),
            ('Z\u00fcrich', 'Z\u00fcr', True),
            ('Z\u00fcrich', 'Z\u00dcR', True),
            ('\u4e00\U00020000\U00020001', '\u4e00\U00020000', True),
            ('\U00020000\U00020001', '\U00020001', False),
            ('\U0001f600fix', 'fix', True),
        ],
    )
    def test_text(self, index: Any, text: str, query: str, found: bool) -> None:
        recorded = index.record(newpush('one', text=text))
        index.record(newpush('two', text='something else'))
        for user in (None, 'alice'):
            for node in (None, recorded.nodes[0]):
                for since in (None, 0.0):
                    pushes = index.pushes(
                        text=query, user=user, node=node, since=since
                    )
                    assert (recorded in pushes) is found
        assert index.pushes(text=query, user='bob') == []
        assert index.pushes(text=query, since=2e9) == []

    @pytest.mark.parametrize(
        ('text', 'query'),
        [
            ('Z\u00fcrich', 'Zurich'),
            ('Zurich', 'z\u00dc'),
            ('Zu\u0308rich', 'Z\u00fcrich'),
            ('Z\u00fcrich', 'zu\u0308ri'),
            ('d\u00e9j\u00e0 vu', 'DEJA'),
        ],
    )
    def test_accents(self, index: Any, text: str, query: str) -> None:
        if not self.ignoresaccents:
            pytest.skip('for this index accents count')
        index.record(newpush('one', text=text))
        assert ids(index.pushes(text=query)) == [1]
        assert index.pushes(text=f'{query}x') == []

    @pytest.mark.parametrize('query', HOSTILE_QUERIES, ids=ascii)
    def test_hostile_queries(
        self, index: Any, reference: ReferenceIndex, query: str
    ) -> None:
        texts = ['fix the bug', 'and or not near', query, 'FIX', '']
        for number, text in enumerate(texts):
            # What is recorded was repaired before, and cut.
            text = text.encode('utf-8', 'replace').decode()
            text = text.replace('\0', '?')[: model.TEXT_LENGTH]
            for some in (index, reference):
                some.record(newpush(number, text=text))
        for user in (None, 'alice', query):
            found = index.pushes(text=query, user=user)
            assert found == reference.pushes(text=query, user=user)

    def test_longest_text(self, index: Any) -> None:
        words = [f'{n:x}' for n in range(2000)]
        text = ' '.join(words)[: model.TEXT_LENGTH]
        recorded = index.record(newpush('one', text=text))
        assert index.push(1).text == text
        index.record(newpush('two', text='1 2 3'))
        assert index.pushes(text=text) == [recorded]
        held = text.split()[:-1]
        assert index.pushes(text=' '.join(reversed(held))) == [recorded]
        for word in ('other', 'z'):
            assert index.pushes(text=f'{text} {word}') == []
        word = 'word' * 1000
        recorded = index.record(newpush('three', text=word))
        for length in (1, 10, 100, 1000, 3999, 4000):
            assert index.pushes(text=word[:length]) == [recorded]
        assert index.pushes(text=f'{word}s') == []
        assert index.pushes(text=f'{word[:3998]}s') == []

    # -- by time

    def test_times(self, index: Any) -> None:
        times = [5.0, 3.0, 3.0, 1e9 + 0.25, -2.0, 3.0, 0.0, 5.0]
        for number, time in enumerate(times, 1):
            index.record(newpush(number, time=time))

        def found(**filters: Any) -> list[int]:
            pushes = index.pushes(**filters)
            filters['newestfirst'] = True
            assert index.pushes(**filters) == pushes[::-1]
            return ids(pushes)

        assert found() == [1, 2, 3, 4, 5, 6, 7, 8]
        assert found(since=-1e9) == [5, 7, 2, 3, 6, 1, 8, 4]
        assert found(until=1e300) == [5, 7, 2, 3, 6, 1, 8, 4]
        assert found(since=-2.0, until=5.0) == [7, 2, 3, 6]
        assert found(since=-2.001, until=5.001) == [5, 7, 2, 3, 6, 1, 8]
        assert found(since=1e9) == [4]
        assert found(since=1e9 + 0.25) == []
        assert found(until=-2) == []
        assert found(since=1 << 70) == []
        assert found(since=3, until=3) == []
        assert found(since=5, until=3) == []
        assert found(since=float('-inf'), until=float('inf'), last=3) == [
            *(2, 3, 1)
        ]
        assert found(since=0, first=3, last=6) == [3, 6, 4]

    def test_pages_of_times(self, index: Any) -> None:
        for number in range(20):
            index.record(newpush(number, time=number * 7 % 10))
        pages = [
            index.pushes(since=0, until=9, limit=limit, newestfirst=newestfirst)
            for limit in range(20)
            for newestfirst in (False, True)
        ]
        for limit, (oldest, newest) in enumerate(zip(pages[::2], pages[1::2])):
            assert oldest == pages[-2][:limit]
            assert newest == pages[-1][:limit]
        assert pages[-2] == pages[-1][::-1]

    # -- by several things

    @pytest.mark.parametrize('seed', range(3))
    def test_combinations(
        self, index: Any, reference: ReferenceIndex, seed: int
    ) -> None:
        chance = random.Random(seed)
        for _number in range(45):
            push = randompush(chance, reference)._replace(moves=())
            for some in (index, reference):
                some.record(push)
        found = 0
        for _number in range(500):
            filters = randomfilters(chance)
            pushes = index.pushes(**filters)
            assert pushes == reference.pushes(**filters), filters
            found += bool(pushes)
        # or the filters are too strict to tell
        assert found > 100
