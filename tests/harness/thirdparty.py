"""Packages of others, with stores or indexes of their own."""

from __future__ import annotations

import textwrap
from pathlib import Path

from .servers import SshTransport, Transport


def install(folder: Path, entrypoints: str, **modules: str) -> Path:
    """Have a distribution in ``folder``, which is made: ``entrypoints`` is
    what its ``entry_points.txt`` says, ``modules`` the text of each of its
    modules."""
    info = folder / 'thirdparty-1.0.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: thirdparty\nVersion: 1.0\n', 'utf-8'
    )
    (info / 'entry_points.txt').write_text(
        textwrap.dedent(entrypoints), 'utf-8'
    )
    for name, text in modules.items():
        (folder / f'{name}.py').write_text(textwrap.dedent(text), 'utf-8')
    return folder


def known(transport: Transport, folder: Path) -> None:
    """Have the server's processes find what is installed in ``folder``."""
    assert isinstance(transport, SshTransport)
    transport.serve({'PYTHONPATH': str(folder)})
