"""A mapped flow of which one element changed: helix tasks against Prefect's own caching.

    python benchmarks/mapped_flow.py [ELEMENTS]

Both flows run in one process against one Prefect server: first with all elements new, then with one of them changed.
The server is given time to take in what it was told, so that no flow pays for the one before.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from prefect import Flow, flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.testing.utilities import prefect_test_harness
from settling import settle

from prefect_helix import helix_flow, helix_task

BODIES = 0


def square(x: int) -> int:
    """Return the square of `x`."""
    global BODIES
    BODIES += 1
    return x * x


def total(numbers: list[int]) -> int:
    """Return the sum of `numbers`."""
    return sum(numbers)


def made(name: str, store: str) -> Flow[[list[int]], int]:
    """Return the flow with the tasks of that kind."""
    if name == "prefect":
        options = {"cache_policy": INPUTS + TASK_SOURCE, "persist_result": True}
        one, all_ = task(square, **options), task(total, **options)
    else:
        one, all_ = helix_task(square), helix_task(total)

    def body(values: list[int]) -> int:
        return all_(one.map(values))

    options = {"name": f"mapped-{name}"}
    return flow(body, **options) if name == "prefect" else helix_flow(store=store, **options)(body)


def memory_mb() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def main() -> None:
    """Run both flows and print their times."""
    global BODIES
    logging.getLogger("prefect").setLevel(logging.ERROR)
    elements = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PREFECT_LOCAL_STORAGE_PATH"] = f"{folder}/results"
        with prefect_test_harness(server_startup_timeout=120):
            print(f"{'':12} {'first':>9} {'changed':>9} {'bodies':>7} {'memory':>9}")
            for name in ("helix", "prefect"):
                run = made(name, f"{folder}/store")
                values = list(range(elements))
                started = time.perf_counter()
                run(values)
                first = time.perf_counter() - started
                settle()
                values[17], BODIES, before_mb = -17, 0, memory_mb()
                started = time.perf_counter()
                run(values)
                seconds[name] = time.perf_counter() - started
                grown = memory_mb() - before_mb
                print(f"{name:12} {first:7.1f} s {seconds[name]:7.1f} s {BODIES:7} {grown:+6} MB", flush=True)
                settle()
    print(f"{elements} elements, one changed: {seconds['prefect'] / seconds['helix']:.1f} times as fast")


if __name__ == "__main__":
    main()
