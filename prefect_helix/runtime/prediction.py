"""What the next run will call, told from the prior run, today's code and the flow's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from prefect_helix.core.lineage import Argument, Lineage, Trace
from prefect_helix.runtime.nodes import Edge, Node
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.runtime.world import World


def predict(
    world: World,
    prior: Lineage,
    *,
    spec_of: Callable[[Trace], TaskSpec],
    parameters: Mapping[str, str],
    shown: Mapping[str, str],
    file_now: Callable[[str], tuple[str, int | None] | None],
) -> None:
    """Enter into `world` the calls that the prior run makes us expect, and classify them.

    A wrong prediction costs time, never correctness. Complexity: O(traces + edges).

    Args:
        world: The run's nodes; empty.
        prior: The lineage to predict from.
        spec_of: The task of a trace, with today's fingerprint.
        parameters: Digests of today's flow parameters.
        shown: The same for people.
        file_now: Digest of the file at a path, and its size in bytes if that is known; None where there is none.
    """
    nodes: dict[str, Node] = {}
    for trace in prior.traces:
        if any(link.signature not in nodes for link in trace.parents):
            continue
        edges = tuple(Edge(nodes[link.signature].cell(link.leaf), link.parameter) for link in trace.parents)
        arguments = tuple(_argument_now(a, parameters, shown, file_now) for a in trace.arguments)
        node = world.expect(spec_of(trace), trace, edges, arguments)
        node.wait_for = tuple(nodes[s] for s in trace.wait_for if s in nodes)
        nodes[trace.signature] = node
        world.classify(node)


def _argument_now(
    argument: Argument,
    parameters: Mapping[str, str],
    shown: Mapping[str, str],
    file_now: Callable[[str], tuple[str, int | None] | None],
) -> Argument:
    if argument.source == "flow_parameter" and parameters.get(argument.origin):
        return replace(argument, digest=parameters[argument.origin], shown=shown[argument.origin])
    if argument.source == "file" and (found := file_now(argument.origin)) is not None:
        digest, size_bytes = found
        return replace(argument, digest=digest, size_bytes=size_bytes)
    return argument
