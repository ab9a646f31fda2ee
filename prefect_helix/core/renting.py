"""Rent or buy: what is paid again and again to avoid a computation counts towards it.

Values that nobody expected to be asked for are planned one by one. Each may be cheaper to load than to make from an
ancestor that is not there, and all together dearer than that ancestor: fifty loads of ten seconds, where one source of
twelve seconds would have given all of them. As with skis, whoever buys once the rent paid has reached the price pays no
more than twice what is best, whatever comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import PlanNode, solve


def credits_us(nodes: Sequence[PlanNode], loaded: str) -> Mapping[str, int]:
    """Return what loading a value pays towards the ancestors that it spares, the nearest ones first.

    Args:
        nodes: The nodes around it as they are planned, what was credited to them before taken off their costs.
        loaded: Key of the node whose value is loaded.

    Returns:
        By ancestor, by how much less it costs from now on: never more than it would have cost now.

    Complexity: that of planning `nodes`.
    """
    by_key = {node.key: node for node in nodes}
    node = by_key.get(loaded)
    if node is None or node.load_us is None or node.compute_us is None or node.load_us <= node.compute_us:
        return {}
    paid_us = node.load_us - node.compute_us
    planned = solve(nodes).decisions
    computed = solve(replace(one, load_us=None) if one is node else one for one in nodes).decisions
    credited: dict[str, int] = {}
    waiting, seen = deque(node.parents), set(node.parents)
    while waiting and paid_us:
        ancestor = by_key[waiting.popleft()]
        decision = computed[ancestor.key]
        if decision is Decision.COMPUTE:
            further = [key for key in ancestor.parents if key not in seen]
            waiting += further
            seen.update(further)
        price_us = ancestor.compute_us if decision is Decision.COMPUTE else ancestor.load_us
        if planned[ancestor.key] is Decision.PRUNE and decision is not Decision.PRUNE and price_us:
            credited[ancestor.key] = min(paid_us, price_us)
            paid_us -= credited[ancestor.key]
    return credited
