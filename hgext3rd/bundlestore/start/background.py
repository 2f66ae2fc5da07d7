"""Runs ``hg`` in the background, for work that nobody shall wait for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Optional

#: runs ``hg`` as this process would, wherever its modules come from
_CODE = """\
import sys
sys.path[:] = {path!r}
import hgdemandimport
hgdemandimport.enable()
from mercurial import dispatch
dispatch.run()
"""


def start(
    *arguments: str,
    folder: bytes,
    environ: Optional[dict[str, str]] = None,
    keep: tuple[int, ...] = (),
) -> None:
    """Run ``hg`` in a folder, with ``environ`` besides its environment:
    without what this process has open but the files in ``keep``, not as its
    child, and not in its session, which may end. Raises ``OSError`` and
    ``subprocess.SubprocessError``."""
    path = [os.path.abspath(entry) for entry in sys.path if entry]
    command = [_python(), '-c', _CODE.format(path=path), *arguments]
    subprocess.run(
        ['/bin/sh', '-c', '"$@" &', 'sh', *command],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=keep,
        check=True,
    )


def _python() -> str:
    """Return what runs Python: in some web servers, they are it."""
    found = sys.executable or ''
    if os.path.basename(found).startswith(('python', 'pypy')):
        return found
    return os.path.join(sys.exec_prefix, 'bin', 'python3')
