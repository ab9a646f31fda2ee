"""Metrics that code logs as it runs: they go to whatever collects them there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import SupportsFloat

from prefect_helix.core.errors import ConfigurationError

_collecting: ContextVar[dict[str, float] | None] = ContextVar("helix_metrics", default=None)


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
    into = _collecting.get()
    if into is not None:
        into[name] = number


@contextlib.contextmanager
def collected(into: dict[str, float] | None = None) -> Iterator[dict[str, float]]:
    """Give what collects the metrics that are logged in the body of this context."""
    into = {} if into is None else into
    token = _collecting.set(into)
    try:
        yield into
    finally:
        _collecting.reset(token)


def collect(into: dict[str, float]) -> None:
    """Collect the metrics that are logged from here on, where no body can be put into a context."""
    _collecting.set(into)
