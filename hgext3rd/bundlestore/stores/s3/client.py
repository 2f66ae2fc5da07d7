"""Asks an S3 server, by way of botocore (see ``library.py``).

Who tries again: here each request is sent once more at most, at once if its
connection was closed before an answer came (a server may close one that rested
just when it is used), in a moment if the server says that it is busy. botocore
itself tries nothing again. Whatever takes patience is the matter of who uses
the store.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any

from ... import errors
from . import failures, library
from .address import Address

#: least seconds, and half of the most, before a busy server is asked again
_MOMENT = 0.2


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
            if not more:
                raise failures.foreign(self.address, False)

    def signedurl(self, seconds: int, **arguments: Any) -> str:
        """Return a URL that answers GET with an object for so long."""
        with self._failing(False):
            url: str = library.client(self.address).generate_presigned_url(
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
        library.close(self.address)

    def _ask(
        self,
        writing: bool,
        operation: str,
        needed: tuple[str, ...],
        arguments: dict[str, Any],
    ) -> dict[str, Any]:
        code = ''
        with self._failing(writing):
            function = getattr(library.client(self.address), operation)
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
            self.read('list_objects_v2', Prefix=self.address.prefix, MaxKeys=1)
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
            if failures.oncredentials(_code(exc), exc):
                # there may be others by the next request
                library.forget(self.address)
            # its message may hold a signed URL
            raise self.failed(exc, writing) from None


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
