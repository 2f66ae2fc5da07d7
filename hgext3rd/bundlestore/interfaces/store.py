"""The contract of a bundle store, and what not every store can do."""

from __future__ import annotations

from zope.interface import Attribute, Interface

# zope.interface describes methods without ``self``


class IBundleReader(Interface):
    """The bytes of one stored bundle, to be read once from front to end.

    It is a context manager; leaving it closes it.
    """

    size = Attribute('int: number of bytes in the whole bundle')

    def read(size: int = -1) -> bytes:
        """Return up to ``size`` bytes (all that are left if negative), and
        ``b''`` only at the end.

        The bytes are hashed on the way. The last of them are handed out only
        after the whole matched the key; ``CorruptBundle`` is raised in their
        place otherwise. A consumer that sees the end has seen true data.
        ``stores.reader.VerifyingReader`` does this with any raw file.
        """

    def close() -> None:
        """Let go of the resources; may be called again."""


class IPlainReader(IBundleReader):
    """A reader whose bytes were hashed and found true before the first of
    them is handed out, and are in a plain file of this machine."""

    path = Attribute(
        'bytes: the absolute path of that file, which the caller only reads;'
        ' it stays there until the reader is closed'
    )


class IStagedBundle(Interface):
    """A bundle that is written and durable but not visible yet.

    It is a context manager: leaving it without :meth:`publish` discards it.
    """

    key = Attribute('str: the key it will have')
    size = Attribute('int: number of bytes')

    def open() -> IBundleReader:
        """Return a reader of the staged bytes."""

    def publish() -> None:
        """Make the bundle visible under :attr:`key`.

        When it returns, the bundle survives the loss of power. A bundle that
        is there under the key already is replaced by these (same) bytes: a
        lost or rotten one is healed that way. Readers see the old one, the
        new one or, before the first publish, none; never a part. Does nothing
        when called again.
        """

    def discard() -> None:
        """Drop the staged bytes. Does nothing after :meth:`publish` or when
        called again."""


class IBundleStore(Interface):
    """Bytes by key. The key is the SHA-256 of the bytes in 64 lower-case
    hexadecimal digits, so a store holds equal bundles once and cannot hold
    two bundles under one key.

    Every method that takes a key raises ``InvalidKey`` for one of another
    form, before anything is looked up: a key never names a file outside.

    To remove what is not there creates no store either.
    """

    def stage(chunks) -> IStagedBundle:
        """Write the concatenation of ``chunks`` (an iterable of bytes, of any
        length each, consumed once as it comes, never held whole) and return
        it staged: hashed and durable, but invisible.

        Whatever ``chunks`` raises comes out as it is, with nothing left
        behind. A process that is killed leaves at most a stray that no
        method of the store ever shows.
        """

    def put(chunks) -> str:
        """:meth:`stage`, publish, and return the key."""

    def open(key: str) -> IBundleReader:
        """Return a reader; raises ``UnknownKey`` if there is no such
        bundle."""

    def size(key: str) -> int:
        """Return the number of bytes; raises ``UnknownKey``."""

    def delete(key: str) -> None:
        """Remove the bundle; raises ``UnknownKey``. A reader that is open
        may go on or fail, but never gets other bytes."""

    def keys():
        """Iterate over the keys of all published bundles, in no particular
        order. What comes or goes meanwhile may or may not be among them."""

    def modified(key: str) -> float:
        """Return when the bundle was last published, in seconds since the
        epoch by the clock of the store, of which it may tell whole seconds
        only; raises ``UnknownKey``."""

    def strays(age: float):
        """Iterate over what stagings that never ended left behind, as
        ``model.Stray``, if nothing was written to it for ``age`` seconds.
        What they left on another machine is that machine's to find."""

    def deletestray(name: str) -> None:
        """Remove a stray; does nothing if it is gone. A staging that still
        goes on fails then, with ``BackendUnavailable``."""

    # Notes are what is kept beside the bundles for when the index is lost, see
    # ``stores/notes.py``. A name is as ``model.checknotename`` has it,
    # else ``InvalidKey`` is raised.

    def putnote(name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``, in the place of what was there, in
        one step. When it returns, the note survives the loss of power."""

    def note(name: str) -> bytes:
        """Return what is kept under ``name``; raises ``UnknownNote``."""

    def notes(prefix: str = ''):
        """Iterate over the names of all notes that begin with ``prefix``, in no
        particular order; with a folder in it this costs no more than what is
        in that. What
        comes or goes meanwhile may or may not be among them."""

    def deletenote(name: str) -> None:
        """Remove a note; raises ``UnknownNote``."""

    def close() -> None:
        """Let go of resources; the store opens them anew when used again."""


class ILocalPath(Interface):
    """Ability of a store, or of a staged bundle: the bytes are in a plain
    file of this machine."""

    def localpath(key: str) -> bytes:
        """Return the absolute path of the file with exactly the bundle's
        bytes; raises ``UnknownKey``. The caller only reads it. The bytes are
        *not* checked against the key here; read them through
        ``IBundleStore.open`` once where they must be true."""


class IAhead(Interface):
    """Ability of a staged bundle: what takes long of ``publish`` can be done
    before, while nobody waits."""

    def ahead() -> bool:
        """Do so; return whether the bundle got its name by that, though no
        push has it yet. It is to be removed by ``IBundleIndex.discard`` then
        if it is not published; leaving the context does not do that.

        Raises ``BackendUnavailable``. :meth:`IStagedBundle.publish` is needed
        all the same, and sees to it that the bundle is there.
        """


class IDownloadURL(Interface):
    """Ability of a store: clients can fetch a bundle without this server."""

    def downloadurl(key: str) -> str:
        """Return a URL that answers GET with the bundle's bytes for at least
        the next ten minutes; raises ``UnknownKey``."""


class ICached(Interface):
    """A store that has copies of bundles at hand, and hands these out."""

    uncached = Attribute(
        'IBundleStore: the store that the bundles are in, for whoever wants to'
        ' know how it is with them there'
    )
