"""What a user sees in the Prefect UI: two runs of a flow in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 120

OWN_UI = "http://127.0.0.1:4300"

PIPELINE = """
import itertools, json, sys, types
import numpy as np
import pandas as pd
import prefect_helix.clones
from prefect_helix import helix_flow, helix_task

ROWS = 20_000  # large enough not to be handed out by value
every_body_takes_a_second = itertools.count(step=1_000_000_000).__next__
prefect_helix.clones.time = types.SimpleNamespace(perf_counter_ns=every_body_takes_a_second)


@helix_task
def scan(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"age": np.arange(rows) % 90, "income": np.arange(rows) * 1.5})


@helix_task
def clean(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["age"] >= 18].reset_index(drop=True)


@helix_task
def check(frame: pd.DataFrame) -> bool:
    return bool(frame["age"].ge(18).all())


@helix_task
def features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ratio=frame["income"] / frame["age"])


@helix_task
def fit(frame: pd.DataFrame, reg: float) -> dict[str, float]:
    return {"slope": float(frame["ratio"].mean() * reg)}


@helix_task
def evaluate(model: dict[str, float], frame: pd.DataFrame) -> dict[str, float]:
    return {"score": model["slope"] / float(frame["income"].max())}


@helix_flow(name="Income Model")
def income_model(reg: float) -> dict[str, float]:
    rows = clean(scan(ROWS))
    checked = check.submit(rows)
    model = fit(features(rows), reg, wait_for=[checked])
    return evaluate(model, rows)


income_model(**json.loads(sys.argv[1]))
"""


@dataclass(frozen=True)
class ShownRun:
    """What the API says of one flow run, by name of the task, in the order of the page.

    Attributes:
        flow_run: The flow run.
        task_runs: Its task runs.
        graph: Nodes of its dependency graph.
        artifacts: Its artifacts, by their keys.
    """

    flow_run: dict[str, Any]
    task_runs: dict[str, dict[str, Any]]
    graph: dict[str, dict[str, Any]]
    artifacts: dict[str, dict[str, Any]]

    def tasks(self, references: Iterable[dict[str, Any]]) -> set[str]:
        """Return the names of the tasks whose task runs are meant."""
        names = {task_run["id"]: name for name, task_run in self.task_runs.items()}
        return {names[reference["id"]] for reference in references}


def task_name(task_run_name: str) -> str:
    return task_run_name.rpartition("-")[0]


@pytest.fixture(scope="session")
def runs(server: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[ShownRun, ShownRun]:
    """A first run, and one with another parameter."""
    script = tmp_path_factory.mktemp("project") / "pipeline.py"
    script.write_text(PIPELINE)
    for arguments in ({"reg": 0.1}, {"reg": 0.2}):
        command = [sys.executable, script.name, json.dumps(arguments)]
        environment = {
            **server.environment,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PREFECT_INTEGRATIONS_HELIX_UI_URL": OWN_UI,
        }
        done = subprocess.run(
            command, cwd=script.parent, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stdout + done.stderr
    of_flow = {"name": {"any_": ["Income Model"]}}
    first, second = server.ask("/flow_runs/filter", flows=of_flow, sort="EXPECTED_START_TIME_ASC")
    return _shown(server, first), _shown(server, second)


def _shown(server: Any, flow_run: dict[str, Any]) -> ShownRun:
    def recorded(_: object) -> Any:
        of_run = {"id": {"any_": [flow_run["id"]]}}
        task_runs = server.ask("/task_runs/filter", flow_runs=of_run, sort="EXPECTED_START_TIME_ASC")
        return [task_run["state_type"] for task_run in task_runs] == ["COMPLETED"] * 6 and task_runs

    # The server records what happened to task runs some time after it was told.
    task_runs = WebDriverWait(None, PATIENCE_S).until(recorded, "The server did not record six completed task runs.")
    return ShownRun(
        flow_run,
        {task_name(task_run["name"]): task_run for task_run in task_runs},
        {task_name(node["label"]): node for _, node in server.ask(f"/flow_runs/{flow_run['id']}/graph-v2")["nodes"]},
        {
            artifact["key"]: artifact
            for artifact in server.ask("/artifacts/filter", artifacts={"flow_run_id": {"any_": [flow_run["id"]]}})
        },
    )
