"""A laptop with many drafts in many heads: its backup, and how it comes
back."""

from __future__ import annotations

from pathlib import Path

from .. import measure
from ..measure import Command
from ..place import say
from ..repositories import remove
from ..systems.git import Git
from .context import Context

#: key, and what the row is about
ACTIONS = {
    'first': 'first backup',
    'more': 'one more changeset',
    'nothing': 'nothing new',
    'restore': 'restored in a fresh clone',
}


def measure_laptop(context: Context) -> None:
    """Rows ``laptop/…``: ``hg backup``, beside ``hg bundle`` of all drafts,
    which plain Mercurial has for it, and ``git push --mirror``."""
    for number in range(context.sizes.laptoprounds):
        say(f'laptop: round {number + 1}')
        _ours(context)
        _plain(context)
        for system in context.systems:
            if isinstance(system, Git):
                _git(context, system)


def _run(context: Context, row: str, column: str, command: Command) -> None:
    context.results.addrun(f'laptop/{row}', column, measure.run(command))


def _order(context: Context) -> dict[str, object]:
    sizes = context.sizes
    return {'do': 'laptop', 'heads': sizes.heads, 'drafts': sizes.drafts}


def _ours(context: Context) -> None:
    ours, template = context.ours, context.releases
    rows = [f'laptop/{row}' for row in ACTIONS]
    with context.results.trying('ours', *rows):
        server = ours.server('laptop-server', template)
        client = ours.client('laptop-client', template)
        ours.make(client, **_order(context))

        def backup(where: Path, *words: str) -> Command:
            return ours.command(where, server, ['backup', *words])

        _run(context, 'first', 'ours', backup(client))
        ours.changes(client, 5, 1)
        _run(context, 'more', 'ours', backup(client))
        _run(context, 'nothing', 'ours', backup(client))
        fresh = ours.client('laptop-fresh', template)
        _run(context, 'restore', 'ours', backup(fresh, '--restore'))
    remove(*ours.folder.glob('laptop-*'))


def _plain(context: Context) -> None:
    """A file on the same disk, without any server."""
    plain, template = context.plain, context.releases
    rows = [f'laptop/{row}' for row in ('first', 'more', 'restore')]
    with context.results.trying('plain', *rows):
        client = plain.client('laptop-client', template)
        plain.make(client, **_order(context))
        file = plain.folder / 'laptop-drafts.hg'
        words = ['bundle', '--quiet', '--rev', 'draft()', '--base', 'public()']
        for row in ('first', 'more'):
            _run(context, row, 'plain', plain.alone(client, [*words, file]))
            plain.changes(client, 5, 1)
        fresh = plain.client('laptop-fresh', template)
        words = ['unbundle', '--quiet', str(file)]
        _run(context, 'restore', 'plain', plain.alone(fresh, words))
    context.results.lack('laptop/nothing', 'plain', 'the same once more')
    remove(*plain.folder.glob('laptop-*'))


def _git(context: Context, git: Git) -> None:
    template = context.releases
    rows = [f'laptop/{row}' for row in ACTIONS]
    with context.results.trying('git', *rows):
        server = git.server('laptop-server', template)
        client = git.client('laptop-client', template)
        git.make(client, **_order(context))
        for row in ('first', 'more', 'nothing'):
            if row == 'more':
                git.changes(client, 5, 1)
            _run(context, row, 'git', git.mirror(client, server))
        fresh = git.folder / 'laptop-fresh'
        _run(context, 'restore', 'git', git.mirrored(server, fresh))
    remove(*git.folder.glob('laptop-*'))
