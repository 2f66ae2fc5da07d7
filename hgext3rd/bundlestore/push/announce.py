"""A push is told of: web hooks are sent by a process of their own.

The push waits for nothing but the start of that process, and whatever fails
here is the matter of ``hg admin::bundlestore-deliver``, which the process runs
as well as a timer does (``keep/deliver.py``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from .. import config, log, model
from ..declaring import provides
from ..server import totext
from ..start import background

#: seconds for which nobody else tells a web hook; more than a message takes
LEASE = 120.0


def prepare(repo, server) -> bool:
    """See to it that web hooks are told of the push that is about to be
    recorded; return whether :func:`start` shall be called when it is. Nothing
    is raised."""
    try:
        names = config.webhooks(repo.ui)
        if not names or not provides(server.index, 'IDeliveries'):
            return False
        found = known(server.index, map(totext, names))
        now = time.time()
        return any(
            isdue(found[totext(name)], now)
            and _maysend(config.secretfile(repo.ui, name))
            for name in names
        )
    except Exception as exc:
        _failed(repo.ui, server, exc)
        return False


def known(index: Any, names: Iterable[str]) -> dict[str, model.Delivery]:
    """Return how far each web hook was told. One that is new is told of what
    is pushed from now on."""
    wanted = list(names)
    found: dict[str, model.Delivery] = index.deliveries()
    new = [name for name in wanted if name not in found]
    for name in new:
        # whoever was quicker did the same
        index.setdelivery(model.Delivery(name, index.lastid()))
    if new:
        found = index.deliveries()
    return {name: found[name] for name in wanted}


def isdue(delivery: model.Delivery, now: float) -> bool:
    """Whether it may be told at that time."""
    return delivery.again is not None and delivery.again <= now


def isheld(delivery: model.Delivery, now: float) -> bool:
    """Whether somebody tells it. A clock that was set back must not stop it
    for good."""
    return bool(delivery.worker) and 0 < delivery.lease - now <= LEASE


def _maysend(secretfile: bytes | None) -> bool:
    """Whether this account can sign: others may push over ssh than may read
    the secret."""
    return secretfile is not None and os.access(secretfile, os.R_OK)


def start(repo, server) -> None:
    """Start to send what is owed. Nothing is raised."""
    try:
        names = map(totext, config.webhooks(repo.ui))
        now = time.time()
        if all(
            isheld(delivery, now) or not isdue(delivery, now)
            for delivery in known(server.index, names).values()
        ):
            # whoever holds them looks once more when it is done
            return
        background.start(
            *('--repository', os.fsdecode(repo.root), '--noninteractive'),
            *('admin::bundlestore-deliver', '--quiet'),
            folder=repo.root,
        )
    except Exception as exc:
        _failed(repo.ui, server, exc)


def _failed(ui, server, exc: Exception) -> None:
    log.event(ui, server, 'webhook', result='failed', reason=log.reason(exc))
