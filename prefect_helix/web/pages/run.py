"""One run: its plan as a picture, its steps, and of a run in progress how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.core.summary import spent_us
from prefect_helix.settings import prefect_address
from prefect_helix.views.boxes import Box
from prefect_helix.views.differences import summary_words
from prefect_helix.views.steps import Row, alike, call_names, row_of, span
from prefect_helix.views.svg import dag_svg
from prefect_helix.views.units import format_bytes, format_count, format_us, moment, shorten
from prefect_helix.web.asking import PICTURE_WIDTH, Ask, Page
from prefect_helix.web.pages.flows import summary_of
from prefect_helix.web.rendering import figure

SHOWN_ROWS = 200

REFRESH_SECONDS = 3

_SEARCHED = 400
"""Characters of a name that are searched."""


@dataclass(frozen=True)
class StepRow:
    """A line of the table of steps, and where a click on it leads."""

    step: Row
    name: str
    href: str


@dataclass(frozen=True)
class Progress:
    """How far a run in progress is, as its journal tells.

    Attributes:
        words: In a sentence.
        share: In per cent of the predicted time; None where nothing was predicted.
        to_come: Steps of the run before that were not computed so far, with the time they take.
    """

    words: str
    share: int | None
    to_come: tuple[tuple[str, int | None], ...] = ()


def run_page(ask: Ask) -> Page:
    """Show the run that the address names."""
    lineage = ask.links.find(ask.text("id"))
    run, traces = lineage.run, lineage.traces
    summary = summary_of(ask, lineage)
    running = run.status == "running"
    query, decision = ask.text("q").strip(), ask.text("decision")
    rows, caption = _rows(ask, lineage, query, decision)
    before = next((one for one in ask.archive.lineages if one.run.run_id == summary.compared_with), None)
    values: dict[str, Any] = {
        "run": run,
        "summary": summary,
        "changed": summary_words(summary),
        "compared_with": before.run if before else None,
        "caller": (parent := ask.archive.parent_of(run)) and parent.run,
        "subflows": [one.run for one in ask.archive.subflows_of(run)],
        "unreadable": max(0, sum(summary.counts.values()) - len(traces)),
        "prefect_url": prefect_address("flow-run", run.run_id),
        "progress": progress_of(ask, lineage) if running else None,
        "metrics": [*run.metrics.items()],
        "steps": len(traces),
        "picture": ask.library.remembered("picture", run, lambda: _picture(ask, lineage), ask.links.key(run)),
        "query": query,
        "decision": decision,
        "rows": rows,
        "caption": caption,
        "tables": list(_tables(run)),
    }
    title = f"{run.name or ask.links.short(run)} of {run.flow}"
    return Page("run.html", title, values, refresh_seconds=REFRESH_SECONDS if running else 0)


def progress_of(ask: Ask, lineage: Lineage) -> Progress:
    """Return how far a run is: what it has computed, and how much of the predicted time is left."""
    run = lineage.run
    done_us = sum(spent_us(trace) or 0 for trace in lineage.traces)  # of one that failed nobody knows it
    prior = next((one for one in ask.archive.lineages if one.run.run_id == run.prior_run_id), None)
    done = f"{format_count(len(lineage.traces), 'step')} computed in {format_us(done_us)}"
    if prior is not None:
        done += f", of {format_count(len(prior.traces), 'step')} that the run before had"
    heard_us = max([run.started_us, *(trace.started_us + (trace.compute_us or 0) for trace in lineage.traces)])
    heard = f"Last heard of at {moment(heard_us)}."
    to_come = _to_come(lineage.traces, prior.traces if prior else ())
    if not run.predicted_us:
        return Progress(f"{done}. How long it takes is not known. {heard}", None, to_come)
    left_us = max(0, run.predicted_us - done_us)
    share = min(99, round(100 * done_us / run.predicted_us))
    left = f"about {format_us(left_us)} of computing and loading are left" if left_us else "longer than expected"
    return Progress(f"{done}; {left}. {heard}", share, to_come)


def _to_come(traces: Sequence[Trace], prior: Sequence[Trace]) -> tuple[tuple[str, int | None], ...]:
    """Return the steps of the run before that were not computed so far, with what they take."""
    done = Counter((trace.key, trace.task) for trace in traces)
    names = call_names(prior)
    left = []
    for trace, name in zip(prior, names, strict=True):
        if done[trace.key, trace.task]:
            done[trace.key, trace.task] -= 1
        else:
            left.append((name, trace.compute_us))
    return tuple(left)


def step_href(ask: Ask, run: Run, traces: Sequence[Trace]) -> Callable[[Box], str]:
    """Return what leads from a box to its step, or to the steps of its task in the table."""

    def href(box: Box) -> str:
        if len(box.members) == 1:
            return ask.links.step(run, traces[box.members[0]].call)
        tasks = {traces[member].task for member in box.members}
        word = "failed" if box.look == "failed" else box.look
        more = {"q": shorten(tasks.pop(), 200)} if len(tasks) == 1 else {}
        return f"{ask.links.run(run, decision=word, **more)}#steps"

    return href


def _picture(ask: Ask, lineage: Lineage) -> str:
    ordered = sorted(lineage.traces, key=lambda trace: trace.call)
    href = step_href(ask, lineage.run, ordered)
    return dag_svg(lineage, width=PICTURE_WIDTH, headed=False, href=href)


def _rows(ask: Ask, lineage: Lineage, query: str, decision: str) -> tuple[list[StepRow], str]:
    """Return rows of the table of steps, and what it shows; calls of a task that went alike are one row.

    Who searches sees each call.
    """
    traces = lineage.traces
    if query or decision:
        named = zip(traces, call_names(traces), strict=True)
        word = _searched(query).rstrip("…")  # as a long name ends wherever it is shown
        found = [[(t, name)] for t, name in named if word in _searched(name) and _is(t, decision)]
    else:
        found = list(alike(zip(traces, call_names(traces), strict=True)))
    rows = [_row(ask, lineage.run, calls) for calls in found[:SHOWN_ROWS]]
    steps = sum(map(len, found))
    hidden = sum(map(len, found[SHOWN_ROWS:]))
    caption = format_count(steps, "step") + (
        f", the first {steps - hidden} of them; search to see others" if hidden else ""
    )
    return rows, caption


def _searched(name: str) -> str:
    """Return what is compared of a name: what anybody sees of it, whatever its case."""
    return shorten(name, _SEARCHED).casefold()


def _is(trace: Trace, decision: str) -> bool:
    return not decision or decision == ("failed" if trace.status == "failed" else trace.decision.value)


def _row(ask: Ask, run: Run, calls: Sequence[tuple[Trace, str]]) -> StepRow:
    step = row_of([trace for trace, _ in calls])
    one, many = ask.links.step(run, step.trace.call), ask.links.run(run, q=shorten(step.trace.task, 200))
    return StepRow(step, span([name for _, name in calls]), one if step.calls == 1 else f"{many}#steps")


def _tables(run: Run) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    yield "Parameters", "What the flow was called with", [*run.shown_parameters.items()]
    yield "Metrics", "Numbers that its tasks returned or logged", [(n, figure(v)) for n, v in run.metrics.items()]
    settings = {"mode": run.mode, "policy": run.policy, "budget": format_bytes(run.budget_bytes), "host": run.host}
    yield "Settings", "What it went by", [(name, value) for name, value in settings.items() if value]
    yield "Versions", "Python, platform and libraries", [*run.versions.items()]
