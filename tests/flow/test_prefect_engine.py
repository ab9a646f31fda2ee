"""How flows and tasks are tied to Prefect's engine: what would go wrong if it were done in another way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from prefect import flow, task
from prefect.assets import materialize
from prefect.cache_policies import INPUTS, NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.concurrency.sync import concurrency
from prefect.context import AssetContext, FlowRunContext, TaskRunContext
from prefect.exceptions import Pause
from prefect.futures import PrefectConcurrentFuture
from prefect.runtime import flow_run
from prefect.states import Suspended
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.visualization import TaskVizTracker

from prefect_helix import helix_flow, helix_task, register_digest
from prefect_helix.futures import Ref
from prefect_helix.runtime.scheduler import Scheduler
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store
from prefect_helix.tasks import HelixTask

RAN = logging.getLogger("ran")
ROWS = 20_000  # large enough not to be handed out by value


@helix_task
def large(rows: int) -> pd.DataFrame:
    RAN.info("large")
    return pd.DataFrame({"a": np.arange(rows)})


@helix_task
async def large_async(rows: int) -> pd.DataFrame:
    RAN.info("large_async")
    return pd.DataFrame({"a": np.arange(rows)})


@helix_task
def add(x: int, y: int = 1) -> int:
    RAN.info("add")
    return x + y


# -- the lineage is written while the flow run is still running ------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status"), [(None, "completed"), (ValueError("no"), "failed"), (KeyboardInterrupt(), "crashed")]
)
def test_hooks_of_a_flow_that_has_ended_find_its_lineage(
    outcome: BaseException | None, status: str, store: str
) -> None:
    found: list[str] = []

    def look(flow: Any, run: Any, state: Any) -> None:
        found.extend(lineage.run.status for lineage in Catalog(open_store(store)).read().lineages)

    @helix_flow(store=store, on_completion=[look], on_failure=[look], on_crashed=[look])
    def ending() -> None:
        add(1)
        if outcome is not None:
            raise outcome

    try:
        ending()
    except BaseException as error:
        assert error is outcome
    assert found == [status]


def test_the_lineage_of_a_subflow_names_the_run_that_called_it(store: str) -> None:
    ids: dict[str, str] = {}

    def noted(name: str) -> int:
        ids[name] = str(flow_run.id)
        return add(1)

    @helix_flow(store=store)
    def innermost() -> int:
        return noted("innermost")

    @helix_flow(store=store)
    async def beside() -> int:
        return noted("beside")

    @task
    def working() -> int:
        return innermost()

    @flow
    def inner() -> int:
        return noted("inner") + working()

    @helix_flow(store=store)
    async def outer() -> int:
        return noted("outer") + inner() + await beside()

    asyncio.run(outer())
    asyncio.run(beside())

    known = {lineage.run.run_id: lineage.run for lineage in Catalog(open_store(store)).read().lineages}
    names = {run_id: name for name, run_id in ids.items()}
    found = [(run.flow, names.get(run.parent_run_id or "")) for run in known.values()]
    assert sorted(found, key=str) == [("beside", "outer"), ("beside", None), ("innermost", "inner"), ("outer", None)]


# -- stand-ins that are touched where nothing is stored --------------------------------------------------------------


def test_a_stand_in_of_an_async_task_is_touched_in_the_running_event_loop(store: str, ran: Any) -> None:
    @helix_flow(store=store, policy="never")
    async def looking(look: bool) -> int:
        frame = await large_async(ROWS)
        return len(frame.drop_duplicates()) if look else 0

    asyncio.run(looking(False))
    assert asyncio.run(looking(True)) == ROWS
    assert ran.take() == ["large_async"] * 2


def test_a_stand_in_is_touched_in_the_event_loop_while_what_it_stands_for_is_awaited(store: str) -> None:
    begun, touched = threading.Event(), threading.Event()

    @helix_task
    async def source(rows: int) -> pd.DataFrame:
        begun.set()
        while not touched.is_set():
            await asyncio.sleep(0)
        return pd.DataFrame({"a": np.arange(rows)})

    @helix_task
    async def score(frame: pd.DataFrame, times: int) -> int:
        return len(frame) * times

    @helix_flow(store=store, policy="never")
    async def looking(times: int) -> tuple[int, int]:
        frame = await source(ROWS)
        scored = asyncio.create_task(score(frame, times))
        await asyncio.to_thread(begun.wait)
        touched.set()
        rows = len(frame.drop_duplicates()) if times > 1 else ROWS  # not known from the run before
        return rows, await scored

    touched.set()
    assert asyncio.run(looking(1)) == (ROWS, ROWS)
    begun.clear()
    touched.clear()
    assert asyncio.run(looking(2)) == (ROWS, 2 * ROWS)


def test_what_a_thread_computes_for_somebody_who_is_cancelled_is_there_for_others(store: str, ran: Any) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @helix_task
    def source(rows: int) -> pd.DataFrame:
        RAN.info("source")
        begun.set()
        assert go_on.wait(60)
        return pd.DataFrame({"a": np.arange(rows)})

    @helix_task
    async def score(frame: pd.DataFrame, times: int) -> int:
        RAN.info("score")
        return len(frame) * times

    @helix_flow(store=store, policy="never")
    async def cancelling(times: int) -> int:
        frame = source(ROWS)
        scored = asyncio.create_task(score(frame, times))
        await asyncio.to_thread(begun.wait)
        if times == 2:
            scored.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await scored
            go_on.set()
            scored = asyncio.create_task(score(frame, 3))
        return await scored

    go_on.set()
    assert asyncio.run(cancelling(1)) == ROWS
    begun.clear()
    go_on.clear()
    assert asyncio.run(cancelling(2)) == 3 * ROWS
    assert ran.take() == ["source", "score"] * 2


def test_a_task_that_touches_a_stand_in_is_no_parent_of_what_computes_it(store: str, ran: Any) -> None:
    @task
    def looking(frame: pd.DataFrame) -> int:
        RAN.info("looking")
        return len(frame.drop_duplicates())

    @helix_flow(store=store, policy="never")
    def passing() -> str:
        looking(large(ROWS))
        return str(flow_run.id)

    passing()
    second = passing()

    assert ran.take() == ["large", "looking"] * 2
    assert [run.task_inputs for run in recorded(second, 2) if run.name.startswith("large")] == [{"rows": []}]


def recorded(flow_run_id: str, count: int) -> list[Any]:
    """The task runs of a flow run, once the server knows that so many have ended: it records them a little later."""
    until = time.monotonic() + 60
    ended: list[Any] = []
    with get_client(sync_client=True) as client:
        while len(ended) < count:
            assert time.monotonic() < until, f"the server knows of {len(ended)} of {count} task runs"
            chosen = FlowRunFilter(id={"any_": [flow_run_id]})
            ended = [run for run in client.read_task_runs(flow_run_filter=chosen) if run.end_time is not None]
    return ended


def test_a_stand_in_outlives_its_flow(store: str, ran: Any) -> None:
    kept: list[Any] = []

    @helix_flow(store=store, policy="never")
    def keeping() -> None:
        kept.append(large(ROWS))

    keeping()
    keeping()

    assert [len(frame.drop_duplicates()) for frame in kept] == [ROWS, ROWS]
    assert ran.take() == ["large", "large"]


def test_assets_are_passed_on_by_what_is_spared(store: str, ran: Any) -> None:
    @materialize("file:///engine/raw")
    def raw(count: int) -> list[int]:
        return list(range(count))

    @helix_task
    def doubled(numbers: list[int]) -> list[int]:
        RAN.info("doubled")
        return [2 * x for x in numbers]

    @helix_task(asset_deps=["file:///engine/rates"])
    def rated(numbers: list[int]) -> list[int]:
        RAN.info("rated")
        return [x + 1 for x in numbers]

    @materialize("file:///engine/report")
    def report(numbers: list[int]) -> list[str]:
        context = AssetContext.get()
        assert context is not None
        return sorted(asset.key for asset in context.upstream_assets)

    @helix_flow(store=store)
    def reporting() -> list[str]:
        return report(rated(doubled(raw(3))))

    assert reporting() == reporting() == ["file:///engine/rates", "file:///engine/raw"]
    assert ran.take() == ["doubled", "rated"]


# -- what is done outside of a task's body ---------------------------------------------------------------------------


class Model:
    def __init__(self, weight: int) -> None:
        self.weight = weight


def test_a_result_is_digested_outside_of_the_tasks_timeout_and_of_its_slot(store: str, ran: Any) -> None:
    def slow(model: Model) -> int:
        with concurrency("tag:engine-slot", timeout_seconds=20):  # the only one
            threading.Event().wait(0.5)
        RAN.info("digested")
        return model.weight

    register_digest(Model, slow)

    @helix_task(timeout_seconds=0.3, tags=["engine-slot"])
    def fit(weight: int) -> Model:
        RAN.info("fit")
        return Model(weight)

    @helix_flow(store=store, timeout_seconds=60)
    def fitting() -> int:
        return fit.submit(3).result().weight

    with get_client(sync_client=True) as client:
        client.create_concurrency_limit(tag="engine-slot", concurrency_limit=1)
        try:
            assert fitting() == 3
        finally:
            client.delete_concurrency_limit_by_tag("engine-slot")
    assert ran.take()[:2] == ["fit", "digested"]


@pytest.mark.parametrize("options", [{}, {"cache_policy": INPUTS, "persist_result": True}])
def test_prefect_hashes_inputs_only_where_it_was_told_to(options: dict[str, Any], store: str) -> None:
    @helix_task(**options)
    def policy() -> bool:
        context = TaskRunContext.get()
        assert context is not None
        return context.task.cache_policy is NO_CACHE

    @helix_flow(store=store)
    def asking() -> bool:
        return policy()

    assert asking() is (not options)


# -- futures ---------------------------------------------------------------------------------------------------------


def test_the_state_of_a_future_that_runs_names_its_task_run(store: str) -> None:
    started, go = threading.Event(), threading.Event()

    @helix_task(code_version="1")
    def waiting() -> int:
        started.set()
        assert go.wait(60)
        return 1

    @helix_flow(store=store)
    def asking() -> bool:
        future = waiting.submit()
        assert started.wait(60)
        state = future.state
        go.set()
        return state.is_running() and state.state_details.task_run_id == future.task_run_id

    assert asking()


def test_a_future_that_the_flow_returns_is_loaded_when_somebody_looks(store: str, ran: Any, loads: list[str]) -> None:
    @helix_flow(store=store, policy="always")
    def returning() -> Any:
        return large.submit(ROWS)

    returning()
    state = returning()

    assert (state.name, loads) == ("Pruned", [])
    assert (len(state.result()), len(loads)) == (ROWS, 1)
    assert ran.take() == ["large"]


def test_futures_that_a_flow_returns_are_persisted_with_what_they_stand_for(store: str, ran: Any) -> None:
    @helix_task
    def nothing() -> None:
        RAN.info("nothing")

    @helix_flow(store=store, policy="always", persist_result=True)
    def returning() -> Any:
        return [large.submit(ROWS), add.submit(1), nothing.submit()]

    for _ in range(2):
        ended = returning(return_state=True)
        with get_client(sync_client=True) as client:
            recorded: Any = client.read_flow_run(ended.state_details.flow_run_id)
        frame, two, nobody = (state.result() for state in recorded.state.result())
        assert (len(frame), two, nobody) == (ROWS, 2, None)
    assert sorted(ran.take()) == ["add", "large", "nothing"]


def test_what_is_submitted_and_not_waited_for_is_computed_before_the_flow_ends(store: str, ran: Any) -> None:
    @helix_flow(store=store, task_runner=ThreadPoolTaskRunner(max_workers=1))
    def leaving(count: int) -> None:
        for x in range(count):
            add.submit(x)

    leaving(5)
    assert ran.take() == ["add"] * 5
    leaving(6)
    assert ran.take() == ["add"]


def test_what_waits_for_its_inputs_as_the_flow_fails_does_not_begin(
    store: str, ran: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, waiting, abandoned = threading.Event(), threading.Event(), threading.Event()
    wait, abandon = Ref.wait, Scheduler.abandon

    def waited(ref: Ref, timeout: float | None = None) -> None:
        waiting.set()
        wait(ref, timeout)

    def abandoning(scheduler: Scheduler) -> None:
        abandon(scheduler)
        abandoned.set()

    monkeypatch.setattr(Ref, "wait", waited)
    monkeypatch.setattr(Scheduler, "abandon", abandoning)

    @helix_task
    def first() -> int:
        RAN.info("first")
        begun.set()
        assert abandoned.wait(60)
        return 1

    @helix_task
    def second(x: int) -> int:
        RAN.info("second")
        return x + 1

    @helix_flow(store=store)
    def failing() -> None:
        second.submit(first.submit())
        assert begun.wait(60)
        assert waiting.wait(60)  # in a thread of the task runner
        raise ValueError("the flow fails")

    with pytest.raises(ValueError, match="the flow fails"):
        failing()
    assert ran.take() == ["first"]


def test_what_is_submitted_to_plain_prefect_and_not_waited_for_may_be_cancelled(ran: Any) -> None:
    cancelled = threading.Event()

    @task
    def first() -> None:
        RAN.info("first")
        assert cancelled.wait(60)

    @task
    def second() -> None:
        RAN.info("second")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def leaving() -> None:
        first.submit()
        second.submit().add_done_callback(lambda future: cancelled.set())

    leaving()
    assert ran.take() == ["first"]


# -- task runners that are not known ---------------------------------------------------------------------------------


class OwnTaskRunner(TaskRunner[PrefectConcurrentFuture[Any]]):
    """A task runner of somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = ThreadPoolTaskRunner(max_workers=2)

    def duplicate(self) -> OwnTaskRunner:
        return OwnTaskRunner()

    def submit(self, *args: Any, **kwargs: Any) -> PrefectConcurrentFuture[Any]:
        return self.threads.submit(*args, **kwargs)

    def __enter__(self) -> OwnTaskRunner:
        super().__enter__()
        self.threads.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self.threads.__exit__(*details)
        super().__exit__(*details)


def test_on_a_task_runner_that_is_not_known_what_is_submitted_is_plain_and_that_is_told(
    store: str, ran: Any, said: Any
) -> None:
    @helix_flow(store=store, task_runner=OwnTaskRunner())
    def submitting() -> int:
        frame = large(ROWS)
        return add.submit(len(frame)).result() + add.map([1, 2]).result()[0] + add(5)

    assert submitting() == submitting() == ROWS + 1 + 2 + 6
    assert ran.take() == ["large", *["add"] * 4, *["add"] * 3]
    assert sum("Tasks submitted to OwnTaskRunner run as plain Prefect tasks" in line for line in said.lines) == 2


# -- control flow ----------------------------------------------------------------------------------------------------


def made_before(suspend: Callable[[], None]) -> None:
    future = add.submit(2)
    suspend()
    future.result()


def called(suspend: Callable[[], None]) -> None:
    suspend()
    add(2)


def submitted(suspend: Callable[[], None]) -> None:
    suspend()
    add.submit(2).result()


@pytest.mark.parametrize("use", [called, submitted, made_before])
def test_a_run_that_computes_nothing_can_be_suspended(use: Callable[..., None], store: str, ran: Any) -> None:
    @helix_flow(store=store)
    def used(suspended: bool) -> None:
        context = FlowRunContext.get()
        assert context is not None
        request = context.flow_run_suspension_request
        # What Prefect's observer does when the server says so.
        use((lambda: request.mark_requested(Suspended())) if suspended else (lambda: None))
        RAN.info("went on")

    used(False)
    assert ran.take() == ["add", "went on"]
    with pytest.raises(Pause):
        used(True)
    assert ran.take() == []


def test_a_flow_is_visualized_without_running_a_task(store: str, ran: Any) -> None:
    @helix_task(viz_return_value=4)
    def seen(x: int) -> int:
        RAN.info("seen")
        return x

    @helix_flow(store=store)
    def drawn() -> int:
        return seen(seen(1))

    with TaskVizTracker() as tracker:
        assert drawn.fn() == 4
    assert ([one.name for one in tracker.tasks], ran.take()) == (["seen-0", "seen-1"], [])


# -- what travels ----------------------------------------------------------------------------------------------------


def test_what_is_shipped_to_workers_carries_no_run(store: str) -> None:
    open_here: list[bytes] = []

    @helix_flow(store=store)
    def shipped() -> int:
        context = FlowRunContext.get()
        assert context is not None
        open_here.extend([cloudpickle.dumps(context.flow), cloudpickle.dumps(add)])
        return add(1)

    shipped()

    assert [len(data) < 10_000 for data in open_here] == [True, True]
    again = cloudpickle.loads(open_here[1])
    assert (type(again), again.helix, again(4)) == (HelixTask, add.helix, 5)


def test_a_task_and_its_hooks_see_a_helix_task(store: str) -> None:
    seen: list[Any] = []

    @helix_task(on_completion=[lambda task, run, state: seen.append(task)], retries=1)
    def asking() -> int:
        context = TaskRunContext.get()
        assert context is not None
        seen.append(context.task)
        return 1

    helix_flow(store=store)(lambda: asking())()

    assert [(type(one), one.name, one.retries) for one in seen] == [(HelixTask, "asking", 1)] * 2


def test_a_task_worker_runs_the_plain_function(project: Callable[..., Any]) -> None:
    served = project(
        pipeline="""
        import logging
        from prefect_helix import helix_task

        @helix_task(persist_result=True)
        def double(x):
            logging.getLogger("ran").info("double")
            return 2 * x

        def main():
            futures = [double.delay(3), double.apply_async((3,))]
            return [future.result(timeout=60) for future in futures]
        """,
        worker="""
        import logging
        from pipeline import double

        log = logging.getLogger("ran")
        log.setLevel(logging.INFO)
        log.addHandler(logging.FileHandler("worker.log"))
        double.serve()
        """,
    )
    with serving(served):
        result, ran_here = served.run()

    assert (result, ran_here) == ("[6, 6]", [])
    assert (served.folder / "worker.log").read_text().split() == ["double", "double"]


@contextmanager
def serving(project: Any) -> Iterator[None]:
    """Have a task worker of the project at work."""
    with (project.folder / "output.log").open("w") as output:
        worker = subprocess.Popen(
            [sys.executable, "worker.py"],
            cwd=project.folder,
            env={**os.environ, "PREFECT_API_URL": project.api_url},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def test_a_plain_async_flow_ends_though_another_task_still_runs(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", store)

    @helix_task
    async def fails() -> int:
        raise ValueError("no")

    @helix_task
    async def slow() -> int:
        await asyncio.sleep(0.1)
        return 1

    @flow
    async def main() -> list[int]:
        return await asyncio.gather(fails(), slow())

    thread = threading.Thread(target=lambda: asyncio.run(main(return_state=True)), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_what_prefects_own_cache_gave_a_process_is_not_what_the_code_gives(project: Callable[..., Any]) -> None:
    cached = project(
        pipeline="""
        import logging
        from pathlib import Path

        from prefect.cache_policies import INPUTS
        from prefect.task_runners import ProcessPoolTaskRunner
        from prefect_helix import helix_flow, helix_task

        @helix_task(cache_policy=INPUTS, persist_result=True)
        def double(x):
            return 2 * x

        @helix_flow(store=str(Path(__file__).parent / "store"), task_runner=ProcessPoolTaskRunner(max_workers=1))
        def main():
            return double.submit(1).result()
        """
    )
    kept = {"PREFECT_LOCAL_STORAGE_PATH": str(cached.folder / "prefect")}
    assert cached.run(**kept)[0] == "2"
    cached.edit("pipeline", "2 * x", "3 * x")
    assert cached.run(**kept)[0] == "2"  # as Prefect was asked to
    shutil.rmtree(cached.folder / "prefect")
    assert cached.run(**kept)[0] == "3"


def test_what_is_made_of_what_prefects_own_cache_gave_is_not_what_the_code_gives(project: Callable[..., Any]) -> None:
    cached = project(
        pipeline="""
        import logging
        from pathlib import Path

        from prefect.cache_policies import INPUTS
        from prefect_helix import helix_flow, helix_task

        log = logging.getLogger("ran")

        @helix_task(cache_policy=INPUTS, persist_result=True)
        def double(x):
            log.info("double")
            return 2 * x

        @helix_task
        def shown(x):
            log.info("shown")
            return f"{x}!"

        @helix_flow(store=str(Path(__file__).parent / "store"))
        def main():
            return shown(double(1))
        """
    )
    kept = {"PREFECT_LOCAL_STORAGE_PATH": str(cached.folder / "prefect")}
    plain = {"PREFECT_INTEGRATIONS_HELIX_MODE": "off"}
    assert cached.run(**kept, **plain) == ('"2!"', ["double", "shown"])
    cached.edit("pipeline", "2 * x", "3 * x")
    assert cached.run(**kept) == ('"2!"', ["shown"])
    assert cached.run(**kept) == ('"2!"', [])
    shutil.rmtree(cached.folder / "prefect")
    assert cached.run(**kept) == ('"3!"', ["double", "shown"])
    assert cached.run(**kept) == ('"3!"', [])
