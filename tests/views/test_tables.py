from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, Trace
from prefect_helix.views.svg import dag_svg
from prefect_helix.views.tables import plan_table, run_markdown

COMPUTE, LOAD, PRUNE = Decision.COMPUTE, Decision.LOAD, Decision.PRUNE

MakeTrace = Callable[..., Trace]
MakeLineage = Callable[..., Lineage]


def changes(lineage: Lineage, prior: Lineage | None) -> str:
    """The section of the report that says what changed."""
    return run_markdown(lineage, prior).partition("### Changes\n\n")[2].partition("\n\n### ")[0].strip()


def headline(lineage: Lineage) -> str:
    return run_markdown(lineage, None).partition("\n")[0].strip("*")


def test_the_table_has_a_row_per_step_with_what_ran_first(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [
        make_trace("read", call=0, decision=PRUNE, reason="nothing needs it", compute_us=58_000_000, size_bytes=None),
        make_trace("parse", call=1, decision=LOAD, reason="fit needs it", load_us=20_000),
        make_trace("fit", call=2, reason="argument reg changed: 0.1 → 0.2", compute_us=4_100_000),
        make_trace("fit", call=3, status="failed", compute_us=None, size_bytes=None),
    ]
    assert plan_table(make_lineage(traces)).splitlines() == [
        "| step | decision | cost | saved | size | reason |",
        "| --- | --- | ---: | ---: | ---: | --- |",
        "| fit #1 | compute | 4.1\u00a0s |  | 1.0\u00a0kB | argument reg changed: 0.1 → 0.2 |",
        "| fit #2 | compute, failed | unknown |  |  | its code changed |",
        "| parse | load | 20\u00a0ms | 980\u00a0ms | 1.0\u00a0kB | fit needs it |",
        "| read | prune |  | 58\u00a0s |  | nothing needs it |",
    ]


def test_a_long_table_says_what_it_leaves_out(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [
        make_trace("scan", str(i), call=i, decision=PRUNE if i < 8 else COMPUTE, reason=f"no {i}") for i in range(10)
    ]
    table = plan_table(make_lineage(traces), max_rows=3)
    assert re.findall(r"scan #(\d+)", table) == ["9", "10", "1"]
    assert table.endswith("\n\nNot shown: 7 steps: compute 0, load 0, prune 7.")
    assert "Not shown" not in plan_table(make_lineage(traces), max_rows=10)


def test_many_calls_that_went_alike_are_one_row_with_their_sums(
    make_trace: MakeTrace, make_lineage: MakeLineage
) -> None:
    elements = [make_trace("scan", str(i), call=i, decision=PRUNE, reason="unchanged") for i in range(9)]
    elements[4] = make_trace("scan", "4", call=4)
    assert plan_table(make_lineage(elements)).splitlines()[2:] == [
        "| scan #5 | compute | 1.0\u00a0s |  | 1.0\u00a0kB | its code changed |",
        "| scan (8 calls) | prune |  | 8.0\u00a0s | 8.0\u00a0kB | unchanged |",
    ]


def test_a_note_comes_below_the_steps(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    report = run_markdown(make_lineage([make_trace("fit")]), None, "Not all of *it*.").split("\n\n")
    assert report[report.index("### Changes") - 1] == "Not all of \\*it\\*."


@pytest.mark.parametrize(
    "text",
    [
        "a | b || c",
        "<script>alert(1)</script> & &lt;",
        "`code` ``` ~~~ ~~gone~~",
        "*bold* _it_ __init__ read_train a__b _",
        "![image](data:x) [link](http://x) \\[ \\",
        "two\nlines\r\n\n# three",
        "# 1. - + =",
    ],
)
def test_markdown_shows_names_and_reasons_as_they_are(
    make_trace: MakeTrace, make_lineage: MakeLineage, text: str
) -> None:
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(
        plan_table(make_lineage([make_trace(text, reason=text)]))
    )  # fmt: skip
    rows = ElementTree.fromstring(html).findall("tbody/tr")
    cells = [["".join(cell.itertext()) for cell in row] for row in rows]
    shown = " ".join(text.split())
    assert cells == [[shown, "compute", "1.0\u00a0s", "", "1.0\u00a0kB", shown]]
    assert all(not list(cell) for row in rows for cell in row)


@pytest.mark.parametrize(
    ("decisions", "fields", "expected"),
    [
        ([COMPUTE, COMPUTE], {}, "2 of 2 steps computed: 2.0 s."),
        ([COMPUTE, LOAD, PRUNE, PRUNE], {}, "1 of 4 steps computed, 1 loaded, 2 pruned: 1.1 s instead of 4.0 s."),
        ([PRUNE], {}, "0 of 1 step computed, 1 pruned: 0 s instead of 1.0 s."),
        ([], {}, "No helix task was called."),
        ([COMPUTE], {"status": "cancelled"}, "1 of 1 step computed: 1.0 s. The run was cancelled."),
    ],
)
def test_the_headline_is_one_sentence(
    make_trace: MakeTrace,
    make_lineage: MakeLineage,
    decisions: list[Decision],
    fields: dict[str, str],
    expected: str,
) -> None:
    traces = [make_trace(f"task {i}", decision=decision) for i, decision in enumerate(decisions)]
    assert headline(make_lineage(traces, **fields)) == expected


def test_the_headline_counts_failures(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    lineage = make_lineage([make_trace("fit", status="failed", compute_us=None)], status="failed")
    assert headline(lineage) == "1 of 1 step computed (1 failed). The run failed."


def test_the_report_holds_the_picture_as_a_data_uri(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    lineage = make_lineage([make_trace("fit")])
    (picture,) = re.findall(r"!\[plan\]\(data:image/svg\+xml;base64,(.*)\)", run_markdown(lineage, None))
    assert base64.b64decode(picture, validate=True).decode() == dag_svg(lineage)


def test_a_run_without_steps_has_neither_picture_nor_table(make_lineage: MakeLineage) -> None:
    assert "![plan]" not in run_markdown(make_lineage([]), None)
    assert "| step |" not in run_markdown(make_lineage([]), None)


def test_problems_come_right_below_the_headline(make_lineage: MakeLineage) -> None:
    report = run_markdown(make_lineage([], problems=("the store <s3> failed", "disk\nfull")), None)
    assert report.split("\n\n")[1] == "- **Problem:** the store &lt;s3&gt; failed\n- **Problem:** disk full"


def test_changed_parameters_are_told_old_and_new(make_lineage: MakeLineage) -> None:
    before = {"reg": ("1", "0.1"), "seed": ("s", "7"), "token": ("t", "***"), "old": ("o", "1")}
    after = {"reg": ("2", "0.5"), "seed": ("s", "7"), "token": ("u", "***"), "new": ("n", "2")}
    report = changes(make_lineage([], parameters=after), make_lineage([], parameters=before, name="red-fox"))
    assert report.splitlines() == [
        "Since the run red-fox:",
        "",
        "- Parameter reg changed: 0.1 → 0.5",
        "- Parameter token changed",
        "- Parameter old changed: 1 → absent",
        "- Parameter new changed: absent → 2",
    ]


def test_changed_steps_are_told_with_their_cause(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    def run(version: str, reg: str, *others: Trace) -> Lineage:
        argument = Argument("reg", digest=reg, shown=reg)
        return make_lineage(
            [
                make_trace("read", "read"),
                make_trace("clean", f"clean {version}", fingerprint=version, parents=["read"]),
                make_trace("fit", f"fit {version} {reg}", arguments=(argument,), parents=[f"clean {version}"]),
                make_trace("score", f"score {version} {reg}", parents=[f"fit {version} {reg}"]),
                *others,
            ]
        )

    report = changes(run("v2", "0.2", make_trace("plot")), run("v1", "0.1", make_trace("report")))
    assert report.splitlines()[2:] == [
        "- clean: code changed",
        "- fit: argument reg changed: 0.1 → 0.2",
        "- report: step removed",
        "- plot: new step",
    ]


def test_calls_that_changed_alike_are_one_line(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    def run(version: str) -> Lineage:
        return make_lineage([make_trace("scan", f"{version} {i}", fingerprint=version, call=i) for i in range(500)])

    assert changes(run("v2"), run("v1")).splitlines()[2:] == ["- scan (500 calls): code changed"]


def test_a_call_added_in_front_is_the_only_new_one(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    before = [make_trace("scan", name, call=i) for i, name in enumerate("bcd")]
    after = [make_trace("scan", name, call=i) for i, name in enumerate("abcd")]
    assert changes(make_lineage(after), make_lineage(before)).splitlines()[2:] == ["- scan: new step"]


@pytest.mark.parametrize(
    ("status", "prior_status", "lines"),
    [
        ("completed", "completed", ["- read: step removed", "- fit: new step"]),
        ("failed", "completed", ["- fit: new step"]),
        ("completed", "failed", ["- read: step removed"]),
    ],
)
def test_what_an_incomplete_run_has_not_called_is_neither_new_nor_removed(
    make_trace: MakeTrace, make_lineage: MakeLineage, status: str, prior_status: str, lines: list[str]
) -> None:
    lineage = make_lineage([make_trace("fit")], status=status)
    prior = make_lineage([make_trace("read")], status=prior_status)
    assert changes(lineage, prior).splitlines()[2:] == lines


def test_a_run_like_the_one_before_says_so(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    lineage = make_lineage([make_trace("fit")], parameters={"reg": ("1", "0.1")})
    prior = replace(lineage, run=replace(lineage.run, name="red_*fox"))
    assert changes(lineage, prior) == "Same parameters, code and inputs as in the run red\\_\\*fox."
    assert changes(lineage, None) == "There is no earlier run to compare with."


def test_a_long_list_of_changes_is_cut(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    lineage = make_lineage([make_trace(f"task {i}") for i in range(150)])
    lines = changes(lineage, make_lineage([])).splitlines()
    assert (len(lines), lines[-1]) == (2 + 100 + 1, "- and 50 more")


def test_metrics_have_their_difference_to_the_run_before(make_lineage: MakeLineage) -> None:
    prior = make_lineage([], metrics={"accuracy": 0.8123, "loss": 0.5, "old": 1})
    report = run_markdown(make_lineage([], metrics={"accuracy": 0.8345, "loss": 0.5, "rows|n": 29501}), prior)
    assert report.partition("### Metrics\n\n")[2].splitlines() == [
        "| metric | this run | before | change |",
        "| --- | ---: | ---: | ---: |",
        "| accuracy | 0.8345 | 0.8123 | +0.0222 |",
        "| loss | 0.5 | 0.5 |  |",
        "| rows\\|n | 29501 |  |  |",
        "| old |  | 1 |  |",
    ]
