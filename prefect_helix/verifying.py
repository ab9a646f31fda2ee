"""Has a sample verified at the end of a flow run, whose timeout is not to run out because of it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from prefect.context import TaskRunContext
from prefect.flows import Flow
from prefect.tasks import Task

from prefect_helix.compat import FlowRunContext, outer_flow_contexts
from prefect_helix.repeating import Deadlines
from prefect_helix.reporting import Log
from prefect_helix.runtime.sampling import Sampler

PATIENCE = 3 / 4
"""Of the time left to an async flow, the share after which what verifies is left behind; it is meant to take half."""

_GIVEN_UP = (
    "helix: Verifying was given up, since the flow's timeout is near: loading an input took longer than expected, or a "
    "step does not come back to Python. What was verified until then counts."
)


def deadlines(context: FlowRunContext) -> Deadlines:
    """Return when timeouts end a flow run.

    Args:
        context: The flow run's, in whose body this is called.
    """
    own, task = _deadline(context.flow, context), TaskRunContext.get()
    ends = [own, *(_deadline(outer.flow, outer) for outer in outer_flow_contexts(context))]
    if task is not None:
        ends.append(_deadline(task.task, task))
    return Deadlines(own, min((end for end in ends if end is not None), default=None))


def _deadline(what: Flow[..., Any] | Task[..., Any] | None, context: FlowRunContext | TaskRunContext) -> float | None:
    if what is None or what.timeout_seconds is None:
        return None
    gone_s = (datetime.now(timezone.utc) - context.start_time).total_seconds()  # the timeout began a moment later
    return time.monotonic() - gone_s + what.timeout_seconds


def verify(sampler: Sampler, ends: Deadlines, tell: Callable[[str], None], log: Log) -> None:
    """Compute a sample again, in this thread, which is the flow's.

    Should the flow's timeout run out meanwhile, that ends the verifying alone.

    Args:
        sampler: What verifies.
        ends: When timeouts end the flow.
        tell: Called with what is being done.
        log: Where the flow run logs to.
    """
    try:
        sampler.verify(tell)
    except CancelledError:  # Prefect raises it wherever the flow's thread is
        if not ends.timed_out:
            raise
        log.warning(_GIVEN_UP)


async def verify_async(sampler: Sampler, ends: Deadlines, tell: Callable[[str], None], log: Log) -> None:
    """Do so in another thread, which is left behind before the flow's timeout would cancel who awaits it."""
    left_s, loop = ends.left_s(), asyncio.get_running_loop()
    ended = loop.create_future()

    def run() -> None:
        try:
            sampler.verify(tell)
        finally:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended.set_result, None)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), name="helix-verify", daemon=True).start()
    try:
        done, _ = await asyncio.wait([ended], timeout=None if left_s is None else left_s * PATIENCE)
    finally:
        sampler.stop()
    if not done:
        log.warning(_GIVEN_UP)
