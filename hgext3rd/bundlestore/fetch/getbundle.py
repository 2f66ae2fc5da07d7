"""The answer to ``getbundle``: a pull, of what is stored or of the base."""

from __future__ import annotations

import functools

from mercurial import error, exchange
from mercurial.i18n import _

from .. import log, model, server as servermod
from ..bundle import overlay, sound
from ..server import hasnode, servedview
from ..start.wraps import inplaceof
from . import narrow, neighbours, verbatim
from .wanted import Wanted


class _Chunks:
    """The chunks of an answer. What gives them, ``view``, is closed at their
    end, or when nobody wants them any more. Then ``done(bytes, trouble)`` is
    called; ``trouble`` is None if all went well.

    With ``telling``, they tell of an error themselves, by the part that
    Mercurial puts in then, and end. Raised, it would be told again over ssh,
    and a web server would answer with a second response.
    """

    def __init__(self, chunks, view, done, telling: bool = False) -> None:
        self._chunks = iter(chunks)
        self._view = view
        self._done = done
        self._telling = telling
        self._bytes = 0

    def __iter__(self):
        return self

    def __next__(self):
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._end(None)
            raise
        except Exception as exc:
            self._end(log.reason(exc))
            turned = sound.readable(exc)
            if (
                self._telling
                and self._bytes
                and isinstance(turned, error.Abort)
            ):
                raise StopIteration from exc
            if turned is exc:
                raise
            raise turned from exc
        except BaseException as exc:
            self._end(log.reason(exc))
            raise
        self._bytes += len(chunk)
        return chunk

    def close(self) -> None:
        self._end(b'the client has gone')

    __del__ = close

    def _end(self, trouble: bytes | None) -> None:
        if self._view is not None:
            view, self._view = self._view, None
            view.close()
            self._done(self._bytes, trouble)


@inplaceof('exchange.getbundlechunks')
def getbundlechunks(orig, repo, source, heads=None, *args, **kwargs):
    server = servermod.of(repo)
    if server is None or not heads:
        return orig(repo, source, heads, *args, **kwargs)
    located = server.locate(repo, heads)
    if not located:
        return orig(repo, source, heads, *args, **kwargs)
    if source != b'serve':
        log.newrequest(server)
    with log.refusals(repo.ui, server, server.request.client, 'pull'):
        try:
            return _storedchunks(
                orig, repo, server, located, source, heads, *args, **kwargs
            )
        except sound.Lacking as exc:
            sound.catchup(repo, server, exc)
        # some of them may have landed by now
        located = server.locate(repo, heads)
        if located:
            return _storedchunks(
                orig, repo, server, located, source, heads, *args, **kwargs
            )
    return orig(repo, source, heads, *args, **kwargs)


def _storedchunks(orig, repo, server, located, source, heads, *args, **kwargs):
    """Answer a request for ``heads`` of which those in ``located`` are scratch
    changesets."""

    def done(size: int, trouble: bytes | None, **fields) -> None:
        log.event(
            repo.ui,
            server,
            'served' if trouble is None else 'brokenoff',
            user=lambda: server.request.user,
            by=log.way(server.request.client),
            heads=log.nodes(located),
            bundles=len(model.chain(located.values())),
            bytes=size,
            reason=trouble,
            **fields,
        )

    wanted = Wanted(repo, server, located, source, heads, *args, **kwargs)

    def prepared(keys: list[str]):
        if narrow.isasked(wanted):
            view = overlay.openlocated(repo, server, located, keys)
            return narrow.prepare(wanted, view), view
        sound.checklarge(repo, server, located, keys)
        answer = verbatim.prepare(wanted, located, keys)
        if answer is not None:
            return answer, None
        return None, overlay.openlocated(repo, server, located, keys)

    answer, view = sound.serving(repo, server, located, prepared)
    if answer is not None:
        server.rememberroots(answer.roots)

        def sent(size: int, trouble: bytes | None) -> None:
            done(size, trouble or answer.trouble, **answer.description)

        try:
            return answer.info, _Chunks(answer.chunks(), answer, sent)
        except BaseException:
            answer.close()
            raise
    isbundle2 = exchange.bundle2requested(kwargs.get('bundlecaps'))
    try:
        if not isbundle2:
            _checkoldclient(repo, server)
        server.rememberroots(overlay.scratchroots(view))
        if kwargs.get('bundlecaps'):
            # here those of the base come along with the others
            kwargs['bundlecaps'] = neighbours.withfiles(kwargs['bundlecaps'])
        with sound.reading():
            info, chunks = orig(
                servedview(view), source, heads, *args, **kwargs
            )
    except BaseException:
        view.close()
        raise
    told = functools.partial(done, way='overlay')
    return info, _Chunks(chunks, view, told, isbundle2 and source == b'serve')


def _checkoldclient(repo, server) -> None:
    """Refuse a client that learns of phases in a request of its own, where
    nothing tells that it pulled scratch changesets: over http."""
    if (
        server.request.ishttp
        and repo.publishing()
        and not server.settings.routeall
    ):
        raise error.Abort(
            _(b'a client without bundle2 would turn these changesets public'),
            hint=_(b'pull from %s, or over ssh')
            % (
                repo.ui.config(b'bundlestore', b'try-url')
                or _(b"the repository's try URL")
            ),
        )


@inplaceof('wireprotov1server.find_pullbundle')
def findpullbundle(orig, repo, proto, opts, clheads, heads, common):
    """``server.pullbundle`` looks for the revision number of each head and
    has none for a scratch one."""
    if servermod.of(repo) is not None and not all(
        hasnode(repo, head) for head in heads
    ):
        return None
    return orig(repo, proto, opts, clheads, heads, common)
