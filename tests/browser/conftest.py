"""What a user sees in the Prefect UI: a real server, two runs of a flow in processes of their own, a real browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 120

PIPELINE = """
import itertools, json, sys, types
import numpy as np
import pandas as pd
import prefect_helix.engine
from prefect_helix import helix_flow, helix_task

ROWS = 20_000  # large enough not to be handed out by value
every_body_takes_a_second = itertools.count(step=1_000_000_000).__next__
prefect_helix.engine.time = types.SimpleNamespace(perf_counter_ns=every_body_takes_a_second)


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
class Server:
    """A Prefect server of its own.

    Attributes:
        url: Where its UI is; the API is below it.
        environment: Environment of processes that use it.
    """

    url: str
    environment: dict[str, str]

    def ask(self, path: str, **query: Any) -> Any:
        """Return the answer of its API: to a POST where there is a query, else to a GET."""
        url = f"{self.url}/api{path}"
        answer = httpx.post(url, json=query, timeout=60) if query else httpx.get(url, timeout=60)
        return answer.raise_for_status().json()


@dataclass(frozen=True)
class ShownRun:
    """What the API says of one flow run, by name of the task, in the order of the page.

    Attributes:
        flow_run: The flow run.
        task_runs: Its task runs.
        graph: Nodes of its dependency graph.
        artifacts: Its artifacts.
    """

    flow_run: dict[str, Any]
    task_runs: dict[str, dict[str, Any]]
    graph: dict[str, dict[str, Any]]
    artifacts: list[dict[str, Any]]

    def tasks(self, references: Iterable[dict[str, Any]]) -> set[str]:
        """Return the names of the tasks whose task runs are meant."""
        names = {task_run["id"]: name for name, task_run in self.task_runs.items()}
        return {names[reference["id"]] for reference in references}


def task_name(task_run_name: str) -> str:
    return task_run_name.rpartition("-")[0]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as a user starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_TO_API_ENABLED": "true",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    output = home / "server.log"
    with output.open("w") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for_health(url, process, output)
        yield Server(url, environment)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_health(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/api/health", timeout=10).is_success:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"The Prefect server did not start:\n{output.read_text()}")


@pytest.fixture(scope="session")
def runs(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[ShownRun, ShownRun]:
    """A first run, and one with another parameter."""
    script = tmp_path_factory.mktemp("project") / "pipeline.py"
    script.write_text(PIPELINE)
    for arguments in ({"reg": 0.1}, {"reg": 0.2}):
        command = [sys.executable, script.name, json.dumps(arguments)]
        environment = {**server.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            command, cwd=script.parent, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stdout + done.stderr
    first, second = server.ask("/flow_runs/filter", sort="EXPECTED_START_TIME_ASC")
    return _shown(server, first), _shown(server, second)


def _shown(server: Server, flow_run: dict[str, Any]) -> ShownRun:
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
        server.ask("/artifacts/filter", artifacts={"flow_run_id": {"any_": [flow_run["id"]]}}),
    )


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A headless Chromium that reaches this machine only."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium or its chromedriver is not installed (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
        "window-size=1400,1300",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()
