"""Flows for the tests of what a terminal shows; a step waits as long as there is a gate of its name that is closed.

python shown_flows.py FOLDER FLOW [ARGUMENT...]
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

from prefect import flow

from prefect_helix import helix_flow, helix_task

GATES = Path(sys.argv[1])
STORE = GATES / "store"


def wait_at(name: str) -> None:
    """Wait until somebody opens the gate: opening a pipe waits for who opens its other end."""
    gate = GATES / name
    if gate.exists():
        gate.read_bytes()


@helix_task
def scan(edit: int) -> list[int]:
    """Return rows."""
    wait_at("scan")
    return [edit]


@helix_task
def fit(rows: list[int]) -> list[int]:
    """Return a model, and talk."""
    print("fit says that it has begun")
    wait_at("fit")
    sys.stderr.write("an unfinished line")
    wait_at("unfinished")
    sys.stderr.write(" that is finished\n")
    wait_at("finished")
    return [rows[0] + 1]


@helix_task
def fail(model: list[int]) -> int:
    """Fail."""
    wait_at("fail")
    raise ValueError(f"no model {model[0]}")


@helix_task
def evaluate(model: list[int]) -> int:
    """Return how good a model is."""
    wait_at("evaluate")
    return model[0] * 2


@helix_flow(store=STORE)
def census(edit: int) -> int:
    """Fit and evaluate."""
    return evaluate(fit(scan(edit)))


@helix_flow(store=STORE)
def failing(edit: int) -> int:
    """Fit and fail."""
    return fail(scan(edit))


@helix_flow(store=STORE)
def outer(edit: int) -> int:
    """Scan, and have a subflow do the rest."""
    return census(scan(edit + 1)[0])


@helix_flow(store=STORE)
async def awaited(edit: int) -> int:
    """Fit and evaluate in an event loop."""
    return await asyncio.to_thread(wait_at, "loop") or evaluate(fit(scan(edit)))


@helix_flow(store=STORE)
def asking(edit: int) -> int:
    """Ask whoever sits at the terminal."""
    rows = scan(edit)
    wait_at("asking")
    answer = input("How many? ")
    wait_at("answered")
    return rows[0] + int(answer)


@helix_task
def forking(edit: int) -> int:
    """Have children talk."""
    wait_at("forking")
    for _ in range(3):
        child = os.fork()
        if not child:
            print("a child talks")
            os._exit(0)
        os.waitpid(child, 0)
    wait_at("forked")
    return edit


@helix_flow(store=STORE)
def debugged(edit: int) -> int:
    """Fork, and stop in the debugger."""
    forking(edit)
    breakpoint()
    return edit


@helix_flow(store=STORE)
def other(edit: int) -> int:
    """Do less than the census."""
    return evaluate([edit])


@flow
def plain(edit: int) -> int:
    """Call helix tasks in a flow that is none of helix."""
    return evaluate(fit(scan(edit)))


def both(edit: int) -> None:
    """Run two flows at once."""
    threads = [threading.Thread(target=one, args=(edit,)) for one in (census, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    run = globals()[sys.argv[2]]
    argument = int(sys.argv[3])
    asyncio.run(run(argument)) if run is awaited else run(argument)
