"""Over ssh, what a pull wants to read is read at once.

Mercurial's peer reads four kilobytes at a time, however much it is asked for,
and what it does for each of them takes longer than to read it. A pull of
hundreds of megabytes waits for that.
"""

from __future__ import annotations

from .. import pipes
from ..start.wraps import inplaceof

#: whoever reads so many bytes at once is about to read more
_MANY = 64 * 1024


@inplaceof('util.bufferedinputpipe.read')
def read(orig, pipe, size):
    """Read what is missing, in place of pieces."""
    if size >= _MANY:
        pipes.enlarge(pipe)
    while not pipe._eof and pipe._lenbuf < size:
        pipe._fillbuffer(size - pipe._lenbuf)
    return orig(pipe, size)
