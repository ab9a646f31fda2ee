"""Which calls wait for another run that computes the same; how they wait is in ``tests/runtime/test_waiting.py``."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import task

from prefect_helix import helix_flow, helix_task
from prefect_helix.runtime import scheduler
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.waiting import Waiting


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks whose calls looked for another run; every compute is long enough for that."""
    names: list[str] = []

    def claim(self: Waiting, node: Node) -> list[Any]:
        names.append(node.spec.name)
        return []

    monkeypatch.setattr(Waiting, "claim", claim)
    monkeypatch.setattr(scheduler, "LONG_US", 0)
    return names


@helix_task
def direct(number: int) -> int:
    return number


@helix_task
def submitted(number: int) -> int:
    return number


@helix_task
def below(number: int) -> int:
    return number


def test_direct_calls_wait_if_they_are_told_to(store: str, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    @helix_flow(store=store)
    def inner(number: int) -> int:
        return below(number)

    @task
    def plain(number: int) -> int:
        return inner(number)

    @helix_flow(store=store)
    def outer(number: int, in_task: bool) -> int:
        return direct(number) + submitted.submit(number).result() + (plain if in_task else inner)(number)

    outer(1, in_task=True)
    assert asked == []
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_WAIT", "60")
    assert outer(2, in_task=True) == 6
    assert asked == ["direct"]
    assert outer(3, in_task=False) == 9
    assert asked == ["direct", "direct", "below"]
