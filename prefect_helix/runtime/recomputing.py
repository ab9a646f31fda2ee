"""Computes a recorded result again from what the store has of its inputs, and compares."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect_helix.core.errors import StoreError
from prefect_helix.core.lineage import Argument, Lineage, Trace
from prefect_helix.runtime import execution
from prefect_helix.runtime.arguments import literal_digest
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.nodes import Cell, Node
from prefect_helix.runtime.results import difference, try_digest
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.storage.files import File
from prefect_helix.storage.store import Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a result that was to be computed again.

    Attributes:
        trace: The result.
        compared: Whether it was.
        differs: Whether it came out otherwise.
        told: That in words.
    """

    trace: Trace
    compared: bool
    differs: bool
    told: str


class _UnknownInputError(Exception):
    """An input cannot be had any more; the text says which."""


def recompute(trace: Trace, spec: TaskSpec, run: Lineage, store: Store) -> Outcome:
    """Call the function of a step with the inputs it had, outside of Prefect, and compare what it gives.

    Results of other steps are loaded. A literal argument is not recorded, but its short form is: where that has the
    recorded digest, it is all of it.

    Args:
        trace: A step of `run` that has a result.
        spec: Its task as it is now, with the same code.
        run: The run.
        store: Where the results of other steps are.
    """
    if not spec.deterministic:
        return Outcome(trace, False, False, "not compared: it is declared not to be deterministic")
    if spec.max_age_us is not None:
        return Outcome(trace, False, False, "not compared: it is declared to be right for a while only")
    try:
        arguments = _arguments(trace, spec, run, store)
    except (_UnknownInputError, StoreError) as error:
        return Outcome(trace, False, False, f"not compared: {error}")
    try:
        bound = inspect.BoundArguments(inspect.signature(spec.fn), OrderedDict(arguments))
        value = spec.fn(*bound.args, **bound.kwargs)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
    except Exception as error:  # it is the user's function
        return Outcome(trace, True, True, f"raised {type(error).__name__}: {error}")
    found = try_digest(value)
    recorded = trace.result
    if found is None or recorded is None or recorded.digest is None:
        return Outcome(trace, False, False, "not compared: its result has no digest")
    if found.hex == recorded.digest:
        return Outcome(trace, True, False, "the same")
    told = difference(
        trace.task, lambda: execution.load(recorded, None, store)[0], lambda: value, recorded.digest, found.hex
    )
    return Outcome(trace, True, True, f"another result: {told}")


def _arguments(trace: Trace, spec: TaskSpec, run: Lineage, store: Store) -> dict[str, Any]:
    made = {one.signature: one for one in run.traces}
    defaults = inspect.signature(spec.fn).parameters
    recorded = {argument.parameter: argument for argument in trace.arguments}
    values: dict[str, Any] = {}
    for name, parameter in defaults.items():
        if name in recorded:
            values[name] = _argument(recorded[name], trace, made, store)
        elif parameter.default is inspect.Parameter.empty:
            raise _UnknownInputError(f"its argument {name} is not recorded")
    if recorded.keys() - values.keys():
        raise _UnknownInputError(f"its argument {min(recorded.keys() - values.keys())} is not recorded by name")
    return values


def _argument(argument: Argument, trace: Trace, made: Mapping[str, Trace], store: Store) -> Any:
    links = [link for link in trace.parents if link.parameter == argument.parameter]
    if not links:
        return _literal(argument)
    if len(links) > 1 or argument.digest != _PLACEHOLDER:
        raise _UnknownInputError(f"its argument {argument.parameter} holds results of steps in a container")
    source = made.get(links[0].signature)
    if source is None or source.result is None:
        raise _UnknownInputError(f"its argument {argument.parameter} is of a step that is not recorded")
    return execution.load(source.result, links[0].leaf, store)[0]


def _literal(argument: Argument) -> Any:
    value: Any = None
    if argument.source == "file":
        value = File(argument.origin)
    else:
        try:
            value = ast.literal_eval(argument.shown)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise _UnknownInputError(f"its argument {argument.parameter} is not recorded whole") from None
    try:
        same = literal_digest(value, ValueCode()) == argument.digest
    except OSError:
        same = False
    if not same:
        raise _UnknownInputError(f"its argument {argument.parameter} is not what it was")
    return value


def _placeholder() -> str:
    """Return the digest of an argument that is the result of a step."""
    return literal_digest(Cell(_NOBODY, None), ValueCode())


_NOBODY: Node = None  # type: ignore[assignment]  # a placeholder says nothing of the step
_PLACEHOLDER = _placeholder()
