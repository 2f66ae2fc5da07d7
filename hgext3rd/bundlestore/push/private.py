"""A push to a view that is private: only its users see anything of it.

The client names the view in the parameter of the stream that asks for the
bundle store. Nothing is found for the push but what is everybody's, or that
view's (see ``Request.pushing``), and its bundle says of which view it is: so no
other push has the same, and the index can be made anew from it.
"""

from __future__ import annotations

from mercurial import bundle2, error
from mercurial.i18n import _

from .. import model
from ..declaring import provides
from ..names import PARAMETER
from ..server import aborting


def viewof(cg) -> str:
    """Return the ``uid`` of the view that a push says it goes to, empty for
    none; raises ``error.Abort``."""
    if not isinstance(cg, bundle2.unbundle20):
        return ''
    for name, value in cg.params.items():
        if name.upper() == PARAMETER and value not in (None, b'1'):
            uid = value.decode('ascii', 'replace')
            if not model.isuid(uid):
                raise _unknown()
            return uid
    return ''


def check(server, uid: str, user: str) -> None:
    """Raise ``error.Abort`` unless ``user`` may push to the view ``uid``."""
    from .. import viewmodel  # few pushes need it

    index = server.wholeindex
    view = None
    if provides(index, 'IPrivacy'):
        with aborting():
            view = index.viewbyid(uid)
    # whether there is one is not for others to know
    if view is None or not view.private or not viewmodel.maywrite(view, user):
        raise _unknown()


def _unknown() -> error.Abort:
    return error.InputError(
        _(b'there is no such private workspace'),
        hint=_(b'nothing was stored'),
    )
