"""``hg pushes``, and what is new of ``hg push``."""

from __future__ import annotations

from mercurial import (
    cmdutil,
    exthelper,
    registrar,
)
from mercurial.i18n import _

from ..start import wraps

eh = exthelper.exthelper()

#: what the extension adds to the help of ``hg push``
PUSH = """
    With --bundle-store, or -B and a scratch bookmark (``scratch/NAME``), the
    changesets are stored beside the repository, and nothing lands in it. The
    bookmark goes where -r says, or else where the local one is. If there is
    neither, ``hg push --force -B scratch/NAME`` deletes it from the bundle
    store, and without --force nothing is done.

    Changesets that were fetched from a bundle store do not land by a push
    that names nothing: name them with -r, or use -f/--force.

    With --working-copy, what is not committed goes to the bundle store, too,
    as the changeset that :hg:`commit` would make of it, while nothing here is
    changed. Its description, date and user are those of -m/--message or
    -l/--logfile, -d/--date and -u/--user.

    With --workspace, the workspace of that name on the server then holds what
    was pushed: NAME is one of mine, and USER/NAME one that somebody shares
    with me. What was there before stays, but for what is obsolete here or
    below what is pushed; with --force nothing stays. If there is something in
    it that is not here, the push is refused.

    See :hg:`help -e bundlestore`.
    """

#: and to its options
PUSHOPTIONS = [
    (
        b'',
        b'bundle-store',
        None,
        _(b'push to the bundle store: nothing lands in the repository'),
    ),
    (
        b'',
        b'working-copy',
        None,
        _(b'push what is not committed to the bundle store'),
    ),
    (
        b'm',
        b'message',
        b'',
        _(b'describe the working copy by text'),
        _(b'TEXT'),
    ),
    (
        b'l',
        b'logfile',
        b'',
        _(b'read this description from file'),
        _(b'FILE'),
    ),
    (b'd', b'date', b'', _(b'date of the working copy'), _(b'DATE')),
    (b'u', b'user', b'', _(b'user of the working copy'), _(b'USER')),
    (
        b'',
        b'workspace',
        b'',
        _(b'push to the bundle store, and to this workspace'),
        _(b'[USER/]NAME'),
    ),
]

#: the same of ``hg pull``
PULL = """
    With --workspace, what a workspace in the bundle store of SOURCE holds is
    pulled, with its bookmarks: NAME is one of mine, USER/NAME one of another
    user, NAME@3 the third version of it.
    """
PULLOPTIONS = [
    (
        b'',
        b'workspace',
        b'',
        _(b'pull what is in this workspace'),
        _(b'[USER/]NAME'),
    ),
]

#: the same of ``hg incoming``
INCOMING = """
    With --workspace, or where the path has the option ``workspace``, show what
    a pull of the workspace would bring.
    """
INCOMINGOPTIONS = [
    (
        b'',
        b'workspace',
        b'',
        _(b'show what is new in this workspace'),
        _(b'[USER/]NAME'),
    ),
]


@eh.command(
    b'pushes',
    [
        (b'u', b'user', b'', _(b'show only pushes of such users'), _(b'USER')),
        (
            b'r',
            b'rev',
            b'',
            _(b'show only pushes that hold this scratch changeset'),
            _(b'HASH'),
        ),
        (b'l', b'limit', b'', _(b'show at most so many'), _(b'NUM')),
        (
            b'',
            b'bookmarks',
            b'',
            _(b'show scratch bookmarks of this form instead'),
            _(b'PATTERN'),
        ),
        (b'', b'remove', b'', _(b'remove a push of mine'), _(b'PUSH')),
        (b'', b'wait', None, _(b'wait until a push has a result')),
        (
            b'',
            b'timeout',
            b'',
            _(b'with --wait: seconds to wait at most'),
            _(b'NUM'),
        ),
        *cmdutil.formatteropts,
        *cmdutil.remoteopts,
    ],
    _(
        b'[-u USER] [-r HASH] [-l NUM] [--bookmarks PATTERN] [--remove PUSH] '
        b'[--wait [PUSH]] [SOURCE]'
    ),
    helpcategory=registrar.command.CATEGORY_REMOTE_REPO_MANAGEMENT,
    optionalrepo=True,
)
def pushes(ui, repo, source=None, other=None, **opts):
    """list the pushes that a bundle store holds

    Show the scratch pushes of a server, newest first: those that
    :hg:`push --bundle-store`, or a push to a try URL, has put into its bundle
    store. Without SOURCE the server of the default path is asked, or, where
    there is no such path, the bundle store of the repository itself.

    USER is a part of the name of a user, in whatever case, as with :hg:`log
    -u`; a regular expression (``re:…``) is only taken where the store is on
    this machine, as there are some that take for ever.

    HASH is the hash of a changeset, a prefix of at least 6 digits of it, or a
    scratch bookmark. A push holds all changesets that it brought, not its
    heads only.

    With --remove the push with the number PUSH is removed, with its bundle,
    unless others rest on that, and the scratch bookmarks that it moved, unless
    they were moved since. Only who made a push can remove it, and only while
    it is not pinned.

    With --wait the statuses of a push, which machines set that build it, are
    waited for, and shown when none is pending any more. Where there is none
    yet, the first one is waited for. PUSH is a number, a changeset or a scratch
    bookmark (its newest push). Without it, it is the last push to SOURCE that
    was made from this working copy. The server is asked every 30 seconds at
    last; with --timeout the command aborts after so many seconds. It returns 0
    if all went well, 1 if not.

    At most 10 heads and 10 bookmarks of a push are shown, and with
    -v/--verbose all of them, its pushvars, its statuses one by one and the key
    of its bundle. With -q/--quiet a push
    is one line, its number and its last head.

    With --bookmarks the scratch bookmarks whose whole name matches PATTERN are
    shown, sorted by name, and which push put each where it is. In PATTERN
    ``*`` stands for any characters and ``?`` for one. With -q/--quiet names
    are all that is shown.

    .. container:: verbose

      Template:

      The following keywords are supported in addition to the common template
      keywords and functions. See also :hg:`help templates`.

      :push:      Integer. The number of the push.
      :user:      String. Who pushed; empty if the server does not know.
      :date:      Date information. When that was, in the local time zone.
      :heads:     List of the changesets without a child in the push, each
                  with ``node`` and the first line of its description,
                  ``desc``.
      :count:     Integer. The number of changesets.
      :nodes:     List of strings. The changesets, parents first. They are
                  asked for only if a template names this keyword.
      :bookmarks: List of the scratch bookmarks that the push moved, each with
                  ``bookmark`` and ``node``. The latter is empty where the
                  bookmark was deleted.
      :pushvars:  Dictionary of what :hg:`push --pushvars` sent along, by name.
      :statuses:  List of how the push went, each with ``context``, ``state``
                  (``pending``, ``success``, ``failure`` or ``error``),
                  ``url``, ``description``, ``user`` and ``date``.
      :landings:  List of the changesets that landed in the repository, each
                  with ``node``, its hash there (``landed``), and ``user`` and
                  ``date`` of :hg:`admin::bundlestore-land`, if it was that.
      :bundle:    String. The key of the bundle.
      :size:      Integer. The bytes of the bundle.

      With --bookmarks the keywords are ``bookmark``, ``node``, ``push``, which
      is empty where the bookmark was moved without a push, ``user`` and
      ``date``.

      Examples:

      - list the scratch bookmarks of alice::

          hg pushes --bookmarks "scratch/alice/*"

      - show what you pushed last::

          hg pushes -u alice -l 1

      - find out who pushed a changeset, and when::

          hg pushes -r 1f0dee641bb7 -T "{date|isodate} {user}\\n"

      - push what is not committed, and see whether all went well::

          hg push --bundle-store --working-copy && hg pushes --wait

      - list the heads of all pushes to a try URL::

          hg pushes -T "{heads % '{push} {node} {desc}\\n'}" try

    Returns 0 if there is something to show, a push was removed, or all went
    well that was waited for, 1 otherwise.
    """
    words = [word for word in (source, other) if word is not None]
    return wraps.room('client.pushes.show')(ui, repo, words, opts)


@eh.command(
    b'backup',
    [
        (b'r', b'rev', [], _(b'back up what is below this'), _(b'REV')),
        (b'', b'secret', None, _(b'back up secret changesets, in private')),
        (b'', b'status', None, _(b'show what is not backed up')),
        (b'', b'restore', None, _(b'have what was backed up here')),
        (
            b'',
            b'from',
            b'',
            _(b'with --restore: the backup of this machine, and clone'),
            _(b'HOST[:PATH]'),
        ),
        (
            b'',
            b'auto',
            None,
            _(b'do so on behalf of bundlestore.auto-backup (ADVANCED)'),
        ),
        *cmdutil.formatteropts,
        *cmdutil.remoteopts,
    ],
    _(
        b'[-r REV]... [--secret] [--status] [--restore [--from HOST[:PATH]]]'
        b' [DEST]'
    ),
    helpcategory=registrar.command.CATEGORY_REMOTE_REPO_MANAGEMENT,
)
def backup(ui, repo, dest=None, **opts):
    """keep all drafts in the bundle store of a server

    What is draft here is sent to the bundle store of DEST, or of the default
    path, as far as it is not there yet, and kept there as the backup of this
    clone, with its bookmarks. What is not draft here any more leaves the
    backup. With -r/--rev only the ancestors of REV are sent, and nothing leaves
    the backup.

    Secret changesets are sent with --secret only. They go to a backup beside
    that one, which is private: nobody else sees them, be it that they know a
    hash.

    With --status, it is shown how many drafts have not been backed up, as far
    as is known here. The revsets ``backedup()`` and ``notbackedup()`` are
    those that are, and those that are not.

    With --restore, what was backed up is pulled into this clone, best a fresh
    one: all heads are draft, or secret, again, bookmarks are where they were,
    the working
    copy is updated to the changeset that it had, unless it has changes, and
    the bookmark and the topic that were active are. If there are backups of
    several clones of mine, they are listed, and --from says which one. Each
    clone has a backup of its own: no other one takes anything from it, whatever
    it is called and wherever it is. A clone at the place of a lost one carries
    on with the backup of that if it is restored first.

    With ``bundlestore.auto-backup`` this is done in the background after each
    command that makes or changes drafts. Where that fails it is tried again
    with the next command, at first after a minute, after an hour at most;
    --status says so, and ``.hg/bundlestore-backup.log`` why.

    Returns 0 if all is backed up; with --status 1 if something is not.
    """
    return wraps.room('client.backup.run')(ui, repo, dest, opts)


@eh.command(
    b'workspace',
    [
        (b'u', b'user', b'', _(b'show those of a user'), _(b'USER')),
        (b'a', b'all', None, _(b'show those of all users')),
        (b'', b'log', None, _(b'show the versions of a workspace')),
        (b'l', b'limit', b'', _(b'show at most so many'), _(b'NUM')),
        (
            b'',
            b'share',
            b'',
            _(b'let a user push to a workspace of mine, or look at it'),
            _(b'USER[:write]'),
        ),
        (b'', b'unshare', b'', _(b'do so no more'), _(b'USER')),
        (b'', b'rename', b'', _(b'give it another name'), _(b'NAME')),
        (b'', b'private', None, _(b'make one that others do not see')),
        (b'', b'drop', None, _(b'remove it')),
        (b'', b'restore', None, _(b'have one back that was removed')),
        (b's', b'source', b'', _(b'ask this server'), _(b'SOURCE')),
        *cmdutil.formatteropts,
        *cmdutil.remoteopts,
    ],
    _(b'[-u USER] [OPTION]... [[USER/]NAME]'),
    helpcategory=registrar.command.CATEGORY_REMOTE_REPO_MANAGEMENT,
    optionalrepo=True,
)
def workspace(ui, repo, name=None, **opts):
    """list workspaces, and manage them

    A workspace is a named set of heads and bookmarks in the bundle store of a
    server. :hg:`push --workspace NAME` puts what is pushed there, and
    :hg:`pull --workspace NAME` brings all of it, on whichever machine. It
    belongs to who made it; all who may pull from the server can look at it,
    unless it is private.

    Without a name, my workspaces are listed, or those of another user; with
    -v/--verbose the backups of clones are, too (see :hg:`help backup`). With
    one, its heads and bookmarks are shown. Each change gives it the next
    version: --log lists these, newest first, and :hg:`pull --workspace
    NAME@VERSION` brings an earlier one.

    With --share USER:write, that user can push to it, too. One that was
    dropped can be had back, by its owner with --restore, until the server
    cleans up. What it holds is in the bundle store in any case, as long as the
    pushes are kept that brought it.

    With --private, a new workspace is made that is private: others see
    neither it nor what is pushed to it, be it that they know a hash, unless
    --share USER lets them look. It stays private, and no other becomes it. See
    :hg:`help bundlestore` for what that means.

    The server of the default path is asked, or that of -s/--source.

    .. container:: verbose

      Template:

      The following keywords are supported in addition to the common template
      keywords and functions. See also :hg:`help templates`.

      :owner:     String. Whose workspace it is.
      :name:      String. What it is called.
      :version:   Integer. How often it was changed.
      :date:      Date information. When it was changed last.
      :user:      String. Who changed it last.
      :machine:   String. On which machine.
      :writers:   List of strings. Who else may push to it.
      :private:   Boolean. Whether others see it.
      :readers:   List of strings. Of one that is private: who else may look.
      :dropped:   Boolean. Whether it was dropped.
      :heads:     Integer. How many heads it has; with NAME, list of strings,
                  these heads.
      :bookmarks: Integer. How many bookmarks it has; with NAME, list of these,
                  each with ``bookmark`` and ``node``.

      With --log there are ``added`` and ``removed`` instead of ``heads``, and
      ``bookmarks`` is a list of those that were moved, each with ``bookmark``,
      ``old`` and ``node``.

      Examples:

      - go on with what you did on another machine::

          hg pull --workspace parser

      - have a look at what somebody else is doing::

          hg workspace --user alice
          hg pull --workspace alice/parser

    Returns 0 if there is something to show, or all went well.
    """
    return wraps.room('client.workspaces.show')(ui, repo, name, opts)
