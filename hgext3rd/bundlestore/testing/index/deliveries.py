"""Tests of an index: how far others were told of the pushes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ... import model
from ...declaring import provides
from .base import IndexTests
from .data import HOSTILE_NAMES, HOSTILE_TEXTS, newpush

_FIRST = model.Delivery('ci', 7)


class DeliveryTests(IndexTests):
    """``IDeliveries``, for an index that provides it."""

    @pytest.fixture
    def telling(self, index: Any) -> Any:
        if not provides(index, 'IDeliveries'):
            pytest.skip('keeps no deliveries')
        return index

    def test_deliveries(self, telling: Any) -> None:
        assert telling.deliveries() == {}
        assert telling.owed(0) == 0
        assert telling.setdelivery(_FIRST)
        first = _FIRST._replace(edition=1)
        assert telling.deliveries() == {'ci': first}
        other = model.Delivery(
            'mail', 2**40, 3, None, 'HTTP 410', 'bob 1', 1700000000.25
        )
        assert telling.setdelivery(other)
        # no longer as it was read
        assert not telling.setdelivery(_FIRST)
        assert not telling.setdelivery(first._replace(edition=2))
        again = first._replace(
            told=6, attempts=2, again=1700000000.125, trouble='HTTP 500'
        )
        assert telling.setdelivery(again)
        assert not telling.setdelivery(first)
        assert telling.deliveries() == {
            'ci': again._replace(edition=2),
            'mail': other._replace(edition=1),
        }
        # no push can be told of
        assert telling.lastid() == 0
        assert list(telling.problems()) == []

    def test_owed(self, telling: Any) -> None:
        for name in 'abcd':
            telling.record(newpush(name))
        telling.remove(2)
        found = [telling.owed(told) for told in (-1, 0, 1, 2, 3, 4, 2**40)]
        assert found == [3, 3, 2, 2, 1, 0, 0]

    def test_deliveries_outlive_the_process(
        self, place: model.Place, telling: Any
    ) -> None:
        assert telling.setdelivery(_FIRST)
        telling.close()
        other = self.makeindex(place)
        assert other.deliveries() == {'ci': _FIRST._replace(edition=1)}
        other.close()

    def test_one_of_many_changes_it(self, telling: Any) -> None:
        assert telling.setdelivery(_FIRST)

        def change(number: int) -> bool:
            worker = _FIRST._replace(worker=f'{number}', edition=1)
            done: bool = telling.setdelivery(worker)
            return done

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(change, range(6))) == [False] * 5 + [True]
        assert telling.deliveries()['ci'].edition == 2

    def test_hostile_deliveries(self, telling: Any) -> None:
        expected = {
            name: model.Delivery(name, 1, trouble=text[:500], worker=name)
            for name, text in zip(HOSTILE_NAMES, HOSTILE_TEXTS)
        }
        for delivery in expected.values():
            assert telling.setdelivery(delivery)
        assert telling.deliveries() == {
            name: delivery._replace(edition=1)
            for name, delivery in expected.items()
        }

    @pytest.mark.parametrize(
        'delivery',
        [
            _FIRST._replace(name=''),
            _FIRST._replace(name='x' * (model.NAME_LENGTH + 1)),
            _FIRST._replace(name='x\0'),
            _FIRST._replace(worker='x' * (model.NAME_LENGTH + 1)),
            _FIRST._replace(trouble='x' * 501),
            _FIRST._replace(trouble='\ud800'),
        ],
        ids=lambda delivery: repr(delivery)[9:40],
    )
    def test_invalid_deliveries(self, telling: Any, delivery: Any) -> None:
        with pytest.raises(ValueError, match=r'a name|no text|words'):
            telling.setdelivery(delivery)
        assert telling.deliveries() == {}
