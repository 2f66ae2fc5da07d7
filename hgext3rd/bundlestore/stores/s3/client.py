"""Asks an S3 server, by way of botocore.

botocore takes a process a tenth of a second or two, so it is loaded with the
first request, not with the store: what the index can answer costs none of
that. Server processes that stay load it before they begin (``preload``).

Who tries again: here each request is sent once more at most, at once if its
connection was closed before an answer came (a server may close one that rested
just when it is used), in a moment if the server says that it is busy. botocore
itself tries nothing again. Whatever takes patience is the matter of who uses
the store.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import time
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

from ... import errors
from . import failures
from .address import Address

#: seconds to wait for a connection, and for the next bytes of an answer
CONNECT = 5
READ = 20
#: least seconds, and half of the most, before a busy server is asked again
_MOMENT = 0.2
#: connections that are kept; threads beyond these make new ones
_CONNECTIONS = 32


class _Made(NamedTuple):
    #: id of the process that made it: a connection must not cross a fork
    process: int
    client: Any


#: botocore's clients. Of this process, as a web server may make objects of
#: its own for each request; what they hold serves any number of threads.
_clients: dict[Address, _Made] = {}


class Absent(Exception):
    """An object or an upload that is not there."""


class Client:
    """Asks the server of ``address``. Several threads may use it, and a child
    that forked, too."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def read(
        self, operation: str, *needed: str, **arguments: Any
    ) -> dict[str, Any]:
        """Return the answer to an operation of S3 on the bucket, which is
        named as botocore does, with all in it that is ``needed``; raises
        ``Absent``, ``BackendUnavailable``."""
        return self._ask(False, operation, needed, arguments)

    def write(
        self, operation: str, *needed: str, **arguments: Any
    ) -> dict[str, Any]:
        """The same for an operation that changes something. A file that is
        sent, ``Body``, is sent from its beginning."""
        return self._ask(True, operation, needed, arguments)

    def pages(self, operation: str, **arguments: Any) -> Iterator[dict]:
        """Yield the answers to a listing, page by page; raises as ``read``."""
        more: dict[str, Any] = {}
        while True:
            page = self.read(operation, **arguments, **more)
            yield page
            if not page.get('IsTruncated'):
                return
            more = {
                name: page[found]
                for name, found in _NEXT[operation].items()
                if page.get(found)
            }

    def signedurl(self, seconds: int, **arguments: Any) -> str:
        """Return a URL that answers GET with an object for so long."""
        with self._failing(False):
            url: str = self._client().generate_presigned_url(
                'get_object',
                Params={'Bucket': self.address.bucket, **arguments},
                ExpiresIn=seconds,
            )
            return url

    def failed(self, exc: Exception, writing: bool = False) -> Exception:
        """Return what to raise for an exception of botocore."""
        code = _code(exc)
        if code:
            return failures.refused(self.address, writing, code)
        return failures.unreachable(self.address, writing, exc)

    def close(self) -> None:
        """Close the connections that rest."""
        made = _clients.get(self.address)
        if made is not None and made.process == os.getpid():
            made.client.close()

    def _ask(
        self,
        writing: bool,
        operation: str,
        needed: tuple[str, ...],
        arguments: dict[str, Any],
    ) -> dict[str, Any]:
        code = ''
        with self._failing(writing):
            function = getattr(self._client(), operation)
            try:
                answer = self._asked(function, arguments)
                if any(name not in answer for name in needed):
                    raise failures.foreign(self.address, writing)
                return answer
            except Exception as exc:
                code = _code(exc)
                if not _isabsence(operation, code) and not (
                    operation == 'head_object' and code.isdigit()
                ):
                    raise
        if operation == 'head_object':
            # Its answer has no body: this one tells if it is the bucket, say.
            self.read(
                'list_objects_v2', Prefix=self.address.prefix, MaxKeys=1
            )
        if _isabsence(operation, code):
            raise Absent(code)
        raise failures.refused(self.address, writing, code)

    def _asked(self, function: Any, arguments: dict[str, Any]) -> dict:
        from botocore import exceptions

        try:
            return self._send(function, arguments)
        except exceptions.ConnectionClosedError:
            pass
        except exceptions.ClientError as exc:
            if _code(exc) not in failures.BUSY:
                raise
            # not all that were told so at the same moment
            time.sleep(_MOMENT * (1 + random.random()))
        return self._send(function, arguments)

    def _send(self, function: Any, arguments: dict[str, Any]) -> dict:
        body: Any = arguments.get('Body')
        if hasattr(body, 'seek'):
            body.seek(0)
        answer: dict[str, Any] = function(
            Bucket=self.address.bucket, **arguments
        )
        return answer

    @contextlib.contextmanager
    def _failing(self, writing: bool) -> Iterator[None]:
        """Turn what botocore raises into ``BackendUnavailable``."""
        try:
            yield
        except errors.BundleStoreError:
            raise
        except _expected() as exc:
            # its message may hold a signed URL
            raise self.failed(exc, writing) from None

    def _client(self) -> Any:
        """Return botocore's client of this process."""
        made = _clients.get(self.address)
        if made is None or made.process != os.getpid():
            # Two threads may make one each at first: there is no lock that a
            # fork could leave locked.
            with _withoutcollector():
                made = _Made(os.getpid(), _make(self.address))
            _clients[self.address] = made
        return made.client


#: how to ask a listing for its next page: the argument, and where it is found
_NEXT = {
    'list_objects_v2': {'ContinuationToken': 'NextContinuationToken'},
    'list_multipart_uploads': {
        'KeyMarker': 'NextKeyMarker',
        'UploadIdMarker': 'NextUploadIdMarker',
    },
    'list_parts': {'PartNumberMarker': 'NextPartNumberMarker'},
}


def _code(exc: BaseException) -> str:
    """Return the code of an error that is the server's answer, else none."""
    answer = getattr(exc, 'response', None)
    if not isinstance(answer, dict):
        return ''
    return str(answer.get('Error', {}).get('Code', '')) or 'without a code'


def _isabsence(operation: str, code: str) -> bool:
    """Whether an error says that an object or an upload is not there."""
    if operation == 'head_object':
        return code == '404'
    return code in ('NoSuchKey', 'NoSuchUpload')


def _expected() -> tuple[type[Exception], ...]:
    """Return what botocore raises where the world is at fault."""
    from botocore import exceptions

    return (
        exceptions.BotoCoreError,
        exceptions.ClientError,
        OSError,
        # an endpoint that is none
        ValueError,
    )


# -- botocore

#: reads botocore's files; what they say is kept for all clients
_loader: Any = None


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
    loaded here.

    It is there until the process ends, and so much that a process over ssh
    would be busy with it for longer than with loading it, most of that when
    it ends.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
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
    client.meta.events.register('before-call.s3.HeadBucket', _noregion)
    return client


def _noregion(**_more: object) -> tuple[Any, dict[str, Any]]:
    """Answer botocore, which asks where the bucket is when a server sends it
    elsewhere, that nobody knows. Whoever runs the server shall name the region
    rather than have each process ask for it; and of another server than
    Amazon's botocore would ask without end."""
    answer: dict[str, Any] = {'ResponseMetadata': {'HTTPHeaders': {}}}
    return types.SimpleNamespace(status_code=200, headers={}), answer
