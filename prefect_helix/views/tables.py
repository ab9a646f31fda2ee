"""The report of a run as markdown: its headline, its picture, its steps, and what changed since the run before."""

from __future__ import annotations

from collections.abc import Sequence

from prefect_helix.core.change import Change
from prefect_helix.core.comparison import run_changes
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.views.differences import metric_figures
from prefect_helix.views.markdown import bullets, link, picture, table, unbroken, verbatim
from prefect_helix.views.steps import (
    alike,
    call_numbers,
    count_decisions,
    row_of,
    run_time_summary,
    step_summary,
)
from prefect_helix.views.svg import dag_svg
from prefect_helix.views.units import and_more, format_count, with_calls

MAX_ROWS = 100
"""Rows of a table of steps, and lines of a list of changes."""

_ENDED = {
    "running": "The run has not ended.",
    "completed": "",
    "failed": "The run failed.",
    "cancelled": "The run was cancelled.",
    "crashed": "The run crashed.",
    "suspended": "The run is suspended.",
}


def plan_table(lineage: Lineage, *, max_rows: int = MAX_ROWS) -> str:
    """Return a markdown table of the steps: what ran first, then what was loaded and pruned, each in call order.

    Many calls that went alike are one row, with their sums.

    Args:
        lineage: The run.
        max_rows: Rows shown; a line below the table counts the other steps.
    """
    ordered = sorted(lineage.traces, key=lambda trace: trace.call)
    rank = list(Decision)
    steps = sorted(zip(ordered, call_numbers(ordered), strict=True), key=lambda step: rank.index(step[0].decision))
    groups = list(alike(steps))
    shown = table("step | decision | >cost | >saved | >size | reason", map(_step_row, groups[:max_rows]))
    hidden = [trace for calls in groups[max_rows:] for trace, _ in calls]
    return f"{shown}\n\nNot shown: {step_summary(count_decisions(hidden))}." if hidden else shown


def run_markdown(lineage: Lineage, prior: Lineage | None, note: str = "", page: str = "") -> str:
    """Return the whole report of a run for the Prefect UI.

    Args:
        lineage: The run.
        prior: The run it is compared with; None if there is none.
        note: A sentence to say below the steps.
        page: URL of a page with more about it; empty for none.
    """
    run = lineage.run
    more = f" {link('More about this run', page)}" if page else ""
    sections = [f"**{_headline(lineage)}**{more}"]
    if run.problems:
        sections.append(bullets(f"**Problem:** {verbatim(problem, 1_000)}" for problem in run.problems))
    if lineage.traces:
        sections += [picture(dag_svg(lineage), "plan"), "### Steps", plan_table(lineage)]
    if note:
        sections.append(verbatim(note, 1_000))
    sections += ["### Changes", _changes(lineage, prior)]
    metrics = _metric_rows(run, prior.run if prior else None)
    if metrics:
        sections += ["### Metrics", table("metric | >this run | >before | >change", metrics)]
    return "\n\n".join(sections) + "\n"


def _headline(lineage: Lineage) -> str:
    traces = lineage.traces
    if not traces:
        return f"No helix task was called. {_ENDED[lineage.run.status]}".rstrip()
    counts = count_decisions(traces)
    failed = sum(trace.status == "failed" for trace in traces)
    parts = [
        f"{counts[Decision.COMPUTE]} of {format_count(len(traces), 'step')} computed"
        + (f" ({failed} failed)" if failed else "")
    ]
    for decision, word in ((Decision.LOAD, "loaded"), (Decision.PRUNE, "pruned")):
        if counts[decision]:
            parts.append(f"{counts[decision]} {word}")
    times = run_time_summary(traces)
    return f"{', '.join(parts)}{f': {times}' if times else ''}. {_ENDED[lineage.run.status]}".rstrip()


def _step_row(calls: Sequence[tuple[Trace, int | None]]) -> list[str]:
    trace, number = calls[0]
    row = row_of([one for one, _ in calls])
    which = f" ({row.calls} calls)" if row.calls > 1 else f" #{number}" if number else ""
    return [
        verbatim(trace.task, 80) + which,
        f"{trace.decision}, failed" if trace.status == "failed" else trace.decision.value,
        *map(unbroken, (row.cost, row.saved, row.size)),
        verbatim(trace.reason, 240),
    ]


def _changes(lineage: Lineage, prior: Lineage | None) -> str:
    if prior is None:
        return "There is no earlier run to compare with."
    name = verbatim(prior.run.name or prior.run.run_id, 80)
    lines = [_change_line(task, change, count) for (task, change), count in run_changes(prior, lineage).items()]
    if not lines:
        return f"Same parameters, code and inputs as in the run {name}."
    more = and_more(len(lines) - MAX_ROWS)
    return f"Since the run {name}:\n\n{bullets([*lines[:MAX_ROWS], more] if more else lines)}"


def _change_line(task: str, change: Change, count: int) -> str:
    step = with_calls(task, count)
    match change.kind:
        case "parameter":
            what = str(change)
        case "new":
            what = f"{step}: new step"
        case "removed":
            what = f"{step}: step removed"
        case "code":
            what = f"{step}: code changed"
        case _:
            what = f"{step}: {change}"
    return verbatim(what[:1].upper() + what[1:] if change.kind == "parameter" else what, 320)


def _metric_rows(run: Run, prior: Run | None) -> list[list[str]]:
    rows = []
    for name, figure in metric_figures(prior, run).items():
        shown = ["" if value is None else f"{value:.6g}" for value in (figure.after, figure.before)]
        rows.append([verbatim(name, 80), *shown, f"{figure.delta:+.4g}" if figure.delta else ""])
    return rows
