"""Two processes that run one flow in one store, after an edit of its step: the program behind `test_waiting.py`.

    python tests/runtime/two_runs.py finishes|is-killed SECONDS    what becomes of the first run while the second waits

The first one computes until the second either waits or computes as well. Printed is who computed, in this order, and
what the second run got.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Lab

from prefect_helix.runtime import waiting

sys.dont_write_bytecode = True


class Signal:
    """Lets one process wait until another one has come to a point."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()

    def give(self) -> None:
        os.write(self._writes, b".")

    def wait(self) -> None:
        os.read(self._reads, 1)


def in_child(work: Callable[[], None]) -> int:
    """Do something in a child process; return its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def play(fate: str, seconds: float, folder: Path) -> dict[str, Any]:
    lab = Lab(str(folder / "store"))
    computing, go_on = Signal(), Signal()
    log, outcome = folder / "log", folder / "outcome"

    def flow() -> int:
        return len(lab.tasks["fit"]())

    def compute(who: str) -> list[int]:
        with log.open("a") as lines:
            lines.write(f"{who}\n")
        if who == "first":
            computing.give()
            go_on.wait()
        else:
            go_on.give()
        return [7] * 50_000

    def run(who: str) -> None:
        lab.tasks["fit"].edit(lambda: compute(who))
        lab.wait_seconds = seconds
        lab._runs = {"first": 10, "second": 20}[who]
        done = lab.run(flow)
        outcome.write_text(json.dumps({"value": done.value, "bodies": done.bodies, "warnings": done.warnings}))

    def run_second() -> None:
        def pause() -> None:
            if fate == "finishes":
                go_on.give()
            else:
                os.kill(first, signal.SIGKILL)
                lease = folder / "store" / "leases" / "run11.json"
                os.utime(lease, (lease.stat().st_mtime - 3600,) * 2)
            waiting.pause = lambda: time.sleep(waiting.POLL_SECONDS)

        waiting.pause = pause
        run("second")

    lab.task(lambda: [0] * 50_000, name="fit")
    lab.run(flow)  # so that the step is known to take long
    first = in_child(lambda: run("first"))
    computing.wait()
    second = in_child(run_second)
    os.waitpid(second, 0)
    told = json.loads(outcome.read_text())
    os.waitpid(first, 0)
    left = [entry.path for entry in lab.store.list("leases")]
    return {"computed": log.read_text().split(), **told, "leases": left}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(play(sys.argv[1], float(sys.argv[2]), Path(name))))
