"""What goes through the flow's process when a chain over a large result runs on Dask: with helix, and without.

    python benchmarks/dask_bytes.py [MEGABYTES]

Every byte is counted that the flow's process sends or receives over Dask's sockets; the scheduler is in that process,
so that its own talk with the workers counts too.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tornado.iostream
from distributed import LocalCluster
from prefect_dask import DaskTaskRunner

from prefect_helix import helix_flow, helix_task

moved_bytes = 0


def counted(method: Callable[..., int | None]) -> Callable[..., int | None]:
    """Count what a method of a socket moves."""

    def count(*args: Any) -> int | None:
        global moved_bytes
        size_bytes = method(*args)
        moved_bytes += size_bytes or 0
        return size_bytes

    return count


@helix_task
def made(megabytes: int) -> Any:
    """Make an array."""
    return np.ones(megabytes * 131_072)


@helix_task
def raised(array: Any, by: float) -> Any:
    """Make another of the same size."""
    return array + by


@helix_task
def total(array: Any) -> float:
    """Make a number of it."""
    return float(array.sum())


def chain(megabytes: int, by: float) -> float:
    """Run a chain of four tasks; only the number comes back."""
    return total.submit(raised.submit(raised.submit(made.submit(megabytes), 1), by)).result()


def main(megabytes: int) -> None:
    """Print a line for each run."""
    global moved_bytes
    stream = tornado.iostream.IOStream
    for name in ("read_from_fd", "write_to_fd"):
        setattr(stream, name, counted(getattr(stream, name)))
    print(f"{'run':<28}{'seconds':>9}{'moved':>14}{'grown':>10}")
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
    ):
        for label, mode, by in (
            ("plain Prefect", "off", 2),
            ("first run", "auto", 2),
            ("the same again", "auto", 2),
            ("another argument at the end", "auto", 3),
        ):
            flow = helix_flow(
                store=str(Path(folder) / "store"),
                policy="always",
                mode=mode,
                task_runner=DaskTaskRunner(address=cluster.scheduler_address),
            )(chain)
            moved_bytes, began = 0, time.perf_counter()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            flow(megabytes, by)
            seconds = time.perf_counter() - began
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"{label:<28}{seconds:>8.1f}s{moved_bytes / 1e6:>11.2f} MB{grown:>7.0f} MB", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
