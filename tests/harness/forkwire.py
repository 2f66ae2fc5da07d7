"""What is said to a forkserver: one request a connection.

The forkserver (forkserver.py) and the tests (forked.py) are programs of two
Pythons. The stand-in for ssh (sshstandin.c) says the same in C.
"""

from __future__ import annotations

import os
import socket
import sys

_SIZE = 4


def request(
    arguments: list[bytes], environ: dict[bytes, bytes], cwd: bytes, umask: int
) -> bytes:
    """Return the message that asks for a process."""
    variables = [name + b'=' + value for name, value in environ.items()]
    # none of it can have a NUL in it
    data = b'\0'.join(
        [cwd, b'%d' % umask, b'%d' % len(arguments), *arguments, *variables]
    )
    return len(data).to_bytes(_SIZE, 'little') + data


def ask(path: str, message: bytes, files: list[int]) -> socket.socket:
    """Send a request, with what becomes standard input, output and error.

    What comes back is the id of the process, then how it ended, in the terms
    of ``os.wait``. If the connection is closed before that, the process and
    its group are killed.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    handles = b''.join(fd.to_bytes(_SIZE, sys.byteorder) for fd in files)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)
    sent = connection.sendmsg([message], [rights])
    if sent < len(message):
        connection.sendall(message[sent:])
    return connection


def receive(
    connection: socket.socket,
) -> tuple[list[int], list[bytes], dict[bytes, bytes], bytes, int]:
    """Return the files of a request, its arguments, environment, current
    folder and umask."""
    data, rights, _, _ = connection.recvmsg(_SIZE, socket.CMSG_SPACE(3 * _SIZE))
    files = []
    for _level, _kind, handles in rights:
        for begin in range(0, len(handles), _SIZE):
            part = handles[begin : begin + _SIZE]
            files.append(int.from_bytes(part, sys.byteorder))
    try:
        size = int.from_bytes(
            data + _read(connection, _SIZE - len(data)), 'little'
        )
        cwd, umask, count, *words = _read(connection, size).split(b'\0')
    except EOFError:
        for fd in files:
            os.close(fd)
        raise
    arguments, variables = words[: int(count)], words[int(count) :]
    environ = {}
    for variable in variables:
        name, _, value = variable.partition(b'=')
        environ[name] = value
    return files, arguments, environ, cwd, int(umask)


def tell(connection: socket.socket, number: int) -> None:
    connection.sendall(number.to_bytes(_SIZE, 'little'))


def hear(connection: socket.socket) -> int:
    return int.from_bytes(_read(connection, _SIZE), 'little')


def _read(connection: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError('the other end has gone')
        data += more
    return data
