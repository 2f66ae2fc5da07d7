"""``/json-automationrelevance/REV``: what a job that builds a changeset has to
look at, in the form of Mozilla's extension ``hgmo``.
"""

from __future__ import annotations

from typing import Any

from mercurial.hgweb import common, webutil
from mercurial.i18n import _
from mercurial.utils import dateutil

from ..server import totext
from . import refusals, scratch, selection


def automationrelevance(web):
    """
    /json-automationrelevance/REV
    -----------------------------

    Tell jobs what to look at: the changesets of the newest push that has the
    changeset REV, up to REV, parents first. ``pushid``, ``pushdate``,
    ``pushuser`` and ``pushhead`` tell of that push. A changeset that nobody
    pushed to the bundle store stands alone, and they are null.
    """
    scratch.forgetbase(web)
    server = getattr(web.res, 'bundlestoreserver', None)
    if server is None or web.req.qsparams.get(b'style') != b'json':
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, _(b'this repository has no such page')
        )
    if not web.req.qsparams.get(b'node'):
        raise selection.bad(b'node')
    ctx = webutil.changectx(web.repo, web.req)
    with scratch.reporting(web):
        push = selection.newest(server, ctx.node())
        answer = {
            'changesets': [
                _description(web.repo[rev], push)
                for rev in _relevant(web.repo, ctx, push)
            ],
            # one that is not does not get this far
            'visible': True,
        }
    return scratch.sendjson(web, answer)


def _relevant(repo, ctx, push) -> list[int]:
    """Return the changesets of the push up to one of them, and that one."""
    revs = {ctx.rev()}
    if push is not None:
        cl = repo.changelog
        nodes = [node for node in push.changesets if cl.hasnode(node)]
        revs.update(
            repo.revs(b'%ld and ::%d', [cl.rev(n) for n in nodes], ctx.rev())
        )
    return sorted(revs)


def _description(ctx, push) -> dict[str, Any]:
    return {
        'node': ctx.hex().decode(),
        'rev': ctx.rev(),
        'author': totext(ctx.user()),
        'date': list(ctx.date()),
        'desc': totext(ctx.description()),
        'extra': {
            totext(name): totext(value) for name, value in ctx.extra().items()
        },
        'files': [
            name.decode('utf-8', 'replace') for name in sorted(ctx.files())
        ],
        'parents': [
            parent.hex().decode() for parent in ctx.parents() if parent
        ],
        'phase': ctx.phasestr().decode(),
        'pushid': push and push.id,
        'pushdate': push and list(dateutil.makedate(int(push.time))),
        'pushuser': push and push.user,
        'pushhead': push and push.changesets[-1].hex(),
        # what descriptions mean is a matter of each project
        'backsoutnodes': [],
        'bugs': [],
        'reviewers': [],
    }
