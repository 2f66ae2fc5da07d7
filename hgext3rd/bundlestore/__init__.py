"""keep pushes that shall not land in a bundle store, and serve them by hash

This extension makes a repository a *try server*: pushes for a test run, a
review or a backup are stored as bundles beside the repository, which they
never change, and are pulled by hash as though it held them.

A **scratch changeset** lives in a stored bundle, not in the repository. A
**push** stores some of them under a number. A **try URL** is a second address
of a repository on which every push is a scratch push.

Turn it on in your own configuration. With the second line an ``hg`` that
cannot load it, after an upgrade for instance, stops instead of letting a push
land::

  [extensions]
  bundlestore =
  bundlestore:required = yes

Pushing
=======

Push the current changeset and its draft ancestors to the bundle store of the
default path::

  hg push --bundle-store -r .

New heads and branches need no option, and everything stays draft.

If the server has a try URL, give it a name: nothing that is pushed there
lands, whichever client pushes it. Without ``pushrev``, ``hg push try`` would
send every draft, not just the current changeset and what it rests on::

  [paths]
  try = https://hg.example.org/project-try
  try:pushrev = .

A path to the repository itself can ask for its bundle store. Only this
extension reads that option, so it must be required, as above::

  [paths]
  try = https://hg.example.org/project
  try:bundle-store = yes
  try:pushrev = .

What the bundle store has already is not sent again, unless the push is
forced with ``-f``.

A push may move a **scratch bookmark**, a name in the bundle store. It needs
no local bookmark of that name if a revision is given, and moves only forward
unless forced::

  hg push -r . -B scratch/alice/parser

Without ``-r`` it goes where the local bookmark is. If there is none, a push
with ``-f`` deletes it from the bundle store, anybody's::

  hg push -f -B scratch/alice/parser

Secret changesets are left out, as ever. A push that named one says so, and
exits with 1.

A server without a bundle store refuses such a push; nothing lands in it.

Subrepositories are pushed along, as ever, each to the bundle store of its own
repository. If that has none, nothing is pushed; nor is one of git that has
something to push. Other clients do not know that, and what they push of a
subrepository may land, see :hg:`help bundlestore-server`.

What the extensions ``lfs`` and ``largefiles`` keep goes to the bundle store as
well, and comes from there, with lfs over ssh, too. ``lfs.url``, if it is set,
names another place for it.

Pushing what is not committed
=============================

The working copy can be pushed as it is, to be tested before it is committed::

  hg push --bundle-store --working-copy
  hg push try --working-copy -m "with a larger buffer"

What is stored is the changeset that :hg:`commit` would make here and now, of
all that has changed and with the same hash, on top of the current changeset,
whose draft ancestors go along as ever. Nothing here is changed by it, however
the push ends: there is no new changeset, files stay as modified, added or
removed as they were. :hg:`update` and others fetch it by its hash.

Without -m/--message or -l/--logfile it has a description that names the
current changeset. With one, there is something to push even if nothing has
changed: a changeset without files. Its date is that of the push, so what is
pushed twice has two hashes unless -d/--date is given. With ``-B
scratch/alice/parser`` the bookmark goes there.

Files that are not tracked are not sent, but named. What is missing without
having been removed with :hg:`remove` is not removed. A merge, files with
conflicts, something unfinished (such as :hg:`rebase`), subrepositories with
changes of their own, and a secret current changeset are refused; clones of the
extension ``remotefilelog`` cannot do it. Hooks of a commit (``precommit``,
``pretxncommit``, ``commit``) do not run.

A push to the bundle store that finds nothing to send says if there are changes
that are not committed. Where there are more than some 5,000 files, to look for
them would take longer than the push: there it tells who sits at a terminal
that they would need this option.

Pulling
=======

What was stored is pulled by its hash, by a prefix of at least six digits of
it that is not ambiguous, or by its scratch bookmark. Clients without this
extension can do so, too::

  hg pull -r 1f0dee641bb7
  hg pull -r scratch/alice/parser
  hg clone -r 1f0dee641bb7 https://hg.example.org/project

Scratch bookmarks do not come along with a pull, and are in no list of
bookmarks. With this extension ``hg pull -B scratch/alice/parser`` makes a
local one of that name, and ``hg clone -u`` fetches what it names. (Without
it ``clone -u`` goes to the default branch without a word, if what it names is
in the bundle store.)

With this extension any command that takes revisions fetches what it does not
know from the default path by itself::

  hg update 1f0dee641bb7
  hg log -r '::1f0dee641bb7 and draft()'

It says whom it asks for what, and if that was in vain, why. It asks for what
looks like a hash, of digits alone only if there are twelve or more, and for
scratch bookmarks, where they stand for revisions: not for what other arguments
of functions in :hg:`help revisions` are, such as words to search for. A server
that turns out to have no bundle store is not asked again for a day, unless
:hg:`push`, :hg:`pull` or :hg:`pushes` finds that it has one.

Landing
=======

What was fetched from a bundle store is a draft like any other. Lest it land by
mistake, a push to a repository proper (not to a try URL) that names nothing,
with ``-r``, ``-B`` or ``--branch``, is refused if such changesets would be part
of it. Name what shall land, or use ``-f``::

  hg push -r 1f0dee641bb7

The revset ``fromstore()`` is those changesets, as long as they are here and not
public, and so is the template keyword ``fromstore``, with which :hg:`log` can
show them::

  [command-templates]
  log = {rev}:{node|short}{if(fromstore, " (fetched)")} {desc|firstline}\\n

What you make of one (by :hg:`commit --amend` or :hg:`rebase`, say) is your own
changeset. One that was here before is not from the store, whoever stored it,
nor is what came in a file, or from a repository without a bundle store.

Listing
=======

:hg:`pushes` lists what was pushed to the bundle store of the default path, or
of another one: by whom, when, and the hashes to pull::

  hg pushes
  hg pushes --user alice --limit 5 try

Scratch bookmarks are listed by::

  hg pushes --bookmarks "scratch/alice/*"

A push of yours that nobody needs any more can be removed by its number::

  hg pushes --remove 12

Where machines build pushes and tell how that went, it can be waited for. A try
run is then::

  hg push --bundle-store --working-copy && hg pushes --wait

It returns 0 if all went well. Without a number it waits for the last push to
the default path, or to the one that is named, that was made from this working
copy; another one is named before or after the option::

  hg pushes --wait try
  hg pushes --wait 12

What this clone knows of pushes is shown by :hg:`log`, which asks no server:
those that were made from here and, as soon as :hg:`pushes` has shown them,
those that hold a changeset which is here. The template keywords ``pushid``,
``pushstatus`` and ``pushurl`` are about the newest push of a changeset,
``pushes`` is a list of all; ``pushstatus`` is what :hg:`pushes` saw last. The
revset is ``pushed()``, or ``pushed(failure)`` for those that went so::

  hg log -r "pushed(failure)" -T "{node|short} push {pushid} {pushurl}\\n"
  hg log -r . -T "{pushes % '{push} {date|age} {source}\\n'}"

All changesets of a push go as it went. The page of ``pushurl`` is the server's
``changeset-url``, for the last head, or its own where it was reached by http.

Workspaces
==========

A workspace is a named set of heads and bookmarks on the server, to go on with
on another machine, or for others to look at. It is pushed to as a bundle store
is, and nothing lands::

  hg push --workspace parser
  hg push --workspace parser -r .

Then it holds what was pushed, beside what was there and is not obsolete. On
another machine, all of it comes with its bookmarks, as drafts::

  hg pull --workspace parser

What was pushed from there meanwhile is not lost: a push is refused if the
workspace has something that is not here. With ``-f`` it replaces what is
there, and earlier versions can be pulled all the same::

  hg workspace --log parser
  hg pull --workspace parser@3

A path can have a workspace of its own, so that ``hg push mine`` and ``hg pull
mine`` do::

  [paths]
  mine = https://hg.example.org/project
  mine:workspace = parser

``hg incoming mine``, or ``--workspace``, shows what that pull would bring. ``hg
clone mine`` brings it beside all that the repository has.

Everybody who may pull from the server can look at a workspace, and list those
of a user. Who owns one can let another user push to it::

  hg workspace --user alice
  hg pull --workspace alice/parser
  hg workspace --share bob:write parser

A private workspace is seen by nobody else::

  hg workspace --private plan
  hg push --workspace plan
  hg workspace --share bob plan
  hg workspace --share bob:write plan

Others do not see that there is one, nor anything of what is pushed to it, over
ssh, http, on pages and by a try URL, be it that they know the whole hash: to
them it is not there. ``--share USER`` lets a user look, ``--share USER:write``
push as well, and ``--unshare`` ends that; what that user has pulled stays with
that user. A workspace is private from the beginning or never. Pushes to it are
in no list of pushes, feed or search, their pushers' own included, and no web
hook is told of them. What is pushed elsewhere besides, or lands, is seen there.

These things are not secret: that there were pushes, as numbers of pushes are
left out, and how much the store holds; what lfs and largefiles keep outside of
changesets, to who knows the hash of the very content; subrepositories, which go
to the bundle stores of their own repositories; of what others may see, the hash
of what it was made of, by an amend say, as markers of obsolescence tell it, and
that something rests on it, as it is there still when its push was removed;
anything, to who can read the files of the server, runs it, or is told by its
hooks and its log. Over ssh, all who share an account of the server are one
user. Over http a server knows who reads only where reading takes a password,
such as with ``web.allow_read``; where it does not, the owner gets by hash no
more than others do.

Pushes that name nothing, to whatever repository, ``--working-copy`` and backups
show nothing of a private workspace by mistake, in a clone that has pushed to it
or pulled something of it, be it by hash. Those refuse, and backups keep it in
private, with what rests on it and what was made of it, by an amend or a rebase.
Clones of that clone do not know, nor do clients without this extension, and
what was backed up before it was pushed there was for all to see.

Backup
======

All drafts of a clone are kept on the server, with bookmarks, by::

  hg backup

It sends what is not there yet, and says so in a line. What has become public,
or obsolete, leaves the backup. Secret changesets are sent with ``--secret``
only, to a backup beside it that is private, as is what is in a private
workspace. Others can look at the rest as they can at any push. With
``auto-backup`` it is done in the background after each command that makes or
changes drafts; where the server cannot be reached it is tried again later, and
what happened is in ``.hg/bundlestore-backup.log``::

  [bundlestore]
  auto-backup = yes

:hg:`summary` says how many drafts are not in the backup, as does :hg:`backup
--status`; the revsets are ``backedup()`` and ``notbackedup()``, and the
template keyword ``backedup``. When the machine is lost, a fresh clone becomes
what that one was, with the working copy on the same changeset, and secret what
was secret::

  hg clone https://hg.example.org/project
  cd project
  hg backup --restore

If several clones were backed up it lists them, and ``--from HOST:PATH`` says
which one is meant.

Each clone has a backup of its own. One that is made anew where the lost one
was, or that has machine and path in common with others, as in containers,
changes nothing in theirs; what was moved, or is called another host now, begins
a new one. A restore at the place of the lost clone, before anything else is
backed up there, carries on with that backup; any other stays as it is until it
is dropped::

  hg workspace --verbose
  hg workspace --drop backup/laptop/1f3870be274f6c49

Configuration
=============

``bundlestore.auto-backup``
  Whether drafts are backed up in the background after each transaction that
  made or changed any. (default: no)

``bundlestore.autopull``
  Whether commands fetch an unknown hash or scratch bookmark that they are
  given from the default path. (default: yes)

``bundlestore.autopull-timeout``
  How many seconds a command waits for the answer of a server that it asks for
  what it does not know; 0 for ever. Typing a password for ssh counts, pulling
  what was asked for does not. (default: 10)

``bundlestore.bookmark-pattern``
  Which bookmarks are scratch bookmarks, as in :hg:`help
  revisions.patterns`; clients and server should agree.
  (default: ``re:^scratch/``)

See :hg:`help bundlestore-server` for setting up a server.
"""

from __future__ import annotations

import importlib.util

from mercurial import exthelper

from . import metadata

__version__ = metadata.__version__
testedwith = metadata.testedwith
minimumhgversion = metadata.minimumhgversion

eh = exthelper.exthelper()


def _checkinstallation() -> None:
    """Raise ``ImportError`` if a package is missing that the rooms import
    only when a push comes."""
    try:
        found = importlib.util.find_spec('zope.interface')
    except ImportError:
        found = None  # there is no package "zope" at all
    if found is None:
        raise ImportError(
            'it needs the Python package zope.interface, which is not '
            'installed; install hg-bundlestore again'
        )


_checkinstallation()

try:
    from . import admin, config
    from .client import commands
    from .start import wraps

    eh.merge(config.eh)
    eh.merge(admin.eh)
    eh.merge(commands.eh)
    # All other rooms are in the table of this one, and wait to be called.
    eh.merge(wraps.eh)
except AttributeError as exc:
    # This module is imported lazily, by the first look for one of its names.
    # Mercurial takes an AttributeError then for a missing name, would go on
    # with half an extension, and pushes would land.
    raise ImportError(f'cannot load the bundlestore extension: {exc}') from exc

uisetup = eh.finaluisetup
extsetup = eh.finalextsetup
reposetup = eh.finalreposetup
uipopulate = eh.finaluipopulate
cmdtable = eh.cmdtable
configtable = eh.configtable
