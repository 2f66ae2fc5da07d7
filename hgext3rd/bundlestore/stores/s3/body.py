"""Reads an object whose connection may break."""

from __future__ import annotations

from typing import Any

from ... import errors
from .client import Absent, Client

#: how often to go on where the connection broke
_ATTEMPTS = 2


class Body:
    """The raw binary file that ``answer`` brings: that of the object ``name``.
    If it goes away meanwhile, ``gone`` is raised."""

    def __init__(
        self,
        client: Client,
        name: str,
        answer: dict[str, Any],
        gone: errors.BundleStoreError,
    ) -> None:
        self.size: int = answer['ContentLength']
        self.closed = False
        self._client = client
        self._name = name
        self._gone = gone
        self._stream: Any = answer['Body']
        self._position = 0
        self._left = _ATTEMPTS

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, all if negative; raises
        ``BackendUnavailable``."""
        while True:
            try:
                data: bytes = self._stream.read(size if size >= 0 else None)
            except Exception as exc:
                # whatever urllib3 raises, as botocore does not know all of it
                self._goon(exc)
            else:
                self._position += len(data)
                return data

    def _goon(self, exc: Exception) -> None:
        """Ask for what was not read yet."""
        self._stream.close()
        if not self._left:
            raise self._client.failed(exc) from None
        self._left -= 1
        try:
            answer = self._client.read(
                'get_object', Key=self._name, Range=f'bytes={self._position}-'
            )
        except Absent:
            raise self._gone from None
        self._stream = answer['Body']
        begin = answer.get('ContentRange', '')
        if not begin.startswith(f'bytes {self._position}-'):
            # it knows no ranges
            self._left = 0
            self._goon(exc)

    def close(self) -> None:
        self.closed = True
        self._stream.close()
