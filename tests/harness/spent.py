"""What the suite costs: its processor time, and its dearest tests.

A plugin for pytest. The last report of a test carries what the test took, in
this process and in all that is below it; the last lines of the summary add it
up.
``--durations`` tells how many tests they name, instead of ten.
Nothing fails by it: seconds depend on the machine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pytest

from . import cost
from .nightly import MARKS

#: seconds of processor time above which a test is marked, and says why
DEAR = 5.0
#: how many tests are named, if nobody says
SHOWN = 10


class Spent:
    """To be registered with pytest, and with each worker of xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, 'workerinput')
        # what this process had spent when the last test ended
        self._last = 0.0
        #: of all workers
        self._total = 0.0
        self._tests: dict[str, float] = {}
        self._unmarked: set[str] = set()
        if self._worker or not config.getoption('numprocesses', None):
            cost.adopt()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        # to look costs a millisecond, so not between two tests
        self._last = self._last or cost.spent()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, None]:
        outcome = yield
        if call.when != 'teardown':
            return
        now = cost.spent()
        outcome.get_result().spent = now - self._last
        self._last = now
        cost.reap()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._worker:
            return
        name = report.nodeid
        spent = getattr(report, 'spent', 0.0)
        self._tests[name] = self._tests.get(name, 0.0) + spent
        if not any(mark in report.keywords for mark in MARKS):
            self._unmarked.add(name)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if self._worker:
            self._config.workeroutput['spent'] = cost.spent()  # type: ignore[attr-defined]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._total += getattr(node, 'workeroutput', {}).get('spent', 0.0)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        yield
        if not self._tests:
            return
        # what the workers took they have said, so it is not asked again
        total = self._total + (cost.own() if self._total else cost.spent())
        terminalreporter.section('processor time')
        for line in self._lines(total):
            terminalreporter.line(line)

    def _lines(self, total: float) -> Iterator[str]:
        dearest = sorted(self._tests.items(), key=lambda item: -item[1])
        # what is asked for of the times on a clock, of which 0 are all
        shown = self._config.getoption('durations', None)
        shown = SHOWN if shown is None else shown or None
        yield from _table(dearest[:shown])
        faults = [
            (name, seconds)
            for name, seconds in dearest
            if seconds > DEAR and name in self._unmarked
        ]
        if faults:
            yield f'FAULT: above {DEAR:.0f} s, and no mark says why:'
            yield from _table(faults)
        yield f'{total:.0f} s of processor time, {len(self._tests)} tests'


def _table(rows: Sequence[tuple[str, float]]) -> Iterator[str]:
    for name, seconds in rows:
        yield f'{seconds:7.1f} s  {name}'
