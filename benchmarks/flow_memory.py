"""What a flow over large results takes at its peak: helix tasks beside plain Prefect.

    python benchmarks/flow_memory.py [MEGABYTES] [STEPS]

Two flows over the same chain of frames: one that gives each step's result a name of its own, and one that uses the same
name again and again. Each runs in a process of its own against one Prefect server: the peak is that of memory which is
the process' own, so that results that are mapped from files do not count.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import Flow, flow, task
from prefect.testing.utilities import prefect_test_harness

from prefect_helix import helix_flow, helix_task


def own_mb() -> int:
    """Return how much memory is this process' own, in megabytes."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024 // 1_000_000


class Peak(threading.Thread):
    """Watches how much memory is this process' own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before_mb = self.most_mb = own_mb()
        self._ended = threading.Event()

    def run(self) -> None:
        """Look again and again."""
        while not self._ended.wait(0.005):
            self.most_mb = max(self.most_mb, own_mb())

    def end(self) -> int:
        """Return the most that was taken since the start, in megabytes."""
        self._ended.set()
        self.join()
        return self.most_mb - self.before_mb


def made(kind: str, style: str, store: str, megabytes: int, steps: int) -> Flow[[int], float]:
    """Return the flow of that kind and style."""
    rows = megabytes * 1_000_000 // 8
    one: Any = task if kind == "prefect" else helix_task

    @one
    def begin(seed: int) -> pd.DataFrame:
        return pd.DataFrame({"x": np.random.default_rng(seed).random(rows)})

    @one
    def step(values: pd.DataFrame, number: int) -> pd.DataFrame:
        return np.sin(values) + number

    @one
    def mean(values: pd.DataFrame) -> float:
        return float(values["x"].mean())

    def named(seed: int) -> float:
        results = {0: begin(seed)}
        for number in range(1, steps):
            results[number] = step(results[number - 1], number)
        return mean(results[steps - 1])

    def renamed(seed: int) -> float:
        values = begin(seed)
        for number in range(1, steps):
            values = step(values, number)
        return mean(values)

    body = named if style == "named" else renamed
    return flow(body, name=style) if kind == "prefect" else helix_flow(body, name=style, store=store)


def main() -> None:
    """Run all flows and print their peaks."""
    megabytes, steps = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 500), (2, 10)))
    print(f"{steps} steps, each with a result of {megabytes} MB; peaks above what the process takes before")
    print(f"{'':18} {'first run':>12} {'another seed':>14}")
    with tempfile.TemporaryDirectory() as folder, prefect_test_harness(server_startup_timeout=120):
        for style in ("named", "renamed"):
            for kind in ("prefect", "helix"):
                command = [sys.executable, __file__, kind, style, f"{folder}/{style}", str(megabytes), str(steps)]
                subprocess.run(command, check=True)


def child(kind: str, style: str, store: str, megabytes: str, steps: str) -> None:
    """Run one flow twice and print its peaks."""
    logging.getLogger("prefect").setLevel(logging.ERROR)
    run = made(kind, style, store, int(megabytes), int(steps))
    peaks, values = [], []
    for seed in (0, 1):
        peak = Peak()
        peak.start()
        values.append(run(seed))
        peaks.append(peak.end())
    print(f"{style:8} {kind:9} {peaks[0]:9} MB {peaks[1]:11} MB   {values}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        child(*sys.argv[1:])
    else:
        main()
