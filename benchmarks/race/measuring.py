"""Measures one iteration of one system: a copy of the flow as it is then, a fresh process, and what it left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workloads.edits import Edit, Workload, draw, versions
from benchmarks.workloads.plain import FLOWS
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

from .child import ANSWER
from .results import Measurement
from .systems import System

ROOT = Path(__file__).parents[2]
SHARED = "workload.py"
FIRST = Edit("first run", "none")
LONGEST_SECONDS = 3600


@dataclass(frozen=True)
class Version:
    """A flow as it is in one iteration."""

    change: str
    sources: Mapping[str, str]
    parameters: Mapping[str, Any]


def versions_of(workload: Workload, size: str, iterations: int | None, seed: int | None = None) -> list[Version]:
    """Return a workload's versions: before all edits, then after each.

    Args:
        workload: The flow.
        size: `benchmark` or `small`.
        iterations: How many versions; None for as many as the written series has.
        seed: What a series is drawn from; None for the written one.
    """
    sources = {name: (FLOWS / name).read_text() for name in (*workload.files, SHARED)}
    count = len(workload.series) if iterations is None else max(0, iterations - 1)
    edits = workload.series[:count] if seed is None else draw(workload, sources, count, seed)
    start = workload.benchmark if size == "benchmark" else workload.small
    found = versions(sources, start, edits)
    return [Version(edit.change, *version) for edit, version in zip((FIRST, *edits), found, strict=True)]


@dataclass(frozen=True)
class Track:
    """One system's way through one workload: its copy of the flow, edited in place, and what it keeps between runs."""

    system: System
    flow: str
    repeat: int
    versions: Sequence[Version]
    home: Path
    python: str
    environment: Mapping[str, str]
    settle: Callable[[], None]

    def measure(self, iteration: int) -> Measurement:
        """Run an iteration.

        The first begins with nothing. If the folder is not as the iteration before left it (the race was broken off
        meanwhile, or the folder is gone), the iterations before are run again, from none, and not measured.
        """
        if iteration == 0 or self._reached() != iteration:
            shutil.rmtree(self.home, ignore_errors=True)
            for earlier in range(iteration):
                self._run(earlier)
        return self._run(iteration)

    def forget(self) -> None:
        """Remove what the system keeps."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _reached(self) -> int:
        mark = self.home / "reached"
        return int(mark.read_text()) if mark.exists() else 0

    def _run(self, iteration: int) -> Measurement:
        version, store, folder = self.versions[iteration], self.home / "store", self.home / "flows"
        output = self.home / f"output-{iteration}"
        (self.home / "reached").unlink(missing_ok=True)  # if this breaks off, nobody knows what it left behind
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in version.sources.items():
            file = folder / name
            if not (file.exists() and file.read_text() == text):  # else Python has its code stored, as at a user's
                file.write_text(text)
        request = {
            "family": self.system.family,
            "choice": self.system.choice,
            "flow": self.flow,
            "folder": str(folder),
            "store": str(store),
            "parameters": dict(version.parameters),
        }
        (self.home / "request.json").write_text(json.dumps(request))
        (self.home / ANSWER).unlink(missing_ok=True)
        self.settle()
        command = [self.python, "-m", "benchmarks.race.child", str(self.home / "request.json")]
        started_us, started = time.time_ns() // 1000, time.perf_counter()
        failure = self._failure_of(command, output)
        seconds = time.perf_counter() - started
        found: dict[str, Any] = {"failure": failure} if failure else json.loads((self.home / ANSWER).read_text())
        if self.system.family == "helix" and not failure:
            lineage = _lineage(store, started_us)
            if lineage is None:
                found["failure"] = f"it kept no lineage: {_last_told(output)}"
            else:
                computed = [trace for trace in lineage.traces if trace.decision is Decision.COMPUTE]
                found["computed"] = dict(Counter(trace.task for trace in computed))
                found["task_seconds"] = sum(trace.compute_us or 0 for trace in computed) / 1e6
        measurement = Measurement(
            self.flow,
            self.system.name,
            self.repeat,
            iteration,
            version.change,
            process_seconds=seconds,
            stored_bytes=_bytes_in(store),
            **found,
        )
        (self.home / "reached").write_text(str(iteration + 1))
        return measurement

    def _failure_of(self, command: Sequence[str], file: Path) -> str:
        """Run a command, with its output in a file; return why it failed, in a line, and nothing if it did not."""
        with file.open("w+", errors="replace") as output:
            try:
                subprocess.run(
                    command,
                    cwd=ROOT,
                    env=self.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=LONGEST_SECONDS,
                    check=True,
                )
            except subprocess.TimeoutExpired:
                return f"stopped after {LONGEST_SECONDS} s"
            except (subprocess.CalledProcessError, OSError) as error:
                output.seek(0)
                lines = [line.strip() for line in output if line.strip()] or [str(error)]
                return lines[-1]
        return ""


def environment(extra: Mapping[str, str], threads: int, workers: int) -> dict[str, str]:
    """Return the environment of all runs: that of this process, without settings of Prefect and of other Pythons.

    Args:
        extra: What is set in it.
        threads: How many threads numeric libraries may have. Threads that wait for the next product keep a core busy,
            and steps run side by side.
        workers: How many submitted tasks Prefect runs at once. It starts all of them, if it is not told otherwise, and
            threads that compute take the cores from each other, and from the threads that talk to the server.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "VIRTUAL"))}
    numeric = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    prefect = {"PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS": str(workers)}
    return {**kept, **numeric, **prefect, "PYTHONPATH": str(ROOT), **extra}


def has(python: str, library: str) -> bool:
    """Return whether there is such a Python, and it has a library."""
    if not shutil.which(python):
        return False
    return subprocess.run([python, "-c", f"import {library}"], capture_output=True, check=False).returncode == 0


def this_python() -> str:
    """Return the Python that runs the race."""
    return sys.executable


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _lineage(store: Path, since_us: int) -> Lineage | None:
    """Return the lineage of the run that began since then; None if it kept nothing."""
    lineages = [one for one in Catalog(open_store(str(store))).read().lineages if one.run.started_us >= since_us]
    return max(lineages, key=lambda lineage: lineage.run.started_us, default=None)


def _last_told(output: Path) -> str:
    """Return the last line in which prefect_helix told something."""
    lines = [line for line in output.read_text(errors="replace").splitlines() if "helix: " in line]
    return lines[-1] if lines else "nothing is told"
