"""Tells Prefect what happened: task runs for what was loaded or pruned, and one artifact with the plan."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timedelta, timezone
from string import Formatter
from typing import Any, TypeAlias, cast
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import RunInput, State, StateType, TaskRun, TaskRunResult
from prefect.logging.handlers import APILogHandler
from prefect.logging.loggers import task_run_logger
from prefect.tasks import Task
from prefect.utilities.annotations import BaseAnnotation
from prefect.utilities.urls import url_for

from prefect_helix.compat import create_task_run, custom_task_run_name, emit_task_run_state_change_event
from prefect_helix.core.digest import hash_parts
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.engine import Call, PrefectEngine
from prefect_helix.futures import STATE_NAMES
from prefect_helix.runtime.nodes import Node
from prefect_helix.views.steps import unshown
from prefect_helix.views.tables import run_markdown
from prefect_helix.views.units import format_us
from prefect_helix.views.versions import MAX_VERSIONS, versions_markdown
from prefect_helix.visiting import cells_in

Log: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"

REPORTED_NODES = 100
"""Loaded and pruned nodes of one run that become task runs.

The end of the run waits until the server has gone through them, and its event queue drops what is too much for it.
"""

_EPOCH = datetime.fromtimestamp(0, timezone.utc)


def report(engine: PrefectEngine, lineage: Lineage, prior: Lineage | None, log: Log, ui_url: str) -> None:
    """Show a run in the Prefect UI. Called in the flow body's context, while the flow run is still running.

    Args:
        engine: What computed it.
        lineage: The run.
        prior: The run it is compared with; None if there is none.
        log: Where the flow run logs to.
        ui_url: Where our own pages are; empty if they are nowhere.
    """
    with _harmless(log):
        _report(engine, lineage, prior, log, ui_url)


def _report(engine: PrefectEngine, lineage: Lineage, prior: Lineage | None, log: Log, ui_url: str) -> None:
    traces = {trace.call: trace for trace in lineage.traces}
    shown, left_out = _shown(engine, traces)
    runs = [*engine.session.world.history.latest(lineage.run.flow, MAX_VERSIONS - 1), lineage.run]
    with ThreadPoolExecutor(2) as beside:  # the server takes the artifacts while the task runs are told
        artifacts = [
            beside.submit(copy_context().run, _create_artifact, lineage, prior, left_out, ui_url),
            beside.submit(copy_context().run, _create_versions_artifact, runs, ui_url),
        ]
        task_runs = [_task_run(engine, node, traces[node.call]) for node in shown]
        for node, task_run in zip(shown, task_runs, strict=True):  # threads that send it are busy from here on
            _tell(task_run, engine.calls[node.key].task)
        for artifact in artifacts:
            artifact.result()
    if left_out:
        log.info("helix: %s", left_out)


def report_problems(engine: PrefectEngine, lineage: Lineage, prior: Lineage | None, log: Log, ui_url: str) -> None:
    """Show in the Prefect UI what was found wrong with a run that is shown already; for the arguments see `report`."""
    with _harmless(log):
        _, left_out = _shown(engine, {trace.call: trace for trace in lineage.traces})
        _create_artifact(lineage, prior, left_out, ui_url)


@contextmanager
def _harmless(log: Log) -> Iterator[None]:
    """Tell what goes wrong: what is shown of a run must not fail it."""
    try:
        yield
    except Exception as error:
        log.warning("helix: The run is not shown in the Prefect UI: %s: %s", type(error).__name__, error)


def _shown(engine: PrefectEngine, traces: Mapping[int, Trace]) -> tuple[list[Node], str]:
    """Return the spared nodes that become task runs, and what is told of the others."""
    spared = [(node, traces[node.call]) for node in engine.session.world.called if not node.started]
    shown = [node for node, trace in spared if trace.task_run_id]
    others = [trace for _, trace in spared if not trace.task_run_id]
    return shown, unshown(others, len(shown)) if others else ""


def without_task_run(called: Sequence[Node]) -> set[str]:
    """Return the keys of the calls that no task run shows, once all that compute have ended.

    Where too many were spared, these are the last calls of the tasks with most calls.
    """
    calls: Counter[str] = Counter()
    ranked: list[tuple[int, int, str]] = []
    for index, node in enumerate(node for node in called if not node.started):
        ranked.append((calls[node.spec.key], index, node.key))
        calls[node.spec.key] += 1
    return {key for _, _, key in sorted(ranked)[REPORTED_NODES:]}


def _create_artifact(lineage: Lineage, prior: Lineage | None, left_out: str, ui_url: str) -> None:
    create_markdown_artifact(
        run_markdown(lineage, prior, left_out, _own_page(lineage.run, ui_url)),
        key=artifact_key(lineage.run.flow),
        description=f"What this run of {lineage.run.flow} computed, loaded and pruned, and why.",
        _sync=True,  # type: ignore[call-arg]
    )


def _create_versions_artifact(runs: Sequence[Run], ui_url: str) -> None:
    flow = runs[-1].flow
    create_markdown_artifact(
        versions_markdown(runs, page=_page, more=lambda run: _own_page(run, ui_url)),
        key=artifact_key(flow).replace("helix-", "helix-versions--", 1),
        description=f"What runs of {flow} took, saved and measured, up to this one.",
        _sync=True,  # type: ignore[call-arg]
    )


def _page(run: Run) -> str:
    """Return the URL of Prefect's page of a run; without its host where Prefect does not know that."""
    return url_for("flow-run", obj_id=run.run_id) or f"/runs/flow-run/{run.run_id}"


def _own_page(run: Run, ui_url: str) -> str:
    return f"{ui_url}/runs/{run.run_id}" if ui_url else ""


def artifact_key(flow: str) -> str:
    """Return the key of a flow's plan artifact: lower-case letters, digits and dashes, as Prefect wants it.

    A name with other letters is told from others by a hash, since all of them may be lost.
    """
    letters = re.sub(r"[^a-z0-9]+", "-", flow.lower()).strip("-") or "flow"
    return f"helix-{letters}" + ("" if flow.isascii() else f"-{hash_parts('artifact', flow)[:8]}")


def _task_run(engine: PrefectEngine, node: Node, trace: Trace) -> TaskRun:
    """Return a node as a task run that began when it was called, so that it comes before those that take its value."""
    call = engine.calls[node.key]
    called = _EPOCH + timedelta(microseconds=trace.started_us)
    ended = called + timedelta(microseconds=spent_us(trace) or 0)
    task_run = call.context.copy().run(
        create_task_run,
        call.task,
        id=UUID(node.task_run_id),
        parameters=dict.fromkeys(node.parameters),
        wait_for=engine.native(call.wait_for, waits_only=True),
        extra_task_inputs={name: _inputs(value, call, name) for name, value in node.parameters.items()},
    )
    if call.task.task_run_name:
        task_run.name = _custom_name(engine, node, call.task, task_run) or task_run.name
    state: State[Any] = State(
        type=StateType.COMPLETED,
        name=STATE_NAMES[trace.decision],
        message=_message(trace),
        timestamp=cast("Any", ended),
        data=None,
    )
    state.state_details.task_run_id = task_run.id
    state.state_details.flow_run_id = task_run.flow_run_id
    task_run.state, task_run.state_id = state, state.id
    task_run.state_type, task_run.state_name = state.type, state.name
    task_run.expected_start_time = task_run.start_time = cast("Any", called)
    task_run.end_time, task_run.total_run_time = cast("Any", ended), ended - called
    return task_run


def _inputs(value: Any, call: Call, name: str) -> set[RunInput]:
    """Return the task runs whose results an argument takes."""
    own = (TaskRunResult(id=UUID(cell.node.task_run_id)) for cell in cells_in(value))
    return {*own, *(call.dependencies or {}).get(name, ())}


def _tell(task_run: TaskRun, task: Task[..., Any]) -> None:
    """Show a task run in the state in which it is."""
    state = cast("State[Any]", task_run.state)
    emit_task_run_state_change_event(task_run=task_run, initial_state=None, validated_state=state)
    _log_on_its_page(task_run_logger(task_run, task), cast(str, state.message))


def _log_on_its_page(log: logging.LoggerAdapter[logging.Logger], message: str) -> None:
    """Log something of a task run where its page shows it, and not on the console, where a line tells of all of them.

    The page of a task run that completed does not show its state's message; its logs are the first thing it shows.
    """
    if log.isEnabledFor(logging.INFO):
        text, named = log.process(message, {})
        record = log.logger.makeRecord(log.logger.name, logging.INFO, __file__, 0, text, (), None, **named)
        for handler in log.logger.handlers:
            if isinstance(handler, APILogHandler) and record.levelno >= handler.level:
                handler.handle(record)


def _custom_name(engine: PrefectEngine, node: Node, task: Task[..., Any], task_run: TaskRun) -> str | None:
    """Return the name that the task has for its run; None if values are in it that would have to be loaded for it."""
    template = task.task_run_name
    parameters = dict(node.parameters)
    if isinstance(template, str):
        fields = {field.partition(".")[0].partition("[")[0] for _, field, _, _ in Formatter().parse(template) if field}
        parameters = {name: value for name, value in parameters.items() if name in fields}
    values = engine.at_hand(parameters)
    if values is None:
        return None
    values = {name: one.unwrap() if isinstance(one, BaseAnnotation) else one for name, one in values.items()}
    try:
        return custom_task_run_name(task, task_run, values)
    except Exception as error:  # of the user's function
        engine.session.warn(
            f"name:{node.spec.key}",
            f"The name of a run of {node.spec.name} could not be made: {type(error).__name__}: {error}",
        )
        return None


def _message(trace: Trace) -> str:
    saved = saved_us(trace)
    what = "Loaded" if trace.decision is Decision.LOAD else "Pruned"
    return f"{what}: {trace.reason}." + (f" Saved {format_us(saved)}." if saved else "")
