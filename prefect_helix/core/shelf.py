"""What the store holds, and what goes for what comes, within the budget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from sys import float_info

from prefect_helix.core.materialization import Candidate, Choice, Policy, worth, worth_for_now
from prefect_helix.core.prospects import NOW, Key, Prospects

CLEARLY = 1.1
"""A result displaces others only if it is worth so many times what they are, so that nothing comes and goes."""

_DEAREST = float_info.max

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
class _Lot:
    """Stored results that are made of the same blobs: they stay or go together."""

    parcel: Parcel
    keys: list[Key]
    worth: float = 0.0
    own_bytes: int = 0


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
    lots: list[_Lot] = field(default_factory=list)
    revalued: bool = False

    @property
    def worth(self) -> float:
        return sum(max(lot.worth, 0.0) for lot in self.lots)


@dataclass(frozen=True, slots=True)
class Claims:
    """What is not for one run to dispose of.

    Attributes:
        spared: Blobs that somebody is about to load.
        reserved_bytes: Bytes that others are about to write.
    """

    spared: Collection[str] = ()
    reserved_bytes: int = 0


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
        claims: Gives what others claim; asked where room is short.
        elsewhere: Gives the stored results of other runs that may come, and makes `prospects` know their steps; asked
            once, where room is short. To a policy that puts no price on its own results they are worth nothing.

    Attributes:
        blobs: Size in bytes of what is stored, by content name.
        size_bytes: Bytes of all of it.
        lodged: Results that are stored for now.
        wanted: Steps whose results are worth storing, and found no room when they were last offered.
        strangers: What another run has written and not named yet.
        claims: Gives what others claim.
    """

    def __init__(
        self,
        policy: Policy,
        budget_bytes: int,
        prospects: Prospects,
        blobs: Mapping[str, int],
        last_used_us: Mapping[str, int],
        strangers: Iterable[str] = (),
        claims: Callable[[], Claims] = Claims,
        elsewhere: Callable[[], Iterable[Parcel]] = tuple,
    ) -> None:
        self.blobs = dict(blobs)
        self.size_bytes = sum(self.blobs.values())
        self.strangers = {*strangers}
        self.lodged: dict[Key, Parcel] = {}
        self.wanted: set[Key] = set()
        self._policy = policy
        self._budget_bytes = budget_bytes
        self._prospects = prospects
        self._last_used_us = {**last_used_us}
        self.claims = claims
        self._elsewhere = elsewhere
        self._lots: dict[Name, _Lot] = {}
        self._lot_of: dict[Key, Name] = {}
        self._held_by: dict[str, set[Name]] = {}
        self._stale: set[Name] = set()

    # -- what is there -------------------------------------------------------------------------------------------

    def holds(self, parcel: Parcel) -> bool:
        """Return whether all of a result is stored."""
        return all(name in self.blobs for name in parcel.blobs)

    def expect(self, parcel: Parcel) -> None:
        """Take note that a result that is stored may be needed by an expected step."""
        name = parcel.name
        lot = self._lots.setdefault(name, _Lot(parcel, []))
        if parcel.key not in lot.keys:
            lot.keys.append(parcel.key)
        self._lot_of[parcel.key] = name
        for blob in name:
            self._held_by.setdefault(blob, set()).add(name)
            self._stale |= self._held_by[blob]

    def admit(self, parcel: Parcel) -> bool:
        """Decide whether a result that is stored is worth staying, and take note that it may be needed if it is."""
        stays = self._worth(parcel, [parcel.key], parcel.size_bytes) > 0
        self._set(parcel.key, stored=stays)
        if stays:
            self.expect(parcel)
        return stays

    def is_idle(self, blob: str) -> bool:
        """Return whether a blob is of no expected step."""
        return not self._held_by.get(blob)

    def find(self, blobs: Mapping[str, int]) -> None:
        """Take note of all that is stored, whoever wrote or removed it."""
        for gone in self.blobs.keys() - blobs.keys():
            self.forget(gone)
        self.strangers |= blobs.keys() - self.blobs.keys()
        self.blobs = dict(blobs)
        self.size_bytes = sum(self.blobs.values())

    def forget(self, blob: str) -> None:
        """Take note that a blob is not stored, or not any more."""
        self.size_bytes -= self.blobs.pop(blob, 0)
        for name in [*self._held_by.get(blob, ())]:
            self._prospects.flip(self._lots[name].keys)
            self._drop(name)

    # -- what comes ----------------------------------------------------------------------------------------------

    def offer(self, parcel: Parcel) -> tuple[str, ...] | None:
        """Decide whether a computed result is stored.

        Returns:
            The blobs that go for it; None if it is not stored.

        Complexity: that of a few losses, and O(stored results) where room is short.
        """
        self._leave(parcel.key)
        self.wanted.discard(parcel.key)
        size_bytes = self._new_bytes(parcel)
        gone: tuple[str, ...] | None = ()
        if size_bytes:
            worth_it = size_bytes <= self._budget_bytes and self._worth(parcel, [parcel.key], size_bytes) > 0
            gone = self._displace(parcel, size_bytes) if worth_it else None
            if worth_it and gone is None:
                self.wanted.add(parcel.key)
        self._set(parcel.key, stored=gone is not None)
        if gone is not None and parcel.blobs:
            self._put(parcel)
            self.expect(parcel)
        return gone

    def lodge(self, parcel: Parcel, at_us: int) -> tuple[str, ...] | None:
        """Decide whether a computed result that is not worth storing is stored for now, where nothing of worth goes.

        Args:
            parcel: The result.
            at_us: When it was computed.

        Returns:
            The blobs that go for it; None if it is not stored.
        """
        if not worth_for_now(self._policy, parcel.choice, self._prospects.remake_us(parcel.key), parcel.write_us):
            return None
        choice = self._idle(self.size_bytes + self._new_bytes(parcel) - self._budget_bytes)
        if choice.short_bytes > 0:
            return None
        self._last_used_us.update(dict.fromkeys(parcel.blobs, at_us))
        self.lodged[parcel.key] = parcel
        gone = self._remove(choice)
        self._put(parcel)
        return gone

    def make_room(self) -> tuple[str, ...]:
        """Return the blobs to remove so that the budget is kept, the least worthy first."""
        choice = self._choose(self.size_bytes - self._budget_bytes, inf)
        if choice is None:
            self.strangers.clear()
            choice = self._choose(self.size_bytes - self._budget_bytes, inf)
        return self._remove(choice) if choice else ()

    def _new_bytes(self, parcel: Parcel) -> int:
        return sum(size for name, size in parcel.blobs.items() if name not in self.blobs)

    def _put(self, parcel: Parcel) -> None:
        self.size_bytes += self._new_bytes(parcel)
        self.blobs |= parcel.blobs

    # -- what goes -----------------------------------------------------------------------------------------------

    def _displace(self, parcel: Parcel, size_bytes: int) -> tuple[str, ...] | None:
        """Make room for a result if it is worth that; return what went, or None."""
        choice = self._choose(self.size_bytes + size_bytes - self._budget_bytes, _DEAREST)
        if choice is None:
            return None
        if choice.lots and self._worth(parcel, [parcel.key], size_bytes) <= CLEARLY * choice.worth:
            self._put_back(choice.lots)
            if not choice.revalued:
                self._prospects.affected()  # all is as it was
            return None
        return self._remove(choice)

    def _choose(self, short_bytes: int, dearest: float) -> _Choice | None:
        """Choose what goes so that so many bytes come free; None if not enough can go that is worth no more than that.

        The lots that go count as not stored from now on.
        """
        choice = self._idle(short_bytes)
        if choice.short_bytes <= 0:
            return choice
        self._value_anew()
        open_ = [
            lot
            for name, lot in self._lots.items()
            if lot.own_bytes and lot.worth <= dearest and choice.spared.isdisjoint(name)
        ]
        while choice.short_bytes > 0 and open_:
            if choice.lots:
                self._value_anew()
                choice.revalued = True
            lot = min(open_, key=lambda lot: (lot.worth / lot.own_bytes, self._last_used(lot)))
            open_.remove(lot)
            choice.lots.append(lot)
            choice.short_bytes -= lot.own_bytes
            self._prospects.flip(lot.keys)
        if choice.short_bytes > 0:
            self._put_back(choice.lots)
            return None
        for lot in sorted(choice.lots, key=lambda lot: -lot.worth):
            if choice.short_bytes + lot.own_bytes <= 0:  # the others make room enough
                choice.short_bytes += lot.own_bytes
                choice.lots.remove(lot)
                self._put_back([lot])
        return choice

    def _idle(self, short_bytes: int) -> _Choice:
        """Choose among the blobs of no expected step, the least recently used first."""
        if short_bytes <= 0:
            return _Choice(short_bytes)
        for parcel in self._elsewhere():
            self.expect(parcel)
        self._elsewhere = tuple
        claims = self.claims()
        choice = _Choice(short_bytes + claims.reserved_bytes, {*claims.spared})
        spared = choice.spared | self.strangers
        idle = [blob for blob in self.blobs if blob not in spared and self.is_idle(blob)]
        for blob in sorted(idle, key=lambda blob: (self._last_used_us.get(blob, 0), blob)):
            if choice.short_bytes <= 0:
                break
            choice.blobs.append(blob)
            choice.short_bytes -= self.blobs[blob]
        return choice

    def _put_back(self, lots: Iterable[_Lot]) -> None:
        for lot in lots:
            self._prospects.flip(lot.keys)

    def _remove(self, choice: _Choice) -> tuple[str, ...]:
        for lot in choice.lots:
            choice.blobs += (blob for blob in lot.parcel.blobs if len(self._held_by[blob]) == 1)
            self._drop(lot.parcel.name)
        for blob in choice.blobs:
            self.size_bytes -= self.blobs.pop(blob)
        return tuple(choice.blobs)

    def _leave(self, key: Key) -> None:
        """Let a step that was computed again give up what it had."""
        name = self._lot_of.pop(key, None)
        if name is not None:
            self._lots[name].keys.remove(key)
            if not self._lots[name].keys:
                self._drop(name)

    def _drop(self, name: Name) -> None:
        for key in self._lots.pop(name).keys:
            del self._lot_of[key]
        for blob in name:
            self._held_by[blob].discard(name)
            self._stale |= self._held_by[blob]
        self._stale.discard(name)

    def _value_anew(self) -> None:
        """Value what is not worth any more what it was."""
        self._stale.update(self._lot_of[key] for key in self._prospects.affected() if key in self._lot_of)
        for name in self._stale:
            lot = self._lots[name]
            lot.own_bytes = sum(self.blobs[blob] for blob in name if len(self._held_by[blob]) == 1)
            lot.worth = self._worth(lot.parcel, lot.keys, lot.own_bytes)
            if lot.worth == inf and all(run != NOW for run, _ in lot.keys):
                lot.worth = 0.0
        self._stale.clear()

    def _set(self, key: Key, *, stored: bool) -> None:
        if self._prospects.stored(key) is not stored:
            self._prospects.flip([key])

    def _last_used(self, lot: _Lot) -> int:
        return max(self._last_used_us.get(blob, 0) for blob in lot.parcel.blobs)

    def _worth(self, parcel: Parcel, keys: Collection[Key], size_bytes: int) -> float:
        candidate = Candidate(
            load_us=parcel.load_us,
            write_us=0 if self.holds(parcel) else parcel.write_us,
            size_bytes=size_bytes,
            recreate=lambda: self._prospects.recreate_us(parcel.key),
            loss=lambda: self._prospects.loss_us(keys),
            runs=lambda: self._prospects.runs(keys),
        )
        return worth(self._policy, parcel.choice, candidate)
