"""How much more memory a flow takes because a large result is kept.

    python benchmarks/store_memory.py [GIGABYTES]

A task makes an array of that size and another one looks at it. The flow runs in a process of its own in mode `off` and
in mode `auto`, where the array is digested, written in the background and committed; peaks are those of the kernel.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from prefect_helix import helix_flow, helix_task


@helix_task
def made(gigabytes: float) -> Any:
    """Make an array."""
    return np.full(int(gigabytes * 125_000_000), 1.5)


@helix_task
def total(array: Any) -> float:
    """Make a number of it."""
    return float(array.sum())


def run(mode: str, store: str, gigabytes: float) -> None:
    """Run the flow once and print the peak in megabytes."""

    def flow(gigabytes: float) -> float:
        return total(made(gigabytes))

    helix_flow(store=store, policy="always", budget="1TB", mode=mode)(flow)(gigabytes)
    kept = sum(path.stat().st_size for path in Path(store).rglob("*") if path.is_file())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, kept / 1e6)


def main(gigabytes: float) -> None:
    """Print a line for each mode."""
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PREFECT_HOME": f"{folder}/home", "PREFECT_LOGGING_LEVEL": "ERROR"}
        for mode in ("off", "auto", "off", "auto"):
            command = [sys.executable, __file__, mode, f"{folder}/{mode}-{len(peaks)}", str(gigabytes)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            peak, kept = map(float, done.stdout.split()[-2:])
            peaks[mode] = max(peak, peaks.get(mode, 0))
            print(f"mode {mode:<6} peak {peak:>8.0f} MB, kept {kept:>8.0f} MB", flush=True)
    print(f"more by {peaks['auto'] - peaks['off']:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 2)
