"""``hg admin::bundlestore-deliver``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from mercurial import error, pycompat
from mercurial.i18n import _
from mercurial.utils import dateutil

from .. import config, errors, log, model
from ..declaring import provides
from ..server import aborting, tolocal, totext
from ..words import counted
from . import message, post, webhooks
from .commands import administered
from .deliver import Deliverer, Told


def run(ui, repo, names: Iterable[bytes], opts) -> int:
    server = administered(repo)
    known = config.webhooks(ui)
    for name in names:
        if name not in known:
            raise error.InputError(
                _(b"no web hook '%s'") % name,
                hint=_(b'known web hooks: %s') % b', '.join(sorted(known)),
            )
    if not known:
        ui.status(_(b'no web hook is configured\n'))
        return 0
    command = _Command(ui, repo, server, opts)
    try:
        return int(not command.tellall(sorted(names or known)))
    except Exception as exc:
        # nobody may be there to be told
        log.event(
            ui, server, 'webhook', result='failed', reason=log.reason(exc)
        )
        raise


class _Command:
    def __init__(self, ui, repo, server, opts) -> None:
        self._ui = ui
        self._repo = repo
        self._server = server
        self._dry = bool(opts['dry_run'])
        self._now = bool(opts['now'])
        self._opts = pycompat.byteskwargs(opts)

    def tellall(self, names: list[bytes]) -> bool:
        """Tell web hooks; return whether all is well."""
        server = self._server
        with (
            aborting(),
            self._ui.formatter(b'bundlestore-deliver', self._opts) as fm,
        ):
            if not provides(server.index, 'IDeliveries'):
                raise errors.BundleStoreError(
                    'the bundle index cannot keep how far web hooks were told'
                )
            if not self._dry:
                server.checkopen()
            # one that cannot be told does not keep others waiting
            well = [self._tell(fm, name) for name in names]
        return all(well)

    def _tell(self, fm, name: bytes) -> bool:
        """Tell one web hook; return whether that is well."""
        try:
            hook = webhooks.read(self._ui, name)
        except error.Abort as exc:
            # others are well
            self._log(totext(name), 'failed', reason=exc.message)
            self._ui.warn(_(b'abort: %s\n') % exc.message)
            if exc.hint:
                self._ui.warn(_(b'(%s)\n') % exc.hint)
            return False
        if hook.isopen:
            self._ui.warn(
                _(b'warning: everybody may read the secrets of %s\n') % name
            )

        def send(push: model.Push) -> tuple[int, str]:
            return self._send(hook, push)

        deliverer = Deliverer(
            *(self._server.store, self._server.index, hook.name, send),
            force=self._now,
            dry=self._dry,
        )
        if self._dry:
            self._show(fm, hook, _owed(deliverer))
            return True
        with self._ui.makeprogress(
            _(b'telling %s') % name,
            unit=_(b'pushes'),
            total=self._server.index.owed(deliverer.state.told),
        ) as bar:

            def told() -> Iterator[Told]:
                for one in deliverer.run():
                    bar.increment()
                    yield one

            count = self._show(fm, hook, told())
        deliverer.note()
        return self._summarize(fm, deliverer, name, count)

    def _send(self, hook: webhooks.Hook, push: model.Push) -> tuple[int, str]:
        body = message.body(self._repo, self._server, push)
        id = webhooks.messageid(push)
        begin = time.monotonic()
        heads = webhooks.sign(hook, id, int(time.time()), body)
        answer = post.post(self._ui, hook, body, heads)
        self._log(
            hook.name,
            'failed' if answer.trouble else 'delivered',
            push=push.id,
            status=answer.status or None,
            milliseconds=int(1000 * (time.monotonic() - begin)),
            bytes=len(body),
            reason=answer.trouble or None,
        )
        return answer

    def _log(self, hook: str, result: str, **fields) -> None:
        found = {'hook': hook, 'result': result, **fields}
        log.event(self._ui, self._server, 'webhook', **found)

    # -- what is shown

    def _show(self, fm, hook: webhooks.Hook, found: Iterable[Told]) -> int:
        """Show what came of each push; return how many were told of."""
        count = 0
        for one in found:
            count += one.result == 'delivered'
            if one.result == 'expired':
                self._log(
                    hook.name,
                    one.result,
                    push=one.push.id,
                    reason=one.trouble or None,
                )
            fm.startitem()
            if not fm.isplain():
                fm.data(
                    hook=hook.name.encode(),
                    push=one.push.id,
                    user=tolocal(one.push.user),
                    date=fm.formatdate(dateutil.makedate(int(one.push.time))),
                    result=one.result.encode(),
                    attempt=one.attempt,
                    reason=tolocal(one.trouble),
                )
            elif one.result in ('expired', 'owed') or self._ui.verbose:
                fm.plain(_line(hook, one))
        return count

    def _summarize(
        self, fm, deliverer: Deliverer, name: bytes, count: int
    ) -> bool:
        """Show how it is with a web hook; return whether that is well."""
        state = deliverer.state
        failing = deliverer.failing()
        if fm.isplain():
            what = b''
            if deliverer.isbusy:
                what = _(b', another process is at it')
            elif failing is None:
                what = _(b', nothing is owed')
            told = counted(count, 'push').encode()
            self._ui.status(_(b'%s: told of %s%s\n') % (name, told, what))
        if failing is None:
            return True
        # also where it waits for its time, and to who wants to see no more
        self._ui.warn(
            _(b'%s: cannot be told of push %d: %s\n')
            % (name, failing.id, tolocal(state.trouble))
        )
        if state.again is None:
            self._ui.warn(_(b'(it is gone for good; --now tries it again)\n'))
        else:
            date = dateutil.makedate(int(state.again))
            self._ui.warn(
                _(b'(it is tried again after %s)\n') % fm.formatdate(date)
            )
        return False


def _owed(deliverer: Deliverer) -> Iterator[Told]:
    attempt = deliverer.state.attempts
    trouble = deliverer.state.trouble
    for push in deliverer.owed():
        yield Told(push, 'owed', trouble, attempt)
        attempt, trouble = 0, ''


def _line(hook: webhooks.Hook, one: Told) -> bytes:
    texts = {
        'delivered': _(b'told of push %d'),
        'failed': _(b'cannot be told of push %d'),
        'expired': _(b'was not told of push %d, which is too old now'),
        'owed': _(b'is to be told of push %d'),
    }
    line = b'%s: %s' % (hook.name.encode(), texts[one.result] % one.push.id)
    if one.trouble:
        line += b': ' + tolocal(one.trouble)
    return line + b'\n'
