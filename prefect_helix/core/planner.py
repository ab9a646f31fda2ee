"""Decide for every node of a run whether to compute, load or prune it, at the least total cost.

A plan is a closed set in a graph: to have a value is to load or to compute it, and to compute it is to have the values
it is made from. The cheapest such set is a minimum cut (HELIX, PVLDB 2018, section 5.2). HELIX states it as project
selection with profits; here costs are capacities, so that no large constant is needed and the value of a maximum flow
is the cost of the plan. Each node that is still open is a pair of vertices::

    SOURCE ──∞──> available ──load──> computed ──compute──> SINK         SOURCE only where the node is demanded
                                         └──∞──> available of each parent

The pair falls together where a node cannot be loaded, and `computed` is the SINK where it is never worth computing.
`solve` first narrows and settles what needs no flow, cuts the rest, and checks the result by duality.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import count
from typing import NamedTuple

from networkx import DiGraph
from networkx.algorithms.flow import preflow_push

from prefect_helix.core.errors import HelixError
from prefect_helix.core.graph import Decision

SOURCE = 0
SINK = 1


class PlanError(HelixError):
    """The planner's answer failed the planner's own check: a defect of this package, not of its input.

    Args:
        finding: What the check found.
    """

    def __init__(self, finding: str) -> None:
        self.finding = finding
        super().__init__(
            f"The plan is wrong: {finding}. This is a defect of the planner; computing every step is always safe. "
            "Please report it with the steps of the run."
        )


class InvalidGraphError(HelixError, ValueError):
    """The nodes to plan are no directed acyclic graph with costs of zero and more.

    Args:
        keys: The nodes at fault.
        finding: What is wrong with them.
        remedy: What would be accepted.
    """

    def __init__(self, keys: Sequence[str], finding: str, remedy: str) -> None:
        self.keys = tuple(keys)
        self.finding = finding
        self.remedy = remedy
        super().__init__(f"The nodes cannot be planned: {finding}. {remedy}")


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node as the planner sees it.

    Attributes:
        key: Its name, unique in the plan.
        parents: Keys of the nodes whose values it takes; repeats do no harm. What it only waits for is no parent.
        compute_us: Cost of computing it; None if unknown.
        load_us: Cost of loading it; None if it cannot be loaded.
        original: Whether no trace matches it: it is never loaded, whatever `load_us` says.
        demanded: Whether somebody other than its children needs its value.
    """

    key: str
    parents: tuple[str, ...] = ()
    compute_us: int | None = None
    load_us: int | None = None
    original: bool = False
    demanded: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The cheapest decisions for a set of nodes.

    Attributes:
        decisions: One for each node, by depth and then by key.
        cost_us: Sum of the known costs of what is computed and loaded.
        unknown_computes: Number of computed nodes whose cost is unknown; `cost_us` does not count them.
    """

    decisions: Mapping[str, Decision]
    cost_us: int
    unknown_computes: int = 0

    def count(self, decision: Decision) -> int:
        """Return how many nodes have this decision."""
        return sum(made is decision for made in self.decisions.values())


def solve(nodes: Iterable[PlanNode]) -> Plan:
    """Return the plan of least cost.

    A plan prunes no demanded node and no parent of a computed one, and computes an original unless it is pruned. Among
    these the cheapest is found, exactly, in integer microseconds. A compute of unknown cost counts as more than all
    known costs together: the plan has as few of them as can be, and of those plans it is the cheapest in known costs.

    Ties go to load over compute over prune, node after node from the first ancestors on; then what nobody needs (it
    cost nothing) is pruned. One plan alone is left by this, so it does not depend on the order of `nodes`.

    Args:
        nodes: The graph; all parents are among them.

    Returns:
        The decisions and their cost.

    Raises:
        InvalidGraphError: If a key comes twice, a parent is missing, parents form a cycle, or a cost is negative.
        PlanError: If the result fails the check.

    Complexity: O(nodes + edges), and one maximum flow over what the linear rules leave open.
    """
    order = _topological(nodes)
    options = _narrow(order)
    decisions, undecided = _settle(options)
    if undecided:
        decisions |= _cut(undecided)
    _prune_idle(options, decisions)
    computed = [node.compute_us for node in order if decisions[node.key] is Decision.COMPUTE]
    loaded = [node.load_us for node in order if decisions[node.key] is Decision.LOAD]
    return Plan(decisions, sum(cost for cost in computed + loaded if cost is not None), computed.count(None))


def _topological(nodes: Iterable[PlanNode]) -> list[PlanNode]:
    """Return the nodes by depth, then by key, or say why that cannot be."""
    by_key: dict[str, PlanNode] = {}
    for node in nodes:
        if node.key in by_key:
            raise InvalidGraphError([node.key], f"the key {node.key!r} comes twice", "Give each node a key of its own.")
        if min(node.compute_us or 0, node.load_us or 0) < 0:
            raise InvalidGraphError([node.key], f"node {node.key!r} has a negative cost", "Costs are zero or more.")
        by_key[node.key] = node
    for node in by_key.values():
        if missing := [parent for parent in node.parents if parent not in by_key]:
            finding = f"node {node.key!r} has the unknown parents {', '.join(map(repr, missing))}"
            raise InvalidGraphError([node.key], finding, "Pass every ancestor too.")
    sorter = TopologicalSorter({node.key: node.parents for node in by_key.values()})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = error.args[1]
        finding = f"their parents form the cycle {' -> '.join(map(repr, cycle))}"
        raise InvalidGraphError(cycle, finding, "A node cannot need its own value.") from None
    order: list[PlanNode] = []
    while sorter.is_active():
        level = sorter.get_ready()
        order += (by_key[key] for key in sorted(level))
        sorter.done(*level)
    return order


class _Options(NamedTuple):
    """What may still be done with a node whose value is needed; a cost of None rules it out."""

    key: str
    parents: tuple[str, ...]
    compute: int | None
    load: int | None
    demanded: bool


def _narrow(order: Sequence[PlanNode]) -> list[_Options]:
    """Rule out what no plan of least cost does with a node.

    Loading beats computing if it costs no more than the node's own function. Computing beats loading if it costs no
    more even when each parent is had by itself, as if nothing else used it: the linear-time reuse rule of Derakhshan
    et al. (SIGMOD 2020), which counts shared ancestors more than once and so is an upper bound.
    """
    unknown = 1 + sum((node.compute_us or 0) + (node.load_us or 0) for node in order)
    alone: dict[str, int] = {}
    options = []
    for node in order:
        parents = tuple(dict.fromkeys(node.parents))
        compute = unknown if node.compute_us is None else node.compute_us
        load = None if node.original else node.load_us
        closure = compute + sum(alone[parent] for parent in parents)
        alone[node.key] = closure if load is None else min(closure, load)
        if load is not None and load <= compute:
            options.append(_Options(node.key, parents, None, load, node.demanded))
        else:
            if load is not None and closure <= load:
                load = None
            options.append(_Options(node.key, parents, compute, load, node.demanded))
    return options


def _settle(options: Sequence[_Options]) -> tuple[dict[str, Decision], list[_Options]]:
    """Decide what is needed for sure and has one option left, and leave out what no demand reaches.

    Returns:
        A decision for every node, and the nodes for which it is not the last word, in the order of `options`, with
        `demanded` set where every plan needs them.
    """
    decisions = {node.key: Decision.PRUNE for node in options}
    needed = {node.key for node in options if node.demanded}
    reached: set[str] = set()
    undecided = []
    for node in reversed(options):
        if node.key in needed and node.compute is None:
            decisions[node.key] = Decision.LOAD
        elif node.key in needed and node.load is None:
            decisions[node.key] = Decision.COMPUTE
            needed.update(node.parents)
        elif node.key in needed or node.key in reached:
            undecided.append(node._replace(demanded=node.key in needed))
            if node.compute is not None:
                reached.update(node.parents)
    return decisions, undecided[::-1]


class Arc(NamedTuple):
    """An arc of a flow network; no capacity means that it has no bound."""

    tail: int
    head: int
    capacity: int | None


def maximum_flow(arcs: Sequence[Arc]) -> list[int]:
    """Return the flow on each arc of a maximum flow from SOURCE to SINK.

    Args:
        arcs: A network in which no path from SOURCE to SINK is without bound, at most one arc between two vertices.
    """
    graph = DiGraph()
    for tail, head, capacity in arcs:
        # To networkx, an arc that has no such attribute has no bound.
        graph.add_edge(tail, head, **({} if capacity is None else {"capacity": capacity}))
    residual = preflow_push(graph, SOURCE, SINK)
    # networkx leaves arcs of capacity zero out of the residual graph.
    return [residual[tail][head]["flow"] if residual.has_edge(tail, head) else 0 for tail, head, _ in arcs]


def _cut(undecided: Sequence[_Options]) -> dict[str, Decision]:
    """Decide the nodes by a minimum cut; parents that are not among them are there in every plan.

    The source sides of the minimum cuts are the sets closed under the residual graph of any maximum flow (Picard and
    Queyranne, "On the structure of all minimum cuts in a network", 1980). The largest of them, everything from which
    the SINK cannot be reached, has each value that any cheapest plan has. What these values reach must go with them;
    so the rest is not computed, and the plan is one and the same for every maximum flow.
    """
    vertices = count(SINK + 1)
    available: dict[str, int] = {}
    computed: dict[str, int] = {}
    arcs: list[Arc] = []
    for node in undecided:
        have = compute = available[node.key] = next(vertices)
        if node.demanded:
            arcs.append(Arc(SOURCE, have, None))
        if node.load is not None:
            compute = SINK if node.compute is None else next(vertices)
            arcs.append(Arc(have, compute, node.load))
        if node.compute is not None:
            arcs.append(Arc(compute, SINK, node.compute))
            arcs += (Arc(compute, available[parent], None) for parent in node.parents if parent in available)
        computed[node.key] = compute

    flows = maximum_flow(arcs)
    after: defaultdict[int, list[int]] = defaultdict(list)
    before: defaultdict[int, list[int]] = defaultdict(list)
    for (tail, head, capacity), flow in zip(arcs, flows, strict=True):
        residual = [(tail, head)] if capacity is None or flow < capacity else []
        if flow > 0:
            residual.append((head, tail))
        for start, end in residual:
            after[start].append(end)
            before[end].append(start)
    outside = _reach([SINK], before)
    inside = _reach([SOURCE, *(vertex for vertex in available.values() if vertex not in outside)], after)

    decisions: dict[str, Decision] = {}
    cost = 0
    for node in undecided:
        if node.compute is not None and computed[node.key] in inside:
            decisions[node.key] = Decision.COMPUTE
            cost += node.compute
        elif node.load is not None and available[node.key] in inside:
            decisions[node.key] = Decision.LOAD
            cost += node.load
        else:
            decisions[node.key] = Decision.PRUNE
    _certify(arcs, flows, cost)
    return decisions


def _reach(start: Iterable[int], neighbours: Mapping[int, Sequence[int]]) -> set[int]:
    seen: set[int] = set()
    stack = list(start)
    while stack:
        vertex = stack.pop()
        if vertex not in seen:
            seen.add(vertex)
            stack.extend(neighbours.get(vertex, ()))
    return seen


def _certify(arcs: Sequence[Arc], flows: Sequence[int], cost: int) -> None:
    """Prove by duality that no plan costs less than `cost`: no cut is smaller than any flow, and this much flows.

    Raises:
        PlanError: If it is not proved.
    """
    balance: defaultdict[int, int] = defaultdict(int)
    for (tail, head, capacity), flow in zip(arcs, flows, strict=True):
        if flow < 0 or (capacity is not None and flow > capacity):
            raise PlanError(f"the flow {flow} from {tail} to {head} does not fit the capacity {capacity}")
        balance[tail] -= flow
        balance[head] += flow
    value = balance.pop(SINK)
    balance.pop(SOURCE)
    if any(balance.values()):
        raise PlanError("the flow is not conserved")
    if value != cost:
        raise PlanError(f"it costs {cost} where the maximum flow is {value}")


def _prune_idle(options: Sequence[_Options], decisions: dict[str, Decision]) -> None:
    """Prune what the ties kept at no cost although nobody needs it."""
    needed = {node.key for node in options if node.demanded}
    for node in reversed(options):
        if node.key not in needed:
            decisions[node.key] = Decision.PRUNE
        elif decisions[node.key] is Decision.COMPUTE:
            needed.update(node.parents)
