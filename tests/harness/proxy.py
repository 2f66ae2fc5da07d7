"""A network that is slow, breaks off or swallows, between two ports here.

It passes connections on to a port of this machine and counts the bytes; what
else it does to them, a test turns on and off while they are open.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable

HOST = '127.0.0.1'

_BLOCK = 256 * 1024
#: the same where a rate is kept, so that all get their part of it
_SMALL = 16 * 1024
#: how many blocks are under way at most
_MOST = 16


class Proxy:
    """Listens on ``port`` and passes all on to the port ``target``."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        #: bytes, in both directions
        self.count = 0
        #: how many connections were taken
        self.connections = 0
        #: how often a client sent something that had waited for an answer, or
        #: was the first
        self.trips = 0
        #: seconds that all takes longer, each way; a connection both ways
        self.delay = 0.0
        #: bytes a second, each way, that all connections have together
        self.rate: float | None = None
        #: whether all that comes is lost, and nobody told
        self.swallow = False
        #: how many bytes more a client may send before all are cut off
        self.cutafter: int | None = None
        #: whether nobody gets through any more then
        self.lasting = False
        #: whether all that comes is lost then, and nothing is cut off
        self.silently = False
        #: what is called then, before anything else
        self.action: Callable[[], object] = lambda: None
        #: whether those who connect are hung up on
        self.refuse = False
        self._lock = threading.Lock()
        #: until when what came before is under way, by direction
        self._busy = [0.0, 0.0]
        self._open: set[_Connection] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # wakes up the thread that accepts
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.cut()

    def cut(self) -> None:
        """Break all connections that are open, as a router that restarts."""
        with self._lock:
            ends = list(self._open)
        for connection in ends:
            connection.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self.connections += 1
                if self.refuse:
                    client.close()
                    continue
                try:
                    server = socket.create_connection((HOST, self._target))
                except OSError:
                    # as if there were nothing between the two
                    client.close()
                    continue
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = _Connection(self, client, server)
                with self._lock:
                    self._open.add(connection)
                connection.start()

    def forget(self, connection: _Connection) -> None:
        with self._lock:
            self._open.discard(connection)

    def arrival(self, size: int, upwards: bool) -> float:
        """Return when what is sent now gets there (monotonic)."""
        sent = time.monotonic()
        if self.rate is not None:
            with self._lock:
                sent = max(sent, self._busy[upwards]) + size / self.rate
                self._busy[upwards] = sent
        return sent + self.delay

    def passing(self, size: int, upwards: bool) -> bool:
        """Count what comes by; tell whether it gets through."""
        cut = False
        with self._lock:
            self.count += size
            if upwards and self.cutafter is not None:
                self.cutafter -= size
                cut = self.cutafter < 0
                if cut:
                    self.cutafter = None
                    self.refuse |= self.lasting
                    self.swallow |= self.silently
        if cut:
            self.action()
            if not self.silently:
                self.cut()
        return not cut and not self.swallow


class _Connection:
    """A client, the server, and a thread for each that reads and for each that
    writes. What is delayed waits in between, so that a long answer is delayed
    no longer than a short one."""

    def __init__(
        self, proxy: Proxy, client: socket.socket, server: socket.socket
    ) -> None:
        self._proxy = proxy
        self._ends = client, server
        self._lock = threading.Lock()
        self._left = 2
        self._asked = False
        #: when the first that either end sends can get to the other
        self._first = [
            time.monotonic() + times * proxy.delay for times in (2, 3)
        ]

    def start(self) -> None:
        client, server = self._ends
        for source, target, upwards in (
            (client, server, True),
            (server, client, False),
        ):
            waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(_MOST)
            for run, args in (
                (self._read, (source, waiting, upwards)),
                (self._write, (target, waiting)),
            ):
                threading.Thread(target=run, args=args, daemon=True).start()

    def cut(self) -> None:
        # it wakes up the threads; what is still in between is lost
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _read(
        self,
        source: socket.socket,
        waiting: queue.Queue[tuple[float, bytes]],
        upwards: bool,
    ) -> None:
        data = b'-'
        while data:
            try:
                block = _BLOCK if self._proxy.rate is None else _SMALL
                data = source.recv(block)
            except OSError:
                data = b''
            if data:
                self._turn(upwards)
            # what gets lost has no end either, until the connection is cut
            if not data or self._proxy.passing(len(data), upwards):
                due = self._proxy.arrival(len(data), upwards)
                waiting.put((max(due, self._first[upwards]), data))

    def _turn(self, upwards: bool) -> None:
        with self._lock:
            if upwards and not self._asked:
                self._proxy.trips += 1
            self._asked = upwards

    def _write(
        self,
        target: socket.socket,
        waiting: queue.Queue[tuple[float, bytes]],
    ) -> None:
        while True:
            due, data = waiting.get()
            if not data:
                break
            left = due - time.monotonic()
            if left > 0:
                time.sleep(left)
            try:
                target.sendall(data)
            except OSError:
                # on to the end: who reads must not wait for ever
                self.cut()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._proxy.forget(self)
            for end in self._ends:
                end.close()
