"""A run that waits for what another one computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_helix.runtime import presence
from prefect_helix.storage import leases
from prefect_helix.storage.store import open_store

pytestmark = pytest.mark.timeout(120)

PROGRAM = Path(__file__).with_name("two_runs.py")


Played = Callable[..., dict[str, Any]]


@pytest.fixture
def played(told_by: Played) -> Played:
    return partial(told_by, PROGRAM, timeout_s=100)


def test_what_another_run_computes_is_waited_for_and_loaded(played: Played) -> None:
    found = played("finishes", "60")
    assert found == {"computed": ["first"], "value": 50_000, "bodies": [], "warnings": {}, "leases": []}


def test_a_run_that_is_killed_is_waited_for_until_its_lease_has_grown_old(played: Played) -> None:
    found = played("is-killed", "60")
    assert (found["computed"], found["value"], found["bodies"]) == (["first", "second"], 50_000, ["fit"])
    assert found["leases"] == ["leases/run11.json"]


@pytest.mark.parametrize("seconds", ["0", "0.000001"], ids=["off", "at its limit"])
def test_nobody_waits_longer_than_told(played: Played, seconds: str) -> None:
    found = played("finishes", seconds)
    assert (found["computed"], found["value"], found["bodies"]) == (["first", "second"], 50_000, ["fit"])
    assert found["leases"] == []


def test_a_run_that_lasts_is_known_whatever_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(presence, "time", SimpleNamespace(monotonic=lambda: now_s))
    store = open_store(tmp_path)
    run = presence.Presence(store, "run-1", frozenset, lambda error: None)
    run.tell_if_due()
    assert store.list("leases") == []
    now_s = leases.BEAT_SECONDS
    run.tell_if_due()
    assert [lease.run_id for lease in leases.in_force(store)] == ["run-1"]
