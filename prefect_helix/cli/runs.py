"""`runs` and `show`: what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from prefect_helix.archive import SHORT_ID, Archive
from prefect_helix.cli.completing import complete_flow
from prefect_helix.cli.finding import JsonOption, RunArgument, StoreOption, open_archive
from prefect_helix.cli.output import (
    STYLES,
    ago,
    complain,
    console,
    facts,
    numbers,
    print_json,
    steps_json,
    steps_table,
    steps_tree,
    visible,
)
from prefect_helix.cli.remarks import note_json
from prefect_helix.core.lineage import Lineage
from prefect_helix.views.differences import summary_words
from prefect_helix.views.steps import count_decisions, run_time_summary, step_summary, time_summary
from prefect_helix.views.units import format_bytes, format_count, format_us, iso, moment, shorten

SHOWN_METRICS = 3
SHOWN_CHANGES = 240
"""Characters."""

INDENT = SHORT_ID + 2


def runs(
    flow: Annotated[
        str | None, typer.Argument(metavar="[FLOW]", help="Only runs of this flow.", autocompletion=complete_flow)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Runs to show.")] = 20,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first: what changed, what was computed, what it took and saved."""
    archive = open_archive(store)
    found = archive.lineages if flow is None else archive.of_flow(flow)
    chosen = found[:limit]
    if as_json:
        print_json([_run_json(lineage, archive) for lineage in chosen])
    elif not chosen:
        told = "If a flow has a store of its own, name that with --store."
        complain(f"The store {archive.url} holds no runs yet. {told}")
    else:
        _print_runs(chosen, archive)
        if len(found) > limit:
            complain(f"{len(found) - limit} older runs are not shown; see them with --limit.")
        in_force = len(archive.rulings.acceptances) + len(archive.rulings.revocations)
        if in_force:
            complain(f"{format_count(in_force, 'ruling')} on results in force; see `prefect-helix rulings`.")


def show(
    run: RunArgument,
    as_tree: Annotated[
        bool, typer.Option("--tree", "-t", help="Below each step those whose results it takes, not in call order.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: each step with its decision, reason, cost and size; parameters, metrics, versions, problems."""
    archive = open_archive(store)
    lineage = archive.run(run)
    if as_json:
        head = lineage.run
        details = {"versions": dict(head.versions), "steps": steps_json(lineage.traces)}
        print_json(_run_json(lineage, archive) | details)
        return
    out = console()
    out.print(_title(lineage, archive))
    out.print(facts(_facts(lineage, archive)))
    if lineage.traces:
        out.print()
        out.print(steps_tree(lineage.traces) if as_tree else steps_table(lineage.traces))


def _print_runs(lineages: tuple[Lineage, ...], archive: Archive) -> None:
    """Print a line of aligned columns for each run, and below it what a column is too narrow for."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("run", "flow", "when"):
        table.add_column(heading, no_wrap=True, max_width=16)
    for heading in ("compute", "load", "prune", "time", "saved"):
        table.add_column(heading, justify="right", no_wrap=True)
    short = archive.short_ids
    for lineage in lineages:
        run, summary = lineage.run, archive.summary(lineage)
        table.add_row(
            Text(short[run.run_id], "cyan"),
            shorten(run.flow, 40),
            ago(run.started_us),
            *(Text(str(count), STYLES[decision.value]) for decision, count in summary.counts.items()),
            format_us(summary.spent_us),
            format_us(summary.saved_us),
        )
    out = console()
    header, *lines = out.render_lines(table, pad=False)
    out.print(Segments([*header, Segment.line()]))
    for line, lineage in zip(lines, lineages, strict=True):
        out.print(Segments([*line, Segment.line()]))
        for detail in _details(lineage, archive):
            out.print(Padding(detail, (0, 0, 0, INDENT), expand=False))


def _details(lineage: Lineage, archive: Archive) -> Iterator[Text]:
    run = lineage.run
    ended = "" if run.status == "completed" else f"{run.status}; "
    yield Text.assemble((ended, STYLES["failed"]), shorten(summary_words(archive.summary(lineage)), SHOWN_CHANGES))
    if run.metrics:
        yield Text(numbers(run.metrics, SHOWN_METRICS), "dim")
    if tags := archive.remarks.tags_of(run.run_id):
        yield Text(f"tagged {', '.join(tags)}", "magenta")
    for note in archive.remarks.notes_of(run.run_id):
        yield Text(f"“{shorten(note.text, SHOWN_CHANGES)}”", "italic")


def _title(lineage: Lineage, archive: Archive) -> Text:
    run = lineage.run
    title = Text.assemble((archive.short_ids[run.run_id], "bold cyan"), visible(f"  {run.flow}  {run.name}  "))
    title.append(run.status, "green" if run.status == "completed" else STYLES["failed"])
    title.append(f"  {moment(run.started_us)}", "dim")
    return title


def _facts(lineage: Lineage, archive: Archive) -> Iterator[tuple[str, str]]:
    run, traces = lineage.run, lineage.traces
    yield "steps", step_summary(count_decisions(traces))
    yield "called by", _named(archive.parent_of(run), archive)
    yield "calls", ", ".join(_named(one, archive) for one in archive.subflows_of(run))
    yield "time", run_time_summary(traces) if traces else ""
    yield "planned", time_summary(run.predicted_us, None)
    yield "changed", summary_words(archive.summary(lineage))
    yield "parameters", ", ".join(f"{name}={shorten(shown, 80)}" for name, shown in run.shown_parameters.items())
    yield "metrics", numbers(run.metrics)
    yield "tags", ", ".join(archive.remarks.tags_of(run.run_id))
    for note in archive.remarks.notes_of(run.run_id):
        yield "note", f"{note.text}  ({note.id}, {moment(note.at_us)})"
    yield "settings", f"mode {run.mode}, policy {run.policy}, budget {format_bytes(run.budget_bytes)}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())
    for problem in run.problems:
        yield "problem", problem


def _named(lineage: Lineage | None, archive: Archive) -> str:
    """Return "census 9f8e7d6c"; empty for None."""
    return "" if lineage is None else f"{lineage.run.flow} {archive.short_ids[lineage.run.run_id]}"


def _run_json(lineage: Lineage, archive: Archive) -> dict[str, Any]:
    run, summary = lineage.run, archive.summary(lineage)
    return {
        "run_id": run.run_id,
        "flow": run.flow,
        "name": run.name,
        "parent_run_id": run.parent_run_id,
        "status": run.status,
        "started": iso(run.started_us),
        "finished": iso(run.finished_us),
        "mode": run.mode,
        "policy": run.policy,
        "budget_bytes": run.budget_bytes,
        "parameters": dict(run.shown_parameters),
        "compared_with": summary.compared_with,
        "changed": summary_words(summary),
        "changes": [
            {
                "task": one.task or None,
                "kind": one.change.kind,
                "name": one.change.name,
                "text": str(one.change),
                "calls": one.calls,
            }
            for one in summary.changes
        ],
        "more_changes": summary.more_changes,
        "decisions": {decision.value: count for decision, count in summary.counts.items()},
        "failed": summary.failed,
        "predicted_us": run.predicted_us,
        "cost_us": summary.spent_us,
        "saved_us": summary.saved_us,
        "scratch_us": summary.scratch_us,
        "added_bytes": summary.added_bytes,
        "metrics": dict(run.metrics),
        "tags": list(archive.remarks.tags_of(run.run_id)),
        "notes": [note_json(note) for note in archive.remarks.notes_of(run.run_id)],
        "problems": list(run.problems),
    }
