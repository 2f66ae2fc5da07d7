"""Words of the wire that are needed before the rooms that they belong to.

Nothing is imported here, so that the start of a process stays cheap.
"""

from __future__ import annotations

#: Mandatory stream parameter (upper case: who does not know it must abort).
#: Its value is ``1``, or the ``uid`` of the view that is private to which the
#: push goes: that of a server that knows of these.
PARAMETER = b'BUNDLESTORE'
#: capability of a repository with a bundle store, and of bundle2 there
CAPABILITY = b'bundlestore'
#: advisory stream parameter of a push with force, by a client with this
#: extension
FORCE = b'bundlestore-force'
#: advisory stream parameter of other pushes, by a client with this extension:
#: if this is a try URL, it wants the part ``STORED``, too
TELL = b'bundlestore-tell'
#: Part of a push that stands in for the changegroup where the store has the
#: very same bundle: the heads of the push, in the parameter ``KEY`` the bundle.
SAME = b'bundlestore:same'
#: advisory part of a stored bundle: the ``uid`` of the view whose users alone
#: may see it
PRIVATE = b'bundlestore:private'
#: advisory part of the reply to clients with this extension: hashes of the
#: changesets, with the parameters ``PUSH``, ``KEY`` and ``URL``
STORED = b'bundlestore:stored'
#: parameters of parts: the id of a push, the key of a bundle, whether some of
#: it is not for everybody to see, where its last head can be looked at
PUSH = b'push'
KEY = b'key'
HIDDEN = b'private'
URL = b'url'
#: advisory part of the answer to a pull, for clients that know it: hashes of
#: changesets that come from the store
FROMSTORE = b'bundlestore:fromstore'
#: what a client that knows it adds to the capability of bundle2
TELLORIGIN = b'fromstore'
#: capability of a try URL: no push lands there
ALLSTORED = b'bundlestoretry'
#: the versions of a changegroup that can be stored
CHANGEGROUPS = (b'01', b'02', b'03')
#: wire command that lists pushes
PUSHES = b'bundlestorepushes'
#: wire command that tells what need not be pushed, and its capability
KNOWN = b'bundlestoreknown'
#: value of that capability: a question about a whole push, with the parents
#: of each changeset, has all in its answer that there is to know
ATONCE = b'parents'
#: wire command that removes a push, and its capability
REMOVE = b'bundlestoreremove'
#: wire command that takes what lfs and largefiles keep outside of changesets,
#: and its capability
PUTBLOB = b'bundlestoreputblob'
#: wire command that tells and gives what there is of lfs; it comes with that
LFS = b'bundlestorelfs'
#: wire command that tells of views, and the capability of servers that keep
#: any
VIEWS = b'bundlestoreviews'
#: wire command that changes one; it comes with that
VIEW = b'bundlestoreview'
#: in the store of a clone: what of it is in a private workspace
PRIVATEFILE = b'bundlestore-private-1'
#: what a repository with a bundle store tells of itself
CAPABILITIES = (CAPABILITY, KNOWN + b'=' + ATONCE, REMOVE, PUTBLOB, VIEWS)
#: Entry in the ``requires`` of a try URL. Only this extension knows it, so no
#: other Mercurial opens one, and with it every push is a scratch push.
TRYURL = b'bundlestore-tryurl'
#: shortest prefix of a hash that is looked up in the index
MIN_PREFIX = 6
#: requirement of a clone of the extension remotefilelog, which lacks revlogs
#: of files
SHALLOW = b'exp-remotefilelog-repo-req-1'
