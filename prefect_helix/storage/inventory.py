"""What a store holds and for whom, and what of it nobody needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prefect_helix.core.lineage import Lineage
from prefect_helix.storage.backend import Entry

KINDS = ("blobs", "index", "lineage", "journal", "code", "rulings", "remarks", "leases", "results", "probe")
"""The folders of a store."""

UNNAMED_GRACE_US = 3_600 * 1_000_000
"""A result of no known run is kept so long: the run that wrote it may just not have said so yet."""


@dataclass(slots=True, eq=False)
class Made:
    """A result that a step gave, of one blob or of several.

    Attributes:
        flow: The flow.
        task: The task.
        compute_us: The longest time that computing it took, as far as known.
    """

    flow: str
    task: str
    compute_us: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """A blob, and what is known of it.

    Attributes:
        name: Its content name.
        size_bytes: Its length in the store.
        modified_us: When it was written, by the store's clock.
        last_used_us: When a run last computed, loaded or pruned a step that it belongs to; 0 if no run names it.
        results: The results that it belongs to.
        runs: Ids of the runs that name it.
    """

    name: str
    size_bytes: int
    modified_us: int
    last_used_us: int
    results: frozenset[Made]
    runs: frozenset[str]

    @property
    def owners(self) -> frozenset[tuple[str, str]]:
        """Flow and task of the steps that it belongs to."""
        return frozenset((made.flow, made.task) for made in self.results)

    @property
    def age_us(self) -> int:
        """When it was last of use, or was written."""
        return self.last_used_us or self.modified_us


@dataclass(frozen=True, slots=True)
class Group:
    """The results of one task in one flow.

    Attributes:
        flow: The flow; empty for results that no known run names.
        task: The task.
        blobs: How many there are.
        size_bytes: What they take.
        last_used_us: When one of them was last of use.
        compute_us: What computing them again would take.
    """

    flow: str
    task: str
    blobs: int
    size_bytes: int
    last_used_us: int
    compute_us: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """A blob to remove, and why."""

    held: Held
    why: str


class Uses:
    """What runs tell of blobs; they are taken in one by one, in any order, each as often as one likes."""

    def __init__(self) -> None:
        self._used: dict[str, int] = defaultdict(int)
        self._results: dict[str, set[Made]] = defaultdict(set)
        self._runs: dict[str, set[str]] = defaultdict(set)
        self._made: dict[tuple[str, str, tuple[str, ...]], Made] = {}

    def take(self, lineage: Lineage) -> None:
        """Take in what a run tells. Complexity: O(traces)."""
        flow = lineage.run.flow
        for trace in lineage.traces:
            names = trace.result.kept if trace.result else ()
            made = self._made.setdefault((flow, trace.task, names), Made(flow, trace.task))
            made.compute_us = max(made.compute_us, trace.compute_us or 0)
            for name in names:
                self._used[name] = max(self._used[name], trace.started_us)
                self._results[name].add(made)
                self._runs[name].add(lineage.run.run_id)

    def held(self, blobs: Mapping[str, Entry]) -> list[Held]:
        """Return every blob of a store, least recently used first."""
        held = (
            Held(
                name,
                entry.size_bytes,
                entry.modified_us,
                self._used.get(name, 0),
                frozenset(self._results.get(name, ())),
                frozenset(self._runs.get(name, ())),
            )
            for name, entry in blobs.items()
        )
        return sorted(held, key=lambda one: (one.age_us, one.name))


def inventory(lineages: Iterable[Lineage], blobs: Mapping[str, Entry]) -> list[Held]:
    """Return every blob, least recently used first. Complexity: O(traces)."""
    uses = Uses()
    for lineage in lineages:
        uses.take(lineage)
    return uses.held(blobs)


def grouped(held: Iterable[Held]) -> list[Group]:
    """Return blobs by flow and task, the largest first; those that no known run names come last.

    A result of several blobs is computed once for all of them.
    """
    groups: dict[tuple[str, str], list[Held]] = defaultdict(list)
    results: dict[tuple[str, str], set[Made]] = defaultdict(set)
    for one in held:
        for owner in one.owners or {("", "")}:
            groups[owner].append(one)
        for made in one.results:
            results[made.flow, made.task].add(made)
    found = [
        Group(
            *owner,
            blobs=len(ones),
            size_bytes=sum(one.size_bytes for one in ones),
            last_used_us=max(one.age_us for one in ones),
            compute_us=sum(made.compute_us for made in results[owner]),
        )
        for owner, ones in groups.items()
    ]
    return sorted(found, key=lambda group: (not group.flow, -group.size_bytes, group.flow, group.task))


def superfluous(
    held: Collection[Held],
    *,
    leased: Collection[str],
    now_us: int,
    unused_since_us: int | None = None,
    to_bytes: int | None = None,
) -> list[Chosen]:
    """Return what may go: results of no known run, those not used for long, and the oldest until a size is reached.

    What a running flow may load stays.

    Args:
        held: All blobs, least recently used first.
        leased: Names of those that stay.
        now_us: The time by the store's clock.
        unused_since_us: Results last used before then go; None for no limit.
        to_bytes: What may stay in all; None for no limit.
    """
    left_bytes = sum(one.size_bytes for one in held)
    chosen = []
    for one in held:
        if one.name in leased:
            continue
        if not one.owners and one.modified_us < now_us - UNNAMED_GRACE_US:
            why = "of no known run"
        elif unused_since_us is not None and one.age_us < unused_since_us:
            why = "not used for long"
        else:
            continue
        chosen.append(Chosen(one, why))
        left_bytes -= one.size_bytes
    names = {one.held.name for one in chosen}
    for one in held if to_bytes is not None else ():
        if to_bytes is not None and left_bytes <= to_bytes:
            break
        if one.name not in leased and one.name not in names:
            chosen.append(Chosen(one, "least recently used"))
            left_bytes -= one.size_bytes
    return chosen


def of(held: Iterable[Held], *, flow: str | None, task: str | None, runs: Collection[str]) -> Iterator[Chosen]:
    """Yield the blobs that belong to steps of a flow, a task or some runs, and to no others.

    Args:
        held: All blobs.
        flow: Name of the flow; None for all.
        task: Name of the task; None for all.
        runs: Ids of the runs; empty for all.
    """
    for one in held:
        mine = {
            owner for owner in one.owners if (flow is None or owner[0] == flow) and (task is None or owner[1] == task)
        }
        if mine and mine == one.owners and (not runs or one.runs <= set(runs)):
            yield Chosen(one, "named")
