"""The contracts of a bundle store and of a bundle index.

A backend is named by a URL whose scheme selects a *factory*, a callable
``factory(url: str, place: model.Place)`` that returns a provider of
:class:`IBundleStore` or :class:`IBundleIndex`. Factories are found through
the entry-point groups ``hg_bundlestore.stores`` and
``hg_bundlestore.indexes``. A factory neither connects nor creates anything;
the first call that needs to does. It raises ``UnknownScheme`` for a URL that
means nothing to it.

What holds for every method of both contracts:

* Calls may take milliseconds and may block on a network; callers batch.
* Other threads, other processes and other machines use the same backend at
  the same time. What they published is visible at the latest to the next
  call. A provider may be used by several threads at once, and survives a
  ``fork``: it opens what it needs anew in the child.
* Nothing but the exceptions of :mod:`errors` comes out, apart from what the
  caller's own iterators raise: ``BackendUnavailable`` where the world is at
  fault (space, rights, network, time), ``UnsupportedFormat`` where the data
  is newer than the code. Either means that nothing was changed.
* Reading never creates anything: before the first write an absent store or
  index is an empty one, unless it provides :class:`ISchema`.

What not every provider can do are interfaces of their own, such as
:class:`ILocalPath`. A class declares all that its objects provide, with
``zope.interface`` or with :mod:`declaring`, which costs a process nothing;
``declaring.provides`` asks, whichever it was. A method alone declares nothing.

``hgext3rd.bundlestore.testing`` holds test suites that certify a provider,
``docs/examples`` a package with one.
"""

from __future__ import annotations

from .abilities import (
    IDeliveries,
    ILabels,
    ILandings,
    IPresence,
    IRestoreMany,
    ISchema,
    ISetAside,
    IStatuses,
)
from .both import IReserve, ISelfCheck
from .index import IBundleIndex
from .store import (
    IAhead,
    IBundleReader,
    IBundleStore,
    ICached,
    IDownloadURL,
    ILocalPath,
    IPlainReader,
    IStagedBundle,
)
from .views import IPrivacy, IViews

__all__ = [
    'IAhead',
    'IBundleIndex',
    'IBundleReader',
    'IBundleStore',
    'ICached',
    'IDeliveries',
    'IDownloadURL',
    'ILabels',
    'ILandings',
    'ILocalPath',
    'IPlainReader',
    'IPresence',
    'IPrivacy',
    'IReserve',
    'IRestoreMany',
    'ISchema',
    'ISelfCheck',
    'ISetAside',
    'IStagedBundle',
    'IStatuses',
    'IViews',
]
