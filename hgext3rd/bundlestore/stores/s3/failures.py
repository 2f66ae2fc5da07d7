"""What went wrong at an S3 server, in words for an administrator.

The messages of botocore are never shown: the URLs in them may be signed.
botocore is loaded when one of its exceptions is there, so it is by then.
"""

from __future__ import annotations

from typing import Optional

from ... import errors
from .address import Address

#: by the code of an error: what to say of it, and a hint
_CODES: dict[str, tuple[str, str]] = {}


def _of(what: str, hint: str, *codes: str) -> None:
    _CODES.update(dict.fromkeys(codes, (what, hint)))


_of(
    'there is no such bucket',
    'make it, or look at bundlestore.store',
    'NoSuchBucket',
)
_of(
    'the credentials are refused',
    'look at the environment of the server (AWS_…) and at ~/.aws',
    *('InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidSecurity'),
    *('InvalidToken', 'ExpiredToken', 'TokenRefreshRequired'),
    *('UnrecognizedClientException', 'NotSignedUp', 'AccountProblem'),
)
_of(
    'access denied',
    'docs/backends.rst lists the rights that are needed',
    *('AccessDenied', 'AllAccessDisabled', '401', '403'),
)
_of(
    'the bucket is in another region',
    "name it in bundlestore.store: '&region=…'",
    *('PermanentRedirect', 'AuthorizationHeaderMalformed', '301'),
    *('IllegalLocationConstraintException', 'TemporaryRedirect', '307'),
)
_of(
    'the clock of this machine is wrong',
    'set it by a time server',
    *('RequestTimeTooSkewed', 'RequestExpired'),
)
#: codes of answers that may be others in a moment
BUSY = (
    *('SlowDown', 'ServiceUnavailable', 'InternalError', 'RequestTimeout'),
    *('Throttling', 'ThrottlingException', '500', '502', '503', '504'),
)
_of('the server is busy or in trouble', 'try again later', *BUSY)


def oncredentials(code: str, exc: BaseException) -> bool:
    """Whether a failure is one of credentials; ``code`` is empty where it is
    no answer of the server."""
    from botocore import exceptions

    if code:
        return _CODES.get(code) == _CODES['InvalidAccessKeyId']
    return isinstance(exc, exceptions.NoCredentialsError)


def refused(
    address: Address, writing: bool, code: str
) -> errors.BackendUnavailable:
    """Return what to raise for an answer of the server that is an error."""
    shown = ascii(code)[1:-1][:60]
    if code in ('XMinioStorageFull', 'InsufficientStorage', '507'):
        return errors.NoRoom(
            _message(address, writing, f'no space left ({shown})'),
            'make room on the server of the bucket',
        )
    what, hint = _CODES.get(
        code, ('it answers with an error', 'look at bundlestore.store')
    )
    return errors.BackendUnavailable(
        _message(address, writing, f'{what} ({shown})'), hint
    )


def foreign(address: Address, writing: bool) -> errors.BackendUnavailable:
    """Return what to raise for an answer without what S3 has in it."""
    server = address.endpoint or 'the server'
    return errors.BackendUnavailable(
        _message(address, writing, f'{server} does not speak S3'),
        'look at the endpoint in bundlestore.store',
    )


def unreachable(
    address: Address, writing: bool, exc: BaseException
) -> errors.BackendUnavailable:
    """Return what to raise where no answer came."""
    what, hint = _kind(address, exc)
    return errors.BackendUnavailable(_message(address, writing, what), hint)


def _kind(address: Address, exc: BaseException) -> tuple[str, Optional[str]]:
    from botocore import exceptions

    server = address.endpoint or 'the server'
    if isinstance(
        exc,
        (exceptions.NoCredentialsError, exceptions.PartialCredentialsError),
    ):
        return (
            'there are no credentials',
            'put them into the environment of the server (AWS_…) or into'
            ' ~/.aws/credentials',
        )
    if isinstance(exc, exceptions.ProfileNotFound):
        return (
            f'there is no profile {address.profile or ""}'.rstrip(),
            'look at ~/.aws/credentials, AWS_PROFILE and bundlestore.store',
        )
    if isinstance(exc, exceptions.NoRegionError):
        return ('no region is set', "add '&region=…' to bundlestore.store")
    if isinstance(exc, exceptions.SSLError):
        return (
            f'{server} is not trusted',
            'look at its certificate; AWS_CA_BUNDLE may name another authority',
        )
    if isinstance(
        exc, (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError)
    ):
        return (f'{server} does not answer in time', 'try again later')
    if isinstance(exc, exceptions.EndpointConnectionError):
        return (f'{server} cannot be reached', 'try again later')
    if isinstance(
        exc, (exceptions.HTTPClientError, exceptions.IncompleteReadError)
    ):
        return (f'{server} broke off the connection', 'try again later')
    return (
        type(exc).__name__,
        'look at bundlestore.store, the environment and ~/.aws',
    )


def _message(address: Address, writing: bool, what: str) -> str:
    verb = 'written' if writing else 'read'
    return f'bundle store {address.shown} cannot be {verb}: {what}'
