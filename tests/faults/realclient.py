"""A sweep with a real client, which pushes over ssh: servers are killed."""

from __future__ import annotations

import shlex

from harness.hg import CONFIG, Repo, Result
from harness.servers import HOST

from . import invariants, sweep as sweepmod
from .shim import Plan, State, readstate
from .site import Site

_SCRIPT = """\
#!/bin/sh
exec env -i {environ} sh -c "$2"
"""


def _run(site: Site, repo: Repo, plan: Plan, *args: str) -> Result:
    """Run a command with a repository behind ``ssh`` as its last argument,
    whose server has this plan; any end will do."""
    environ = {
        **site.hg.cleanenviron(),
        'HGRCPATH': str(CONFIG),
        'LD_PRELOAD': str(site.library),
        **plan.environ(),
    }
    script = site.top / 'ssh'
    words = ' '.join(shlex.quote(f'{k}={v}') for k, v in environ.items())
    script.write_text(_SCRIPT.format(environ=words))
    script.chmod(0o755)
    return repo.run(
        *args,
        f'ssh://alice@{HOST}/{site.base.path}',
        config=[
            f'ui.ssh={shlex.quote(str(script))}',
            f'ui.remotecmd={shlex.quote(str(site.hg.executable))}',
        ],
        ok=None,
    )


def pull(site: Site, head: str, plan: Plan) -> Result:
    """Pull into the clone of ``Site.pull``."""
    return _run(site, site.clone, plan, 'pull', '-r', head)


def push(site: Site, name: str, number: int) -> tuple[Result, State]:
    """Push with ``hg push``; the server is killed before operation
    ``number``."""
    plan = site.plan('killbefore', number)
    assert plan.state is not None
    plan.state.unlink(missing_ok=True)
    wanted = site.expected[name]
    marks = [word for mark, _ in wanted.bookmarks for word in ('-B', mark)]
    result = _run(
        site,
        site.author,
        plan,
        *('push', '--bundle-store', '-r', wanted.head, *marks),
    )
    return result, readstate(plan.state)


def sweep(
    site: Site, scenario: sweepmod.Scenario, step: int = 1
) -> sweepmod.Tally:
    """Kill the server before operation 1, 1 + step, … of a push, until one
    reaches its end."""
    stored = broken = there = 0
    number = 1
    while True:
        site.restore(scenario.store)
        result, state = push(site, scenario.push, number)
        told = result.code == 0
        before = [site.expected[name] for name in scenario.before]
        wanted = site.expected[scenario.push]
        try:
            if told:
                assert 'stored ' in result.out
                before.append(wanted)
            else:
                aborts = result.err.count('abort: ')
                assert aborts == 1
            if invariants.check(site.store, before, None if told else wanted):
                before.append(wanted)
                there += 1
            again = site.send(scenario.push)
            assert again.reply.stored, again
            invariants.check(site.store, [*before, wanted])
            site.checkbase()
        except invariants.BROKEN as exc:
            raise AssertionError(
                f'{scenario.name}, killed before {number}: {exc}\n{result}'
            ) from exc
        if not state.fired:
            assert told, result
            break
        stored += told
        broken += not told
        number += step
    invariants.checkpulled(site, [*before, wanted], verify=True)
    return sweepmod.Tally(
        f'{scenario.name}, real client',
        'killbefore',
        stored + broken,
        stored,
        0,
        broken,
        there,
    )
