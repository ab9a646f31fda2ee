"""Which results of a run are written, what goes for them, and what is looked at again when the run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from math import inf
from typing import NamedTuple, TypeAlias

from prefect_helix.core.errors import NotStorableError
from prefect_helix.core.lineage import Trace
from prefect_helix.core.losses import Expected
from prefect_helix.core.lots import Parcel
from prefect_helix.runtime.appraisal import Appraiser
from prefect_helix.runtime.stock import Stock
from prefect_helix.storage.blob import ChangedWhileWritingError

WAITING_BYTES = 256 * 1024 * 1024
"""Bytes of results that are held until the run ends, because they may find room then."""

LARGE_BYTES = 4 * 1024 * 1024
"""Blobs of so many bytes and more tell how fast writing is; of smaller ones each takes long, whatever its size."""

Put: TypeAlias = "Callable[[Collection[str]], None]"
"""Writes the blobs of those names, wherever the value is that they are made of."""


class _Offer(NamedTuple):
    trace: Trace
    parcel: Parcel
    put: Put


class Shelving:
    """Called by whoever writes to the store, which is one thread at a time.

    Args:
        stock: What the store holds.
        appraiser: Knows what results are worth.
        in_use: Gives the names of the blobs that the run may still load.
        needed_by_others: Gives those that other runs may.
        warn: Called with a key and a sentence for whatever goes wrong; the same key is told once.

    Attributes:
        wrote: Whether a result was written.
    """

    def __init__(
        self,
        stock: Stock,
        appraiser: Appraiser,
        in_use: Callable[[], Collection[str]],
        needed_by_others: Callable[[], Collection[str]],
        warn: Callable[[str, str], None],
    ) -> None:
        self.wrote = False
        self._stock = stock
        self._looks = stock.looks
        self._appraiser = appraiser
        self._in_use = in_use
        self._needed_by_others = needed_by_others
        self._warn = warn
        self._shelf = appraiser.shelf(stock.blobs, stock.strangers, self._spared)
        self._waiting: list[_Offer] = []
        self._waiting_bytes = 0
        self._us_per_byte = self._us_per_blob = 0.0

    def expect(self, step: Expected) -> None:
        """Take note of a step that is new or known better."""
        self._appraiser.take(step)

    def offer(self, trace: Trace, parcel: Parcel, put: Put) -> None:
        """Write a result if it is worth that, or hold on to it if it may be later.

        Raises:
            StoreError: If the store refuses.
            Exception: What the policy raised, or who writes the value.
        """
        offer = _Offer(trace, parcel, put)
        self._shelve(offer, lodging=True)
        if parcel.key in self._shelf.wanted:
            self._wait(offer)

    def settle(self, *, completed: bool) -> None:
        """Give up what was only kept in case the run is killed, and keep the budget, now that the run is over.

        What found no room because of what the run might still have loaded is looked at again.

        Args:
            completed: Whether the flow came to its end.

        Raises:
            StoreError: If the store refuses.
            Exception: What the policy raised, or who writes a value.
        """
        self._fill()
        self._shelf, gone = self._appraiser.settle(self._shelf, completed=completed)
        self._stock.delete(gone)
        waiting, self._waiting = self._waiting, []
        for offer in waiting:
            self._shelve(offer)
        if waiting:
            self._stock.look()  # after the last write: of runs that end together one sees what all wrote
            self._fill()
            self._stock.delete(self._shelf.make_room())

    def _shelve(self, offer: _Offer, *, lodging: bool = False) -> None:
        """Write a result if it is worth that, in the place of what is worth less.

        Args:
            offer: The result.
            lodging: Whether it may be stored for now, in case the run is killed.
        """
        shelf, (trace, parcel, put) = self._shelf, offer
        parcel = replace(parcel, write_us=max(parcel.write_us, self._least_us(parcel)))
        if parcel.blobs:
            self._stock.look_if_worth_it()
            self._fill()
        spoiled = parcel.blobs.keys() & self._stock.unreadable  # what could not be read has just been made again
        for name in spoiled:
            shelf.forget(name)
        self._stock.delete(spoiled)
        gone = shelf.offer(parcel)
        if gone is None and lodging:
            gone = shelf.lodge(parcel, trace.started_us)
        if gone is None:
            return
        missing = [name for name in parcel.blobs if not self._stock.holds(name) or name in gone]
        try:
            if not self._stock.delete(gone, unless_in=self._in_use):
                shelf.find(self._stock.blobs)
                shelf.wanted.add(parcel.key)
                return
            while missing:
                began_us = clock_us()
                put(missing[:1])
                name = missing.pop(0)
                self._learn(parcel.blobs[name], clock_us() - began_us)
                self._stock.put(name, parcel.blobs[name])
                self.wrote = True
        except ChangedWhileWritingError:
            self._warn(
                f"changed:{trace.key}",
                f"The result of {trace.task} was changed in place while it was being stored, so it was not kept. "
                "Copy it before changing it.",
            )
        except NotStorableError as error:
            self._warn(f"not kept:{trace.key}", f"{error} So the result of {trace.task} was not kept.")
        finally:
            for name in missing:
                shelf.forget(name)

    def _learn(self, size_bytes: int, us: int) -> None:
        """Take note of what writing a blob took.

        To a disk of this machine it goes in no time, and what took some is that others were computing meanwhile.
        """
        if not self._stock.is_far:
            return
        if size_bytes >= LARGE_BYTES:
            self._us_per_byte = min(us / size_bytes, self._us_per_byte or inf)
        else:
            self._us_per_blob = min(us, self._us_per_blob or inf)

    def _least_us(self, parcel: Parcel) -> int:
        """Return what writing a result takes at least: none is faster than the fastest that this run has written."""
        return round(max(self._us_per_blob * len(parcel.blobs), self._us_per_byte * parcel.size_bytes))

    def _fill(self) -> None:
        """Tell the shelf what was found when somebody last looked, which any thread may do."""
        if self._looks != self._stock.looks:
            self._looks = self._stock.looks
            self._shelf.find(self._stock.blobs)

    def _wait(self, offer: _Offer) -> None:
        """Hold on to a result that may find room when the run ends; one may be as large as it is."""
        size_bytes = offer.parcel.size_bytes
        if not self._waiting or self._waiting_bytes + size_bytes <= WAITING_BYTES:
            self._waiting.append(offer)
            self._waiting_bytes += size_bytes

    def _spared(self) -> Collection[str]:
        """Return what the run may still load, and what other running flows need."""
        return {*self._in_use()}.difference(self._stock.unreadable) | {*self._needed_by_others()}


def clock_us() -> int:
    """Return the time in microseconds since some moment."""
    return time.perf_counter_ns() // 1000
