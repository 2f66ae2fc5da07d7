"""Certificates for servers on loopback."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certify(cert: Path, key: Path) -> None:
    """Make a certificate, which is its own authority, and its key."""
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-nodes', '-newkey', 'ec'),
            *('-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'),
            *('-subj', '/CN=localhost', '-addext'),
            # Mercurial looks for addresses among the names
            'subjectAltName=DNS:localhost,DNS:127.0.0.1,IP:127.0.0.1',
            *('-keyout', key, '-out', cert),
        ],
        check=True,
        capture_output=True,
    )
