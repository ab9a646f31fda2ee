"""Values that a flow was given before they were there, and that have to be computed after all."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

import prefect_helix.runs
from prefect_helix import NondeterministicTaskError, find_run, helix_flow, helix_task, log_metric
from prefect_helix.helix_run import HelixRun

RAN = logging.getLogger("ran")
ROWS = 20_000  # large enough not to be handed out by value


@helix_task
def fetch(rows: int, down: str) -> pd.DataFrame:
    RAN.info("fetch")
    if Path(down).exists():
        raise ConnectionError("the service is down")
    return pd.DataFrame({"a": np.arange(rows)})


@helix_task
def scaled(frame: pd.DataFrame, by: int) -> int:
    RAN.info("scaled")
    return int(frame["a"].sum()) * by


def direct(by: int, down: str) -> Any:
    return scaled(fetch(ROWS, down), by)


def through_a_future(by: int, down: str) -> Any:
    return scaled(fetch.submit(ROWS, down).result(), by)


def two_deep(by: int, down: str) -> Any:
    return scaled(widened(fetch(ROWS, down)), by)


@helix_task
def widened(frame: pd.DataFrame) -> pd.DataFrame:
    RAN.info("widened")
    return frame.assign(b=1)


@pytest.mark.parametrize("body", [direct, through_a_future, two_deep])
def test_what_fails_when_it_is_computed_late_fails_the_flow_as_its_own_error(
    body: Any, store: str, tmp_path: Path
) -> None:
    made, down = helix_flow(store=store, policy="never")(body), tmp_path / "down"
    made(1, str(down))
    down.touch()
    with pytest.raises(ConnectionError, match="down"):
        made(2, str(down))


def test_a_submitted_call_tells_of_what_fails_late_by_its_future(store: str, tmp_path: Path) -> None:
    submitted = []

    @helix_flow(store=store, policy="never")
    def asking(by: int, down: str) -> Any:
        future = scaled.submit(fetch(ROWS, down), by)
        submitted.append(by)
        return future.result()

    down = tmp_path / "down"
    asking(1, str(down))
    down.touch()
    with pytest.raises(Exception, match="PENDING"):  # as Prefect has it where an input failed
        asking(2, str(down))
    assert submitted == [1, 2]


def test_an_input_that_was_handed_over_failed_is_as_in_prefect(store: str, tmp_path: Path) -> None:
    def handing_over(down: str) -> Any:
        return scaled(fetch.submit(ROWS, down), 1)

    down = tmp_path / "down"
    down.touch()
    results = [helix_flow(store=store, mode=mode)(handing_over)(str(down)) for mode in ("off", "auto")]
    assert results[0] is None and results[1] is None


def test_what_a_plain_task_is_known_to_read_is_computed_before_it(store: str, ran: Any, tmp_path: Path) -> None:
    @task(cache_policy=NO_CACHE)
    def save(frame: pd.DataFrame) -> int:
        RAN.info("save")
        return len(frame)

    @helix_flow(store=store, policy="never")
    def saving(down: str) -> int:
        return save(fetch(ROWS, down))

    for _ in range(3):
        assert saving(str(tmp_path / "down")) == ROWS
        assert ran.take() == ["fetch", "save"]


@helix_task
async def cleaned(frame: pd.DataFrame, key: int) -> int:
    return len(frame) + key


@helix_task
async def array_of(frame: pd.DataFrame, key: int) -> np.ndarray:
    RAN.info(f"array in {threading.current_thread().name}")
    return np.arange(ROWS) + len(frame) + key


def test_an_event_loop_may_touch_what_another_of_its_tasks_has_begun_to_compute(store: str, tmp_path: Path) -> None:
    @helix_flow(store=store, policy="never")
    async def touching(key: int, down: str) -> list[int]:
        frame = fetch(ROWS, down)

        async def other() -> int:
            return len(frame)

        return await asyncio.gather(cleaned(frame, key), other())

    down = str(tmp_path / "down")
    assert asyncio.run(touching(1, down)) == [ROWS + 1, ROWS]
    assert asyncio.run(touching(2, down)) == [ROWS + 2, ROWS]


def test_many_that_wait_in_an_event_loop_leave_threads_to_what_they_wait_for(
    store: str, ran: Any, tmp_path: Path
) -> None:
    @helix_flow(store=store, policy="never")
    async def many(key: int, down: str) -> Any:
        frame = fetch(ROWS, down)
        first, *rest = await asyncio.gather(cleaned(frame, key), *(array_of(frame, i) for i in range(40)))
        return first, int(sum(int(array[0]) for array in rest))

    down, rest = str(tmp_path / "down"), 40 * ROWS + sum(range(40))
    for key in (1, 2):
        assert asyncio.run(many(key, down)) == (ROWS + key, rest)
        assert {name for name in ran.take() if name.startswith("array")} == {
            "array in MainThread"
        }  # of the flow's loop


def test_a_mixture_that_is_found_after_the_body_fails_the_run(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    close = HelixRun.close

    def closing(run: HelixRun, status: Any) -> None:
        ended.set()
        close(run, status)

    monkeypatch.setattr(HelixRun, "close", closing)

    @helix_task
    def split() -> np.ndarray:
        assert ended.wait(60)
        return np.random.default_rng().random(ROWS)

    @helix_task
    def fit(part: np.ndarray) -> float:
        return float(part[0])

    @helix_task
    def evaluate(part: np.ndarray, key: int) -> float:
        return float(part[1]) + key

    @helix_flow(store=store, policy="never")
    def mixing(key: int) -> float:
        part = split.submit()
        model = fit.submit(part).result()
        if key:
            evaluate.submit(part, key)
        return model

    ended.set()
    mixing(0)
    ended.clear()
    with pytest.raises(NondeterministicTaskError, match="split"):
        mixing(1)
    assert find_run("last", store).status == "failed"


def test_a_mixture_that_is_found_as_a_call_is_started_in_another_thread_fails_the_run(store: str) -> None:
    gate, more = threading.Event(), [True]

    def counting(number: int) -> Any:
        @helix_task
        def count() -> int:
            assert gate.wait(60)
            return number

        return count

    @helix_task(materialize="never")
    def split() -> pd.DataFrame:
        return pd.DataFrame({"a": np.random.default_rng().random(ROWS)})

    @helix_task
    def fit(part: pd.DataFrame) -> float:
        return float(part["a"].iloc[0])

    @helix_task
    def evaluate(part: pd.DataFrame, number: int) -> float:
        return float(part["a"].iloc[1]) + number

    counts = [counting(1)]

    @helix_flow(store=store)
    def mixing() -> float:
        part = split()
        model = fit(part)
        if more[0]:
            evaluate.submit(part, counts[0].submit())
            gate.set()
        return model

    model = mixing()
    more[0] = False
    assert mixing() == model
    more[0], counts[0] = True, counting(2)
    gate.clear()
    with pytest.raises(NondeterministicTaskError, match="split"):
        mixing()
    assert find_run("last", store).status == "failed"


def test_the_state_of_an_async_call_is_awaited_for_its_result(store: str) -> None:
    @helix_task
    async def one(x: int) -> int:
        return x + 1

    async def asking() -> tuple[int, int]:
        state = await one(1, return_state=True)
        return await state.result(), await state.aresult()

    for mode in ("off", "auto", "auto"):
        assert asyncio.run(helix_flow(store=store, mode=mode)(asking)()) == (2, 2)


def test_a_plain_subflow_keeps_what_it_logs_and_leaves_its_caller_its_own(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", store)

    @helix_task
    def step(x: int) -> int:
        return x

    @flow
    def inner() -> int:
        found = step(1)
        log_metric("inner", 1)
        return found

    @helix_flow
    def outer() -> int:
        log_metric("before", 1)
        found = inner()
        log_metric("after", 2)
        return found

    outer()
    runs = {one.flow: one.metrics for one in (find_run("last"), find_run("last~1"))}
    assert runs == {"outer": {"before": 1.0, "after": 2.0}, "inner": {"inner": 1.0}}


def test_a_run_that_is_cancelled_while_it_opens_is_closed(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    opened = prefect_helix.runs._opened

    def slowly(*args: Any) -> Any:
        begun.set()
        go_on.wait(60)
        return opened(*args)

    @helix_flow(store=store)
    async def waiting() -> None:
        return None

    async def cancelling() -> None:
        running = asyncio.ensure_future(waiting())
        await asyncio.to_thread(begun.wait, 60)
        running.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(BaseException):  # noqa: B017 - what Prefect makes of it
            await running

    monkeypatch.setattr(prefect_helix.runs, "_opened", slowly)
    before = {*threading.enumerate()}
    asyncio.run(cancelling())
    assert prefect_helix.runs._runs == {}
    assert [one.name for one in {*threading.enumerate()} - before if one.name == "helix-keeper"] == []
