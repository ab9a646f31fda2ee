"""Keeps results and traces: reads what is there, and writes in the background what is offered."""

from __future__ import annotations

import functools
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prefect_helix.core.errors import BlobMissingError, CorruptError, NotKeptError, StoreError
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.lineage import Lineage, Result, Run, RunStatus, Trace
from prefect_helix.core.losses import Expected
from prefect_helix.core.lots import Parcel
from prefect_helix.runtime.appraisal import Appraiser
from prefect_helix.runtime.presence import Presence
from prefect_helix.runtime.shelving import Put, Shelving
from prefect_helix.runtime.stock import Stock
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.leases import BEAT_SECONDS
from prefect_helix.storage.store import Store

PENDING_BYTES = 512 * 1024 * 1024
"""Bytes in this process that may wait to be written before a task that offers more has to wait as well."""

JOURNAL_SECONDS = 0.3
"""Traces wait at most this long for company before they are journaled."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Write:
    trace: Trace | None
    step: Expected | None = None
    parcel: Parcel | None = None
    coming: Mapping[str, int] = field(default_factory=dict)
    put: Put = lambda names: None
    held_bytes: int = 0


class Keeper:
    """The store as one run sees it.

    Results are written by one background thread: blobs first, then the trace that names them, so that whatever the
    journal names is there. A store that fails stops being written to, with one warning; the run goes on computing.

    Args:
        store: Where to keep things.
        catalog: The lineages in it.
        run_id: The run; others hear of it once it has started.
        last_used_us: When each blob was last named by a lineage.
        warn: Called with a key and a sentence for whatever goes wrong; the same key is told once.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        run_id: str,
        *,
        last_used_us: Mapping[str, int],
        warn: Callable[[str, str], None],
    ) -> None:
        self.store = store
        self.catalog = catalog
        self._stock = Stock(store, last_used_us.keys())
        self._in_use: Callable[[], Collection[str]] = frozenset
        self._presence = Presence(store, run_id, lambda: self._in_use(), self._give_up)
        self._warn = warn
        self._ended = False
        self._coming: Counter[str] = Counter()
        self._lock = threading.Condition()
        self._pending_bytes = 0
        self._readable = self._writable = True
        self._queue: queue.Queue[_Write | Callable[[], None] | None] = queue.Queue()
        self._head: Run | None = None
        self._shelving: Shelving | None = None
        self._thread: threading.Thread | None = None

    def start(self, head: Run, appraiser: Appraiser, in_use: Callable[[], Collection[str]]) -> None:
        """Begin the run's journal.

        Args:
            head: The run.
            appraiser: Knows what results are worth.
            in_use: Gives the names of the blobs that the run may still load.
        """
        self._head = head
        self._in_use = in_use
        needed = self._presence.needed_by_others
        self._shelving = Shelving(self._stock, appraiser, lambda: self._in_use(), needed, self._warn)
        if in_use():
            self._presence.tell()
        self._thread = threading.Thread(target=self._work, name="helix-keeper", daemon=True)
        self._thread.start()

    # -- reading -------------------------------------------------------------------------------------------------

    def loadable(self, result: Result) -> bool:
        """Return whether every part of `result` is in the lineage or the store."""
        blobs = result.blobs
        return blobs is not None and all(map(self.has, blobs))

    def has(self, name: str) -> bool:
        """Return whether the store has a blob, or is about to have it, as far as known."""
        return self._readable and (name in self._coming or self._stock.holds(name))

    def is_written(self, result: Result) -> bool:
        """Return whether every part of `result` is in the lineage or the store by now, as far as known."""
        return self.loadable(result) and not any(name in self._coming for name in result.blobs or ())

    @contextmanager
    def stays(self, result: Result) -> Iterator[bool]:
        """Tell whether all of `result` is written, and let none of it be removed in favour of others meanwhile."""
        with self._stock.staying:
            yield self.is_written(result)

    @property
    def unnamed(self) -> int:
        """Number of blobs that no lineage names, those that a run may just have written left out."""
        return self._stock.unnamed

    @property
    def written_bytes(self) -> int:
        """Size of the results that the run added to the store."""
        return self._stock.written_bytes

    def await_written(self, names: Sequence[str]) -> None:
        """Wait until those of these blobs are written that are about to be.

        Raises:
            NotKeptError: If one was not written after all.
        """
        coming = [name for name in names if name in self._coming]
        if coming:
            self.flush()
        for name in coming:
            if not self.has(name):
                raise NotKeptError(self.store.url, f"read blob {name}", "it was not written")

    def get(self, name: str) -> object:
        """Return the value of a blob, once it is written.

        Raises:
            StoreError: If it cannot be read. It counts as not materialized from then on, and so does everything if it
                is the store that fails, which has been asked more than once by then: nobody waits for it again.
        """
        self.await_written([name])
        try:
            return self.store.get_blob(name)
        except StoreError as error:
            self._stock.spoil(name)
            self._readable = self._readable and isinstance(error, (BlobMissingError, CorruptError))
            raise

    # -- writing -------------------------------------------------------------------------------------------------

    def expect(self, step: Expected) -> None:
        """Take note of a step that nobody expected; what it takes results of is known."""
        self._queue.put(_Write(None, step))

    def offer(self, trace: Trace, step: Expected, parcel: Parcel | None, put: Put, *, elsewhere: bool = False) -> None:
        """Keep a computed result if that is worth it, and its trace in any case.

        Args:
            trace: What is known of it.
            step: What is known now of the step that gave it.
            parcel: The result, as something that takes room; None if it cannot be written.
            put: Writes blobs of the given names; called in the background.
            elsewhere: Whether the result is in another process, so that nothing here waits to be let go of.
        """
        if self._ended:  # a plain task that nobody waits for has taken a value late
            return
        coming: dict[str, int] = {}
        if parcel is not None and self._writable:
            coming = {name: size for name, size in parcel.blobs.items() if not self._stock.holds(name)}
        size_bytes = 0 if elsewhere else sum(coming.values())
        with self._lock:
            self._lock.wait_for(lambda: self._is_room_for(size_bytes))
            self._pending_bytes += size_bytes
            self._coming.update(coming.keys())
        self._queue.put(_Write(trace, step, parcel, coming, put, size_bytes))

    def _is_room_for(self, size_bytes: int) -> bool:
        """Return whether so much more of this process may wait to be written."""
        return not (size_bytes and self._pending_bytes) or self._pending_bytes + size_bytes <= PENDING_BYTES

    def record(self, trace: Trace) -> None:
        """Journal a trace whose result is not to be kept."""
        self._queue.put(_Write(trace))

    def flush(self) -> None:
        """Wait until everything offered so far is written and journaled."""
        done = threading.Event()
        self._queue.put(done.set)
        while self._thread is not None and self._thread.is_alive() and not done.wait(0.1):
            pass  # it may have ended before it came to this

    # -- other runs ----------------------------------------------------------------------------------------------

    def claim(self, signature: str) -> None:
        """Tell other runs that this one computes a call, until it is released; one that has ended computes nothing."""
        if not self._ended:
            self._presence.claim(signature)

    def release(self, signature: str) -> None:
        """Tell other runs, once all that was offered is written, that this one does not compute a call any more."""
        if self._presence.claims(signature):
            self._queue.put(functools.partial(self._presence.release, signature))

    def holder(self, signature: str) -> str:
        """Return the id of another run that computes a call at this moment; empty if there is none.

        Raises:
            StoreError: If the store refuses.
        """
        return self._presence.holder(signature)

    def look_at_run(self, run_id: str) -> list[Lineage]:
        """Return what is known of a run, and take note of what it wrote.

        Raises:
            StoreError: If the store refuses.
        """
        known = [one for one in self.catalog.read().lineages if one.run.run_id == run_id]
        self._stock.look()
        return known

    def end(self, status: RunStatus) -> None:
        """Journal how the run ends, in case it is killed before its lineage is written."""
        if self._head is not None:
            self._head = replace(self._head, status=status)
            self._journal(())

    def drain(self, *, completed: bool) -> None:
        """Finish writing, give up what was only kept in case the run is killed, and keep the budget.

        What found no room because of what the run might still have loaded is looked at again.

        Args:
            completed: Whether the flow came to its end.
        """
        self._ended = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        try:
            self._in_use = frozenset
            if self._presence.is_known:  # another run that ends now may remove what only this one needed
                self._presence.tell()
            if self._writable and self._shelving is not None:
                if self._shelving.wrote or self._presence.is_known:
                    self._stock.look()
                self._shelving.settle(completed=completed)
        except Exception as error:  # such as of a policy that somebody wrote; the flow has come to its end
            self._stop(error)

    def components_of(self, fingerprint: str) -> Sequence[Component] | None:
        """Return what code of an earlier run is made of; None where that is not recorded, or cannot be read."""
        try:
            return self.catalog.components_of(fingerprint) if self._readable and self._writable else None
        except StoreError as error:
            self._warn("components", f"{error} So the list of runs does not name what changed in code before this run.")
            return None

    def secure(self, lineage: Lineage) -> None:
        """Journal the final lineage of the run, in case it is killed before that is committed."""
        self._head = lineage.run
        self._journal(lineage.traces)

    def commit(self, lineage: Lineage, code: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the lineage of the run, and the code of its tasks by fingerprint."""
        if not self._writable:
            return
        try:
            for fingerprint, components in code.items():
                self.catalog.put_document("code", fingerprint, components)
            self.catalog.commit(lineage)
            self._presence.leave()
        except StoreError as error:
            self._give_up(error)

    def _work(self) -> None:
        journal: list[Trace] = []
        first_at = 0.0
        while True:
            try:
                item = self._queue.get(timeout=JOURNAL_SECONDS if journal else BEAT_SECONDS)
            except queue.Empty:
                self._append(journal)
                self._presence.tell_if_due()
                continue
            self._presence.tell_if_due()
            if isinstance(item, _Write):
                self._write(item)
                if item.trace is not None:
                    journal.append(item.trace)
                first_at = time.monotonic() if len(journal) <= 1 else first_at
                if len(journal) > 1 and time.monotonic() - first_at >= JOURNAL_SECONDS:  # one write follows the other
                    self._append(journal)
                del item  # it holds on to the value that was written
                continue
            self._append(journal)
            if item is None:
                return
            item()

    def _append(self, journal: list[Trace]) -> None:
        if journal:
            self._journal(journal)
        journal.clear()

    def _journal(self, traces: Sequence[Trace]) -> None:
        if self._writable and self._head is not None:
            try:
                self.catalog.append(self._head, tuple(traces))
            except Exception as error:
                self._give_up(error)

    def _write(self, write: _Write) -> None:
        try:
            if write.step is not None and self._shelving is not None:
                self._shelving.expect(write.step)
            if write.trace is not None and write.parcel is not None and self._shelving is not None and self._writable:
                self._shelving.offer(write.trace, write.parcel, write.put)
        except Exception as error:  # whatever it is, the run goes on, and nobody waits for this thread in vain
            self._stop(error)
        finally:
            with self._lock:
                self._pending_bytes -= write.held_bytes
                self._coming -= Counter(write.coming.keys())
                self._lock.notify_all()

    def _stop(self, error: Exception) -> None:
        """Stop writing if it is the store that failed, else stop keeping results only."""
        if isinstance(error, StoreError):
            self._give_up(error)
            return
        self._shelving = None
        log.debug("what is worth storing could not be told", exc_info=error)
        self._warn(
            "keeping",
            f"Results are not kept any more in this run, since what they are worth could not be told "
            f"({type(error).__name__}: {error}). If the policy is your own, mend its worth().",
        )

    def _give_up(self, error: Exception) -> None:
        self._writable = False
        self._presence.fall_silent()
        self._warn("store", f"{error} Results are not kept in this run; it goes on computing.")
