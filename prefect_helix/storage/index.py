"""An index: many lineages in one immutable object that can be asked for one call, one signature or one run.

The object is::

    line        format version; size and checksum of the three sections
    summary     deflated JSON: its runs, the sizes of its blocks, and the facts about all of it
    calls       a table: hash of code and literal arguments → row
    signatures  a table: hash of a signature → row
    blocks      deflated lines, one for each trace, as in the segments; the lines of a run follow each other

A row is the number of a line. A table is its hashes (8 bytes each, ascending) and then its rows (4 bytes each); it
names those traces alone that have a result, and of traces that are alike the newest. Whoever opens an index reads all
before the blocks, and of the blocks what is asked for. Numbers are little-endian.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, overload

from prefect_helix.core.errors import StoreError
from prefect_helix.core.history import Facts, Head, identity, with_origin
from prefect_helix.core.lineage import Lineage, Run, RunStatus, Trace
from prefect_helix.core.rulings import Rulings
from prefect_helix.storage.blob import checksum
from prefect_helix.storage.index_parts import Block, Table, call_hash, facts_from_json, inflated, signature_hash
from prefect_helix.storage.segments import (
    FORMAT_VERSION,
    BadLineError,
    NewerFormatError,
    checked,
    parse_line,
    parse_run,
    parse_trace,
)
from prefect_helix.storage.signing import SEAL_BYTES, is_sealed
from prefect_helix.storage.store import Store

_FRONT_BYTES = 4 << 20
_KEPT_BLOCKS = 64
_COPIED_BLOCKS = 64
_SINGLE_READS = 8
"""Blocks that are read one by one from a store that is far away; who needs more gets them all at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of an index: the name of its segment, what it resembles, its head as JSON, its first row."""

    name: str
    head: Head
    run: str
    first_row: int


class StoredIndex:
    """An index in a store; see `prefect_helix.core.history.Index`.

    Args:
        store: Where it is.
        path: Its path.
        size_bytes: Its length.

    Attributes:
        facts: What it tells as a whole.
        replaces: Paths of the indexes all of which it holds.

    Raises:
        BadLineError: If it is damaged, foreign or of a newer format.
        StoreError: If it cannot be read.
    """

    def __init__(self, store: Store, path: str, size_bytes: int) -> None:
        self.path = path
        self._store = store
        self._size_bytes = size_bytes
        try:
            self._open()
        except NewerFormatError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise BadLineError(f"it is not what was written ({error})") from error
        self._reading = threading.RLock()  # the thread that writes results asks, too
        self._single_reads = 0
        self._runs: dict[int, Run] = {}
        self._traces: dict[int, Trace | None] = {}
        self._stored: dict[int, bytes] = {}
        self._inflated: OrderedDict[int, list[bytes]] = OrderedDict()

    def _open(self) -> None:
        front = self._store.read_range(self.path, 0, min(_FRONT_BYTES, self._size_bytes))
        first = SEAL_BYTES if is_sealed(front[:SEAL_BYTES]) else 0
        start = front.index(b"\n", first) + 1
        self._store.check_seal(self.path, front[first:start], front[:SEAL_BYTES])
        head = parse_line(front[first : start - 1])
        if head["format"] > FORMAT_VERSION:
            raise NewerFormatError
        missing = start + sum(size for size, _ in head["sections"]) - len(front)
        if len(front) + missing > self._size_bytes:
            raise BadLineError("it is truncated")
        if missing > 0:
            front += self._store.read_range(self.path, len(front), len(front) + missing)
        sections = []
        for size, digest in head["sections"]:
            section = front[start : start + size]
            if checksum(section).hex() != digest:
                raise BadLineError("a section does not have the checksum it was written with")
            sections.append(section)
            start += size
        summary = json.loads(inflated(sections[0]))
        self.call_table, self.signature_table = map(Table.parse, sections[1:])
        steps = [0, *accumulate(head[4] for _, head, _ in summary["runs"])]
        self.entries: list[Entry] = [
            checked(_entry, (*run, first), Entry) for run, first in zip(summary["runs"], steps, strict=False)
        ]
        self.replaces: frozenset[str] = checked(frozenset, summary["replaces"], frozenset[str])
        self.facts: Facts = checked(facts_from_json, summary["facts"], Facts)
        self.blocks: list[Block] = [checked(_block, block, Block) for block in summary["blocks"]]
        self._first_rows = [*accumulate((block.rows for block in self.blocks), initial=0)]
        if self._first_rows[-1] != steps[-1] or any(first > then for first, then in pairwise(steps)):
            raise BadLineError("its blocks are not those of its runs")
        self._starts = [*accumulate((block.size_bytes for block in self.blocks), initial=start)]

    # -- what History asks -----------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The segments it covers, by the stems of their paths, in the order of their rows."""
        return [entry.name for entry in self.entries]

    @property
    def heads(self) -> list[Head]:
        """What its runs are."""
        return [entry.head for entry in self.entries]

    @property
    def lineages(self) -> list[Lineage]:
        """Its runs, each with every trace."""
        return [self.lineage(position) for position in range(len(self.entries))]

    @property
    def rows(self) -> int:
        """How many traces it holds."""
        return self._first_rows[-1]

    @property
    def decoded(self) -> int:
        """How many traces it has decoded, and remembers."""
        return len(self._traces)

    def lineage(self, position: int) -> Lineage:
        """Return the run at a position in `heads`."""
        entry = self.entries[position]
        return Lineage(self._run(position), IndexedTraces(self, entry.first_row, entry.head.steps))

    def calls(self, codes: Iterable[str], literals: str) -> Iterator[Trace]:
        """Yield the traces with a result that one of these codes computed from these arguments, newest first."""
        wanted = frozenset(codes)
        rows = {row for code in wanted for row in self.call_table.find(call_hash(code, literals))}
        for trace in filter(None, map(self.trace, sorted(rows, reverse=True))):
            if trace.computed_by in wanted and trace.literals == literals:
                yield trace

    def signed(self, signature: str) -> Iterator[Trace]:
        """Yield the traces with a result and this signature, newest first."""
        rows = reversed(self.signature_table.find(signature_hash(signature)))
        return (trace for trace in filter(None, map(self.trace, rows)) if trace.signature == signature)

    def rows_like(self, trace: Trace, rulings: Rulings) -> Iterator[int]:
        """Yield the rows that need not be looked up any more once `trace` can be."""
        wanted = identity(trace, rulings)
        for row in self.signature_table.find(signature_hash(trace.signature)):
            old = self.trace(row)
            if old is not None and identity(old, rulings) == wanted:
                yield row

    def trace(self, row: int) -> Trace | None:
        """Return the trace of a row with the run that computed its result; None if it cannot be read."""
        trace = self._traces[row] if row in self._traces else next(self.traces(row, row + 1), None)
        if trace is None:
            return None
        position = bisect_right(self.entries, row, key=lambda entry: entry.first_row) - 1
        return with_origin(trace, self._run(position))

    def traces(self, first_row: int, end_row: int) -> Iterator[Trace | None]:
        """Yield the traces of rows that follow each other, as they were written; None for one that cannot be read."""
        for row, line in self._rows(first_row, end_row):
            yield self._traces.get(row) if line is None else self._parsed(row, line)

    def traces_of(self, task: str, first_row: int, end_row: int) -> Iterator[Trace]:
        """Yield those of the traces of rows that follow each other that are calls of a task; others are not decoded."""
        named = b'"task":%b,' % json.dumps(task).encode("ascii")
        for row, line in self._rows(first_row, end_row):
            trace = self._parsed(row, line) if line is not None and named in line else None
            if trace is not None and trace.task == task:
                yield trace

    def _rows(self, first_row: int, end_row: int) -> Iterator[tuple[int, bytes | None]]:
        """Yield the lines of rows that follow each other with their numbers; None for one that cannot be read now."""
        end_row = min(end_row, self._first_rows[-1])
        if end_row <= first_row:
            return
        blocks = range(bisect_right(self._first_rows, first_row) - 1, bisect_left(self._first_rows, end_row))
        for block in blocks:
            base = self._first_rows[block]
            rows = range(max(first_row, base), min(end_row, self._first_rows[block + 1]))
            try:
                lines = self._lines(block, blocks)
            except StoreError as error:  # whoever asks again later may be told
                log.warning("%s What is known from there only is computed again.", error)
                yield from ((row, None) for row in rows)
                continue
            yield from ((row, lines[row - base] if row - base < len(lines) else b"") for row in rows)

    def stored_blocks(self) -> Iterator[bytes]:
        """Yield its blocks as they are stored; what was cut off is filled up, or what follows would be misplaced.

        Raises:
            StoreError: If they cannot be read.
        """
        everything = range(len(self.blocks))
        for block in everything:
            if block not in self._stored:
                self._fetch(everything[block : block + _COPIED_BLOCKS])
            yield self._stored.pop(block).ljust(self.blocks[block].size_bytes, b"\0")

    # -- what is there ---------------------------------------------------------------------------------------------

    def _run(self, position: int) -> Run:
        if position not in self._runs:
            entry = self.entries[position]
            try:
                self._runs[position] = parse_run(json.loads(entry.run))
            except (ValueError, RecursionError):
                log.warning("%s does not tell what the run %s was; its steps can be read.", self.path, entry.name)
                self._runs[position] = _hardly_known(entry)
        return self._runs[position]

    def _parsed(self, row: int, line: bytes) -> Trace | None:
        if row not in self._traces:
            try:
                self._traces[row] = parse_trace(line)
            except BadLineError:
                log.warning("%s is damaged at row %d; what that step computed is computed again.", self.path, row)
                self._traces[row] = None
        return self._traces[row]

    def _lines(self, block: int, among: range) -> list[bytes]:
        """Return the lines of a block; whoever asks will ask for the others, too.

        Raises:
            StoreError: If they cannot be read.
        """
        with self._reading:
            if block in self._inflated:
                self._inflated.move_to_end(block)
            else:
                self._inflated[block] = self._inflate(block, among)
            if len(self._inflated) > _KEPT_BLOCKS:
                self._inflated.popitem(last=False)
            return self._inflated[block]

    def _inflate(self, block: int, among: range) -> list[bytes]:
        if block not in self._stored:
            self._single_reads += len(among) == 1
            far = self._store.is_remote and self._single_reads > _SINGLE_READS
            self._fetch(range(len(self.blocks)) if far else among[among.index(block) :])
        data = self._stored[block] if self._store.is_remote else self._stored.pop(block)
        known = self.blocks[block]
        whole = Block.of(known.rows, data) == known
        with contextlib.suppress(ValueError):
            return inflated(data).split(b"\n") if whole else []
        return []  # told for each of its rows

    def _fetch(self, blocks: range) -> None:
        start, stop = self._starts[blocks.start], min(self._starts[blocks.stop], self._size_bytes)
        data = self._store.read_range(self.path, start, stop)
        for block in blocks:
            self._stored[block] = data[self._starts[block] - start : self._starts[block + 1] - start]


def _entry(fields: Sequence[Any]) -> Entry:
    name, head, run, first_row = fields
    return Entry(name, Head(*head), run, first_row)


def _block(fields: Sequence[Any]) -> Block:
    block = Block(*fields)
    if min(block.rows, block.size_bytes) < 0:
        raise ValueError("a block is shorter than nothing")
    return block


def _hardly_known(entry: Entry) -> Run:
    """Return what the head of a run tells."""
    head = entry.head
    status: RunStatus = "completed" if head.completed else "crashed"
    run_id = entry.name.partition("-")[2]
    return Run(run_id, head.flow, "", status, head.started_us, head.started_us, {}, {}, None, "", "", 0)


def calls_of(lineage: Lineage, task: str) -> Sequence[Trace]:
    """Return the calls of a task in a run; of a run in an index the other calls are not decoded."""
    traces = lineage.traces
    return traces.of(task) if isinstance(traces, IndexedTraces) else [t for t in traces if t.task == task]


class IndexedTraces(Sequence[Trace]):
    """The traces of a run in an index, decoded when they are first asked for."""

    def __init__(self, index: StoredIndex, first_row: int, count: int) -> None:
        self._index = index
        self._first_row = first_row
        self._count = count

    @functools.cached_property
    def _all(self) -> tuple[Trace, ...]:
        return tuple(filter(None, self._index.traces(self._first_row, self._first_row + self._count)))

    def of(self, task: str) -> tuple[Trace, ...]:
        """Return the calls of a task."""
        return tuple(self._index.traces_of(task, self._first_row, self._first_row + self._count))

    def __len__(self) -> int:
        return self._count if "_all" not in vars(self) else len(self._all)

    @overload
    def __getitem__(self, position: int) -> Trace: ...

    @overload
    def __getitem__(self, position: slice) -> tuple[Trace, ...]: ...

    def __getitem__(self, position: int | slice) -> Trace | tuple[Trace, ...]:
        return self._all[position]

    def __iter__(self) -> Iterator[Trace]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        return self._all == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all)
