"""What the store holds: blobs, the results they make up, the steps that may need these, and what they are worth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf

from prefect_helix.core.materialization import Candidate, Choice, Policy, worth
from prefect_helix.core.prospects import NOW, Key, Prospects

Name = tuple[str, ...]
"""The blobs of a result, sorted."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """The result of a step, as something that takes room.

    Attributes:
        key: The step.
        blobs: Size in bytes of each blob it is made of, by content name.
        load_us: What loading it takes.
        write_us: What writing all of it takes.
        choice: What its task asks for.
    """

    key: Key
    blobs: Mapping[str, int]
    load_us: int
    write_us: int
    choice: Choice = "auto"

    @property
    def name(self) -> Name:
        """What it is called among the others."""
        return tuple(sorted(self.blobs))

    @property
    def size_bytes(self) -> int:
        """Bytes of all its blobs."""
        return sum(self.blobs.values())


@dataclass(eq=False, slots=True)
class Lot:
    """Stored results that are made of the same blobs: they stay or go together.

    Attributes:
        parcel: One of them.
        keys: Their steps.
        worth: What they are worth together.
        own_bytes: Bytes that come free if they go.
    """

    parcel: Parcel
    keys: list[Key]
    worth: float = 0.0
    own_bytes: int = 0


class Lots:
    """The stored blobs, and the lots among them. What is worth another amount than before is valued anew when asked.

    Args:
        policy: What results are worth.
        prospects: Values results for the runs that may come, and knows which count as stored.
        blobs: Size in bytes of what is stored, by content name.

    Attributes:
        blobs: Size in bytes of what is stored, by content name.
        size_bytes: Bytes of all of it.
    """

    def __init__(self, policy: Policy, prospects: Prospects, blobs: Mapping[str, int]) -> None:
        self.blobs = dict(blobs)
        self.size_bytes = sum(self.blobs.values())
        self._policy = policy
        self._prospects = prospects
        self._lots: dict[Name, Lot] = {}
        self._lot_of: dict[Key, Name] = {}
        self._held_by: dict[str, set[Name]] = {}
        self._stale: set[Name] = set()

    def holds(self, parcel: Parcel) -> bool:
        """Return whether all of a result is stored."""
        return all(name in self.blobs for name in parcel.blobs)

    def is_idle(self, blob: str) -> bool:
        """Return whether a blob is of no expected step."""
        return not self._held_by.get(blob)

    def new_bytes(self, parcel: Parcel) -> int:
        """Return the bytes that a result would take that are not stored yet."""
        return sum(size for name, size in parcel.blobs.items() if name not in self.blobs)

    def put(self, parcel: Parcel) -> None:
        """Add the blobs of a result."""
        self.size_bytes += self.new_bytes(parcel)
        self.blobs |= parcel.blobs

    def find(self, blobs: Mapping[str, int]) -> Collection[str]:
        """Take note of all that is stored, whoever wrote or removed it; return the blobs that are new."""
        for gone in self.blobs.keys() - blobs.keys():
            self.lose(gone)
        new = blobs.keys() - self.blobs.keys()
        self.blobs = dict(blobs)
        self.size_bytes = sum(blobs.values())
        return new

    def take(self, blob: str) -> None:
        """Take away a blob that no lot holds."""
        self.size_bytes -= self.blobs.pop(blob, 0)

    def lose(self, blob: str) -> None:
        """Take away a blob, whatever holds it."""
        self.take(blob)
        for name in [*self._held_by.get(blob, ())]:
            self._prospects.flip(self._lots[name].keys)
            self.drop(self._lots[name])

    def expect(self, parcel: Parcel) -> None:
        """Take note that a result that is stored may be needed."""
        name = parcel.name
        lot = self._lots.setdefault(name, Lot(parcel, []))
        if parcel.key not in lot.keys:
            lot.keys.append(parcel.key)
        self._lot_of[parcel.key] = name
        for blob in name:
            self._held_by.setdefault(blob, set()).add(name)
            self._stale |= self._held_by[blob]

    def leave(self, key: Key) -> None:
        """Let a step give up the result that it had."""
        name = self._lot_of.pop(key, None)
        if name is not None:
            self._lots[name].keys.remove(key)
            if not self._lots[name].keys:
                self.drop(self._lots[name])

    def drop(self, lot: Lot) -> list[str]:
        """Let nobody need a lot any more; return the blobs that are idle then."""
        name = lot.parcel.name
        del self._lots[name]
        for key in lot.keys:
            del self._lot_of[key]
        for blob in name:
            self._held_by[blob].discard(name)
            self._stale |= self._held_by[blob]
        self._stale.discard(name)
        return [blob for blob in lot.parcel.blobs if self.is_idle(blob)]

    def valued(self) -> list[Lot]:
        """Return the lots that free bytes if they go, each with what it is worth now."""
        self._stale.update(self._lot_of[key] for key in self._prospects.affected() if key in self._lot_of)
        for name in self._stale:
            lot = self._lots[name]
            lot.own_bytes = sum(self.blobs[blob] for blob in name if len(self._held_by[blob]) == 1)
            lot.worth = self.worth(lot.parcel, lot.keys, lot.own_bytes)
            if lot.worth == inf and all(run != NOW for run, _ in lot.keys):
                lot.worth = 0.0
        self._stale.clear()
        return [lot for lot in self._lots.values() if lot.own_bytes]

    def worth(self, parcel: Parcel, keys: Collection[Key], size_bytes: int) -> float:
        """Return what it is worth to have the result of these steps stored, in so many bytes of its own."""
        candidate = Candidate(
            load_us=parcel.load_us,
            write_us=0 if self.holds(parcel) else parcel.write_us,
            size_bytes=size_bytes,
            recreate=lambda: self._prospects.recreate_us(parcel.key),
            loss=lambda: self._prospects.loss_us(keys),
            runs=lambda: self._prospects.runs(keys),
        )
        return worth(self._policy, parcel.choice, candidate)
