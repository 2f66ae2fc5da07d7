"""Histories of bases, and scratch changesets on top of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness import history
from harness.hg import DATE, Repo

TEXT = ''.join(f'line {number}\n' for number in range(200))


# bases


def usual(repo: Repo) -> None:
    """Merges, copies, a named branch, a tag, binary files."""
    history.fill(repo)


def small(repo: Repo) -> None:
    """As few changesets as will do, for what needs a process for each."""
    repo.commit({'README': 'a base\n', 'src/main.txt': TEXT}, 'start')
    repo.commit({'src/main.txt': TEXT + 'grown\n'}, 'grow')
    repo.inspect('phase', '--public', '--rev', 'all()')


def some(repo: Repo) -> None:
    """A merge of two changes, with a copy."""
    start = repo.commit({'README': 'a base\n', 'src/main.txt': TEXT}, 'start')
    repo.inspect('copy', '--quiet', 'src/main.txt', 'src/copy.txt')
    left = repo.commit({'data.bin': bytes(range(256)) * 16}, 'left')
    right = repo.commit({'README': 'right\n'}, 'right', parent=start)
    merged(repo, left, right)
    repo.inspect('phase', '--public', '--rev', 'all()')


def nothing(repo: Repo) -> None:
    """Not a single changeset."""


def folders(repo: Repo) -> None:
    """Trees of manifests that both sides of a merge changed."""
    names = [f'{a}/{b}/{c}.txt' for a in 'abc' for b in 'de' for c in 'fg']
    start = repo.commit({n: f'{n}\n' * 20 for n in names}, 'start')
    repo.commit({'src/main.txt': TEXT, 'a/d/f.txt': 'left\n'}, 'left')
    left = repo.node('.')
    right = repo.commit(
        {'b/e/g.txt': 'right\n', 'a/e/new.txt': 'new\n'}, 'right', parent=start
    )
    merged(repo, left, right)
    repo.inspect('phase', '--public', '--rev', 'all()')


def roots(repo: Repo) -> None:
    """Two histories that began apart, joined, and one that stays apart."""
    history.fill(repo)
    joined = repo.node('tip')
    repo.inspect('update', '--quiet', 'null')
    other = repo.commit({'other/file': 'other\n'}, 'another root')
    merged(repo, joined, other)
    repo.inspect('update', '--quiet', 'null')
    repo.commit({'apart/file': 'apart\n'}, 'a root that stays apart')
    repo.inspect('update', '--quiet', joined)
    repo.inspect('phase', '--public', '--rev', 'all()')


def octopus(repo: Repo) -> None:
    """Eight heads that are merged one after the other."""
    start = repo.commit({'src/main.txt': TEXT}, 'start')
    arms = [
        repo.commit({f'arm{n}': f'{n}\n'}, f'arm {n}', parent=start)
        for n in range(8)
    ]
    top = arms[0]
    for arm in arms[1:]:
        top = merged(repo, top, arm)
    repo.inspect('phase', '--public', '--rev', 'all()')


def closed(repo: Repo) -> None:
    """Branches that are closed, and one that was opened again."""
    start = repo.commit({'src/main.txt': TEXT}, 'start')
    for number in range(3):
        repo.commit(
            {f'on{number}': 'x\n'}, 'on', parent=start, branch=f'b{number}'
        )
        repo.inspect('commit', '--close-branch', '-m', 'done', '--date', DATE)
    repo.commit({'again': 'x\n'}, 'again')
    repo.commit({'main': 'x\n'}, 'main', parent=start, branch='default')
    repo.inspect('phase', '--public', '--rev', 'all()')


def tags(repo: Repo) -> None:
    """A hundred tags, one of them moved and one removed."""
    repo.commit({'src/main.txt': TEXT}, 'start')
    node = repo.node('.')
    lines = ''.join(f'{node} v{number}\n' for number in range(100))
    repo.commit({'.hgtags': lines}, 'tags')
    repo.inspect('tag', '--force', '--date', DATE, 'v1')
    repo.inspect('tag', '--remove', '--date', DATE, 'v2')
    repo.inspect('phase', '--public', '--rev', 'all()')


def branches(repo: Repo) -> None:
    """Five hundred named branches, each with a head."""
    words = [f'@b{number} <base +1' for number in range(500)]
    dag = ' '.join(['+2 :base', *words, '@default <base +1'])
    repo.inspect('debugbuilddag', dag)
    repo.inspect('update', '--quiet', 'default')
    repo.commit({'src/main.txt': TEXT}, 'files')
    repo.inspect('phase', '--public', '--rev', 'all()')


def long(repo: Repo) -> None:
    """So many changesets that the changelog is two files."""
    repo.inspect('debugbuilddag', '+1200')
    repo.inspect('update', '--quiet', 'tip')
    repo.commit({'src/main.txt': TEXT}, 'files')
    repo.inspect('phase', '--public', '--rev', 'all()')


def odd(repo: Repo) -> None:
    """Names, users and descriptions in many scripts."""
    repo.commit(
        {
            'src/main.txt': TEXT,
            'zürich/日本.txt': 'names\n',
            'con/aux.txt': 'for Windows\n',
            'UPPER/' + 'd' * 100 + '/' + 'f' * 150: 'long\n',
        },
        'größer als ñ',
        user='Ålice <alice@example.com>',
        branch='zürich',
    )
    repo.inspect('phase', '--public', '--rev', 'all()')


def flags(repo: Repo) -> None:
    """Programs, symbolic links, and files that become one or the other."""
    repo.write({'src/main.txt': TEXT, 'run': '#!/bin/sh\n', 'plain': 'x\n'})
    (repo.path / 'run').chmod(0o755)
    (repo.path / 'link').symlink_to('src/main.txt')
    repo.commit({}, 'start')
    (repo.path / 'run').chmod(0o644)
    (repo.path / 'plain').unlink()
    (repo.path / 'plain').symlink_to('run')
    repo.commit({}, 'other flags')
    repo.inspect('phase', '--public', '--rev', 'all()')


def censored(repo: Repo) -> None:
    """A file revision that was taken away later."""
    bad = repo.commit({'src/main.txt': TEXT, 'key': 'secret\n'}, 'a key')
    repo.commit({'key': 'gone\n'}, 'no key')
    repo.inspect('censor', '-r', bad, 'key')
    repo.inspect('phase', '--public', '--rev', 'all()')


def obsolete(repo: Repo) -> None:
    """Drafts that were amended: markers, and changesets that are hidden."""
    history.fill(repo)
    repo.commit({'amended': 'first\n'}, 'first')
    repo.commit({'amended': 'second\n'}, 'second', amend=True)
    repo.commit({'amended': 'third\n'}, 'third', amend=True)
    repo.inspect('update', '--quiet', 'public()')


def drafts(repo: Repo) -> None:
    """Public, draft and secret changesets on a server that does not
    publish."""
    history.fill(repo)
    repo.commit({'draft': 'x\n'}, 'a draft')
    repo.commit({'hidden': 'x\n'}, 'a secret', secret=True)
    repo.inspect('update', '--quiet', 'max(draft())')


def many(repo: Repo) -> None:
    """Five thousand files."""
    repo.commit(
        {
            'src/main.txt': TEXT,
            **{f'f{n % 97}/g{n % 13}/{n}.txt': f'{n}\n' for n in range(5_000)},
        },
        'files',
    )
    repo.inspect('phase', '--public', '--rev', 'all()')


def heavy(repo: Repo) -> None:
    """A large file beside others."""
    repo.write({'src/main.txt': TEXT, 'big.bin': bytes(range(256)) * 400})
    _large(repo, 'big.bin')
    repo.commit({}, 'start')
    repo.inspect('phase', '--public', '--rev', 'all()')


def inside(repo: Repo) -> None:
    """A subrepository of Mercurial's, inside of the base on the server."""
    sub = repo.hg.plain().init(repo.path / 'nested')
    sub.commit({'sub.txt': 'sub\n'}, 'sub')
    sub.inspect('phase', '--public', '--rev', 'all()')
    repo.commit({'.hgsub': 'nested = nested\n', 'a': 'a\n'}, 'nested')
    repo.inspect('phase', '--public', '--rev', 'all()')


def insidegit(repo: Repo) -> None:
    """A git subrepository."""
    source = repo.path.parent / f'{repo.path.name}-sub'
    nested = repo.path / 'nested'
    git('init', '-q', '--bare', '-b', 'main', str(source))
    git('clone', '-q', str(source), str(nested))
    (nested / 'sub.txt').write_text('sub\n')
    git('add', 'sub.txt', cwd=nested)
    git('commit', '-q', '-m', 'sub', cwd=nested)
    git('push', '-q', 'origin', 'HEAD:main', cwd=nested)
    repo.write({'.hgsub': f'nested = [git]../{source.name}\n', 'a': 'a\n'})
    # "addremove" would take what is in it for files, as long as it is new
    repo.inspect('add', '.hgsub', 'a')
    repo.inspect('commit', '-m', 'nested', '--date', DATE)
    repo.inspect('phase', '--public', '--rev', 'all()')


# scratch changesets


def edits(repo: Repo, name: str) -> list[str]:
    """An edit, a new file, then a copy and a binary file."""
    first = repo.commit(
        {
            'src/main.txt': f'{name}\n{TEXT}',
            f'work/{name}.txt': f'{name}\n' * 50,
        },
        f'{name}: first',
    )
    repo.inspect('copy', '--quiet', 'src/main.txt', f'work/{name}-copy.txt')
    second = repo.commit(
        {f'work/{name}.bin': bytes(range(256)) * 8}, f'{name}: second'
    )
    return [first, second]


def deep(repo: Repo, name: str) -> list[str]:
    """Two arms that change one folder, and their merge."""
    base = repo.node('.')
    left = repo.commit({'a/d/f.txt': f'{name}\n'}, f'{name}: left')
    right = repo.commit(
        {'a/d/g.txt': f'{name}\n', f'{name}/x/y': 'new\n'},
        f'{name}: right',
        parent=base,
    )
    return [left, right, merged(repo, left, right)]


def rooted(repo: Repo, name: str) -> list[str]:
    """One more root, joined with what is there."""
    base = repo.node('.')
    repo.inspect('update', '--quiet', 'null')
    root = repo.commit({f'{name}.txt': 'a root\n'}, f'{name}: a root')
    return [root, merged(repo, base, root)]


def arms(repo: Repo, name: str) -> list[str]:
    """Five heads on the base, merged one after the other."""
    base = repo.node('.')
    made = [
        repo.commit({f'{name}{n}': f'{n}\n'}, f'{name}: arm {n}', parent=base)
        for n in range(5)
    ]
    top = made[0]
    for arm in made[1:5]:
        top = merged(repo, top, arm)
        made.append(top)
    return made


def closing(repo: Repo, name: str) -> list[str]:
    """A new branch that is closed at once, and one that was closed."""
    made = [repo.commit({name: 'x\n'}, f'{name}: open', branch=name)]
    repo.inspect('commit', '--close-branch', '-m', name, '--date', DATE)
    made.append(repo.node('.'))
    made.append(repo.commit({name: 'y\n'}, f'{name}: again', parent='b1'))
    repo.inspect('update', '--quiet', made[1])
    repo.inspect('merge', '--quiet', '--tool', ':local', made[2])
    made.append(repo.commit({}, f'{name}: merged'))
    return made


def tagging(repo: Repo, name: str) -> list[str]:
    """A tag, on a scratch changeset."""
    made = [repo.commit({name: 'x\n'}, f'{name}: x')]
    repo.inspect('tag', '--date', DATE, f'tag-{name}')
    return [*made, repo.node('.')]


def branching(repo: Repo, name: str) -> list[str]:
    """Changesets on old and new branches, merged."""
    made = [repo.commit({name: 'x\n'}, f'{name}: x', branch=name)]
    made.append(repo.commit({f'{name}-b': 'x\n'}, f'{name}: y', parent='b77'))
    made.append(merged(repo, made[0], made[1]))
    return made


def scripts(repo: Repo, name: str) -> list[str]:
    """Names and words in many scripts."""
    return [
        repo.commit(
            {f'ünïcode/{name}-\U0001f600.txt': 'x\n', 'zürich/日本.txt': name},
            f'{name}: żółć',
            user='Ålice <alice@example.com>',
            branch=f'{name}-é',
        )
    ]


def flagging(repo: Repo, name: str) -> list[str]:
    """Programs and links come and go."""
    repo.write({f'{name}.sh': '#!/bin/sh\n'})
    (repo.path / f'{name}.sh').chmod(0o755)
    (repo.path / f'{name}-link').symlink_to(f'{name}.sh')
    (repo.path / 'run').chmod(0o755)
    first = repo.commit({}, f'{name}: flags')
    (repo.path / f'{name}-link').unlink()
    return [first, repo.commit({f'{name}-link': 'a file\n'}, f'{name}: file')]


def amending(repo: Repo, name: str) -> list[str]:
    """What was amended twice, and its markers."""
    first = repo.commit({f'{name}.txt': 'one\n'}, f'{name}: one')
    repo.commit({f'{name}-top.txt': 'one\n'}, f'{name}: top')
    repo.commit({f'{name}-top.txt': 'two\n'}, f'{name}: top', amend=True)
    top = repo.commit({f'{name}-top.txt': '3\n'}, f'{name}: top', amend=True)
    return [first, top]


def guarded(repo: Repo, name: str) -> list[str]:
    """Drafts, with a secret changeset on top that nobody may get."""
    made = edits(repo, name)
    repo.commit({'hush': f'{name}\n'}, f'{name}: a secret', secret=True)
    return made


def heavier(repo: Repo, name: str) -> list[str]:
    """A new large file, and another content of an old one."""
    repo.write({f'{name}.bin': name.encode() * 9000, 'src/main.txt': name})
    _large(repo, f'{name}.bin')
    first = repo.commit({}, f'{name}: new')
    again = {'big.bin': name.encode() * 5000}
    return [first, repo.commit(again, f'{name}: again')]


def nested(repo: Repo, name: str) -> list[str]:
    """A change that leaves the subrepository as it is, then one of it."""
    first = repo.commit({'a': f'{name}\n'}, f'{name}: outer')
    sub = repo.path / 'nested'
    (sub / 'sub.txt').write_text(f'{name}\n')
    if (sub / '.git').exists():
        git('commit', '-q', '-a', '-m', name, cwd=sub)
    else:
        Repo(repo.hg, sub).commit({}, f'{name}: sub')
    return [first, repo.commit({}, f'{name}: inner')]


# tools


def merged(repo: Repo, first: str, second: str) -> str:
    """Merge, with what differs as in ``first``; return the merge."""
    repo.inspect('update', '--quiet', '--clean', '--rev', first)
    repo.inspect('merge', '--quiet', '--tool', ':local', '--rev', second)
    return repo.commit({}, 'merge')


def _large(repo: Repo, name: str) -> None:
    if 'largefiles =' in repo.hgrc.read_text('utf-8'):
        repo.inspect('add', '--large', name)


def git(*args: str, cwd: Path | None = None) -> None:
    """Run ``git`` with nobody's configuration."""
    subprocess.run(
        ['git', '-c', 'user.name=alice', '-c', 'user.email=a@b', *args],
        cwd=cwd,
        check=True,
        env={'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent'},
    )


def hasgit() -> bool:
    return shutil.which('git') is not None


# what is done to a repository once it is there


def oldest(repo: Repo) -> None:
    """Have its revlogs be of the first version, as before Mercurial 0.9."""
    requires = repo.path / '.hg' / 'requires'
    lines = requires.read_text('ascii').splitlines()
    kept = [line for line in lines if line != 'revlogv1']
    requires.write_text(''.join(f'{line}\n' for line in kept), 'ascii')
