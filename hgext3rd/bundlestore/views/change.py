"""Views are changed: by their owner, and by whom the owner lets.

A change says which version it is one of. Where that is not the version that
the view has, nothing changes, and the client is told what there is.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Optional

from mercurial import error
from mercurial.i18n import _
from mercurial.node import hex

from .. import access, errors, log, viewmodel
from ..declaring import provides
from ..push import pace
from ..server import aborting, noting, tolocal
from ..stores import viewnotes
from ..wire import exchange
from ..wire.views import Answer, Change, Query, readbody, told
from . import answer


def serve(repo, proto, args):
    """Answer the wire command."""
    return exchange.answer(repo, lambda server: _receive(repo, server, proto))


def _receive(repo, server, proto) -> dict[str, Any]:
    with pace.payload(repo, server, proto) as chunks:
        wanted = readbody(chunks)
    if isinstance(wanted, Query):
        return answer.tell(repo, server, wanted)
    return told(change(repo, server, wanted))


def change(repo, server, wanted: Change) -> Answer:
    """Do what ``wanted`` asks for, on behalf of the user that ``server``
    serves now, and return the view as it is then; raises ``error.Abort``."""
    url = server.request.client
    user = server.request.user
    log.newrequest(server)
    with log.refusals(repo.ui, server, url, 'workspace'):
        server.checksettings()
        access.checkpush(repo.ui, user)
        if not user:
            raise error.Abort(
                _(b'only who is logged in can change a workspace'),
                hint=_(b'log in, or ask the administrator'),
            )
        with aborting():
            server.checkopen()
            found = answer.find(server, wanted.owner, wanted.name)
            owner = answer.ownerof(server, wanted.owner)
            if found is None:
                if wanted.action != 'put':
                    raise answer.unknown(owner, wanted.name)
                answer.checkname(wanted.name)
                found = _new(server, owner, wanted)
            _checkuser(found, user, wanted.action)
            if wanted.private and not found.private:
                raise error.InputError(
                    _(b"workspace '%s' is not private, and stays so")
                    % answer.named(owner, wanted.name),
                    hint=_(b'choose another name'),
                )
            if found.version != wanted.expected and wanted.action == 'put':
                return _moved(repo, server, found)
            changed = _ACTIONS[wanted.action](repo, server, found, wanted)
            changed = changed._replace(
                time=time.time(), user=user, machine=wanted.machine
            )
            _check(changed)
            try:
                made = server.index.putview(changed, found.version)
            except errors.ViewMoved as exc:
                return _moved(repo, server, exc.view)
            except errors.ViewExists as exc:
                if wanted.action == 'put':
                    return _moved(repo, server, exc.view)
                raise error.InputError(
                    _(b"there is a workspace '%s' already")
                    % answer.named(changed.owner, changed.name)
                ) from exc
            if made.version != found.version:
                before = found if found.version else None
                with noting(repo.ui):
                    viewnotes.keep(
                        server.store, server.wholeindex, before, made
                    )
    if made.version != found.version:
        log.event(
            repo.ui,
            server,
            'workspace',
            name=f'{made.owner}/{made.name}',
            version=made.version,
            user=user,
            by=log.way(url),
            what=wanted.action,
            heads=len(made.heads),
        )
    return Answer(made)


def _new(server, owner: str, wanted: Change) -> viewmodel.View:
    if wanted.private and not provides(server.index, 'IPrivacy'):
        raise error.Abort(
            _(b'the bundle index cannot keep private workspaces'),
            hint=_(b'ask the administrator about bundlestore.index'),
        )
    return viewmodel.View(owner, wanted.name, private=wanted.private)


def _moved(repo, server, found: Optional[viewmodel.View]) -> Answer:
    gone: frozenset[bytes] = frozenset()
    if found is not None:
        gone = answer.gone(repo, server, found)
    return Answer(found, gone, moved=True)


def _checkuser(found: viewmodel.View, user: str, action: str) -> None:
    if user == found.owner or (
        action == 'put' and viewmodel.maywrite(found, user)
    ):
        return
    what = answer.named(found.owner, found.name)
    if action == 'put':
        raise error.Abort(
            _(b"workspace '%s' is not yours") % what,
            hint=_(
                b"its owner can share it: 'hg workspace --share %s:write %s'"
            )
            % (tolocal(user), tolocal(found.name)),
        )
    raise error.Abort(
        _(b"workspace '%s' is not yours") % what,
        hint=_(b'only its owner can do that'),
    )


def _check(changed: viewmodel.View) -> None:
    try:
        changed.check()
    except ValueError as exc:
        raise error.InputError(
            _(b'no workspace can be so: %s') % tolocal(str(exc))
        ) from exc


def _checkmark(name: str) -> None:
    """Raise ``error.InputError`` unless a clone can have such a bookmark."""
    # it is a line in a file of the clone
    if any(char in name for char in '\0\n\r'):
        raise error.InputError(
            _(b'invalid name of a bookmark: %s') % tolocal(ascii(name)[:80])
        )


# -- what is done


def _put(repo, server, found: viewmodel.View, wanted: Change) -> viewmodel.View:
    heads = {*found.heads}.difference(wanted.removed).union(wanted.added)
    marks = dict(found.bookmarks)
    for name, node in wanted.bookmarks:
        if node is None:
            marks.pop(name, None)
        else:
            _checkmark(name)
            marks[name] = node
    new = heads.difference(found.heads)
    new.update(node for node in dict(wanted.bookmarks).values() if node)
    # what the others see, too, who look at it
    with server.request.pushing(found.uid if found.private else ''):
        missing = answer.missing(repo, server, new)
    # which is in each repository, and nothing to look at
    missing.update(new.intersection([repo.nullid]))
    for node in sorted(missing):
        raise error.InputError(
            _(b'the bundle store has no changeset %s') % hex(node)[:12],
            hint=_(b'push it first'),
        )
    return found._replace(
        heads=tuple(sorted(heads)),
        bookmarks=tuple(sorted(marks.items())),
        state=found.state if wanted.state is None else wanted.state,
        # who pushes to it wants it back
        dropped=False,
    )


def _share(
    repo, server, found: viewmodel.View, wanted: Change
) -> viewmodel.View:
    user, _colon, right = wanted.argument.partition(':')
    if found.private and right in ('', 'read') and user:
        if viewmodel.maywrite(found, user):
            return found
        return found._replace(readers=tuple(sorted({*found.readers, user})))
    if right != 'write' or not user:
        raise error.InputError(
            _(b"to share is to let write: '%s'") % tolocal(wanted.argument),
            hint=_(
                b'say USER:write; everybody who may pull from the repository '
                b'can look at it'
            ),
        )
    return found._replace(
        writers=tuple(sorted({*found.writers, user})),
        readers=_without(found.readers, user),
    )


def _unshare(
    repo, server, found: viewmodel.View, wanted: Change
) -> viewmodel.View:
    user = wanted.argument.partition(':')[0]
    if user not in (*found.writers, *found.readers):
        raise error.InputError(
            _(b"workspace '%s' is not shared with %s")
            % (answer.named(found.owner, found.name), tolocal(user))
        )
    return found._replace(
        writers=_without(found.writers, user),
        readers=_without(found.readers, user),
    )


def _without(users: tuple[str, ...], user: str) -> tuple[str, ...]:
    return tuple(one for one in users if one != user)


def _rename(
    repo, server, found: viewmodel.View, wanted: Change
) -> viewmodel.View:
    answer.checkname(wanted.argument)
    return found._replace(name=wanted.argument)


def _drop(
    repo, server, found: viewmodel.View, wanted: Change
) -> viewmodel.View:
    return found._replace(dropped=True)


def _restore(
    repo, server, found: viewmodel.View, wanted: Change
) -> viewmodel.View:
    return found._replace(dropped=False)


_ACTIONS: dict[str, Callable[..., viewmodel.View]] = {
    'put': _put,
    'share': _share,
    'unshare': _unshare,
    'rename': _rename,
    'drop': _drop,
    'restore': _restore,
}
