"""Metrics that code logs as it runs: they go to whatever collects them there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import SupportsFloat
from uuid import UUID

from prefect_helix.compat import FlowRunContext
from prefect_helix.core.errors import ConfigurationError


@dataclass(frozen=True)
class _Collector:
    """What collects metrics.

    Attributes:
        into: Where they go.
        flow_run_id: The flow run in which it does so; None for a body, which has its own context.
        outer: What it stands before.
    """

    into: dict[str, float]
    flow_run_id: UUID | None
    outer: _Collector | None


_collecting: ContextVar[_Collector | None] = ContextVar("helix_metrics", default=None)


def log_metric(name: str, value: SupportsFloat) -> None:
    """Add a number to the metrics of the run, beside those that tasks return in small dicts.

    In the body of a helix task it is a part of that call: a run that reuses the result has it too. In the body of a
    flow, and in plain tasks that compute in the flow's process, it is a part of the run. Where nothing collects it, in
    mode ``off`` or in a test that calls the function by itself, nothing is recorded.

    Args:
        name: What it is called. Logged again by the same call, or by the same flow's body, the last counts.
        value: A number, or what `float` makes one of: a scalar of NumPy, a tensor with one element.

    Raises:
        ConfigurationError: If the name is empty, or the value is no number.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError("name of a metric", name, "Give a text, such as 'accuracy'.")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"metric {name}", value, "Give one number.") from error
    collector, context = _collecting.get(), FlowRunContext.get()
    flow_run_id = context.flow_run.id if context is not None and context.flow_run is not None else None
    while collector is not None and collector.flow_run_id not in (None, flow_run_id):
        collector = collector.outer  # a flow that was called from here, and has ended
    if collector is not None:
        collector.into[name] = number


@contextlib.contextmanager
def collected(into: dict[str, float] | None = None) -> Iterator[dict[str, float]]:
    """Give what collects the metrics that are logged in the body of this context."""
    into = {} if into is None else into
    token = _collecting.set(_Collector(into, None, _collecting.get()))
    try:
        yield into
    finally:
        _collecting.reset(token)


def collect(into: dict[str, float], flow_run_id: UUID) -> None:
    """Collect the metrics that are logged in a flow run from here on, whose body cannot be put into a context."""
    _collecting.set(_Collector(into, flow_run_id, _collecting.get()))
