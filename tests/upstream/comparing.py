"""What differs, and what is expected to.

``expected/RUN/TEST.diff`` has the reason, in lines that begin with ``#``, and
then the lines that are missing (``-``) and those that are there instead
(``+``), with ``@@`` before each place. As little as possible stands there:
what follows from the name of the extension alone is taken away before.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
import runpy
from pathlib import Path

import environments

from .running import Result
from .runs import MERCURIAL, Run

EXPECTED = Path(__file__).with_name('expected')

#: what a server with a bundle store says of itself in any case: the link to
#: the pushes, and its capabilities, also quoted, and quoted twice
_LINK = re.compile(r'<div class="bundlestore-nav".*?</div>')
_CAPABILITIES = re.compile(r'\bchangegroupsubset\b|%0A|%250A')
_OURS = re.compile(
    r'(?<=\S)( |%0A|%250A)bundlestore[a-z]*(?:=[a-z]+)?(?=[ %]|$)'
)

#: what follows from the length of these, in headers and in the listing of a
#: conversation: numbers, where one chunk ends and another one begins, columns
_SIZES = (
    (re.compile(r'(?i)\b(content-length: *)[0-9]+'), r'\1*'),
    (re.compile(r'\n  s>     \\r\\n\n  s>     [0-9a-f]+\\r\\n\n  s>     '), ''),
    (re.compile(r'(\n  s>     )[0-9a-f]+(?=\\r\\n\n)'), r'\1*'),
    # columns are as wide as the longest name
    (re.compile(r'(?<=\S)  +(?=\S)'), ' '),
)

#: lines that may be missing, and those that need not be there word by word
_OPTIONAL = re.compile(r'\n.* \(\?\)(?=\n)')
_LOOSE = re.compile(r'(.*) \((re|glob)\)')


def difference(result: Result) -> list[str]:
    """Return the lines that differ, after all that may."""
    wanted, found = _normal(result.wanted), _normal(result.found)
    matcher = difflib.SequenceMatcher(None, wanted, found, autojunk=False)
    lines = []
    for tag, i, j, k, m in matcher.get_opcodes():
        old, new = wanted[i:j], found[k:m]
        if tag == 'equal' or (
            len(old) == len(new) and all(map(_matches, old, new))
        ):
            continue
        lines += ['@@', *(f'-{line}' for line in old)]
        lines += [f'+{line}' for line in new]
    return lines


def _matches(wanted: str, found: str) -> bool:
    loose = _LOOSE.fullmatch(wanted)
    if loose is None:
        return wanted == found
    text, kind = loose.groups()
    if kind == 're':
        return re.fullmatch(text, found) is not None
    # only * and ? mean anything there
    return fnmatch.fnmatchcase(found, text.replace('[', '[[]'))


def _normal(text: str) -> list[str]:
    for pattern, replacement in _SIZES:
        text = pattern.sub(replacement, text)
    return [*map(_without, _OPTIONAL.sub('', text).split('\n'))]


def _without(line: str) -> str:
    """Return a line without what is ours."""
    shorter = _LINK.sub('', line)
    if _CAPABILITIES.search(line):
        shorter = _OURS.sub('', shorter)
    if shorter == line:
        return line
    # Mercurial has names for its usual capabilities, which it did not find
    data = shorter.encode(errors='surrogateescape')
    for pattern, replacement in _substitutions():
        data = re.sub(pattern, replacement, data)
    return data.decode(errors='surrogateescape')


@functools.cache
def _substitutions() -> list[tuple[bytes, bytes]]:
    path = environments.source(MERCURIAL) / 'tests' / 'common-pattern.py'
    found: list[tuple[bytes, bytes]] = runpy.run_path(str(path))[
        'substitutions'
    ]
    return found


# expected differences


def path(run: Run, name: str) -> Path:
    """Return where it stands what is expected of a test, or of a case of it
    (``test-push-http.t#bundle1``)."""
    return EXPECTED / run.name / f'{name}.diff'


def read(file: Path) -> tuple[list[str], list[str]]:
    """Return the reason, and the lines that are expected to differ."""
    if not file.exists():
        return [], []
    lines = file.read_text(errors='surrogateescape').split('\n')[:-1]
    reason = [line for line in lines if line.startswith('#')]
    return reason, [line for line in lines if not line.startswith('#')]


def write(file: Path, reason: list[str], lines: list[str]) -> None:
    """Have these lines be what is expected; the reason is a person's."""
    if not lines:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    text = ''.join(f'{line}\n' for line in [*reason, *lines])
    file.write_text(text, errors='surrogateescape')
