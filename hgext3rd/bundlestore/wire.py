"""What clients and servers with this extension say to each other."""

from __future__ import annotations

from mercurial import bundle2, error, exthelper

from . import compat, reply, route

eh = exthelper.exthelper()


@eh.extsetup
def register(ui):
    """Make the stream parameter and the reply part known.

    Mercurial aborts a push with a mandatory parameter that it does not know,
    so this must come after everything that takes such pushes aside.
    """
    bundle2.b2streamparamhandler(route.PARAMETER.lower())(_checkparameter)
    compat.parthandler(reply.STORED, (b'push', b'key'))(_recordstored)


def _checkparameter(unbundler, param, value) -> None:
    if value != b'1':
        raise error.BundleUnknownFeatureError(params=(param,), values=(value,))


def _recordstored(operation, part) -> None:
    """Note what the server stored in the records of the operation."""
    operation.records.add(
        reply.STORED,
        {
            b'push': int(part.params[b'push']),
            b'key': part.params[b'key'],
            b'nodes': part.read(),
        },
    )
