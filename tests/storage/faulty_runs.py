"""Runs that are killed, and runs that crowd one store: the program behind `test_faults.py`, also to be run by hand.

    python tests/storage/faulty_runs.py kill 200 [SEED]     kill that many runs at random moments
    python tests/storage/faulty_runs.py crowd 8 [SEED]      so many processes on one store with little room

It prints what it did as JSON, and raises where a promise is broken. Runs are children of this process, which has
everything loaded and no threads, so that starting one takes no time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prefect_helix.storage import known as known_module
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

ROWS = 200_000
BUDGET_BYTES = 12 * ROWS * 8
SLOWEST_S = 0.3


def lab_of(url: str) -> Any:
    """The flow runner without Prefect that the tests of the runtime use."""
    path = Path(__file__).parents[1] / "runtime" / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lab_module"] = module
    spec.loader.exec_module(module)
    return module.Lab(url)


def flow_of(lab: Any, variant: int, folder: Path) -> Callable[[], Any]:
    """A flow of frames, a file and small values; variants share their first step."""
    from prefect_helix.storage.files import File  # noqa: PLC0415

    def write(total: float) -> Any:
        path = folder / f"report-{variant}.txt"
        path.write_text(f"total {total}")
        return File(path)

    load = lab.task(lambda: pd.DataFrame({"x": np.arange(float(ROWS))}), name="load")
    shift = lab.task(lambda df, by: df + by, name="shift")
    join = lab.task(lambda one, two: one + two, name="join")
    total = lab.task(lambda df: float(df["x"].sum()), name="total")
    report = lab.task(write, name="report")

    def flow() -> list[Any]:
        shifted = [shift(load(), by) for by in (variant, variant + 0.5)]
        summed = total(join(*shifted))
        return [summed, Path(report(summed)).read_text()]

    flow.__name__ = f"flow-{variant}"
    return flow


def expected(variant: int, folder: Path) -> list[Any]:
    """What the flow gives from scratch."""
    lab = lab_of("memory://nothing")
    found: list[Any] = lab.scratch(flow_of(lab, variant, folder))
    return found


def in_child(work: Callable[[], Any], outcome: Path) -> int:
    """Do something in a child process, and leave there what came of it; return its id."""
    child = os.fork()
    if child:
        return child
    try:
        outcome.write_text(json.dumps(work()))
    except BaseException:
        outcome.write_text(json.dumps({"error": traceback.format_exc()}))
    finally:
        os._exit(0)


def run_once(url: str, variant: int, folder: Path) -> dict[str, Any]:
    """Run a flow in the store."""
    lab = lab_of(url)
    run = lab.run(flow_of(lab, variant, folder), budget=BUDGET_BYTES)
    return {"value": run.value, "bodies": run.bodies, "warnings": run.warnings}


def check(url: str, outcome: dict[str, Any], want: list[Any]) -> None:
    """Make sure that a run was right, and that the store is whole and within its budget."""
    assert "error" not in outcome, outcome["error"]
    assert outcome["value"] == want, outcome
    store = open_store(url)
    for name in store.blobs():
        store.check_blob(name)
    assert Catalog(store).read().problems == ()
    assert sum(store.blobs().values()) <= BUDGET_BYTES


def kill(count: int, seed: int) -> dict[str, Any]:
    """Kill so many runs at random moments; after each, a run that is left alone has to be right."""
    chance = random.Random(seed)
    done = {"killed": 0, "ended before": 0, "steps computed again": 0}
    with tempfile.TemporaryDirectory() as name:
        folder, url = Path(name), f"{name}/store"
        number = 0
        while done["killed"] < count:
            number += 1
            assert number < 10 * count, "runs end before they can be killed"
            variant = chance.randrange(4)
            want = expected(variant, folder)
            outcome = folder / "outcome.json"
            child = in_child(lambda variant=variant: run_once(url, variant, folder), outcome)
            time.sleep(chance.uniform(0, SLOWEST_S))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            done["killed" if os.WIFSIGNALED(status) else "ended before"] += 1
            os.waitpid(in_child(lambda variant=variant: run_once(url, variant, folder), outcome), 0)
            after = json.loads(outcome.read_text())
            check(url, after, want)
            done["steps computed again"] += len(after["bodies"])
            if number % 3 == 0:  # so that there is something to write again
                for blob in chance.sample(blobs := [*open_store(url).blobs()], min(2, len(blobs))):
                    open_store(url).delete_blob(blob)
        left = open_store(url).unfinished()
        done["writes left unfinished"] = len(left)
        for entry in left:
            open_store(url).discard(entry)
        assert open_store(url).unfinished() == ()
    return done


def crowd(processes: int, seed: int, rounds: int = 6) -> dict[str, Any]:
    """Run equal and different flows at once in one store that has too little room."""
    with tempfile.TemporaryDirectory() as name:
        folder, url = Path(name), f"{name}/store"
        places = [folder / f"process-{number}" for number in range(processes)]
        for place in places:
            place.mkdir()

        def work(number: int) -> list[dict[str, Any]]:
            chance = random.Random(seed + number)
            return [
                run_once(url, chance.choice([0, 0, 1, number]), places[number]) | {"number": number}
                for _ in range(rounds)
            ]

        children = [
            in_child(lambda number=number: work(number), places[number] / "outcome.json") for number in range(processes)
        ]
        for child in children:
            os.waitpid(child, 0)
        wants = {want[0]: want for want in (expected(variant, folder) for variant in range(processes))}
        warned: set[str] = set()
        for place in places:
            outcomes = json.loads((place / "outcome.json").read_text())
            assert isinstance(outcomes, list), outcomes["error"]
            for outcome in outcomes:
                assert outcome["value"] == wants[outcome["value"][0]], outcome
                warned |= outcome["warnings"].keys()
        os.waitpid(in_child(lambda: run_once(url, 0, folder), folder / "outcome.json"), 0)
        check(url, json.loads((folder / "outcome.json").read_text()), expected(0, folder))
        return {"runs": processes * rounds + 1, "warnings": sorted({key.partition(":")[0] for key in warned})}


if __name__ == "__main__":
    known_module.COVERED_LINEAGES = 3  # indexes are written while runs are killed
    what, number, *rest = sys.argv[1:]
    started = time.monotonic()
    found = {"kill": kill, "crowd": crowd}[what](int(number), int(rest[0]) if rest else 1)
    print(json.dumps(found | {"seconds": round(time.monotonic() - started, 1)}))
