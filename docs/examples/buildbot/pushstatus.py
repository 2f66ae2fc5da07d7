"""A reporter: tells the bundle store how the builds of a push went.

Copy it beside ``master.cfg``. It is for builds of what ``jsonpushes.py`` found;
of others it has no number of a push, and tells nothing.
"""

from __future__ import annotations

from typing import Any

from buildbot.process import results
from buildbot.reporters import base
from buildbot.reporters.generators import build, buildrequest
from buildbot.util import asyncSleep, httpclientservice
from twisted.internet import defer
from twisted.python import log

STATES = {
    results.SUCCESS: 'success',
    results.WARNINGS: 'success',
    results.SKIPPED: 'success',
    results.FAILURE: 'failure',
    # it is built again
    results.RETRY: 'pending',
}
#: seconds to wait before it is tried again; who waits for a status waits on
AGAIN = (5, 60, 600)


class PushStatus(base.ReporterBase):
    """``url`` is the address of the repository, ``auth`` the user and the
    password of somebody in its ``[bundlestore] allow-status``."""

    secrets = ['auth']

    def __init__(self, url: str, **kwargs: Any) -> None:
        super().__init__(url, **{'name': f'statuses at {url}', **kwargs})

    def checkConfig(self, url: str, auth: Any = None, **kwargs: Any) -> None:
        super().checkConfig(generators=_generators(), **kwargs)

    @defer.inlineCallbacks
    def reconfigService(self, url: str, auth: Any = None, **kwargs: Any) -> Any:
        self._url = url
        self._http = httpclientservice.HTTPSession(
            self.master.httpservice, url, auth=auth
        )
        yield super().reconfigService(generators=_generators(), **kwargs)

    @defer.inlineCallbacks
    def sendMessage(self, reports: list[Any]) -> Any:
        for report in reports:
            (built,) = report['builds']
            found = {k: v[0] for k, v in built['properties'].items()}
            # others have numbers of their own
            if 'pushid' in found and found.get('repository') == self._url:
                yield self._tell(found, status(built, found))

    @defer.inlineCallbacks
    def _tell(self, found: dict[str, Any], told: dict[str, str]) -> Any:
        path = f'/push-status/{found["pushid"]}'
        for seconds in (*AGAIN, 0):
            try:
                answer = yield self._http.post(path, json=told, timeout=60)
                text = yield answer.content()
                if answer.code < 300:
                    return
                log.msg(f'{self.name}: {path}: {answer.code} {text[:200]!r}')
                if answer.code < 500:
                    return
            except Exception as exc:
                log.err(exc, f'{self.name}: {path}')
            yield asyncSleep(seconds)


def status(built: Any, found: dict[str, Any]) -> dict[str, str]:
    """Return the status for a build or a request, with these properties."""
    context = f'buildbot/{found["buildername"]}'
    if found['pushheads'] > 1:
        # each has a build of its own
        context += f'/{found["revision"][:12]}'
    state = 'pending'
    if built['complete']:
        state = STATES.get(built['results'], 'error')
    return {
        'context': context,
        'state': state,
        'url': built['url'],
        'description': (built.get('state_string') or '')[:500],
    }


def _generators() -> list[Any]:
    # as soon as it is asked for, so that who waits knows that one will come
    return [
        buildrequest.BuildRequestGenerator(),
        build.BuildStartEndStatusGenerator(),
    ]
