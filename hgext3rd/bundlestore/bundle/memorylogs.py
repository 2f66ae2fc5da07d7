"""Revlogs that keep in memory what is added to them, see ``memory.py``."""

from __future__ import annotations

import os

from mercurial import bundlerepo, error, mdiff, revlog, revlogutils
from mercurial.i18n import _
from mercurial.node import nullrev

from . import instances


class Revlog(bundlerepo.bundlerevlog):
    """A revlog that what is added to is in memory."""

    def addrevision(self, *args, **kwargs):
        return revlog.revlog.addrevision(self, *args, **kwargs)

    def addrawrevision(
        self,
        rawtext,
        transaction,
        link,
        p1,
        p2,
        node,
        flags,
        cachedelta=None,
        deltacomputer=None,
        sidedata=None,
    ):
        base = self.rev(p1)
        if flags or (base != nullrev and self.flags(base)):
            # whose text may be another one, or none
            base = nullrev
        delta = mdiff.textdiff(self.rawdata(base), rawtext)
        self.bundle.seek(0, os.SEEK_END)
        entry = revlogutils.entry(
            flags=flags,
            data_offset=self.bundle.tell(),
            data_compressed_length=len(delta),
            data_uncompressed_length=len(rawtext),
            data_delta_base=base,
            link_rev=link,
            parent_rev_1=self.rev(p1),
            parent_rev_2=self.rev(p2),
            node_id=node,
        )
        self.bundle.write(delta)
        rev = len(self)
        self.index.append(entry)
        self.bundlerevs.add(rev)
        return rev

    def deltaparent(self, rev):
        # in old formats it would be the revision before
        if rev > self.repotiprev:
            return self.index[rev][3]
        return super().deltaparent(rev)


class Changelog(Revlog):
    def delayupdate(self, tr):
        pass


def keep(log, kind: type, spool) -> None:
    """Have a revlog keep in ``spool`` what is added to it."""
    tip = len(log) - 1
    instances.mixin(kind, log)
    log.bundle = spool
    log.repotiprev = tip
    log.bundlerevs = set()


def keepmanifest(store, spool) -> None:
    """Do as :func:`keep` for manifests, be there one for each folder."""
    # some have been read to see what has changed
    for log in list(store._dirlogcache.values()):
        _keepdirlog(log, spool)


def _keepdirlog(store, spool) -> None:
    keep(revlogof(store), Revlog, spool)
    original = store.dirlog

    def dirlog(folder: bytes):
        isnew = folder not in store._dirlogcache
        found = original(folder)
        if isnew:
            _keepdirlog(found, spool)
        return found

    store.dirlog = dirlog


def revlogof(store):
    """Return the revlog of what has a manifest or a file; aborts if it has
    none."""
    found = getattr(store, '_revlog', None)
    if not isinstance(found, revlog.revlog):
        raise unfitted()
    return found


def unfitted() -> error.Abort:
    """Return what to raise for a repository of another kind: no server is one,
    as it would have no bundle store."""
    return error.Abort(
        _(b'this kind of repository cannot push its working copy'),
        hint=_(b'commit, and push the changeset'),
    )
