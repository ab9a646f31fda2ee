"""Decide by a minimum cut what the presolve left open.

To have a value is to load or to compute it, and to compute it is to have the values it is made from. HELIX (PVLDB 2018,
section 5.2) states the cheapest way as project selection with profits; here costs are capacities, so that no large
constant is needed and the value of a maximum flow is the cost of the plan. Each node is a pair of vertices::

    available ──load──> computed ──compute──> SINK
                           └──no bound──> available of each parent

`available` is the SOURCE where every plan has the node. The pair falls together where a node cannot be loaded. A node
that can be had in one way, whose parents every plan has, is one arc from `available` to the SINK.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner.network import SINK, SOURCE, Network, certify, maximum_flow
from prefect_helix.core.planner.presolve import Fold
from prefect_helix.core.planner.problem import Problem


def cut(problem: Problem, fold: Fold) -> None:
    """Decide the nodes that are needed and open, and what they take; write the decisions to `problem`.

    The source sides of the minimum cuts are the sets closed under the residual graph of any maximum flow (Picard and
    Queyranne, "On the structure of all minimum cuts in a network", 1980). The largest of them, everything from which
    the SINK cannot be reached, has each value that any cheapest plan has. What these values reach must go with them;
    so the rest is not computed, and the plan is one and the same for every maximum flow.

    Raises:
        PlanError: If the result fails the check.
    """
    nodes = _reached(problem, fold)
    if not nodes:
        return
    network, available, computed = _build(problem, fold, nodes)
    flows = maximum_flow(network)
    after: list[list[int]] = [[] for _ in range(network.vertices)]
    before: list[list[int]] = [[] for _ in range(network.vertices)]
    for tail, head, capacity, flow in zip(network.tails, network.heads, network.capacities, flows, strict=True):
        if flow < capacity:
            after[tail].append(head)
            before[head].append(tail)
        if flow:
            after[head].append(tail)
            before[tail].append(head)
    outside = _reach([SINK], before)
    wanted = [*available.values(), *(computed[node] for node in nodes if node in fold.eager)]
    inside = _reach([SOURCE, *(vertex for vertex in wanted if not outside[vertex])], after)

    cost = 0
    for node in nodes:
        if not inside[available[node]]:
            continue
        if not fold.rest[node]:
            fold.have(node)
            cost += fold.cost(node)
        elif inside[computed[node]]:
            fold.compute(node)
            cost += problem.compute[node] or 0
        else:
            problem.decisions[node] = Decision.LOAD
            cost += problem.load[node] or 0
    certify(network, flows, cost)


def _reached(problem: Problem, fold: Fold) -> list[int]:
    """Return the open nodes that every plan has, and what they may take, parents first."""
    reached = {node for node in fold.rest if problem.needed[node]}
    for node in reversed(fold.rest):
        if node in reached:
            reached.update(fold.rest[node])
    return [node for node in fold.rest if node in reached]


def _build(problem: Problem, fold: Fold, nodes: Sequence[int]) -> tuple[Network, dict[int, int], dict[int, int]]:
    """Return the network, and for each node the vertices that stand for having and for computing it."""
    network = Network()
    available: dict[int, int] = {}
    computed: dict[int, int] = {}
    without_bound = 1 + sum((problem.compute[node] or 0) + (problem.load[node] or 0) for node in nodes)
    for node in nodes:
        have = compute = available[node] = SOURCE if problem.needed[node] else network.vertex()
        load = problem.load[node]
        if not fold.rest[node]:
            network.arc(have, SINK, fold.cost(node))
        else:
            if load is not None:
                compute = network.vertex()
                network.arc(have, compute, load)
            network.arc(compute, SINK, problem.compute[node] or 0)
            for parent in fold.rest[node]:
                network.arc(compute, available[parent], without_bound)
        computed[node] = compute
    return network, available, computed


def _reach(start: Iterable[int], neighbours: Sequence[Sequence[int]]) -> list[bool]:
    seen = [False] * len(neighbours)
    stack = list(start)
    while stack:
        vertex = stack.pop()
        if not seen[vertex]:
            seen[vertex] = True
            stack += neighbours[vertex]
    return seen
