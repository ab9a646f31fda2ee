"""Whether a task changed a large input in place is looked at once for all that take it, and before it matters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest

from prefect_helix.runtime.objects import Objects

pytestmark = pytest.mark.timeout(60)

QUICK_US = 10


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks whose results were digested once more because another task had taken them."""
    found: list[str] = []
    diverged = Objects.diverged

    def noted(self: Objects, cell: Any, *, look: bool = False) -> bool:
        if look and cell.present:
            found.append(cell.node.spec.name)
        return diverged(self, cell, look=look)

    monkeypatch.setattr(Objects, "diverged", noted)
    return found


@pytest.fixture
def together(lab) -> Callable[[], AbstractContextManager[None]]:
    """Calls that are submitted within it are all entered before the first of them computes."""
    gate = threading.Event()
    gate.set()

    def load() -> np.ndarray:
        gate.wait()
        return np.ones(300_000)

    lab.task(load, cost_us=QUICK_US)

    @contextmanager
    def together() -> Iterator[None]:
        if lab.current is not None:
            gate.clear()
        yield
        gate.set()

    return together


@pytest.fixture
def load(lab, together):
    return lab.tasks["load"]


@pytest.fixture
def takers(lab):
    return [lab.task(lambda x, i=i: float(x.sum()) + i, name=f"take{i}", cost_us=QUICK_US) for i in range(4)]


@pytest.fixture
def wipe(lab):
    def body(x: np.ndarray) -> int:
        x[:] = 0.0
        return 0

    return lab.task(body, name="wipe", cost_us=QUICK_US)


def test_one_look_tells_of_all_that_took_an_object_one_after_the_other(lab, load, takers, together, looks):
    def flow():
        with together():
            x = load.submit()
            return [taker.submit(x) for taker in takers]

    run = lab.run(flow, workers=1)
    assert (run.value, looks) == ([300_000.0, 300_001.0, 300_002.0, 300_003.0], ["load"])
    assert lab.run(flow).bodies == []


def test_a_small_object_and_what_computed_for_long_are_looked_at_after_each(lab, load, takers, looks):
    load.edit(lambda: np.ones(3))
    takers[0].cost_us = QUICK_US

    def flow():
        x = load.submit()
        return [taker.submit(x) for taker in takers]

    lab.run(flow, workers=1)
    assert looks == ["load"] * 4
    looks.clear()
    load.edit(lambda: np.ones(300_000))
    for taker in takers:
        taker.cost_us = 10_000_000
    lab.run(flow, workers=1)
    assert looks == ["load"] * 4


def test_a_change_is_told_of_all_in_doubt_and_the_next_run_finds_who_made_it(lab, load, takers, wipe, together):
    def flow():
        with together():
            x = load.submit()
            before = takers[0].submit(x)
            wiped = wipe.submit(x)
            return before, wiped, takers[1].submit(x, wait_for=[wiped])

    scratch = lab.scratch(flow)
    first = lab.run(flow, workers=1)
    assert first.value == scratch
    told = {trace.task: trace.changed_inputs for trace in first.lineage.traces}
    assert told == {"load": (), "take0": ("x",), "wipe": ("x",), "take1": ("x",)}
    assert "or a step did that was computed at about the same time" in first.warnings["mutation:lab:take0:x"]
    for _ in range(2):
        run = lab.run(flow, workers=1)
        assert run.value == scratch
        told = {trace.task: trace.changed_inputs for trace in run.lineage.traces}
        assert told == {"load": (), "take0": (), "wipe": ("x",), "take1": ("x",)}
    assert run.bodies == ["load", "wipe", "take1"]


def test_what_is_called_after_a_change_is_decided_by_what_the_object_is_by_then(lab, load, takers, wipe):
    def flow(wiping: bool):
        x = load.submit()
        waiting = [taker.submit(x) for taker in takers[:2]]
        if wiping:
            wipe.submit(x).result()
        return [takers[2].submit(x).result(), *waiting]

    lab.run(flow, wiping=False)
    for _ in range(2):
        run = lab.run(flow, workers=1, wiping=True)
        assert run.value == lab.scratch(flow, wiping=True)
        assert run.value[0] == 2.0


def test_what_the_flow_changes_is_not_told_of_tasks(lab, load, takers, together):
    def flow():
        with together():
            x = load.submit()
            waiting = [taker.submit(x) for taker in takers]
        values = [each.result() for each in waiting]
        x.result()[:] = 0.0
        return values

    run = lab.run(flow, workers=1)
    assert run.value == lab.scratch(flow)
    assert [trace.changed_inputs for trace in run.lineage.traces] == [()] * 5


def test_nothing_of_a_call_in_doubt_is_kept_if_the_run_is_killed(lab, load, takers, together):
    def flow():
        with together():
            x = load.submit()
            first, second, *_ = [taker.submit(x) for taker in takers]
        return first.result(), second.result()

    takers[2].edit(lambda x: gone.wait())
    gone = threading.Event()
    with lab.open("flow", {}, workers=1) as run:
        flow()
        lab.kill(run)
    takers[2].edit(lambda x: 0)
    assert sorted(lab.run(flow).bodies) == ["load", "take0", "take1", "take2", "take3"]
    gone.set()
