"""How far a run is, seen from within its steps, each of which takes ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.runtime.progress import Gauge, Progress, Running, together

S = 1_000_000


@pytest.fixture
def watched(lab) -> Callable[..., list[Progress]]:
    """Runs scan → features → fit → evaluate; gives what was seen 100 s after the start, from within `at`."""

    def run(at: str, *, begun_s: float | None = None, extra: bool = False, **options: Any) -> list[Progress]:
        seen: list[Progress] = []

        def body(name: str) -> Callable[[int], int]:
            def work(x: int) -> int:
                if name == at:
                    current = lab.current.session
                    gauge = Gauge(current.world, 0, predicted=current.head.prior_run_id is not None, followed=True)
                    node = next(n for n in current.world.nodes if n.spec.name == at)
                    node.begun_us = None if begun_s is None else int(begun_s * S)
                    seen.extend([gauge.look(100 * S), gauge.look(100 * S)])
                return x + 1

            return work

        for name in ("scan", "features", "fit", "evaluate", "plot"):
            lab.task(body(name), name=name, version=options.pop(name, "1"))

        def flow(x: int = 0) -> int:
            t = lab.tasks
            if extra:
                t["plot"](x)
            return t["evaluate"](t["fit"](t["features"](t["scan"](x))))

        lab.run(flow, **options)
        return seen

    return run


def test_a_first_run_knows_nothing_of_what_is_to_come(watched):
    now, again = watched("features")
    assert (now.steps, now.settled, now.done_us) == (2, 1, 10 * S)
    assert now.running == (Running("features", Decision.COMPUTE, None, None),)
    assert (now.foreseen, now.unknown, now.share, now.left_us) == (False, 1, None, 0)
    assert again == now


@pytest.mark.parametrize(
    ("begun_s", "done_s", "left_s"), [(None, 20, 20), (94, 26, 14), (85, 30, 10)], ids=["queued", "going on", "late"]
)
def test_what_is_under_way_counts_as_far_as_it_is_expected(watched, begun_s, done_s, left_s):
    watched("scan")
    now = watched("fit", begun_s=begun_s, mode="recompute")[0]
    assert (now.steps, now.settled, now.known) == (4, 2, True)
    assert (now.done_us, now.remaining_us, now.left_us) == (done_s * S, left_s * S, left_s * S)
    assert now.share == done_s / 40


def test_what_is_loaded_takes_the_time_of_a_load(watched):
    watched("scan")
    now = watched("fit", fit="2")[0]  # the two before it were loaded, evaluate is to be
    assert (now.steps, now.settled) == (4, 2)
    assert now.done_us < 10 * S

    assert (now.remaining_us, now.known) == (10 * S, True)


def test_a_step_that_nobody_knows_leaves_the_share_unknown(watched):
    watched("scan")
    now = watched("plot", extra=True, mode="recompute")[0]
    assert (now.unknown, now.remaining_us, now.share) == (1, 40 * S, None)
    assert now.left_us == 40 * S  # of what is known


def test_what_goes_on_at_once_is_over_sooner_but_not_before_the_longest_step():
    busy = Progress(20 * S, 9, 2, 40 * S, 40 * S, 0, True, (), busy_us=20 * S)
    assert busy.left_us == 20 * S
    long = Running("fit", Decision.COMPUTE, 2 * S, 33 * S)
    assert Progress(20 * S, 9, 2, 40 * S, 40 * S, 0, True, (long,), busy_us=20 * S).left_us == 31 * S


def test_runs_that_go_on_at_once_are_one():
    one = Progress(20 * S, 9, 2, 40 * S, 10 * S, 0, True, (), busy_us=20 * S)
    other = Progress(5 * S, 1, 0, 1 * S, 4 * S, 1, False, (Running("fit", Decision.COMPUTE, 2, 3),), busy_us=5 * S)
    assert together([one, other]) == Progress(20 * S, 10, 2, 41 * S, 14 * S, 1, False, other.running, busy_us=20 * S)
