#!/usr/bin/env python3
"""Show the main job of hg-bundlestore, step by step, on a real repository.

Serves a repository, pushes one scratch changeset from a client with the
extension and one from a client without, fetches both by hash as a machine
that builds and tests would, and proves that the served repository is what it
was. Ends with an error if anything is not as promised.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import environments

#: whose releases make the history, if no repository is named
PACKAGE = 'tqdm'
RELEASES = 20

# above what any machine needs; only keeps a hang from going on for ever
PATIENCE = 120

CONFIG = """\
[ui]
username = demo <demo@example.com>
interactive = no
"""

BASE_HGRC = """\

[extensions]
bundlestore =
bundlestore:required = yes

[bundlestore]
server = yes
"""

CLIENT_HGRC = """\

[extensions]
bundlestore =
bundlestore:required = yes
"""

WEB_CONF = """\
[paths]
base = {folder}/base
try = {folder}/try

[web]
# for this demonstration: no TLS, and everybody may push
push_ssl = no
allow-push = *
"""


class BrokenPromise(Exception):
    """Something is not as this program said it would be."""


class Demo:
    """Where it happens, and the two Mercurials."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self.hg = {
            kind: environments.Environment(kind, version).path / 'bin' / 'hg'
            for kind in ('plain', 'ext')
        }
        self.config = folder / 'demo.rc'
        self.environ = {
            key: value
            for key, value in os.environ.items()
            # neither the user's own settings nor those of a hook
            if not key.startswith('HG') and not key.startswith('CHG')
        }
        self.environ['HGRCPATH'] = str(self.config)

    def run(
        self,
        kind: str,
        *args: str,
        code: int = 0,
        userconfig: bool = False,
    ) -> str:
        """Show a command, run it, show what it says and how long it took;
        return its standard output."""
        show_command(['hg', *args])
        environ = dict(os.environ) if userconfig else self.environ
        started = time.monotonic()
        done = subprocess.run(
            [str(self.hg[kind]), *args],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding='utf-8',
            errors='replace',
            check=False,
        )
        took = time.monotonic() - started
        show_output(done.stdout + done.stderr)
        print(f'  [{took:.2f} s]', flush=True)
        if done.returncode != code:
            raise BrokenPromise(f'exit code {done.returncode}, expected {code}')
        return done.stdout

    def ask(self, *args: str) -> str:
        """Run a plain hg without showing it."""
        return subprocess.run(
            [str(self.hg['plain']), *args],
            cwd=self.folder,
            env={**self.environ, 'HGPLAIN': '1'},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding='utf-8',
            errors='replace',
            check=True,
        ).stdout


# what the reader sees


def title(text: str) -> None:
    print(f'\n== {text}', flush=True)


def show_command(words: Sequence[str]) -> None:
    print(f'\n$ {shlex.join(words)}', flush=True)


def show_output(text: str, limit: int = 30) -> None:
    lines = text.splitlines()
    for line in lines[:limit]:
        print(f'  {line}')
    if len(lines) > limit:
        print(f'  … and {len(lines) - limit} more lines')


def promise(holds: bool, text: str) -> None:
    if not holds:
        raise BrokenPromise(f'not true: {text}')
    print(f'  ok: {text}', flush=True)


# the repository


def releases() -> list[str]:
    """Return the newest releases that pip can find, oldest first."""
    done = subprocess.run(
        [
            str(environments.python(environments.ENVS / 'pip')),
            *('-m', 'pip', '--disable-pip-version-check'),
            *('index', 'versions', PACKAGE),
            *('--only-binary', ':all:', '--ignore-requires-python'),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r'^Available versions: (.*)$', done.stdout, re.MULTILINE)
    if found is None:
        show_output(done.stdout + done.stderr)
        return []
    return found[1].split(', ')[:RELEASES][::-1]


def download(version: str) -> Path | None:
    """Return the wheel of a release, from an earlier run if it is there."""
    folder = environments.ENVS / 'downloads' / f'{PACKAGE}-{version}'
    if not folder.is_dir():
        temporary = folder.with_name(f'{folder.name}.part')
        shutil.rmtree(temporary, ignore_errors=True)
        command = environments.pip(
            *('download', '--no-deps', '--only-binary', ':all:'),
            *('--ignore-requires-python', '--dest', temporary),
            f'{PACKAGE}=={version}',
        )
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode or not temporary.is_dir():
            return None
        temporary.rename(folder)
    return next(folder.glob('*.whl'), None)


def build(demo: Demo) -> None:
    """Make a repository of real content: one changeset for each release."""
    print(f'one changeset for each of up to {RELEASES} releases of {PACKAGE}')
    started = time.monotonic()
    demo.ask('init', 'base')
    count = 0
    versions = releases()
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        # commits what is there while it waits for the others
        for version, wheel in zip(versions, pool.map(download, versions)):
            if wheel is not None:
                commit(demo, version, wheel, count)
                count += 1
                if count % 5 == 0:
                    print(f'  {count} …', flush=True)
    if not count:
        raise BrokenPromise(
            'pip could download nothing: name a repository, as in'
            ' "make demo REPO=path-or-url"'
        )
    # as after a push to a publishing server
    demo.ask('-R', 'base', 'phase', '--public', 'all()')
    demo.ask('-R', 'base', 'update', '--quiet', 'null')
    took = time.monotonic() - started
    print(f'  made a repository of {count} releases\n  [{took:.2f} s]')


def commit(demo: Demo, version: str, wheel: Path, number: int) -> None:
    base = demo.folder / 'base'
    for path in base.iterdir():
        if path.name != '.hg':
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(base)
    # the folder of metadata has the version in its name
    for path in base.glob('*.dist-info'):
        path.rename(base / 'dist-info')
    demo.ask(
        *('-R', 'base', 'commit', '--quiet', '--addremove'),
        *('--message', f'{PACKAGE} {version}'),
        *('--date', f'{1_500_000_000 + number * 86_400} 0'),
    )


def listing(folder: Path) -> tuple[int, int, str]:
    """Return number of files, bytes, and one hash over names and bytes."""
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    total = 0
    for path in files:
        size = path.stat().st_size
        total += size
        name = os.fsencode(path.relative_to(folder))
        digest.update(b'%d %d ' % (len(name), size) + name)
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return len(files), total, digest.hexdigest()


def show_listing(folder: Path) -> tuple[int, int, str]:
    count, total, digest = result = listing(folder)
    print(f'  .hg/store: {count} files, {total} bytes, sha256 {digest}')
    return result


# the server


@contextmanager
def serving(demo: Demo) -> Iterator[str]:
    """Serve both repositories, and yield the common part of their URLs."""
    (demo.folder / 'web.conf').write_text(WEB_CONF.format(folder=demo.folder))
    arguments = ['serve', '--web-conf', 'web.conf']
    arguments += ['--address', '127.0.0.1', '--port', '0', '--print-url']
    arguments += ['--accesslog', 'access.log', '--errorlog', 'error.log']
    show_command(['hg', *arguments])
    output = demo.folder / 'serve.out'
    with open(output, 'wb') as file:
        process = subprocess.Popen(
            [str(demo.hg['ext']), *arguments],
            cwd=demo.folder,
            env=demo.environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for this program, which then stops the server
            start_new_session=True,
        )
    try:
        started = time.monotonic()
        url = None
        while url is None or not answers(url):
            if process.poll() is not None:
                raise BrokenPromise(f'the server died:\n{output.read_text()}')
            if time.monotonic() - started > PATIENCE:
                raise BrokenPromise('the server does not answer')
            time.sleep(0.05)
            found = re.match(r'http://[^/]*:(\d+)/\n', output.read_text())
            url = f'http://127.0.0.1:{found[1]}' if found else None
        assert url is not None
        took = time.monotonic() - started
        print(f'  serving {url}/base and {url}/try\n  [{took:.2f} s]')
        yield url
        if process.poll() is not None:
            raise BrokenPromise(f'the server died:\n{output.read_text()}')
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


# the job


def scratch(demo: Demo, clone: str, kind: str, *push: str) -> str:
    """Commit in a clone, push it with the given words, return the hash."""
    name = f'scratch-of-{clone}.txt'
    text = f'something that {clone} wants to have tested\n'
    (demo.folder / clone / name).write_text(text)
    demo.run(
        *(kind, '-R', clone, 'commit', '--addremove'),
        *('--message', f'try: {clone}', '--user', clone, f'{clone}/{name}'),
    )
    demo.run(kind, '-R', clone, 'push', *push)
    node, phase = demo.ask(
        *('-R', clone, '--config', 'extensions.bundlestore=!'),
        *('log', '-r', '.', '-T', '{node} {phase}'),
    ).split()
    promise(phase == 'draft', f'{node[:12]} is still a draft in {clone}')
    return node


def fetch(demo: Demo, url: str, clone: str, node: str) -> None:
    demo.run('plain', '-R', 'ci', 'pull', '-r', node, url)
    demo.run('plain', '-R', 'ci', 'update', node)
    name = f'scratch-of-{clone}.txt'
    content = (demo.folder / 'ci' / name).read_text()
    promise(clone in content, f'ci has what {clone} pushed')
    phase = demo.ask('-R', 'ci', 'log', '-r', '.', '-T', '{phase}')
    promise(phase == 'draft', f'{node[:12]} is a draft in ci')


def show(demo: Demo, repository: str) -> Iterator[str]:
    """Do the job; yield once where the server may be left running."""
    title('1. The repository to serve')
    if repository:
        if '://' not in repository:
            repository = str(Path(repository).expanduser().resolve())
        # the user's own settings may hold what it takes to get there
        demo.run(
            *('plain', 'clone', '--noupdate', repository, 'base'),
            userconfig=True,
        )
    else:
        build(demo)
    demo.run('plain', '-R', 'base', 'log', '--limit', '3')
    count = demo.ask('-R', 'base', 'log', '-T', 'x')
    print(f'  {len(count)} changesets')

    title('2. Turn the bundle store on, and make a try URL beside it')
    with open(demo.folder / 'base' / '.hg' / 'hgrc', 'a') as file:
        file.write(BASE_HGRC)
    show_command(['cat', 'base/.hg/hgrc'])
    show_output((demo.folder / 'base' / '.hg' / 'hgrc').read_text())
    demo.run(
        *('ext', '--config', 'extensions.bundlestore='),
        *('admin::bundlestore-init', 'base', 'try'),
    )

    title('3. Serve both')
    store = demo.folder / 'base' / '.hg' / 'store'
    with serving(demo) as url:
        print('\nThe served repository before any push:')
        before = show_listing(store)

        title('4. alice, with the extension, pushes to the bundle store')
        demo.run('ext', 'clone', f'{url}/base', 'alice')
        with open(demo.folder / 'alice' / '.hg' / 'hgrc', 'a') as file:
            file.write(CLIENT_HGRC)
        one = scratch(demo, 'alice', 'ext', '--bundle-store', '-r', '.')

        title('5. bob, without the extension, pushes to the try URL')
        demo.run('plain', 'clone', f'{url}/base', 'bob')
        two = scratch(demo, 'bob', 'plain', '-r', '.', f'{url}/try')

        title('6. ci, without the extension, fetches both by hash')
        demo.run('plain', 'clone', '--noupdate', f'{url}/base', 'ci')
        fetch(demo, f'{url}/base', 'alice', one)
        fetch(demo, f'{url}/base', 'bob', two)

        title('7. The served repository is what it was')
        promise(show_listing(store) == before, 'not a byte of it changed')
        for node in (one, two):
            found = demo.ask(
                *('-R', 'base', '--config', 'extensions.bundlestore=!'),
                *('log', '-r', f'present({node})', '-T', '{node}'),
            )
            promise(not found, f'{node[:12]} is not in it')
        errors = (demo.folder / 'error.log').read_text()
        promise(not errors, 'the log of the server holds no error')
        yield url


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip())
    parser.add_argument(
        'repo',
        nargs='?',
        default=os.environ.get('BUNDLESTORE_DEMO_REPO', ''),
        help='any Mercurial repository, a path or a URL; without it, one is'
        f' made of the releases of {PACKAGE}',
    )
    parser.add_argument(
        '--keep',
        action='store_true',
        default=os.environ.get('BUNDLESTORE_DEMO_KEEP', '') not in ('', '0'),
        help='leave the server running until Ctrl-C',
    )
    options = parser.parse_args()
    # where a pipe expects it, too
    sys.stdout.reconfigure(encoding='utf-8')  # type: ignore[union-attr]
    started = time.monotonic()
    version = environments.supported()[-1]
    try:
        environments.make([version], ['plain', 'ext'])
        folder = environments.ENVS / 'demo'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        demo = Demo(folder, version)
        demo.config.write_text(CONFIG)
        print(f'"hg" is Mercurial {version}; everything happens in {folder}')
        for url in show(demo, options.repo):
            title(f'All as promised, in {time.monotonic() - started:.0f} s')
            if options.keep:
                print(f'serving {url}/base and {url}/try until Ctrl-C')
                while True:
                    time.sleep(3600)
        print(f'The server at {url} is stopped.')
    except KeyboardInterrupt:
        print('\nstopped')
        return 0 if options.keep else 130
    except (BrokenPromise, environments.Failure) as exc:
        print(f'\nFAILED: {exc}', file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as exc:
        print(f'\nFAILED: {shlex.join(exc.cmd)}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
