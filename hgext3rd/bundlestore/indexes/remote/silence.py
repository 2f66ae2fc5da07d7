"""A server that does not answer."""

from __future__ import annotations

from typing import Optional

from ... import errors


class Silent(errors.BackendUnavailable):
    """A server did not answer within so many seconds."""

    def __init__(self, seconds: Optional[float]) -> None:
        super().__init__(
            f'bundle index did not answer within {seconds:g} seconds',
            'try again later; the administrator can look at its server',
        )
