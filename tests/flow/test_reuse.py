"""What computes, what is loaded and what is pruned, through real Prefect."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect import flow, task, unmapped
from prefect.flows import Flow
from prefect.settings import PREFECT_TASKS_DISABLE_CACHING, PREFECT_TASKS_REFRESH_CACHE, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import NotSet
from pydantic import PositiveInt

from prefect_helix import helix_flow, helix_plan, helix_task
from prefect_helix.runtime.specs import Specs
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

RAN = logging.getLogger("ran")
ROWS = 20_000  # large enough not to be handed out by value


@helix_task
def scan(rows: int) -> pd.DataFrame:
    RAN.info("scan")
    return pd.DataFrame({"a": np.arange(rows), "b": [f"word{i % 7}" for i in range(rows)]})


@helix_task
def features(frame: pd.DataFrame, factor: int) -> pd.DataFrame:
    RAN.info("features")
    return frame.assign(c=frame["a"] * factor)


@helix_task
def fit(frame: pd.DataFrame, reg: float) -> dict[str, float]:
    RAN.info("fit")
    return {"slope": float(frame["c"].mean() * reg)}


@helix_task
def evaluate(model: dict[str, float], frame: pd.DataFrame) -> dict[str, float]:
    RAN.info("evaluate")
    return {"score": model["slope"] / float(frame["a"].max())}


def body(factor: int = 2, reg: float = 0.5) -> dict[str, float]:
    frame = scan(ROWS)
    extended = features(frame, factor)
    return evaluate(fit(extended, reg), frame)


def body_submitted(factor: int = 2, reg: float = 0.5) -> dict[str, float]:
    frame = scan.submit(ROWS)
    extended = features.submit(frame, factor)
    result: dict[str, float] = evaluate.submit(fit.submit(extended, reg), frame).result()
    return result


def pipeline(function: Any, store: str, **options: Any) -> Flow[..., Any]:
    return helix_flow(store=store, **options)(function)


both_ways = pytest.mark.parametrize("function", [body, body_submitted], ids=["direct", "submit"])


@both_ways
def test_first_run_computes_everything_once(function: Any, store: str, ran: Any) -> None:
    pipeline(function, store)()

    assert sorted(ran.take()) == ["evaluate", "features", "fit", "scan"]


@both_ways
def test_unchanged_run_computes_nothing_and_loads_nothing(
    function: Any, store: str, ran: Any, loads: list[str]
) -> None:
    first = pipeline(function, store)()
    ran.take()

    assert pipeline(function, store)() == first
    assert ran.take() == []
    assert loads == []


@both_ways
def test_changed_parameter_computes_what_depends_on_it(function: Any, store: str, ran: Any, loads: list[str]) -> None:
    pipeline(function, store)()
    ran.take()

    changed = pipeline(function, store)(reg=0.7)

    assert ran.take() == ["fit", "evaluate"]
    assert len(loads) == 2, "the frames that fit and evaluate read"
    assert changed == pipeline(function, store, mode="off")(reg=0.7)


@both_ways
def test_going_back_to_an_earlier_version_computes_nothing(function: Any, store: str, ran: Any) -> None:
    first = pipeline(function, store)()
    pipeline(function, store)(factor=3)
    ran.take()

    assert pipeline(function, store)() == first
    assert ran.take() == []


@pytest.mark.parametrize("policy", ["auto", "helix", "always", "never"])
def test_results_equal_those_of_mode_off_under_every_policy(policy: str, store: str, ran: Any) -> None:
    for arguments in ({}, {"reg": 0.7}, {"factor": 5}, {}, {"factor": 5, "reg": 0.1}):
        reused = pipeline(body, store, policy=policy)(**arguments)
        assert reused == pipeline(body, store, mode="off")(**arguments)


def test_policy_never_still_reuses_what_sits_in_the_lineage(store: str, ran: Any, loads: list[str]) -> None:
    pipeline(body, store, policy="never")()
    ran.take()

    pipeline(body, store, policy="never")()

    assert (ran.take(), loads) == ([], [])


def test_mode_off_is_plain_prefect(store: str, ran: Any) -> None:
    off = pipeline(body, store, mode="off")
    off()
    off()

    assert ran.take() == ["scan", "features", "fit", "evaluate"] * 2


def test_mode_recompute_computes_all_and_refreshes(store: str, ran: Any) -> None:
    pipeline(body, store)()
    ran.take()

    pipeline(body, store, mode="recompute")()
    assert sorted(ran.take()) == ["evaluate", "features", "fit", "scan"]
    pipeline(body, store)()
    assert ran.take() == []


@pytest.mark.parametrize("setting", [PREFECT_TASKS_REFRESH_CACHE, PREFECT_TASKS_DISABLE_CACHING], ids=str)
def test_prefects_settings_of_what_is_cached_hold_for_ours(setting: Any, store: str, ran: Any) -> None:
    made = pipeline(body, store)
    first = made()
    ran.take()
    with temporary_settings({setting: True}):
        assert (made(), ran.take()) == (first, ["scan", "features", "fit", "evaluate"])
    assert (made(), ran.take()) == (first, [])


def test_a_generator_flow_has_the_options_that_it_was_given(store: str, ran: Any) -> None:
    def counted() -> Iterator[int]:
        yield len(scan(ROWS))

    kept, plain = helix_flow(store=store)(counted), helix_flow(store=store, mode="off")(counted)

    assert (list(kept()), list(kept()), ran.take()) == ([ROWS], [ROWS], ["scan"])
    assert [lineage.run.flow for lineage in Catalog(open_store(store)).read().lineages] == ["counted", "counted"]
    assert (list(plain()), ran.take()) == ([ROWS], ["scan"])


def test_hook_on_a_plain_flow_does_the_same(store: str, ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", store)
    plain = flow(on_running=[helix_plan])(body)
    first = plain()
    ran.take()

    assert plain() == first
    assert ran.take() == []


def test_a_decorator_that_is_used_twice_keeps_its_hooks() -> None:
    def started(*_: object) -> None:
        RAN.info("started")

    decorate = helix_flow(on_running=[started])
    for function in (body, body_submitted):
        assert started in decorate(function).on_running_hooks


def test_helix_tasks_in_a_flow_without_the_hook_are_reused(
    store: str, ran: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", store)
    first = flow(body)()
    ran.take()

    assert flow(body)() == first
    assert ran.take() == []


def test_helix_task_outside_a_flow_is_a_plain_task(ran: Any) -> None:
    assert len(scan(10)) == 10
    assert len(scan(10)) == 10
    assert ran.take() == ["scan", "scan"]


def test_plain_task_runs_every_time_and_gets_the_value(store: str, ran: Any) -> None:
    @task
    def publish(frame: pd.DataFrame) -> int:
        RAN.info("publish")
        return len(frame.drop_duplicates())

    @helix_flow(store=store)
    def publishing(by_future: bool) -> int:
        frame = scan.submit(ROWS) if by_future else scan(ROWS)
        direct = publish(frame)
        assert publish.submit(frame).result() == direct
        return direct

    for by_future in (False, True, False):
        assert publishing(by_future) == ROWS
    assert ran.take() == ["scan", *["publish"] * 6]


def test_lazy_task_that_reaches_no_output_is_never_computed(store: str, ran: Any) -> None:
    @helix_task(lazy=True)
    def extract(frame: pd.DataFrame, column: str) -> pd.Series:
        RAN.info(f"extract-{column}")
        return frame[column] * 2

    @helix_task
    def assemble(parts: list[pd.Series]) -> float:
        RAN.info("assemble")
        return float(sum(part.sum() for part in parts))

    @helix_flow(store=store)
    def slicing(chosen: list[str]) -> float:
        frame = scan(ROWS)
        extracted = {column: extract(frame, column) for column in ("a", "b")}
        return assemble([extracted[column] for column in chosen])

    slicing(["a"])
    assert ran.take() == ["scan", "extract-a", "assemble"]


def test_failed_task_raises_and_what_finished_is_reused(store: str, ran: Any) -> None:
    @helix_task
    def fragile(frame: pd.DataFrame, ok: bool) -> int:
        RAN.info("fragile")
        if not ok:
            raise ValueError("not this time")
        return len(frame)

    @helix_flow(store=store)
    def failing(ok: bool) -> int:
        return fragile(scan(ROWS), ok)

    with pytest.raises(ValueError, match="not this time"):
        failing(False)
    assert ran.take() == ["scan", "fragile"]
    assert failing(True) == ROWS
    assert ran.take() == ["fragile"]


def test_retries_are_prefects_own(store: str, ran: Any) -> None:
    @helix_task(retries=2)
    def flaky(rows: int) -> int:
        RAN.info("flaky")
        if len(attempts) < 2:
            attempts.append(1)
            raise RuntimeError("again")
        return rows

    attempts: list[int] = []

    @helix_flow(store=store)
    def retrying() -> int:
        return flaky(3)

    assert retrying() == 3
    assert ran.take() == ["flaky"] * 3


def test_ignored_argument_does_not_count(store: str, ran: Any) -> None:
    @helix_task(ignore=["workers"])
    def crunch(rows: int, workers: int) -> int:
        RAN.info("crunch")
        return rows * 2

    @helix_flow(store=store)
    def crunching(workers: int) -> int:
        return crunch(3, workers)

    assert (crunching(1), crunching(2)) == (6, 6)
    assert ran.take() == ["crunch"]


def test_with_options_keeps_what_makes_it_a_helix_task(store: str, ran: Any) -> None:
    @helix_flow(store=store)
    def renamed() -> int:
        return len(scan.with_options(name="scan again", retries=1)(ROWS))

    assert (renamed(), renamed()) == (ROWS, ROWS)
    assert ran.take() == ["scan"]


def test_with_options_leaves_what_it_is_given_none_for() -> None:
    one = scan.with_options(name="one", tags=["slot"], timeout_seconds=5, retries=2, version="3")
    two = one.with_options(name=None, tags=None, timeout_seconds=None, retries=NotSet)
    assert (two.name, two.tags, two.timeout_seconds, two.retries, two.version) == ("one", {"slot"}, 5.0, 2, "3")


def made_for(factor: int) -> Any:
    @helix_task(name=f"times {factor}")
    def times(x: int) -> int:
        return factor * x

    return times


def test_annotations_may_be_words_for_people(store: str, ran: Any) -> None:
    def counted(rows: Any) -> int:
        RAN.info("counted")
        return int(rows) + 1

    counted.__annotations__ = {"rows": "how many rows", "return": "one more: [int"}
    count = helix_task(counted)

    made = helix_flow(store=store)(lambda: count(1))
    assert (made(), made(), ran.take()) == (2, 2, ["counted"])


def test_the_tasks_of_a_factory_are_told_apart_by_their_names() -> None:
    tasks = [made_for(factor) for factor in (1, 2, 3)]
    tasks[0].with_options(retries=1)  # nobody keeps it
    gc.collect()
    found = [Specs().named(one.spec().key, one.name) for one in tasks]
    assert [one and one.fingerprint for one in found] == [one.spec().fingerprint for one in tasks]
    assert len({one.spec().fingerprint for one in tasks}) == 3


def test_return_state_gives_a_state_whose_result_loads(store: str, ran: Any, loads: list[str]) -> None:
    @helix_flow(store=store)
    def stated() -> int:
        state = scan(ROWS, return_state=True)
        assert state.is_completed()
        return len(state.result())

    assert (stated(), stated()) == (ROWS, ROWS)
    assert (ran.take(), len(loads)) == (["scan"], 1)


def test_returned_stand_in_is_the_value(store: str, ran: Any) -> None:
    @helix_flow(store=store)
    def returning() -> pd.DataFrame:
        return features(scan(ROWS), 2)

    first, second = returning(), returning()

    assert type(first) is type(second) is pd.DataFrame
    pd.testing.assert_frame_equal(first, second)
    assert ran.take() == ["scan", "features"]


def test_a_flow_with_annotations_of_its_own_module_runs_again_and_again(store: str, ran: Any) -> None:
    @helix_flow(store=store)
    def annotated(rows: PositiveInt = ROWS) -> int:
        return len(scan(rows))

    assert [annotated(), annotated(), annotated(rows=ROWS)] == [ROWS] * 3
    assert ran.take() == ["scan"]


def test_a_flow_made_from_another_flows_function_has_options_of_its_own(store: str, ran: Any) -> None:
    @helix_task
    def double(x: int) -> int:
        RAN.info("double")
        return 2 * x

    @helix_flow(store=store)
    def main(x: int) -> int:
        return double(x)

    other = helix_flow(store=f"{store}-other")(main.fn)

    assert (main(1), other(1), main(1), other(1)) == (2, 2, 2, 2)
    assert ran.take() == ["double", "double"]


def test_map_makes_each_element_a_node(store: str, ran: Any) -> None:
    @helix_task
    def square(number: int) -> int:
        RAN.info(f"square-{number}")
        return number**2

    @helix_flow(store=store)
    def mapping(numbers: list[int]) -> list[int]:
        return square.map(numbers).result()

    assert mapping([1, 2, 3]) == [1, 4, 9]
    ran.take()
    assert mapping([3, 4, 1]) == [9, 16, 1]
    assert ran.take() == ["square-4"]


def test_the_results_of_a_map_are_planned_together(
    store: str, ran: Any, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of three parts is loaded sooner than what all are made of is made again; all three of them are not."""
    monkeypatch.setattr("prefect_helix.core.costs.DEFAULT_BYTES_PER_US", 0.046)  # a slow store: 3.5 s for each part

    @helix_task(materialize="never")
    def grown(frame: Any, by: int) -> pd.DataFrame:
        RAN.info(f"grown-{by}")
        return pd.DataFrame({"x": np.arange(float(ROWS))}) if frame is None else frame + by

    @helix_task
    def part(frame: pd.DataFrame, number: int) -> pd.DataFrame:
        RAN.info(f"part-{number}")
        return frame * number

    @helix_flow(store=store, policy="always", task_runner=ThreadPoolTaskRunner(max_workers=1))
    def mapping(ask: bool) -> list[float]:
        frame = None
        for by in range(4):
            frame = grown(frame, by)
        parts = part.map(unmapped(frame), [2, 3, 4])  # none is what they are made from, which would be stored then
        parts.wait()
        return [float(one["x"].sum()) for one in parts.result()] if ask else []

    mapping(False)
    all_of_them = sorted(ran.take())
    sums = [float(((np.arange(float(ROWS)) + 6) * number).sum()) for number in (2, 3, 4)]
    assert mapping(True) == sums
    assert (sorted(ran.take()), loads) == (all_of_them, [])


def test_async_flow_reuses_its_sync_tasks(store: str, ran: Any) -> None:
    @helix_flow(store=store)
    async def asynchronous() -> int:
        return len(scan(ROWS))

    assert (asyncio.run(asynchronous()), asyncio.run(asynchronous())) == (ROWS, ROWS)
    assert ran.take() == ["scan"]
