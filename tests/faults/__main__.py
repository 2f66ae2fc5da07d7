"""``make faults``: the whole sweep, and what came of it.

Prints a line for each scenario and kind of fault, and ends with 1 at the first
push that was lost, half there or not taken again.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from harness.inspector import Inspector

from . import losses, realclient, shim, sweep, upkeep, viewchanges
from .site import Site, newest

#: moments at which a server is killed before the push whose power is lost: the
#: folders are made then
KILLED = range(1, 17)


def main() -> None:
    parser = argparse.ArgumentParser(prog='make faults')
    parser.add_argument('--kind', action='append', choices=shim.KINDS)
    args = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix='bundlestore-sweep-', dir=_memory()))
    library = shim.build()
    try:
        site = Site(newest(), library, top / 'site')
        for tally in sweep.everything(site, args.kind or shim.KINDS):
            print(tally, flush=True)
        for command in upkeep.COMMANDS:
            for kind in args.kind or shim.KINDS:
                print(upkeep.sweep(site, command, [kind]), flush=True)
        for change in viewchanges.SCENARIOS:
            for kind in args.kind or shim.KINDS:
                print(viewchanges.sweep(site, change, [kind]), flush=True)
        for scenario in sweep.SCENARIOS:
            print(losses.lose(site, scenario, seeds=range(8)), flush=True)
        for change in viewchanges.SCENARIOS:
            print(viewchanges.lose(site, change, range(8)), flush=True)
        for killed in KILLED:
            count = losses.lose(
                site, sweep.FIRST, killed, seeds=range(2), thorough=20
            )
            print(f'server killed before {killed}, then {count}', flush=True)
        for scenario in sweep.SCENARIOS:
            print(realclient.sweep(site, scenario), flush=True)
        site.close()
    finally:
        Inspector.stopall()
        shutil.rmtree(top)
        shutil.rmtree(library.parent)


def _memory() -> str | None:
    # nobody waits for a disk there
    return '/dev/shm' if Path('/dev/shm').is_dir() else None


if __name__ == '__main__':
    main()
