"""A user's project, deployed: a served flow and a worker, with processes that the tests watch through files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_helix.core.lineage import Lineage
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

PATIENCE_S = 120
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def until(condition: Callable[[], Any], what: str) -> Any:
    """Return what `condition` gives as soon as that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = None
        with contextlib.suppress(
            httpx.TransportError, StopIteration
        ):  # the server stalls at times; it is not there yet
            found = condition()
        if found:
            return found
        time.sleep(0.25)
    pytest.fail(f"{what} did not come about within {PATIENCE_S} s.")


@dataclass
class Project:
    """A folder with the program, what its runs leave behind, and the server that knows them.

    Attributes:
        server: The server.
        folder: Where the program is.
        executions: Where runs tell what ran, and find whether they are to wait.
        store: The store that its deployments are told to use.
    """

    server: Any
    folder: Path
    executions: Path
    store: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        found = [str(self.folder), *sys.path]
        return {**self.server.environment, "EXECUTIONS": str(self.executions), "PYTHONPATH": os.pathsep.join(found)}

    def edit(self, file: str, old: str, new: str) -> None:
        """Change the source."""
        source = (self.folder / file).read_text()
        assert source.count(old) == 1, f"{old!r} is not in {file} once"
        (self.folder / file).write_text(source.replace(old, new))

    def orders(self, day: str, price: float) -> str:
        """Write a file of orders and return its path."""
        path = self.folder / f"orders-{day}-{price}.txt"
        path.write_text(f"{day} {price}")
        return str(path)

    def expected(self, price: float, *, weight: float = 0.5, tax: float | None = None, region: str = "north") -> str:
        """Return what a run has to say if it is right, at another tax than that of today if one is given."""
        tax = tax or float((self.folder / "prices.py").read_text().split()[-1])
        return f"{region}: {weight * sum((price + number) * tax for number in range(10_000)):.0f}"

    # -- processes -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self, *command: str, **environment: str) -> Iterator[Path]:
        """Run a program that goes on until it is stopped; gives the file of what it says."""
        output = self.folder / f"{command[-1]}.log"
        with output.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield output
        finally:
            self.server.stop(process)

    def python(self, *arguments: str, **environment: str) -> str:
        """Run a program to its end and return what it says."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    # -- runs ----------------------------------------------------------------------------------------------------

    def deployment(self, name: str) -> str:
        """Return the id of a deployment, as soon as there is one."""
        url = f"{self.server.url}/api/deployments/name/Sales/{name}"
        return until(lambda: (found := httpx.get(url, timeout=60)).is_success and found.json()["id"], name)

    def start(self, deployment: str, **parameters: Any) -> str:
        """Create a flow run as the UI does, and return its id."""
        path = f"/deployments/{self.deployment(deployment)}/create_flow_run"
        return self.server.ask(path, parameters=parameters)["id"]

    def state(self, run: str) -> str:
        """Return the type of the state that a flow run is in."""
        return self.server.ask(f"/flow_runs/{run}")["state"]["type"]

    def ended(self, run: str) -> str:
        """Wait for the end of a flow run, and return the type of its state."""
        return until(lambda: (state := self.state(run)) in TERMINAL and state, f"The end of run {run}")

    def run(self, deployment: str, **parameters: Any) -> str:
        """Create a flow run, wait until it is completed, and return its id."""
        run = self.start(deployment, **parameters)
        assert self.ended(run) == "COMPLETED"
        return run

    def by_hand(self, *command: str) -> str:
        """Run the flow with a command of one's own, and return the id of its run."""
        before = set(self.executions.glob("*.txt"))
        self.python(*command, PREFECT_INTEGRATIONS_HELIX_STORE=str(self.store))
        (said,) = set(self.executions.glob("*.txt")) - before
        return said.stem

    def cancel(self, run: str) -> None:
        """Cancel a flow run as the UI does."""
        self.server.ask(f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})

    def runs(self, deployment: str, *states: str) -> list[str]:
        """Return the ids of a deployment's runs in some states, in the order in which they began."""
        chosen = {"id": {"any_": [self.deployment(deployment)]}}
        of_type = {"state": {"type": {"any_": states}}}
        found = self.server.ask(
            "/flow_runs/filter", deployments=chosen, flow_runs=of_type, sort="EXPECTED_START_TIME_ASC"
        )
        return [run["id"] for run in found]

    def logged(self, run: str, level: int = 0) -> list[str]:
        """Return what a flow run that has ended logged, from a level on, as soon as the server has all of it."""
        of_run = {"flow_run_id": {"any_": [run]}}

        def logs() -> Any:
            lines = self.server.ask("/logs/filter", logs=of_run, sort="TIMESTAMP_ASC")
            return any(line["message"].startswith("Finished in state") for line in lines) and lines

        return [line["message"] for line in until(logs, f"The end of the log of {run}") if line["level"] >= level]

    def ran(self, run: str) -> list[str]:
        """Return the task bodies that ran in a flow run."""
        return [line.split()[0] for line in self._executions(run)]

    def processes(self, run: str) -> set[str]:
        """Return the processes that task bodies of a flow run ran in."""
        return {line.split()[1] for line in self._executions(run)}

    def _executions(self, run: str) -> list[str]:
        log = self.executions / f"{run}.log"
        return log.read_text().splitlines() if log.exists() else []

    def said(self, run: str) -> str:
        """Return the text that a flow run published."""
        return (self.executions / f"{run}.txt").read_text()

    def lineage(self, run: str) -> Lineage:
        """Return what the store knows of a flow run."""
        known = Catalog(open_store(self.store)).read()
        assert known.problems == ()
        return next(lineage for lineage in known.lineages if lineage.run.run_id == run)

    def decisions(self, run: str) -> dict[str, str]:
        """Return what was decided for each task of a flow run."""
        return {trace.task: trace.decision.value for trace in self.lineage(run).traces}

    # -- holding -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def hold(self, task: str) -> Iterator[None]:
        """Have every run wait where the body of `task` begins; in `publish`, where it ends."""
        for told in self.executions.glob(f"{task}-*.held"):
            told.unlink()
        flag = self.executions / f"hold-{task}"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    def held_in(self, task: str) -> set[str]:
        """Return the runs that are held in the body of `task`."""
        return {path.stem.removeprefix(f"{task}-") for path in self.executions.glob(f"{task}-*.held")}


@pytest.fixture(scope="module")
def project(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project in a folder of its own, with an empty store."""
    folder = tmp_path_factory.mktemp("project") / "sales"
    shutil.copytree(Path(__file__).parent / "project", folder, ignore=shutil.ignore_patterns("__pycache__"))
    executions = folder.parent / "executions"
    executions.mkdir()
    return Project(server, folder, executions, folder.parent / "store")
