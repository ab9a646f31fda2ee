"""Traces and lineages as immutable segments in a store.

A segment is a file of JSON lines ``["<checksum>",<payload>]``, the checksum taken over the payload's bytes. The first
line is the head of a run with the number of traces that follow, the others are traces. Paths::

    lineage/<started_us>-<run_id>.jsonl     a run that has ended
    journal/<run_id>/<sequence>.jsonl       a run in progress, or one that was killed
    <kind>/<name>.json                      documents: one such line each
    rulings/<at_us>-<id>.json               documents: what people have ruled about results

Whatever is damaged, foreign or missing costs a computation, never a wrong value.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import PurePosixPath
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from prefect_helix.core.errors import BlobMissingError, StoreError
from prefect_helix.core.lineage import (
    Lineage,
    Run,
    Trace,
    run_from_json,
    run_to_json,
    trace_from_json,
    trace_to_json,
)
from prefect_helix.core.rulings import KINDS, Ruling, Rulings, ruling_from_json, ruling_to_json
from prefect_helix.storage.codec import checksum
from prefect_helix.storage.store import Store

FORMAT_VERSION = 1

_CONSEQUENCE = "its results are computed again"
_READERS = 8


@dataclass(frozen=True, slots=True)
class Known:
    """What a catalog holds.

    Attributes:
        lineages: Every readable lineage, oldest first. A run whose lineage was not written has the status that its
            journal ends with: ``running``, unless it was about to end.
        problems: What could not be read and what follows, in sentences.
        rulings: What people have ruled about results.
    """

    lineages: tuple[Lineage, ...]
    problems: tuple[str, ...]
    rulings: Rulings = field(default_factory=Rulings)


class Catalog:
    """The lineages of a store; safe to share between threads. One process at a time journals a run.

    Args:
        store: Where the segments are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._sequences: dict[str, int] = {}

    def append(self, run: Run, traces: Sequence[Trace]) -> None:
        """Write one more journal segment of a run in progress.

        Args:
            run: The run as it is now.
            traces: What is new; a later trace of the same call and signature replaces an earlier one.

        Raises:
            StoreError: If the store refuses.
        """
        with self._lock:
            if run.run_id not in self._sequences:
                written = (PurePosixPath(entry.path).stem for entry in self._store.list(f"journal/{run.run_id}"))
                self._sequences[run.run_id] = 1 + max((int(stem) for stem in written if stem.isdecimal()), default=-1)
            sequence = self._sequences[run.run_id]
            self._sequences[run.run_id] += 1
        self._store.write(f"journal/{run.run_id}/{sequence:08}.jsonl", _segment(run, traces))

    def commit(self, lineage: Lineage) -> None:
        """Write the lineage of a run that has ended, then remove its journal.

        Raises:
            StoreError: If the store refuses.
        """
        run = lineage.run
        self._store.write(f"lineage/{run.started_us:020}-{run.run_id}.jsonl", _segment(run, lineage.traces))
        for entry in self._store.list(f"journal/{run.run_id}"):
            self._store.delete(entry.path)
        with self._lock:
            self._sequences.pop(run.run_id, None)

    def read(self) -> Known:
        """Return everything readable. Complexity: O(bytes of all segments).

        Raises:
            StoreError: If the store cannot be listed, or refuses a ruling: nobody can tell then which results hold.
        """
        with ThreadPoolExecutor(_READERS) as readers:
            # Journals first: a run that commits meanwhile is seen in one of the two places, or in both.
            journaled = list(filter(None, readers.map(self._read_segment, self._files("journal", ".jsonl"))))
            committed = list(filter(None, readers.map(self._read_segment, self._files("lineage", ".jsonl"))))
            ruled = [one for one in readers.map(self._read_ruling, self._files("rulings", ".json")) if one]
        lineages = [segment.lineage for segment in committed if segment.lineage]
        ended = {lineage.run.run_id for lineage in lineages}
        lineages += _unfinished(
            segment.lineage for segment in journaled if segment.lineage and segment.lineage.run.run_id not in ended
        )
        return Known(
            lineages=tuple(sorted(lineages, key=lambda lineage: (lineage.run.started_us, lineage.run.run_id))),
            problems=(
                *(problem for segment in (*committed, *journaled) for problem in segment.problems),
                *(one for one in ruled if isinstance(one, str)),
            ),
            rulings=Rulings.of(one for one in ruled if not isinstance(one, str)),
        )

    def rule(self, ruling: Ruling) -> None:
        """Write what somebody has ruled.

        Raises:
            StoreError: If the store refuses.
        """
        self.put_document("rulings", f"{ruling.at_us:020}-{ruling.id}", ruling_to_json(ruling))

    def put_document(self, kind: str, name: str, data: Mapping[str, Any]) -> None:
        """Keep a small JSON document under a name made from its content; written once.

        Raises:
            StoreError: If the store refuses.
        """
        if self.get_document(kind, name) is None:
            self._store.write(f"{kind}/{name}.json", [_line(data)])

    def get_document(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a document; None if it is not there or damaged.

        Raises:
            StoreError: If the store refuses.
        """
        try:
            document = _payload(self._store.read(f"{kind}/{name}.json").rstrip(b"\n"))
        except (BlobMissingError, _BadLine):
            return None
        return document if isinstance(document, dict) else None

    def _files(self, folder: str, suffix: str) -> Iterator[str]:
        return (entry.path for entry in self._store.list(folder) if entry.path.endswith(suffix))

    def _read_segment(self, path: str) -> _Segment | None:
        """Return what `path` holds; None if it was deleted since it was listed."""
        try:
            return _parse(path, self._store.read(path))
        except BlobMissingError:
            return None
        except StoreError as error:
            return _Segment(None, (f"{path} cannot be read ({error.cause}); {_CONSEQUENCE}.",))

    def _read_ruling(self, path: str) -> Ruling | str | None:
        """Return the ruling at `path`, or what is wrong with it; None if it was deleted since it was listed."""
        try:
            data = _payload(self._store.read(path).rstrip(b"\n"))
            return cast("Ruling", _checked(ruling_from_json, data, KINDS[data["kind"]]))
        except BlobMissingError:
            return None
        except (_BadLine, KeyError, TypeError):
            return (
                f"{path} is damaged, or was written by a newer prefect-helix, so what it rules does not hold. If it "
                "revoked results, they are used again: revoke them anew, and delete the file."
            )


@dataclass(frozen=True, slots=True)
class _Segment:
    lineage: Lineage | None
    problems: tuple[str, ...]


class _BadLine(ValueError):
    """A line is not what was written."""


def _segment(run: Run, traces: Sequence[Trace]) -> Iterator[bytes]:
    yield _line({"format": FORMAT_VERSION, "traces": len(traces), "run": run_to_json(run)})
    for trace in traces:
        yield _line(trace_to_json(trace))


def _line(payload: Mapping[str, Any]) -> bytes:
    text = json.dumps(payload, separators=(",", ":")).encode("ascii")
    return b'["%b",%b]\n' % (checksum(text).hex().encode("ascii"), text)


def _payload(line: bytes) -> Any:
    digest, text = line[2:34], line[36:-1]
    if line != b'["%b",%b]' % (digest, text) or checksum(text).hex().encode("ascii") != digest:
        raise _BadLine("the checksum is wrong")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _BadLine("it is not JSON") from error


def _parse(path: str, data: bytes) -> _Segment:
    head, *rest = data.split(b"\n")
    try:
        facts = _payload(head)
        version, count = facts["format"], facts["traces"]
        if not isinstance(version, int) or not isinstance(count, int):
            raise _BadLine("its numbers are none")
        if version > FORMAT_VERSION:
            return _Segment(None, (f"{path} was written by a newer prefect-helix; here {_CONSEQUENCE}.",))
        run = _checked(run_from_json, facts["run"], Run)
    except (_BadLine, KeyError, TypeError):
        return _Segment(None, (f"{path} is damaged in its first line; {_CONSEQUENCE}.",))

    traces = []
    for line in rest:
        with contextlib.suppress(_BadLine):  # told below
            traces.append(_checked(trace_from_json, _payload(line), Trace))
    lineage = Lineage(run, tuple(traces))
    if len(traces) == count:
        return _Segment(lineage, ())
    return _Segment(
        lineage, (f"{path} is damaged: {len(traces)} of {count} traces can be read; the others are computed again.",)
    )


def _unfinished(segments: Iterable[Lineage]) -> Iterator[Lineage]:
    """Unite the journal segments of each run; in a run's segments, given in order, the later one holds."""
    runs: dict[str, Run] = {}
    traces: dict[str, dict[tuple[int, str], Trace]] = {}
    for segment in segments:
        runs[segment.run.run_id] = segment.run
        traces.setdefault(segment.run.run_id, {}).update(
            ((trace.call, trace.signature), trace) for trace in segment.traces
        )
    for run_id, run in runs.items():
        in_call_order = sorted(traces[run_id].values(), key=lambda trace: trace.call)
        yield Lineage(run, tuple(in_call_order))


def _checked(from_json: Callable[[Any], Any], data: Any, kind: type) -> Any:
    """Return the value that `from_json` makes of `data`, every field of the type its annotation says."""
    try:
        value = from_json(data)
        valid = _checker(kind)(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _BadLine(f"it is no {kind.__name__}") from error
    if not valid:
        raise _BadLine(f"a {kind.__name__} has a field of another type")
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
    if origin is tuple:  # always tuple[X, ...]
        item = _checker(arguments[0])
        return lambda value: type(value) is tuple and all(map(item, value))
    if origin is Mapping:
        key, item = map(_checker, arguments)
        return lambda value: type(value) is dict and all(map(key, value)) and all(map(item, value.values()))
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        fields = [(one.name, _checker(hints[one.name])) for one in dataclasses.fields(hint)]
        return lambda value: type(value) is hint and all(check(getattr(value, name)) for name, check in fields)
    if hint is int:
        return lambda value: type(value) is int and abs(value) < 1 << 63
    if hint is float:
        return lambda value: type(value) is float or (type(value) is int and abs(value) < 1 << 63)
    if hint in (str, bytes, bool) or issubclass(hint, Enum):
        return lambda value: type(value) is hint
    raise TypeError(f"No rule checks fields of type {hint!r}.")
