"""The versions of a flow as markdown: each run with what it took, saved, measured, and what had changed."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

from prefect_helix.core.change import Change, Changed, Summary
from prefect_helix.core.lineage import Run
from prefect_helix.views.versions import MAX_ROWS, MAX_VERSIONS, versions_markdown

S = 1_000_000
HOSTILE = "a|b <script>_x_</script> [c](d) `e`\n# f"


def run(number: int, summary: Summary | None = None, **facts: object) -> Run:
    known = {"name": f"run-{number}", "status": "completed", "metrics": {"accuracy": 0.8 + number / 100}} | facts
    return Run(
        run_id=f"id{number}",
        flow="census",
        started_us=number * S,
        finished_us=None,
        parameters={},
        shown_parameters={},
        prior_run_id=None,
        mode="auto",
        policy="auto",
        budget_bytes=0,
        summary=summary,
        **known,  # type: ignore[arg-type]
    )


FIRST = run(1, Summary(3, 0, 0, 0, 60 * S, 0, 60 * S))
SECOND = run(
    2,
    Summary(
        1,
        1,
        1,
        0,
        20 * S,
        41 * S,
        61 * S,
        0,
        "id1",
        (Changed("", Change("parameter", "reg", before="0.1", after="1")),),
    ),
)


def shown(*runs: Run, own: str = "") -> str:
    return versions_markdown(
        runs,
        page=lambda run: f"http://prefect/runs/flow-run/{run.run_id}",
        more=lambda run: own and f"{own}/runs/{run.run_id}",
    )


def pictures(markdown: str) -> list[ElementTree.Element]:
    found = re.findall(r"!\[[\w ]+\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", markdown)
    return [ElementTree.fromstring(base64.b64decode(one)) for one in found]


def rows(markdown: str) -> list[str]:
    return [line.replace("\u00a0", " ") for line in markdown.splitlines() if line.startswith("|")][2:]


def test_runs_stand_newest_first_with_links_to_their_pages() -> None:
    markdown = shown(FIRST, SECOND)
    assert markdown.startswith("**2 runs of census: 80 s spent, 41 s saved.**\n")
    newest, oldest = rows(markdown)
    assert newest.startswith("| [run-2](<http://prefect/runs/flow-run/id2>) | 1970-01-0")
    assert newest.endswith("| reg 0.1 → 1 | 1 of 3 | 20 s | 41 s | accuracy 0.82 |")
    assert oldest.endswith("| first run | 3 of 3 | 60 s |  | accuracy 0.81 |")


def test_metrics_and_times_are_drawn_on_paper() -> None:
    metrics, times = pictures(shown(FIRST, SECOND))
    assert metrics.attrib["aria-label"] == "Metrics by run"
    assert times.attrib["aria-label"] == "Time spent and saved by run"
    assert all(picture[0].attrib["class"] == "fill-paper" for picture in (metrics, times))
    assert len(pictures(shown(run(1, FIRST.summary, metrics={})))) == 1  # nothing was measured


def test_our_own_pages_are_linked_where_they_are() -> None:
    markdown = shown(FIRST, SECOND, own="http://helix")
    assert "[More about the latest](<http://helix/runs/id2>)" in markdown
    assert [f"[↗](<http://helix/runs/id{n}>)" in row for n, row in zip((2, 1), rows(markdown), strict=True)] == [
        True
    ] * 2
    assert "helix" not in shown(FIRST, SECOND)


def test_what_is_not_known_is_left_out_and_what_failed_is_told() -> None:
    newest, _ = rows(shown(FIRST, run(2, None, status="failed", metrics={})))
    assert " (failed) | " in newest
    assert newest.endswith(" |  |  |  |  |  |")


def test_hostile_names_stay_in_their_cells() -> None:
    markdown = shown(run(1, FIRST.summary, name=HOSTILE, metrics={HOSTILE: float("nan")}))
    (row,) = rows(markdown)
    assert row.count(" | ") == 6
    assert "<script>" not in markdown
    assert len(pictures(markdown)) == 2


def test_of_many_runs_the_table_has_the_newest() -> None:
    markdown = shown(*(run(n, FIRST.summary) for n in range(MAX_VERSIONS)))
    assert markdown.startswith(f"**The last {MAX_VERSIONS} runs of census: ")
    assert len(rows(markdown)) == MAX_ROWS
    assert f"run-{MAX_VERSIONS - 1}" in rows(markdown)[0]
