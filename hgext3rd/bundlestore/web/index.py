"""The index of a server of several repositories: those that have a bundle
store get a link to their pushes there."""

from __future__ import annotations

import os

from .. import config

#: the cell of links of a repository in all of Mercurial's styles
_CELL = b'<td class="indexlinks">'
_LINK = (
    b'{if(haspushes, \'<a href="{url|urlescape}pushes'
    b'{sessionvars%urlparameter}">pushes</a> \')}'
)


def templater(orig, *args, **kwargs):
    """Have the templates of the index show the link."""
    tmpl = orig(*args, **kwargs)
    entry = tmpl.cache.get(b'indexentry')
    if entry is not None:
        tmpl.cache[b'indexentry'] = entry.replace(_CELL, _CELL + _LINK, 1)
    return tmpl


def entries(orig, ui, repos, req, subdir=b''):
    """Tell which of the repositories have a bundle store."""
    paths = dict(repos)
    prefix = b'/'.join(
        part for part in (req.apppath.strip(b'/'), subdir.strip(b'/')) if part
    )
    for row in orig(ui, repos, req, subdir=subdir):
        if not row[b'isdirectory']:
            # Mercurial does not tell of the path
            name = row[b'url'].strip(b'/')[len(prefix) :].strip(b'/')
            path = paths.get(subdir + name)
            if path is not None and _hasstore(ui, path):
                row[b'haspushes'] = b'1'
        yield row


def _hasstore(ui, path: bytes) -> bool:
    own = ui.copy()
    own.readconfig(os.path.join(path, b'.hg', b'hgrc'))
    return bool(own.configbool(config.SECTION, b'server'))
