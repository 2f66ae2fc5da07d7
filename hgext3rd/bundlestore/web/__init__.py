"""hgweb: pages of scratch changesets, the push log, bundles to download.

Only servers of hgweb need the rooms in here, and a push over ssh must not
load them: :func:`install` is called, once, when a process turns out to be
one (see ``wraps.py``).
"""

from __future__ import annotations

from .. import compat
from ..start import manual, wraps


def install() -> None:
    """Add what this package has to the hgweb of this process."""
    from mercurial.hgweb import common, hgweb_mod, request, webcommands
    from mercurial.urllibcompat import urlreq

    from . import (
        download,
        hardening,
        health,
        index,
        permissions,
        pushlog,
        pushpage,
        pushstatus,
        queries,
        relevance,
        scratch,
        workspaces,
    )

    manual.register()
    # In place, as other modules hold the same list. Ours comes last: whoever
    # may not read must not learn what is in the store.
    common.permhooks[:] = [
        permissions.wrapped(hook) if hook is common.checkauthz else hook
        for hook in common.permhooks
    ] + [scratch.openforrequest]
    wraps.replace(hgweb_mod.hgweb, 'run_wsgi', scratch.runwsgi)
    directory = compat.hgwebdir()
    wraps.replace(directory, 'rawindexentries', index.entries)
    wraps.replace(directory.hgwebdir, 'templater', index.templater)
    wraps.replace(request.wsgiresponse, 'sendresponse', hardening.sendresponse)
    for parser in ('parseqs', 'parseqsl'):
        wraps.replace(urlreq, parser, queries.parse)
    for name, command in (
        (b'pushes', pushlog.pushes),
        (b'pushloghtml', pushlog.pushloghtml),
        (b'automationrelevance', relevance.automationrelevance),
        (b'push', pushpage.push),
        (b'bundle', download.bundle),
        (b'health', health.health),
        (b'metrics', health.metrics),
        (b'status', pushstatus.status),
        (b'workspaces', workspaces.workspaces),
        (b'workspace', workspaces.workspace),
    ):
        webcommands.webcommand(name)(command)
        # hgweb looks for what a path names among the module's attributes
        setattr(webcommands, name.decode(), command)
