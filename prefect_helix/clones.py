"""Copies of tasks for Prefect's engine: to compute a node, or to run once more beside a flow run."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.context import TagsContext
from prefect.tasks import Task
from prefect.utilities.annotations import NotSet
from prefect.utilities.timeout import timeout, timeout_async

from prefect_helix.compat import as_called, run_task_async, run_task_sync
from prefect_helix.metrics import collected
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.session import now_us
from prefect_helix.views.units import format_us

VERIFY_TAG = "helix-verify"
"""Tag of task runs that compute a reused result again."""

_HOOKS = ("on_completion_hooks", "on_failure_hooks", "on_running_hooks", "on_rollback_hooks", "on_commit_hooks")


class Body:
    """A node's function that keeps when it began, what it returned and how long it took; of retries the last counts."""

    def __init__(self, node: Node, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self._node = node
        self._fn = as_called(fn)
        self.called = False
        self.value: Any = None
        self.elapsed_us = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        self._begin()
        started = time.perf_counter_ns()
        with collected() as self._node.metrics:
            self.value = self._fn(*args, **kwargs)
        self.elapsed_us = (time.perf_counter_ns() - started) // 1000
        self.called = True
        return self.value

    def _begin(self) -> None:
        if self._node.given_up:  # what Prefect does where it has cancelled a task run that waits for its inputs
            raise asyncio.CancelledError("The flow came to its end before the task began.")
        # An earlier try may have given back a state, to be tried again.
        self._node.begun_us, self.called, self.value = now_us(), False, None


class AsyncBody(Body):
    """The same of an async function; the time is from its first step to its last, waits included."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function and await what it gives."""
        self._begin()
        started = time.perf_counter_ns()
        with collected() as self._node.metrics:
            self.value = await self._fn(*args, **kwargs)
        self.elapsed_us = (time.perf_counter_ns() - started) // 1000
        self.called = True
        return self.value


def instrumented(node: Node, task: Task[..., Any]) -> tuple[Body, Task[..., Any]]:
    """Return a copy of `task` that computes `node`, and its function, which keeps what it gave."""
    body = (AsyncBody if task.isasync else Body)(node, task.fn)
    return body, clone_with(task, body)


def clone_with(task: Task[..., Any], fn: Callable[..., Any]) -> Task[..., Any]:
    """Return a copy of `task` with another function that, unless the user set a policy, caches nothing of its own.

    Prefect's default policy hashes all inputs on every call, although nothing is stored.
    """
    clone = copy.copy(task)
    clone.fn = fn
    if task._user_cache_policy is NotSet and task.result_storage_key is None:
        clone.cache_policy = NO_CACHE
    return clone


def run_beside(task: Task[..., Any], arguments: Mapping[str, Any], timeout_s: float) -> Any:
    """Return what a task gives in a task run of its own, in this thread and the context it is in.

    It has the task's name and timeout, and none of its tags: it takes no slot of a concurrency limit, and waits for
    none. It is tried once, no hook hears of it, and nothing is kept of it, nor of the metrics that it logs.

    Args:
        task: The task.
        arguments: Its arguments by parameter.
        timeout_s: How long its function may take, if that is less than the task's own timeout. As with that one, what
            does not come back to Python in a thread, or to the event loop, is not stopped.

    Raises:
        Exception: What the task raises.
        TimeoutError: If it took too long.
    """
    clone = clone_with(task, (_stopped_async if task.isasync else _stopped)(task.fn, timeout_s))
    name = f"{task.name}-verify"
    clone.task_run_name, clone.tags = (lambda: name), {VERIFY_TAG}
    clone.retries, clone.cache_policy, clone.persist_result, clone.result_storage_key = 0, NO_CACHE, False, None
    for hooks in _HOOKS:
        setattr(clone, hooks, [])
    call: dict[str, Any] = {"task": clone, "parameters": dict(arguments), "return_type": "result"}
    with TagsContext(current_tags=set()), collected():
        return run_to_the_end(functools.partial(run_task_async, **call)) if task.isasync else run_task_sync(**call)


class _StoppedError(TimeoutError):
    """What a function is stopped with that takes too long."""


def _stopped(fn: Callable[..., Any], timeout_s: float) -> Callable[..., Any]:
    """Return a function that is stopped after a time; Prefect's own timeout of a task in a thread has the log warn."""
    called = as_called(fn)

    @functools.wraps(fn)
    def stopped(*args: Any, **kwargs: Any) -> Any:
        try:
            with timeout(timeout_s, timeout_exc_type=_StoppedError):
                return called(*args, **kwargs)
        except _StoppedError:
            raise _too_long(timeout_s) from None

    return stopped


def _stopped_async(fn: Callable[..., Any], timeout_s: float) -> Callable[..., Any]:
    """Do the same for an async function."""
    called = as_called(fn)

    @functools.wraps(fn)
    async def stopped(*args: Any, **kwargs: Any) -> Any:
        try:
            with timeout_async(timeout_s, timeout_exc_type=_StoppedError):
                return await called(*args, **kwargs)
        except _StoppedError:
            raise _too_long(timeout_s) from None

    return stopped


def _too_long(timeout_s: float) -> TimeoutError:
    return TimeoutError(f"it was stopped after {format_us(int(1e6 * timeout_s))}.")


def run_to_the_end(start: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Return what a coroutine gives, run in an event loop of its own: that of this thread may be waiting for us."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(start())
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(context.run, run_to_the_end, start).result()
