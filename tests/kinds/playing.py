"""Plays a row: each step, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from harness import pool

from .scene import Bases, Row, Scene
from .steps import STEPS, NotThere, Step

WORKS = 'works'
#: an earlier step did not leave what this one needs
NOTTHERE = 'not there'
#: with one line of "abort:" and no more
REFUSED = 'refused'
FAILED = 'failed'


class Outcome(NamedTuple):
    row: Row
    step: str
    word: str
    #: what was said, where it did not work
    text: str = ''
    #: whether Mercurial alone can do it: None where that was not asked
    plain: Optional[bool] = None

    @property
    def line(self) -> str:
        """The line of all that matters."""
        return said(self.text)


def play(
    row: Row,
    folder: Path,
    bases: Bases,
    shared: Optional[pool.Pool] = None,
    control: bool = False,
    steps: Sequence[Step] = STEPS,
) -> list[Outcome]:
    """Play ``steps`` of a row in an empty folder. With ``control``, what fails
    is tried once more with a server that has no bundle store."""
    outcomes = _play(row, folder / 'store', bases, steps, shared, False)
    if control and any(
        outcome.word in (REFUSED, FAILED) for outcome in outcomes
    ):
        alone = {
            outcome.step: outcome.word
            for outcome in _play(
                row, folder / 'plain', bases, steps, None, True
            )
        }
        outcomes = [
            outcome
            if outcome.word in (WORKS, NOTTHERE)
            else outcome._replace(plain=alone.get(outcome.step) == WORKS)
            for outcome in outcomes
        ]
    return outcomes


def _play(
    row: Row,
    folder: Path,
    bases: Bases,
    steps: Sequence[Step],
    shared: Optional[pool.Pool],
    plain: bool,
) -> list[Outcome]:
    folder.mkdir()
    try:
        scene = Scene(row, folder, bases, shared, plain)
    except AssertionError as exc:
        return [Outcome(row, 'base', FAILED, str(exc))]
    try:
        outcomes = [
            _step(scene, step) for step in steps if row.transport in step.over
        ]
    except BaseException:
        scene.transport.discard()
        raise
    try:
        scene.close()
    except AssertionError as exc:
        outcomes.append(Outcome(row, 'server', FAILED, str(exc)))
    return outcomes


def _step(scene: Scene, step: Step) -> Outcome:
    try:
        with scene.untouched():
            step.run(scene)
    except NotThere:
        return Outcome(scene.row, step.name, NOTTHERE)
    except AssertionError as exc:
        text = str(exc) or repr(exc)
        clear = text.count('abort: ') == 1 and 'Traceback' not in text
        word = REFUSED if clear and text.startswith('expected exit') else FAILED
        return Outcome(scene.row, step.name, word, text)
    return Outcome(scene.row, step.name, WORKS)


def said(text: str) -> str:
    """Return the line that says what is wrong."""
    for pattern in (
        r'remote: (?:abort: )?.*',
        r'abort: .*',
        r'^(?:\S+Error|Exception): .*',
        r'^ *(?:new|gone|changed) +.*',
        r'^(?!expected exit|\$|\[exit).*\S.*',
    ):
        found = re.findall(pattern, text, re.MULTILINE)
        if found:
            line: str = found[0]
            return line.strip()
    return text.strip()
