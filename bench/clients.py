"""Clients of a web server, many of them in this one process, so that it costs
little to have them. Each keeps its connection."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .measure import PATIENCE

#: bytes of the head of an answer
_HEAD = 1 << 16


class Answer(NamedTuple):
    status: int
    body: bytes


class Tally:
    """What came of the requests of one kind."""

    def __init__(self) -> None:
        #: seconds, of those that were answered as they should be
        self.times: list[float] = []
        #: what the others were answered
        self.errors: list[str] = []
        #: seconds from the first request to the last answer
        self.took = 0.0
        #: connections beside the first one of each client
        self.again = 0

    def at(self, share: float) -> float:
        """Return the time that this share of the requests did not exceed."""
        ordered = sorted(self.times)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    @property
    def rate(self) -> float:
        return len(self.times) / self.took


class _Client:
    """A connection that is opened when it is needed, and again when the server
    has closed it."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._port = port
        self._tally = tally
        self._streams: (
            tuple[asyncio.StreamReader, asyncio.StreamWriter] | None
        ) = None
        self._opened = False

    async def ask(self, request: bytes) -> Answer:
        reader, writer = self._streams or await self._connect()
        writer.write(request)
        head = await reader.readuntil(b'\r\n\r\n')
        status, *lines = head.decode('latin-1').lower().split('\r\n')
        headers = dict(line.split(': ', 1) for line in lines if line)
        if headers.get('transfer-encoding') == 'chunked':
            body = b''.join([block async for block in _chunks(reader)])
        else:
            body = await reader.readexactly(int(headers['content-length']))
        if headers.get('connection') == 'close':
            self.close()
        return Answer(int(status.split()[1]), body)

    async def _connect(
        self,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._tally.again += self._opened
        self._opened = True
        self._streams = await asyncio.open_connection(
            '127.0.0.1', self._port, limit=_HEAD
        )
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader):  # type: ignore[no-untyped-def]
    while size := int(await reader.readuntil(b'\r\n'), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)


class Crowd:
    """Requests to the server at a port of this machine. ``isgood`` says of an
    answer whether it is what was asked for."""

    def __init__(self, port: int, isgood: Callable[[Answer], bool]) -> None:
        self._port = port
        self._isgood = isgood
        self.tally = Tally()

    async def inturn(
        self, requests: Iterator[bytes], clients: int, seconds: float
    ) -> None:
        """Have clients make one request after the other, each when it has the
        answer to the last one."""
        started = time.perf_counter()

        async def work() -> None:
            with contextlib.closing(_Client(self._port, self.tally)) as client:
                while time.perf_counter() - started < seconds:
                    await self._ask(client, next(requests))

        await asyncio.gather(*(work() for _ in range(clients)))
        self.tally.took = time.perf_counter() - started

    async def steadily(
        self,
        requests: Iterator[bytes],
        clients: int,
        rate: float,
        seconds: float,
    ) -> None:
        """Make so many requests a second, each by a client that has nothing to
        wait for; fewer, where all of them wait."""
        started = due = time.perf_counter()
        idle: asyncio.Queue[_Client] = asyncio.Queue()
        tasks = []

        async def once(client: _Client) -> None:
            await self._ask(client, next(requests))
            idle.put_nowait(client)

        for _number in range(clients):
            idle.put_nowait(_Client(self._port, self.tally))
        while due - started < seconds:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            tasks.append(asyncio.create_task(once(await idle.get())))
            due = max(due + 1 / rate, time.perf_counter())
        await asyncio.gather(*tasks)
        self.tally.took = time.perf_counter() - started
        while not idle.empty():
            idle.get_nowait().close()

    async def _ask(self, client: _Client, request: bytes) -> None:
        started = time.perf_counter()
        try:
            answer = await client.ask(request)
        except (OSError, EOFError, LookupError, ValueError) as exc:
            self.tally.errors.append(repr(exc))
            client.close()
            return
        if self._isgood(answer):
            self.tally.times.append(time.perf_counter() - started)
        else:
            self.tally.errors.append(f'{answer.status}: {answer.body[:300]!r}')


def post(path: str, headers: Sequence[str], body: bytes) -> bytes:
    lines = [f'POST {path} HTTP/1.1', *headers, f'Content-Length: {len(body)}']
    return _head(lines) + body


def get(path: str) -> bytes:
    return _head([f'GET {path} HTTP/1.1'])


def _head(lines: Sequence[str]) -> bytes:
    text = '\r\n'.join([*lines, 'Host: 127.0.0.1', '', ''])
    return text.encode('ascii')


def together(*crowds) -> None:  # type: ignore[no-untyped-def]
    """Run what :class:`Crowd` does, at the same time."""

    async def main() -> None:
        await asyncio.wait_for(asyncio.gather(*crowds), PATIENCE)

    asyncio.run(main())
