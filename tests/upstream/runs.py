"""Which tests of others are run, and how the extension is set up for them."""

from __future__ import annotations

from typing import NamedTuple

#: the packages whose sources have the tests
MERCURIAL = 'mercurial'
EVOLVE = 'hg-evolve'

ON = ('extensions.bundlestore=',)
SERVER = (*ON, 'bundlestore.server=yes')


class Run(NamedTuple):
    """Some tests with one configuration."""

    #: also the folder of what is expected to differ
    name: str
    package: str
    config: tuple[str, ...]
    #: without ``test-`` and ``.t``
    tests: tuple[str, ...]

    def only(self, tests: set[str]) -> Run:
        return self._replace(tests=tuple(t for t in self.tests if t in tests))


RUNS = (
    # who has the extension on, and never uses it, sees no difference
    Run(
        'on',
        MERCURIAL,
        ON,
        (
            *('bookmarks-pushpull', 'bundle2-exchange', 'clone', 'completion'),
            *('help', 'http', 'identify', 'incoming-outgoing'),
            *('phases-exchange', 'pull-r', 'push', 'ssh', 'wireproto'),
            *('largefiles-wireproto', 'subrepo', 'subrepo-git'),
        ),
    ),
    Run(
        'evolve',
        EVOLVE,
        ON,
        ('topic-push', 'wireproto', 'wireproto-bundle1'),
    ),
    # every repository has a bundle store: what goes to the base itself, and
    # what comes from it, is as it was
    Run(
        'server',
        MERCURIAL,
        SERVER,
        (
            *('acl', 'bookmarks-push-race', 'bundle2-exchange', 'getbundle'),
            *('hgweb-commands', 'hgweb-json', 'hook', 'http-permissions'),
            *('http-protocol', 'phases-exchange', 'pull-bundle', 'push-http'),
            *('largefiles', 'largefiles-wireproto', 'subrepo'),
        ),
    ),
)

#: cheap ones, for which each run of the whole suite has time
HANDFUL = {
    'on': {'completion', 'identify', 'pull-r'},
    'server': {'bookmarks-push-race', 'getbundle'},
}
