"""Metrics that code logs: what was logged is told of the run, and of each later run that reuses the step."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest
from prefect import flow, task
from prefect.task_runners import ProcessPoolTaskRunner

from prefect_helix import find_run, helix_flow, helix_task, log_metric
from prefect_helix.core.errors import ConfigurationError

RAN = logging.getLogger("ran")
ROWS = 20_000


@helix_task
def fit(rate: float) -> np.ndarray:
    RAN.info("fit")
    for epoch in range(3):
        log_metric("loss", rate / (epoch + 1))
    log_metric("rows", np.float32(ROWS))
    return np.arange(ROWS) * rate


@helix_task
def evaluate(weights: np.ndarray) -> dict[str, float]:
    RAN.info("evaluate")
    log_metric("loss", 0.25)
    return {"score": float(weights[1])}


@task
def plain(x: float) -> float:
    log_metric("plain", x)
    return x


def train(rate: float) -> Any:
    log_metric("seen", 7)
    score = evaluate(fit(rate))["score"]
    plain.submit(rate).result()
    log_metric("doubled", 2 * score)
    return score


LOGGED = {"seen": 7.0, "plain": 3.0, "doubled": 6.0, "loss": 0.25, "score": 3.0, "fit.loss": 1.0, "rows": float(ROWS)}


def test_what_is_logged_belongs_to_its_step_and_comes_back_with_it(store: str, ran: Any) -> None:
    made = helix_flow(store=store, policy="always")(train)
    made(3.0)
    assert (ran.take(), find_run(store=store).metrics) == (["fit", "evaluate"], LOGGED)
    made(3.0)
    assert (ran.take(), find_run(store=store).metrics) == ([], LOGGED)


def test_the_first_run_of_a_plain_flow_has_what_is_logged_after_its_first_step(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", store)
    made = flow(train)
    made(3.0)
    assert find_run(store=store).metrics == {name: value for name, value in LOGGED.items() if name != "seen"}
    made(3.0)
    assert find_run(store=store).metrics == LOGGED


@helix_task
async def score(x: float) -> float:
    log_metric(f"score {x:g}", x)
    await asyncio.sleep(0)
    log_metric(f"twice {x:g}", 2 * x)
    return x


def test_async_steps_side_by_side_keep_apart_what_they_log(store: str) -> None:
    @helix_flow(store=store)
    async def scoring() -> float:
        log_metric("begun", 1)
        return sum(await asyncio.gather(score(1.0), score(2.0)))

    logged = {"begun": 1.0, "score 1": 1.0, "twice 1": 2.0, "score 2": 2.0, "twice 2": 4.0}
    assert [asyncio.run(scoring()), find_run(store=store).metrics] == [3.0, logged]
    assert [asyncio.run(scoring()), find_run(store=store).metrics] == [3.0, logged]


_attempts: list[int] = []


@helix_task(retries=1)
def flaky(x: int) -> int:
    _attempts.append(x)
    log_metric(f"attempt {len(_attempts)}", len(_attempts))
    if len(_attempts) == 1:
        raise ValueError("once")
    return x


def test_of_retries_the_last_counts(store: str) -> None:
    _attempts.clear()
    helix_flow(store=store)(lambda: flaky(1))()
    assert find_run(store=store).metrics == {"attempt 2": 2.0}


@helix_task
def diverges(x: int) -> int:
    log_metric("loss", float("inf"))
    raise ValueError("it diverged")


def test_what_a_step_logged_before_it_failed_is_told(store: str) -> None:
    with pytest.raises(ValueError, match="diverged"):
        helix_flow(store=store)(lambda: diverges(1))()
    assert find_run(store=store).metrics == {"loss": float("inf")}


def test_what_is_computed_once_more_to_be_verified_logs_nothing(store: str) -> None:
    made = helix_flow(store=store, policy="always", verify=1.0)(train)
    made(3.0)
    made(3.0)
    assert find_run(store=store).metrics == LOGGED


@helix_task
def elsewhere(x: float) -> float:
    log_metric("there", x)
    return x


def test_steps_in_a_pool_of_processes_log_too(store: str) -> None:
    @helix_flow(store=store, task_runner=ProcessPoolTaskRunner(max_workers=1))
    def pooled() -> float:
        return float(elsewhere.submit(4.0).result())

    pooled()
    assert find_run(store=store).metrics == {"there": 4.0}


def test_a_function_that_is_called_by_itself_logs_nowhere() -> None:
    assert fit.fn(1.0).shape == (ROWS,)


@pytest.mark.parametrize(("name", "value"), [("", 1), (None, 1), ("loss", "low"), ("loss", [1]), ("loss", None)])
def test_what_is_no_metric_is_refused(name: Any, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"metric"):
        log_metric(name, value)
