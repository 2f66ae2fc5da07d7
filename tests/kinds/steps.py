"""What is done with each kind of repository.

Each step is a real ``hg`` whose result is compared with what the client has
that made the changesets, revision by revision and file by file.
"""

from __future__ import annotations

import io
import os
import tarfile
import urllib.parse
from pathlib import Path
from typing import Callable, NamedTuple

from harness import web
from harness.hg import Repo

from .kind import Member
from .scene import Content, Scene

#: all that there is to know of a changeset: the hash of the manifest is that
#: of all names, flags and contents
_TEMPLATE = (
    '{node} {p1node} {p2node} {manifest % "{node}"} {phase} {branch}'
    ' {author} {date|hgdate}\n'
    '{extras % "{extra}\n"}{desc}\n'
    '{files % "{file}\n"}'
)


class NotThere(Exception):
    """A step needs what an earlier one did not leave."""


def content(scene: Scene, repo: Repo, nodes: list[str]) -> Content:
    files = tree(scene, repo, nodes[-1])
    text = changesets(repo, nodes)
    return Content(text, files)


def changesets(repo: Repo, nodes: list[str]) -> str:
    return repo.log(_TEMPLATE, '+'.join(nodes))


def tree(scene: Scene, repo: Repo, node: str) -> dict[str, bytes]:
    """Return the files as ``hg archive`` writes them; the first byte says
    what each is: a link, a program, or neither."""
    folder = scene.temp / 'archive'
    repo.inspect('archive', '--type', 'tar', '--rev', node, f'{folder}.tar')
    data = Path(f'{folder}.tar').read_bytes()
    os.unlink(f'{folder}.tar')
    return _members(data)


def _members(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.partition('/')[2]
            file = archive.extractfile(member) if member.isfile() else None
            if name == '.hg_archival.txt':
                continue
            if file is None:
                found[name] = b'l' + os.fsencode(member.linkname)
            else:
                mark = b'x' if member.mode & 0o100 else b'-'
                found[name] = mark + file.read()
    return found


def _compare(scene: Scene, repo: Member) -> None:
    """Compare what has arrived with what was made, and check it."""
    for pusher, nodes in scene.pushed.items():
        found = content(scene, repo, nodes)
        wanted = scene.made[pusher]
        assert found.changesets == wanted.changesets, (
            f'changesets differ:\n{found.changesets}\n-- not\n'
            f'{wanted.changesets}'
        )
        assert found.tree == wanted.tree, (
            f'files differ: {_differing(found.tree, wanted.tree)}'
        )
    _verify(scene, repo)


def _verify(scene: Scene, repo: Member) -> None:
    result = repo.check()
    if result.code:
        # a clone may have had that before, such as a file that is censored
        before = scene.client('fresh', ext=False).check()
        assert result.err == before.err, str(result)


def _differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    names = one.keys() | other.keys()
    return sorted(name for name in names if one.get(name) != other.get(name))


def _heads(scene: Scene) -> list[str]:
    if not scene.pushed:
        raise NotThere('nothing was pushed')
    return [nodes[-1] for nodes in scene.pushed.values()]


def _push(scene: Scene, repo: Member, name: str, *args: str) -> None:
    nodes = scene.kind.work(repo, name)
    made = content(scene, repo, nodes)
    repo.run('push', '-r', nodes[-1], *args, config=scene.wire)
    assert changesets(repo, nodes) == made.changesets, (
        'the push changed the changesets of the client'
    )
    names = repo.log('{files % "{file}\n"}', nodes[-1]).splitlines()
    scene.pushed[name] = nodes
    scene.made[name] = made
    scene.changed[name] = [
        n for n in names if made.tree.get(n, b'l')[:1] != b'l'
    ]


# the steps


def push(scene: Scene) -> None:
    """``hg push --bundle-store``"""
    repo = scene.client('alice', ext=not scene.plain)
    args = ['--force'] if scene.plain else ['--bundle-store']
    _push(scene, repo, 'alice', *args)


def vanilla(scene: Scene) -> None:
    """``hg push TRY-URL`` by a client without the extension"""
    url = scene.tryurl()
    repo = scene.client('bob', ext=False)
    if scene.bypath and not scene.plain:
        # its process is the server; what it pushes is the same
        repo.enable()
    args = ['--force'] if scene.plain else []
    _push(scene, repo, 'bob', *args, url)


def pull(scene: Scene) -> None:
    """``hg pull -r HASH`` by a client without the extension"""
    heads = _heads(scene)
    repo = scene.client('carol', ext=False)
    for head in heads:
        repo.run('pull', '-r', head, config=scene.wire)
    _compare(scene, repo)


def clone(scene: Scene) -> None:
    """``hg clone -r HASH`` by a client without the extension"""
    heads = _heads(scene)
    hg = scene.client('dave', ext=False).hg
    args = [word for head in heads for word in ('-r', head)]
    repo = scene.cloned(hg, scene.temp.parent / 'cloned', *args)
    _compare(scene, repo)


def ondemand(scene: Scene) -> None:
    """``hg update HASH`` by a client with the extension"""
    heads = _heads(scene)
    repo = scene.client('erin', ext=not scene.plain)
    for head in heads:
        if scene.plain:
            repo.run('pull', '-r', head, config=scene.wire)
        repo.run('update', head, config=scene.wire)
    assert repo.node('.') == heads[-1]
    _compare(scene, repo)


def pages(scene: Scene) -> None:
    """``/rev``, ``/raw-rev``, ``/json-rev``, ``/file``, ``/log``,
    ``/raw-file`` of hgweb"""
    _heads(scene)
    url = scene.transport.url(scene.base)
    for pusher, nodes in scene.pushed.items():
        node = nodes[-1]
        for page in ('rev', 'raw-rev', 'file', 'log', 'json-rev'):
            response = web.get(f'{url}/{page}/{node}')
            assert response.status == 200, f'/{page}/: {response}'
        told = web.get(f'{url}/json-rev/{node}').json()
        assert (told['node'], told['phase']) == (node, 'draft'), told
        texts = scene.made[pusher].tree
        for name in scene.changed[pusher]:
            quoted = urllib.parse.quote(name)
            response = web.get(f'{url}/raw-file/{node}/{quoted}')
            assert response.status == 200, f'/raw-file/: {response}'
            assert response.body == texts[name][1:], f'/raw-file/ of {name}'


def archive(scene: Scene) -> None:
    """``/archive/HASH.tar.gz`` of hgweb"""
    _heads(scene)
    url = scene.transport.url(scene.base)
    for pusher, nodes in scene.pushed.items():
        response = web.get(f'{url}/archive/{nodes[-1]}.tar.gz')
        assert response.status == 200, str(response)
        found, wanted = _members(response.body), scene.made[pusher].tree
        if '--narrow' in scene.kind.clone:
            # who pushed has not all files
            wanted = {**tree(scene, scene.base, 'tip'), **wanted}
        assert found == wanted, f'files differ: {_differing(found, wanted)}'


def verify(scene: Scene) -> None:
    """``hg admin::bundlestore-verify --full``"""
    _heads(scene)
    if not scene.plain:
        scene.base.run('admin::bundlestore-verify', '--full')


class Step(NamedTuple):
    name: str
    run: Callable[[Scene], None]
    #: by which transports
    over: tuple[str, ...] = ('path', 'ssh', 'http')


STEPS = (
    Step('push', push),
    Step('push, vanilla', vanilla),
    Step('pull', pull),
    Step('clone -r', clone),
    Step('on demand', ondemand),
    Step('web', pages, ('http',)),
    Step('archive', archive, ('http',)),
    Step('verify', verify),
)
