from __future__ import annotations

from collections.abc import Callable

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Trace
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.views.steps import alike, call_numbers, plan_line, run_time_summary, time_summary, unshown

COMPUTE, LOAD, PRUNE = Decision.COMPUTE, Decision.LOAD, Decision.PRUNE


@pytest.mark.parametrize(
    ("decision", "compute_us", "load_us", "spent", "saved"),
    [
        (COMPUTE, 9, 2, 9, 0),
        (COMPUTE, None, 2, None, 0),
        (LOAD, 9, 2, 2, 7),
        (LOAD, 2, 9, 9, 0),
        (LOAD, None, 2, 2, None),
        (LOAD, 9, None, None, None),
        (PRUNE, 9, 2, 0, 9),
        (PRUNE, None, 2, 0, None),
    ],
)
def test_what_a_step_cost_and_saved_follows_from_its_decision(
    make_trace: Callable[..., Trace],
    decision: Decision,
    compute_us: int | None,
    load_us: int | None,
    spent: int | None,
    saved: int | None,
) -> None:
    trace = make_trace("fit", decision=decision, compute_us=compute_us, load_us=load_us)
    assert (spent_us(trace), saved_us(trace)) == (spent, saved)


def test_calls_are_numbered_where_a_task_is_called_again(make_trace: Callable[..., Trace]) -> None:
    traces = [make_trace(task) for task in ("scan", "fit", "scan", "scan")]
    assert call_numbers(traces) == [1, None, 2, 3]


def test_tasks_of_one_function_with_names_of_their_own_are_not_one_line(make_trace: Callable[..., Trace]) -> None:
    named = [make_trace(f"fit {name}", key="flows:fit") for name in "abcdef"]
    mapped = [make_trace("fit", key="flows:fit", call=n) for n in range(6)]
    assert [[task for _, task in calls] for calls in alike((t, t.task) for t in [*named, *mapped])] == [
        *([f"fit {name}"] for name in "abcdef"),
        ["fit"] * 6,
    ]


def test_steps_without_a_task_run_are_told_by_task_those_with_most_first(make_trace: Callable[..., Trace]) -> None:
    few = [make_trace(task) for task in ("scan", "fit", "scan")]
    many = [make_trace(f"task {i}") for i in range(8)]

    assert unshown(few, 2) == (
        "Only 2 of 5 loaded and pruned steps are shown as task runs, without 2 calls of scan, 1 call of fit."
    )
    assert unshown(many, 0).endswith("1 call of task 4, calls of 3 more tasks.")


@pytest.mark.parametrize(
    ("spent", "scratch", "text"),
    [
        (4_100_000, 63_000_000, "4.1 s instead of 63 s"),
        (4_100_000, None, "4.1 s"),
        (None, 63_000_000, ""),
        (63_000_000, 63_000_000, "63 s"),
        (63_000_000, 63_000_001, "63 s"),
        (64_000_000, 63_000_000, "64 s"),
        (0, 63_000_000, "0 s instead of 63 s"),
    ],
)
def test_a_saving_is_told_only_where_it_is_known(spent: int | None, scratch: int | None, text: str) -> None:
    assert time_summary(spent, scratch) == text


def test_one_unmeasured_step_makes_the_time_from_scratch_unknown(make_trace: Callable[..., Trace]) -> None:
    traces = [make_trace("fit"), make_trace("parse", decision=PRUNE)]
    assert run_time_summary(traces) == "1.0 s instead of 2.0 s"
    assert run_time_summary([*traces, make_trace("read", decision=PRUNE, compute_us=None)]) == "1.0 s"


@pytest.mark.parametrize(
    ("counts", "predicted_us", "scratch_us", "line"),
    [
        (
            {COMPUTE: 2, LOAD: 1, PRUNE: 9},
            4_100_000,
            63_000_000,
            "helix: 12 steps: compute 2, load 1, prune 9; about 4.1 s instead of 63 s",
        ),
        ({COMPUTE: 1}, None, None, "helix: 1 step: compute 1, load 0, prune 0"),
        ({COMPUTE: 2, PRUNE: 1}, 5_000, None, "helix: 3 steps: compute 2, load 0, prune 1; about 5.0 ms"),
        ({}, None, 63_000_000, "helix: 0 steps: compute 0, load 0, prune 0"),
    ],
)
def test_the_plan_is_one_line_that_leaves_out_what_is_unknown(
    counts: dict[Decision, int], predicted_us: int | None, scratch_us: int | None, line: str
) -> None:
    assert plan_line(counts, predicted_us, scratch_us) == line
