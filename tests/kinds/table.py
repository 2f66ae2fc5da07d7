"""The kinds of repositories."""

from __future__ import annotations

from . import making
from .kind import Build, Config, Kind

_UNSAFE = 'enable-unstable-format-and-corrupt-my-data'
#: formats that are slow without Mercurial's Rust
_SLOWLY: Config = {
    'storage.all-slow-path': 'allow',
    'storage.revlog.persistent-nodemap.slow-path': 'allow',
    'storage.dirstate-v2.slow-path': 'allow',
}
# up to Mercurial 6.4, where trees of manifests and narrow clones need it
_CHANGEGROUP3: Config = {'experimental.changegroup3': 'yes'}
_MARKERS: Config = {'experimental.evolution': 'all'}
_EVOLVE: Config = {'extensions.evolve': '', 'extensions.topic': ''}
# each side has its own cache: what they have not, they are to be sent
_LFS: Config = {
    'extensions.lfs': '',
    'lfs.track': 'size(">10KB")',
    'lfs.usercache': '{cache}',
}
_LARGE: Config = {
    'extensions.largefiles': '',
    'largefiles.usercache': '{cache}',
}


def _format(
    name: str,
    about: str,
    config: Config,
    *,
    build: Build = making.some,
    both: bool = True,
    since: str = '6.3.2',
    common: bool = False,
) -> Kind:
    """Return the kind of all repositories in a format; unless ``both`` the
    base alone has it."""
    return Kind(
        name,
        about,
        build,
        making.edits,
        server=config,
        client=config if both else {},
        since=since,
        common=common,
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        'plain',
        'what ``hg init`` makes',
        making.usual,
        making.edits,
        common=True,
    ),
    # formats
    Kind(
        'revlog v0',
        'the format of before 2006, at the base',
        making.some,
        making.edits,
        server={'format.use-share-safe': 'no', 'format.usegeneraldelta': 'no'},
        after=making.oldest,
    ),
    _format(
        'no generaldelta',
        'deltas against the revision before, uncompressed chains',
        {'format.usegeneraldelta': 'no', 'format.sparse-revlog': 'no'},
        common=True,
    ),
    _format(
        'no dotencode',
        'older names in the store, no share-safe',
        {'format.dotencode': 'no', 'format.use-share-safe': 'no'},
    ),
    _format('no fncache', 'no list of names', {'format.usefncache': 'no'}),
    _format(
        'no store',
        'revlogs beside ``.hg/hgrc``, as before 2008',
        {'format.usestore': 'no'},
    ),
    _format(
        'zlib and zstd',
        'the base compresses with zlib, clients with zstd',
        {'format.revlog-compression': 'zlib'},
        both=False,
    ),
    _format(
        'share-safe',
        'the base has it, clients have not',
        {'format.use-share-safe': 'yes'},
        both=False,
    ),
    _format(
        'persistent nodemap',
        'with a changelog of 1,200 changesets',
        {'format.use-persistent-nodemap': 'yes', **_SLOWLY},
        build=making.long,
        common=True,
    ),
    _format(
        'dirstate-v2',
        'and the tracked hint',
        {
            'format.use-dirstate-v2': 'yes',
            'format.use-dirstate-tracked-hint': 'yes',
            **_SLOWLY,
        },
    ),
    _format(
        'other files',
        'bookmarks in the store, internal phases',
        {
            'format.bookmarks-in-store': 'yes',
            'format.use-internal-phase': 'yes',
        },
    ),
    _format(
        'changelog v2',
        '``format.exp-use-changelog-v2``',
        {'format.exp-use-changelog-v2': _UNSAFE},
    ),
    _format(
        'copies in side data',
        '``format.exp-use-copies-side-data-changeset``',
        {'format.exp-use-copies-side-data-changeset': 'yes'},
    ),
    _format(
        'revlog v2',
        '``experimental.revlogv2``',
        {'experimental.revlogv2': _UNSAFE, **_SLOWLY},
    ),
    _format(
        'delta info',
        '``format.use-delta-info-flags``',
        {'format.use-delta-info-flags': 'yes'},
        since='7.2.4',
    ),
    _format(
        'file index',
        '``format.use-fileindex-v1``',
        {'format.use-fileindex-v1': 'yes', **_SLOWLY},
        since='7.2.4',
    ),
    Kind(
        'tree manifests',
        'a manifest for each folder, with merges',
        making.folders,
        making.deep,
        server={
            'experimental.treemanifest': 'yes',
            **_CHANGEGROUP3,
        },
        client=_CHANGEGROUP3,
        common=True,
    ),
    # histories
    Kind('empty base', 'all is new', making.nothing, making.edits, common=True),
    Kind('several roots', 'new ones, too', making.roots, making.rooted),
    Kind('octopus', 'eight heads, merged', making.octopus, making.arms),
    Kind('closed branches', 'opened again, too', making.closed, making.closing),
    Kind('tags', 'new ones, too', making.tags, making.tagging, common=True),
    Kind('500 branches', 'named ones', making.branches, making.branching),
    Kind(
        'names',
        'in many scripts: files, users, branches',
        making.odd,
        making.scripts,
        common=True,
    ),
    Kind('flags', 'programs and links', making.flags, making.flagging),
    Kind(
        'censored',
        'a file revision of the base was censored',
        making.censored,
        making.edits,
        server={'extensions.censor': '', 'censor.policy': 'ignore'},
        client={'censor.policy': 'ignore'},
    ),
    # phases and markers
    Kind(
        'secret',
        'secret changesets on both sides, the base does not publish',
        making.drafts,
        making.guarded,
        server={'phases.publish': 'no'},
        common=True,
    ),
    Kind(
        'obsolete',
        'markers on both sides, by Mercurial alone',
        making.obsolete,
        making.amending,
        server={'phases.publish': 'no', **_MARKERS},
        client=_MARKERS,
        common=True,
    ),
    Kind(
        'evolve, topic',
        'both turned on by clients',
        making.small,
        making.amending,
        client={**_EVOLVE, **_MARKERS},
        tools=True,
    ),
    # extensions
    Kind(
        'lfs',
        'files above 10 KB; the base has none',
        making.small,
        making.heavier,
        server=_LFS,
        client=_LFS,
    ),
    Kind(
        'largefiles',
        '``hg add --large``',
        making.heavy,
        making.heavier,
        server=_LARGE,
        client=_LARGE,
    ),
    Kind(
        'narrow',
        'clones have the folders ``src`` and ``work``',
        making.small,
        making.edits,
        server={'extensions.narrow': '', **_CHANGEGROUP3},
        client={'extensions.narrow': '', **_CHANGEGROUP3},
        clone=('--narrow', '--include', 'src', '--include', 'work'),
        common=True,
    ),
    Kind(
        'remotefilelog',
        'clones fetch the contents of files when they need them',
        making.small,
        making.edits,
        server={
            'extensions.remotefilelog': '',
            'remotefilelog.server': 'yes',
        },
        client={
            'extensions.remotefilelog': '',
            'remotefilelog.reponame': 'base',
            'remotefilelog.cachepath': '{cache}',
        },
        clone=('--shallow',),
    ),
    Kind(
        'subrepositories',
        "of Mercurial's",
        making.inside,
        making.nested,
    ),
    Kind(
        'git subrepositories',
        '``subrepos.git:allowed``',
        making.insidegit,
        making.nested,
        server={'subrepos.git:allowed': 'yes'},
        client={
            'subrepos.git:allowed': 'yes',
            # git has its own ways over ssh and http
            'subpaths..*/base-sub': '{root}/base-sub',
        },
    ),
    Kind(
        '5,000 files',
        'in one changeset',
        making.many,
        making.edits,
        slow=True,
    ),
)

BY_NAME = {kind.name: kind for kind in KINDS}
