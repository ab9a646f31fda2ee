"""The store as the pages see it: kept open, so that only what is new is read again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Literal, TypeVar

from prefect_helix.archive import Archive, read_archive
from prefect_helix.core.lineage import Run
from prefect_helix.settings import Resolved
from prefect_helix.web.holdings import Holdings

FRESH_SECONDS = 5.0
"""A store that is far away is not asked again within this time."""

_REMEMBERED = {"summary": 4_096, "picture": 64}
"""How many things of each kind are kept that are made of runs; a picture may have a megabyte."""

_DECODED = 20_000
"""Traces that are kept before all are forgotten; about 100 MB."""

T = TypeVar("T")


class Library:
    """The runs of one store; safe to share between threads.

    Args:
        resolved: The settings that name the store.
    """

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.holdings = Holdings()
        self._lock = threading.Lock()
        self._archive: Archive | None = None
        self._read_at = 0.0
        self._made: dict[str, OrderedDict[Hashable, object]] = {what: OrderedDict() for what in _REMEMBERED}

    def archive(self) -> Archive:
        """Return the runs as they are now.

        Raises:
            StoreError: If the store cannot be read.
        """
        with self._lock:
            if self._archive is None or self._archive.catalog.decoded > _DECODED:
                self._archive = read_archive(self.resolved)
            elif not self._archive.store.is_remote or time.monotonic() - self._read_at >= FRESH_SECONDS:
                self._archive = self._archive.again()
            self._read_at = time.monotonic()
            return self._archive

    def remembered(self, what: Literal["summary", "picture"], run: Run, make: Callable[[], T], key: str = "") -> T:
        """Return what `make` makes of a run; of one that has ended it is made once, as long as there is room for it.

        Args:
            what: The kind of what is made.
            run: The run.
            make: Makes it from nothing that can change once the run has ended, but for `key`.
            key: What links call the run, if there are any in it: another attempt of the same flow run changes that.
        """
        if run.finished_us is None:
            return make()
        kept = self._made[what]
        name = run.run_id, run.started_us, run.finished_us, key
        with self._lock:
            if name in kept:
                kept.move_to_end(name)
                return kept[name]  # type: ignore[return-value]
        made = make()
        with self._lock:
            kept[name] = made
            while len(kept) > _REMEMBERED[what]:
                kept.popitem(last=False)
        return made
