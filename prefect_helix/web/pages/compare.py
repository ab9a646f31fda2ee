"""Two runs side by side: what changed, and what that did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prefect_helix.core.amounts import total
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Trace
from prefect_helix.core.summary import spent_us
from prefect_helix.difference import Difference
from prefect_helix.views.boxes import Box
from prefect_helix.views.differences import StepRow, merged, same_result, step_rows
from prefect_helix.views.steps import count_decisions
from prefect_helix.views.svg import difference_svg
from prefect_helix.views.units import format_bytes, format_count, format_us, shorten, with_calls
from prefect_helix.web.asking import PICTURE_WIDTH, Ask, Page
from prefect_helix.web.pages.code import shown_changes
from prefect_helix.web.rendering import figure

SHOWN_ROWS = 200

_DONE = {Decision.COMPUTE: "computed", Decision.LOAD: "loaded", Decision.PRUNE: "pruned"}
_FIGURES: dict[str, tuple[str, Callable[[int | None], str]]] = {
    "cost_us": ("Time of the steps", format_us),
    "saved_us": ("Saved", format_us),
    "stored_bytes": ("Results stored", format_bytes),
}


@dataclass(frozen=True)
class FigureRow:
    """A number of both runs, in words."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class ComparedRow:
    """Calls of a task that went alike in both runs."""

    name: str
    href: str
    before: Trace | None
    before_us: int | None
    after: Trace | None
    after_us: int | None
    changed: str
    same_result: bool


def compare_page(ask: Ask) -> Page:
    """Compare the two runs that the address names; without the first, with the run before the second."""
    after = ask.links.find(ask.text("after"))
    if ask.text("before"):
        before = ask.links.find(ask.text("before"))
    else:
        before = next(iter(ask.archive.earlier(after.run)), None) or ask.archive.pair(after.run.run_id, None)[0]
    found = Difference(ask.archive, before, after)
    rows = step_rows(found.pairs, found.code)
    shown = [row for row in rows if row.changed or not row.same_decision] if len(rows) > SHOWN_ROWS else rows
    hidden = len(rows) - len(shown[:SHOWN_ROWS])
    more = f"; {format_count(hidden, 'row')} left out" if hidden else ""
    told = [f"{words}{remark}" for words, remark in found.facts]
    values: dict[str, Any] = {
        "before": before.run,
        "after": after.run,
        "changes": told,
        "figures": list(_figures(found)),
        "picture": _picture(ask, found),
        "rows": [_row(ask, found, row) for row in shown[:SHOWN_ROWS]],
        "caption": f"Steps that went alike are one row{more}",
        "code": shown_changes(found.code),
        "side_by_side": ask.text("view") == "split",
    }
    title = f"{ask.links.short(before.run)} and {ask.links.short(after.run)} compared"
    return Page("compare.html", title, values)


def _picture(ask: Ask, found: Difference) -> str:
    traces, marks = merged(found.pairs)
    gone = {id(trace) for trace, mark in zip(traces, marks, strict=True) if mark == "removed"}

    def href(box: Box) -> str:
        first = traces[box.members[0]]
        run = found.before.run if id(first) in gone else found.after.run
        if len(box.members) == 1:
            return ask.links.step(run, first.call)
        return f"{ask.links.run(run, q=shorten(first.task, 200))}#steps"

    return difference_svg(traces, marks, title="Steps of both versions", width=PICTURE_WIDTH, href=href)


def _row(ask: Ask, found: Difference, row: StepRow) -> ComparedRow:
    first = row.pairs[0]
    run = found.before.run if first.after is None else found.after.run
    before, after = ([trace for trace in side if trace] for side in zip(*map(_sides, row.pairs), strict=True))
    computed = any(trace.decision is Decision.COMPUTE for trace in after)
    return ComparedRow(
        name=with_calls(shorten(row.task, 80), len(row.pairs)),
        href=ask.links.step(run, first.trace.call),
        before=first.before,
        before_us=total(map(spent_us, before)),
        after=first.after,
        after_us=total(map(spent_us, after)),
        changed=row.changed,
        same_result=bool(computed and row.changed and same_result(first)),
    )


def _sides(pair: Any) -> tuple[Trace | None, Trace | None]:
    return pair.before, pair.after


def _figures(found: Difference) -> Iterator[FigureRow]:
    counts = [count_decisions(lineage.traces) for lineage in (found.before, found.after)]
    for decision in Decision:
        was, now = (count[decision] for count in counts)
        yield FigureRow(f"Steps {_DONE[decision]}", str(was), str(now), f"{now - was:+d}" if was != now else "")
    for name, (label, form) in _FIGURES.items():
        one = found.figures[name]
        delta = f"{'-' if one.delta < 0 else '+'}{form(int(abs(one.delta)))}" if one.delta else ""
        yield FigureRow(label, form(_whole(one.before)), form(_whole(one.after)), delta)
    for name, one in found.metrics.items():
        delta = f"{one.delta:+.4g}" if one.delta else ""
        yield FigureRow(name, figure(one.before), figure(one.after), delta)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
