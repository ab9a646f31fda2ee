"""Hundreds of runs in one store: whether time, memory, threads, descriptors, bytes and files stay as they are.

    python benchmarks/soak.py [RUNS] [helix|prefect]

A flow of ten steps over arrays of 0.26 MB, within a budget of half of what a run makes. Before each run one
of its steps is edited, by writing its module anew and importing it afresh; now and then an edit is taken back, the
flow's parameter is another, or nothing has changed. Every 25th run is made by a process of its own. Each value is
checked against the same code without Prefect. A run an hour is made: after each, all files of the store are made an
hour older, so that what goes after a day goes here, too.

With ``prefect`` the same edits run with Prefect's own decorators: what grows there is not ours.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

STEPS = 9
VALUES = 32_768
BUDGET_BYTES = STEPS * VALUES * 8 // 2
AGED_S = 3_600
EVERY = 50
APART_EVERY = 25
MODULE = "soaked"

_HELIX = "from prefect_helix import helix_flow, helix_task\n"
_PREFECT = "from prefect import flow, task\n"


class Measured(NamedTuple):
    """What one run took, and what there is after it."""

    seconds: float
    memory_mb: float
    threads: int
    descriptors: int
    result_mb: float
    other_mb: float
    files: int


def source(kind: str, constants: Sequence[int], store: Path) -> str:
    """Return the module: a chain of steps with a branch from every third one, and the mean of all ends."""
    a_task, a_flow = ("@helix_task", f"@helix_flow(store={str(store)!r}, budget={BUDGET_BYTES})")
    if kind == "prefect":
        a_task, a_flow = "@task", "@flow"
    lines = [_PREFECT if kind == "prefect" else _HELIX, "import numpy as np", ""]
    body = [f"    s0 = step0(np.arange({VALUES}) + float(seed))"]
    for number, constant in enumerate(constants):
        lines += [a_task, f"def step{number}(x):", f"    return np.sin(x + {constant}) * 2", ""]
        if number:
            source_of = number - 2 if number % 3 == 2 else number - 1
            body.append(f"    s{number} = step{number}(s{source_of})")
    ends = ", ".join(f"s{number}" for number in range(STEPS) if number % 3 != 0 or number == STEPS - 1)
    lines += [a_task, "def total(*ends):", "    return float(sum(float(end.mean()) for end in ends))", ""]
    lines += [a_flow, "def soak(seed):", *body, f"    return total({ends})", ""]
    return "\n".join(lines)


def expected(text: str, seed: int) -> float:
    """Return what the flow has to return: the module's code without its decorators."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith(("@", "from prefect")))
    names: dict[str, Callable[[int], float]] = {}
    exec(compile(plain, "plain", "exec"), names)
    return names["soak"](seed)


def run(folder: Path, seed: int) -> float:
    """Import the module afresh, as a new process would, and run its flow."""
    sys.modules.pop(MODULE, None)
    importlib.invalidate_caches()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    value: float = importlib.import_module(MODULE).soak(seed)
    return value


def run_apart(folder: Path, seed: int) -> float:
    """Do so in a process of its own."""
    command = [sys.executable, __file__, "one", str(folder), str(seed)]
    environment = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value() or ""}
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return float(told.stdout.split()[-1])


def measure(seconds: float, store: Path) -> Measured:
    """Return how things are after a run."""
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    files = [path for path in store.rglob("*") if path.is_file()]
    results = sum(path.stat().st_size for path in files if path.parts[len(store.parts)] == "blobs")
    other = sum(path.stat().st_size for path in files) - results
    return Measured(
        seconds,
        int(fields["VmRSS"].split()[0]) * 1024 / 1e6,
        threading.active_count(),
        len(list(Path("/proc/self/fd").iterdir())),
        results / 1e6,
        other / 1e6,
        len(files),
    )


def one_run(folder: Path, text: str, seed: int, *, apart: bool) -> Measured:
    """Write the module, run its flow, and check what it returned and left."""
    store = folder / "store"
    (folder / f"{MODULE}.py").write_text(text)
    started = time.perf_counter()
    value = (run_apart if apart else run)(folder, seed)
    found = measure(time.perf_counter() - started, store)
    if value != expected(text, seed):
        raise SystemExit(f"A run returned {value}, not {expected(text, seed)}.")
    if found.result_mb * 1e6 > BUDGET_BYTES:
        raise SystemExit(f"A run left {found.result_mb} MB of results.")
    return found


def age(store: Path) -> None:
    """Make every file of the store an hour older."""
    for path in store.rglob("*"):
        if path.is_file():
            status = path.stat()
            os.utime(path, (status.st_atime - AGED_S, status.st_mtime - AGED_S))


def slope(values: Sequence[float]) -> float:
    """Return by how much values grow in a hundred runs, by least squares."""
    return 100 * statistics.linear_regression(range(len(values)), values).slope if len(values) > 1 else 0.0


def show(done: int, some: Sequence[Measured]) -> None:
    """Print a line of the table: medians, and of the rest the last."""
    last = some[-1]
    median_s = statistics.median(one.seconds for one in some)
    print(
        f"{done:6} {median_s:8.3f} {last.memory_mb:8.1f} {last.threads:8} {last.descriptors:8} {last.result_mb:8.2f} "
        f"{max(one.result_mb for one in some):8.2f} {last.other_mb:8.2f} {last.files:8}",
        flush=True,
    )


def main() -> None:
    """Make all runs and print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    kind = sys.argv[2] if len(sys.argv) > 2 else "helix"
    logging.disable(logging.INFO)
    sys.dont_write_bytecode = True  # two versions of a module in one second look alike to Python
    chance = random.Random(1)
    constants = [0] * STEPS
    seed, measured = 0, list[Measured]()
    with tempfile.TemporaryDirectory() as place, prefect_test_harness(server_startup_timeout=120):
        folder, store = Path(place), Path(place) / "store"
        store.mkdir()
        print(f"{kind}: {runs} runs of {STEPS + 1} steps, budget {BUDGET_BYTES / 1e6:.2f} MB")
        print("  runs  seconds   RSS MB  threads descript. results MB (most)  other MB   files", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # whoever has seen enough
            for number in range(1, runs + 1):
                match chance.choice(("edit", "edit", "edit", "take back", "seed", "nothing")):
                    case "edit":
                        constants[chance.randrange(STEPS)] = number
                    case "take back":
                        constants[chance.randrange(STEPS)] = 0
                    case "seed":
                        seed = chance.randrange(3)
                found = one_run(folder, source(kind, constants, store), seed, apart=number % APART_EVERY == 0)
                age(store)
                if number % APART_EVERY:
                    measured.append(found)
                if number % EVERY == 0 or number == runs:
                    show(number, measured[-(EVERY - EVERY // APART_EVERY) :])
        settled = measured[len(measured) // 5 :]
        print(f"growth in a hundred runs, after the first fifth of {number}:")
        for name in Measured._fields:
            print(f"  {name:12} {slope([getattr(one, name) for one in settled]):+.4f}")
        print("files:", dict(Counter(path.parts[len(store.parts)] for path in store.rglob("*") if path.is_file())))


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        sys.dont_write_bytecode = True
        logging.disable(logging.WARNING)
        print(run(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
