"""The nodes to plan by number, parents before children."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner.model import InvalidGraphError, PlanNode


@dataclass(slots=True)
class Problem:
    """What may still be done with each node; lists run over the nodes, parents before children.

    Attributes:
        keys: Their names.
        parents: The numbers of the nodes each takes values from, without repeats.
        compute: What computing each costs, with all that was folded into it; None where no cheapest plan does.
        load: What loading each costs; None where no cheapest plan does.
        needed: Whether every plan has its value.
        decisions: What is decided; None while it is open.
    """

    keys: list[str]
    parents: list[Sequence[int]]
    compute: list[int | None]
    load: list[int | None]
    needed: list[bool]
    decisions: list[Decision | None]


def problem(nodes: Sequence[PlanNode]) -> Problem:
    """Number the nodes and check them. Complexity: O(nodes + edges).

    Computing at an unknown cost counts as more than all known costs together.

    Raises:
        InvalidGraphError: If a key comes twice, a parent is missing, parents form a cycle, or a cost is negative.
    """
    order, parents = _parents_first(nodes)
    unknown = 1
    for node in nodes:
        compute_us, load_us = node.compute_us or 0, node.load_us or 0
        if compute_us < 0 or load_us < 0:
            raise InvalidGraphError([node.key], f"node {node.key!r} has a negative cost", "Costs are zero or more.")
        unknown += compute_us + load_us
    return Problem(
        keys=[node.key for node in order],
        parents=parents,
        compute=[unknown if node.compute_us is None else node.compute_us for node in order],
        load=[None if node.original else node.load_us for node in order],
        needed=[node.demanded for node in order],
        decisions=[None] * len(order),
    )


def _parents_first(nodes: Sequence[PlanNode]) -> tuple[Sequence[PlanNode], list[Sequence[int]]]:
    """Return the nodes, parents before children, and the numbers of the parents of each."""
    numbers: dict[str, int] = {}
    parents: list[Sequence[int]] = []
    try:
        for number, node in enumerate(nodes):
            takes = node.parents
            parents.append([*{numbers[parent]: None for parent in takes}] if takes else ())
            numbers[node.key] = number
    except KeyError:  # a child came before its parent
        return _parents_first(_sorted(nodes))
    if len(numbers) < len(nodes):
        key, _ = Counter(node.key for node in nodes).most_common(1)[0]
        raise InvalidGraphError([key], f"the key {key!r} comes twice", "Give each node a key of its own.")
    return nodes, parents


def _sorted(nodes: Sequence[PlanNode]) -> Sequence[PlanNode]:
    """Return the nodes with parents before children, or say why that cannot be."""
    known: defaultdict[str, list[PlanNode]] = defaultdict(list)
    for node in nodes:
        known[node.key].append(node)
    for node in nodes:
        if missing := [parent for parent in node.parents if parent not in known]:
            finding = f"node {node.key!r} has the unknown parents {', '.join(map(repr, missing))}"
            raise InvalidGraphError([node.key], finding, "Pass every ancestor too.")
    try:
        order = TopologicalSorter({node.key: node.parents for node in nodes}).static_order()
        return [node for key in order for node in known[key]]
    except CycleError as error:
        cycle = error.args[1]
        finding = f"their parents form the cycle {' -> '.join(map(repr, cycle))}"
        raise InvalidGraphError(cycle, finding, "A node cannot need its own value.") from None
