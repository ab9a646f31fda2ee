"""What a call costs: a plain task, a helix task that is computed, one that is pruned, and telling Prefect of it.

    python benchmarks/call_overhead.py [CALLS] [REPEATS]

The flows run in turns in one process against one Prefect server. The calls are timed inside the flow's body; what is
reported of pruned tasks as the run ends is the rest of a run's time, less that of a run without calls.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from prefect import flow, task
from prefect.testing.utilities import prefect_test_harness
from settling import settle

from prefect_helix import helix_flow, helix_task

Run = Callable[[int, int], float]


def square(x: int) -> int:
    """Return the square of `x`."""
    return x * x


plain_square = task(square)
helix_square = helix_task(square)


def calls_of(one: Callable[[int], int]) -> Run:
    """Return a flow body that makes calls of a task and returns the seconds they took."""

    def body(first: int, calls: int) -> float:
        started = time.perf_counter()
        for x in range(first, first + calls):
            one(x)
        return time.perf_counter() - started

    return body


def timed(run: Run, first: int, calls: int) -> tuple[float, float]:
    """Return the seconds of the calls and of the whole run, once the server has taken in what it was told before."""
    settle()
    started = time.perf_counter()
    inside = run(first, calls)
    return inside, time.perf_counter() - started


def main() -> None:
    """Run the flows in turns and print the milliseconds of a call."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    logging.getLogger("prefect").setLevel(logging.ERROR)
    rows: dict[str, list[float]] = {name: [] for name in ("plain task", "computed", "pruned", "reported")}
    with tempfile.TemporaryDirectory() as store, prefect_test_harness(server_startup_timeout=120):
        plain = flow(name="plain")(calls_of(plain_square))
        helix = helix_flow(name="helix", store=store)(calls_of(helix_square))
        for turn in range(1, repeats + 1):
            rows["plain task"].append(timed(plain, turn * calls, calls)[0])
            rows["computed"].append(timed(helix, turn * calls, calls)[0])
            inside, whole = timed(helix, turn * calls, calls)
            empty = timed(helix, 0, 0)[1]
            rows["pruned"].append(inside)
            rows["reported"].append(whole - inside - empty)
    for name, seconds in rows.items():
        print(f"{name:12} {1000 * statistics.median(seconds) / calls:7.3f} ms a call")


if __name__ == "__main__":
    main()
