"""The hooks ``prebundlestore`` and ``bundlestore``.

Shell hooks get the variables; Python hooks get the overlay of base and push
as ``repo``, and the variables without ``HG_`` in lower case. A hook costs
nothing where none is configured.
"""

from __future__ import annotations

from mercurial import hook, pycompat
from mercurial.node import hex

from . import interfaces, overlay
from .server import aborting, tolocal


def prehook(receiver, staged) -> None:
    """Run ``prebundlestore`` on a staged bundle; raises if it fails."""
    nodes, heads = receiver.checker.nodes, receiver.checker.heads()
    _run(receiver, b'prebundlestore', staged, staged.key, nodes, heads, True)


def posthook(receiver, push, store) -> None:
    """Run ``bundlestore`` on a recorded push; its failure changes nothing."""
    _run(
        receiver,
        b'bundlestore',
        store,
        push.key,
        push.nodes,
        push.heads,
        False,
        pushid=b'%d' % push.id,
        bookmark=b' '.join(tolocal(name) for name, _node in push.bookmarks),
    )


def _run(receiver, name, files, key, nodes, heads, throw, **extra) -> None:
    if not hook.hashook(receiver.ui, name):
        return
    repo = receiver.repo
    variables = {
        'node': hex(nodes[0]),
        'node_last': hex(nodes[-1]),
        'heads': b' '.join(hex(head.node) for head in heads),
        'count': b'%d' % len(nodes),
        'bundleid': key.encode(),
        'user': tolocal(receiver.user),
        'source': b'push',
        'url': receiver.url,
    }
    variables.update(pycompat.strkwargs(receiver.pushvars))
    variables.update(extra)
    with aborting():
        if interfaces.ILocalPath.providedBy(files):
            path = files.localpath(key)
            variables['bundlerepo'] = b'bundle:%s+%s' % (repo.root, path)
            view = overlay.openfile(repo, path)
        else:
            view = overlay.openbundles(repo, receiver.server, [key])
    try:
        hook.hook(receiver.ui, view, name, throw, **variables)
    finally:
        view.close()
