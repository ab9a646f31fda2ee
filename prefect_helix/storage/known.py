"""What a catalog holds, as it is read at the start of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from prefect_helix.core.history import History
from prefect_helix.core.lineage import Lineage
from prefect_helix.core.rulings import Rulings
from prefect_helix.storage.index import StoredIndex

COVERED_LINEAGES = 32
COVERED_TRACES = 1_000
"""So many lineages, or so many traces in them, are worth an index of their own."""

_COVERED_SHARE = 16
_MOST_UNCOVERED = 20_000
"""A new index is a copy of the one before: it has to add some part of that, or as much as a run may be made to read."""


@dataclass(frozen=True)
class Known:
    """What a catalog holds.

    Attributes:
        recent: The readable lineages that the index does not cover, oldest first, by the stems of their segments'
            paths; runs whose lineage is not committed have the run's id for a stem.
        problems: What could not be read and what follows, in sentences.
        rulings: What people have ruled about results.
        index: The index that covers most; None if there is none.
        indexes: Paths of all indexes that were read, and of those that they replace.
        useless: Paths of segments and indexes of which nothing can be read, nor will ever be.
        unread: Paths of those that could not be read now, but another time, or by a newer release.
    """

    recent: Mapping[str, Lineage]
    problems: tuple[str, ...] = ()
    rulings: Rulings = field(default_factory=Rulings)
    index: StoredIndex | None = None
    indexes: frozenset[str] = frozenset()
    useless: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @cached_property
    def lineages(self) -> tuple[Lineage, ...]:
        """Every readable lineage, oldest first."""
        indexed = self.index.lineages if self.index else ()
        return tuple(sorted((*indexed, *self.recent.values()), key=age))

    def history(self) -> History:
        """Return what all of it tells."""
        return History(self.recent.values(), self.rulings, self.index)

    @property
    def uncovered(self) -> dict[str, Lineage]:
        """The committed lineages that the index does not cover."""
        return {name: lineage for name, lineage in self.recent.items() if name != lineage.run.run_id}

    @property
    def backlog(self) -> Backlog:
        """What the next index has to cover."""
        stale = self.index is not None and self.index.facts.rulings != self.rulings.name
        traces = sum(len(one.traces) for one in self.uncovered.values())
        return Backlog(len(self.uncovered), traces, stale, self.index.rows if self.index else 0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What no index covers.

    Attributes:
        lineages: Number of runs.
        traces: Number of their traces.
        stale: Whether the facts of the index are those of other rulings, so that it has to be read whole.
        covered: Number of the traces in the index.
    """

    lineages: int = 0
    traces: int = 0
    stale: bool = False
    covered: int = 0

    @property
    def is_ripe(self) -> bool:
        """Whether it is time for a new index."""
        worth_it = min(max(COVERED_TRACES, self.covered // _COVERED_SHARE), _MOST_UNCOVERED)
        return self.lineages >= COVERED_LINEAGES or self.traces >= worth_it or self.stale

    def plus(self, lineage: Lineage) -> Backlog:
        """Return what is not covered once one more run is there."""
        return replace(self, lineages=self.lineages + 1, traces=self.traces + len(lineage.traces))

    def indexed(self) -> Backlog:
        """Return what is not covered once an index of all of it is there."""
        return Backlog(covered=self.covered + self.traces)


def age(lineage: Lineage) -> tuple[int, str]:
    """Return what lineages are ordered by, oldest first."""
    return lineage.run.started_us, lineage.run.run_id
