"""What goes for what comes, within the budget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from sys import float_info

from prefect_helix.core.losses import END
from prefect_helix.core.lots import Lot, Lots, Parcel
from prefect_helix.core.materialization import Policy, may_stay_for_now
from prefect_helix.core.prospects import Key, Prospects

CLEARLY = 1.1
"""A result displaces others only if it is worth so many times what they are, so that nothing comes and goes."""

_REFUSED = 64

_AHEAD = 64
"""Of many idle blobs so large a part goes at once, so that not all are gone through for each result that comes."""

_DEAREST = float_info.max


class Shelf:
    """Decides which results are stored, and which make room for them.

    Results of no expected step are worth nothing: they go first, the least recently used before the others. Then goes
    what is worth least per byte, and only for what is clearly worth more than all that goes for it. What one result is
    worth depends on which others are stored, so what a decision affects is valued anew.

    Args:
        policy: What results are worth.
        budget_bytes: What may be stored.
        prospects: Values results for the runs that may come.
        blobs: Size in bytes of what is stored, by content name.
        last_used_us: When a run last named each of them.
        strangers: Those that another run has written and not named yet. They stay while anything else can go.
        spared: Gives the blobs that somebody is about to load; asked where room is short.
        elsewhere: Gives the stored results of other runs that may come, and makes `prospects` know their steps; asked
            once, where room is short. To a policy that puts no price on its own results they are worth nothing.

    Attributes:
        lodged: Results that are stored for now.
        lent: The blobs that were written for them.
        wanted: Steps whose results are worth storing, and found no room when they were last offered.
        strangers: What another run has written and not named yet.
        spared: Gives the blobs that somebody is about to load.
    """

    def __init__(
        self,
        policy: Policy,
        budget_bytes: int,
        prospects: Prospects,
        blobs: Mapping[str, int],
        last_used_us: Mapping[str, int],
        strangers: Iterable[str] = (),
        spared: Callable[[], Collection[str]] = tuple,
        elsewhere: Callable[[], Iterable[Parcel]] = tuple,
    ) -> None:
        self.lodged: dict[Key, Parcel] = {}
        self.lent: set[str] = set()
        self.wanted: set[Key] = set()
        self.strangers = {*strangers}
        self.spared = spared
        self._last_used_us = {**last_used_us}
        self._lots = Lots(policy, prospects, blobs, self._last_used_us)
        self._policy = policy
        self._budget_bytes = budget_bytes
        self._prospects = prospects
        self._elsewhere = elsewhere
        self._refusals = _Refusals()
        self._unspent_us = 0  # what the steps took so far, less what writing took what is lodged

    # -- what is there -------------------------------------------------------------------------------------------

    @property
    def blobs(self) -> Mapping[str, int]:
        """Size in bytes of what is stored, by content name."""
        return self._lots.blobs

    @property
    def size_bytes(self) -> int:
        """Bytes of all that is stored."""
        return self._lots.size_bytes

    def holds(self, parcel: Parcel) -> bool:
        """Return whether all of a result is stored."""
        return self._lots.holds(parcel)

    @property
    def idle(self) -> Collection[str]:
        """The blobs of no expected step."""
        return self._lots.idle

    def expect(self, parcel: Parcel) -> None:
        """Take note that a result that is stored may be needed by an expected step."""
        self._lots.expect(parcel)

    def find(self, blobs: Mapping[str, int]) -> None:
        """Take note of all that is stored, whoever wrote or removed it."""
        self.strangers.update(self._lots.find(blobs))
        self._refusals = _Refusals()

    def forget(self, blob: str) -> None:
        """Take note that a blob is not stored, or not any more."""
        self._lots.lose(blob)
        self._refusals = _Refusals()

    # -- what comes ----------------------------------------------------------------------------------------------

    def offer(self, parcel: Parcel) -> tuple[str, ...] | None:
        """Decide whether a computed result is stored.

        Returns:
            The blobs that go for it; None if it is not stored.

        Complexity: that of a few losses, and where room is short, of those of all that goes, and O(idle blobs).
        """
        self._unspent_us += self._prospects.compute_us(parcel.key)
        self._lots.leave(parcel.key)
        self.wanted.discard(parcel.key)
        size_bytes = self._lots.new_bytes(parcel)
        gone: tuple[str, ...] | None = ()
        if size_bytes:
            worth_it = size_bytes <= self._budget_bytes and self._lots.worth(parcel, [parcel], size_bytes) > 0
            gone = self._displace(parcel, size_bytes) if worth_it else None
            if worth_it and gone is None:
                self.wanted.add(parcel.key)
        self._count(parcel, stored=gone is not None)
        if gone is not None and parcel.blobs:
            self._lots.put(parcel)
            self.expect(parcel)
        return gone

    def admit(self, parcel: Parcel) -> bool:
        """Decide whether a result that is stored is worth staying, and take note that it may be needed if it is."""
        stays = self.holds(parcel) and self._lots.worth(parcel, [parcel], parcel.size_bytes) > 0
        self._count(parcel, stored=stays)
        if stays:
            self.expect(parcel)
        return stays

    def lodge(self, parcel: Parcel, at_us: int) -> tuple[str, ...] | None:
        """Decide whether a computed result that is not worth storing is stored for now, where nothing of worth goes.

        It is if making it again from what is stored by then would take longer than writing it, and than loading it by
        so much that the write would pay if the result turned out to be worth staying. What several results are made
        from counts for each of them there. So all these writes together take no longer than the steps did so far, and
        no run takes several times what its steps do.

        Args:
            parcel: The result.
            at_us: When it was computed.

        Returns:
            The blobs that go for it; None if it is not stored.

        Complexity: O(idle blobs), and of the ancestors no more than take as long as writing and loading it.
        """
        if not parcel.lasting or not may_stay_for_now(self._policy, parcel.choice):
            return None
        if parcel.write_us > self._unspent_us:
            return None
        short_bytes = self.size_bytes + self._lots.new_bytes(parcel) - self._budget_bytes
        if short_bytes > 0 and short_bytes > sum(map(self.blobs.__getitem__, self.idle)):
            return None
        least_us = max(parcel.write_us, parcel.load_us + int(END * parcel.write_us))
        if not self._prospects.remake_exceeds(parcel.key, least_us, self._is_lodged):
            return None
        choice = self._idle(short_bytes, parcel.blobs)
        if choice.short_bytes > 0:
            return None
        self._last_used_us.update(dict.fromkeys(parcel.blobs, at_us))
        self.lodged[parcel.key] = parcel
        self._unspent_us -= parcel.write_us
        gone = self._remove(choice)
        self.lent.update(parcel.blobs.keys() - self.blobs.keys())
        self._lots.put(parcel)
        return gone

    def _is_lodged(self, key: Key) -> bool:
        """Return whether the result of a step is stored for now, and still there."""
        parcel = self.lodged.get(key)
        return parcel is not None and self.holds(parcel)

    def _count(self, parcel: Parcel, *, stored: bool) -> None:
        """Take note of whether a later run can load a result."""
        if self._prospects.stored(parcel.key) is not (stored and parcel.lasting):
            self._prospects.flip([parcel.key])

    # -- what goes -----------------------------------------------------------------------------------------------

    def make_room(self) -> tuple[str, ...]:
        """Return the blobs to remove so that the budget is kept, the least worthy first.

        Where what is spared takes more than the budget by itself, everything else goes.
        """
        short_bytes = self.size_bytes - self._budget_bytes
        choice = self._choose(short_bytes, inf)
        if choice is None:
            self.strangers.clear()
            choice = self._choose(short_bytes, inf) or self._choose(short_bytes, inf, enough=False)
        return self._remove(choice) if choice else ()

    def _displace(self, parcel: Parcel, size_bytes: int) -> tuple[str, ...] | None:
        """Make room for a result if it is worth that; return what went, or None."""
        short_bytes = self.size_bytes + size_bytes - self._budget_bytes
        if short_bytes <= 0:
            return ()
        self._look_elsewhere()
        worth = self._lots.worth(parcel, [parcel], size_bytes)
        if self._refusals.cover(size_bytes, worth, len(self.idle)):
            return None
        choice = self._choose(short_bytes, _DEAREST, parcel.blobs)
        if choice is not None and choice.lots and worth <= CLEARLY * choice.worth:
            self._put_back(choice.lots)
            if not choice.revalued:
                self._prospects.affected()  # all is as it was
            choice = None
        if choice is None:
            self._refusals.add(size_bytes, worth)
            return None
        return self._remove(choice)

    def _choose(
        self, short_bytes: int, dearest: float, kept: Iterable[str] = (), *, enough: bool = True
    ) -> _Choice | None:
        """Choose what goes so that so many bytes come free; None if not enough can go that is worth no more than that.

        The lots that go count as not stored from now on.

        Args:
            short_bytes: How many.
            dearest: What each may be worth: anything, or anything that has a price.
            kept: Blobs that stay.
            enough: Whether nothing is chosen where all that can go is not enough.
        """
        choice = self._idle(short_bytes, kept)
        taken: list[Lot] = []
        while choice.short_bytes > 0:
            choice.revalued = bool(choice.lots)
            lot = self._lots.take_cheapest()
            if lot is None:
                break
            taken.append(lot)
            if lot.worth > dearest:  # and so are those that are left
                break
            if choice.spared.isdisjoint(lot.parcel.blobs):
                choice.lots.append(lot)
                choice.short_bytes -= lot.own_bytes
                self._prospects.flip(lot.keys)
        for lot in taken:
            self._lots.rank(lot)
        if choice.short_bytes > 0 and enough:
            self._put_back(choice.lots)
            return None
        for lot in sorted(choice.lots, key=lambda lot: -lot.worth):
            if choice.short_bytes + lot.own_bytes <= 0:  # the others make room enough
                choice.short_bytes += lot.own_bytes
                choice.lots.remove(lot)
                self._put_back([lot])
        return choice

    def _idle(self, short_bytes: int, kept: Iterable[str] = ()) -> _Choice:
        """Choose among the blobs of no expected step, the least recently used first.

        Complexity: O(idle blobs) for all that comes in the place of a part of them.
        """
        if short_bytes <= 0:
            return _Choice(short_bytes)
        self._look_elsewhere()
        choice = _Choice(short_bytes, {*self.spared(), *kept})
        idle = [blob for blob in self.idle if blob not in choice.spared and blob not in self.strangers]
        for blob in sorted(idle, key=lambda blob: (self._last_used_us.get(blob, 0), blob)):
            if choice.short_bytes <= 0 and len(choice.blobs) >= len(idle) // _AHEAD:
                break
            choice.blobs.append(blob)
            choice.short_bytes -= self.blobs[blob]
        return choice

    def _look_elsewhere(self) -> None:
        for parcel in self._elsewhere():
            self.expect(parcel)
        self._elsewhere = tuple

    def _put_back(self, lots: Iterable[Lot]) -> None:
        for lot in lots:
            self._prospects.flip(lot.keys)

    def _remove(self, choice: _Choice) -> tuple[str, ...]:
        gone = [*choice.blobs, *(blob for lot in choice.lots for blob in self._lots.drop(lot))]
        for blob in gone:
            self._lots.take(blob)
        if gone:
            self._refusals = _Refusals()
        return tuple(gone)


class _Refusals:
    """What found no room in what is stored now, so that the thousands of others of a map are not weighed one by one.

    What is worth what else changes meanwhile, so they hold for `_REFUSED` more.
    """

    def __init__(self) -> None:
        self._refused: list[tuple[int, float]] = []
        self._idle = self._left = 0

    def cover(self, size_bytes: int, worth: float, idle: int) -> bool:
        """Return whether as much as `worth` was offered before for no more room, in vain.

        Args:
            size_bytes: Bytes that are asked for.
            worth: What is offered for them.
            idle: Number of blobs of no expected step.
        """
        if idle != self._idle or not self._left:
            self._refused, self._idle, self._left = [], idle, _REFUSED
        found = any(size <= size_bytes and worth <= most for size, most in self._refused)
        self._left -= found
        return found

    def add(self, size_bytes: int, worth: float) -> None:
        """Take note of what was refused."""
        self._refused = [one for one in self._refused if not (size_bytes <= one[0] and one[1] <= worth)]
        self._refused.append((size_bytes, worth))


@dataclass(slots=True)
class _Choice:
    """What is to go.

    Attributes:
        short_bytes: Bytes that are still short.
        spared: Blobs that must not go.
        blobs: Blobs of no expected step.
        lots: Lots, each of which was worth least per byte when the ones before it were gone.
        revalued: Whether others were valued anew as if these were gone.
    """

    short_bytes: int
    spared: set[str] = field(default_factory=set)
    blobs: list[str] = field(default_factory=list)
    lots: list[Lot] = field(default_factory=list)
    revalued: bool = False

    @property
    def worth(self) -> float:
        return sum(max(lot.worth, 0.0) for lot in self.lots)
