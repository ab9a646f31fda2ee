"""What a plan says for itself: for each node what another decision would have cost, for all what other plans would."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from prefect_helix.core.amounts import total
from prefect_helix.core.explain import reason
from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import Plan, PlanNode, solve


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a node is decided as it is.

    Attributes:
        decision: What is done with it.
        reason: Why, in words.
        cost_us: What that costs; None if it is computed and nobody knows how long that takes.
        alternative: What else could be done, the rest of the plan as it is: compute instead of load, load instead of
            compute, have instead of prune, by whichever of the two is cheaper. None where there is nothing else.
        alternative_us: What that would have cost, with all that it needs and the plan does not have; None if that is
            not known.
    """

    decision: Decision
    reason: str
    cost_us: int | None
    alternative: Decision | None
    alternative_us: int | None


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What a plan is measured against, in microseconds; None where a cost is not known.

    Attributes:
        predicted_us: The plan itself.
        scratch_us: Computing every node, as a flow without reuse does.
        compute_all_us: Computing what is demanded and all that it needs, and loading nothing.
        load_targets_us: Loading what is demanded, and where that cannot be, computing it from inputs had in the same
            way, as a cache for each task does.
    """

    predicted_us: int | None
    scratch_us: int | None
    compute_all_us: int | None
    load_targets_us: int | None


def explain(nodes: Mapping[str, PlanNode], plan: Plan, key: str, changed: str = "changed") -> Explanation:
    """Explain the decision for one node.

    Args:
        nodes: The nodes that were planned, by key.
        plan: Their plan.
        key: Which.
        changed: What makes it original, in words, if it is.

    Complexity: a plan over those of its ancestors that the plan does not have.
    """
    node, decision = nodes[key], plan.decisions[key]
    words = reason(
        decision, equivalent=not node.original, stored=node.load_us is not None, mode="auto", changed=changed
    )
    match decision:
        case Decision.COMPUTE:
            other, other_us = (Decision.LOAD, node.load_us) if node.loadable else (None, None)
            return Explanation(decision, words, node.compute_us, other, other_us)
        case Decision.LOAD:
            needs = _having(nodes, plan, replace(node, load_us=None))
            return Explanation(decision, words, node.load_us, Decision.COMPUTE, _cost(needs))
    needs = _having(nodes, plan, node)
    return Explanation(decision, words, 0, needs.decisions[key], _cost(needs))


def yardsticks(nodes: Collection[PlanNode], plan: Plan) -> Yardsticks:
    """Measure a plan. Complexity: O(nodes + edges), and a plan without loads.

    Args:
        nodes: The nodes that were planned.
        plan: Their plan.
    """
    without_loads = solve(replace(node, load_us=None) for node in nodes)
    by_key = {node.key: node for node in nodes}
    each_cached: dict[str, int | None] = {}
    stack = [node.key for node in nodes if node.demanded]
    while stack:
        key = stack.pop()
        if key not in each_cached:
            node = by_key[key]
            each_cached[key] = node.load_us if node.loadable else node.compute_us
            stack += () if node.loadable else node.parents
    return Yardsticks(
        predicted_us=_cost(plan),
        scratch_us=total(node.compute_us for node in nodes),
        compute_all_us=_cost(without_loads),
        load_targets_us=total(each_cached.values()),
    )


def _having(nodes: Mapping[str, PlanNode], plan: Plan, node: PlanNode) -> Plan:
    """Return the cheapest way to have `node` too, where the rest of the plan is carried out anyway."""
    region = {node.key: replace(node, demanded=True)}
    stack = [*node.parents]
    while stack:
        key = stack.pop()
        if key not in region:
            had = plan.decisions[key] is not Decision.PRUNE
            region[key] = PlanNode(key, load_us=0) if had else replace(nodes[key], demanded=False)
            stack += region[key].parents
    return solve(region.values())


def _cost(plan: Plan) -> int | None:
    return None if plan.unknown_computes else plan.cost_us
