"""Decide for every node of a run whether to compute, load or prune it, at the least total cost.

A plan is a closed set in a graph, and the cheapest one is a minimum cut (HELIX, PVLDB 2018, section 5.2). `presolve`
settles most nodes in linear time, `cutting` decides the rest and proves by duality that nothing is cheaper.
"""

from __future__ import annotations

from collections.abc import Iterable

from prefect_helix.core.garbage import garbage_kept
from prefect_helix.core.graph import Decision
from prefect_helix.core.planner.cutting import cut
from prefect_helix.core.planner.model import InvalidGraphError, Plan, PlanError, PlanNode
from prefect_helix.core.planner.presolve import Fold, narrow, settle
from prefect_helix.core.planner.problem import Problem, problem

__all__ = ["InvalidGraphError", "Plan", "PlanError", "PlanNode", "solve"]


def solve(nodes: Iterable[PlanNode]) -> Plan:
    """Return the plan of least cost.

    A plan prunes no demanded node and no parent of a computed one, and computes an original unless it is pruned. Among
    these the cheapest is found, exactly, in integer microseconds. A compute of unknown cost counts as more than all
    known costs together: the plan has as few of them as can be, and of those plans it is the cheapest in known costs.

    Ties go to load over compute over prune, node after node from the first ancestors on; then what nobody needs (it
    cost nothing) is pruned. One plan alone is left by this, so it does not depend on the order of `nodes`.

    Args:
        nodes: The graph; all parents are among them. It is planned soonest if they come before their children.

    Returns:
        The decisions and their cost.

    Raises:
        InvalidGraphError: If a key comes twice, a parent is missing, parents form a cycle, or a cost is negative.
        PlanError: If the result fails the check.

    Complexity: O(nodes + edges), and one maximum flow over what the linear rules leave open.
    """
    nodes = [*nodes]
    with garbage_kept():
        stated = problem(nodes)
        narrow(stated)
        fold = Fold(stated, settle(stated))
        cut(stated, fold)
        decided = dict(zip(stated.keys, _without_idle(stated, {n.key for n in nodes if n.demanded}), strict=True))
        decisions = {node.key: decided[node.key] for node in nodes}
    costs = [
        node.compute_us if decision is Decision.COMPUTE else node.load_us
        for node, decision in zip(nodes, decisions.values(), strict=True)
        if decision is not Decision.PRUNE
    ]
    return Plan(decisions, sum(cost for cost in costs if cost is not None), costs.count(None))


def _without_idle(stated: Problem, demanded: set[str]) -> list[Decision]:
    """Return the decisions without what the ties kept at no cost although nobody needs it."""
    needed = [key in demanded for key in stated.keys]
    decisions = [decision or Decision.PRUNE for decision in stated.decisions]
    for number in range(len(needed) - 1, -1, -1):
        if not needed[number]:
            decisions[number] = Decision.PRUNE
        elif decisions[number] is Decision.COMPUTE:
            for parent in stated.parents[number]:
                needed[parent] = True
    return decisions
