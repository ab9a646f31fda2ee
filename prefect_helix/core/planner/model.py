"""What is planned, what a plan is, and what can be wrong with either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_helix.core.errors import HelixError
from prefect_helix.core.graph import Decision


class PlanError(HelixError):
    """The planner's answer failed the planner's own check: a defect of this package, not of its input.

    Args:
        finding: What the check found.
    """

    def __init__(self, finding: str) -> None:
        self.finding = finding
        super().__init__(
            f"The plan is wrong: {finding}. This is a defect of the planner; computing every step is always safe. "
            "Please report it with the steps of the run."
        )


class InvalidGraphError(HelixError, ValueError):
    """The nodes to plan are no directed acyclic graph with costs of zero and more.

    Args:
        keys: The nodes at fault.
        finding: What is wrong with them.
        remedy: What would be accepted.
    """

    def __init__(self, keys: Sequence[str], finding: str, remedy: str) -> None:
        self.keys = tuple(keys)
        self.finding = finding
        self.remedy = remedy
        super().__init__(f"The nodes cannot be planned: {finding}. {remedy}")


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node as the planner sees it.

    Attributes:
        key: Its name, unique in the plan.
        parents: Keys of the nodes whose values it takes; repeats do no harm. What it only waits for is no parent.
        compute_us: Cost of computing it; None if unknown.
        load_us: Cost of loading it; None if it cannot be loaded.
        original: Whether no trace matches it: it is never loaded, whatever `load_us` says.
        demanded: Whether somebody other than its children needs its value.
    """

    key: str
    parents: tuple[str, ...] = ()
    compute_us: int | None = None
    load_us: int | None = None
    original: bool = False
    demanded: bool = False

    @property
    def loadable(self) -> bool:
        """Whether it may be loaded."""
        return self.load_us is not None and not self.original


@dataclass(frozen=True, slots=True)
class Plan:
    """The cheapest decisions for a set of nodes.

    Attributes:
        decisions: One for each node, in the order in which the nodes were given.
        cost_us: Sum of the known costs of what is computed and loaded.
        unknown_computes: Number of computed nodes whose cost is unknown; `cost_us` does not count them.
    """

    decisions: Mapping[str, Decision]
    cost_us: int
    unknown_computes: int = 0

    def count(self, decision: Decision) -> int:
        """Return how many nodes have this decision."""
        return sum(made is decision for made in self.decisions.values())
