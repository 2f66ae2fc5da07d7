"""A bundle on its way to a bucket.

It is written to a local file first, as its key is known at the end only. A
large one is sent then, under its key, as an *upload* that is not finished,
which nobody sees; to finish it is one request. A small one is sent when it is
published, in one request, too.
"""

from __future__ import annotations

import contextlib
from typing import Any, Optional

from ... import errors, model
from ...declaring import Interfaces
from ..file import openbundle
from ..reader import VerifyingReader
from ..spool import SpooledFile
from .client import Absent, Client

#: larger bundles are sent before they are published
SMALL = 8 << 20
#: bytes of a part; S3 takes 10,000 of them
PART = 16 << 20
_PARTS = 10000


class StagedObject:
    """The bundle in ``file``, which is removed with it, to be published under
    ``name``."""

    __implemented__ = Interfaces('IStagedBundle', 'ILocalPath')

    def __init__(self, client: Client, name: str, file: SpooledFile) -> None:
        self.key = file.hash.hexdigest()
        self.size = file.size
        self._client = client
        self._name = name
        self._file = file
        self._published = False
        self._upload: Optional[_Upload] = None
        if self.size > SMALL:
            try:
                self._upload = _Upload(client, name)
                self._upload.send(file.path, self.size)
            except BaseException:
                self.discard()
                raise

    def __enter__(self) -> StagedObject:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def open(self) -> VerifyingReader:
        return openbundle(self._file.path, self.key)

    def localpath(self, key: str) -> bytes:
        if model.checkkey(key) != self.key:
            raise errors.UnknownKey(f'bundle {key} is not what is staged')
        with self.open():
            return self._file.path

    def publish(self) -> None:
        if self._published:
            return
        if self._upload is None:
            self._put()
        else:
            self._finish(self._upload)
        self._published = True

    def discard(self) -> None:
        if self._upload is not None and not self._published:
            self._upload.abort()
        self._file.abandon()

    def _put(self) -> None:
        try:
            body = open(self._file.path, 'rb')
        except OSError as exc:
            raise _gone() from exc
        with body:
            self._client.write('put_object', 'ETag', Key=self._name, Body=body)

    def _finish(self, upload: _Upload) -> None:
        try:
            upload.finish()
        except Absent:
            # Its answer may have been lost when it was asked for before.
            try:
                found = self._client.read(
                    'head_object', 'ContentLength', Key=self._name
                )
            except Absent:
                raise _gone() from None
            if found['ContentLength'] != self.size:
                raise _gone() from None


def _gone() -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        'bundle store cannot be written: what was staged was removed',
        'push again',
    )


class _Upload:
    """An upload under ``name``."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._which = {'Key': name}
        self._parts: list[dict[str, Any]] = []
        answer = client.write('create_multipart_upload', 'UploadId', Key=name)
        self._which['UploadId'] = answer['UploadId']

    def send(self, path: bytes, size: int) -> None:
        step = max(PART, -(-size // _PARTS))
        try:
            file = open(path, 'rb')
        except OSError as exc:
            raise _gone() from exc
        with file:
            for begin in range(0, size, step):
                number = len(self._parts) + 1
                answer = self._client.write(
                    'upload_part',
                    'ETag',
                    PartNumber=number,
                    Body=_Part(file, begin, min(step, size - begin)),
                    **self._which,
                )
                self._parts.append(
                    {'PartNumber': number, 'ETag': answer['ETag']}
                )

    def finish(self) -> None:
        self._client.write(
            'complete_multipart_upload',
            'ETag',
            MultipartUpload={'Parts': self._parts},
            **self._which,
        )

    def abort(self) -> None:
        # one that stays is a stray like that of a killed process
        with contextlib.suppress(Absent, errors.BackendUnavailable):
            self._client.write('abort_multipart_upload', **self._which)


class _Part:
    """Some bytes of a file, as a file of their own."""

    def __init__(self, file: Any, begin: int, size: int) -> None:
        self._file = file
        self._begin = begin
        self._size = size
        self._position = 0

    def read(self, size: Optional[int] = -1) -> bytes:
        left = self._size - self._position
        if size is None or size < 0 or size > left:
            size = left
        self._file.seek(self._begin + self._position)
        data: bytes = self._file.read(size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, self._size)[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position
