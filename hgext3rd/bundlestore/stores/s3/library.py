"""Loads botocore, and makes its clients.

It takes a process a tenth of a second, so it is loaded with the first request,
not with the store: what the index can answer costs none of that. Server
processes that stay load it before they begin (``preload``).
"""

from __future__ import annotations

import contextlib
import gc
import os
import types
from collections.abc import Iterator
from typing import Any

from ... import errors
from ...records import NamedTuple
from .address import Address

#: seconds to wait for a connection, and for the next bytes of an answer
CONNECT = 5
READ = 20
#: connections that are kept; threads beyond these make new ones
_CONNECTIONS = 32

#: bytes that are sent at once
_SMALL = 1 << 16


class _Made(NamedTuple):
    #: id of the process that made it: a connection must not cross a fork
    process: int
    client: Any


#: Of this process, as a web server may make objects of its own for each
#: request; what they hold serves any number of threads.
_clients: dict[Address, _Made] = {}
#: reads botocore's files; what they say is kept for all clients
_loader: Any = None


def client(address: Address) -> Any:
    """Return this process's client of botocore; raises
    ``BackendUnavailable``, and what botocore does."""
    made = _clients.get(address)
    if made is None or made.process != os.getpid():
        # Two threads may make one each at first: there is no lock that a fork
        # could leave locked.
        with _withoutcollector():
            made = _Made(os.getpid(), _make(address))
        _clients[address] = made
    return made.client


def close(address: Address) -> None:
    """Close the connections of the client, if there is one. It may be used
    again."""
    made = _clients.get(address)
    if made is not None and made.process == os.getpid():
        made.client.close()


def forget(address: Address) -> None:
    """Have the next request make a new client."""
    close(address)
    _clients.pop(address, None)


def preload() -> None:
    """Load all that a client needs, for a process that stays; raises
    ``BackendUnavailable``."""
    with _withoutcollector():
        loader = _loaded()
        for name in ('service-2', 'endpoint-rule-set-1'):
            loader.load_service_model('s3', name)
        for name in ('endpoints', 'partitions', 'sdk-default-configuration'):
            loader.load_data_with_path(name)


def _loaded() -> Any:
    """Load botocore."""
    global _loader
    try:
        import botocore.loaders
        import botocore.session

        # Mercurial puts imports off until what they import is used.
        loader = botocore.loaders.Loader()
        _ = botocore.session.Session
    except ImportError as exc:
        raise errors.BackendUnavailable(
            'bundle stores on S3 need the Python package botocore',
            "'pip install hg-bundlestore[s3]' brings it",
        ) from exc
    if _loader is None:
        # It would look through the files of all services for this one.
        loader.list_available_services = lambda type_name: ['s3']
        _loader = loader
    return _loader


@contextlib.contextmanager
def _withoutcollector() -> Iterator[None]:
    """Have Python's collector of garbage look neither now nor later at what is
    loaded here when it is loaded.

    It is there until the process ends, and so much that a process over ssh
    would be busy with it for longer than with loading it, most of that when
    it ends.
    """
    enabled, first = gc.isenabled(), _loader is None
    gc.disable()
    try:
        yield
    finally:
        if first:
            gc.freeze()
        if enabled:
            gc.enable()


def _make(address: Address) -> Any:
    loader = _loaded()
    import botocore.config
    import botocore.session

    session = botocore.session.Session(profile=address.profile)
    session.register_component('data_loader', loader)
    region = address.region or session.get_config_variable('region')
    if not region and address.endpoint:
        # a server of one's own mostly does not care, but it is signed
        region = 'us-east-1'
    options: dict[str, Any] = {
        'connect_timeout': CONNECT,
        'read_timeout': READ,
        'max_pool_connections': _CONNECTIONS,
        'retries': {'mode': 'standard', 'total_max_attempts': 1},
        'signature_version': 's3v4',
        'user_agent_extra': 'hg-bundlestore',
        's3': {
            'addressing_style': 'path' if address.endpoint else 'auto',
            # the server compares what it gets with its hash, over https too
            'payload_signing_enabled': True,
        },
    }
    # Checksums by default are more than other servers than Amazon's know.
    checksums = {
        'request_checksum_calculation': 'when_required',
        'response_checksum_validation': 'when_required',
    }
    try:
        config = botocore.config.Config(**options, **checksums)
    except TypeError:
        # botocore < 1.36, which sends none
        config = botocore.config.Config(**options)
    client = session.create_client(
        's3',
        region_name=region,
        endpoint_url=address.endpoint,
        config=config,
    )
    events = client.meta.events
    events.register('before-call.s3.HeadBucket', _noregion)
    events.register('before-send.s3.PutObject', _atonce)
    return client


def _atonce(request: Any, **_more: object) -> None:
    """Send what is small without asking whether it is welcome: that would take
    as long again, and the index waits for it."""
    if int(request.headers.get('Content-Length') or 0) <= _SMALL:
        request.headers.pop('Expect', None)


def _noregion(**_more: object) -> tuple[Any, dict[str, Any]]:
    """Answer botocore, which asks where the bucket is when a server sends it
    elsewhere, that nobody knows. Whoever runs the server shall name the region
    rather than have each process ask for it; and of another server than
    Amazon's botocore would ask without end."""
    answer: dict[str, Any] = {'ResponseMetadata': {'HTTPHeaders': {}}}
    return types.SimpleNamespace(status_code=200, headers={}), answer
