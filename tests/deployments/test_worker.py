"""Deployments on a worker: on a schedule, side by side, cancelled, failed; and what the UI shows of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from ..browser.pages import look_at_flow_run
from .conftest import until

pytestmark = pytest.mark.timeout(900)

ALL = ["scan", "priced", "fit", "report"]
KEYS = [f"sales:{task}" for task in ALL]
POOL = "/work_pools/shelf"
WARNING = 30


@pytest.fixture(scope="module")
def worker(project: Any) -> Iterator[Any]:
    """The project, deployed as its ``prefect.yaml`` says, and a worker that runs it."""
    project.server.ask("/variables/", name="helix_store", value=str(project.store))
    project.server.ask("/work_pools/", name="shelf", type="process")
    often = {"schedules": [{"interval": 2}], "paused": True}
    deployments = [
        {"name": "often", **often, "parameters": parameters(project, 1)},
        {"name": "together", **often, "parameters": parameters(project, 2)},
        {"name": "asked"},
    ]
    store = {"PREFECT_INTEGRATIONS_HELIX_STORE": "{{ prefect.variables.helix_store }}"}
    where = {"entrypoint": "sales.py:sales", "work_pool": {"name": "shelf", "job_variables": {"env": store}}}
    text = yaml.safe_dump({"deployments": [{**one, **where} for one in deployments]})
    (project.folder / "prefect.yaml").write_text(text)
    project.python("-m", "prefect", "--no-prompt", "deploy", "--all")
    settings = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_WORKER_PREFETCH_SECONDS": "0.1"}
    with project.running("-m", "prefect", "worker", "start", "--pool", "shelf", **settings):
        yield project


def parameters(project: Any, day: int) -> dict[str, Any]:
    return {"orders": project.orders(f"2026-02-0{day}", day), "how": {"since": "2026-02-01"}}


@contextlib.contextmanager
def scheduled(worker: Any, deployment: str, at_once: int) -> Iterator[Callable[[], None]]:
    """Let the schedule of a deployment start runs, so many at once; gives what ends that, while as many are held."""
    path = f"/deployments/{worker.deployment(deployment)}"

    def end() -> None:
        worker.server.order(f"{path}/pause_deployment")

    worker.server.change(POOL, concurrency_limit=at_once)
    worker.server.order(f"{path}/resume_deployment")
    try:
        yield end
    finally:
        end()
        worker.server.change(POOL, concurrency_limit=None)


def test_on_a_schedule_only_what_changed_computes(worker: Any) -> None:
    with scheduled(worker, "often", at_once=1) as end:
        until(lambda: len(worker.runs("often", "COMPLETED")) >= 2, "Two runs")
        with worker.hold("publish"):
            (last,) = until(lambda: worker.held_in("publish"), "A run before the edit")
            worker.edit("prices.py", "1.07", "1.19")
        worker.ended(last)
        with worker.hold("publish"):
            (final,) = until(lambda: worker.held_in("publish"), "A run after the edit")
            end()
        worker.ended(final)

    runs = worker.runs("often", "COMPLETED")
    before, after = runs[: runs.index(last) + 1], runs[runs.index(last) + 1 :]
    assert [worker.ran(run) for run in before] == [ALL, *([] for _ in before[1:])]
    assert [worker.ran(run) for run in after] == [["priced", "fit", "report"], *([] for _ in after[1:])]
    assert {worker.said(run) for run in before} == {worker.expected(1, tax=1.07)}
    assert {worker.said(run) for run in after} == {worker.expected(1)}
    assert worker.processes(before[0]) != worker.processes(after[0])
    assert all([trace.key for trace in worker.lineage(run).traces] == KEYS for run in runs)


def test_runs_of_a_schedule_that_overlap_are_right(worker: Any) -> None:
    with scheduled(worker, "together", at_once=2) as end:
        with worker.hold("scan"):
            together = until(lambda: len(held := worker.held_in("scan")) == 2 and held, "Two runs at once")
            end()
        assert {worker.ended(run) for run in together} == {"COMPLETED"}
    later = worker.run("together")

    assert [worker.ran(run) for run in (*together, later)] == [ALL, ALL, []]
    assert {worker.said(run) for run in (*together, later)} == {worker.expected(2)}
    assert [worker.logged(run, WARNING) for run in (*together, later)] == [[], [], []]
    assert {worker.lineage(run).run.status for run in together} == {"completed"}


@pytest.fixture(scope="module")
def stopped(worker: Any) -> dict[str, str]:
    """Runs that ought to have done the same: three were stopped, each later than the one before."""
    runs = {}
    with worker.hold("priced"):  # in the flow's own thread
        run = runs["cancelled"] = worker.start("asked", **parameters(worker, 3))
        until(lambda: run in worker.held_in("priced"), "A run that computes")
        worker.cancel(run)
        assert worker.ended(run) == "CANCELLED"
    with worker.hold("fit"):  # in a thread of the task runner, which nobody can stop
        run = runs["cancelled later"] = worker.start("asked", **parameters(worker, 3))
        until(lambda: run in worker.held_in("fit"), "A run that computes")
        worker.cancel(run)
        until(lambda: worker.lineage(run).run.status == "cancelled", "The run's own word that it was cancelled")
        assert worker.state(run) == "CANCELLING"
    assert worker.ended(run) == "CANCELLED"

    right, wrong = 'return f"{region.value}', 'return f"{region.worth}'
    worker.edit("sales.py", right, wrong)
    runs["failed"] = worker.start("asked", **parameters(worker, 3))
    assert worker.ended(runs["failed"]) == "FAILED"
    worker.edit("sales.py", wrong, right)
    runs["completed"] = worker.run("asked", **parameters(worker, 3))
    return runs


def test_what_was_computed_before_a_run_was_stopped_is_reused(worker: Any, stopped: dict[str, str]) -> None:
    assert {how: worker.ran(run) for how, run in stopped.items()} == {
        "cancelled": ["scan", "priced"],
        "cancelled later": ["priced", "fit"],
        "failed": ["report"],
        "completed": ["report"],
    }
    assert worker.said(stopped["completed"]) == worker.expected(3)


def test_the_lineage_says_how_a_run_was_stopped(worker: Any, stopped: dict[str, str]) -> None:
    statuses = [worker.lineage(run).run.status for run in stopped.values()]
    assert statuses == ["cancelled", "cancelled", "failed", "completed"]


def test_the_ui_shows_what_a_run_was_spared(worker: Any, stopped: dict[str, str], browser: Any) -> None:
    run = stopped["completed"]
    expected = {"scan": "Pruned", "priced": "Pruned", "fit": "Loaded", "report": "Completed", "publish": "Completed"}

    def recorded() -> Any:
        task_runs = worker.server.ask("/task_runs/filter", flow_runs={"id": {"any_": [run]}})
        states = {task_run["name"]: task_run["state_name"] for task_run in task_runs}
        return {name.rpartition("-")[0]: state for name, state in states.items()} == expected and states

    # The server records what happened to task runs some time after it was told.
    states = until(recorded, f"Task runs in states {expected}")
    look_at_flow_run(browser, f"{worker.server.url}/runs/flow-run/{run}", states)
