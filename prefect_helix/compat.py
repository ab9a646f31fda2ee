"""Every internal of Prefect that this package relies on, in one place; nothing else imports a private name."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from prefect._internal.compatibility.async_dispatch import async_dispatch
from prefect._internal.control_listener import get_intent
from prefect._internal.engine import resolve_custom_task_run_name
from prefect._internal.result_records import ResultRecord, ResultRecordMetadata
from prefect.client.schemas.objects import TaskRun, TaskRunResult
from prefect.context import AssetContext, FlowRunContext, TaskRunContext
from prefect.task_engine import (
    _create_task_run_locally as create_task_run,  # pyright: ignore[reportPrivateUsage]
)
from prefect.task_engine import (
    run_generator_task_async,
    run_generator_task_sync,
    run_task,
    run_task_async,
    run_task_sync,
)
from prefect.tasks import Task
from prefect.utilities.callables import call_with_parameters
from prefect.utilities.engine import (
    emit_task_run_state_change_event,
    get_state_for_result,
    link_state_to_task_run_result,
)
from prefect.utilities.visualization import get_task_viz_tracker

try:
    from prefect._flow_run_suspension import raise_if_flow_run_suspension_requested
except ImportError:  # before suspension became cooperative there was nothing to ask

    def raise_if_flow_run_suspension_requested() -> None:
        """Do nothing: this version of Prefect suspends a flow run from outside."""


__all__ = [
    "FlowRunContext",
    "as_called",
    "async_dispatch",
    "attach_note",
    "create_task_run",
    "custom_task_run_name",
    "emit_task_run_state_change_event",
    "get_state_for_result",
    "get_task_viz_tracker",
    "in_task_run",
    "is_being_cancelled",
    "is_below_task_run",
    "is_resolving_for",
    "link_state_to_task_run_result",
    "note_of",
    "outer_flow_contexts",
    "parent_flow_run_id",
    "pass_assets_on",
    "raise_if_flow_run_suspension_requested",
    "recorded",
    "run_task",
    "run_task_async",
    "run_task_sync",
    "staged_record",
]

_GENERATOR_ENGINES = frozenset({run_generator_task_sync.__code__, run_generator_task_async.__code__})


def is_being_cancelled() -> bool:
    """Return whether what ends this process is somebody's wish that its flow run be cancelled."""
    return get_intent() == "cancel"


def in_task_run() -> bool:
    """Return whether the caller is the body of a task of the current flow run.

    A subflow started inside a task still sees that task's context, but the task belongs to another flow run. Who goes
    through what a generator task yields sees the task's context too, without being its body.
    """
    task_context, flow_context = TaskRunContext.get(), FlowRunContext.get()
    if task_context is None or (task_context.task.isgenerator and not _is_advancing_a_generator()):
        return False
    flow_run = flow_context.flow_run if flow_context else None
    return flow_run is None or task_context.task_run.flow_run_id == flow_run.id


def is_below_task_run() -> bool:
    """Return whether the caller is called by the body of a task, be it through a subflow."""
    return TaskRunContext.get() is not None


def _is_advancing_a_generator() -> bool:
    """Return whether the engine is at a step of a generator task in this thread, so that the caller is in its body."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code in _GENERATOR_ENGINES:
            return True
    return False


def parent_flow_run_id(context: FlowRunContext) -> UUID | None:
    """Return the id of the flow run that a subflow was called in; None for any other flow.

    Prefect keeps it with the server only, as the flow run of the task run that stands for the subflow.
    """
    if context.flow_run is None or context.flow_run.parent_task_run_id is None:
        return None
    outer = next(outer_flow_contexts(context), None)
    return outer.flow_run.id if outer and outer.flow_run else None


def outer_flow_contexts(context: FlowRunContext) -> Iterator[FlowRunContext]:
    """Yield the contexts that a flow run's was entered in, innermost first."""
    outer = context._token.old_value if context._token else None
    while isinstance(outer, FlowRunContext):
        yield outer
        outer = outer._token.old_value if outer._token else None


def custom_task_run_name(task: Task[..., Any], task_run: TaskRun, parameters: dict[str, Any]) -> str:
    """Return the name that a task gives its run: a template, or a function that may ask for the run it is in."""
    with TaskRunContext.model_construct(task=task, task_run=task_run, parameters=parameters):
        return resolve_custom_task_run_name(task, parameters)


def pass_assets_on(task: Task[..., Any], task_run_id: UUID, takes: Iterable[UUID]) -> None:
    """Have Prefect know the assets that a task run rests on, for who takes its result: it may never begin.

    Args:
        task: The task.
        task_run_id: Its task run.
        takes: The task runs whose results it takes.
    """
    context = FlowRunContext.get()
    known = context.task_run_assets if context is not None else {}
    inputs: set[Any] = {TaskRunResult(id=one) for one in takes if known.get(one)} if known else set()
    if inputs or task.asset_deps:
        AssetContext.from_task_and_inputs(task, task_run_id, {"takes": inputs})


def as_called(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return what to call in place of `fn` from a function that Prefect calls in its place.

    Prefect looks whether a decorated function takes its arguments by position or by keyword. With a function of ours in
    front, which takes both, they all come by position.
    """
    if not hasattr(fn, "__wrapped__"):
        return fn
    signature = inspect.signature(fn)

    def call(*args: Any, **kwargs: Any) -> Any:
        return call_with_parameters(fn, dict(signature.bind(*args, **kwargs).arguments))

    return call


def recorded(value: Any) -> ResultRecord[Any]:
    """Return a value as Prefect has it in a state: one that has None itself has no result."""
    return ResultRecord(result=value, metadata=ResultRecordMetadata())


def staged_record(transaction: Any) -> Any:
    """Return the record of the result that a task run's transaction commits: the very one in its state."""
    return transaction._staged_value


def attach_note(model: Any, note: object) -> None:
    """Attach something to a state or a record that is pickled with it, and shown nowhere."""
    private = {**(getattr(model, "__pydantic_private__", None) or {}), "_helix_note": note}
    object.__setattr__(model, "__pydantic_private__", private)


def note_of(model: Any) -> object:
    """Return what was attached to a state or a record; None if nothing was."""
    return (getattr(model, "__pydantic_private__", None) or {}).get("_helix_note")


def is_resolving_for(process_pool_runner: Any) -> bool:
    """Return whether this thread is one of the few in which a process pool's runner resolves inputs."""
    executor = process_pool_runner._resolver_executor
    return executor is not None and threading.current_thread() in executor._threads
