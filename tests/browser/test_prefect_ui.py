"""The Prefect UI shows what was computed, loaded and pruned: asked of the API, and looked at in a browser."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Any

import prefect
import pytest
from selenium import webdriver

from .pages import complaints, look_at_flow_run, text_of, wait

CALLED = ["scan", "clean", "check", "features", "fit", "evaluate"]
STATES = {
    "scan": "Pruned",
    "clean": "Loaded",
    "check": "Pruned",
    "features": "Loaded",
    "fit": "Completed",
    "evaluate": "Completed",
}
PARENTS = {
    "scan": set(),
    "clean": {"scan"},
    "check": {"clean"},
    "features": {"clean"},
    "fit": {"features", "check"},
    "evaluate": {"fit", "clean"},
}
RUN_KEY, VERSIONS_KEY = "helix-income-model", "helix-versions--income-model"
PRUNED = "Pruned: unchanged, and not needed. Saved 1.0 s."

COUNT_PICTURES = """
return [...document.querySelectorAll('img[src^="data:image/svg+xml"]')].filter(image => image.naturalWidth).length;
"""

both_runs = pytest.mark.parametrize("number", [0, 1], ids=["first-run", "second-run"])
both_uis = pytest.mark.parametrize("ui", ["/v2", ""], ids=["v2", "classic"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.mark.parametrize(
    ("number", "states"), [(0, dict.fromkeys(CALLED, "Completed")), (1, STATES)], ids=["first-run", "second-run"]
)
def test_each_step_is_a_task_run_in_the_state_of_its_decision(runs: Any, number: int, states: dict[str, str]) -> None:
    shown = runs[number].task_runs
    assert {name: task_run["state_name"] for name, task_run in shown.items()} == states
    assert shown["scan"]["state"]["message"] == ("" if number == 0 else PRUNED)


@both_runs
def test_every_edge_is_there_whatever_was_decided(runs: Any, number: int) -> None:
    run = runs[number]
    inputs = {name: task_run["task_inputs"].values() for name, task_run in run.task_runs.items()}
    assert {name: run.tasks(chain.from_iterable(given)) for name, given in inputs.items()} == PARENTS
    assert {name: run.tasks(node["parents"]) for name, node in run.graph.items()} == PARENTS
    assert run.tasks(run.task_runs["fit"]["task_inputs"]["wait_for"]) == {"check"}


def test_steps_stand_where_they_were_called_and_none_starts_before_what_it_needs(runs: Any) -> None:
    flow_run, task_runs = runs[1].flow_run, runs[1].task_runs
    assert list(task_runs) == CALLED
    starts, ends = (
        {name: moment(task_run[time]) for name, task_run in task_runs.items()} for time in ("start_time", "end_time")
    )
    for name, parents in PARENTS.items():
        assert moment(flow_run["start_time"]) <= starts[name] <= ends[name] <= moment(flow_run["end_time"])
        assert all(starts[parent] < starts[name] for parent in parents)


@both_runs
def test_each_run_has_its_artifact_and_a_version_of_that_of_the_flow(runs: Any, number: int) -> None:
    assert {key: artifact["type"] for key, artifact in runs[number].artifacts.items()} == {
        RUN_KEY: "markdown",
        VERSIONS_KEY: "markdown",
    }


@both_uis
def test_flow_run_page_draws_the_graph_and_lists_the_states(server: Any, runs: Any, browser: Any, ui: str) -> None:
    listed = {task_run["name"]: task_run["state_name"] for task_run in runs[1].task_runs.values()}
    assert len(listed) == len(CALLED)
    look_at_flow_run(browser, f"{server.url}{ui}/runs/flow-run/{runs[1].flow_run['id']}", listed)


@both_uis
def test_task_run_page_says_why_it_was_pruned_and_what_that_saved(
    server: Any, runs: Any, browser: Any, ui: str
) -> None:
    browser.get(f"{server.url}{ui}/runs/task-run/{runs[1].task_runs['scan']['id']}")

    wait(browser, lambda page: PRUNED in text_of(page), "why and with what gain the step was pruned")
    assert "Pruned" in text_of(browser).splitlines()
    assert complaints(browser) == []


TABLE = """
    const table = document.querySelector('table');
    return table && [...table.rows].map(row => [...row.cells].map(cell => cell.innerText));
"""
TARGET = "return [...document.links].find(link => link.innerText === arguments[0])?.href;"


def rows_of_table(browser: webdriver.Chrome) -> list[dict[str, str]]:
    """The rows of the page's table by its headings; waited for and read at once, as the page may draw it anew."""
    header, *rows = wait(browser, lambda page: page.execute_script(TABLE), "a table")
    return [dict(zip(header, row, strict=True)) for row in rows]


def target_of_link(browser: webdriver.Chrome, text: str) -> Any:
    """Where the link with this text leads; waited for and read at once, as the page may draw it anew."""
    return wait(browser, lambda page: page.execute_script(TARGET, text), f"the link {text}")


def look_at_artifact(browser: webdriver.Chrome, url: str, pictures: int) -> None:
    """Wait until the page of an artifact shows its pictures."""
    browser.get(url)
    if "/v2/" in url and prefect.__version__ < "3.8":  # its new UI drops pictures that are part of the page
        pictures = 0
    wait(browser, lambda page: page.execute_script(COUNT_PICTURES) == pictures, f"{pictures} pictures")


@both_uis
def test_artifact_page_shows_the_picture_and_the_steps(server: Any, runs: Any, browser: Any, ui: str) -> None:
    look_at_artifact(browser, f"{server.url}{ui}/artifacts/artifact/{runs[1].artifacts[RUN_KEY]['id']}", pictures=1)
    steps = {row["step"]: row for row in rows_of_table(browser)}
    assert {name: step["decision"] for name, step in steps.items()} == {
        name: {"Completed": "compute", "Loaded": "load", "Pruned": "prune"}[state] for name, state in STATES.items()
    }
    assert steps["scan"]["saved"].split() == ["1.0", "s"]
    assert steps["fit"]["reason"] == "argument reg changed: 0.1 → 0.2"
    assert "Parameter reg changed: 0.1 → 0.2" in text_of(browser)
    own = target_of_link(browser, "More about this run")
    assert own == f"http://127.0.0.1:4300/runs/{runs[1].flow_run['id']}"
    assert complaints(browser) == []


@both_uis
def test_the_versions_of_the_flow_are_drawn_and_listed(server: Any, runs: Any, browser: Any, ui: str) -> None:
    artifact = runs[1].artifacts[VERSIONS_KEY]
    look_at_artifact(browser, f"{server.url}{ui}/artifacts/artifact/{artifact['id']}", pictures=2)
    newest, oldest = rows_of_table(browser)
    assert (newest["changed"], oldest["changed"]) == ("reg 0.1 → 0.2", "first run")
    assert [row["computed"].replace("\u00a0", " ") for row in (newest, oldest)] == ["2 of 6", "6 of 6"]
    assert newest["saved"].endswith("s")
    assert oldest["saved"] == ""
    assert newest["metrics"].startswith("score")
    page = target_of_link(browser, runs[0].flow_run["name"])
    assert page == f"{server.url}/runs/flow-run/{runs[0].flow_run['id']}"
    assert complaints(browser) == []


@both_uis
def test_the_flow_has_one_page_of_its_versions(server: Any, runs: Any, browser: Any, ui: str) -> None:
    browser.get(f"{server.url}{ui}/artifacts/key/{VERSIONS_KEY}")
    wait(browser, lambda page: all(run.flow_run["name"] in text_of(page) for run in runs), "both versions")
    assert complaints(browser) == []
