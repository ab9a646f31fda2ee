"""Copies of tasks for Prefect's engine: with another function, or to run once more beside a flow run."""

from __future__ import annotations

import asyncio
import contextvars
import copy
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task
from prefect.utilities.annotations import NotSet

from prefect_helix.compat import run_task_async, run_task_sync

VERIFY_TAG = "helix-verify"
"""Tag of task runs that compute a reused result again."""

_HOOKS = ("on_completion_hooks", "on_failure_hooks", "on_running_hooks", "on_rollback_hooks", "on_commit_hooks")


def clone_with(task: Task[..., Any], fn: Callable[..., Any]) -> Task[..., Any]:
    """Return a copy of `task` with another function that, unless the user set a policy, caches nothing of its own.

    Prefect's default policy hashes all inputs on every call, although nothing is stored.
    """
    clone = copy.copy(task)
    clone.fn = fn
    if task._user_cache_policy is NotSet and task.result_storage_key is None:
        clone.cache_policy = NO_CACHE
    return clone


def run_beside(task: Task[..., Any], arguments: Mapping[str, Any], timeout_s: float | None) -> Any:
    """Return what a task gives in a task run of its own, in this thread and the context it is in.

    It has the task's name, tags and timeout. It is tried once, no hook hears of it, and nothing is kept of it.

    Args:
        task: The task.
        arguments: Its arguments by parameter.
        timeout_s: How long it may take, if that is less than the task's own timeout; None for no other bound.

    Raises:
        Exception: What the task raises.
    """
    clone = clone_with(task, task.fn)
    name = f"{task.name}-verify"
    clone.task_run_name, clone.tags = (lambda: name), {*task.tags, VERIFY_TAG}
    clone.retries, clone.cache_policy, clone.persist_result, clone.result_storage_key = 0, NO_CACHE, False, None
    for hooks in _HOOKS:
        setattr(clone, hooks, [])
    clone.timeout_seconds = min((s for s in (task.timeout_seconds, timeout_s) if s is not None), default=None)
    call: dict[str, Any] = {"task": clone, "parameters": dict(arguments), "return_type": "result"}
    return run_to_the_end(partial(run_task_async, **call)) if task.isasync else run_task_sync(**call)


def run_to_the_end(start: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Return what a coroutine gives, run in an event loop of its own: that of this thread may be waiting for us."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(start())
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(context.run, run_to_the_end, start).result()
