"""A change source: what is pushed to a bundle store, from ``/json-pushes``.

Copy it beside ``master.cfg``. Each head of each push is a change of its own,
with the properties ``pushid``, ``pushuser``, ``pushvars`` (a dictionary) and
``pushheads``, the number of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from buildbot.changes import base
from buildbot.util import httpclientservice
from buildbot.util.state import StateMixin
from twisted.internet import defer
from twisted.python import log


class JSONPushes(base.ReconfigurablePollingChangeSource, StateMixin):
    """``url`` is the address of the repository, ``auth`` a user and a
    password, if the server wants one to read. What was pushed before the
    first poll is not built."""

    compare_attrs = (
        *('url', 'auth', 'project', 'category'),
        *('pollInterval', 'pollAtLaunch'),
    )

    def __init__(self, url: str, **kwargs: Any) -> None:
        super().__init__(url, **{'name': f'pushes to {url}', **kwargs})

    def checkConfig(
        self,
        url: str,
        auth: tuple[str, str] | None = None,
        project: str = '',
        category: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().checkConfig(**kwargs)

    @defer.inlineCallbacks
    def reconfigService(
        self,
        url: str,
        auth: tuple[str, str] | None = None,
        project: str = '',
        category: str | None = None,
        **kwargs: Any,
    ) -> Any:
        self.url = url
        self.project = project
        self.category = category
        self._http = httpclientservice.HTTPSession(
            self.master.httpservice, url, auth=auth
        )
        yield super().reconfigService(**kwargs)

    @defer.inlineCallbacks
    def poll(self) -> Any:
        seen = yield self.getState('seen', None)
        if seen is None:
            answer = yield self._ask({'endID': '0'})
            seen = answer['lastpushid']
            yield self.setState('seen', seen)
            log.msg(f'{self.name}: the log ends with push {seen}')
            return
        answer = yield self._ask({'startID': str(seen), 'full': '1'})
        for number in sorted(map(int, answer['pushes'])):
            push = answer['pushes'][str(number)]
            found = list(heads(push['changesets']))
            for changeset in found:
                yield self._add(number, push, len(found), changeset)
            # after it, so that what fails is met again
            yield self.setState('seen', number)

    @defer.inlineCallbacks
    def _ask(self, params: dict[str, str]) -> Any:
        answer = yield self._http.get(
            '/json-pushes', params={'version': '2', **params}, timeout=60
        )
        if answer.code != 200:
            text = yield answer.content()
            raise OSError(f'{answer.url}: {answer.code} {text[:200]!r}')
        found = yield answer.json()
        return found

    def _add(self, number: int, push: Any, count: int, changeset: Any) -> Any:
        node = changeset['node']
        log.msg(f'{self.name}: push {number}: {node}')
        return self.master.data.updates.addChange(
            author=changeset.get('author', push['user']),
            branch=changeset.get('branch'),
            category=self.category,
            comments=changeset.get('desc', ''),
            files=changeset.get('files', []),
            project=self.project,
            properties={
                'pushid': number,
                'pushuser': push['user'],
                'pushheads': count,
                'pushvars': push.get('pushvars', {}),
            },
            repository=self.url,
            revision=node,
            revlink=f'{self.url}/rev/{node}',
            src='hg',
            when_timestamp=push['date'],
        )


def heads(changesets: list[Any]) -> Iterator[Any]:
    """Yield those that no other of the push is based on."""
    if 'parents' not in changesets[0]:
        # the server could not read them, and knows the hashes
        changesets = changesets[-1:]
    parents = {p for each in changesets for p in each.get('parents', [])}
    yield from (each for each in changesets if each['node'] not in parents)
