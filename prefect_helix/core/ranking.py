"""The lowest of many things whose ranks change all the time."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Thing = TypeVar("Thing", bound=Hashable)
Rank = tuple[float, int, int]

_SPARE = 64


class Ranking(Generic[Thing]):
    """Things by their ranks, of which no two are the same.

    It is a heap. An entry that does not hold any more stays in it until it is met, or until most of them are such.
    """

    def __init__(self) -> None:
        self._entries: dict[Thing, tuple[Rank, Thing]] = {}
        self._heap: list[tuple[Rank, Thing]] = []

    def put(self, thing: Thing, rank: Rank) -> None:
        """Give a thing its rank, whatever it was before. Complexity: O(log things)."""
        entry = self._entries[thing] = (rank, thing)
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _SPARE:
            self._heap = [*self._entries.values()]
            heapify(self._heap)

    def drop(self, thing: Thing) -> None:
        """Let a thing have no rank any more."""
        self._entries.pop(thing, None)

    def take(self) -> Thing | None:
        """Drop the thing of the lowest rank and return it; None if there is none. Complexity: O(log things)."""
        while self._heap:
            entry = heappop(self._heap)
            _, thing = entry
            if self._entries.get(thing) is entry:
                del self._entries[thing]
                return thing
        return None
