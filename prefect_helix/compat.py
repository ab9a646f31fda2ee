"""Every internal of Prefect that this package relies on, in one place; nothing else imports a private name."""

from __future__ import annotations

import threading
from typing import Any

from prefect._internal.control_listener import get_intent
from prefect.context import FlowRunContext, TaskRunContext
from prefect.task_engine import (
    _create_task_run_locally as create_task_run,  # pyright: ignore[reportPrivateUsage]
)
from prefect.task_engine import run_task, run_task_async, run_task_sync
from prefect.utilities.engine import emit_task_run_state_change_event
from prefect.utilities.visualization import get_task_viz_tracker

try:
    from prefect._flow_run_suspension import raise_if_flow_run_suspension_requested
except ImportError:  # before suspension became cooperative there was nothing to ask

    def raise_if_flow_run_suspension_requested() -> None:
        """Do nothing: this version of Prefect suspends a flow run from outside."""


__all__ = [
    "FlowRunContext",
    "attach_note",
    "create_task_run",
    "emit_task_run_state_change_event",
    "get_task_viz_tracker",
    "in_task_run",
    "is_being_cancelled",
    "is_resolving_for",
    "note_of",
    "raise_if_flow_run_suspension_requested",
    "run_task",
    "run_task_async",
    "run_task_sync",
    "staged_record",
]


def is_being_cancelled() -> bool:
    """Return whether what ends this process is somebody's wish that its flow run be cancelled."""
    return get_intent() == "cancel"


def in_task_run() -> bool:
    """Return whether the caller is the body of a task of the current flow run.

    A subflow started inside a task still sees that task's context, but the task belongs to another flow run.
    """
    task_context, flow_context = TaskRunContext.get(), FlowRunContext.get()
    if task_context is None:
        return False
    flow_run = flow_context.flow_run if flow_context else None
    return flow_run is None or task_context.task_run.flow_run_id == flow_run.id


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
