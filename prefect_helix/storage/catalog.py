"""Traces and lineages as immutable objects in a store.

    lineage/<started_us>-<run_id>.jsonl     a segment: a run that has ended
    journal/<run_id>/<sequence>.jsonl       a segment: a part of a run in progress, or of one that was killed
    index/<covered>-<id>.index              many lineages in one object
    <kind>/<name>.json                      documents: one line each
    rulings/<at_us>-<id>.json               documents: what people have ruled about results
    remarks/<at_us>-<id>.json               documents: tags and notes of runs

An index names the segments it covers and holds all that they hold. Readers unite what the indexes and the segments
hold, so that it does not matter who writes an index, or whether two do: there is no lock. A segment that is covered and
an index that another one was made from go once the index that holds them is `GRACE_US` old, by the store's own clock:
whoever began to read before it was there has ended by then, or computes what it does not find.

Whatever is damaged, foreign or missing costs a computation, never a wrong value.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from prefect_helix.core.errors import BlobMissingError, CorruptError, StoreError
from prefect_helix.core.history import Facts, History
from prefect_helix.core.lineage import Lineage, Run, RunStatus, Trace
from prefect_helix.storage import leases
from prefect_helix.storage.backend import Entry
from prefect_helix.storage.documents import Documents
from prefect_helix.storage.index import StoredIndex
from prefect_helix.storage.index_writing import compose
from prefect_helix.storage.journals import Journals
from prefect_helix.storage.known import Backlog, Known, age
from prefect_helix.storage.segments import (
    CONSEQUENCE,
    BadLineError,
    NewerFormatError,
    Segment,
    encode_segment,
    parse_segment,
)
from prefect_helix.storage.store import Store

GRACE_US = 24 * 3600 * 1_000_000

_READERS = 8


class Catalog(Documents):
    """The lineages of a store, and its documents. Safe to share between threads; one process at a time journals a run.

    Args:
        store: Where the segments are kept.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._lock = threading.Lock()
        self._journals = Journals(store)
        self._backlog = Backlog()
        # These do not change once they are written, and the run that writes an index has read all before. A read puts
        # dicts in their place that leave out what is gone, while others may read: so each is asked once for a thing.
        self._segments: dict[str, Segment] = {}
        self._opened: dict[str, StoredIndex] = {}

    def append(self, run: Run, traces: Sequence[Trace]) -> None:
        """Write one more journal segment of a run in progress.

        Args:
            run: The run as it is now.
            traces: What is new; a later trace of the same call and signature replaces an earlier one.

        Raises:
            StoreError: If the store refuses.
        """
        self._journals.append(run, traces)

    def commit(self, lineage: Lineage) -> None:
        """Write the lineage of a run that has ended, then remove its journal; write an index if it is time for one.

        What an earlier attempt of the flow run left in the journal when it was killed becomes a lineage of its own.

        Raises:
            StoreError: If the store refuses.
        """
        self._settle(lineage)
        if self._backlog.is_ripe:
            self.compact()

    def _settle(self, lineage: Lineage) -> None:
        """Write the lineage of a run that has ended, then remove its journal."""
        run = lineage.run
        self._write_lineage(lineage)
        journal = [entry.path for entry in self._store.list(f"journal/{run.run_id}")]
        began = self._journals.first(run.run_id)
        of_others = [path for path in journal if _stem(path).isdecimal() and int(_stem(path)) < began]
        earlier = {path: self._read_segment(path) for path in of_others}
        left = [segment.lineage for segment in earlier.values() if segment and segment.lineage]
        for killed in _unfinished(one for one in left if _name(one.run) != _name(run)):
            self._write_lineage(_closed(killed))
        unread = {path for path, segment in earlier.items() if segment and segment.unread}
        self._store.delete_all(path for path in journal if path not in unread)
        self._journals.forget(run.run_id)

    def _write_lineage(self, lineage: Lineage) -> None:
        path = f"lineage/{_name(lineage.run)}.jsonl"
        self._store.write(path, encode_segment(lineage.run, lineage.traces))
        self._segments[path] = Segment(path, lineage)
        with self._lock:
            self._backlog = self._backlog.plus(lineage)

    def read(self) -> Known:
        """Return everything readable. Complexity: O(bytes of what the index does not cover, and of its front).

        Raises:
            StoreError: If the store cannot be listed, or refuses a ruling: nobody can tell then which results hold.
        """
        with ThreadPoolExecutor(_READERS) as readers:
            ruled = readers.submit(self.rulings)
            # What is moved while this reads goes from journals to segments, and from segments to an index. So journals
            # are read before segments are listed, and those are listed before indexes: what is gone is found there.
            journaled = list(filter(None, readers.map(self._read_segment, [*self._files("journal", ".jsonl")])))
            segments = [*self._files("lineage", ".jsonl")]
            indexes, problems, useless, unread = self._indexes()
            covered = {name for index in indexes for name in index.names}
            uncovered = [path for path in segments if _stem(path) not in covered]
            committed = list(zip(uncovered, readers.map(self._read_segment, uncovered), strict=True))
            self._segments = {path: segment for path, segment in committed if segment and path in self._segments}
            rulings, unruled = ruled.result()
        recent = dict(_of_others(indexes))
        recent |= {_stem(path): segment.lineage for path, segment in committed if segment and segment.lineage}
        ended = covered | recent.keys()  # of a flow run that is retried or resumed, each attempt ends
        unfinished = _unfinished(
            segment.lineage for segment in journaled if segment.lineage and _name(segment.lineage.run) not in ended
        )
        recent |= {lineage.run.run_id: lineage for lineage in unfinished}
        known = Known(
            recent=dict(sorted(recent.items(), key=lambda item: age(item[1]))),
            problems=(
                *problems,
                *(problem for _, segment in committed if segment for problem in segment.problems),
                *(problem for segment in journaled for problem in segment.problems),
                *unruled,
            ),
            rulings=rulings,
            index=indexes[0] if indexes else None,
            useless=(
                *useless,
                *(segment.path for segment in journaled if segment.useless),
                *(segment.path for _, segment in committed if segment and segment.useless),
            ),
            unread=(
                *unread,
                *(segment.path for segment in journaled if segment.unread),
                *(segment.path for _, segment in committed if segment and segment.unread),
            ),
            indexes=frozenset(path for index in indexes for path in (index.path, *index.replaces)),
        )
        self._backlog = known.backlog
        return known

    @property
    def decoded(self) -> int:
        """How many traces of indexes it has decoded, and remembers."""
        return sum(index.decoded for index in [*self._opened.values()])

    def compact(self) -> None:
        """Write an index of all lineages if it is time for one, and remove what has been of no use for long.

        That is what an index covers, and what runs left that were killed: every run would go on reading it.

        Complexity: O(bytes of the lineages).

        Raises:
            StoreError: If the store refuses.
        """
        known = self.read()
        backlog = known.backlog
        if backlog.is_ripe:
            self._write_index(known)
            self._backlog = backlog.indexed()
        entries = self._index_entries()
        now_us = max((entry.modified_us for entry in entries), default=0)
        self._remove_covered(entries, now_us - GRACE_US)
        self._close_killed(now_us)

    def close_abandoned(self, running: Collection[str], now_us: int) -> list[Lineage]:
        """Write the lineages of runs that were killed, and remove their journals; return them.

        The journals of runs that ended and could not remove them go, too.

        A run counts as killed if it holds no lease and wrote nothing to its journal for `GRACE_US`. Should it end after
        all, its own lineage takes the place of this one.

        Args:
            running: Ids of the runs that hold a lease.
            now_us: The time by the store's clock.

        Raises:
            StoreError: If the store refuses.
        """
        journaled, written = self._journaled()
        known = self.read()
        unread = {PurePosixPath(path).parent.name for path in known.unread}  # another time
        closed = [
            _closed(lineage)
            for run_id, lineage in known.recent.items()
            if run_id not in unread.union(running) and written.get(run_id, now_us) < now_us - GRACE_US
        ]
        for lineage in closed:
            self._settle(lineage)
        ended = {lineage.run.run_id for lineage in known.lineages if lineage.run.finished_us is not None}
        for entry in journaled:
            run_id = PurePosixPath(entry.path).parent.name
            if run_id in ended.difference(running) and written[run_id] < now_us - GRACE_US:
                self._store.delete(entry.path)
        return closed

    def _close_killed(self, now_us: int) -> None:
        """Close the runs that were killed long ago, and remove their leases."""
        _, written = self._journaled()
        if min(written.values(), default=now_us) < now_us - GRACE_US:
            running = {lease.run_id for lease in leases.in_force(self._store, now_us)}
            self.close_abandoned(running, now_us)
            self._store.delete_all(entry.path for entry in leases.expired(self._store, now_us))

    def _journaled(self) -> tuple[list[Entry], dict[str, int]]:
        """Return the segments of all journals, and when each run wrote to its own last, by its id."""
        segments = self._store.list("journal")
        written: dict[str, int] = {}
        for entry in segments:
            run_id = PurePosixPath(entry.path).parent.name
            written[run_id] = max(written.get(run_id, 0), entry.modified_us)
        return segments, written

    def _write_index(self, known: Known) -> None:
        history = History(known.uncovered.values(), known.rulings, known.index)
        facts = self._of_what_is_there(history.facts())
        chunks = compose(known.index, [*known.uncovered.items()], facts, known.rulings, known.indexes)
        first_line = next(chunks)
        count = len(known.uncovered) + (len(known.index.names) if known.index else 0)
        path = f"index/{count:08}-{uuid.uuid4().hex}.index"
        self._store.write(path, _chained(first_line, chunks), sealed=first_line)

    def _of_what_is_there(self, facts: Facts) -> Facts:
        """Return `facts` without the blobs that are not there any more.

        They are listed after the lineages that name them were read, so that none is taken for gone that is only new.
        """
        there = self._store.blobs().keys()
        used = {name: at_us for name, at_us in facts.last_used_us.items() if name in there}
        return dataclasses.replace(facts, last_used_us=used)

    def _remove_covered(self, entries: Sequence[Entry], oldest_us: int) -> None:
        """Remove the segments and indexes that an index holds which is older than that.

        Opened are those old indexes alone that no other old one replaces: where many runs end, dozens of younger ones
        lie beside them, each of which holds nearly all that is known.
        """
        covered: set[str] = set()
        replaced: set[str] = set()
        for entry in sorted(entries, key=lambda entry: entry.path, reverse=True):
            if entry.modified_us < oldest_us and entry.path not in replaced:
                with contextlib.suppress(BadLineError, BlobMissingError, CorruptError):  # told when the catalog is read
                    index = self._index(entry)
                    covered.update(index.names)
                    replaced |= index.replaces
        segments = self._store.list("lineage") if covered else ()
        self._store.delete_all(entry.path for entry in segments if _stem(entry.path) in covered)
        self._store.delete_all(entry.path for entry in entries if entry.path in replaced)

    def _indexes(self) -> tuple[list[StoredIndex], list[str], list[str], list[str]]:
        """Return the readable indexes that no other one replaces, largest first; what is wrong.

        And the paths of what is none, and of what cannot be read now.
        """
        found: list[StoredIndex] = []
        problems: list[str] = []
        useless: list[str] = []
        unread: list[str] = []
        replaced: set[str] = set()
        entries = self._index_entries()
        opened = self._opened
        self._opened = {entry.path: opened[entry.path] for entry in entries if entry.path in opened}
        for entry in sorted(entries, key=lambda entry: entry.path, reverse=True):
            if entry.path in replaced:
                continue
            try:
                index = self._index(entry)
            except BlobMissingError:
                continue
            except (BadLineError, StoreError) as error:
                cause = error.cause if isinstance(error, StoreError) else error
                problems.append(f"{entry.path} cannot be read ({cause}); what only it knows is computed again.")
                if isinstance(error, NewerFormatError) or not isinstance(error, (BadLineError, CorruptError)):
                    unread.append(entry.path)
                elif isinstance(error, BadLineError):
                    useless.append(entry.path)
                continue
            found.append(index)
            replaced |= index.replaces
        return found, problems, useless, unread

    def _index(self, entry: Entry) -> StoredIndex:
        index = self._opened.get(entry.path)
        if index is None:
            index = self._opened[entry.path] = StoredIndex(self._store, entry.path, entry.size_bytes)
        return index

    def _index_entries(self) -> list[Entry]:
        return [entry for entry in self._store.list("index") if entry.path.endswith(".index")]

    def _read_segment(self, path: str) -> Segment | None:
        """Return what `path` holds; None if it was deleted since it was listed."""
        known = self._segments.get(path)
        if known is not None:
            return known
        try:
            segment = parse_segment(path, self._store.read(path))
        except BlobMissingError:
            return None
        except StoreError as error:
            told = f"{path} cannot be read ({error.cause}); {CONSEQUENCE}."
            return Segment(path, None, (told,), unread=not isinstance(error, CorruptError))
        if path.startswith("lineage/") and not segment.problems:  # journals are numbered anew when a run is retried
            self._segments[path] = segment
        return segment


def _closed(lineage: Lineage) -> Lineage:
    """Return the lineage of a run that did not live to write it: it ended as its journal says, else it crashed."""
    run = lineage.run
    status: RunStatus = "crashed" if run.status == "running" else run.status
    return dataclasses.replace(lineage, run=dataclasses.replace(run, status=status))


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


def _of_others(indexes: Sequence[StoredIndex]) -> Iterator[tuple[str, Lineage]]:
    """Yield the lineages that indexes but the first cover alone, with the stems of their segments' paths."""
    seen: set[str] = set()
    for index in indexes:
        for position, name in enumerate(index.names):
            if name not in seen and index is not indexes[0]:
                yield name, index.lineage(position)
            seen.add(name)


def _chained(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _name(run: Run) -> str:
    """Return the stem of the path of a run's segment."""
    return f"{run.started_us:020}-{run.run_id}"
