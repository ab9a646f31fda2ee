"""The arguments of a call: which are results of other nodes, which are literal, and where literals come from."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from prefect_helix.core.digest import digest, hash_parts
from prefect_helix.core.errors import UndigestibleError
from prefect_helix.core.lineage import Argument, Trace
from prefect_helix.core.short import HIDDEN, has_shape, is_secret, short_form
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.nodes import Cell, Edge
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.storage.blob import Code, DecodingError
from prefect_helix.storage.codec import code_in, decode, encode
from prefect_helix.storage.files import File, files
from prefect_helix.storage.mapped import Look

SHOWN_CHARACTERS = 80
FROZEN_ITEMS = 10_000

_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes, File, Cell, range)


@dataclass(frozen=True, slots=True)
class Given:
    """One argument of a call, as the flow passed it.

    Attributes:
        value: The argument, with `Cell`s in place of results of nodes.
        cells: Those cells, in the order they occur, and those of the results that objects in it are parts of.
    """

    value: Any
    cells: Sequence[Cell] = ()


def bind(
    spec: TaskSpec,
    given: Mapping[str, Given],
    parameters: Mapping[str, str],
    value_code: ValueCode,
    warn: Callable[[str, str], None],
) -> tuple[tuple[Edge, ...], tuple[Argument, ...]]:
    """Return the edges and the literal arguments of a call.

    Args:
        spec: The task.
        given: Its arguments by parameter.
        parameters: Digests of the flow's parameters, to recognise an argument that is one of them.
        value_code: Hashes the classes and functions in arguments.
        warn: Told of an argument that has no digest; it is taken for a new one each time, so that the task computes.

    Raises:
        FileNotFoundError: If a file is not there.
    """
    edges: list[Edge] = []
    arguments: list[Argument] = []
    for parameter, one in given.items():
        if parameter in spec.ignore:
            continue
        edges.extend(Edge(cell, parameter) for cell in one.cells)
        arguments.append(_literal(spec, parameter, one.value, parameters, value_code, warn))
    return tuple(edges), tuple(arguments)


def _literal(
    spec: TaskSpec,
    parameter: str,
    value: Any,
    parameters: Mapping[str, str],
    value_code: ValueCode,
    warn: Callable[[str, str], None],
) -> Argument:
    for file in files(value):
        file.content()  # a missing file is told as such, not as a value without digest
    try:
        content = literal_digest(value, value_code, fresh=True)
    except UndigestibleError as error:
        warn(f"unhashable:{spec.key}:{parameter}", _unhashable(spec.name, parameter, error))
        content = uuid.uuid4().hex
    if isinstance(value, File):
        return Argument(parameter, content, "file", value.path, shown(parameter, value), value.size_bytes())
    if type(value) is not Cell:
        same = [name for name, known in parameters.items() if known == content]
        if same:
            origin = parameter if parameter in same else same[0]
            return Argument(parameter, content, "flow_parameter", origin, shown(parameter, value))
    return Argument(parameter, content, shown=shown(parameter, value))


def _unhashable(task: str, parameter: str, error: UndigestibleError) -> str:
    where = f" (at {error.path})" if error.path else ""
    return (
        f"Task {task!r} is computed in every run: its argument {parameter!r} holds a value of type "
        f"{error.type_name}{where}, and {error.cause}. Leave it out of the version with "
        f"@helix_task(ignore=[{parameter!r}]), pass File(path) if it stands for a file, "
        "or register a digest for the type with register_digest()."
    )


def literal_digest(value: Any, value_code: ValueCode, *, fresh: bool = False) -> str:
    """Return the digest of a literal together with the code of the objects in it, whose methods a task may call.

    Args:
        value: The literal.
        value_code: Hashes that code.
        fresh: Whether the code is that of now, and not of the latest call, since when a class may have filled a memo.

    Raises:
        UndigestibleError: If it has none.
    """
    content = digest(value, Look().hash_of).hex
    code = value_code.hash(code_brought(value), fresh=fresh)
    return hash_parts("with code", content, code) if code else content


def code_brought(value: Any) -> frozenset[Code]:
    """Return the code that a literal brings: the classes of the objects in it, and the code that is a value in it."""
    return frozenset() if _is_plain(value) else code_in(value)


def shown(name: str, value: Any) -> str:
    """Return a short form of a parameter's value for people; never the content of large objects or a secret."""
    if is_secret(name):
        return HIDDEN
    if type(value) is Cell:
        return repr(value)
    if not _is_plain(value):
        return short_form(value) if has_shape(value) else f"<{type(value).__qualname__}>"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def frozen(parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the parameters so that nobody can change them any more; None where that would cost too much."""
    if not all(_is_plain(value) for value in parameters.values()):
        return None
    return {name: copy.deepcopy(value) for name, value in parameters.items()}


def isolated(value: Any) -> Any:
    """Return a copy of a literal that shares nothing with it, as it would come from the store.

    Raises:
        NotStorableError: If it cannot be copied.
    """
    if immutable(value):
        return value
    copied = bytearray()
    for chunk in encode(value).verified_chunks():
        copied += chunk
    return decode(copied)


def immutable(value: Any) -> bool:
    """Return whether nobody can change `value` in place."""
    return type(value) in _IMMUTABLE or (type(value) is frozenset and _is_plain(value))


def _is_plain(value: Any) -> bool:
    """Return whether `value` is a small tree of built-in containers and immutable values."""
    stack, items = [value], 0
    while stack:
        item = stack.pop()
        items += 1
        if items > FROZEN_ITEMS:
            return False
        if type(item) in (list, tuple, set, frozenset):
            stack.extend(item)
        elif type(item) is dict:
            stack.extend(item)
            stack.extend(item.values())
        elif type(item) not in _IMMUTABLE:
            return False
    return True


def metrics(traces: Sequence[Trace], logged: Mapping[str, float]) -> dict[str, float]:
    """Return a run's metrics: those that its body logged, and those of its tasks, later tasks first in rank.

    A task's are what it logged, and the numbers in a small dict that it returned. A name that several report is
    prefixed with the task's name for all but the first in rank.
    """
    found = dict(logged)
    for trace in reversed(traces):
        for name, number in {**_returned_numbers(trace), **trace.metrics}.items():
            found.setdefault(name if name not in found else f"{trace.task}.{name}", number)
    return found


def _returned_numbers(trace: Trace) -> dict[str, float]:
    if trace.result is None or trace.result.inline is None or trace.result.type_name != "builtins:dict":
        return {}
    try:
        value = decode(trace.result.inline)
    except DecodingError:  # it holds something whose class is gone; numbers do not
        return {}
    if not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        return {}
    numbers = {key: _number(item) for key, item in value.items()}
    return {key: number for key, number in numbers.items() if number is not None}


def _number(value: object) -> float | None:
    """Return a number, NumPy's included, as a float; None for what is none, or is too large, as a long integer may be.

    A truth value is no number here; whoever logs one as a metric asks for it.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (ArithmeticError, TypeError, ValueError):
        return None
