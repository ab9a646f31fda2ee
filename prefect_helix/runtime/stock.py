"""What the store holds, as one run knows it: seen as the run began, and looked at again since others write, too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping

from prefect_helix.storage.backend import Entry
from prefect_helix.storage.inventory import UNNAMED_GRACE_US
from prefect_helix.storage.store import Store

LOOK_SECONDS = 10.0
LOOK_SHARE = 0.1
"""Before a write, what others wrote and removed is looked at if the last look is so many seconds old, or, where looking
is quick, so old that it takes no larger share of the time."""


class Stock:
    """The blobs in a store, as far as a run knows. Any thread may use it.

    Args:
        store: The store.
        named: Names of the blobs that a lineage names.

    Attributes:
        looks: How often the store was looked at.
        staying: Held by whoever relies on it that what is there is not removed.

    Raises:
        StoreError: If the store refuses.
    """

    def __init__(self, store: Store, named: Collection[str]) -> None:
        self.looks = 0
        self.staying = threading.RLock()
        self._store = store
        self._named = named
        self._lock = threading.Lock()
        self._unreadable: set[str] = set()
        self._written: dict[str, int] = {}
        entries = self._listed()
        self._blobs = {name: entry.size_bytes for name, entry in entries.items()}
        # What no lineage names was written just now by a run that has not said so yet, or is of a run that is lost.
        new_us = time.time_ns() // 1000 - UNNAMED_GRACE_US
        self._new = {name for name, entry in entries.items() if entry.modified_us > new_us or not entry.modified_us}

    # -- what is there -------------------------------------------------------------------------------------------

    @property
    def blobs(self) -> Mapping[str, int]:
        """Sizes in bytes of the blobs that are there, by name."""
        with self._lock:
            return dict(self._blobs)

    @property
    def unreadable(self) -> Collection[str]:
        """Names of the blobs that could not be read."""
        return self._unreadable

    @property
    def strangers(self) -> Collection[str]:
        """Names of the blobs that another run has just written, going by their age, and not named yet."""
        return self._new.difference(self._named)

    @property
    def unnamed(self) -> int:
        """Number of blobs that no lineage names, those that a run may just have written left out."""
        return len(self._blobs.keys() - self._named - self._new)

    @property
    def written_bytes(self) -> int:
        """Size of the blobs that this run wrote and did not remove again."""
        with self._lock:
            return sum(self._written.values())

    def holds(self, name: str) -> bool:
        """Return whether a blob is there and was not found to be unreadable."""
        return name in self._blobs and name not in self._unreadable

    @property
    def is_far(self) -> bool:
        """Whether another machine keeps what is written, as far as can be told."""
        return self._store.is_far

    # -- what changes --------------------------------------------------------------------------------------------

    def look(self, seconds: float = 0.0) -> None:
        """Find out what others have written and removed, unless that was done in the last seconds.

        Raises:
            StoreError: If the store refuses.
        """
        with self._lock:  # what is written meanwhile is noted afterwards
            if time.monotonic() - self._looked_at < seconds:
                return
            entries = self._listed()
            self._new |= entries.keys() - self._blobs.keys()
            self._blobs = {name: entry.size_bytes for name, entry in entries.items()}
            self.looks += 1

    def look_if_worth_it(self) -> None:
        """Do so if the last look is old, or looking is quick.

        Raises:
            StoreError: If the store refuses.
        """
        self.look(min(LOOK_SECONDS, self._look_seconds / LOOK_SHARE))

    def put(self, name: str, size_bytes: int) -> None:
        """Take note of a blob that was written."""
        with self._lock:
            self._blobs[name] = self._written[name] = size_bytes
            self._unreadable.discard(name)

    def spoil(self, name: str) -> None:
        """Take note of a blob that could not be read."""
        self._unreadable.add(name)

    def delete(self, names: Collection[str], unless_in: Callable[[], Collection[str]] = tuple) -> bool:
        """Remove blobs; none, if one of them is needed.

        What is needed is asked when they do not count as there any more, so that nobody comes to need one afterwards.

        Args:
            names: Which.
            unless_in: Gives those that are needed.

        Returns:
            Whether they were removed.

        Raises:
            StoreError: If the store refuses.
        """
        with self.staying:
            with self._lock:
                known = {name: self._blobs.pop(name) for name in names if name in self._blobs}
                written = {name: self._written.pop(name) for name in names if name in self._written}
            if known and not known.keys().isdisjoint(unless_in()):
                with self._lock:
                    self._blobs |= known
                    self._written |= written
                return False
        for name in known:
            self._store.delete_blob(name)
        return True

    def _listed(self) -> dict[str, Entry]:
        asked_at = time.monotonic()
        entries = self._store.blob_entries()
        self._looked_at = time.monotonic()
        self._look_seconds = self._looked_at - asked_at
        return entries
