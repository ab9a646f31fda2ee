"""Plan for what a run turns out to need too, where the rest of its plan stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from prefect_helix.core.planner import Plan, PlanNode, solve


def extend(targets: Iterable[PlanNode], node_of: Callable[[str], PlanNode], had: Callable[[str], bool]) -> Plan:
    """Return the cheapest way to have `targets` as well.

    Only they and those ancestors are looked at that are not had, so that a run which departs from its plan at many
    places pays for what is new at each.

    Args:
        targets: What is needed now.
        node_of: Gives the node of a key.
        had: Whether the value of a key is there, or will be by what is decided already.

    Returns:
        The decisions for the nodes that were looked at. What is had and was come upon is among them, loaded at no cost.

    Complexity: that of `solve` for these nodes.
    """
    region = {node.key: replace(node, demanded=True) for node in targets}
    stack = [parent for node in region.values() for parent in node.parents]
    while stack:
        key = stack.pop()
        if key not in region:
            region[key] = PlanNode(key, load_us=0) if had(key) else replace(node_of(key), demanded=False)
            stack += region[key].parents
    return solve(region.values())
