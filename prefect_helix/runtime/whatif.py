"""What a planned run, and those after it, would cost without a stored result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner.explanation import explain
from prefect_helix.runtime.appraisal import Appraiser
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.opening import Outlook
from prefect_helix.runtime.planning import plan_nodes


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A stored result that a planned run would use or could use.

    Attributes:
        node: The step that gave it.
        used: Whether the run would load it.
        size_bytes: Room that it takes.
        load_us: What loading it takes.
        more_us: What the run would cost more without it, the rest of the plan as it is; None if that is not known.
        later_us: What the runs to come would cost more without it, on average, beside all that is stored.
    """

    node: Node
    used: bool
    size_bytes: int
    load_us: int
    more_us: int | None
    later_us: float


def what_if(outlook: Outlook) -> Sequence[WhatIf]:
    """Return the stored results of the steps of a planned run, those it would miss most first.

    Results that are small enough to sit in the lineage take no room and are not among them.
    """
    if outlook.plan is None:
        return []
    world, plan = outlook.world, outlook.plan
    nodes = {node.key: node for node in plan_nodes(world)}
    appraiser = Appraiser(world, outlook.head, outlook.policy, outlook.keeper.loadable)
    found = []
    for node in world.nodes:
        load_us = nodes[node.key].load_us
        if node.original or load_us is None or node.result is None or not node.result.blobs:
            continue
        used = plan.decisions[node.key] is Decision.LOAD
        other_us = explain(nodes, plan, node.key).alternative_us if used else load_us
        more_us = None if other_us is None else other_us - load_us
        later_us = appraiser.loss_us(node)
        found.append(WhatIf(node, used, node.result.size_bytes, load_us, more_us, later_us))
    return sorted(found, key=lambda one: (not one.used, one.more_us is not None, -(one.more_us or 0), -one.later_us))
