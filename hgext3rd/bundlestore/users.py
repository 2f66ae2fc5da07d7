"""Which users somebody means: as with ``hg log -u``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mercurial import error
from mercurial.i18n import _

from .server import aborting, tolocal

#: users that a pattern may mean: the index is asked for each of them
MOST = 100


def matching(server, pattern: str, trusted: bool = False) -> list[str]:
    """Return the users whose names a pattern matches: a part of the name, in
    whatever case, and with ``re:`` in front a regular expression.

    These are taken only from who is ``trusted``: there are some that take for
    ever to match. Raises ``error.InputError``, also if there are too many.
    """
    if not pattern:
        return []
    matches = _matcher(pattern, trusted)
    with aborting():
        found = [
            usage.user
            for usage in server.index.users()
            if usage.user and matches(usage.user)
        ]
    if len(found) > MOST:
        raise error.InputError(
            _(b"'%s' is in the names of %d users")
            % (tolocal(pattern), len(found)),
            hint=_(b'type more of the name; at most %d can be listed') % MOST,
        )
    return found


def _matcher(pattern: str, trusted: bool) -> Callable[[str], Any]:
    if not pattern.startswith('re:'):
        part = pattern.removeprefix('literal:').lower()
        return lambda user: part in user.lower()
    if not trusted:
        raise error.InputError(
            _(b'a server takes no regular expression'),
            hint=_(b'type a part of the name'),
        )
    try:
        return re.compile(pattern[3:], re.IGNORECASE).search
    except re.error as exc:
        raise error.InputError(
            _(b"'%s' is no regular expression: %s")
            % (tolocal(pattern), tolocal(str(exc)))
        )
