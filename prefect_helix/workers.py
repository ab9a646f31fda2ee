"""What a task runner's workers do for a run besides computing: the functions here travel to them.

A result travels between workers as the Prefect `State` that the task run ended in, as Prefect has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed, is_state_iterable

from prefect_helix.compat import as_called, attach_note, note_of, staged_record
from prefect_helix.core.digest import register_digest
from prefect_helix.core.errors import StoreError
from prefect_helix.core.lineage import Result
from prefect_helix.metrics import collected
from prefect_helix.runtime import execution
from prefect_helix.runtime.agreement import Taken, disagreement
from prefect_helix.runtime.arguments import literal_digest
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.execution import Account
from prefect_helix.runtime.results import is_small, try_digest
from prefect_helix.storage.store import Store


@dataclass(frozen=True)
class Measure:
    """What a state says of how its value came about.

    Attributes:
        elapsed_us: How long it took.
        process: The process that did it; empty if the function was not called: Prefect's own cache had the value.
        given_back: Whether the task gave back states or a future in place of a value.
        metrics: What the function logged.
        account: What is known of the value, where it was described before anybody was given it.
        differs: Name of what the function takes from a module and is another there than in the flow's process.
    """

    elapsed_us: int
    process: str
    given_back: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    account: Account | None = None
    differs: str = ""

    @property
    def called(self) -> bool:
        """Whether the function was called."""
        return bool(self.process)


class Timed:
    """A task's function that is computed in another process; what it took travels with the state it ends in.

    On a retry, the last time counts.

    Args:
        fn: The function.
        described: Whether its value is described there, before anybody is given it who might change it in place.
        takes: What it takes from modules, as the flow's process has it.
    """

    def __init__(self, fn: Callable[..., Any], *, described: bool, takes: Sequence[Taken]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = as_called(fn)
        self._described = described
        self._takes = takes
        self._differs = ""
        self._measure: Measure | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        self._differs = disagreement(self._takes)
        started = time.perf_counter_ns()
        with collected() as metrics:
            value = self._fn(*args, **kwargs)
        return self._noted(value, started, metrics)

    def _noted(self, value: Any, started: int, metrics: Mapping[str, float]) -> Any:
        elapsed_us = (time.perf_counter_ns() - started) // 1000
        given_back = is_given_back(value)
        self._measure = Measure(elapsed_us, this_process(), given_back, metrics, differs=self._differs)
        return value

    def committed(self, transaction: Any) -> None:
        """Tell the measure, as a hook that is called once the task run's value is settled."""
        measure, record = self._measure, staged_record(transaction)
        if measure is None:
            return
        if self._described and not measure.given_back:
            with contextlib.suppress(Exception):  # tried again where the flow asks for it, and told
                measure = replace(measure, account=execution.account_for(record.result))
        attach_note(record, measure)

    committed.log_on_run = False  # type: ignore[attr-defined]  # Prefect logs a hook unless it says so


class AsyncTimed(Timed):
    """The same of an async function; the time is from its first step to its last, waits included."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function and await what it gives."""
        self._differs = disagreement(self._takes)
        started = time.perf_counter_ns()
        with collected() as metrics:
            value = await self._fn(*args, **kwargs)
        return self._noted(value, started, metrics)


@dataclass(frozen=True)
class Outcome:
    """What became of a task run.

    Attributes:
        account: What is known of its value; None where it has none.
        elapsed_us: How long its function took; zero if it was not called.
        state: Its state, where that has to be known: it failed, the task gave back a state or a future, or the value
            is of Prefect's own cache.
        given_back: Whether the task gave back states or a future.
        process: The process that called its function; empty if it was not called.
        metrics: What its function logged.
        differs: Name of what its function took from a module and is another there than in the flow's process.
    """

    account: Account | None
    elapsed_us: int = 0
    state: State[Any] | None = None
    given_back: bool = False
    process: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    differs: str = ""


class PlainResult:
    """What a task that has no node gave, as an argument of one that has: it stays where it is.

    No dataclass, which Prefect takes apart wherever it looks for futures.

    Attributes:
        future: Prefect's future of it.
        digest: Digest of it, with the code it brings.
        content: Digest of it alone; None where it has none.
    """

    def __init__(self, future: Any, digest: str, content: str | None) -> None:
        self.future = future
        self.digest = digest
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (self.digest,)


register_digest(PlainResult, lambda result: result.digest)


def is_given_back(value: Any) -> bool:
    """Return whether a task gave back states or a future in place of a value: they say how its task run ends."""
    if isinstance(value, (list, tuple, set)):
        return isinstance(next(iter(value), None), State) and bool(is_state_iterable(value))
    return isinstance(value, (State, PrefectFuture))


def this_process() -> str:
    """Return a name for this process that no other has; on Dask it is the worker's address."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with contextlib.suppress(ValueError):  # no worker runs in this thread
            return str(distributed.get_worker().address)
    return f"{socket.gethostname()}:{os.getpid()}"


def given_there(value: Any) -> Any:
    """Return what came along as an argument, so that others can take it from here."""
    return value


def ended_there(value: Any) -> None:
    """Return nothing: that it is called tells that there is a value."""


def describe_there(state: State[Any]) -> Outcome:
    """Return what became of the task run that ended in `state`."""
    measure = measure_of(state)
    told: dict[str, Any] = {"metrics": measure.metrics, "differs": measure.differs}
    if not state.is_completed() or measure.given_back or not measure.called:
        return Outcome(None, measure.elapsed_us, state, measure.given_back, **told)
    account = measure.account or execution.account_for(value_of(state))
    return Outcome(account, measure.elapsed_us, process=measure.process, **told)


async def look_there(key: str, function: Callable[..., Any], *args: Any, dask_worker: Any) -> Any:
    """Return what a function gives of a value on a Dask worker, in a thread that is none of its tasks'."""
    _say_nothing_of_looks()
    return await asyncio.to_thread(function, dask_worker.data[key], *args)


async def ask_there(keys: Sequence[str], function: Callable[..., Any], *args: Any, dask_worker: Any) -> Any:
    """Return what a function gives of values on a Dask worker, likewise; None stands for what is not there."""
    _say_nothing_of_looks()
    return await asyncio.to_thread(function, [dask_worker.data.get(key) for key in keys], *args)


def _say_nothing_of_looks() -> None:
    """Keep Dask from a line in the worker's log for each time that it is looked at a value."""
    log = logging.getLogger("distributed.worker")
    if _is_no_look not in log.filters:
        log.addFilter(_is_no_look)


def _is_no_look(record: logging.LogRecord) -> bool:
    return record.args not in ((look_there.__name__,), (ask_there.__name__,))


def check_there(inputs: Sequence[Any], made: Sequence[tuple[str | None, int | None]]) -> tuple[int, ...]:
    """Return the positions of the inputs that are not what they were when they were made, as far as can be told.

    Args:
        inputs: The object or the state that was given; None if it is not there any more, for nobody sees it then.
        made: The digest that each has to have; if None, its state tells the digest, by the leaf that was taken.
    """
    return tuple(index for index, one in enumerate(inputs) if one is not None and _is_changed(one, *made[index]))


def digest_there(state: State[Any]) -> tuple[State[Any] | None, str, str | None]:
    """Return what a task run without a node gave: its state if that is small or has failed; its digests."""
    if not state.is_completed():
        return state, "", None
    value = value_of(state)
    content = try_digest(value)
    return (
        (state, "", None)
        if is_small(value) or content is None
        else (None, literal_digest(value, ValueCode()), content.hex)
    )


def store_there(state: State[Any], into: Store, names: Collection[str]) -> None:
    """Write blobs of a result into the store; raises as `execution.store` does."""
    execution.store(value_of(state), into, names)


def load_there(result: Result, leaf: int | None, of: Store) -> State[Any]:
    """Return the state of a result that is loaded; a failed one if it cannot be."""
    try:
        value, load_us = execution.load(result, leaf, of)
    except StoreError as error:
        return Failed(data=error)
    return _measured(value, Measure(load_us, this_process()))


def loaded_there(state: State[Any]) -> int | StoreError:
    """Return how long a load took in microseconds, or why it failed."""
    if state.is_completed():
        return measure_of(state).elapsed_us
    failure: Any = state.data
    return failure if isinstance(failure, StoreError) else StoreError("", "load a result", str(failure))


def pick_there(state: State[Any], leaf: int) -> State[Any]:
    """Return the state of one large part of a result; a state without a value is handed on."""
    if not state.is_completed():
        return state
    return _measured(execution.part(value_of(state), leaf), measure_of(state))


def waited_there(state: State[Any]) -> State[Any]:
    """Return the state of a task run as who only waits for it has to see it, without its value."""
    return Completed(data=True) if state.is_completed() else state


def value_of(state: State[Any]) -> Any:
    """Return the value of a state."""
    return state.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]


def measure_of(state: State[Any]) -> Measure:
    """Return the measure that came with a state; of no process if its value was not computed."""
    found = note_of(state.data) or note_of(state)
    return found if isinstance(found, Measure) else Measure(0, "")


def _measured(value: Any, measure: Measure) -> State[Any]:
    state: State[Any] = Completed(data=value)
    attach_note(state, measure)
    return state


def _is_changed(given: Any, digest: str | None, leaf: int | None) -> bool:
    if not isinstance(given, State):
        return execution.is_changed(given, digest)
    account = measure_of(given).account
    if digest is None and account is not None:
        digest = execution.digest_of(account.result, leaf)
    return execution.is_changed(value_of(given), digest)
