"""The helix run of each flow run: opened by the hook or by the first call, closed when the flow body ends."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from types import FunctionType
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, Pause
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger

from prefect_helix.compat import (
    FlowRunContext,
    as_called,
    get_task_viz_tracker,
    in_task_run,
    is_being_cancelled,
    is_below_task_run,
    parent_flow_run_id,
)
from prefect_helix.core.errors import HelixError
from prefect_helix.core.lineage import RunStatus
from prefect_helix.engine import PrefectEngine
from prefect_helix.helix_run import HelixRun
from prefect_helix.metrics import collect, collected
from prefect_helix.outlooks import outlook_line, plan_ahead
from prefect_helix.progress import show
from prefect_helix.repeating import PrefectRepeater
from prefect_helix.reporting import Log
from prefect_helix.runners import engine_for
from prefect_helix.runtime.opening import Warnings, open_session
from prefect_helix.runtime.progress import Gauge
from prefect_helix.runtime.specs import Specs
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.lookup import Program
from prefect_helix.verifying import deadlines, verify, verify_async

_WRAPPED = "__helix_body__"

_lock = threading.RLock()
_runs: dict[UUID, HelixRun | None] = {}


def current_run() -> HelixRun | None:
    """Return the helix run of the flow run that the caller is the body of; None where tasks are plain Prefect tasks.

    A flow without the hook gets its run here, with its first call.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or in_task_run() or get_task_viz_tracker() is not None:
        return None
    flow_run_id = context.flow_run.id
    if flow_run_id in _runs:
        return _runs[flow_run_id]
    with _lock:
        if flow_run_id not in _runs:
            options = _said_by(context.flow)
            run = _open(context, options)
            collect(run.session.logged if run else {}, flow_run_id)
            if context.flow is not None:
                _close_with_hooks(context.flow)
                install(context.flow, options)
        return _runs[flow_run_id]


def _said_by(flow: Flow[..., Any] | None) -> FlowOptions:
    """Return what a flow says of its runs by its hook: one whose body is a generator has no other way to say it."""
    hooks = flow.on_running_hooks if flow is not None else []
    said = (getattr(hook, "options", None) for hook in hooks)
    return next((one for one in said if isinstance(one, FlowOptions)), FlowOptions())


def install(flow: Flow[..., Any], options: FlowOptions) -> None:
    """Have every run of `flow` in this process open a helix run around its body."""
    with _lock:
        fn = flow.fn
        if not (getattr(fn, _WRAPPED, False) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)):
            flow.fn = _wrapped(fn, options)


def unwrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the body of a flow without the helix run around it, so that it can be given another."""
    body: Callable[..., Any] = getattr(fn, "__wrapped__", fn) if getattr(fn, _WRAPPED, False) else fn
    return body


def _wrapped(fn: Callable[..., Any], options: FlowOptions) -> Callable[..., Any]:
    """Return `fn` with a helix run around each call.

    The wrapper has the globals of `fn`, because Prefect looks names of annotations up there on the next run; what it
    needs itself it has in its closure.
    """
    running, running_async, to_thread, called = _running, _running_async, asyncio.to_thread, as_called(fn)

    def body(*args: Any, **kwargs: Any) -> Any:
        with running(options) as run:
            value = called(*args, **kwargs)
            return value if run is None else run.engine.resolved(value)

    async def async_body(*args: Any, **kwargs: Any) -> Any:
        async with running_async(options) as run:
            value = await called(*args, **kwargs)
            return value if run is None else await to_thread(run.engine.resolved, value)

    own = async_body if inspect.iscoroutinefunction(fn) else body
    namespace = getattr(inspect.unwrap(fn), "__globals__", globals())
    wrapped = functools.update_wrapper(FunctionType(own.__code__, namespace, closure=own.__closure__), fn)
    setattr(wrapped, _WRAPPED, True)
    return wrapped


@contextmanager
def _running(options: FlowOptions) -> Iterator[HelixRun | None]:
    """Open the helix run of the current flow run around its body, and close it."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield None
        return
    run = _open(context, options)
    try:
        with collected(run.session.logged if run else None):
            yield run
        _raise_escaped(run)
    except BaseException as error:
        _close(context.flow_run.id, _status(error))
        raise
    _close(context.flow_run.id, "completed")
    _raise_escaped(run)  # of what ended since


@asynccontextmanager
async def _running_async(options: FlowOptions) -> AsyncIterator[HelixRun | None]:
    """Do what `_running` does while the event loop goes on: other flows and tasks may be running in it."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield None
        return
    opening = asyncio.ensure_future(asyncio.to_thread(_open, context, options))
    try:
        run = await asyncio.shield(opening)
        with collected(run.session.logged if run else None):
            yield run
        _raise_escaped(run)
    except BaseException as error:
        await asyncio.wait([opening])  # what is cancelled meanwhile is open in a moment, and has to be closed
        await asyncio.shield(asyncio.to_thread(_close, context.flow_run.id, _status(error)))
        raise
    if (run := _runs.pop(context.flow_run.id, None)) is None:
        return
    in_turn, beside = ThreadPoolExecutor(1), contextvars.copy_context().run
    try:
        await asyncio.shield(asyncio.wrap_future(in_turn.submit(beside, run.close, "completed")))
        if run.session.sampler is not None:
            await verify_async(run.session.sampler, run.deadlines, run.tell, run.log)
    finally:  # also where whoever awaits it is cancelled meanwhile
        ended = in_turn.submit(beside, run.end)
        in_turn.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(ended))
    _raise_escaped(run)


def _raise_escaped(run: HelixRun | None) -> None:
    """Raise what is no task's own error and fails the run, whoever came upon it and whatever became of it there."""
    if run is not None and (errors := [*run.engine.errors, *run.session.contradictions]):
        raise errors[0]


def _open(context: FlowRunContext, options: FlowOptions) -> HelixRun | None:
    """Open the helix run of a flow run. What goes wrong is told, and the flow runs as plain Prefect."""
    assert context.flow is not None and context.flow_run is not None
    _close(context.flow_run.id, "failed")  # an earlier attempt that no hook has closed
    logger = flow_run_logger(context.flow_run, context.flow)  # also where the flow is called in a task
    run, program = None, Program(context.flow.fn)
    try:
        run = _opened(context, options, logger, program)
    except HelixError as error:
        logger.error("helix: %s This run computes every step and keeps nothing.", error)
    except Exception:
        logger.exception("helix: The plan could not be made; this run computes every step and keeps nothing.")
    if run is None:
        program.end()
    _runs[context.flow_run.id] = run
    return run


def _opened(context: FlowRunContext, options: FlowOptions, logger: Log, program: Program) -> HelixRun | None:
    resolved = resolve(options)
    if resolved.mode == "off":
        return None
    assert context.flow is not None and context.flow_run is not None
    warn, specs, flow_run = Warnings(logger), Specs(), context.flow_run
    parent_id = parent_flow_run_id(context)
    if is_below_task_run():  # other runs may be waiting for that task
        resolved = replace(resolved, wait_seconds=0.0)
    if parent_id and (parent := _runs.get(parent_id)):  # what it has computed so far can be reused
        parent.session.keeper.flush()
    outlook = plan_ahead(
        resolved,
        context.flow.name,
        context.parameters or {},
        warn,
        specs,
        run_id=str(flow_run.id),
        name=flow_run.name,
        parent_run_id=str(parent_id) if parent_id else None,
    )
    logger.info(outlook_line(outlook))
    adopted = engine_for(context.task_runner)
    engine, ends = adopted or PrefectEngine(None), deadlines(context)
    engine.session = open_session(outlook, engine, PrefectRepeater(engine, ends), warn, logger.info)
    row = show(
        flow_run,
        context.flow.name,
        Gauge(
            outlook.world,
            outlook.head.started_us,
            predicted=outlook.plan is not None,
            followed=not outlook.unfollowed,
        ),
        logger,
        parent_id=parent_id,
        counted=not is_below_task_run(),
        choice=resolved.progress,
    )
    run = HelixRun(engine.session, engine, ends, specs, outlook.prior, logger, program, row, resolved.ui_url)
    if adopted is not None:
        run.adopt(context.task_runner)
    else:
        kind = type(context.task_runner).__name__
        logger.info(
            "helix: Tasks submitted to %s run as plain Prefect tasks; direct calls are planned as always.", kind
        )
    return run


def _close(flow_run_id: UUID, status: RunStatus) -> None:
    run = _runs.pop(flow_run_id, None)
    if run is None:
        return
    try:
        run.close(status)
        if run.session.sampler is not None:
            verify(run.session.sampler, run.deadlines, run.tell, run.log)
    finally:
        run.end()


def _close_with_hooks(flow: Flow[..., Any]) -> None:
    """Close this run with the flow's terminal hooks, since its body is already running and cannot be wrapped."""
    for hooks in (flow.on_completion_hooks, flow.on_failure_hooks, flow.on_cancellation_hooks, flow.on_crashed_hooks):
        if _finish_helix_run not in hooks:
            hooks.append(_finish_helix_run)


def _finish_helix_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> Coroutine[Any, Any, None] | None:
    """Close a run; where the flow is async, in a thread: a task may still be running in the event loop."""
    statuses: dict[str, RunStatus] = {"COMPLETED": "completed", "FAILED": "failed", "CRASHED": "crashed"}
    close = functools.partial(_close_in_hook, flow_run.id, statuses.get(state.type.value, "cancelled"))
    if flow.isasync:
        return asyncio.to_thread(close)
    close()
    return None


def _close_in_hook(flow_run_id: UUID, status: RunStatus) -> None:
    run = _runs.get(flow_run_id)
    _close(flow_run_id, status)
    _raise_escaped(run)  # too late to fail the flow: Prefect logs what a hook raises


def _status(error: BaseException) -> RunStatus:
    if isinstance(error, Pause):
        return "suspended"
    if isinstance(error, Abort) or (is_being_cancelled() and not isinstance(error, Exception)):
        return "cancelled"
    return "failed" if isinstance(error, Exception) else "crashed"
