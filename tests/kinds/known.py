"""What does not work with a kind of repository, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional

from . import playing
from .playing import Outcome
from .scene import Row


def _always(row: Row) -> bool:
    return True


class Reason(NamedTuple):
    """Why steps do not work with a kind."""

    kind: str
    steps: tuple[str, ...]
    #: a regular expression for what is said then
    message: str
    #: for the documentation
    why: str
    #: in which rows
    where: Callable[[Row], bool] = _always
    #: whether Mercurial by itself can do it
    plain: bool = True


SIDEDATA = ('changelog v2', 'copies in side data', 'revlog v2')
NOPLACE = (
    'Except over http, Mercurial has no place for the contents unless'
    ' ``lfs.url`` names one. With the extension on both sides there is one.'
)

REASONS: tuple[Reason, ...] = (
    Reason(
        'no store',
        ('push, vanilla',),
        'cannot create shared repository',
        'A try URL is a share, and Mercurial makes none of such a repository:'
        ' ``admin::bundlestore-init`` says so. ``hg debugupgraderepo`` with'
        ' ``format.usestore`` on mends it.',
    ),
    *(
        Reason(
            kind,
            ('push', 'push, vanilla'),
            'format that a bundle store does not work with',
            'Mercurial cannot read a bundle on top of changesets with side'
            ' data. Such a base goes on without its store; pushes to it are'
            ' refused, with what the administrator can do.',
        )
        for kind in SIDEDATA
    ),
    *(
        Reason(
            kind,
            ('base',),
            'unknown delta base',
            'Such a base cannot be cloned by another version of Mercurial.',
            lambda row: row.client != row.server,
            plain=False,
        )
        for kind in SIDEDATA
    ),
    Reason(
        'names',
        ('web',),
        '/raw-file/: .404',
        '``hg serve`` of Mercurial 6.3 reads such names of files wrongly.',
        lambda row: row.server == '6.3.2',
        plain=False,
    ),
    Reason(
        'lfs',
        ('push, vanilla', 'pull'),
        'lfs.url needs to be configured',
        NOPLACE,
        lambda row: row.transport != 'http',
        plain=False,
    ),
    Reason(
        'lfs',
        ('clone -r',),
        'lfs.url needs to be configured',
        NOPLACE,
        lambda row: row.transport == 'ssh',
        plain=False,
    ),
    Reason(
        'remotefilelog',
        ('base',),
        'server does not support remotefilelog',
        'A shallow clone by path is refused.',
        lambda row: row.transport == 'path',
        plain=False,
    ),
    Reason(
        'subrepositories',
        ('clone -r',),
        'unknown revision',
        'A client without the extension does not find the changeset of a'
        ' subrepository when it updates to one that names it: clone with'
        ' ``-U``, and pull it by its hash in the subrepository before.',
        lambda row: row.transport != 'path',
    ),
    Reason(
        'git subrepositories',
        ('push',),
        'cannot push a repository with subrepositories|git',
        'git has no place for what shall not land, so a client with the'
        ' extension refuses to push what a subrepository of git has new.',
    ),
    Reason(
        'git subrepositories',
        ('push, vanilla',),
        r'changed +\.\./base-sub/',
        'The repository is stored, but what its subrepositories of git have'
        ' new lands in theirs.',
    ),
)


def find(row: Row, step: str) -> Optional[Reason]:
    """Return why a step does not work, or None if it should."""
    for reason in REASONS:
        if (
            reason.kind == row.kind
            and step in reason.steps
            and reason.where(row)
        ):
            return reason
    return None


def judge(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each outcome that is not as it should be, and for
    each that is better than what is known of it."""
    return [
        f'{outcome.row}: {outcome.step}: {wrong}'
        for outcome in outcomes
        for wrong in _wrong(outcome)
    ]


def _wrong(outcome: Outcome) -> list[str]:
    reason = find(outcome.row, outcome.step)
    if outcome.word == playing.WORKS:
        return ['works: it is no longer to be in known.py'] if reason else []
    if outcome.word == playing.NOTTHERE:
        return []
    if reason is None:
        return [f'{outcome.word}: {outcome.line}\n{outcome.text}']
    if not re.search(reason.message, outcome.text):
        return [f'for another reason than the known one:\n{outcome.text}']
    if outcome.plain and not reason.plain:
        return ['works without a bundle store']
    return []
