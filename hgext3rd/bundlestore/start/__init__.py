"""What a process does before anything comes: what it wraps and loads, when."""

from __future__ import annotations

#: the package of the extension
PACKAGE = __package__.rpartition('.')[0]
