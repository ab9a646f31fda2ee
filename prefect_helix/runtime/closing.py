"""The end of a run: its lineage, with what became of every step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from prefect_helix.core.fingerprint import Component, Fingerprint
from prefect_helix.core.garbage import garbage_kept
from prefect_helix.core.graph import Decision
from prefect_helix.core.habits import changed
from prefect_helix.core.lineage import Lineage, Run, RunStatus, Trace
from prefect_helix.core.summary import summarise
from prefect_helix.runtime.arguments import metrics
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.world import World


def close(
    head: Run,
    prior: Lineage | None,
    world: World,
    keeper: Keeper,
    status: RunStatus,
    at_us: int,
    without_task_run: Callable[[Sequence[Node]], Collection[str]],
) -> Lineage:
    """Finish writing, and return the lineage of a run whose tasks have ended, for who commits it.

    Args:
        head: What was known of the run at its start.
        prior: The run that it is compared with; None if there is none.
        world: Its nodes.
        keeper: The store.
        status: How it ended.
        at_us: When, since the epoch.
        without_task_run: Gives the keys of the calls that no task run shows.
    """
    for node in world.called:  # what was expected to be asked for, and was not
        node.demanded = node.asked
    keeper.drain(completed=status == "completed")
    with garbage_kept():
        unseen = without_task_run(world.called)
        traces = tuple(_final(node, world, keeper, seen=node.key not in unseen) for node in world.called)
        return _lineage(replace(head, status=status, finished_us=at_us), prior, world, keeper, traces)


def code_of(world: World) -> Mapping[str, Mapping[str, Any]]:
    """Return what the code of the tasks is made of that a run has begun, by fingerprint."""
    return {name: {"components": [asdict(c) for c in one.components]} for name, one in _begun_code(world).items()}


def _begun_code(world: World) -> dict[str, Fingerprint]:
    return {node.spec.fingerprint: node.spec.code for node in world.called if node.done or node.failed}


def _lineage(head: Run, prior: Lineage | None, world: World, keeper: Keeper, traces: tuple[Trace, ...]) -> Lineage:
    head = replace(
        head,
        metrics=metrics(traces, head.metrics),
        changed=changed([node.prior for node in world.nodes if node.prior], traces) if head.prior_run_id else (),
        apart=any(node.elsewhere for node in world.called),
    )
    code = _begun_code(world)

    def components_of(fingerprint: str) -> Sequence[Component] | None:
        return code[fingerprint].components if fingerprint in code else keeper.components_of(fingerprint)

    summary = summarise(Lineage(head, traces), prior, keeper.written_bytes, components_of)
    return Lineage(replace(head, summary=summary), traces)


def _final(node: Node, world: World, keeper: Keeper, *, seen: bool) -> Trace:
    if not node.started:
        node.decision = Decision.PRUNE if node.load_us is None else Decision.LOAD
    node.reason = node.reason or world.reason(node)
    stored = node.result is not None and keeper.loadable(node.result)
    return replace(world.facts(node), stored=stored, task_run_id=node.task_run_id if seen else "")
