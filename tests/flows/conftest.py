"""Worked examples as they are and as edits leave them, run through real Prefect."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.edits import Edit, apply
from prefect_helix import helix_flow
from prefect_helix.core.digest import digest
from prefect_helix.core.graph import Decision
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

FLOWS = Path(__file__).parents[2] / "flows"
SHARED = "workload.py"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small matrices are multiplied by one thread: on a busy machine several wait for one another."""
    with threadpool_limits(1):
        yield


@dataclass
class Example:
    """A worked example in a folder of its own, edited there; every version is a folder of its own."""

    flow: str
    home: Path
    store: str
    sources: dict[str, str]
    version: int = 0

    def edit(self, edit: Edit) -> None:
        self.sources = apply(edit, self.sources)
        self.version += 1

    def run(self, parameters: Mapping[str, Any]) -> tuple[Any, Counter[str]]:
        """Run it; give its result, which is that of plain Prefect, and how often the body of which task ran."""
        body = self._imported().fn
        result = helix_flow(store=self.store)(body)(**parameters)
        assert digest(result) == digest(helix_flow(mode="off")(body)(**parameters))
        traces = Catalog(open_store(self.store)).read().lineages[-1].traces
        return result, Counter(trace.task for trace in traces if trace.decision is Decision.COMPUTE)

    def _imported(self) -> Any:
        folder = self.home / f"version_{self.version}"
        if not folder.exists():
            folder.mkdir()
            shutil.copy(FLOWS / SHARED, folder)
            for name, source in self.sources.items():
                (folder / name).write_text(source)
        forget(self.sources)
        sys.path.insert(0, str(folder))
        try:
            return getattr(importlib.import_module(self.flow), self.flow)
        finally:
            sys.path.remove(str(folder))


def forget(files: Sequence[str] | Mapping[str, str]) -> None:
    for name in [*files, SHARED]:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture
def example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: str, slow_tasks: None, one_thread: None
) -> Iterator[Callable[[str], Example]]:
    """Copies a worked example; its data are those that packages have."""
    monkeypatch.delenv("HELIX_DATA", raising=False)
    made: list[Example] = []

    def copied(flow: str) -> Example:
        sources = {name: (FLOWS / name).read_text() for name in WORKLOADS[flow].files}
        made.append(Example(flow, tmp_path, str(tmp_path / "store"), sources))
        return made[-1]

    yield copied
    for one in made:
        forget(one.sources)
