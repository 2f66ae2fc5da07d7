"""Many requests to one server: it must hold no more afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness import history, servers
from harness.hg import Repo
from harness.nightly import upto
from harness.soak import soak
from harness.web import get

pytestmark = [
    pytest.mark.slow('many hundred requests'),
    pytest.mark.realstarts('what processes take, from their start'),
]

#: More memory than that at the end than after the warm-up is a leak, in bytes.
#: An overlay that stays open holds some hundred thousand, while the heap of a
#: process with threads grows by some ten million before it comes to rest.
LEAK = 40_000_000


@pytest.mark.parametrize(
    ('transport_name', 'count', 'spread'),
    [
        # two connections may still be open
        ('wsgi-hgweb', upto(1500, 5000), 4),
        # hgwebdir opens a repository for each request, and Python closes the
        # index of some only when it looks for reference cycles
        pytest.param(
            *('http', upto(600, 1500), 60),
            marks=pytest.mark.nightly('one of them is enough otherwise'),
        ),
    ],
)
@pytest.mark.parametrize('webconfig', [{'allow-archive': 'gz, zip'}])
def test_mixed_requests(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
    count: int,
    spread: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Pages, archives, bundles, pulls and what is not there, from eight
    threads at once."""
    # as the manual says where first requests come from several threads
    transport.rc.write_text('[extensions]\nbundlestore =\n')
    site = transport.url(base)
    nodes = []
    for number in range(5):
        parent = hashes.merged
        for step in range(3):
            parent = client.commit(
                {f'{number}-{step}': bytes(range(256)) * 100},
                f'push {number}, step {step}',
                parent=parent,
            )
        client.run('push', '--bundle-store', '-r', parent)
        nodes.append(parent)
    requests: list[Callable[[], Any]] = []

    def ask(path: str, status: int = 200) -> None:
        def request() -> None:
            answer = get(f'{site}/{path}')
            assert answer.status == status, f'{path}\n{answer}'

        requests.append(request)

    for number, node in enumerate(nodes, 1):
        ask(f'rev/{node}')
        ask(f'raw-rev/{node[:12]}')
        ask(f'json-rev/{node}')
        ask(f'log/{node}?style=gitweb')
        ask(f'annotate/{node}/README?style=monoblue')
        ask(f'archive/{node}.zip')
        ask(f'bundle/{number}')
        ask('pushes')
        ask('pushes?text=step+2')
        ask(f'json-pushes?startID={number}&version=2')
        ask('json-pushes?full=1')
        ask('atom-pushes')
        ask(f'rev/{hashes.merged}')
        ask('rev/' + f'{number}' * 40, 404)
        ask(f'?cmd=lookup&key={node}')
        ask(
            f'?cmd=getbundle&heads={node}&common={hashes.merged}&cg=1&bundlecaps=HG20'
        )
    assert isinstance(transport, servers.WebTransport)
    assert transport.process is not None
    pids = [transport.process.pid]
    if isinstance(transport, servers.WsgiTransport):
        pids = transport.workers()
    figures = soak(pids, requests, count=count, warmup=500)
    with capsys.disabled():
        print(f'\n{transport.name}: {figures}')
    assert figures.descriptors <= spread, str(figures)
    assert figures.memory < LEAK, str(figures)
