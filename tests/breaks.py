"""The breaks of mutants.py, and which tests are to see them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import environments

PACKAGE = Path('hgext3rd', 'bundlestore')


class Break(NamedTuple):
    #: below the package
    file: str
    what: str
    #: a text that is there once, and what takes its place
    old: str
    new: str
    #: files of tests, or single tests
    tests: tuple[str, ...]

    def fits(self) -> bool:
        """Whether the text to replace is there, once."""
        text = (environments.ROOT / PACKAGE / self.file).read_text('utf-8')
        return text.count(self.old) == 1


BREAKS = (
    Break(
        'bundle/caches.py',
        'what an overlay computes is thrown away',
        '            if kept.islate(found):\n                kept.need()\n'
        '            elif found',
        '            if found',
        ('test_caches.py::test_pages',),
    ),
    Break(
        'bundle/replica.py',
        'what was of no use is run at once again',
        'if not alone or not _maytry(server.cache):',
        'if not alone:',
        ('test_frontends.py::test_of_no_use',),
    ),
    Break(
        'keep/leftovers.py',
        'a bookmark goes for what is not here yet',
        'if self._base.has(mark.node) or self._base.lags:',
        'if self._base.has(mark.node):',
        ('test_frontends.py::test_keeping_order',),
    ),
    Break(
        'cachefolder.py',
        'a damaged file is read',
        'if header == _HEADER.pack(_KIND, checksum):',
        'if header:',
        ('test_cachefolder.py::test_damaged_files_are_not_there',),
    ),
    Break(
        'stores/cachefiles.py',
        'a copy that rotted is used',
        'if not checked and not _istrue(fp, key):',
        'if not checked and not fp:',
        ('test_storecache.py::test_a_rotten_copy_is_fetched_again',),
    ),
    Break(
        'stores/cachefiles.py',
        'a copy goes while somebody reads it',
        'if _lock(fp.fileno(), alone=True):',
        'if fp:',
        ('test_storecache.py::test_a_plain_file_of_a_bundle',),
    ),
    Break(
        'stores/cache.py',
        'everybody fetches the same bundle',
        'return self._cached(key) or self._fetch(key)',
        'return self._fetch(key)',
        ('test_storecache.py::test_many_processes_fetch_once',),
    ),
    Break(
        'keep/audit.py',
        'copies are checked in the place of the store',
        "if provides(self._store, 'ICached'):",
        "if provides(self._store, 'ILocalPath'):",
        ('test_storecache_pulls.py::test_rot[path]',),
    ),
    Break(
        'stores/running.py',
        'any exit code says that something is not there',
        'if code and code not in ABSENT:',
        'if code < 0:',
        ('test_storecommand.py::test_failures_are_told',),
    ),
    Break(
        'keep/metrics.py',
        'a store that does not work is up',
        'int(not troubles)',
        '1',
        ('test_metrics.py::test_whatever_is_wrong',),
    ),
    Break(
        'keep/metrics.py',
        'what takes long is counted as often as anything',
        'max(_AGE, _SHARE * took)',
        '_AGE',
        ('test_metrics.py::test_who_asks_often_does_not_keep_the_server_busy',),
    ),
    Break(
        'push/receive.py',
        'who may not push to the store does',
        '        access.checkpush(self.ui, self.user)\n',
        '',
        ('test_badinput.py::test_denied',),
    ),
    Break(
        'push/receive.py',
        'a push may stand for a bundle with other changesets',
        'bundle is None or bundle.key != key or self',
        'bundle is None or self',
        ('test_incremental.py::test_nonsense_instead_of_changesets',),
    ),
    Break(
        'push/check.py',
        'changesets are not hashed',
        'if self._hashes and not istrue(entry, text):',
        'if not self._hashes and not istrue(entry, text):',
        ('test_check.py::test_wrong_hash',),
    ),
    Break(
        'push/check.py',
        'one changeset more than is allowed',
        'if self._max and len(self.parents) >= self._max:',
        'if self._max and len(self.parents) > self._max:',
        ('test_check.py::test_too_many_changesets',),
    ),
    Break(
        'push/check.py',
        'a file may be in .hg',
        "        checkfilename(name[:-1] if name.endswith(b'/') else name)\n",
        '',
        ('test_check.py::test_names_of_files',),
    ),
    Break(
        'push/parts.py',
        'something may follow the changegroup',
        '        stored.data = _nothingmore(stored.data, part)\n',
        '',
        ('test_badinput.py::test_garbage_behind_the_changesets',),
    ),
    Break(
        'push/limits.py',
        'one push more than the rate allows',
        'if len(made) < rate.pushes:',
        'if len(made) <= rate.pushes:',
        ('test_limits.py::test_rate',),
    ),
    Break(
        'push/limits.py',
        'what does not say its size may have any',
        'if self._maxsize and size > self._maxsize:',
        'if self._maxsize and size < 0:',
        ('test_badinput.py::test_too_large',),
    ),
    Break(
        'push/route.py',
        'one flipped bit lets a scratch push land',
        'name.upper() == PARAMETER',
        'name == PARAMETER',
        ('test_badinput.py::test_what_asks_for_the_store_in_lower_case',),
    ),
    Break(
        'push/hooks.py',
        'a hook cannot refuse a push',
        '        file,\n        True,\n',
        '        file,\n        False,\n',
        ('test_hooks.py::test_refusal',),
    ),
    Break(
        'push/moves.py',
        'a hook cannot refuse the move of a bookmark',
        '    hooks.premove(event)\n',
        '',
        ('test_moves.py::test_moves_have_limits_and_hooks',),
    ),
    Break(
        'fetch/verbatim.py',
        'what is secret goes out under a false flag',
        "if wanted.server.settings.verify == 'none':",
        "if wanted.server.settings.verify == 'never':",
        ('test_pull.py::test_secret_changeset_under_a_false_flag',),
    ),
    Break(
        'fetch/verbatim.py',
        'more is sent than was asked for',
        'graph.heads(parents) <= asked and ',
        '',
        ('test_verbatim.py::test_same_as_an_overlay',),
    ),
    Break(
        'fetch/serve.py',
        'a try URL lists the bookmarks of the base',
        '        if not server.settings.routeall:\n            marks.update(',
        '        if True:\n            marks.update(',
        ('test_tryurl.py::test_bookmarks_of_the_base_are_not_listed',),
    ),
    Break(
        'fetch/keys.py',
        'what was pushed turns public',
        "    keys.update((hex(node), b'1') for node in server.scratchroots)\n",
        '',
        ('test_pull.py::test_bundle1_client_and_what_the_base_does_not_show',),
    ),
    Break(
        'fetch/pushlist.py',
        'the last push of a page begins the next, too',
        "answer['next'] = push.id - 1 or None",
        "answer['next'] = push.id or None",
        ('test_pushes.py::test_several_pages',),
    ),
    Break(
        'bundle/overlay.py',
        'an overlay writes the caches of the base',
        '    caches.protect(overlay, base, of(repo))\n',
        '',
        ('test_web_pages.py::test_seen_at_once_by_all',),
    ),
    Break(
        'bundle/sound.py',
        'no other bundle takes the place of a damaged one',
        '        if others == keys:\n            raise\n',
        '        raise\n',
        ('test_healing.py::test_other_bytes_of_the_same_changesets_serve',),
    ),
    Break(
        'bundle/changegroup.py',
        'flags get lost in version 02',
        'if entry.flags & ~FLAG_CENSORED:',
        'if entry.flags & FLAG_CENSORED:',
        ('test_changegroup.py::test_flags_that_02_cannot_carry',),
    ),
    Break(
        'web/hardening.py',
        'names of people are markup',
        "return re.sub(rb'[<>\"]', b'', stringutil.person(author))",
        'return stringutil.person(author)',
        ('test_web_hostile.py::test_names_of_people',),
    ),
    Break(
        'web/refusals.py',
        'a request ends a line of the head',
        "rb'[^ -~]'",
        "rb'[^ -~\\r\\n]'",
        ('test_web_hostile.py::test_status_line_is_one_line',),
    ),
    Break(
        'web/permissions.py',
        'who may push to the store may read all',
        '            checkauthz(rctx, req, None)\n',
        '',
        ('test_permissions.py::test_who_may_not_read_may_not_push',),
    ),
    Break(
        'web/download.py',
        'bundles are for those who may not pull, too',
        "        hook(web, web.req, b'pull')\n",
        '        pass\n',
        ('test_web_bundles.py::test_not_for_those_who_may_not_pull',),
    ),
    Break(
        'web/download.py',
        'a range lacks its last byte',
        'end = min(int(last) + 1, size) if last',
        'end = min(int(last), size) if last',
        ('test_web_bundles.py::test_ranges',),
    ),
    Break(
        'web/pushlog.py',
        'a page begins with what ended the last',
        'older = first - 1',
        'older = first',
        ('test_web_pushlog.py::test_pages',),
    ),
    Break(
        'web/scratch.py',
        'an overlay stays open when its page is through',
        '        if view is not None:\n            view.close()\n',
        '',
        ('test_web_pages.py::test_seen_at_once_by_all',),
    ),
    Break(
        'client/pull.py',
        'a hash may be the name of something else over there',
        'if not _HASH.match(name) or hex(node).startswith(name)',
        'if node',
        ('test_autopull.py::test_hash_that_is_a_name_elsewhere',),
    ),
    Break(
        'client/push.py',
        'a scratch push goes to a server without a store',
        'if not remote.capable(names.CAPABILITY):',
        'if not remote.capable(b"unbundle"):',
        ('test_push.py::test_server_without_the_extension',),
    ),
    Break(
        'client/push.py',
        'what was fetched lands by mistake',
        '        fromstore.check(pushop)\n',
        '        pass\n',
        ('test_fromstore.py::test_plain_push',),
    ),
    Break(
        'client/storeless.py',
        'a password is written into the cache',
        'url.user = url.passwd = None',
        'url.user = None',
        ('test_asking.py::test_no_password_is_remembered',),
    ),
    Break(
        'wire/values.py',
        'numbers have as many digits as they like',
        'value.isdigit() and len(value) <= _MAX_DIGITS and',
        'value.isdigit() and',
        ('test_pushes.py::test_hostile_arguments',),
    ),
    Break(
        'wire/values.py',
        'one may ask about any number of changesets',
        'if len(nodes) > MAX_NODES or any(',
        'if any(',
        ('test_incremental.py::test_nonsense_asked',),
    ),
    Break(
        'wire/exchange.py',
        'an answer that makes no sense is a traceback',
        '        LookupError,\n',
        '',
        ('test_pushes.py::test_answers_that_make_no_sense',),
    ),
    Break(
        'keep/removal.py',
        'anybody removes what others pushed',
        'if push.user != user:',
        'if not push.user:',
        ('test_removal.py::test_by_who_made_it',),
    ),
    Break(
        'keep/removing.py',
        'the bundle of a lost push goes',
        '        if key in self._run.protected:\n            return\n',
        '',
        ('test_removal.py::test_bundles_of_lost_pushes_stay',),
    ),
    Break(
        'keep/leftovers.py',
        'what is being pushed is an orphan',
        'if self._run.store.modified(key) < young:',
        'if self._run.store.modified(key):',
        ('test_housekeeping.py::test_orphans_and_strays_go_after_a_time',),
    ),
    Break(
        'keep/removing.py',
        'a push goes before its note is marked',
        '            notes.write(self._run.store, current, removed=True)\n',
        '            pass\n',
        ('test_removal.py::test_what_others_rest_on_stays',),
    ),
    Break(
        'stores/file.py',
        'a bundle is not durable when the push is told of',
        '            fileops.syncfolder(folder)\n            if',
        '            if',
        ('test_fileops.py::test_first_push',),
    ),
    Break(
        'stores/reader.py',
        'a rotten bundle is not noticed',
        ' and self._hash.hexdigest() == self._key:',
        ':',
        (
            'test_backends.py::TestFileStore::test_rot_is_never_handed_out_whole',
        ),
    ),
    Break(
        'stores/file.py',
        'what fails on its way stays',
        '            temporary.abandon()\n',
        '            pass\n',
        ('test_badinput.py::test_wrong_hash',),
    ),
    Break(
        'stores/file.py',
        'the name of a stray leads out of the folder',
        'if not isinstance(name, str) or not _STRAY.fullmatch(name):',
        'if not isinstance(name, str):',
        ('test_backends.py::TestFileStore::test_hostile_strays',),
    ),
    Break(
        'indexes/sql/usage.py',
        'a quota is one byte less',
        'if size + more > quota:',
        'if size + more >= quota:',
        ('test_backends.py::TestFileIndex::test_quota',),
    ),
    Break(
        'indexes/sql/lists.py',
        'a page of pushes of one time leaves some out',
        "f'(push.time, push.id) {sign} (?, ?)'",
        "f'(push.time, 0) {sign} (?, ?)'",
        ('test_indexfile.py::test_texts_are_compared_some_at_a_time',),
    ),
    Break(
        'indexes/sql/pushes.py',
        'two moves of one bookmark both win',
        'if not move.force and actual != move.old:',
        'if not move.force and actual is None != move.old:',
        ('test_backends.py::TestFileIndex::test_one_of_many_moves_a_bookmark',),
    ),
    Break(
        'indexes/sql/pushes.py',
        'what is pinned goes',
        'if not evenpinned and _ispinned(sql, id):',
        'if evenpinned and _ispinned(sql, id):',
        (
            'test_backends.py::TestFileIndex::test_pinned_push_is_not_removed_by_mistake',
        ),
    ),
    Break(
        'start/wraps.py',
        'a try URL without its hgrc takes changes',
        '        config.maketryurl(repo.ui)\n',
        '        pass\n',
        ('test_tryurl.py::test_hgrc_that_is_not_read',),
    ),
    Break(
        'start/wraps.py',
        'half an extension goes on',
        '    if _failures:\n        raise',
        '    if not repo:\n        raise',
        (
            'test_tryurl.py::test_half_an_extension_is_none',
            'test_startup.py::test_mercurial_that_lacks_what_is_wrapped',
        ),
    ),
    Break(
        'server.py',
        'what is secret is a parent to push on',
        'return servedview(repo).changelog.hasnode(node)',
        'return repo.unfiltered().changelog.hasnode(node)',
        ('test_badinput.py::test_secret_parent',),
    ),
    Break(
        'server.py',
        'a bookmark from afar is read in our encoding',
        '    local: bytes = encoding.tolocal(name)\n    return local',
        '    return name',
        ('test_encoding.py::test_scratch_bookmarks',),
    ),
    Break(
        'lookup.py',
        'an ambiguous prefix is the first that it may be',
        'if len(matches) > 1:',
        'if len(matches) > 99:',
        ('test_pull.py::test_ambiguous_prefix',),
    ),
    Break(
        'bookmarks.py',
        'the bookmarks of others may be moved',
        'len(parts) < 3 or not user or parts[1] != user',
        'len(parts) < 3 or not user',
        ('test_bookmarks.py::test_owner',),
    ),
    Break(
        'bookmarks.py',
        'a bookmark goes back without force',
        'if not _isforward(repo, move.old, move.new, parents):',
        'if move.old == move.new:',
        ('test_bookmarks.py::test_moves_forward_only',),
    ),
    Break(
        'access.py',
        'who is nobody is not refused',
        'if (deny and (not name or _listed(deny, name)))',
        'if (deny and _listed(deny, name))',
        ('test_badinput.py::test_anonymous_users',),
    ),
    Break(
        'log.py',
        'a value ends its line',
        "rb'[^ !#-\\[\\]-~]'",
        "rb'[^ !#-\\[\\]-~\\n]'",
        ('test_logging.py::test_values',),
    ),
    Break(
        'tryurl.py',
        'all the group may write the hgrc of a try URL',
        '0o644 if own else 0o666',
        '0o666',
        ('test_tryurl.py::test_group_and_mode_of_the_base',),
    ),
)
