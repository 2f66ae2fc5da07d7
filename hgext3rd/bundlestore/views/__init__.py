"""Views on the server: named sets of heads and bookmarks, each of a user.

``answer.py`` tells what there is, ``change.py`` who may change what. The index
holds them (``interfaces.IViews``), notes beside the bundles do, too
(``stores/viewnotes.py``), and ``keep/`` ages them.
"""
