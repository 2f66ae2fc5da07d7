"""The URL of an S3 store."""

from __future__ import annotations

import re
import urllib.parse
from typing import Optional

from ... import errors
from ...records import NamedTuple

_BUCKET = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{1,62}', re.A)
#: what every server and proxy takes as it is
_PREFIX = re.compile(r'(?:(?!\.{1,2}/)[A-Za-z0-9._-]+/)*', re.A)
_HINT = (
    's3://BUCKET/PREFIX?endpoint=URL&region=NAME&profile=NAME&redirect=no;'
    ' all but the bucket may be left out'
)


class Address(NamedTuple):
    """Where the objects are."""

    bucket: str
    #: what all their names begin with; empty, or with a slash at its end
    prefix: str
    #: URL of the server, None for that of Amazon or of the environment
    endpoint: Optional[str] = None
    region: Optional[str] = None
    #: of the files that hold credentials
    profile: Optional[str] = None
    #: whether clients may be sent there for a download
    redirect: bool = True

    @property
    def shown(self) -> str:
        """It as text, for messages."""
        at = f' at {self.endpoint}' if self.endpoint else ''
        return f's3://{self.bucket}{at}'


def parse(url: str) -> Address:
    """Return what a URL ``s3://…`` names; raises ``UnknownScheme``, with no
    credentials in its message."""
    try:
        parts = urllib.parse.urlsplit(url)
        strict = bool(parts.query)
        items = urllib.parse.parse_qsl(parts.query, True, strict)
    except ValueError as exc:
        raise _nonsense('URL of the bundle store cannot be read') from exc
    if '@' in parts.netloc:
        raise _nonsense(
            'URL of the bundle store holds credentials',
            'put them into the environment or ~/.aws/credentials',
        )
    if not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise _nonsense('URL of the bundle store names no bucket')
    prefix = parts.path.strip('/')
    prefix = prefix and f'{prefix}/'
    if not _PREFIX.fullmatch(prefix):
        raise _nonsense(
            'prefix in the URL of the bundle store is none',
            'use letters, digits and ._- between slashes',
        )
    options = dict(items)
    if len(options) < len(items) or not all(options.values()):
        raise _nonsense(
            'an item in the URL of the bundle store is empty, or there twice'
        )
    redirect = options.pop('redirect', 'yes')
    found = Address(
        parts.netloc,
        prefix,
        _endpoint(options.pop('endpoint', None)),
        options.pop('region', None),
        options.pop('profile', None),
        redirect == 'yes',
    )
    if options or redirect not in ('yes', 'no'):
        name = ascii(next(iter(options), 'redirect'))[1:-1][:40]
        raise _nonsense(f'URL of the bundle store has an unknown item: {name}')
    if found.region and not re.fullmatch('[A-Za-z0-9-]{1,63}', found.region):
        raise _nonsense('region in the URL of the bundle store is none')
    return found


def _endpoint(url: Optional[str]) -> Optional[str]:
    if url is None:
        return None
    try:
        parts = urllib.parse.urlsplit(url)
        sound = parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if (
        not sound
        or parts.scheme not in ('http', 'https')
        or '@' in parts.netloc
        or parts.query
        or parts.fragment
        or not re.fullmatch(r'[\x21-\x7e]+', url)
    ):
        raise _nonsense(
            'endpoint in the URL of the bundle store is none',
            'such as endpoint=https://s3.example.org:9000',
        )
    return url


def _nonsense(message: str, hint: str = _HINT) -> errors.UnknownScheme:
    return errors.UnknownScheme(message, hint)
