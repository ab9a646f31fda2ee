"""What the store holds: blobs, the results they make up, the steps that may need these, and what they are worth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count
from math import inf

from prefect_helix.core.materialization import Candidate, Choice, Policy, worth
from prefect_helix.core.prospects import NOW, Key, Prospects
from prefect_helix.core.ranking import Ranking

Name = tuple[str, ...]
"""The blobs of a result, sorted."""

_ASKED: tuple[Choice, ...] = ("never", "auto", "always")


@dataclass(frozen=True, slots=True)
class Parcel:
    """The result of a step, as something that takes room.

    Attributes:
        key: The step.
        blobs: Size in bytes of each blob it is made of, by content name.
        load_us: What loading it takes.
        write_us: What writing all of it takes.
        choice: What its task asks for.
        lasting: Whether a later run may load it.
    """

    key: Key
    blobs: Mapping[str, int]
    load_us: int
    write_us: int
    choice: Choice = "auto"
    lasting: bool = True

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
        parcels: Them, by their steps.
        number: Its place among those of equal worth.
        worth: What they are worth together.
        own_bytes: Bytes that come free if they go.
    """

    parcels: dict[Key, Parcel]
    number: int
    worth: float = 0.0
    own_bytes: int = 0

    @property
    def keys(self) -> list[Key]:
        """Their steps, as far as a later run may load what they have."""
        return [key for key, parcel in self.parcels.items() if parcel.lasting]

    @property
    def parcel(self) -> Parcel:
        """The one of them whose task asks for most."""
        return max(self.parcels.values(), key=lambda parcel: _ASKED.index(parcel.choice))


class Lots:
    """The stored blobs, and the lots among them. What is worth another amount than before is valued anew when asked.

    Args:
        policy: What results are worth.
        prospects: Values results for the runs that may come, and knows which count as stored.
        blobs: Size in bytes of what is stored, by content name.
        last_used_us: When a run last named each of them.

    Attributes:
        blobs: Size in bytes of what is stored, by content name.
        size_bytes: Bytes of all of it.
    """

    def __init__(
        self, policy: Policy, prospects: Prospects, blobs: Mapping[str, int], last_used_us: Mapping[str, int]
    ) -> None:
        self.blobs = dict(blobs)
        self.size_bytes = sum(self.blobs.values())
        self._policy = policy
        self._prospects = prospects
        self._last_used_us = last_used_us
        self._lots: dict[Name, Lot] = {}
        self._lot_of: dict[Key, Name] = {}
        self._held_by: dict[str, set[Name]] = {}
        self._stale: set[Name] = set()
        self._ranking: Ranking[Lot] = Ranking()
        self._numbers = count()
        self._idle = {*self.blobs}

    @property
    def idle(self) -> Collection[str]:
        """The blobs of no expected step."""
        return self._idle

    def holds(self, parcel: Parcel) -> bool:
        """Return whether all of a result is stored."""
        return all(name in self.blobs for name in parcel.blobs)

    def new_bytes(self, parcel: Parcel) -> int:
        """Return the bytes that a result would take that are not stored yet."""
        return sum(size for name, size in parcel.blobs.items() if name not in self.blobs)

    def put(self, parcel: Parcel) -> None:
        """Add the blobs of a result."""
        self.size_bytes += self.new_bytes(parcel)
        self.blobs |= parcel.blobs
        self._idle.update(blob for blob in parcel.blobs if not self._held_by.get(blob))

    def find(self, blobs: Mapping[str, int]) -> Collection[str]:
        """Take note of all that is stored, whoever wrote or removed it; return the blobs that are new."""
        for gone in self.blobs.keys() - blobs.keys():
            self.lose(gone)
        new = blobs.keys() - self.blobs.keys()
        for blob, size in self.blobs.items():
            if blobs[blob] != size:  # what its lots would leave free is another amount now
                self._stale |= self._held_by.get(blob, set())
        self.blobs = dict(blobs)
        self.size_bytes = sum(blobs.values())
        self._idle |= new
        return new

    def take(self, blob: str) -> None:
        """Take away a blob that no lot holds."""
        self.size_bytes -= self.blobs.pop(blob, 0)
        self._idle.discard(blob)

    def lose(self, blob: str) -> None:
        """Take away a blob, whatever holds it."""
        self.take(blob)
        for name in [*self._held_by.get(blob, ())]:
            self._prospects.flip(self._lots[name].keys)
            self._drop(name)

    def expect(self, parcel: Parcel) -> None:
        """Take note that a result that is stored may be needed; of one that is not, there is nothing to note."""
        if not self.holds(parcel):
            return
        name = parcel.name
        if name not in self._lots:
            self._lots[name] = Lot({}, next(self._numbers))
        self._lots[name].parcels[parcel.key] = parcel
        self._lot_of[parcel.key] = name
        for blob in name:
            self._idle.discard(blob)
            self._held_by.setdefault(blob, set()).add(name)
            self._stale |= self._held_by[blob]

    def leave(self, key: Key) -> None:
        """Let a step give up the result that it had."""
        name = self._lot_of.pop(key, None)
        if name is not None:
            del self._lots[name].parcels[key]
            self._stale.add(name)
            if not self._lots[name].parcels:
                self._drop(name)

    def drop(self, lot: Lot) -> list[str]:
        """Let nobody need a lot any more; return the blobs that are idle then."""
        return self._drop(lot.parcel.name)

    def _drop(self, name: Name) -> list[str]:
        lot = self._lots.pop(name)
        self._ranking.drop(lot)
        for key in lot.parcels:
            del self._lot_of[key]
        for blob in name:
            self._held_by[blob].discard(name)
            self._stale |= self._held_by[blob]
        self._stale.discard(name)
        free = [blob for blob in name if not self._held_by[blob]]
        self._idle.update(blob for blob in free if blob in self.blobs)
        return free

    def take_cheapest(self) -> Lot | None:
        """Take the lot that is worth least per byte now, of equal ones the least recently used; None without any left.

        Who takes one has to `rank` it again. Complexity: O(log lots), besides the losses that changed.
        """
        self._value()
        return self._ranking.take()

    def rank(self, lot: Lot) -> None:
        """Put a lot in its place among those that free bytes if they go."""
        if lot.own_bytes:
            used_us = max(self._last_used_us.get(blob, 0) for blob in lot.parcel.blobs)
            self._ranking.put(lot, (lot.worth / lot.own_bytes, used_us, lot.number))
        else:
            self._ranking.drop(lot)

    def _value(self) -> None:
        """Value anew what is worth another amount than before."""
        self._stale.update(self._lot_of[key] for key in self._prospects.affected() if key in self._lot_of)
        for name in self._stale:
            lot = self._lots[name]
            lot.own_bytes = sum(self.blobs[blob] for blob in name if len(self._held_by[blob]) == 1)
            lot.worth = self.worth(lot.parcel, lot.parcels.values(), lot.own_bytes)
            if lot.worth == inf and all(run != NOW for run, _ in lot.parcels):
                lot.worth = 0.0
            self.rank(lot)
        self._stale.clear()

    def worth(self, parcel: Parcel, sharing: Collection[Parcel], size_bytes: int) -> float:
        """Return what it is worth to have a result stored, in so many bytes of its own.

        What no later run loads makes none of them shorter.

        Args:
            parcel: The result.
            sharing: It, and all others that are made of the same blobs.
            size_bytes: How many.
        """
        keys = [one.key for one in sharing if one.lasting]
        candidate = Candidate(
            load_us=parcel.load_us,
            write_us=0 if self.holds(parcel) else parcel.write_us,
            size_bytes=size_bytes,
            recreate=lambda: self._prospects.recreate_us(parcel.key),
            exceeds=lambda us: self._prospects.recreate_exceeds(parcel.key, us),
            loss=lambda: self._prospects.loss_us(keys),
            most_loss=lambda: self._prospects.most_loss_us(keys),
            runs=lambda: self._prospects.runs(one.key for one in sharing),
        )
        return worth(self._policy, parcel.choice, candidate)
