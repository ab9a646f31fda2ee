"""Forty runs in one store: nothing grows but what is remembered of them."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.session import Session
from prefect_helix.storage import known as known_module
from prefect_helix.storage.catalog import GRACE_US, Catalog

from .conftest import Lab

RUNS = 40
COVERED = 4
RUNS_A_DAY = 6
STEPS = 5
STEP_BYTES = 80_000
BUDGET_BYTES = 3 * STEP_BYTES + 4_096


def chain(lab: Lab) -> Any:
    """Make steps one after the other, each with an array for a result."""
    for number in range(STEPS):
        lab.task(lambda x: np.sin(x) * 2, name=f"step{number}")

    def soak(seed: int) -> float:
        values: Any = np.full(STEP_BYTES // 8, float(seed))
        for number in range(STEPS):
            values = lab.tasks[f"step{number}"].submit(values)
        return float(values.result().mean())

    return soak


def sessions() -> list[Any]:
    """Return what there is in memory of runs."""
    return [one for one in gc.get_objects() if type(one) in (Session, Keeper, Node)]


def age(store: Path) -> None:
    """Let the time between two runs pass, by the store's clock."""
    for path in store.rglob("*"):
        if path.is_file():
            at_s = path.stat().st_mtime - GRACE_US / 1e6 / RUNS_A_DAY
            os.utime(path, (at_s, at_s))


def test_runs_leave_no_threads_descriptors_or_sessions_and_keep_budget_and_files_bounded(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_module, "COVERED_LINEAGES", COVERED)
    others = sessions()  # of tests before this one
    chance, soak, store = random.Random(1), chain(lab), Path(lab.url)
    files: list[Counter[str]] = []
    held: list[tuple[int, int]] = []
    versions: set[str] = set()
    for number in range(RUNS):
        edited = lab.tasks[f"step{chance.randrange(STEPS)}"]
        factor = float(chance.randrange(1, 4))
        edited.edit(lambda x, factor=factor: np.sin(x) * factor, version=f"{factor}")
        seed = chance.randrange(2)
        run = lab.run(soak, policy="auto", budget=BUDGET_BYTES, seed=seed)
        assert run.value == lab.scratch(soak, seed=seed)
        assert run.most_bytes <= BUDGET_BYTES
        assert lab.blob_bytes() <= BUDGET_BYTES
        assert run.warnings.keys() <= {"lost"}  # which later runs with the other seed made room for
        run.pool.join()
        versions.update(trace.fingerprint for trace in run.lineage.traces)
        del run
        if number % 10 == 9:
            gc.collect()
            assert not [one for one in sessions() if not any(one is other for other in others)]
        held.append((threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
        files.append(Counter(path.parts[len(store.parts)] for path in store.rglob("*") if path.is_file()))
        assert files[-1].keys() <= {"blobs", "code", "index", "lineage"}, "of a run that has ended something is left"
        assert files[-1]["code"] <= len(versions)
        age(store)
    assert held[1:] == held[1:2] * (RUNS - 1)
    for kind, most in {"lineage": RUNS_A_DAY + 2 * COVERED, "index": 2 + RUNS_A_DAY // COVERED, "blobs": 3}.items():
        assert max(each[kind] for each in files) <= most, kind
    assert len(Catalog(lab.store).read().lineages) == RUNS, "what goes is in an index"
