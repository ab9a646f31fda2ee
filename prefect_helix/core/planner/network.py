"""Flow networks, and the two libraries that find a maximum flow in one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

from prefect_helix.core.planner.model import PlanError

SOURCE = 0
SINK = 1

WORTH_A_CALL = 100
"""Arcs from which SciPy is faster than networkx."""

WORTH_AN_IMPORT = 5_000
"""Arcs from which it is so even if it must be imported first."""


@dataclass(slots=True)
class Network:
    """Arcs between vertices that are numbered from SOURCE and SINK on; at most one arc joins two vertices.

    Attributes:
        tails: Where each arc starts.
        heads: Where it ends.
        capacities: What fits through it.
        vertices: Number of vertices.
    """

    tails: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    capacities: list[int] = field(default_factory=list)
    vertices: int = 2

    def vertex(self) -> int:
        """Return a new vertex."""
        self.vertices += 1
        return self.vertices - 1

    def arc(self, tail: int, head: int, capacity: int) -> None:
        """Add an arc."""
        self.tails.append(tail)
        self.heads.append(head)
        self.capacities.append(capacity)


Solver = Callable[[Network], list[int]]


def maximum_flow(network: Network) -> list[int]:
    """Return the flow on each arc of a maximum flow from SOURCE to SINK: SciPy's in a large network, else networkx'.

    Neither is imported before it is needed.
    Which of the two is asked makes no difference to a plan: that is read from what all maximum flows have in common.
    """
    least = WORTH_A_CALL if "scipy.sparse.csgraph" in sys.modules else WORTH_AN_IMPORT
    scipy = len(network.tails) >= least and find_spec("scipy") is not None
    library = import_module(f"prefect_helix.core.planner.{'scipy' if scipy else 'networkx'}_flow")
    solver: Solver = library.maximum_flow
    return solver(network)


def certify(network: Network, flows: Sequence[int], cost: int) -> None:
    """Prove by duality that no cut costs less than `cost`: no cut is smaller than any flow, and this much flows.

    Complexity: O(arcs), in Python's integers, which do not overflow.

    Raises:
        PlanError: If it is not proved.
    """
    balance = [0] * network.vertices
    for tail, head, capacity, flow in zip(network.tails, network.heads, network.capacities, flows, strict=True):
        if not 0 <= flow <= capacity:
            raise PlanError(f"the flow {flow} from {tail} to {head} does not fit the capacity {capacity}")
        balance[tail] -= flow
        balance[head] += flow
    value = balance[SINK]
    balance[SOURCE] = balance[SINK] = 0
    if any(balance):
        raise PlanError("the flow is not conserved")
    if value != cost:
        raise PlanError(f"it costs {cost} where the maximum flow is {value}")
