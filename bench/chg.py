#!/usr/bin/env python3
"""What a push takes with ``chg`` as the client, as the server, and as both.

Pushes nothing, and then one changeset, with each pair in turn over a stand-in
for ssh. Each push of a changeset is a new one. Prints medians and quartiles;
the floor is the same pair with nothing to push.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tools')]

from bench import alternating  # noqa: E402
from bench.alternating import Budget, Cost  # noqa: E402
from harness import chg as chgmod, matrix  # noqa: E402
from harness.chg import Chg  # noqa: E402
from harness.hg import Hg, Repo  # noqa: E402

#: milliseconds that a push of one changeset may take with chg on both sides,
#: in all and more than one of nothing
WHOLE = 80.0
MORE = 15.0
#: the same for ``hg`` on both sides
MORE_HG = 25.0

SSH = '#!/bin/sh\nexec sh -c "$2"\n'


class Pair:
    """A client and a server."""

    def __init__(self, top: Path, name: str, client: Hg, server: Hg) -> None:
        self.name = name
        self.server = server
        self._count = 0
        folder = top / name.replace('/', '-')
        folder.mkdir()
        # "init" does not go through chg, so that both are alike
        base = server.init(folder / 'base')
        base.inspect('debugbuilddag', '--mergeable-file', '+50')
        self._client = client.init(folder / 'client')
        self._client.inspect('pull', '--quiet', str(base.path))
        base.enable()
        base.configure('bundlestore', {'server': 'yes'})
        self._client.enable()
        ssh = folder / 'ssh'
        ssh.write_text(SSH)
        ssh.chmod(0o755)
        words = {
            'ssh': shlex.quote(str(ssh)),
            'remotecmd': shlex.quote(str(server.executable)),
        }
        self._client.configure('ui', words)
        self._client.configure('paths', {'default': f'ssh://host/{base.path}'})

    def nothing(self) -> Cost:
        return self._push('-r', 'tip', ok=(1,))

    def one(self) -> Cost:
        node = self._commit(self._client)
        cost = self._push('-r', node)
        self._client.inspect(
            *('--config', 'extensions.strip='),
            *('strip', '--quiet', '--no-backup', node),
        )
        return cost

    def _commit(self, repo: Repo) -> str:
        self._count += 1
        text = f'{self.name} {self._count}\n'
        return repo.commit({'file': text}, text, parent='max(all())')

    def _push(self, *words: str, ok: tuple[int, ...] = (0,)) -> Cost:
        hg = self._client.hg
        environ = {**self.server.environ, **hg.cleanenviron()}
        return alternating.once(
            [hg.executable, 'push', '--bundle-store', *words],
            environ,
            cwd=self._client.path,
            ok=ok,
        )


def measure(
    top: Path, version: str, rounds: int, hg: Hg, chg: Chg
) -> dict[str, dict[str, list[Cost]]]:
    pairs = [
        Pair(top, 'hg/hg', hg, hg),
        Pair(top, 'hg/chg', hg, chg),
        Pair(top, 'chg/hg', chg, hg),
        Pair(top, 'chg/chg', chg, chg),
    ]
    runs: dict[str, Callable[[], Cost]] = {}
    for pair in pairs:
        runs[f'nothing {pair.name}'] = pair.nothing
        runs[f'one {pair.name}'] = pair.one
    found = alternating.inturn(rounds, runs)
    return {
        pair.name: {
            what: found[f'{what} {pair.name}'] for what in ('nothing', 'one')
        }
        for pair in pairs
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--version', default=matrix.NEWEST, metavar='MERCURIAL')
    parser.add_argument('--rounds', type=int, default=21)
    parser.add_argument('--quick', action='store_true', help='fewer rounds')
    parser.add_argument('--folder', type=Path, help='where to work: a tmpfs?')
    parser.add_argument('--json', type=Path, metavar='FILE')
    options = parser.parse_args()
    rounds = 7 if options.quick else options.rounds
    why = chgmod.missing()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    chg = Chg(options.version)
    try:
        with tempfile.TemporaryDirectory(
            prefix='bundlestore-bench-', dir=options.folder
        ) as folder:
            found = measure(
                Path(folder),
                options.version,
                rounds,
                Hg(options.version, True),
                chg,
            )
    finally:
        chg.close()
    print(f'Mercurial {options.version}, {rounds} rounds, client/server')
    print('milliseconds of wall time: median (quartiles)')
    for name, costs in found.items():
        print(f'\n{name}')
        for what, figure in alternating.figures(costs, 'wall').items():
            print(f'  {what:10}{figure}')
        more = alternating.more('wall', costs['one'], costs['nothing'])
        print(f'  {"more":10}{more}')
    both = found['chg/chg']
    budgets = [
        Budget(
            'push of one changeset, chg on both sides',
            WHOLE,
            alternating.figures(both, 'wall')['one'].median,
        ),
        Budget(
            '… more than one of nothing',
            MORE,
            alternating.more('wall', both['one'], both['nothing']).median,
        ),
        Budget(
            'push of one changeset, hg on both sides: more than one of nothing',
            MORE_HG,
            alternating.more(
                'wall', found['hg/hg']['one'], found['hg/hg']['nothing']
            ).median,
        ),
    ]
    alternating.finish(budgets, found, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
