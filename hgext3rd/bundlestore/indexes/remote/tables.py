"""The tables of an index in a server of databases.

They are those of ``sqlite/schema.py``, which tells what is in them, in types
that each server has a name for, and these:

* ``gate``: one row, the version of the tables. Who writes locks it: alone, or
  together with others;
* ``stripe``: what those who write together lock of what they look at;
* ``counter``: who makes changes locks it until the end of the transaction, so
  that numbers become visible in order;
* ``word``: the words of the texts, see ``search.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...records import NamedTuple
from ..sql import labels

#: changes with the tables
VERSION = 5

#: so many names are locked apart from each other
STRIPES = 256


class Table(NamedTuple):
    name: str
    #: names, each with its type
    columns: str
    #: columns of the primary key, empty where there is but one row
    primary: str = ''
    #: names and columns of further indexes
    indexes: Mapping[str, str] = {}
    #: those of them in which nothing comes twice
    unique: tuple[str, ...] = ()
    #: with which version it came
    since: int = 1


#: Types: ``id``, ``number`` (64 bits), ``small``, ``time`` (a float), ``node``
#: and ``digest`` (20 and 32 bytes), ``blob`` (bytes), ``name`` (as
#: ``model.NAME_LENGTH``), ``word`` (see ``search.LONGEST``), ``text``. Texts
#: are compared and sorted by the numbers of their characters. A column may be
#: empty if its type ends in ``?``.
TABLES = (
    Table(
        'bundle',
        'id id, digest digest, size number, nodes blob',
        'id',
        {'bundle_digest': 'digest'},
        ('bundle_digest',),
    ),
    Table(
        'head',
        'bundle id, position id, node node, title text',
        'bundle, position',
    ),
    Table('description', 'bundle id, text text', 'bundle'),
    Table('rest', 'bundle id, base id', 'bundle, base', {'rest_base': 'base'}),
    Table(
        'kept',
        'push id, bundle id',
        'push',
        {'kept_bundle': 'bundle'},
        ('kept_bundle',),
    ),
    Table('below', 'bundle id, nodes blob', 'bundle'),
    Table(
        'push',
        'id id, time time, username name, bundle id, moves id',
        'id',
        {
            'push_user': 'username, id',
            'push_bundle_user': 'bundle, username',
            'push_time': 'time, id',
            'push_user_time': 'username, time, id',
        },
    ),
    Table('node', 'node node, place small, push id', 'node, place, push'),
    Table('pin', 'push id', 'push'),
    Table('holder', 'username name, pushes number, size number', 'username'),
    Table(
        'move',
        'push id, position id, name name, node node?',
        'push, position',
        {'move_name': 'name'},
    ),
    Table(
        'event',
        'id id, time time, username name',
        'id',
        {'event_user_time': 'username, time'},
    ),
    Table(
        'bookmark',
        'name name, node node, push id?, move id?, username name, time time?',
        'name',
        {'bookmark_user': 'username'},
    ),
    Table(
        'pushvar', 'push id, position id, text text', 'push, position', since=2
    ),
    Table(
        'status',
        'push id, context name, state name, url text, description text,'
        ' time time, username name',
        'push, context',
        since=2,
    ),
    Table(
        'delivery',
        'name name, told id, attempts number, again time?, trouble text,'
        ' worker name, lease time, edition number',
        'name',
        since=3,
    ),
    Table(
        'landing',
        'push id, node node, landed node, time time, username name',
        'push, node',
        since=3,
    ),
    Table(
        'label',
        'name name, push id',
        'name, push',
        {'label_push': 'push, name'},
        since=3,
    ),
    Table(
        'viewnow',
        'id id, uid name, owner name, name name, version number, time time,'
        ' username name, machine name, writers text, dropped small,'
        ' heads number, bookmarks number',
        'id',
        {'viewnow_uid': 'uid', 'viewnow_name': 'owner, name'},
        ('viewnow_uid', 'viewnow_name'),
        since=4,
    ),
    Table('viewstate', 'viewid id, text text', 'viewid', since=4),
    Table(
        'viewnode',
        'viewid id, name name, node node',
        'viewid, name, node',
        {'viewnode_node': 'node, viewid'},
        since=4,
    ),
    Table(
        'viewlog',
        'viewid id, version number, time time, username name, machine name,'
        ' added blob, removed blob, bookmarks text, name name, writers text,'
        ' dropped small',
        'viewid, version',
        {'viewlog_time': 'time, viewid, version'},
        since=4,
    ),
    Table('private', 'bundle id, uid name', 'bundle', since=5),
    Table(
        'word', 'word word, push id', 'word, push', {'word_push': 'push, word'}
    ),
    Table('stripe', 'id small', 'id'),
    Table('counter', 'given id'),
    # the last, as what it says holds of all of them
    Table('gate', 'version id'),
)
_FIRST = (
    f'INSERT INTO stripe VALUES {", ".join(f"({n})" for n in range(STRIPES))}',
    'INSERT INTO counter VALUES (0)',
    f'INSERT INTO gate VALUES ({VERSION})',
)
#: empties an index
EMPTYING = (
    *(
        f'DELETE FROM {table.name}'
        for table in TABLES
        if table.name not in ('stripe', 'gate', 'counter')
    ),
    'UPDATE counter SET given = 0',
)


def statements(
    types: Mapping[str, str], inside: bool, version: int = 0
) -> Iterator[str]:
    """Yield what makes the tables, or those that a ``version`` lacks. Where it
    broke off, as each statement may be a transaction, it can begin again.
    Whether further indexes are made with their table is told by ``inside``."""
    for table in TABLES:
        if table.since <= version:
            continue
        columns = [
            _column(types, *c.split()) for c in table.columns.split(', ')
        ]
        if table.primary:
            columns.append(f'PRIMARY KEY ({table.primary})')
        further = []
        for name, its in table.indexes.items():
            unique = 'UNIQUE ' if name in table.unique else ''
            if inside:
                columns.append(f'{unique}KEY {name} ({its})')
            else:
                further.append(
                    f'CREATE {unique}INDEX IF NOT EXISTS {name}'
                    f' ON {table.name} ({its})'
                )
        yield f'CREATE TABLE IF NOT EXISTS {table.name} ({", ".join(columns)})'
        yield from further
    if version:
        if version < labels.SINCE:
            yield 'DELETE FROM label'
            yield labels.FILL
        yield f'UPDATE gate SET version = {VERSION}'
        return
    for single in ('stripe', 'counter', 'gate'):
        yield f'DELETE FROM {single}'
    yield from _FIRST


def _column(types: Mapping[str, str], name: str, kind: str) -> str:
    column = f'{name} {types[kind.rstrip("?")]}'
    return column if kind.endswith('?') else f'{column} NOT NULL'
