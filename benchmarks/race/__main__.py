"""Runs the race: every workload's series of edits under every system, in turns, against one Prefect server.

    python -m benchmarks.race --size small --workloads census     # a few minutes, to try it
    python -m benchmarks.race --data FOLDER                       # the race
    python -m benchmarks.race.report RESULTS

Each iteration is a fresh process. In each round, which is one iteration under all systems, another system comes
first, so that the machine's drifts hit all. The server's queue is drained between two runs. Broken off, the race goes
on where it was with the same command.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from benchmarks.settling import QUIET_SECONDS, settle
from benchmarks.workloads import WORKLOADS

from .measuring import ROOT, Track, Version, environment, has, this_python, versions_of
from .results import Measurement, OtherRaceError, Results
from .systems import ALWAYS, SYSTEMS, System

SMALL_ITERATIONS = 3
SMALL_QUIET_SECONDS = 0.5
LIBRARIES = ("prefect-helix", "prefect", "numpy", "scipy", "pandas", "scikit-learn")
PEERS = ("joblib", "redun", "apache-hamilton")


def main() -> None:
    """Run the race with the options of the command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The race was stopped; the same command goes on with it."))
    options = _options()
    systems = _runnable([SYSTEMS[name] for name in options.systems], options.python)
    results = Results(options.results)
    data = options.data or os.environ.get("HELIX_DATA")
    if data and "://" not in data:
        data = str(Path(data).absolute())
    race = {"size": options.size, "data": "full" if data else "packaged"}
    race |= {"threads": options.threads, "workers": options.workers}
    race |= {} if options.seed is None else {"seed": options.seed}
    try:
        results.begin(race, _session(options.python))
    except OtherRaceError as error:
        raise SystemExit(str(error)) from None
    quiet_seconds = SMALL_QUIET_SECONDS if options.size == "small" else QUIET_SECONDS
    iterations = options.iterations or (SMALL_ITERATIONS if options.size == "small" else None)
    with tempfile.TemporaryDirectory() as home, _server() as address:
        settings = {"PREFECT_API_URL": address, "PREFECT_HOME": home, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
        race = Race(results, options, settings | ({"HELIX_DATA": data} if data else {}), quiet_seconds)
        for name in options.workloads:
            versions = versions_of(WORKLOADS[name], options.size, iterations, options.seed)
            for repeat in range(options.repeats):
                race.run(name, versions, repeat, systems)
    print(f"python -m benchmarks.race.report {options.results}")


class Race:
    """Measures what is not in the results yet."""

    def __init__(
        self, results: Results, options: argparse.Namespace, settings: dict[str, str], quiet_seconds: float
    ) -> None:
        self._results = results
        self._work = options.work or options.results.with_suffix(".work")
        self._python, self._threads, self._workers = options.python, options.threads, options.workers
        self._settings = settings
        self._settle = functools.partial(settle, quiet_seconds)

    def run(self, flow: str, versions: Sequence[Version], repeat: int, systems: Sequence[System]) -> None:
        """Run one repeat of a workload."""
        if any(system.budget_share is not None for system in systems) and flow not in self._results.version_bytes:
            track = self._track(SYSTEMS[ALWAYS], flow, versions, repeat, "whole")
            whole = track.measure(0)
            track.forget()
            if whole.failure:
                print(f"Systems with a budget are left out: the bytes of one version are unknown: {whole.failure}")
                systems = [system for system in systems if system.budget_share is None]
            else:
                self._results.size(flow, whole.stored_bytes)
        tracks = [self._track(system, flow, versions, repeat) for system in systems]
        for iteration in range(len(versions) if tracks else 0):
            first = (iteration + repeat) % len(tracks)
            for track in tracks[first:] + tracks[:first]:
                if (flow, repeat, iteration, track.system.name) not in self._results.measurements:
                    measurement = track.measure(iteration)
                    self._results.add(measurement)
                    print(_told(measurement), flush=True)
        for track in tracks:
            track.forget()

    def _track(
        self, system: System, flow: str, versions: Sequence[Version], repeat: int, name: str | None = None
    ) -> Track:
        home = self._work / flow / str(repeat) / (name or system.name).replace(" ", "-").replace("%", "")
        settings = system.environment(str((home / "store").resolve()), self._results.version_bytes.get(flow))
        python = self._python if system.family == "direct" else this_python()
        return Track(
            system,
            flow,
            repeat,
            versions,
            home.resolve(),
            python,
            environment(self._settings | settings, self._threads, self._workers),
            self._settle,
        )


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """Start a Prefect server on the loopback address with a database of its own, and stop it at the end."""
    with (
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield str(PREFECT_API_URL.value())


def _runnable(systems: Sequence[System], python: str) -> list[System]:
    runnable = []
    for system in systems:
        if system.family == "direct" and not has(python, system.choice):
            print(f"{system.name} is left out: {python} has no {system.choice}. See benchmarks/race/constraints.txt.")
        else:
            runnable.append(system)
    if not runnable:
        raise SystemExit("Nothing is left to race.")
    return runnable


def _told(measurement: Measurement) -> str:
    body = measurement.failure or f"{measurement.body_seconds:.2f} s of {measurement.process_seconds:.2f} s"
    place = f"{measurement.workload} {measurement.repeat} {measurement.iteration:2} {measurement.system:14}"
    return f"{datetime.datetime.now():%H:%M:%S} {place} {body}"


def _session(python: str) -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    processor = ", ".join(sorted(names)) or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {name: metadata.version(name) for name in LIBRARIES}
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    versions["prefect-helix"] += f" ({commit})" if commit else ""
    asked = "from importlib.metadata import distributions; print(*(f'{d.name} {d.version}' for d in distributions()))"
    found = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False).stdout.split()
    peers = dict(zip(found[::2], found[1::2], strict=True))
    versions |= {name: peers[name] for name in PEERS if name in peers}
    return {
        "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        "machine": f"{os.cpu_count()} cores ({processor}), {memory:.0f} GiB memory",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Race every workload under every system.")
    several = functools.partial(str.split, sep=",")
    parser.add_argument("--workloads", type=several, default=[*WORKLOADS], metavar="A,B", help="which (all)")
    parser.add_argument("--systems", type=several, default=[*SYSTEMS], metavar="A,B", help="which (all)")
    parser.add_argument("--size", choices=["small", "benchmark"], default="benchmark", help="of data (%(default)s)")
    parser.add_argument("--iterations", type=int, metavar="N", help="runs of a series (all; small: 3)")
    parser.add_argument("--seed", type=int, metavar="N", help="draw the series from it (the written series)")
    parser.add_argument("--repeats", type=int, metavar="N", help="of each series (3; small: 1)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of numeric libraries (%(default)s)")
    workers_help = "submitted tasks that Prefect runs at once (one for each core: %(default)s)"
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help=workers_help)
    parser.add_argument("--data", metavar="FOLDER", help="where the full data are (else HELIX_DATA, else samples)")
    parser.add_argument("--results", type=Path, help="a line for each measurement (benchmarks/results/race-SIZE.jsonl)")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="what systems keep between runs (beside results)")
    parser.add_argument("--python", default=this_python(), help="that has the other libraries (the one that runs this)")
    options = parser.parse_args()
    for chosen, known in ((options.workloads, WORKLOADS), (options.systems, SYSTEMS)):
        if unknown := [name for name in chosen if name not in known]:
            parser.error(f"Unknown: {', '.join(unknown)}. Choose from {', '.join(known)}.")
    if found := shutil.which(options.python):
        options.python = str(Path(found).absolute())
    options.repeats = options.repeats or (1 if options.size == "small" else 3)
    options.results = options.results or Path(__file__).parents[1] / "results" / f"race-{options.size}.jsonl"
    return options


if __name__ == "__main__":
    main()
