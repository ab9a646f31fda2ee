"""`diff`: what changed from one run to another, and what that did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from prefect_helix.cli.changes import Line, bullet, code_json, code_lines, print_lines
from prefect_helix.cli.completing import complete_run, complete_run_or_flow
from prefect_helix.cli.finding import JsonOption, StoreOption, open_archive
from prefect_helix.cli.output import STYLES, ago, console, decision_text, print_json, visible
from prefect_helix.core.amounts import total
from prefect_helix.core.change import Change
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.difference import Difference
from prefect_helix.views.differences import Figure, StepRow, changed_words, same_result, step_rows
from prefect_helix.views.steps import call_names, count_decisions, size_bytes
from prefect_helix.views.units import format_bytes, format_us, iso, shorten, with_calls

SHOWN_ROWS = 40

_DONE = {Decision.COMPUTE: "computed", Decision.LOAD: "loaded", Decision.PRUNE: "pruned"}
_FIGURES: dict[str, tuple[str, Callable[[int | None], str]]] = {
    "cost_us": ("time of the steps", format_us),
    "saved_us": ("saved", format_us),
    "stored_bytes": ("results stored", format_bytes),
}


def diff(
    first: Annotated[
        str,
        typer.Argument(
            metavar="[RUN|FLOW]",
            help="The run to start from; alone, the run (or the flow's last one) to compare with.",
            autocompletion=complete_run_or_flow,
        ),
    ] = "last",
    second: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="The other run.", autocompletion=complete_run)
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs, or one with the run before it: what changed, with diffs of code, and what that did."""
    archive = open_archive(store)
    found = Difference(archive, *archive.pair(first, second))
    if as_json:
        print_json(_difference_json(found))
    else:
        _print(found)


def _print(found: Difference) -> None:
    out = console()
    out.print(_heads(found))
    out.print()
    changed = list(_changed_lines(found))
    print_lines(out, changed or [Line(0, Text("Same parameters, code, files and libraries."))])
    rows = step_rows(found.pairs, found.code)
    for table in (_steps_table(rows), _figures_table(found)):
        if table.row_count:
            out.print()
            out.print(table)


def _heads(found: Difference) -> Table:
    short = found.archive.short_ids
    table = Table.grid(padding=(0, 2, 0, 0))
    for word, lineage in (("from", found.before), ("to", found.after)):
        run = lineage.run
        table.add_row(
            Text(word, "bold"),
            Text(short[run.run_id], "cyan"),
            Text(shorten(run.flow, 24)),
            Text(shorten(run.name, 24)),
            Text(run.status, "green" if run.status == "completed" else STYLES["failed"]),
            Text(ago(run.started_us), "dim"),
        )
    return table


def _changed_lines(found: Difference) -> Iterator[Line]:
    yield from (bullet(told, remark) for told, remark in found.facts)
    yield from code_lines(found.code)


def _steps_table(rows: list[StepRow]) -> Table:
    """Return the steps that changed or went otherwise than before, then how many there are of the others."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("step", max_width=22, overflow="fold")
    for heading in ("before", "now"):
        table.add_column(heading, overflow="fold")
    table.add_column("changed", overflow="fold")
    shown = rows if len(rows) <= SHOWN_ROWS else [row for row in rows if row.changed or not row.same_decision]
    for row in shown[:SHOWN_ROWS]:
        name = with_calls(shorten(row.task, 80), len(row.pairs))
        before = _outcome([pair.before for pair in row.pairs])
        table.add_row(name, before, _outcome([pair.after for pair in row.pairs]), _effect(row))
    hidden = sum(len(row.pairs) for row in rows) - sum(len(row.pairs) for row in shown[:SHOWN_ROWS])
    if hidden:
        table.add_row(f"{hidden} others", "", "", Text("--json has them all", "dim"))
    return table


def _outcome(traces: list[Trace | None]) -> RenderableType:
    """Return what a run did with some calls, and what that took."""
    called = [trace for trace in traces if trace]
    if not called:
        return Text("not called", "dim")
    text = decision_text(called[0])
    if called[0].decision is not Decision.PRUNE:
        text.append(f" {format_us(total(map(spent_us, called)))}")
    return text


def _effect(row: StepRow) -> Text:
    """Return why a row is not what it was, and whether that made a difference."""
    computed = any(pair.after and pair.after.decision is Decision.COMPUTE for pair in row.pairs)
    same = computed and row.changed and same_result(row.pairs[0])
    return Text.assemble(shorten(row.changed, 240), ("; same result" if same else "", "green"))


def _figures_table(found: Difference) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", max_width=32, overflow="fold")
    for heading in ("before", "now", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    counts = [count_decisions(lineage.traces) for lineage in (found.before, found.after)]
    for decision in Decision:
        was, now = (count[decision] for count in counts)
        table.add_row(f"steps {_DONE[decision]}", str(was), str(now), f"{now - was:+d}" if was != now else "")
    for name, (label, form) in _FIGURES.items():
        figure = found.figures[name]
        delta = f"{'-' if figure.delta < 0 else '+'}{form(int(abs(figure.delta)))}" if figure.delta else ""
        table.add_row(label, *(form(_whole(value)) for value in (figure.before, figure.after)), delta)
    for name, figure in found.metrics.items():
        shown = ["" if value is None else f"{value:.6g}" for value in (figure.before, figure.after)]
        table.add_row(visible(shorten(name, 40)), *shown, f"{figure.delta:+.4g}" if figure.delta else "")
    return table


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _difference_json(found: Difference) -> dict[str, Any]:
    return {
        "before": _run_json(found.before),
        "after": _run_json(found.after),
        "parameters": [_change_json(change) for change in found.parameters],
        "files": [_change_json(change, tasks) for change, tasks in found.arguments("file").items()],
        "arguments": [_change_json(change, tasks) for change, tasks in found.arguments("argument").items()],
        "versions": [_change_json(change) for change in found.versions],
        "code": code_json(found.code),
        "code_not_recorded": list(found.code.unrecorded),
        "steps": _steps_json(found),
        "figures": {name: _figure_json(figure) for name, figure in found.figures.items()},
        "metrics": {name: _figure_json(figure) for name, figure in found.metrics.items()},
    }


def _run_json(lineage: Lineage) -> dict[str, Any]:
    run = lineage.run
    return {
        "run_id": run.run_id,
        "flow": run.flow,
        "name": run.name,
        "status": run.status,
        "started": iso(run.started_us),
        "finished": iso(run.finished_us),
        "decisions": {decision.value: count for decision, count in count_decisions(lineage.traces).items()},
    }


def _change_json(change: Change, tasks: list[str] | None = None) -> dict[str, Any]:
    name = change.origin if change.kind == "file" else change.name
    fact = {"name": name, "before": change.before, "after": change.after}
    return fact if tasks is None else fact | {"tasks": list(dict.fromkeys(tasks))}


def _steps_json(found: Difference) -> list[dict[str, Any]]:
    names = {
        id(trace): name
        for lineage in (found.before, found.after)
        for trace, name in zip(lineage.traces, call_names(lineage.traces), strict=True)
    }
    return [
        {
            "step": names[id(pair.trace)],
            "task": pair.trace.task,
            "before": _step_json(pair.before),
            "after": _step_json(pair.after),
            "changes": [{"kind": change.kind, "name": change.name, "text": str(change)} for change in pair.changes],
            "changed": changed_words(pair, found.code),
            "same_result": same_result(pair),
        }
        for pair in found.pairs
    ]


def _step_json(trace: Trace | None) -> dict[str, Any] | None:
    if trace is None:
        return None
    return {
        "decision": trace.decision.value,
        "status": trace.status,
        "reason": trace.reason,
        "cost_us": spent_us(trace),
        "saved_us": saved_us(trace),
        "size_bytes": size_bytes(trace),
        "stored": trace.stored,
    }


def _figure_json(figure: Figure) -> dict[str, float | None]:
    return {"before": figure.before, "after": figure.after, "change": figure.delta}
