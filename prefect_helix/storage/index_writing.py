"""Writes an index: what an earlier one holds is copied, what is new is added; see `index`."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence

from prefect_helix.core.history import Facts, head_of, identity, with_origin
from prefect_helix.core.lineage import Lineage, Trace, run_to_json
from prefect_helix.core.rulings import Rulings
from prefect_helix.storage.blob import checksum
from prefect_helix.storage.index import StoredIndex
from prefect_helix.storage.index_parts import Block, Table, call_hash, facts_to_json, signature_hash
from prefect_helix.storage.segments import FORMAT_VERSION, encode_line, encode_trace

_BLOCK_BYTES = 256 << 10


def compose(
    index: StoredIndex | None,
    recent: Sequence[tuple[str, Lineage]],
    facts: Facts,
    rulings: Rulings,
    replaces: Iterable[str],
) -> Iterator[bytes]:
    """Yield an index of what `index` covers and of other lineages, with the names of their segments.

    The blocks of `index` are copied as they are, and so are its tables unless its facts are those of other rulings.
    Complexity: O(bytes), and O(traces) of those that are new.

    Args:
        index: An earlier one.
        recent: The others, oldest first.
        facts: What all of it tells.
        rulings: Those under which it does.
        replaces: Paths of the indexes that nobody need read any more who reads this one.
    """
    runs = [(entry.name, entry.head, entry.run) for entry in index.entries] if index else []
    row = sum(head.steps for _, head, _ in runs)
    builder = _Tables(index if index and index.facts.rulings == rulings.name else None, rulings)
    if index and builder.index is None:
        builder.add((at, trace) for at in range(row) if (trace := index.trace(at)) is not None)
    blocks: list[tuple[int, bytes]] = []
    for name, lineage in recent:
        builder.add((at, with_origin(trace, lineage.run)) for at, trace in enumerate(lineage.traces, row))
        row += len(lineage.traces)
        blocks.extend(_deflated(lineage.traces))
        runs.append((name, head_of(lineage), json.dumps(run_to_json(lineage.run), separators=(",", ":"))))
    summary = {
        "runs": runs,
        "blocks": [*(index.blocks if index else ()), *itertools.starmap(Block.of, blocks)],
        "replaces": sorted(replaces),
        "facts": facts_to_json(facts),
    }
    sections = [
        zlib.compress(json.dumps(summary, separators=(",", ":")).encode("ascii"), 1),
        *(table.encode() for table in builder.tables()),
    ]
    yield encode_line(
        {"format": FORMAT_VERSION, "sections": [(len(section), checksum(section).hex()) for section in sections]}
    )
    yield from sections
    yield from index.stored_blocks() if index else ()
    yield from (data for _, data in blocks)


class _Tables:
    """The tables of an index in the making: those of an earlier one, if there is one that serves, and new rows."""

    def __init__(self, index: StoredIndex | None, rulings: Rulings) -> None:
        self.index = index
        self._rulings = rulings
        self._newest: dict[object, tuple[int, Trace]] = {}

    def add(self, rows: Iterable[tuple[int, Trace]]) -> None:
        """Add traces with their rows, newer than all before them."""
        for row, trace in rows:
            if trace.status == "completed" and trace.result is not None:
                self._newest[identity(trace, self._rulings)] = (row, trace)

    def tables(self) -> tuple[Table, Table]:
        """Return the table of calls and the table of signatures."""
        added = [*self._newest.values()]
        calls = [(call_hash(trace.computed_by, trace.literals), row) for row, trace in added]
        signatures = [(signature_hash(trace.signature), row) for row, trace in added]
        if self.index is not None:
            old = {row for _, trace in added for row in self.index.rows_like(trace, self._rulings)}
            calls += [entry for entry in self.index.call_table.entries() if entry[1] not in old]
            signatures += [entry for entry in self.index.signature_table.entries() if entry[1] not in old]
        return Table.of(calls), Table.of(signatures)


def _deflated(traces: Sequence[Trace]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of traces in deflated blocks, each with its number of lines."""
    lines: list[bytes] = []
    size_bytes = 0
    for trace in traces:
        lines.append(encode_trace(trace))
        size_bytes += len(lines[-1])
        if size_bytes > _BLOCK_BYTES:
            yield len(lines), zlib.compress(b"".join(lines), 1)
            lines, size_bytes = [], 0
    if lines:
        yield len(lines), zlib.compress(b"".join(lines), 1)
