"""Flows against a real Prefect: what ran is what the logger `ran` was told."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prefect_helix.storage.store import Store

RUNNER = """
import json, logging, sys
from pathlib import Path

log = logging.getLogger("ran")
log.setLevel(logging.INFO)
log.propagate = False
log.addHandler(logging.FileHandler("ran.log"))
import pipeline
if __name__ == "__main__":  # a pool's processes begin with this file
    Path("result.json").write_text(json.dumps(pipeline.main(**json.loads(sys.argv[1]))))
"""


@pytest.fixture(autouse=True)
def _server(prefect_server: str) -> None:
    """Every test here runs flows."""


@pytest.fixture(autouse=True)
def _slow(slow_tasks: None) -> None:
    """No plan hangs on how fast the machine is."""


class Ran(logging.Handler):
    """Collects the names of the task bodies that ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.names.append(record.getMessage())

    def take(self) -> list[str]:
        """Return what ran since the last time."""
        names, self.names = self.names, []
        return names


@pytest.fixture
def ran() -> Iterator[Ran]:
    """The log of executions."""
    log, handler = logging.getLogger("ran"), Ran()
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An empty store."""
    return str(tmp_path / "store")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the blobs that are loaded."""
    names: list[str] = []
    get = Store.get_blob

    def noted(self: Store, name: str) -> object:
        names.append(name)
        return get(self, name)

    monkeypatch.setattr(Store, "get_blob", noted)
    return names


class Helix(logging.Handler):
    """Collects what prefect_helix tells people."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("helix:"):
            self.lines.append(f"{record.levelname}: {record.getMessage()}")

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.lines if not line.startswith("INFO")]


@pytest.fixture
def said() -> Iterator[Helix]:
    """What was logged to the flow runs."""
    log, handler = logging.getLogger("prefect.flow_runs"), Helix()
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


@dataclass
class Project:
    """A user's project in a folder, each run of which is a fresh process."""

    folder: Path
    files: dict[str, str] = field(default_factory=dict)

    def write(self, **sources: str) -> None:
        for name, source in sources.items():
            self.files[name] = textwrap.dedent(source)
            (self.folder / f"{name}.py").write_text(self.files[name])

    def edit(self, name: str, old: str, new: str) -> None:
        assert self.files[name].count(old) == 1, f"{old!r} is not in {name} once"
        self.write(**{name: self.files[name].replace(old, new)})

    def start(self, arguments: str = "{}", **environment: str) -> subprocess.Popen[str]:
        (self.folder / "run.py").write_text(RUNNER)
        (self.folder / "ran.log").write_text("")
        return subprocess.Popen(
            [sys.executable, "run.py", arguments],
            cwd=self.folder,
            env={**os.environ, "PREFECT_API_URL": self.api_url, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, arguments: str = "{}", **environment: str) -> tuple[str, list[str]]:
        """Run it; return its result as JSON, and the bodies that ran."""
        process = self.start(arguments, **environment)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return (self.folder / "result.json").read_text(), self.ran()

    def ran(self) -> list[str]:
        return (self.folder / "ran.log").read_text().split()

    api_url: str = ""


@pytest.fixture
def project(tmp_path: Path, prefect_server: str) -> Callable[..., Project]:
    """Makes projects."""

    def make(**sources: str) -> Project:
        folder = tmp_path / "project"
        folder.mkdir()
        made = Project(folder, api_url=prefect_server)
        made.write(**sources)
        return made

    return make
