"""Two runs in one picture, and two versions of a source side by side."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from prefect_helix.core.comparison import step_pairs
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.views.code import side_by_side
from prefect_helix.views.differences import Figure, merged
from prefect_helix.views.svg import dag_svg, difference_svg

MakeTrace = Callable[..., Trace]
MakeLineage = Callable[..., Lineage]


def test_what_came_and_went_is_marked_where_it_was(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    before = [
        make_trace("scan"),
        make_trace("clean", call=1, parents=["scan"]),
        make_trace("scale", call=2, parents=["clean"]),
        make_trace("fit", call=3, parents=["scale"]),
    ]
    after = [
        make_trace("scan"),
        make_trace("clean", "clean2", call=1, parents=["scan"], fingerprint="edited"),
        make_trace("fit", "fit2", call=2, parents=["clean2"]),
        make_trace("score", call=3, parents=["fit2"]),
    ]
    traces, marks = merged(step_pairs(make_lineage(before), make_lineage(after)))
    assert dict(zip((trace.task for trace in traces), marks, strict=True)) == {
        "scan": "",
        "clean": "changed",
        "scale": "removed",
        "fit": "",
        "score": "added",
    }
    places = {trace.task: at for at, trace in enumerate(traces)}
    assert places["clean"] < places["scale"] < places["fit"]
    taken = {trace.task: [link.signature for link in trace.parents] for trace in traces}
    assert taken["scale"] == ["clean2"], "what it took is drawn from the step as it is now"
    assert taken["fit"] == ["clean2", "scale"], "what it took before is drawn, too"
    picture = difference_svg(traces, marks, title="both")
    assert re.findall(r">((?:added|removed|changed) \d)<", picture) == ["changed 1", "removed 1", "added 1"]


def test_a_number_that_is_none_has_not_grown() -> None:
    assert [Figure(was, now).delta for was, now in ((1.0, 1.5), (math.nan, math.nan), (None, 1.0))] == [0.5, None, None]


def test_what_a_failed_run_did_not_reach_was_not_removed(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    before = make_lineage([make_trace("scan"), make_trace("fit", call=1, parents=["scan"])])
    _, marks = merged(step_pairs(before, make_lineage([make_trace("scan")], status="failed")))
    assert marks == [""]


def test_steps_that_were_removed_in_a_row_keep_their_order(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    chain = [make_trace(f"step {n}", call=n, parents=[f"step {n - 1}"] if n else []) for n in range(3_000)]
    traces, marks = merged(step_pairs(make_lineage(chain), make_lineage(chain[:1])))
    assert [trace.task for trace in traces] == [trace.task for trace in chain]
    assert marks == ["", *["removed"] * 2_999]


def test_a_box_leads_where_it_is_told(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    calls = [make_trace("load", str(n), call=n) for n in range(40)]
    lineage = make_lineage([*calls, make_trace("fit", call=40)])
    picture = dag_svg(lineage, headed=False, href=lambda box: f"/{box.name}?{len(box.members)}&<")
    assert re.findall(r'<a href="([^"]*)"', picture) == ["/load?40&amp;&lt;", "/fit?1&amp;&lt;"]
    assert 'role="group"' in picture


def test_the_bar_of_a_box_is_its_share_of_the_time(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [make_trace("a", compute_us=3_000_000), make_trace("b", call=1, compute_us=1_000_000)]
    widths = [float(one) for one in re.findall(r'<rect x="7" y="61.5" width="([\d.]+)"', dag_svg(make_lineage(traces)))]
    assert widths[0] == 3 * widths[1] > 0


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_both_sides_of_a_diff_are_the_two_versions(old: Sequence[str], new: Sequence[str]) -> None:
    diff = [*difflib.unified_diff(old, new, lineterm="", n=max(len(old), len(new)))][2:]
    diff = [re.sub(r"([-+])(\d+)(?= )", r"\1\2,1", line) if line.startswith("@@") else line for line in diff]
    rows = [row for row in side_by_side(diff) if row.kind != "hunk"]
    if old != new:
        assert [row.old for row in rows if row.old is not None] == [*old]
        assert [row.new for row in rows if row.new is not None] == [*new]
        if old and new:
            assert [row.old_line for row in rows if row.old_line] == [*range(1, len(old) + 1)]
            assert [row.new_line for row in rows if row.new_line] == [*range(1, len(new) + 1)]
    assert all(
        (row.old == row.new) is (row.kind == "same") for row in rows if row.old and row.new and row.kind == "same"
    )
