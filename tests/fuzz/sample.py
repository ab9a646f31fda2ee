"""A store that real runs filled: what every kind of file in it looks like."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefect_helix.core.fingerprint import Component
from prefect_helix.core.remarks import Note, Tag
from prefect_helix.core.rulings import Acceptance, Revocation
from prefect_helix.core.written import Withdrawal
from prefect_helix.storage import known as known_module
from prefect_helix.storage import leases
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.files import File
from prefect_helix.storage.segments import parse_line
from prefect_helix.storage.store import Store, open_store
from tests.runtime.conftest import Lab

BUDGET_BYTES = 1 << 20


class Work:
    """A flow over a folder's store, whose tasks have results of every kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lab = Lab(str(folder / "store"))
        task = self.lab.task

        @task
        def scan(source: File) -> Any:
            return np.arange(20_000.0) + len(Path(source).read_bytes())

        @task
        def clean(rows: Any, reg: float) -> Any:
            return {"rows": rows[::2], "more": [rows * reg, "text"]}

        @task
        def score(rows: Any) -> dict[str, float]:
            return {"accuracy": float(rows["rows"].mean())}

        @task
        def report(rows: Any, scores: dict[str, float]) -> File:
            path = folder / f"report-{scores['accuracy']}.txt"
            path.write_text(str(rows["more"][0].sum()))
            return File(path)

        self.clean = clean

        def census(path: str, reg: float) -> Any:
            cleaned = clean(scan(File(path)), reg)
            scores = score(cleaned)
            return scores, Path(report(cleaned, scores)).read_text()

        self.census = census

    def run(self, **parameters: Any) -> Any:
        return self.lab.run(self.census, budget=BUDGET_BYTES, path=str(self.folder / "source.csv"), **parameters)

    def scratch(self, **parameters: Any) -> Any:
        return self.lab.scratch(self.census, path=str(self.folder / "source.csv"), **parameters)


@dataclass(frozen=True)
class Sample:
    """The store, and its files by their paths in it."""

    work: Work
    store: Store
    files: Mapping[str, bytes]

    @property
    def folder(self) -> Path:
        return Path(self.store.url)

    def named(self, *folders: str) -> list[str]:
        return [path for path in self.files if path.startswith(tuple(f"{folder}/" for folder in folders))]

    def of(self, *folders: str) -> list[bytes]:
        return [self.files[path] for path in self.named(*folders)]

    def lines(self, *folders: str) -> list[Any]:
        """What the lines of these files say."""
        return [parse_line(line) for data in self.of(*folders) for line in data.splitlines()]


def fill(folder: Path) -> Sample:
    """Make the store: runs in an index, in segments and in a journal; leases, code, rulings, remarks."""
    (folder / "source.csv").write_text("a,b\n1,2\n")
    work = Work(folder)
    store = open_store(folder / "store")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(known_module, "COVERED_LINEAGES", 3)
        for reg in (0.1, 0.2, 0.3):
            work.run(reg=reg)
    work.clean.edit(version="2")
    work.run(reg=0.1)
    path = str(folder / "source.csv")
    with work.lab.open("census", {"path": path, "reg": 0.4}, budget=BUDGET_BYTES) as run:
        work.census(path, 0.4)
        work.lab.kill(run)
    last = Catalog(store).read().lineages[-2]
    catalog = Catalog(store)
    leases.beat(store, leases.Lease("run9", frozenset(store.blobs()), frozenset({last.traces[0].signature})))
    code = Component("flows.clean", "function", "h", "def clean(rows): ...\n", "flows.py", 7)
    fields = {name: getattr(code, name) for name in code.__slots__}
    for trace in last.traces:
        catalog.put_document("code", trace.fingerprint, {"components": [fields]})
    catalog.rule(Acceptance("r1", 1, "clean", "clean-1", "clean-2", "same"))
    catalog.rule(Revocation("r2", 2, tasks=("nobody",), runs=("run1",), since_us=5, note="bad disk"))
    catalog.rule(Withdrawal("r3", 3, "r1"))
    catalog.remark(Tag("m1", 1, "best", last.run.run_id))
    catalog.remark(Note("m2", 2, last.run.run_id, "beats the baseline"))
    catalog.remark(Withdrawal("m3", 3, "m2"))
    root = Path(store.url)
    files = {str(found.relative_to(root)): found.read_bytes() for found in sorted(root.rglob("*")) if found.is_file()}
    return Sample(work, store, files)


def index_parts(data: bytes) -> tuple[dict[str, Any], list[bytes], list[bytes]]:
    """Return the summary of an index, its tables and its blocks."""
    start = data.index(b"\n") + 1
    parts = []
    for size, _ in parse_line(data[: start - 1])["sections"]:
        parts.append(data[start : start + size])
        start += size
    summary = json.loads(zlib.decompress(parts[0]))
    blocks = []
    for _, size, _ in summary["blocks"]:
        blocks.append(data[start : start + size])
        start += size
    return summary, parts[1:], blocks
