"""Lines that hold their own checksum, and the segments made of them: the head of a run and its traces.

A line is ``["<checksum>",<payload>]``, the checksum taken over the payload's bytes. The first line of a segment is the
head of a run with the number of traces that follow, the others are traces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from prefect_helix.core.lineage import (
    Lineage,
    Run,
    Trace,
    run_from_json,
    run_to_json,
    trace_from_json,
    trace_to_json,
)
from prefect_helix.storage.blob import checksum

FORMAT_VERSION = 1

_ENCODER = json.JSONEncoder(separators=(",", ":"))

CONSEQUENCE = "its results are computed again"


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment holds.

    Attributes:
        path: Where it is.
        lineage: The run with the traces that can be read; None if nobody can tell whose they are.
        problems: What could not be read and what follows, in sentences.
        useless: Whether nothing of it will ever be read.
        unread: Whether it may be whole all the same: the store did not give it now, or a newer release wrote it.
    """

    path: str
    lineage: Lineage | None
    problems: tuple[str, ...] = ()
    useless: bool = False
    unread: bool = False


class BadLineError(ValueError):
    """A line is not what was written."""


class NewerFormatError(BadLineError):
    """A line was written by a newer release, which can read it."""

    def __init__(self) -> None:
        super().__init__("it was written by a newer prefect-helix")


def encode_segment(run: Run, traces: Sequence[Trace]) -> Iterator[bytes]:
    """Yield the lines of a segment."""
    yield encode_line({"format": FORMAT_VERSION, "traces": len(traces), "run": run_to_json(run)})
    yield from map(encode_trace, traces)


def encode_trace(trace: Trace) -> bytes:
    """Return a trace as a line."""
    return encode_line(trace_to_json(trace))


def encode_line(payload: Mapping[str, Any]) -> bytes:
    """Return JSON-ready data as a line, its end included."""
    text = _ENCODER.encode(payload).encode("ascii")
    return b'["%b",%b]\n' % (checksum(text).hex().encode("ascii"), text)


def parse_line(line: bytes) -> Any:
    """Return the payload of a line without its end.

    Raises:
        BadLineError: If it is not what was written.
    """
    digest, text = line[2:34], line[36:-1]
    if line != b'["%b",%b]' % (digest, text) or checksum(text).hex().encode("ascii") != digest:
        raise BadLineError("the checksum is wrong")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadLineError("it is not JSON") from error


def parse_trace(line: bytes) -> Trace:
    """Return the trace of a line without its end.

    Raises:
        BadLineError: If it is not what was written.
    """
    trace: Trace = checked(trace_from_json, parse_line(line), Trace)
    return trace


def parse_run(data: Any) -> Run:
    """Return the run of JSON data.

    Raises:
        BadLineError: If it is none.
    """
    run: Run = checked(run_from_json, data, Run)
    return run


def parse_segment(path: str, data: bytes) -> Segment:
    """Return what a segment holds."""
    head, *rest = data.split(b"\n")
    try:
        facts = parse_line(head)
        version, count = facts["format"], facts["traces"]
        if not isinstance(version, int) or not isinstance(count, int):
            raise BadLineError("its numbers are none")
        if version > FORMAT_VERSION:
            told = f"{path} was written by a newer prefect-helix; here {CONSEQUENCE}."
            return Segment(path, None, (told,), unread=True)
        run = parse_run(facts["run"])
    except (BadLineError, KeyError, TypeError):
        return Segment(path, None, (f"{path} is damaged in its first line; {CONSEQUENCE}.",), useless=True)

    traces = []
    for line in rest:
        with contextlib.suppress(BadLineError):  # told below
            traces.append(parse_trace(line))
    lineage = Lineage(run, tuple(traces))
    if len(traces) == count:
        return Segment(path, lineage)
    return Segment(
        path,
        lineage,
        (f"{path} is damaged: {len(traces)} of {count} traces can be read; the others are computed again.",),
    )


def checked(from_json: Callable[[Any], Any], data: Any, kind: type) -> Any:
    """Return the value that `from_json` makes of `data`, every field of the type its annotation says.

    Raises:
        BadLineError: If there is no such value.
    """
    try:
        value = from_json(data)
        valid = _checker(kind)(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadLineError(f"it is no {kind.__name__}") from error
    if not valid:
        raise BadLineError(f"a {kind.__name__} has a field of another type")
    return value


@cache
def _checker(hint: Any) -> Callable[[Any], bool]:
    """Return the predicate that says whether a value has the type `hint`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in arguments
    if origin in (Union, UnionType):  # always X | None
        (some,) = (_checker(argument) for argument in arguments if argument is not NoneType)
        return lambda value: value is None or some(value)
    if origin in (tuple, frozenset):  # always tuple[X, ...]
        item = _checker(arguments[0])
        return lambda value: type(value) is origin and all(map(item, value))
    if origin is Mapping:
        key, item = map(_checker, arguments)
        return lambda value: type(value) is dict and all(map(key, value)) and all(map(item, value.values()))
    if dataclasses.is_dataclass(hint) or hasattr(hint, "_fields"):
        hints = get_type_hints(hint)
        names = getattr(hint, "_fields", None) or [one.name for one in dataclasses.fields(hint)]
        fields = [(name, _checker(hints[name])) for name in names]
        return lambda value: type(value) is hint and all(check(getattr(value, name)) for name, check in fields)
    if hint is int:
        return lambda value: type(value) is int and abs(value) < 1 << 63
    if hint is float:
        return lambda value: type(value) is float or (type(value) is int and abs(value) < 1 << 63)
    if hint in (str, bytes, bool) or issubclass(hint, Enum):
        return lambda value: type(value) is hint
    raise TypeError(f"No rule checks fields of type {hint!r}.")
