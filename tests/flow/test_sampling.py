"""`verify=` on a real Prefect: what is computed again beside a flow, where that is seen, and what a mismatch leaves."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect import flow, tags, task
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.runtime import task_run

from prefect_helix import ConfigurationError, File, helix_flow, helix_task
from prefect_helix.archive import Archive, read_archive
from prefect_helix.runs import current_run
from prefect_helix.runtime import sampling
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.views.tables import run_markdown

pytestmark = pytest.mark.timeout(180)

RAN = logging.getLogger("ran")
HIDDEN: dict[str, Any] = {}
HEARD: list[str] = []


@pytest.fixture(autouse=True)
def hidden() -> Iterator[dict[str, Any]]:
    """What tasks depend on and their code version does not tell."""
    HIDDEN.update(factor=2.0, fails=False, hangs=False)
    HEARD.clear()
    yield HIDDEN
    HIDDEN.clear()


@helix_task(code_version="1")
def scan(rows: int) -> pd.DataFrame:
    RAN.info("scan")
    return pd.DataFrame({"a": np.arange(rows) * HIDDEN["factor"]})


@helix_task(code_version="1", log_prints=True)
def total(frame: pd.DataFrame) -> float:
    RAN.info("total")
    print("in a task run:", task_run.name)
    get_run_logger().info("in a task run")
    return float(frame["a"].sum())


@helix_task(code_version="1")
async def doubled(x: float) -> float:
    RAN.info("doubled")
    await asyncio.sleep(0)
    return 2 * x


def body(rows: int = 20_000) -> float:
    return total(scan(rows))


def archive(store: str) -> Archive:
    return read_archive(resolve(FlowOptions(store=store)))


def task_runs(flow_run_id: Any) -> list[TaskRun]:
    with get_client(sync_client=True) as client:
        found = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        return client.read_task_runs(flow_run_filter=found, limit=200)


def flow_run_id() -> Any:
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    return context.flow_run.id


@pytest.mark.parametrize("verify", [None, 0, 0.0])
def test_without_a_share_nothing_is_computed_again(store: str, ran: Any, said: Any, verify: float | None) -> None:
    flow = helix_flow(store=store, policy="always", verify=verify)(body)
    flow()
    ran.take()
    HIDDEN["factor"] = 3.0
    flow()
    assert ran.take() == []
    assert not any("verified" in line for line in said.lines)


def test_all_that_was_reused_is_computed_again_and_the_run_is_as_without(store: str, ran: Any, said: Any) -> None:
    first = helix_flow(store=store, policy="always")(body)()
    ran.take()
    assert helix_flow(store=store, policy="always", verify=1.0)(body)() == first
    assert sorted(ran.take()) == ["scan", "total"]
    (line,) = (line for line in said.lines if "verified" in line)
    assert line.startswith("INFO: helix: verified 2 of 2 reused results in ")
    assert line.endswith(": all came out the same")
    assert said.warnings == []
    newest = archive(store).lineages[0]
    assert {trace.decision.value for trace in newest.traces} == {"load", "prune"}
    assert newest.run.problems == ()


def test_a_stale_result_is_named_with_its_difference_and_computed_in_the_next_run(
    store: str, ran: Any, said: Any
) -> None:
    plain = helix_flow(store=store, policy="always", name="sums")(body)
    first = plain()
    ran.take()
    HIDDEN["factor"] = 3.0
    flow = helix_flow(store=store, policy="always", verify=1.0, name="sums")(body)
    assert flow(return_state=True).result() == first  # it completed, with what was recorded
    assert sorted(ran.take()) == ["scan", "total"]
    (told,) = said.warnings
    assert "scan gave something else when it was computed again: ['a']: 19999 of 20000 cells differ" in told
    assert any("verified 2 of 2" in line and line.endswith("1 came out otherwise (scan)") for line in said.lines)

    found = archive(store)
    (problem,) = found.lineages[0].run.problems
    assert problem in told
    assert "**Problem:** " in run_markdown(found.lineages[0], found.lineages[1])
    artifact = Artifact.get("helix-sums")
    assert artifact is not None and "**Problem:** scan gave something else" in str(artifact.data)
    (revoked,) = found.rulings.revocations
    assert f"prefect-helix undo {revoked.id}" in problem
    assert f"computed again by the run {found.lineages[0].run.run_id}" in revoked.note

    assert plain() == 1.5 * first
    assert ran.take() == ["scan", "total"]
    plain()
    assert ran.take() == []


def test_what_is_computed_again_is_a_task_run_that_hooks_do_not_hear_of(store: str, ran: Any) -> None:
    def heard(task: Any, run: Any, state: Any) -> None:
        HEARD.append(task.name)

    @helix_task(
        code_version="1",
        tags=["own"],
        retries=3,
        on_completion=[heard],
        on_failure=[heard],
        task_run_name="number-{x}",
        persist_result=True,
    )
    def number(x: int) -> int:
        RAN.info("number")
        if HIDDEN["fails"]:
            raise ConnectionError("no route")
        return x

    @helix_flow(store=store, verify=1.0)
    def numbers() -> Any:
        return number(1), flow_run_id()

    numbers()
    assert (ran.take(), HEARD) == (["number"], ["number"])
    _, run_id = numbers()
    assert (ran.take(), HEARD) == (["number"], ["number"])
    runs = {run.name: run for run in task_runs(run_id)}
    assert runs.keys() == {"number-1", "number-verify"}
    assert {*runs["number-verify"].tags} == {"helix-verify"}
    assert [run.state_name for run in (runs["number-1"], runs["number-verify"])] == ["Loaded", "Completed"]


def test_a_failure_is_told_and_the_flow_completes(store: str, ran: Any, said: Any) -> None:
    @helix_task(code_version="1", retries=3)
    def fragile(x: int) -> int:
        RAN.info("fragile")
        if HIDDEN["fails"]:
            raise ConnectionError("no route")
        return x

    @helix_flow(store=store, verify=1.0)
    def flow() -> int:
        return fragile(1)

    flow()
    HIDDEN["fails"] = True
    ran.take()
    assert flow(return_state=True).result() == 1
    assert ran.take() == ["fragile"]
    (told,) = said.warnings
    assert "fragile failed when it was computed again to verify its result: ConnectionError: no route" in told
    assert archive(store).rulings.revocations == ()


def test_the_timeout_of_a_task_holds(store: str, ran: Any, said: Any) -> None:
    @helix_task(code_version="1", timeout_seconds=1)
    async def patient(x: int) -> int:
        RAN.info("patient")
        if HIDDEN["hangs"]:
            await asyncio.Event().wait()
        return x

    @helix_flow(store=store, verify=1.0)
    async def flow() -> int:
        return await patient(1)

    asyncio.run(flow())
    HIDDEN["hangs"] = True
    ran.take()
    assert asyncio.run(flow()) == 1
    assert ran.take() == ["patient"]
    (told,) = said.warnings
    assert "patient failed when it was computed again" in told and "Timeout" in told


@helix_task(code_version="1")
def endless(x: int) -> int:
    RAN.info("endless")
    while HIDDEN["hangs"]:
        time.sleep(0.01)
    return x


def test_the_timeout_of_a_flow_does_not_run_out_because_of_it(store: str, ran: Any, said: Any) -> None:
    def numbers() -> int:
        return endless(1)

    helix_flow(store=store, name="numbers")(numbers)()
    HIDDEN["hangs"] = True
    ran.take()
    flow = helix_flow(store=store, name="numbers", verify=1.0, timeout_seconds=16)(numbers)
    state = flow(return_state=True)
    assert (state.name, state.result()) == ("Completed", 1)
    assert ran.take() == ["endless"]
    assert any("endless failed when it was computed again" in line for line in said.warnings)
    assert any("verified 0 of 1 reused result in" in line and "; 1 failed (endless)" in line for line in said.lines)


def test_what_took_longer_than_is_left_of_the_timeout_is_not_begun(
    store: str, ran: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hours:
        """A clock on which each body takes an hour."""

        ticks = itertools.count(step=3_600 * 10**9)

        def perf_counter_ns(self) -> int:
            return next(self.ticks)

    monkeypatch.setattr("prefect_helix.clones.time", Hours())

    def numbers() -> int:
        return endless(2)

    helix_flow(store=store, name="numbers")(numbers)()
    ran.take()
    helix_flow(store=store, name="numbers", verify=1.0, timeout_seconds=3_600)(numbers)()
    assert ran.take() == []
    helix_flow(store=store, name="numbers", verify=1.0, timeout_seconds=3 * 3_600)(numbers)()
    assert ran.take() == ["endless"]


def test_what_hangs_is_stopped_without_any_timeout(
    store: str, ran: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "TIMES_AS_LONG", 0)
    monkeypatch.setattr(sampling, "SECONDS_MORE", 1.0)

    @helix_task(code_version="1")
    async def endless_async(x: int) -> int:
        RAN.info("endless async")
        while HIDDEN["hangs"]:
            await asyncio.sleep(0.01)
        return x

    @helix_flow(store=store, verify=1.0)
    def numbers() -> int:
        return endless(1) + endless_async.submit(2).result()

    numbers()
    HIDDEN["hangs"] = True
    ran.take()
    assert numbers() == 3
    assert sorted(ran.take()) == ["endless", "endless async"]
    assert [line.partition("TimeoutError: ")[2][:27] for line in said.warnings] == ["it was stopped after 1.0 s."] * 2


class Heavy:
    """An object that takes long to load while something hangs."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __reduce__(self) -> Any:
        return lifted, (self.x,)


def lifted(x: int) -> Heavy:
    while "HANGS" in os.environ:  # of its globals it has copies
        time.sleep(0.01)
    return Heavy(x)


@helix_task(code_version="1")
def heavy(x: int) -> Heavy:
    RAN.info("heavy")
    return Heavy(x)


@helix_task(code_version="1")
def weighed(one: Heavy) -> int:
    RAN.info("weighed")
    return one.x


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_timeout_of_a_flow_does_not_run_out_because_of_what_is_loaded(
    store: str, ran: Any, said: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def flow() -> int:
        return weighed(heavy.submit(1))

    async def async_flow() -> int:
        return await asyncio.to_thread(weighed.submit(heavy.submit(1)).result)

    def run(**options: Any) -> Any:
        made = helix_flow(store=store, name="weights", **options)(flow if kind == "sync" else async_flow)
        state = made(return_state=True)
        return asyncio.run(state) if kind == "async" else state

    run()
    monkeypatch.setenv("HANGS", "1")
    ran.take()
    state = run(verify=1.0, timeout_seconds=12)
    monkeypatch.delenv("HANGS")
    assert state.name == "Completed"
    assert ran.take() in ([], ["heavy"])
    assert any("Verifying was given up, since the flow's timeout is near" in line for line in said.warnings)
    assert [lineage.run.status for lineage in archive(store).lineages] == ["completed", "completed"]


def test_a_flow_that_is_cancelled_while_it_verifies_has_completed(store: str, ran: Any) -> None:
    begun = threading.Event()

    @helix_task(code_version="1")
    async def held(x: int) -> int:
        RAN.info("held")
        begun.set()
        while HIDDEN.get("hangs"):
            await asyncio.sleep(0.01)
        return x

    @helix_flow(store=store, verify=1.0)
    async def flow() -> int:
        return await held(1)

    async def cancelled() -> None:
        running = asyncio.create_task(flow())
        await asyncio.to_thread(begun.wait)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(flow())
    begun.clear()
    ran.take()
    HIDDEN["hangs"] = True
    asyncio.run(cancelled())
    assert ran.take() == ["held"]
    assert [lineage.run.status for lineage in archive(store).lineages] == ["completed", "completed"]
    assert [*Path(store, "journal").rglob("*.jsonl")] == []


def test_the_timeout_of_who_calls_a_flow_counts_too(store: str) -> None:
    left: list[float | None] = []

    @helix_flow(store=store, timeout_seconds=3_000)
    def inner() -> None:
        run = current_run()
        assert run is not None
        left.append(run.deadlines.left_s())

    @task
    def middle() -> None:
        inner()

    @flow(timeout_seconds=2_000)
    def outer() -> None:
        inner()
        middle.with_options(timeout_seconds=1_000)()

    inner()
    outer()
    assert [round(left_s or 0, -3) for left_s in left] == [3_000, 2_000, 1_000]


def test_no_slot_of_a_tag_is_waited_for(store: str, ran: Any, said: Any) -> None:
    @helix_task(code_version="1", tags=["scarce"])
    def number(x: int) -> int:
        RAN.info("number")
        return x

    @helix_flow(store=store, verify=1.0)
    def numbers() -> int:
        with tags("scarce too"):
            return number(1)

    numbers()
    ran.take()
    with get_client(sync_client=True) as client:
        for tag in ("scarce", "scarce too"):
            client.create_concurrency_limit(tag, 1)
    with concurrency(["tag:scarce", "tag:scarce too"], strict=True):
        numbers()
    assert ran.take() == ["number"]
    assert any("verified 1 of 1 reused result" in line for line in said.lines)


def test_async_mapped_and_submitted_calls_are_verified_like_others(store: str, ran: Any, said: Any) -> None:
    @helix_flow(store=store, policy="always", verify=1.0)
    async def flow() -> list[float]:
        frame = scan.submit(20_000)
        sums = total.submit(frame)
        return [await doubled(sums.result()), *(future.result() for future in doubled.map([1.0, 2.0, 3.0]))]

    first = asyncio.run(flow())
    assert sorted(ran.take()) == ["doubled"] * 4 + ["scan", "total"]
    assert asyncio.run(flow()) == first
    assert sorted(ran.take()) == ["doubled"] * 4 + ["scan", "total"]
    assert any("verified 6 of 6 reused results" in line for line in said.lines)
    assert said.warnings == []


def test_methods_ignored_arguments_and_tasks_in_tasks_are_as_in_the_run(store: str, ran: Any, said: Any) -> None:
    class Scale:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @helix_task(code_version="1", ignore=["lock"])
        def apply(self, x: float, lock: Any, *more: float, **named: float) -> float:
            RAN.info("apply")
            with lock:
                return inner(x * self.factor) + sum(more) + sum(named.values())

    @helix_task(code_version="1")
    def inner(x: float) -> float:
        RAN.info("inner")
        return x + 1

    @helix_flow(store=store, verify=1.0)
    def flow() -> float:
        return Scale(2.0).apply(3.0, threading.Lock(), 4.0, y=5.0)

    assert flow() == 16.0
    ran.take()
    assert flow() == 16.0
    assert ran.take() == ["apply", "inner"]
    assert said.warnings == []


def test_code_that_changed_after_the_call_is_not_taken_for_it(store: str, ran: Any, said: Any, tmp_path: Path) -> None:
    path = tmp_path / "rule"

    @helix_task(depends_on=[File(path)])
    def ruled(x: int) -> str:
        RAN.info("ruled")
        return f"{path.read_text()}{x}"

    @helix_flow(store=store, verify=1.0)
    def flow() -> str:
        path.write_text("one")
        found = ruled(1)
        path.write_text("two")
        return found

    path.write_text("zero")
    flow()
    ran.take()
    assert flow() == "one1"
    assert ran.take() == []
    assert any("verified 0 of 1 reused result in" in line for line in said.lines)


def test_effects_stay_what_they_are(store: str, ran: Any) -> None:
    @task
    def publish(x: float) -> None:
        RAN.info("publish")

    @helix_flow(store=store, policy="always", verify=1.0)
    def flow() -> None:
        publish(body())

    flow()
    ran.take()
    flow()
    assert sorted(ran.take()) == ["publish", "scan", "total"]


def test_the_environment_says_it_for_flows_that_do_not(
    store: str, ran: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    helix_flow(store=store, policy="always", name="sums")(body)()
    ran.take()
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_VERIFY", "1")
    helix_flow(store=store, policy="always", name="sums")(body)()
    assert sorted(ran.take()) == ["scan", "total"]
    helix_flow(store=store, policy="always", name="sums", verify=0)(body)()
    assert ran.take() == []


@pytest.mark.parametrize("verify", [-0.1, 1.5, float("nan"), "often", True, [0.1], 10**400])
def test_what_is_no_share_is_refused_when_the_flow_is_defined(verify: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"verify=.* cannot be used\. Give the share .* from 0 to 1"):
        helix_flow(verify=verify)(body)
