"""The plan over the nodes of a run: made as it begins, and made again around what turns out otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import Plan, PlanNode, solve
from prefect_helix.core.renting import credits_us
from prefect_helix.core.replanning import affected
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.world import World


def plan(world: World) -> Plan:
    """Decide for every node of a run that begins."""
    made = solve(plan_nodes(world))
    _decide(world, made)
    return made


def plan_nodes(world: World) -> Iterator[PlanNode]:
    """Yield the nodes of a run as the planner sees them."""
    return (_plan_node(world, node, parents=_parents(node)) for node in world.nodes)


def replan(world: World, changed: Iterable[Node]) -> None:
    """Decide again for the nodes that a change can matter to.

    Args:
        world: The nodes of the run, as they are now.
        changed: Those whose standing, costs, parents or demand have changed, or whose values came to be there.

    Complexity: O(nodes whose decisions hang on the change + their edges), and a maximum flow over them.
    """
    nodes = affected(_Planned(world), [node.key for node in changed])
    if nodes:
        _decide(world, solve(nodes))


def demand(world: World, nodes: Sequence[Node]) -> None:
    """Plan together for values that are asked for now; what was expected to be asked for is planned already.

    What it costs to load such a value counts towards what could have been computed instead, see `core.renting`.
    """
    unexpected = [node for node in nodes if node.decision in (None, Decision.PRUNE) and not node.done]
    replan(world, unexpected)
    to_load = (node for node in unexpected if node.decision is Decision.LOAD and not is_there(node))
    sparing = [node.key for node in to_load if _spares(world, node)]
    if sparing:
        around = affected(_Planned(world), sparing)
        for key, credit_us in credits_us(around, *sparing).items():
            world[key].credit_us += credit_us


def _spares(world: World, node: Node) -> bool:
    """Return whether loading a node's value takes longer than computing it from its inputs would."""
    load_us, compute_us = world.expected_load_us(node), world.expected_compute_us(node)
    return load_us is not None and compute_us is not None and load_us > compute_us


def _decide(world: World, made: Plan) -> None:
    for key, decision in made.decisions.items():
        node = world[key]
        if not node.done and not node.failed:
            world.decide(node, Decision.COMPUTE if node.started else decision)  # what has begun goes on


class _Planned:
    """The nodes of a run as `affected` looks at them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def open_node(self, key: str) -> PlanNode | None:
        node = self._world[key]
        return None if node.done or node.failed or is_there(node) else _plan_node(self._world, node)

    def parents(self, key: str) -> Iterable[str]:
        return _parents(self._world[key])

    def children(self, key: str) -> Iterable[str]:
        return (child.key for child in self._world.children(self._world[key]))

    def decision(self, key: str) -> Decision | None:
        return self._world[key].decision


def is_there(node: Node) -> bool:
    """Return whether having the node's value costs nothing: it is in memory, or on a worker."""
    cell = node.cells.get(None)
    return node.elsewhere or (cell is not None and cell.present)


def _parents(node: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys(edge.node.key for edge in node.edges))


def _plan_node(world: World, node: Node, parents: tuple[str, ...] = ()) -> PlanNode:
    """Return a node as the planner sees it, with those of its parents that are told."""
    there = is_there(node)
    load_us = None
    if there:
        load_us = 0
    elif world.loadable(node):
        load_us = _less(world.expected_load_us(node), node.credit_us)
    return PlanNode(
        key=node.key,
        parents=parents,
        compute_us=_less(world.expected_compute_us(node), node.credit_us),
        load_us=load_us,
        original=node.original and not there,
        demanded=not node.failed and (node.demanded or node.wanted or (node.original and not node.spec.lazy)),
    )


def _less(us: int | None, credit_us: int) -> int | None:
    return None if us is None else max(0, us - credit_us)
