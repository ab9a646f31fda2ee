"""What people have ruled: that a change of code was a refactoring, or that results are not to be used any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import ClassVar, TypeAlias

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.lineage import Trace
from prefect_helix.core.written import Records, Withdrawal


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A change of code is a refactoring: the results of either code stand for those of the other.

    Attributes:
        id: Its name.
        at_us: When it was made, since the epoch.
        task: Name of the task, for people.
        before: Fingerprint of the code before the change.
        after: Fingerprint of the code after it.
        note: What its author says of it.
    """

    kind: ClassVar[str] = "acceptance"

    id: str
    at_us: int
    task: str
    before: str
    after: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Results are not to be used any more: those computed before it was made that meet every criterion given.

    Attributes:
        id: Its name.
        at_us: When it was made, since the epoch.
        tasks: Names or keys of tasks; empty for all.
        runs: Ids of the runs that computed them; empty for all.
        since_us: Computed then or later; None for no limit.
        until_us: Computed before then; None for no limit.
        note: What its author says of it.
        results: Names of results, as `name_of_result` gives them; empty for all.
    """

    kind: ClassVar[str] = "revocation"

    id: str
    at_us: int
    tasks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    note: str = ""
    results: tuple[str, ...] = ()

    def covers(self, trace: Trace) -> bool:
        """Return whether the result of `trace` is one of these, by when and where it was computed."""
        at_us = trace.started_us if trace.computed_at_us is None else trace.computed_at_us
        return (
            at_us < self.at_us
            and (not self.tasks or trace.task in self.tasks or trace.key in self.tasks)
            and (not self.runs or trace.computed_in in self.runs)
            and (self.since_us is None or at_us >= self.since_us)
            and (self.until_us is None or at_us < self.until_us)
            and (not self.results or name_of_result(trace) in self.results)
        )


Ruling: TypeAlias = Acceptance | Revocation | Withdrawal

RULING_KINDS: Mapping[str, type[Acceptance] | type[Revocation] | type[Withdrawal]] = {
    one.kind: one for one in (Acceptance, Revocation, Withdrawal)
}


@dataclass(frozen=True)
class Rulings(Records[Ruling]):
    """All rulings of a store."""

    @cached_property
    def acceptances(self) -> tuple[Acceptance, ...]:
        """Those in force, oldest first."""
        return tuple(one for one in self.all if isinstance(one, Acceptance) and one.id not in self.withdrawn)

    @cached_property
    def revocations(self) -> tuple[Revocation, ...]:
        """Those in force, oldest first."""
        return tuple(one for one in self.all if isinstance(one, Revocation) and one.id not in self.withdrawn)

    def stands_for(self, fingerprint: str) -> str:
        """Return the one fingerprint that counts for all code accepted as the same as this code.

        Acceptances make classes: what is the same as one code is the same as whatever that is the same as. So chains,
        forks and acceptances back and forth have one answer.
        """
        return self._classes.get(fingerprint, fingerprint)

    def members(self, code: str) -> tuple[str, ...]:
        """Return every fingerprint that stands for the same as `code`, itself included."""
        name = self.stands_for(code)
        return tuple({code: None, **{one: None for one, its_name in self._classes.items() if its_name == name}})

    @cached_property
    def name(self) -> str:
        """A name for what is in force: equal names mean equal answers."""
        in_force = sorted([*(one.id for one in self.acceptances), *(one.id for one in self.revocations)])
        return hash_parts("rulings", *in_force)

    def acceptance(self, one: str, other: str) -> Acceptance | None:
        """Return the newest acceptance by which one code stands for another one; None if none is needed, or there.

        Of a chain of them it is the one that names `one`, if there is such.
        """
        if one == other or self.stands_for(one) != self.stands_for(other):
            return None
        chain = [a for a in self.acceptances if self.stands_for(a.before) == self.stands_for(one)]
        return max(chain, key=lambda a: (one in (a.before, a.after), a.at_us), default=None)

    def revocation(self, trace: Trace) -> Revocation | None:
        """Return the newest revocation that covers the result of `trace`; None if it may be used."""
        return next((one for one in reversed(self.revocations) if one.covers(trace)), None)

    @cached_property
    def _classes(self) -> Mapping[str, str]:
        classes: dict[str, str] = {}
        for one in self.acceptances:
            kept, joined = (classes.setdefault(code, code) for code in (one.before, one.after))
            classes.update({code: kept for code, name in classes.items() if name == joined})
        return classes


def name_of_result(trace: Trace) -> str:
    """Return what all computations have in common that gave one result for one call."""
    return f"{trace.signature} {trace.result.digest if trace.result else None}"


def day(us: int) -> str:
    """Return the day of a time since the epoch, in UTC; in words if no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(us / 1e6, timezone.utc):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "an unknown day"


def noted(ruling: Acceptance | Revocation) -> str:
    """Return "on 2026-01-01 (bad disk)": when a ruling was made and what its author says of it."""
    return f"on {day(ruling.at_us)}" + (f" ({ruling.note})" if ruling.note else "")


def moot_signatures(
    traces: Sequence[Trace],
    rulings: Rulings,
    before: Mapping[str, frozenset[str]],
    signed: Callable[[str], Iterator[Trace]],
) -> Mapping[str, frozenset[str]]:
    """Return the signatures that do not tell one result any more, each with what made it so.

    Args:
        traces: Those that have a result, parents before children.
        rulings: The rulings of today.
        before: What is known of earlier traces.
        signed: Gives the earlier traces with a signature.
    """
    moot: dict[str, frozenset[str]] = {**before}
    for trace in traces:
        if revocation := rulings.revocation(trace):
            moot[trace.signature] = moot.get(trace.signature, frozenset()) | {revocation.id}
        if rulings.stands_for(trace.computed_by) != rulings.stands_for(trace.fingerprint):
            moot[trace.signature] = moot.get(trace.signature, frozenset()) | {trace.computed_by}
    if moot:
        taken: dict[tuple[str, int], tuple[str | None, bool]] = {}
        for trace in traces:
            for place, link in enumerate(trace.parents):
                if (trace.signature, place) not in taken:
                    first = next(signed(trace.signature), trace).parents[place : place + 1]
                    taken[trace.signature, place] = next(((one.digest, one.exact) for one in first), (None, False))
                other = taken[trace.signature, place] != (link.digest, link.exact)
                if other and link.signature in moot:  # made from different results of one moot signature
                    moot[trace.signature] = moot.get(trace.signature, frozenset()) | moot[link.signature]
    return moot
