"""Which nodes have to be planned again after some of them changed.

A plan falls apart wherever one decision does not hang on another: at a node whose value is there, at one that is never
worth computing, and at one that computes in every plan. What is left around a change is planned by itself, and together
with the decisions outside it is the plan of least cost for the whole graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import PlanNode

Look = Callable[[str], PlanNode | None]


class Planned(Protocol):
    """A graph that was planned as a whole, and of which some nodes have changed since."""

    def open_node(self, key: str) -> PlanNode | None:
        """Return a node as it is now, without its parents; None if its value is there and nothing is to be planned."""

    def parents(self, key: str) -> Iterable[str]:
        """Return the nodes whose values it takes, each once."""

    def children(self, key: str) -> Iterable[str]:
        """Return the nodes that take its value."""

    def decision(self, key: str) -> Decision | None:
        """Return what was decided for it; None if it is new."""


def affected(graph: Planned, changed: Iterable[str]) -> list[PlanNode]:
    """Return the nodes whose decisions a change may change, as a graph to be planned by itself.

    A node that is demanded from outside of them is marked so; parents outside of them are there in every plan.

    Args:
        graph: The graph, whose decisions were the best before the change.
        changed: Nodes that are new, or whose costs, parents or demand have changed.

    Complexity: O(nodes returned + their edges).
    """
    found: dict[str, PlanNode] = {}
    known: dict[str, PlanNode | None] = {}

    def look(key: str) -> PlanNode | None:
        if key not in known:
            known[key] = graph.open_node(key)
        return known[key]

    waiting = list(changed)
    for key in waiting[:]:
        if look(key) is None:  # what takes its value may be cheaper now, and what it was made from needed no more
            waiting += (one for one in graph.parents(key) if look(one) and not _needed_anyway(graph, one, look))
            waiting += _hanging_on(graph, key, look)
    while waiting:
        key = waiting.pop()
        node = look(key)
        if node is None or key in found:
            continue
        found[key] = node
        if _always_computes(node):
            waiting += (p for p in graph.parents(key) if graph.decision(p) in (None, Decision.PRUNE))
        elif _may_compute(node) or graph.decision(key) is Decision.COMPUTE:
            waiting += graph.parents(key)
        waiting += _hanging_on(graph, key, look)
    return [
        replace(
            node,
            parents=tuple(parent for parent in graph.parents(key) if parent in found),
            demanded=node.demanded or _demanded_from_outside(graph, key, found, look),
        )
        for key, node in found.items()
    ]


def _needed_anyway(graph: Planned, key: str, look: Look) -> bool:
    """Return whether the value of a node is needed in every plan: by what cannot be loaded, and is needed itself.

    Of a map the last elements are looked at first: those before are more likely to have ended.
    """

    def takers(key: str) -> Iterator[str]:
        return reversed([*graph.children(key)])

    seen, stack = {key}, [takers(key)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child not in seen:
            seen.add(child)
            node = look(child)
            if node is not None and (node.original or node.load_us is None):
                if node.demanded:
                    return True
                stack.append(takers(child))
    return False


def _hanging_on(graph: Planned, key: str, look: Look) -> Iterable[str]:
    """Return the children of a node whose decisions hang on what having its value costs."""
    for child in _at_stake(graph, key):
        node = look(child)
        if node is not None and _may_compute(node) and not _always_computes(node):
            yield child


def _demanded_from_outside(graph: Planned, key: str, inside: Mapping[str, PlanNode], look: Look) -> bool:
    outside = (look(child) for child in _at_stake(graph, key) if child not in inside)
    return any(child is not None and _always_computes(child) for child in outside)


def _at_stake(graph: Planned, key: str) -> Iterable[str]:
    """Return the children of a node without those that nobody needed and nothing takes.

    They hang on nothing: whoever comes to need one names it, and of a wide map whose results are asked for one by one
    they are nearly all.
    """
    for child in graph.children(key):
        if graph.decision(child) is not Decision.PRUNE or any(True for _ in graph.children(child)):
            yield child


def _may_compute(node: PlanNode) -> bool:
    if node.original or node.load_us is None:
        return True
    return node.compute_us is not None and node.load_us > node.compute_us


def _always_computes(node: PlanNode) -> bool:
    return node.demanded and (node.original or node.load_us is None)
