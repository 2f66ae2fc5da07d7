"""Commands for those who run a bundle store: ``hg admin::bundlestore-…``."""

from __future__ import annotations

from mercurial import cmdutil, exthelper, registrar
from mercurial.i18n import _

from .start import wraps

eh = exthelper.exthelper()


@eh.command(
    b'admin::bundlestore-init',
    [
        (
            b'',
            b'url',
            b'',
            _(b'tell clients without the extension to push there'),
            _(b'ADDRESS'),
        ),
    ],
    _(b'[--url ADDRESS] BASE TRY'),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
    norepo=True,
)
def init(ui, base, try_, **opts):
    """make a try URL for a repository, or mend one

    Makes TRY, a share without a working copy of the repository BASE, and its
    configuration: every push to TRY goes to the bundle store of BASE, from
    any client, with new heads and branches as they come. TRY works only
    where this extension is on, as an entry in its ``requires`` says; any
    other ``hg`` refuses to open it.

    TRY gets the group and mode of BASE, and its owner if the command is run
    as root; it warns of what it may not give.

    With --url, the address at which clients find TRY is written into the hgrc
    of BASE, as ``bundlestore.try-url``: clients without the extension are
    told to push there instead. Apart from that, BASE is not changed. For
    pushes with :hg:`push --bundle-store` to BASE, and for pulls from it, turn
    the bundle store on in its hgrc too, see :hg:`help bundlestore-server`.

    If TRY is a try URL of BASE already, it gets what it lacks, as an older
    release may have made it.

    Returns 0 on success.
    """
    wraps.room('tryurl.init')(ui, base, try_, opts['url'])


@eh.command(
    b'admin::bundlestore-gc',
    [
        (
            b'n',
            b'dry-run',
            None,
            _(b'list what would be removed, and remove nothing'),
        ),
        (
            b'',
            b'older-than',
            b'',
            _(b'remove pushes of that age (default: bundlestore.retention)'),
            _(b'TIME'),
        ),
        (
            b'',
            b'grace',
            b'1 day',
            _(b'leave orphans alone that are younger'),
            _(b'TIME'),
        ),
        (
            b'',
            b'forget-lost',
            None,
            _(b'give up pushes whose bundles are missing'),
        ),
        *cmdutil.formatteropts,
    ],
    b'',
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def gc(ui, repo, **opts):
    """remove what a bundle store need not keep

    Remove, in this order:

    - workspaces and backups of clones, called views here, that were dropped,
      or that nobody has changed for ``bundlestore.workspace-retention``, and
      what others were before that;
    - pushes older than ``bundlestore.retention``, or than the TIME of
      --older-than, such as ``90 days`` (also seconds, minutes, hours, weeks,
      months of 30 days, and years);
    - where a user holds more than ``bundlestore.quota``, the oldest pushes of
      that user, until what is left is within it;
    - scratch bookmarks that point to a changeset which is gone, unless they
      were moved there within a day, or what --grace says;
    - bundles that no push has: a push that was interrupted leaves such an
      orphan behind, and unfinished files. They are removed when they are as
      old as that.

    A pinned push stays, see :hg:`help admin::bundlestore-pin`, and so does one
    with a head or a bookmark of a view, as long as the view does, and a
    bundle that others rest on, until the last of these is gone. The scratch
    bookmarks that a push moved go with it, unless they were moved since.

    This may be run at any time, while clients push and pull, and more than
    once at a time. If it is interrupted, the next run ends what it began.

    Pushes that the index lost are not touched, nor are their bundles: run
    :hg:`admin::bundlestore-verify --repair` to bring them back. What cannot be
    brought back, as a bundle is missing, is given up with --forget-lost.

    With -v/--verbose or -n/--dry-run each thing is listed.

    .. container:: verbose

      Template:

      One item for each thing that is removed (with -n/--dry-run: would be),
      with these keywords:

      :kind:   String. ``push``, ``bundle``, ``bookmark``, ``note``,
               ``stray``, ``view`` or ``version`` (what a view was earlier).
      :reason: String. ``age``, ``quota``, ``unfinished`` (an earlier run was
               interrupted), ``lost``, ``unseen`` (its private workspace is
               gone) or ``dangling``; of a bundle ``removed``
               (with its last push) or ``orphan``; of a note and a stray
               ``leftover``; of the note of a bookmark ``superseded``; of a
               view ``dropped`` or ``age``.
      :push:   Integer. The number of the push.
      :user:   String. Who pushed.
      :date:   Date information. When.
      :bundle: String. The key of the bundle.
      :size:   Integer. The bytes of the bundle or stray.
      :name:   String. The bookmark, note, stray or view, as ``USER/NAME``; of
               what a view was earlier ``USER/NAME@VERSION``.

    Returns 0 on success, 1 if there are lost pushes.
    """
    return wraps.room('keep.commands.gc')(ui, repo, opts)


@eh.command(
    b'admin::bundlestore-remove',
    [
        (
            b'n',
            b'dry-run',
            None,
            _(b'list what would be removed, and remove nothing'),
        ),
        (b'f', b'force', None, _(b'remove pinned pushes, too')),
        *cmdutil.formatteropts,
    ],
    _(b'[-n] [-f] PUSH...'),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def remove(ui, repo, *names, **opts):
    """remove pushes from a bundle store

    PUSH is the number of a push, as :hg:`pushes` shows it, a scratch bookmark,
    or the hash, or a prefix of it of at least 6 digits, of a head of the push
    (the newest one, if there are several).

    Its bundle goes as well, unless another push has it or others rest on it,
    and the scratch bookmarks that the push moved, unless they were moved
    since. If one of the pushes is pinned, nothing is removed without
    -f/--force.

    Who made a push can remove it with :hg:`pushes --remove`.

    With -v/--verbose or -n/--dry-run each thing is listed.

    .. container:: verbose

      Template:

      The keywords are those of :hg:`admin::bundlestore-gc`. The reason of a
      push is ``asked``.

    Returns 0 on success.
    """
    return wraps.room('keep.commands.remove')(ui, repo, names, opts)


@eh.command(
    b'admin::bundlestore-verify',
    [
        (b'', b'repair', None, _(b'repair what can be repaired')),
        (b'', b'quick', None, _(b'do not read the bundles, only find them')),
        (
            b'',
            b'full',
            None,
            _(b'check every manifest and file revision, too'),
        ),
        *cmdutil.formatteropts,
    ],
    b'',
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def verify(ui, repo, **opts):
    """check every bundle and every row of the index of a bundle store

    Each bundle is read and compared with its hash, and its changesets with
    the index and with what it rests on: other bundles, or the repository.
    With --full every manifest and file revision is rebuilt as well, which
    takes as long as it takes. The index is checked in itself, and against the
    notes beside the bundles.

    What is wrong is listed. Remarks are listed, too: what an interrupted push
    left behind (see :hg:`help admin::bundlestore-gc`), notes that are missing,
    and caches of the repository that are, as pages of scratch changesets take
    longer then (:hg:`debugupdatecaches` makes them). They are no errors.

    With --repair the index is mended out of the bundles and notes. If it is
    lost or damaged, all of it is made anew: pushes with their numbers, users
    and times, bookmarks, pins, workspaces and backups of clones. Nobody should
    push meanwhile. It may be interrupted and run again. A bundle that is
    damaged or missing cannot be repaired; it comes back when somebody pushes
    the same changesets again.

    .. container:: verbose

      Template:

      One item for each thing that was found, with these keywords:

      :kind:     String. A problem is one of ``index`` (it is damaged),
                 ``missing`` (bundle), ``corrupt`` (bundle), ``row`` (the index
                 does not know what is in a bundle), ``base`` (what a bundle
                 rests on is not recorded), ``parent`` (the repository lacks
                 a changeset), ``lost`` (a push is not in the index) and
                 ``view`` (a workspace or the backup of a clone is not in the
                 index, or lags behind). A
                 remark is one of ``orphan``, ``stray``, ``leftover`` (a
                 removed push), ``unfinished`` (a push that is being removed),
                 ``note`` (it is missing or not up to date), ``bookmark``
                 (it points to nothing), ``view`` (some of its heads or
                 bookmarks are nowhere), ``cache`` (of the repository) and
                 ``blob`` (what lfs or largefiles keep is on one machine).
      :severity: String. ``problem`` or ``remark``.
      :message:  String. What is shown without a template.
      :pushes:   List of integers. The pushes concerned, at most ten.
      :bundle:   String. The key of the bundle concerned.
      :name:     String. The note, stray, bookmark, web hook or view
                 concerned.
      :repaired: Boolean. Whether it has been repaired.

    Returns 0 if there is no problem, or none is left, 1 otherwise.
    """
    return wraps.room('keep.commands.verify')(ui, repo, opts)


@eh.command(
    b'admin::bundlestore-stats',
    [
        (b'u', b'users', None, _(b'list the users and what they hold')),
        (b'', b'check', None, _(b'only tell what is wrong, for monitors')),
        (b'', b'prometheus', None, _(b'write the metrics of Prometheus')),
        *cmdutil.formatteropts,
    ],
    b'',
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def stats(ui, repo, **opts):
    """show how much a bundle store holds

    With --check tell what keeps the store from working, one line a trouble:
    an item of the configuration that means nothing, an index or a store that
    cannot be read or written, an index that lost its pushes, and a disk with
    less than 16 MB left. It is quick and changes nothing. hgweb tells the same
    at ``/bundlestore-health``, as JSON, with 200 or 503.

    With --prometheus write what is told at ``/bundlestore-metrics`` of hgweb,
    in the text format of Prometheus, for a file that its node exporter reads.
    Whether the store works is a metric, ``hg_bundlestore_up``. The label
    ``repository`` is ``web.name``, or the name of the repository's folder.

    .. container:: verbose

      Template:

      The following keywords are supported. Sizes are bytes.

      :pushes:     Integer. The number of pushes.
      :pinned:     Integer. Those that are pinned.
      :users:      Integer. Those who made them.
      :bookmarks:  Integer. The number of scratch bookmarks.
      :workspaces: Integer. The number of workspaces that were not dropped.
      :backups:    Integer. The number of backups of clones that were not
                   dropped.
      :dropped:    Integer. The number of workspaces and backups that were.
      :changesets: Integer. The number of changesets in all bundles.
      :bundles:    Integer. The number of bundles.
      :size:       Integer. Their size.
      :oldest:     Date information. When the first push was, empty if there
                   is none.
      :newest:     Date information. When the last one was.
      :indexsize:  Integer. The size of the index.
      :strays:     Integer. The number of files of pushes that are under way
                   or were interrupted.
      :straysize:  Integer. Their size.
      :owed:       Dictionary. Of how many pushes each web hook is to be told.

      With -u/--users there is one item for each user, most bytes first, with
      ``user``, ``pushes`` and ``size``. With --check there is one item for
      each trouble, with ``kind`` (``configuration``, ``index``, ``store``,
      ``lost`` or ``moving``), ``message`` and ``hint``.

    Returns 0; with --check 1 if anything is wrong.
    """
    return wraps.room('keep.commands.stats')(ui, repo, opts)


@eh.command(
    b'admin::bundlestore-pin',
    [
        (b'd', b'delete', None, _(b'unpin')),
        *cmdutil.formatteropts,
    ],
    _(b'[-d] [PUSH]...'),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def pin(ui, repo, *names, **opts):
    """keep pushes whatever their age

    PUSH is the number of a push, as :hg:`pushes` shows it, a scratch bookmark,
    or the hash, or a prefix of it of at least 6 digits, of a head of the push
    (the newest one, if there are several). Such pushes are not removed by
    :hg:`admin::bundlestore-gc`.

    Without PUSH, list the pinned pushes.

    .. container:: verbose

      Template:

      One item for each push that is pinned, unpinned or listed, with these
      keywords:

      :push:   Integer. The number of the push.
      :user:   String. Who pushed.
      :date:   Date information. When.
      :heads:  List of strings. Its heads.
      :pinned: Boolean. Whether it is pinned now.

    Returns 0 on success.
    """
    return wraps.room('keep.commands.pin')(ui, repo, names, opts)


@eh.command(
    b'admin::bundlestore-status',
    [
        (b'', b'context', b'', _(b'what was done'), _(b'NAME')),
        (b'', b'state', b'', _(b'how it went'), _(b'STATE')),
        (b'', b'url', b'', _(b'where more is told'), _(b'URL')),
        (b'', b'description', b'', _(b'a few words'), _(b'TEXT')),
        *cmdutil.formatteropts,
    ],
    _(b'PUSH [--context NAME --state STATE [--url URL] [--description TEXT]]'),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def status(ui, repo, name, **opts):
    """tell how a push went, or show it

    PUSH is as for :hg:`admin::bundlestore-pin`. STATE is ``pending``,
    ``success``, ``failure`` or ``error``. A status takes the place of an
    earlier one with the same NAME, such as ``linux/test``; a push can have 500
    of them. Over http, those named by ``bundlestore.allow-status`` can do the
    same, see :hg:`help bundlestore-server`.

    Without --context and --state, show the statuses of the push.

    .. container:: verbose

      Template:

      One item for each status that was set or is shown, with the keywords
      ``push``, ``context``, ``state``, ``url``, ``description``, ``user`` and
      ``date``.

    Returns 0 on success.
    """
    return wraps.room('keep.statuscommand.run')(ui, repo, name, opts)


@eh.command(
    b'admin::bundlestore-deliver',
    [
        (b'n', b'dry-run', None, _(b'list what is owed, and send nothing')),
        (b'', b'now', None, _(b'wait no longer where it was in vain')),
        *cmdutil.formatteropts,
    ],
    _(b'[-n] [--now] [HOOK]...'),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def deliver(ui, repo, *names, **opts):
    """tell web hooks of the pushes that they were not told of

    Each push starts this by itself, so that the web hooks of the configuration
    (see :hg:`help bundlestore-server`) are told at once. Run it from a timer,
    too: it goes on where a receiver could not be reached, or a process was
    killed.

    Each HOOK (by default, all of them) is told of the pushes in their order,
    and of none before the one before it. Where it does not answer well, the
    next try comes after 30 seconds, a minute, two, and so on up to an hour.
    After three days a push is passed over. Whoever answers with status 410 is
    told nothing more. With --now, either is tried at once.

    With -v/--verbose or -n/--dry-run each push is listed.

    .. container:: verbose

      Template:

      One item for each push that a web hook was told of, or would be, with
      these keywords:

      :hook:    String. The name of the web hook.
      :push:    Integer. The number of the push.
      :user:    String. Who pushed.
      :date:    Date information. When.
      :result:  String. ``delivered``, ``failed``, ``expired`` (it is too old)
                or, with -n/--dry-run, ``owed``.
      :attempt: Integer. How often it has been tried.
      :reason:  String. Why it was in vain.

    Returns 0 on success, 1 if a web hook could not be told of a push, now or
    the last time.
    """
    return wraps.room('keep.delivercommand.run')(ui, repo, names, opts)


@eh.command(
    b'admin::bundlestore-land',
    [
        (b'', b'rebase', None, _(b'rebase it where the heads have moved')),
        (b'', b'dest', b'', _(b'rebase it onto this changeset'), _(b'REV')),
        (b'', b'new-branch', None, _(b'let it make a new branch')),
        (b'f', b'force', None, _(b'let it make a new head')),
        (
            b'n',
            b'dry-run',
            None,
            _(b'say what would land, and change nothing'),
        ),
        *cmdutil.formatteropts,
    ],
    _(b'[-n] [-f] [--new-branch] [--rebase [--dest REV]] NODE'),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def land(ui, repo, name, **opts):
    """apply a stored changeset to the repository

    NODE is the hash, or a prefix of it of at least 6 digits, of a changeset in
    the bundle store, or a scratch bookmark. It lands with those of its
    ancestors that the repository lacks, as by a push: the hooks of a push run
    and may refuse it (``HG_SOURCE`` is ``serve``, ``HG_URL``
    ``remote:bundlestore``), the changesets become public unless the repository
    is non-publishing, and a new head or branch is refused unless there is
    -f/--force or --new-branch. All of it lands or nothing.

    With --rebase the changesets are rebased first, in memory, onto the head of
    their branch, or onto --dest. Those of which nothing is left are left out.
    A conflict ends the command; so do merges, changed subrepositories and the
    extension largefiles: such changesets are to be rebased in a clone.

    Where it landed is kept with the pushes of which it is a head, and shown by
    :hg:`pushes` and the pages of the web. What the repository has already is
    not applied again, but this is kept, too: a command that was interrupted
    can be run again.

    Run in a try URL, it applies to the repository that this belongs to.

    .. container:: verbose

      Template:

      One item for each changeset, with these keywords:

      :node:   String. Its hash in the bundle store.
      :state:  String. ``landed``, ``there`` (the repository has it already)
               or ``empty`` (it has its changes already).
      :landed: String. Its hash in the repository, empty if it is not there.
      :pushes: List of integers. The pushes that this is kept with.

    Returns 0 on success, 1 if there was nothing to land.
    """
    return wraps.room('keep.landcommand.run')(ui, repo, name, opts)


@eh.command(
    b'admin::bundlestore-migrate',
    [
        (b'', b'store', b'', _(b'copy bundles and notes there'), _(b'URL')),
        (b'', b'index', b'', _(b'copy the index there'), _(b'URL')),
        (
            b'',
            b'no-close',
            None,
            _(b'copy what is there, and let everybody go on pushing'),
        ),
        (b'', b'abandon', None, _(b'open a store that has been closed')),
        (
            b'',
            b'from-infinitepush',
            b'',
            _(b'take over what infinitepush stored'),
            _(b'DIR'),
        ),
        (
            b'',
            b'schema',
            None,
            _(b'only make the tables of an index in a database'),
        ),
        (b'n', b'dry-run', None, _(b'say what would be copied')),
        *cmdutil.formatteropts,
    ],
    _(
        b'[-n] [--no-close] [--store URL] [--index URL] | --abandon |'
        b' [-n] --from-infinitepush DIR | --schema [--index URL]'
    ),
    helpcategory=registrar.command.CATEGORY_MAINTENANCE,
)
def migrate(ui, repo, **opts):
    """move a bundle store to other backends

    Copy the bundle store of the repository to --store, its index to --index,
    or both: bundles with their hashes looked at, pushes with their numbers,
    users, times and pins, scratch bookmarks, workspaces and backups of clones
    ("views"). The URLs are what
    ``bundlestore.store`` and ``bundlestore.index`` will be, and what is there
    must be empty, or a copy that this command began.

    Others go on to push. What they change is copied by another pass, and so
    on until little is left. For the last pass the store is *closed*: pushes,
    removals and moves of bookmarks are refused with "the bundle store is being
    moved" and "try again in a minute". Nothing else is, clones and pulls go on.

    In the end the copy is compared with the store, and the lines are shown
    that the configuration of all servers needs. The store stays closed, so
    that nothing is pushed to it that the copy does not have; servers with the
    new lines take pushes again. With --abandon it is opened again instead,
    whatever became of the copy.

    The command may be interrupted, and run again with the same arguments: what
    is there is not copied again. Interrupted in the last pass, it opens the
    store. Killed by force there, servers on the same machine see that it is
    gone; those on others wait until it is run again, or run with --abandon.
    :hg:`admin::bundlestore-stats --check` tells of a store that is closed.

    With --no-close there is no last pass: to copy most of it in advance.

    An index in a database server needs tables, which no push makes: with
    --schema this command makes them, or brings them up to date after an
    upgrade, and does nothing else. They are those of ``bundlestore.index``, or
    of --index, as which it may name a user with more rights than servers have.

    A bundle that is missing or damaged is told of, and the rest is copied.
    What lfs and largefiles keep is not in the bundle store, and not copied.

    With --from-infinitepush, take over what the extension infinitepush stored
    for the repository in DIR, its folder ``scratchbranches``. Each bundle
    becomes a push by the author of its last changeset (the part of the address
    before ``@``), at the time of its file, and goes through all checks of one;
    what the store has already is not stored again. ``max-bundle-size`` and
    ``max-changesets`` hold, the quota and the rate of users do not, and no
    hooks are run. Scratch bookmarks are put where they were, unless the store
    has them elsewhere. What has no parents, is missing or damaged is told of,
    and so are bookmarks whose names do not match
    ``bundlestore.bookmark-pattern``; the rest is taken over. The command may be
    interrupted and run again, and others may push meanwhile.

    .. container:: verbose

      Template:

      There is an item for each pass, for each problem, and at the end, with
      these keywords:

      :kind:      String. ``pass``; of a problem ``missing`` or ``corrupt``
                  (bundle), ``different`` (a push or a view that cannot be
                  copied),
                  ``refused`` (bundle of infinitepush) or ``bookmark``; at the
                  end ``moved`` or ``imported``; with --schema
                  ``schema``.
      :made:      Boolean. Whether tables were made or changed.
      :number:    Integer. The number of the pass.
      :closed:    Boolean. Whether the store was closed.
      :pushes:    Integer. The pushes that were copied, or corrected. Of a
                  problem, a list of at most ten that are concerned.
      :bundles:   Integer. The bundles that were copied.
      :size:      Integer. Their bytes.
      :notes:     Integer. The notes that were written or deleted.
      :bookmarks: Integer. The scratch bookmarks that were put right.
      :views:     Integer. The views that were copied or removed.
      :known:     Integer. Bundles of infinitepush with nothing to take over.
      :removed:   Integer. Pushes and bundles that were removed.
      :message:   String. What the problem is.
      :bundle:    String. The key of the bundle concerned.
      :name:      String. The bundle, or bookmark, of infinitepush.
      :store:     String. The new configuration, if it changes.
      :index:     String. The same for the index.

    Returns 0 on success, 1 if something could not be copied.
    """
    return wraps.room('keep.migrate.migrate')(ui, repo, opts)
