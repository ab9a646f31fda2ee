"""What leaves memory while a flow of a real Prefect runs, and is not missed."""

from __future__ import annotations

import logging
import weakref
from typing import Any

import pandas as pd
from prefect import task
from prefect.client.schemas.objects import State

from prefect_helix import helix_flow, helix_task
from prefect_helix.runs import current_run

ROWS = 600_000


def note(name: str) -> None:
    logging.getLogger("ran").info(name)


@helix_task
def make(number: int) -> pd.DataFrame:
    note("make")
    return pd.DataFrame({"x": [float(number)] * ROWS})


@helix_task
def step(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    note("step")
    return frame + number


@task
def plainly(frame: pd.DataFrame) -> float:
    note("plainly")
    return float(frame["x"].iloc[0])


def test_a_chain_takes_what_few_of_its_steps_take(store: str, ran: Any) -> None:
    alive: list[weakref.ref[Any]] = []
    most = []

    @helix_task
    def more(frame: pd.DataFrame, number: int) -> pd.DataFrame:
        made = frame + number
        alive.append(weakref.ref(made))
        most.append(sum(one() is not None for one in alive))
        return made

    def written() -> None:
        run = current_run()
        assert run is not None
        run.session.keeper.flush()  # what waits to be written is in memory, too

    def named() -> float:
        results = [make(0)]
        for number in range(8):
            written()
            results.append(more(results[-1], number))
        return float(results[-1]["x"].iloc[0])

    def renamed() -> float:
        frame = make(0)
        for number in range(8):
            written()
            frame = more(frame, number)
        return float(frame["x"].iloc[0])

    for body, policy in ((named, "always"), (renamed, "never")):
        assert helix_flow(body, store=f"{store}/{policy}", policy=policy)() == 28.0
        assert max(most) <= 3
        alive.clear()
        most.clear()


def test_what_a_plain_task_takes_stays_until_it_has_it(store: str, ran: Any) -> None:
    def of_futures() -> list[float]:
        return [one.result() for one in [plainly.submit(make.submit(number)) for number in range(4)]]

    def of_results() -> list[float]:
        return [one.result() for one in [plainly.submit(make(number)) for number in range(4)]]

    for body in (of_futures, of_results):
        assert helix_flow(body, store=store, policy="never")() == [0.0, 1.0, 2.0, 3.0]
        assert sorted(ran.take()) == ["make"] * 4 + ["plainly"] * 4


def test_a_hook_may_keep_the_state_that_it_is_given(store: str) -> None:
    kept: list[State[Any]] = []

    def flow() -> float:
        step.with_options(on_completion=[lambda task, run, state: kept.append(state)])(make(1), 2)
        return float(kept[0].result()["x"].iloc[0])

    assert helix_flow(flow, store=store)() == 3.0
