"""The store ``s3``: each bundle is an object in a bucket, each note another.

A bundle with the key ``ab12…`` is the object ``PREFIX/bundles/ab12…``, a note
``PREFIX/notes/NAME``. An object is whole when it is there, and its server makes
it durable. What the store needs of this machine is a folder in which a bundle
is written before it is sent.
"""

from __future__ import annotations

import contextlib
import email.utils
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from ... import errors, model
from ...declaring import Interfaces
from .. import localfiles
from ..file import unknown
from ..reader import VerifyingReader
from ..spool import CANNOT_WRITE, Spool, isstray, notstray
from .address import Address, parse
from .body import Body
from .client import Absent, Client
from .library import preload
from .staging import StagedObject

__all__ = ['ObjectStore', 'open_store', 'preload']

#: how long a URL for a download is good, in seconds; a minute is for the way
_GOOD = 660
#: a stray that is an upload
_UPLOAD = re.compile(r'([0-9a-f]{64})\.([\x21-\x7e]{1,1024})', re.A)


def open_store(url: str, place: model.Place) -> ObjectStore:
    """Return the store of a URL ``s3://…``, see ``address``."""
    address = parse(url)
    spool = Spool(os.path.join(place.directory, b'spool'), place.createmode)
    kind = RedirectingStore if address.redirect else ObjectStore
    return kind(address, spool)


class ObjectStore:
    """The bundles and notes at ``address``."""

    __implemented__ = Interfaces('IBundleStore', 'ISelfCheck')

    def __init__(self, address: Address, spool: Spool) -> None:
        self._client = Client(address)
        self._spool = spool
        self._bundles = f'{address.prefix}bundles/'
        self._notes = f'{address.prefix}notes/'

    # -- bundles

    def stage(self, chunks: Iterable[bytes]) -> StagedObject:
        file = self._spool.write(chunks, durable=False)
        name = self._name(file.hash.hexdigest())
        return StagedObject(self._client, name, file)

    def put(self, chunks: Iterable[bytes]) -> str:
        with self.stage(chunks) as staged:
            staged.publish()
            return staged.key

    def open(self, key: str) -> VerifyingReader:
        name = self._name(key)
        try:
            answer = self._client.read('get_object', 'ContentLength', Key=name)
        except Absent:
            raise unknown(key) from None
        body = Body(self._client, name, answer, unknown(key))
        return VerifyingReader(body, key, body.size)

    def size(self, key: str) -> int:
        size: int = self._head(key)['ContentLength']
        return size

    def delete(self, key: str) -> None:
        # the server does not tell whether there was one
        self._head(key)
        self._client.write('delete_object', Key=self._name(key))

    def keys(self) -> Iterator[str]:
        return (n for n in self._list(self._bundles) if model.iskey(n))

    def modified(self, key: str) -> float:
        when: float = self._head(key)['LastModified'].timestamp()
        return when

    def _head(self, key: str) -> dict[str, Any]:
        try:
            return self._client.read(
                *('head_object', 'ContentLength', 'LastModified'),
                Key=self._name(key),
            )
        except Absent:
            raise unknown(key) from None

    def _name(self, key: str) -> str:
        return self._bundles + model.checkkey(key)

    # -- strays

    def strays(self, age: float) -> Iterator[model.Stray]:
        yield from self._spool.strays(age)
        try:
            for page in self._client.pages(
                'list_multipart_uploads', Prefix=self._bundles
            ):
                yield from self._uploads(page, age)
        except Absent:
            pass  # as some servers say that there are none

    def _uploads(
        self, page: dict[str, Any], age: float
    ) -> Iterator[model.Stray]:
        before = _clock(page) - age
        for upload in page.get('Uploads', ()):
            key = upload['Key'][len(self._bundles) :]
            if upload['Initiated'].timestamp() > before or not model.iskey(key):
                continue
            size, written = 0, upload['Initiated']
            which = {'Key': upload['Key'], 'UploadId': upload['UploadId']}
            try:
                for parts in self._client.pages('list_parts', **which):
                    for part in parts.get('Parts', ()):
                        size += part['Size']
                        written = max(written, part['LastModified'])
            except Absent:
                continue
            if written.timestamp() <= before:
                name = f'{key}.{upload["UploadId"]}'
                yield model.Stray(name, size, written.timestamp())

    def deletestray(self, name: str) -> None:
        if isstray(name):
            self._spool.deletestray(name)
            return
        match = _UPLOAD.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            raise notstray(name)
        with contextlib.suppress(Absent):
            self._client.write(
                'abort_multipart_upload',
                Key=self._bundles + match[1],
                UploadId=match[2],
            )

    # -- notes

    def putnote(self, name: str, data: bytes) -> None:
        path = self._notename(name)
        self._client.write('put_object', 'ETag', Key=path, Body=data)

    def note(self, name: str) -> bytes:
        path = self._notename(name)
        try:
            answer = self._client.read('get_object', 'ContentLength', Key=path)
        except Absent:
            raise _unknownnote(name) from None
        body = Body(self._client, path, answer, _unknownnote(name))
        with contextlib.closing(body):
            return body.read()

    def notes(self, prefix: str = '') -> Iterator[str]:
        return (
            prefix + name
            for name in self._list(self._notes + prefix)
            if model.isnotename(prefix + name)
        )

    def deletenote(self, name: str) -> None:
        path = self._notename(name)
        try:
            self._client.read('head_object', Key=path)
        except Absent:
            raise _unknownnote(name) from None
        self._client.write('delete_object', Key=path)

    def _notename(self, name: str) -> str:
        return self._notes + model.checknotename(name)

    # -- its state

    def troubles(self) -> Iterator[errors.BackendUnavailable]:
        return localfiles.troubles(CANNOT_WRITE, self._spool.folder)

    def close(self) -> None:
        self._client.close()

    def _list(self, prefix: str) -> Iterator[str]:
        """Yield how the names of objects go on that begin so."""
        last = None
        for page in self._client.pages('list_objects_v2', Prefix=prefix):
            for found in page.get('Contents', ()):
                name = found['Key'][len(prefix) :]
                # one server lists twice what is replaced at this moment
                if name != last:
                    yield name
                last = name


class RedirectingStore(ObjectStore):
    """Clients may be sent to the server for a download."""

    __implemented__ = Interfaces('IBundleStore', 'ISelfCheck', 'IDownloadURL')

    def downloadurl(self, key: str) -> str:
        self.size(key)
        return self._client.signedurl(_GOOD, Key=self._name(key))


def _unknownnote(name: str) -> errors.UnknownNote:
    return errors.UnknownNote(f'no note {name} in the store')


def _clock(answer: dict[str, Any]) -> float:
    """Return what time it is, by the clock of the server: it told the second,
    and this is the end of that."""
    date = answer['ResponseMetadata']['HTTPHeaders'].get('date')
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() + 1
    except (TypeError, ValueError):
        return time.time()
