"""Maximum flow by networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from networkx import DiGraph
from networkx.algorithms.flow import preflow_push

if TYPE_CHECKING:
    from prefect_helix.core.planner.network import Network


def maximum_flow(network: Network) -> list[int]:
    """Return the flow on each arc of a maximum flow from SOURCE (0) to SINK (1)."""
    graph = DiGraph()
    graph.add_nodes_from((0, 1))
    for tail, head, capacity in zip(network.tails, network.heads, network.capacities, strict=True):
        graph.add_edge(tail, head, capacity=capacity)
    residual = preflow_push(graph, 0, 1)._adj
    # networkx leaves arcs of capacity zero out of the residual graph
    nothing = {"flow": 0}
    return [
        max(residual[tail].get(head, nothing)["flow"], 0)
        for tail, head in zip(network.tails, network.heads, strict=True)
    ]
