"""How answers to pulls came to be, as the server logs it when it has sent one
(see docs/logging.rst)."""

from __future__ import annotations

import re

from .hg import Repo


class Log:
    """What the server of ``base`` says of its answers, line by line, once it
    is started anew."""

    def __init__(self, base: Repo) -> None:
        base.configure('extensions', {'blackbox': ''})
        base.configure('blackbox', {'track': 'bundlestore'})
        self._path = base.path / '.hg' / 'blackbox.log'
        self._read = 0

    def new(self) -> list[str]:
        """Return what came since the last time: how many changesets were
        sent verbatim, or as some of those that the bundles hold, or
        ``overlay``."""
        if not self._path.exists():
            return []
        text = self._path.read_text()
        fresh, self._read = text[self._read :], len(text)
        result = []
        for line in fresh.splitlines():
            if ' served ' not in line:
                continue
            found = re.search(r' way=(verbatim|subset) changesets=(\d+) ', line)
            if found:
                behind = ' behind=base ' in line
                some = 'some ' if found[1] == 'subset' else ''
                result.append(f'{some}{found[2]}{" behind" if behind else ""}')
            elif ' way=overlay' in line:
                result.append('overlay')
        return result
