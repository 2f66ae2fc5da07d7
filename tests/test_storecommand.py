"""The store ``command``, with commands of a shell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.store import StoreConformance

pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)


def commands(root: Path) -> dict[str, str]:
    """Return the configuration of a store in the folder ``root``, as
    docs/backends.rst has it."""
    to = f'cd {root} 2>/dev/null || exit 3;'
    return {
        'put-command': f'mkdir -p "{root}/${{HGBS_KEY%/*}}" && cd {root}'
        ' && cp -- "$HGBS_FILE" "$HGBS_KEY.$$"'
        ' && mv -- "$HGBS_KEY.$$" "$HGBS_KEY"',
        'get-command': f'{to} test -e "$HGBS_KEY" || exit 3;'
        ' cp -- "$HGBS_KEY" "$HGBS_FILE"',
        'delete-command': f'{to} test -e "$HGBS_KEY" || exit 3;'
        ' rm -- "$HGBS_KEY"',
        'list-command': f'{to} test -e "$HGBS_KEY" || exit 3;'
        r" find $HGBS_KEY -type f -printf '%p %s %T@\n'",
    }


class TestCommandStore(StoreConformance):
    def makestore(self, place: model.Place) -> Any:
        root = Path(os.fsdecode(place.directory)) / 'elsewhere'
        config = commands(root)
        return backends.openstore('command', place._replace(config=config))

    def damage(self, store: Any, key: str, data: bytes | None) -> None:
        command = store._config['put-command'].split('"')[1]
        path = Path(command.partition('/${')[0]) / 'bundles' / key
        path.unlink()
        if data is not None:
            path.write_bytes(data)
