"""Which functions of Mercurial are wrapped, by which room, and from when on.

This is the one list of them; in the rooms, ``wraps.inplaceof`` marks them. Each
entry names a function below ``mercurial`` and the room's function that takes
its place, which gets the original as its first argument.

To wrap a function means to load its module. Only commands are therefore
wrapped when a process starts, the others when they can first matter:

* ``REPOSITORY``: when the process opens its first repository. No push and no
  pull comes before. Last of all, the stream parameter that asks for the
  bundle store becomes known: by then ``exchange.unbundle`` is wrapped, and
  nothing that asks for the store can get past it.
* ``STORE``: when it opens the first repository with a bundle store, before
  anybody can use that.
* ``PEER``: when such a repository is opened by its path, as another's peer, or
  ``hg incoming`` looks into a workspace.
* ``ASKING``: when a command asks a server for what it does not know.
* ``TOGETHER``: when a command pulls or clones what it names.
* ``SSH``: when any of these, or a push, is about to connect over ssh.
* ``PULL``: when a pull over a wire begins.
* ``PUSH``: when ``hg push`` is called.
* ``SUBREPOS``: when a subrepository is opened, or updated by its outer one.
"""

from __future__ import annotations

from .. import compat, names

COMMANDS = {
    b'push': 'client.push.push',
    b'pull': 'client.named.pull',
    b'clone': 'client.named.clone',
    b'incoming': 'client.named.incoming',
    b'serve': 'start.warm.serve',
    b'help': 'start.manual.help',
}

#: those that not each process has: Mercurial 7.2 loads them where there is a
#: command line, and not in a web server
DEBUGCOMMANDS = {
    b'debugupgraderepo': 'tryurl.upgrade',
    b'debugrevspec': 'client.fromstore.debugrevspec',
}

REPOSITORY = {
    'exchange.pull': 'client.named.exchangepull',
    'exchange.push': 'client.push.exchangepush',
    'exchange._processcompared': 'client.push.processcompared',
    'exchange._pushdiscovery': 'client.push.pushdiscovery',
    'exchange._pullbundle2extraprepare': 'client.fromstore.prepare',
    'utils.urlutil.get_push_paths': 'client.push.getpushpaths',
    'scmutil.revrange': 'client.pull.revrange',
    'subrepoutil.submerge': 'client.subrepos.submerge',
    'exchange.unbundle': 'push.receive.unbundle',
}

STORE = {
    'exchange.getbundlechunks': 'fetch.getbundle.getbundlechunks',
    'exchange.check_heads': 'fetch.handshake.checkheads',
    'repoview.pinnedrevs': 'bundle.overlay.pinnedrevs',
    'wireprotov1server._capabilities': 'fetch.handshake.capabilities',
    'wireprotov1server.getdispatchrepo': 'fetch.handshake.getdispatchrepo',
    'wireprotov1server.find_pullbundle': 'fetch.getbundle.findpullbundle',
    compat.REPOCAPS: 'fetch.handshake.getrepocaps',
}

PEER = {
    'scmutil.revsingle': 'fetch.bypath.revsingle',
    'bundlerepo.getremotechanges': 'fetch.bypath.getremotechanges',
}

#: where a pull makes do with what was asked before
GROUND = {
    'setdiscovery.findcommonheads': 'client.ground.findcommonheads',
}

ASKING = {
    'sshpeer._makeconnection': 'client.asking.makeconnection',
    'url.opener': 'client.asking.opener',
    **GROUND,
}

TOGETHER = {
    'wireprotov1peer.peerexecutor.sendcommands': 'client.together.sendcommands',
    **GROUND,
}

SSH = {
    'sshpeer.sshv1peer._call': 'client.sshtrips.call',
    'sshpeer.sshv1peer._submitbatch': 'client.sshtrips.submitbatch',
    'sshpeer.sshv1peer._sendrequest': 'client.sshtrips.sendrequest',
}

PULL = {
    'util.bufferedinputpipe.read': 'client.largereads.read',
}

PUSH = {
    'subrepoutil.state': 'client.subrepos.state',
}

#: commands of the wire protocol that are wrapped, from ``STORE`` on
WIRE = {
    b'heads': 'fetch.handshake.heads',
    b'unbundle': 'push.pace.unbundle',
}

#: commands of the wire protocol that other extensions bring, where they are
#: there; asked for each repository, as not all may have those extensions
OTHERS = {
    b'evoext_obshashrange_v1': 'fetch.neighbours.obshashrange',
    b'_exttopics_heads': 'fetch.handshake.heads',
    b'tns_heads': 'fetch.handshake.heads',
    b'putlfile': 'blobs.largefiles.putlfile',
}

#: what Mercurial loads when there is a subrepository
SUBREPOS = {
    'subrepo.hgsubrepo._get': 'client.subrepos.get',
    'subrepo.hgsubrepo._cachestorehash': 'client.subrepos.cachestorehash',
    'subrepo.gitsubrepo.push': 'client.subrepos.pushgit',
}

#: functions of extensions that come with Mercurial, from when these are loaded
NEIGHBOURS = {
    'lfs': {
        'blobstore.local': 'blobs.lfs.local',
        'blobstore.remote': 'client.blobs.remote',
        'wireprotolfsserver._batchresponseobjects': 'blobs.lfs.batch',
        'wireprotolfsserver._processbasictransfer': 'blobs.lfs.transfer',
    },
    'largefiles': {
        'lfutil.findfile': 'blobs.largefiles.findfile',
        'localstore.localstore.put': 'blobs.largefiles.put',
        'localstore.localstore.exists': 'blobs.largefiles.exists',
    },
}

#: template keywords of ours, and what their help says
KEYWORDS = {
    b'fromstore': (
        'client.fromstore.keyword',
        'String. "fromstore" if the changeset came from a bundle store and is'
        ' not public, else empty.',
    ),
    b'backedup': (
        'client.backedup.keyword',
        'String. "backedup" if the changeset is a draft in the last backup'
        ' that is known here, else empty.',
    ),
    b'pushes': (
        'client.inlog.pushes',
        'List of the pushes of the changeset to bundle stores that are known'
        ' here, the newest first, each with ``push`` (its number), ``date``,'
        ' ``source``, ``status`` and ``url``.',
    ),
    b'pushid': (
        'client.inlog.pushid',
        'Integer. The number of the newest push of the changeset to a bundle'
        ' store that is known here. No server is asked.',
    ),
    b'pushstatus': (
        'client.inlog.pushstatus',
        'String. How that push went when it was last seen ("success",'
        ' "pending", "error" or "failure"); empty if nothing was known.',
    ),
    b'pushurl': (
        'client.inlog.pushurl',
        'String. The address of a page that tells of that push; empty if none'
        ' is known.',
    ),
}

#: predicates of revsets that are ours, whether searches of the web may use
#: them, and what their help says
REVSETS = {
    b'fromstore()': (
        'client.fromstore.fromstore',
        True,
        'Draft and secret changesets that came from a bundle store.',
    ),
    b'backedup()': (
        'client.backedup.backedup',
        False,
        'Drafts that are in the last backup, as far as is known here.',
    ),
    b'notbackedup()': (
        'client.backedup.notbackedup',
        False,
        'Drafts that are in no backup, as far as is known here.',
    ),
    b'pushed([status])': (
        'client.inlog.pushed',
        # it tells where somebody pushes to
        False,
        'Changesets that were pushed to a bundle store, as far as is known'
        ' here: no server is asked. With a status, those whose newest push'
        ' went so when it was last seen: "success", "pending", "error" or'
        ' "failure".',
    ),
}

#: commands of the wire protocol that are ours, from ``STORE`` on and when a
#: client is about to send one
WIRECOMMANDS = {
    names.PUSHES: 'fetch.pushlist.serve',
    names.KNOWN: 'push.known.serve',
    names.REMOVE: 'keep.removal.serve',
    names.PUTBLOB: 'blobs.upload.serve',
    names.LFS: 'blobs.lfs.serve',
    names.VIEWS: 'views.answer.serve',
    names.VIEW: 'views.change.serve',
}

#: those of them that change something
PUSHING = (names.REMOVE, names.PUTBLOB, names.VIEW)
