"""What a run of many steps tells the server: as much as it can take, and in words what is left out."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from typing import Any

import pytest
from prefect import task
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import ArtifactSort
from prefect.runtime import flow_run

from prefect_helix import helix_flow, helix_task
from prefect_helix.reporting import artifact_key
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

RAN = logging.getLogger("ran")
TOLD = 30
"""How many steps the server is told of here: the real number would keep it busy for minutes."""

ELEMENTS = 80
EFFECTS = 20
RECORDS_SECONDS = 120
"""How long the server may take to record what it was told."""


@helix_task
def listed(count: int) -> list[int]:
    RAN.info("listed")
    return list(range(count))


@helix_task
def double(x: int) -> int:
    RAN.info("double")
    return 2 * x


@helix_task
def total(numbers: list[int]) -> int:
    RAN.info("total")
    return sum(numbers)


@task
def written(x: int) -> None:
    RAN.info("written")


def test_of_more_steps_than_the_server_takes_the_last_of_a_map_are_told_in_one_line(
    store: str, ran: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_helix.reporting.REPORTED_NODES", TOLD)

    @helix_flow(store=store)
    def wide() -> str:
        total(double.map(listed(ELEMENTS)))
        written.map(range(EFFECTS)).wait()
        return str(flow_run.id)

    wide()
    ran.take()
    second = wide()

    assert Counter(ran.take()) == {"written": EFFECTS}
    shown = TOLD - 2  # beside the two tasks that are called once
    ended = recorded(second, TOLD + EFFECTS)
    assert Counter((run.name.rpartition("-")[0], str(run.state_name)) for run in ended) == {
        ("listed", "Loaded"): 1,
        ("double", "Pruned"): shown,
        ("total", "Loaded"): 1,
        ("written", "Completed"): EFFECTS,
    }
    (lineage,) = (one for one in Catalog(open_store(store)).read().lineages if one.run.run_id == second)
    spared = {str(run.id) for run in ended if run.state_name != "Completed"}
    assert {trace.task_run_id for trace in lineage.traces} == {*spared, ""}
    left_out = (
        f"Only {TOLD} of {ELEMENTS + 2} loaded and pruned steps are shown as task runs, without "
        f"{ELEMENTS - shown} calls of double."
    )
    assert said.lines.count(f"INFO: helix: {left_out}") == 1
    artifact = Artifact.get("helix-wide")
    assert artifact is not None
    assert left_out in str(artifact.data)
    assert f"| double ({ELEMENTS} calls) | prune |" in str(artifact.data)


def recorded(flow_run_id: str, count: int) -> list[TaskRun]:
    """The task runs of a flow run, once the server has recorded so many ends, or after a while."""
    until = time.monotonic() + RECORDS_SECONDS
    chosen = FlowRunFilter(id={"any_": [flow_run_id]})
    ended: list[TaskRun] = []
    with get_client(sync_client=True) as client:
        while len(ended) < count and time.monotonic() < until:
            ended = [run for run in client.read_task_runs(flow_run_filter=chosen) if run.end_time is not None]
    return ended


@pytest.mark.parametrize(
    ("flow", "key"),
    [
        ("Income Model", "helix-income-model"),
        ("my_flow", "helix-my-flow"),
        ("!", "helix-flow"),
        ("收入", "helix-flow-[0-9a-f]{8}"),
        ("Ümsatz", "helix-msatz-[0-9a-f]{8}"),
    ],
)
def test_an_artifact_has_a_key_that_prefect_takes(flow: str, key: str) -> None:
    assert re.fullmatch(key, artifact_key(flow))


def test_flows_whose_names_differ_in_letters_that_are_lost_have_artifacts_of_their_own() -> None:
    names = ["收入", "支出", "Ümsatz", "Ömsatz", "msatz"]
    assert len({artifact_key(name) for name in names}) == len(names)


def test_the_artifact_of_a_flow_grows_by_a_version_with_each_run(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_UI_URL", "http://helix")

    @helix_task
    def scored(reg: int) -> dict[str, int]:
        return {"score": 10 * reg}

    @helix_flow(store=store, name="Growing Flow")
    def growing(reg: int) -> tuple[str, str]:
        scored(reg)
        return str(flow_run.id), str(flow_run.name)

    ids, names = zip(*(growing(reg) for reg in (1, 2, 2)), strict=True)

    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(key={"any_": ["helix-versions--growing-flow"]})
        kept = client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.CREATED_DESC)
    versions = [str(artifact.data) for artifact in kept]
    assert [str(artifact.flow_run_id) for artifact in kept] == [*reversed(ids)]
    assert [[name in one for name in names] for one in versions] == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
    ]
    newest = [line.replace("\u00a0", " ") for line in versions[0].splitlines() if line.startswith("| [")]
    assert [row.split(" | ")[2:4] for row in newest] == [
        ["nothing changed", "0 of 1"],
        ["reg 1 → 2", "1 of 1"],
        ["first run", "1 of 1"],
    ]
    assert all(f"/runs/flow-run/{id}>)" in row for id, row in zip(reversed(ids), newest, strict=True))
    assert all(f"<http://helix/runs/{id}>" in versions[0] for id in ids)
    assert versions[0].count("](data:image/svg+xml;base64,") == 2
    run = Artifact.get("helix-growing-flow")
    assert run is not None
    assert f"[More about this run](<http://helix/runs/{ids[-1]}>)" in str(run.data)
