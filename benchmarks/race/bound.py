"""The lower bound: what no choice takes less than in an iteration, with all results of those before at hand.

A call whose code (by its semantic fingerprint, so that a comment is no change) and whose inputs (by the digests of
their contents, so that what comes out as before changes nothing further on) were not seen together in an earlier
iteration has to compute if its result is needed. Any other can be loaded. Needed are what the flow returns, what it
reads (small values count as read: a flow may branch by them), and the inputs of what is computed. What is computed and
loaded then is the cheapest choice, found exactly. Times are of bodies called without Prefect, one after the other;
hashing, storing, and what the flow does between its steps cost nothing. No system gets below it, except by running
steps side by side, or by the noise of the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from prefect_helix.core.planner import PlanNode, solve


class Call(NamedTuple):
    """One call of a step.

    Attributes:
        task: Its name.
        key: Its code and its inputs; equal keys give equal results.
        compute_us: What its body takes.
        load_us: What a load of its result takes at the least.
        parents: Numbers, in the same run, of the calls whose results it takes.
        read: Whether the flow reads or returns its result.
    """

    task: str
    key: str
    compute_us: int
    load_us: int
    parents: tuple[int, ...]
    read: bool


def least_seconds(runs: Iterable[Sequence[Call]]) -> list[float]:
    """Return for each iteration, in order, what it takes at the least."""
    seen: set[str] = set()
    least = []
    for calls in runs:
        nodes: dict[str, PlanNode] = {}
        read = {call.key for call in calls if call.read}
        for call in calls:
            if call.key not in nodes:  # the same call made twice needs to compute once
                nodes[call.key] = PlanNode(
                    call.key,
                    tuple(dict.fromkeys(calls[parent].key for parent in call.parents)),
                    call.compute_us,
                    call.load_us if call.key in seen else None,
                    demanded=call.key in read,
                )
        least.append(solve(nodes.values()).cost_us / 1e6)
        seen |= nodes.keys()
    return least
