from __future__ import annotations

from collections.abc import Sequence

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Trace
from prefect_helix.views.trees import MAX_DEPTH, tree

from .conftest import MakeTrace


def lines(traces: Sequence[Trace]) -> list[str]:
    return [
        f"{one.lead}{', '.join(name for _, name in one.calls)}{' (above)' if one.told else ''}" for one in tree(traces)
    ]


def test_what_a_step_takes_is_below_it_and_told_once(make_trace: MakeTrace) -> None:
    traces = [
        make_trace("scan"),
        make_trace("clean", parents=["scan"]),
        make_trace("fit", parents=["clean"]),
        make_trace("score", parents=["fit", "clean"]),
        make_trace("plot", parents=["scan"]),
    ]
    assert lines(traces) == [
        "score",
        "├─ fit",
        "│  └─ clean",
        "│     └─ scan",
        "└─ clean (above)",
        "plot",
        "└─ scan",
    ]


def test_what_is_waited_for_is_below_too_and_what_the_run_does_not_have_is_left_out(make_trace: MakeTrace) -> None:
    traces = [make_trace("scan"), make_trace("fit", parents=["elsewhere"], wait_for=("scan", "gone"))]
    assert lines(traces) == ["fit", "└─ scan"]


def test_many_calls_that_went_alike_and_take_the_same_are_one_line(make_trace: MakeTrace) -> None:
    parts = [make_trace("part", f"p{i}", parents=["a" if i < 6 else "b"], call=i) for i in range(12)]
    other = make_trace("part", "p12", parents=["b"], decision=Decision.PRUNE)
    total = make_trace("total", parents=[f"p{i}" for i in range(13)])
    assert lines([make_trace("a"), make_trace("b"), *parts, other, total]) == [
        "total",
        f"├─ {', '.join(f'part#{i}' for i in range(1, 7))}",
        "│  └─ a",
        f"├─ {', '.join(f'part#{i}' for i in range(7, 13))}",
        "│  └─ b",
        "└─ part#13",
        "   └─ b",
    ]


def test_a_long_chain_is_told_whole_and_indented_only_so_far(make_trace: MakeTrace) -> None:
    chain = [make_trace("step", "0"), *(make_trace("step", str(i), parents=[str(i - 1)]) for i in range(1, 3_000))]
    found = list(tree(chain))
    assert len(found) == 3_000
    assert max(len(one.lead) for one in found) == 3 * (MAX_DEPTH + 1)


def test_steps_with_one_signature_are_told_each(make_trace: MakeTrace) -> None:
    assert lines([make_trace("scan"), make_trace("scan")]) == ["scan#1", "scan#2"]


def test_no_steps_are_no_lines() -> None:
    assert lines([]) == []
