"""The journals of runs in progress: what each of them has finished so far, in segments.

    journal/<run_id>/<sequence>.jsonl

Every run that begins meanwhile reads all of them, and one that was killed leaves its own behind. So they are to be few
objects, however long a run lasts: each `JOINED`th segment holds again what those since the last such one hold. These go
when the next such one is written, and not at once, so that whoever has listed them finds them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from prefect_helix.core.lineage import Run, Trace
from prefect_helix.storage.segments import encode_segment
from prefect_helix.storage.store import Store

JOINED = 64


@dataclass(slots=True, eq=False)
class _Journal:
    """The journal of a run, as far as this process writes it.

    Attributes:
        first: Number of its first segment; those before it are of an earlier attempt of the run.
        next: Number of the next one.
        single: Paths and traces of the segments since the last one that holds many.
        joined: Paths of those that it holds.
    """

    first: int
    next: int
    single: list[tuple[str, Sequence[Trace]]] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)


class Journals:
    """Writes journals. Safe to share between threads; one process at a time journals a run.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._begun: dict[str, _Journal] = {}

    def append(self, run: Run, traces: Sequence[Trace]) -> None:
        """Write one more segment, and remove those that are not needed any more; see `Catalog.append`."""
        with self._lock:
            journal = self._begun.get(run.run_id) or self._begin(run.run_id)
            path = f"journal/{run.run_id}/{journal.next:08}.jsonl"
            journal.next += 1
            journal.single.append((path, traces))
            joined: list[str] = []
            if len(journal.single) == JOINED:
                joined = [single for single, _ in journal.single[:-1]]
                traces = [trace for _, some in journal.single for trace in some]
                journal.single.clear()
        self._store.write(path, encode_segment(run, traces))
        if joined:  # and held by what was just written, so that they may go next time
            gone, journal.joined = journal.joined, joined
            self._store.delete_all(gone)

    def first(self, run_id: str) -> int:
        """Return the number of the first segment that this process wrote for a run; 0 if it wrote none."""
        with self._lock:
            return self._begun[run_id].first if run_id in self._begun else 0

    def forget(self, run_id: str) -> None:
        """Take note that the journal of a run was removed."""
        with self._lock:
            self._begun.pop(run_id, None)

    def _begin(self, run_id: str) -> _Journal:
        written = (PurePosixPath(entry.path).stem for entry in self._store.list(f"journal/{run_id}"))
        first = 1 + max((int(stem) for stem in written if stem.isdecimal()), default=-1)
        self._begun[run_id] = _Journal(first, first)
        return self._begun[run_id]
