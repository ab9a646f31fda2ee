"""The tasks of a user's project and what the flow does with them; workers import it. What ran is in ``ran.log``."""

from __future__ import annotations

import itertools
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import tags, task
from prefect.futures import as_completed, wait
from prefect.states import Completed
from prefect.utilities.annotations import allow_failure, opaque

import prefect_helix.clones
import prefect_helix.workers
from prefect_helix import helix_task
from prefect_helix.runs import current_run

HERE = Path(__file__).parent
ROWS = 20_000

_ticks = itertools.count(step=100_000_000_000)  # every task body takes long, so that plans do not hang on the machine
prefect_helix.clones.time = prefect_helix.workers.time = types.SimpleNamespace(perf_counter_ns=lambda: next(_ticks))


def ran(name: str) -> None:
    with (HERE / "ran.log").open("a") as log:
        log.write(f"{name}\n")


@helix_task
def table(start: int) -> pd.DataFrame:
    ran("table")
    return pd.DataFrame({"a": np.arange(float(ROWS)) + start})


@helix_task
def scaled(frame: Any, by: float = 2) -> Any:
    ran("scaled")
    return frame * by


@helix_task
def total(*frames: Any) -> float:
    ran("total")
    return float(sum(np.asarray(frame).sum() for frame in frames))


@helix_task
def split(frame: pd.DataFrame) -> Any:
    ran("split")
    return {"head": frame.iloc[: ROWS // 2] + 0, "tail": frame.iloc[ROWS // 2 :] + 0, "rows": len(frame)}


@helix_task
def boom(x: Any) -> Any:
    ran("boom")
    raise ValueError("no")


@helix_task
def text(x: Any) -> str:
    ran("text")
    return str(x)


@helix_task(retries=1)
def flaky(x: int) -> int:
    ran("flaky")
    if (HERE / "ran.log").read_text().split().count("flaky") % 2:
        raise RuntimeError("once more")
    return x


@helix_task
async def doubled(x: Any) -> Any:
    ran("doubled")
    return x * 2


@helix_task(tags=["tagged"], task_run_name="tagged-{x}", timeout_seconds=60)
def tagged(x: int) -> int:
    ran("tagged")
    return x + 1


@helix_task
def stated(x: int) -> Any:
    ran("stated")
    return Completed(data=x, message="as it is")


@helix_task
def nothing(x: int) -> None:
    ran("nothing")


@helix_task
def outer(x: int) -> float:
    ran("outer")
    return tagged(x) + total(np.ones(3))


@helix_task
def zeroed(frame: pd.DataFrame) -> float:
    ran("zeroed")
    frame.loc[:, "a"] = 0.0
    return 0.0


@dataclass
class Pair:
    left: Any
    right: Any


@helix_task
def paired(pair: Any) -> float:
    ran("paired")
    return float(np.asarray(pair.left).sum() + pair.right)


@task
def plain(x: Any) -> Any:
    ran("plain")
    return x


def chain() -> Any:
    return total.submit(scaled.submit(table.submit(1))).result()


def mapped() -> Any:
    parts = scaled.map(table.map([1, 2]), [2, 3])
    return [total.submit(*parts).result(), *total.map(parts).result(), *scaled.map([1, 2], by=5).result()]


def containers() -> Any:
    one, two = table.submit(11), table.submit(12)
    whole = total.submit(*[one, two], one)
    return whole.result(), text.submit({"a": [scaled.submit(1, by=7)]}).result(), paired.submit(Pair(one, 2)).result()


def parts() -> Any:
    whole = split(table.submit(21))
    return total.submit(whole["head"]).result(), scaled.submit(whole["tail"]).result()["a"].sum(), whole["rows"]


def parts_of_a_future() -> Any:
    whole = split.submit(table.submit(22)).result()
    return total.submit(whole["head"], whole["tail"]).result()


def direct_and_submitted() -> Any:
    there = scaled.submit(table(31))
    return total(there), total.submit(scaled(there)).result(), float(there.result()["a"].iloc[0])


def in_any_order() -> Any:
    futures = [tagged.submit(x) for x in range(3)]
    done = sorted(future.result() for future in as_completed(futures))
    later = [tagged.submit(x) for x in range(10, 12)]
    return done, len(wait(later).done), [future.state.is_completed() for future in later]


def states() -> Any:
    state, given = text.submit(41, return_state=True), stated.submit(42)
    return state.result(), state.is_completed(), given.result(), total.submit(given).result()


def waits() -> Any:
    first = table.submit(51)
    second = tagged.submit(51, wait_for=[first])
    third = plain.submit(1)
    return tagged.submit(52, wait_for=[second, third]).result(), second.result(), third.result()


def failures() -> Any:
    failed = boom.submit(61)
    wait([failed])
    below = text.submit(failed)
    wait([below])
    try:
        failed.result()
    except ValueError as error:
        caught = str(error)
    return caught, failed.state.name, below.state.is_completed(), plain.submit(7, wait_for=[tagged.submit(62)]).result()


def allowed_failures() -> Any:
    return text.submit(allow_failure(boom.submit(63))).result(), text.submit(allow_failure(tagged.submit(64))).result()


def attempts() -> Any:
    return flaky.submit(71).result()


def asynchronous() -> Any:
    return doubled.submit(doubled.submit(81)).result()


def labels() -> Any:
    with tags("more"):
        return tagged.submit(91).result()


def beside_plain_tasks() -> Any:
    frame = table.submit(101)
    through = plain.submit(frame)
    return (
        total.submit(through).result(),
        plain.submit(scaled.submit(through)).result()["a"].sum(),
        plain(frame)["a"][0],
    )


def in_what_a_worker_does_not_open() -> Any:
    through = plain.submit(table.submit(141))
    return paired.submit(Pair(through, 2)).result(), total.submit(opaque(through)).result()


def none() -> Any:
    nobody = nothing.submit(111)
    return nobody.result(), text.submit(nobody).result()


def nested() -> Any:
    return outer.submit(121).result()


def changed_in_place() -> Any:
    frame = table.submit(131)
    zeroed.submit(frame).result()
    return None


WAYS = {
    way.__name__: way
    for way in (
        chain,
        mapped,
        containers,
        parts,
        parts_of_a_future,
        direct_and_submitted,
        in_any_order,
        states,
        waits,
        failures,
        allowed_failures,
        attempts,
        asynchronous,
        labels,
        beside_plain_tasks,
        in_what_a_worker_does_not_open,
        none,
        nested,
        changed_in_place,
    )
}


def every_way() -> dict[str, tuple[str, list[str]]]:
    """What each way gives, and the bodies that ran for it."""
    found = {}
    for name, way in WAYS.items():
        (HERE / "ran.log").write_text("")
        try:
            result = repr(way())
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        found[name] = result, sorted((HERE / "ran.log").read_text().split())
        if run := current_run():  # so that what the next way can reuse does not hang on how fast things are written
            run.session.keeper.flush()
    return found
