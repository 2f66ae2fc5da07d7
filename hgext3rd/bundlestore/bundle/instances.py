"""Further instances of a repository that this process has open."""

from __future__ import annotations

from mercurial import extensions


def mixin(first: type, target) -> None:
    """Have ``target`` ask the class ``first`` before its own."""
    target.__class__ = type(first.__name__, (first, target.__class__), {})


def setupextensions(instance, leftout: tuple[bytes, ...] = ()) -> None:
    """Let the other extensions of the repository prepare an instance, as
    ``hg.repository`` does: lfs, for one, must. Those named in ``leftout`` do
    not."""
    for name, module in extensions.extensions(instance.ui):
        if name in leftout:
            continue
        if name == b'remotefilelog' and instance.ui.configbool(name, b'server'):
            # It wraps a function of Mercurial for each repository that it
            # prepares, once more each time, as long as the process lives.
            continue
        hook = getattr(module, 'reposetup', None)
        if hook:
            hook(instance.ui, instance)


def loglike(ui, baseui) -> None:
    """Let an instance log where its base does. blackbox keeps the repository
    that logged last for what is logged without one, and would ask an overlay
    that is closed."""
    logger = baseui.getlogger(b'blackbox')
    if logger is not None:
        ui.setlogger(b'blackbox', logger)
