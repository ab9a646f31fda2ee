"""What the results in a store belong to, learned from its runs a few at a time."""

from __future__ import annotations

import threading
import time

from prefect_helix.archive import Archive
from prefect_helix.storage.inventory import Held, Uses

PATIENCE_SECONDS = 0.06
"""How long one request reads runs that none has read before."""


class Holdings:
    """Who uses which results. What is known of them grows with each request, so that none has to read all runs."""

    def __init__(self) -> None:
        self._uses = Uses()
        self._taken: set[tuple[str, int, int | None, int]] = set()
        self._lock = threading.Lock()

    def read(self, archive: Archive) -> tuple[list[Held], int]:
        """Return the results that are there, least recently used first, and how many runs are still to be read.

        Raises:
            StoreError: If the store cannot be listed.
        """
        blobs = archive.store.blob_entries()
        with self._lock:
            until = time.monotonic() + PATIENCE_SECONDS
            left = 0
            for lineage in archive.lineages:
                run = lineage.run
                # a run that goes on, or was killed, is read again when there is more of it, not with each request
                key = run.run_id, run.started_us, run.finished_us, len(lineage.traces)
                if key in self._taken:
                    continue
                if time.monotonic() >= until:
                    left += 1
                    continue
                self._uses.take(lineage)
                self._taken.add(key)
            return self._uses.held(blobs), left
