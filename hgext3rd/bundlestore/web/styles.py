"""Our part of hgweb's styles.

A template of ours is a file ``templates/STYLE/NAME.tmpl``; those in
``common`` go with every style. They are added to the style that Mercurial has
read, and never take the place of one that an administrator's own style has.
"""

from __future__ import annotations

import copy
import functools
import os

from mercurial import registrar
from mercurial.hgweb import webutil
from mercurial.node import bin, hex
from mercurial.utils import dateutil

from ..fetch import landed
from ..server import hasnode, tolocal
from . import addresses, outcomes, selection

_FOLDER = os.path.join(os.path.dirname(__file__), 'templates')
#: what the page of a scratch changeset says in JSON besides
_PUSHFIELDS = b""",
  "pushid": {if(pushid, pushid|json, "null")},
  "pushdate": {if(pushid, pushdate|json, "null")},
  "pushuser": {if(pushid, pushuser|utf8|json, "null")}
  }"""
#: whose templates go with Mercurial's styles, and with those that it does not
#: know; styles that are no pages have none, or are named here
_OURS = {
    b'paper': 'paper',
    b'coal': 'paper',
    b'gitweb': 'gitweb',
    b'monoblue': 'monoblue',
    b'atom': 'atom',
    b'json': None,
    b'raw': None,
    b'rss': None,
}
_OTHER = 'spartan'
#: What the menus of Mercurial's styles have, and what comes after it (before
#: it, for a heading). A style may have it in another form: where it is not
#: met, the link to the push log goes with the form for a search.
_MENUS = {
    'paper': (
        (
            b'branches</a></li>\n',
            b'branches</a></li>\n<li>{bundlestorenav}</li>\n',
        ),
        (
            b'<li class="active">branches</li>\n',
            b'<li class="active">branches</li>\n<li>{bundlestorenav}</li>\n',
        ),
    ),
    'gitweb': (
        (b'branches</a> |', b'branches</a> |\n{bundlestorenav} |'),
        (b'\nbranches |', b'\nbranches |\n{bundlestorenav} |'),
    ),
    'monoblue': (
        (
            b'branches</a></li>\n',
            b'branches</a></li>\n<li>{bundlestorenav}</li>\n',
        ),
        (
            b'<li class="current">branches</li>\n',
            b'<li class="current">branches</li>\n<li>{bundlestorenav}</li>\n',
        ),
    ),
    'spartan': (
        (b'<div class="buttons">', b'<div class="buttons">\n{bundlestorenav}'),
        # it has no form that all pages share
        (
            b'<table id="changesetEntry">',
            b'{scratchbanner}<table id="changesetEntry">',
        ),
    ),
}


class _Templates(dict):
    """The texts of the templates of a style. Those that it has, and those that
    it reads when they are first used, get what is ours in the menus; what
    ``update`` adds is ours already."""

    def __init__(self, texts, menus) -> None:
        super().__init__()
        self._menus = menus
        #: whether a menu with our link was read
        self.hasmenu = False
        for name, text in texts.items():
            self[name] = text

    def __setitem__(self, name, text) -> None:
        for old, new in self._menus:
            if old in text:
                text = text.replace(old, new, 1)
                self.hasmenu = True
        super().__setitem__(name, text)


@functools.cache
def _read(folder: str) -> dict[bytes, bytes]:
    """Return the templates in one of our folders by name."""
    found = {}
    path = os.path.join(_FOLDER, folder)
    for filename in sorted(os.listdir(path)):
        name, extension = os.path.splitext(filename)
        if extension == '.tmpl':
            with open(os.path.join(path, filename), 'rb') as fh:
                found[name.encode()] = fh.read().rstrip(b'\n')
    return found


def extend(rctx, server) -> None:
    """Add our templates to those of the request."""
    tmpl = rctx.tmpl
    view = getattr(rctx.res, 'bundlestoreview', None)
    style = tmpl.defaults[b'style']
    folder = _OURS.get(style, _OTHER)
    if style == b'json' and view is not None:
        node = _own(rctx, view)
        if node is not None:
            _tellpush(rctx, server, node)
            _addfields(tmpl)
    if folder is None:
        return
    ours = _read(folder)
    if folder != 'atom':
        ours = {**_read('common'), **ours}
        _addmenu(tmpl, _MENUS[folder])
    tmpl.cache.update((n, text) for n, text in ours.items() if n not in tmpl)
    if folder == 'atom':
        if rctx.req.qsparams.get(b'cmd') == b'pushes':
            address = addresses.parts(rctx)
            tmpl.defaults[b'urlbase'] = address.base
            tmpl.defaults[b'url'] = address.path + b'/'
        return
    if view is not None:
        _mark(rctx, server, view)


def _addmenu(tmpl, menus) -> None:
    """Have the pages of a style link to the push log."""
    templates = _Templates(tmpl.cache, menus)
    tmpl._loader.cache = templates

    keyword = registrar.templatekeyword(tmpl.defaults)

    @keyword(b'bundlestoremenu', requires=())
    def bundlestoremenu(context, mapping):
        return b'1' if templates.hasmenu else b''

    _addto(tmpl, b'searchform', b'{if(bundlestoremenu, "", bundlestorecorner)}')


def _addto(tmpl, name: bytes, text: bytes) -> None:
    """Have a template of the style end with ``text``. Where a style has no
    such template of one piece, it goes without."""
    if name in tmpl.cache:
        tmpl.cache[name] += text


def _mark(rctx, server, view) -> None:
    """Mark scratch changesets wherever the style shows the tags of one, and
    tell on a scratch changeset's own page where it comes from."""
    scratchnodes = _scratchnodes(view)
    keyword = registrar.templatekeyword(rctx.tmpl.defaults)

    @keyword(b'isscratch', requires=())
    def isscratch(context, mapping):
        node = context.symbol(mapping, b'node')
        return b'1' if node in scratchnodes else b''

    _addto(rctx.tmpl, b'alltags', b'{if(isscratch, scratchtag)}')
    node = _own(rctx, view)
    if node is not None:
        _addbanner(rctx, server, node)


def _scratchnodes(view) -> set[bytes]:
    cl = view.unfiltered().changelog
    return {hex(cl.node(rev)) for rev in view.scratchrevs}


def _own(rctx, view) -> bytes | None:
    """Return the scratch changeset whose own page this is, if it is one."""
    symbol: bytes = rctx.req.qsparams.get(b'node', b'').rpartition(b':')[2]
    if rctx.req.qsparams.get(b'cmd') not in (b'rev', b'changeset'):
        return None
    return symbol if symbol in _scratchnodes(view) else None


def _addbanner(rctx, server, node: bytes) -> None:
    """Tell who pushed the changeset, when, and how to get it."""
    _tellpush(rctx, server, node)
    defaults = rctx.tmpl.defaults
    defaults[b'scratchnode'] = node
    defaults[b'scratchurl'] = addresses.of(rctx)
    if b'pushid' in defaults:
        id = defaults[b'pushid']
        defaults[b'scratchoutcome'] = outcomes.of(server, [id]).get(id, b'')
        defaults[b'landings'] = _landings(rctx, server, id, bin(node))
    if b'searchform' in rctx.tmpl:
        _addto(rctx.tmpl, b'searchform', b'{scratchbanner}')


def _landings(rctx, server, id: int, node: bytes):
    """Return where a scratch changeset landed under another hash, empty if it
    did not."""
    scratchnodes = _scratchnodes(rctx.repo.unfiltered())

    def isbase(other: bytes) -> bool:
        return hex(other) not in scratchnodes and hasnode(rctx.repo, other)

    found = landed.landings(server, isbase, {id: ()}).get(id, ())
    its = [one for one in found if one.node == node]
    return outcomes.listed(its) if its else b''


def _tellpush(rctx, server, node: bytes) -> None:
    """Have the keywords of Mozilla's styles tell of the newest push that has
    the changeset."""
    push = selection.newest(server, bin(node))
    if push is None:
        return
    defaults = rctx.tmpl.defaults
    defaults[b'pushid'] = push.id
    defaults[b'pushuser'] = tolocal(push.user)
    defaults[b'pushdate'] = dateutil.makedate(int(push.time))
    defaults[b'scratchuservars'] = linkvars(
        rctx.tmpl, {b'user': push.user.encode('utf-8')}
    )


def _addfields(tmpl) -> None:
    """Have the page of a changeset in JSON end with those, unless the style
    has them."""
    tmpl.load(b'changeset')
    start, brace, _rest = tmpl.cache[b'changeset'].rpartition(b'}')
    if brace and b'"pushid"' not in start:
        tmpl.cache[b'changeset'] = start.rstrip() + _PUSHFIELDS


def linkvars(tmpl, parameters: dict[bytes, bytes]):
    """Return the parameters of a link for ``{NAME%urlparameter}``: the style
    that the page has, unless ``tmpl`` is None, and those given, all bytes."""
    if tmpl is None:
        result = webutil.sessionvars({})
    else:
        result = copy.copy(tmpl.defaults[b'sessionvars'])
    for name, value in parameters.items():
        result[name] = value
    return result
