"""Plays features: each turn is a module loaded anew, and a run of its flow on a real Prefect server."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import linecache
import logging
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from .feature import Feature

TURNS = ("fresh", "unchanged", "edited")
SPARED = ("Loaded", "Pruned", "Cached")
"""States of what was not computed; Prefect's own cache gives the last."""

RECORDS_SECONDS = 120
"""How long the server may take to record what it was told; with SQLite it may not answer for a minute."""

_RANDOM = re.compile(r"-([0-9a-f]{3}|[0-9a-f]{8}-[0-9a-f-]{27})$")


class Collected(logging.Handler):
    """Collects messages while it is attached to a logger."""

    def __init__(self, logger: str) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._logger = logging.getLogger(logger)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> Collected:
        self._level, self._propagate = self._logger.level, self._logger.propagate
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)


@dataclass(frozen=True)
class Played:
    """What came of one turn.

    Attributes:
        outcome: The result or the exception, as data.
        ran: The bodies that ran.
        warnings: What people were warned of.
        planned: The flow runs that told a plan.
        began: When it began.
        ended: When it ended.
    """

    outcome: Any
    ran: list[str]
    warnings: list[str]
    planned: list[str]
    began: datetime
    ended: datetime


class Stage:
    """A folder in which features are played, one after the other.

    Args:
        folder: The folder.
        patch: Sets the environment.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        patch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", str(folder / "store"))

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Have Prefect keep results in the folder; the thread of heartbeats would keep each flow run for a second."""
        with temporary_settings(
            {PREFECT_LOCAL_STORAGE_PATH: self._folder / "results", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        ):
            yield

    def plain(self, feature: Feature) -> dict[str, Played]:
        """Play with Prefect's decorators, before and after the edit."""
        self._clear()
        return {turn: self._play(feature, turn, helix=False) for turn in ("fresh", "edited")}

    def helix(self, feature: Feature) -> dict[str, Played]:
        """Play all turns with ours."""
        self._clear()
        return {turn: self._play(feature, turn, helix=True) for turn in TURNS}

    def _clear(self) -> None:
        for name in ("store", "results"):
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _play(self, feature: Feature, turn: str, *, helix: bool) -> Played:
        began = datetime.now(timezone.utc)
        with Collected("ran") as ran, Collected("prefect.flow_runs") as told:
            outcome = _outcome(_loaded(self._folder, feature.source(turn, helix=helix)), turn)
        helix_told = [record for record in told.records if record.getMessage().startswith("helix:")]
        return Played(
            outcome,
            [record.getMessage() for record in ran.records],
            [record.getMessage() for record in helix_told if record.levelno >= logging.WARNING],
            sorted({str(vars(record)["flow_run_id"]) for record in helix_told}),
            began,
            datetime.now(timezone.utc),
        )


def _loaded(folder: Path, source: str) -> Any:
    """Import a source as a new module of the same name as in all turns."""
    (folder / "project.py").write_text(source)
    linecache.clearcache()
    sys.modules.pop("project", None)
    with _importable(folder):
        return importlib.import_module("project")


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes


def _outcome(project: Any, turn: str) -> Any:
    try:
        made = project.play(turn) if hasattr(project, "play") else project.main()
        return seen(asyncio.run(_awaited(made)) if inspect.isawaitable(made) else made)
    except BaseException as error:  # what crashes a run, too
        return seen(error)


async def _awaited(made: Any) -> Any:
    return await made


def seen(value: Any) -> Any:
    """Return a result as data that can be compared: states and futures with what they hold, errors by their words."""
    if isinstance(value, PrefectFuture):
        value.wait()
        return ("future", seen(value.state))
    if isinstance(value, State):
        return ("state", value.type.value, _plain_name(value.name), seen(value.result(raise_on_failure=False)))
    if isinstance(value, BaseException):
        return (type(value).__name__, _without_ids(str(value)))
    if isinstance(value, (list, tuple, set)):
        return (type(value).__name__, [seen(part) for part in value])
    if isinstance(value, dict):
        return {key: seen(part) for key, part in value.items()}
    return (type(value).__name__, str(value))


def _plain_name(name: str | None) -> str | None:
    return "Completed" if name in SPARED else name


def _without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|(?<=-)[0-9a-f]{3}\b", "*", text)


@dataclass(frozen=True)
class Records:
    """What the server knows of the runs of a turn.

    Attributes:
        flow_runs: Flow, type and name of the state, and the state's message, of each flow run.
        task_runs: Name, tags, type and name of the state, and the names of the task runs that it takes results of, of
            each task run; those spared as if they were computed.
    """

    flow_runs: Counter[Any]
    task_runs: Counter[Any]


def records(played: Played) -> Records:
    """Ask the server for what it knows of the runs of a turn."""
    turn = FlowRunFilter(expected_start_time={"after_": played.began, "before_": played.ended})
    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs(flow_run_filter=turn)
        ids = {run.id for run in flow_runs}
        of_them = FlowRunFilter(id={"any_": list(ids)})
        task_runs = [run for run in client.read_task_runs(flow_run_filter=of_them, limit=200) if run.flow_run_id in ids]
        flows = {run.flow_id: client.read_flow(run.flow_id).name for run in flow_runs}
    names = {run.id: _RANDOM.sub("", run.name) for run in task_runs}

    def edges(run: Any) -> tuple[str, ...]:
        ids = {taken.id for inputs in run.task_inputs.values() for taken in inputs if hasattr(taken, "id")}
        return tuple(sorted(names.get(one, "unknown") for one in ids))

    return Records(
        Counter((flows[run.flow_id], run.state_type.value, run.state_name, run.state.message) for run in flow_runs),
        Counter(
            (
                names[run.id],
                tuple(sorted(run.tags)),
                run.state_type.value if run.state_type else None,
                _plain_name(run.state_name),
                edges(run),
            )
            for run in task_runs
        ),
    )


def shown_plans(played: Played) -> list[str]:
    """Ask the server for the flow runs of a turn that show a plan."""
    turn = FlowRunFilter(expected_start_time={"after_": played.began, "before_": played.ended})
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(flow_run_filter=turn)
    return sorted({str(one.flow_run_id) for one in found if (one.key or "").startswith("helix-")})


def settled(played: Played, enough: Callable[[Records], bool]) -> Records:
    """Return what the server knows once it is enough, or after a while: it records task runs a little later."""
    until = time.monotonic() + RECORDS_SECONDS
    while not enough(found := records(played)) and time.monotonic() < until:
        time.sleep(0.2)
    return found
