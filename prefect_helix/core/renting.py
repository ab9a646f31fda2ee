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


def credits_us(nodes: Sequence[PlanNode], *loaded: str) -> Mapping[str, int]:
    """Return what loading values pays towards the ancestors that it spares, the nearest ones first.

    Args:
        nodes: The nodes around them as they are planned, what was credited to them before taken off their costs.
        loaded: Keys of the nodes whose values are loaded.

    Returns:
        By ancestor, by how much less it costs from now on: never more than it would have cost now.

    Complexity: that of planning `nodes` twice, however many are loaded, besides the ancestors that each pays for.
    """
    by_key = {node.key: node for node in nodes}
    rents_us = {key: us for key in loaded if key in by_key and (us := _rent_us(by_key[key]))}
    if not rents_us:
        return {}
    planned = solve(nodes).decisions
    computed = solve(replace(one, load_us=None) if one.key in rents_us else one for one in nodes).decisions
    credited: dict[str, int] = {}
    for key, rent_us in rents_us.items():
        left_us = rent_us
        waiting, seen = deque(by_key[key].parents), {*by_key[key].parents}
        while waiting and left_us:
            ancestor = by_key[waiting.popleft()]
            decision = computed[ancestor.key]
            if planned[ancestor.key] is not Decision.PRUNE or decision is Decision.PRUNE:
                continue
            price_us = ancestor.load_us or 0
            if decision is Decision.COMPUTE:
                price_us = ancestor.compute_us or 0
                further = [parent for parent in ancestor.parents if parent not in seen]
                waiting += further
                seen.update(further)
            before_us = credited.get(ancestor.key, 0)
            if credit_us := min(left_us, price_us - before_us):
                credited[ancestor.key] = before_us + credit_us
                left_us -= credit_us
    return credited


def _rent_us(node: PlanNode) -> int:
    """Return how much longer loading a value takes than computing it from its inputs would, as far as known."""
    if node.load_us is None or node.compute_us is None:
        return 0
    return max(0, node.load_us - node.compute_us)
