"""Changesets whose hashes begin alike."""

from __future__ import annotations

import hashlib

from .hg import Repo


def collision(repo: Repo, digits: int = 6) -> tuple[str, str]:
    """Commit two changesets whose hashes begin alike: among a few thousand
    there are some, as at a birthday party."""
    # hashed here, as thousands of commits would take minutes
    parent = repo.node('tip')
    probe = repo.commit({'f': 'f\n'}, 'collide 0', parent=parent)
    text = repo.inspect('debugdata', '-c', probe).encode()
    assert text.endswith(b'collide 0')
    seen: dict[str, int] = {}
    start = b'\0' * 20 + bytes.fromhex(parent)
    for number in range(1, 200000):
        message = b'collide %d' % number
        data = text[: -len(b'collide 0')] + message
        prefix = hashlib.sha1(start + data).hexdigest()[:digits]
        if prefix in seen:
            pair = [
                repo.commit({'f': 'f\n'}, f'collide {n}', parent=parent)
                for n in (seen[prefix], number)
            ]
            return pair[0], pair[1]
        seen[prefix] = number
    raise AssertionError('no two hashes with equal prefixes')
