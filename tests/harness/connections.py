"""Counts how often a client connects over ssh."""

from __future__ import annotations

from .hg import Repo
from .servers import Transport


class Connections:
    """Counts how often a client connects, by a wrapper around its ssh."""

    def __init__(self, client: Repo, transport: Transport) -> None:
        self.log = client.path.parent / 'connections'
        script = client.path.parent / 'counting-ssh'
        ssh = transport.clientconfig()['ssh']
        script.write_text(f'#!/bin/sh\necho x >> {self.log}\nexec {ssh} "$@"\n')
        script.chmod(0o755)
        client.configure('ui', {'ssh': str(script)})

    def count(self) -> int:
        return len(self.log.read_text()) // 2 if self.log.exists() else 0
