"""A base repository that no bundle store can be had for.

Where the changelog has side data (``exp-changelog-v2``, copies in changesets),
it keeps no deltas. Mercurial's ``bundlerepo``, which reads stored changesets,
does not know that, and walks along their deltas for ever. These formats are
experiments; a base with one goes on without its store, and what needs the
store is told why it cannot have it.
"""

from __future__ import annotations

from mercurial.interfaces import repository

from . import errors


def isunfit(repo) -> bool:
    """Whether ``repo`` can have no bundle store."""
    return repository.REPO_FEATURE_SIDE_DATA in repo.features


def trouble() -> errors.BackendUnavailable:
    """Return what to raise where the store of such a repository is needed."""
    return errors.BackendUnavailable(
        'the repository has a format that a bundle store does not work with: '
        'its changesets have side data',
        "the administrator can run 'hg debugupgraderepo' with "
        'format.exp-use-changelog-v2, '
        'format.exp-use-copies-side-data-changeset and '
        'experimental.revlogv2 off',
    )
