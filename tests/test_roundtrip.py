"""Any history that is pushed to the bundle store comes back as it was.

The measure is a plain push of the same history to a repository without a
store: what a clone pulled by hash must be equal to that, revision by
revision. What such a history may look like is up to hypothesis; how it is
made says ``harness/histories.py``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import (
    HealthCheck,
    Phase,
    example,
    given,
    settings,
    strategies as st,
)

from harness import history, matrix, servers
from harness.hg import Hg, Repo
from harness.histories import Commit, Workshop
from harness.nightly import upto
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, leftovers, tryurl

# histories

SEEDS = st.integers(1, 1000)
CHOICES = st.integers(0, 60)
FLAGS = st.sampled_from(['', '', '', 'x', 'l'])

#: what trips the encoding of names in the store, and the store of long ones
ODD = [
    'README',
    'src/main.txt',
    'src',
    'dir.i/x.d/data.i',
    'CON/aux.txt',
    'UPPER/Case',
    'upper/case',
    ' leading/trailing ',
    '.dot/.file.',
    'meta~7e/%41?*',
    'c:\\windows',
    'z\xc3\xbcrich/\xe6\x97\xa5\xe6\x9c\xac',  # UTF-8
    'not\xff\xfeutf8',
    'long/' + 'd' * 120 + '/' + 'f' * 120,
    '-r',
    'set:all()',
]
SEGMENTS = st.text(
    st.characters(
        min_codepoint=1, max_codepoint=255, exclude_characters='\n\r/'
    ),
    min_size=1,
    max_size=8,
).filter(lambda name: name not in {'.', '..'} and name.lower() != '.hg')
NAMES = st.one_of(
    st.sampled_from(ODD),
    st.lists(SEGMENTS, min_size=1, max_size=3).map('/'.join),
)

CONTENTS = st.one_of(
    st.tuples(st.just('text'), SEEDS, st.integers(0, 5000)),
    st.tuples(st.just('binary'), SEEDS, st.sampled_from([1, 300, 200_000])),
    st.tuples(
        st.just('plain'),
        # a file that looks like Mercurial's own notes of copies
        st.sampled_from(['', '\n', '\x01\n', '\x01\ncopy: a\n\x01\nb', 'a']),
    ),
)
CHANGES = st.one_of(
    st.tuples(st.just('write'), NAMES, FLAGS, CONTENTS),
    st.tuples(st.just('edit'), CHOICES, SEEDS),
    st.tuples(st.just('flags'), CHOICES, FLAGS),
    st.tuples(st.just('remove'), CHOICES),
    st.tuples(
        st.sampled_from(['copy', 'rename']),
        CHOICES,
        NAMES,
        st.sampled_from([0, 0, 1, 2]),
    ),
)
WORDS = st.text(
    st.characters(codec='utf-8', exclude_characters='\r\n\0'),
    min_size=1,
    max_size=10,
)
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        'branch': st.sampled_from(['stable', 'z\u00fcrich', 'a b', '-b', '']),
        'close': st.just('1'),
        'topic': st.text(
            st.characters(codec='utf-8', exclude_characters='\r'), max_size=9
        ),
    },
)
DATES = st.tuples(
    st.one_of(
        st.sampled_from([0, -1, 1_700_000_000, -(2**31), 2**31 - 1]),
        st.integers(0, 2**31 - 1),
    ),
    st.sampled_from([0, -7200, 18000, 50400, -43200, 12345]),
)
# Mostly on what was just made, so that there are stacks and branches of the
# new changesets and not only children of the base repository's.
PARENTS = st.one_of(
    st.just((-1,)),
    st.tuples(st.integers(-4, -1)),
    st.tuples(st.integers(-4, -1), st.integers(-4, -1)),
    st.tuples(CHOICES),
    st.tuples(st.integers(-4, -1), CHOICES),
    st.just(()),
)
COMMITS = st.builds(
    Commit,
    parents=PARENTS,
    description=st.one_of(
        st.text(st.characters(codec='utf-8'), max_size=40), WORDS
    ),
    user=WORDS.filter(lambda user: bool(user.strip())),
    date=DATES,
    extra=EXTRAS.map(lambda extra: {k: v for k, v in extra.items() if v}),
    changes=st.lists(CHANGES, max_size=4).map(tuple),
    resolution=st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
)


class Plan(NamedTuple):
    """A history and the way that it takes."""

    commits: list[Commit]
    #: before the whole is pushed, these changesets and their ancestors are
    parts: list[int]
    #: None: with the extension, as changegroup 02; else from a vanilla
    #: client to a try URL, as 01 or 03
    vanilla: str | None
    #: these are pulled alone, by number, before all are
    asked: tuple[int, ...] = ()


WRITE = ('write', 'both.txt', '', ('text', 1, 3000))


def sendable(plan: Plan) -> Plan:
    """Spare Mercurial a fault of its own: where a changeset has the null
    manifest, it computes the delta of the first manifest against nothing,
    which version 01 cannot say. The plain push is broken in this way, too."""
    if plan.vanilla != '01':
        return plan
    return plan._replace(
        commits=[
            c if c.parents else c._replace(changes=(*c.changes, WRITE))
            for c in plan.commits
        ]
    )


PLANS = st.builds(
    Plan,
    commits=st.lists(COMMITS, min_size=1, max_size=12),
    parts=st.lists(CHOICES, max_size=2),
    vanilla=st.sampled_from([None, None, '01', '03']),
    asked=st.one_of(st.just(()), st.tuples(CHOICES)),
).map(sendable)

VANILLA = {
    '01': ['devel.legacy.exchange=bundle1'],
    '03': ['experimental.changegroup3=yes'],
}


def commit(*parents: int, **more: Any) -> Commit:
    return Commit(
        **{
            'parents': parents,
            'description': 'explicit',
            'user': 'alice',
            'date': (0, 0),
            'extra': {},
            'changes': (),
            **more,
        }
    )


#: One file revision that belongs to two changesets, of which a push may have
#: the second alone. The other root has it, too.
SAME = Plan(
    [
        commit(0, changes=(WRITE,)),
        commit(1, changes=(WRITE,), date=(1, 0)),
        commit(changes=(WRITE,)),
        commit(-1, -2, date=(2, 0)),
        commit(-1, extra={'close': '1', 'branch': 'done'}, description=''),
    ],
    [1],
    None,
    (2, 3),
)

#: The last rests on a changeset without a manifest of its own, so that of the
#: base comes once more, and with it a file that the last removes.
AGAIN = Plan(
    [commit(-1), commit(-1), commit(-1, changes=(WRITE, ('remove', 0)))],
    [0],
    None,
)


# what is done with them


class Scene:
    """Makes the repositories of one example after the other."""

    def __init__(
        self,
        transport: Transport,
        hg: Callable[..., Hg],
        template: Path,
        workshop: Workshop,
        tempfolder: Path,
    ) -> None:
        self.transport = transport
        self._hg = hg
        self._template = template
        self.workshop = workshop
        self._tempfolder = tempfolder
        self._numbers = itertools.count()

    def _repo(self, name: str, ext: bool) -> Repo:
        path = self.transport.root / name
        history.copy(self._template, path)
        return Repo(self._hg(ext=ext), path)

    def play(self, plan: Plan) -> None:
        number = next(self._numbers)
        plain = self._repo(f'plain{number}', False)
        client = self._repo(f'client{number}', plan.vanilla is None)
        ci = self._repo(f'ci{number}', self.transport.name == 'path')
        base = Repo(self.transport.hg, self._repo(f'base{number}', True).path)
        servers.serve_bundlestore(base, {'verify': 'full'})

        nodes = self.workshop.build(client, plan.commits)
        new = set(nodes)
        assert set(client.nodes('draft()')) == new
        parts = [nodes[part % len(nodes)] for part in plan.parts]
        self.push(plan, client, base, parts)
        assert set(client.nodes('draft()')) == new
        heads = client.nodes('heads(draft())')
        client.inspect('push', '--force', str(plain.path))
        if plan.asked:
            some = [nodes[choice % len(nodes)] for choice in plan.asked]
            part = self._repo(f'part{number}', self.transport.name == 'path')
            self.pull(part, base, some)
            part.verify()
            same = self._repo(f'same{number}', False)
            same.inspect('pull', *_revs(some), str(plain.path))
            content = self.workshop.content(same)
            assert self.workshop.content(part) == content
        self.pull(ci, base, heads)
        assert set(ci.nodes('draft()')) == new
        ci.verify()
        content = self.workshop.content(plain)
        assert self.workshop.content(ci) == content
        # the measure itself: nothing was left behind (the parents of a
        # manifest may change places on the way, null goes last)
        assert content.keys() == self.workshop.content(client).keys()
        assert {f'changeset {node}' for node in new} <= content.keys()
        assert not leftovers(base, self._tempfolder)

    def push(
        self, plan: Plan, client: Repo, base: Repo, parts: list[str]
    ) -> None:
        self.transport.connect(client, base)
        words = ['push', '--bundle-store']
        config: list[str] = []
        if plan.vanilla is None:
            client.enable()
        else:
            target = tryurl(self.transport, base, f'try-{base.path.name}')
            words = ['push', self.transport.url(target)]
            config = VANILLA[plan.vanilla]
            if self.transport.name == 'path':
                client.hg = self._hg()
        with untouched(base.path):
            for node in parts:
                client.run(*words, '-r', node, config=config)
            client.run(*words, config=config)
        assert bundles(base)

    def pull(self, ci: Repo, base: Repo, heads: list[str]) -> None:
        self.transport.connect(ci, base)
        with untouched(base.path):
            ci.run('pull', *_revs(heads))


def _revs(nodes: list[str]) -> list[str]:
    return [word for node in nodes for word in ('-r', node)]


@pytest.fixture(scope='module')
def workshop() -> Iterator[Workshop]:
    workshop = Workshop(Hg(matrix.NEWEST, False))
    yield workshop
    workshop.close()


@pytest.fixture
def scene(
    transport: Transport,
    hg: Callable[..., Hg],
    template: Callable[[str], tuple[Path, history.History]],
    workshop: Workshop,
    tempfolder: Path,
) -> Scene:
    source, _ = template(transport.hg.version)
    return Scene(transport, hg, source, workshop, tempfolder)


def examples(count: int) -> settings:
    """An example takes a second or two. To look for the smallest that fails
    takes as many minutes as hypothesis is given, so only who asks for more
    examples gets that, too."""
    more = os.environ.get('BUNDLESTORE_EXAMPLES')
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(
        max_examples=int(more or count),
        phases=[*phases, Phase.shrink] if more else phases,
        suppress_health_check=list(HealthCheck),
    )


@matrix.over('ssh')
@given(plan=PLANS)
@example(plan=SAME)
@example(plan=SAME._replace(parts=[], vanilla='01'))
@example(plan=AGAIN)
@examples(2)
def test_comes_back_as_it_was(scene: Scene, plan: Plan) -> None:
    scene.play(plan)


@pytest.mark.slow('many histories, pushed and pulled in every way')
@matrix.over('path', 'ssh', 'http')
@given(plan=PLANS)
@examples(upto(4, 12))
def test_comes_back_as_it_was_again_and_again(scene: Scene, plan: Plan) -> None:
    scene.play(plan)
