"""`metrics`: how the numbers of a flow went from run to run."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.table import Table
from rich.text import Text

from prefect_helix.archive import Archive
from prefect_helix.cli.finding import FlowArgument, JsonOption, StoreOption, open_archive
from prefect_helix.cli.output import STYLES, ago, complain, console, print_json, visible
from prefect_helix.core.errors import ConfigurationError, NotFoundError
from prefect_helix.core.lineage import Lineage
from prefect_helix.views.differences import few
from prefect_helix.views.plots import plot
from prefect_helix.views.units import iso, moment, shorten

SHOWN_COLUMNS = 3
SHOWN_PLOTS = 4


def metrics(
    flow: FlowArgument = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="NAME", help="Only this metric; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Runs to show, the latest.")] = 20,
    as_csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write all runs as CSV to a file; `-` prints them.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the metrics of a flow's runs, newest last, with what changed from one to the next, as a table and plots."""
    archive = open_archive(store)
    flow = flow or _only_flow(archive)
    found = [lineage for lineage in reversed(archive.of_flow(flow)) if lineage.run.metrics]
    if not found:
        raise NotFoundError(
            f"No run of {flow} reported a metric. Return a small dict of numbers from a task, or call log_metric()."
        )
    names = _names(found, metric or [])
    if as_csv is not None:
        _write_csv(found, names, archive, as_csv)
        return
    shown = found[-limit:]
    if as_json:
        print_json(
            [
                {
                    "run_id": one.run.run_id,
                    "started": iso(one.run.started_us),
                    "status": one.run.status,
                    "tags": list(archive.remarks.tags_of(one.run.run_id)),
                    "metrics": {name: one.run.metrics[name] for name in names if name in one.run.metrics},
                }
                for one in shown
            ]
        )
        return
    _print(found, shown, names, archive)


def _only_flow(archive: Archive) -> str:
    """Return the flow that is meant where none is named.

    Raises:
        NotFoundError: If there is not exactly one.
    """
    flows = sorted({lineage.run.flow for lineage in archive.lineages})
    if len(flows) != 1:
        there = f"has runs of {few(flows)}: name one" if flows else "holds no runs"
        raise NotFoundError(f"The store {archive.url} {there}.")
    return flows[0]


def _names(lineages: Sequence[Lineage], wanted: Sequence[str]) -> list[str]:
    """Return the metrics to show, those of the latest run first.

    Raises:
        NotFoundError: If one that is wanted is not there.
    """
    known = list(dict.fromkeys(name for lineage in reversed(lineages) for name in lineage.run.metrics))
    for name in wanted:
        if name not in known:
            raise NotFoundError(f"No run of {lineages[0].run.flow} reported {name!r}; there is {few(known)}.")
    return list(dict.fromkeys(wanted)) or known


def _print(found: Sequence[Lineage], shown: Sequence[Lineage], names: Sequence[str], archive: Archive) -> None:
    out = console()
    out.print(_table(shown, names[:SHOWN_COLUMNS], archive))
    for name in names[:SHOWN_PLOTS]:
        values = [lineage.run.metrics.get(name) for lineage in shown]
        span = f"{moment(shown[0].run.started_us)} to {moment(shown[-1].run.started_us)}"
        out.print()
        out.print(Text.assemble((visible(shorten(name, 40)), "bold"), (f"  {span}", "dim")))
        for line in plot(values, out.width):
            out.print(Text(line, "cyan"))
    if len(found) > len(shown):
        complain(f"{len(found) - len(shown)} older runs are not shown; see them with --limit.")
    if len(names) > SHOWN_COLUMNS:
        complain(f"Metrics without a column: {few(names[SHOWN_COLUMNS:])}; choose some with --metric.")


def _table(shown: Sequence[Lineage], names: Sequence[str], archive: Archive) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("run", "when"):
        table.add_column(heading, no_wrap=True)
    for name in names:
        table.add_column(visible(shorten(name, 20)), justify="right", no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    short = archive.short_ids
    before: dict[str, float] = {}
    for lineage in shown:
        run = lineage.run
        cells: list[Text] = []
        for name in names:
            value = run.metrics.get(name)
            cells += [Text("" if value is None else f"{value:.6g}"), Text(_delta(before.get(name), value), "dim")]
        before |= run.metrics
        marks = ", ".join([*archive.remarks.tags_of(run.run_id), *([run.status] if run.status != "completed" else ())])
        style = STYLES["failed"] if run.status != "completed" else "magenta"
        table.add_row(Text(short[run.run_id], "cyan"), ago(run.started_us), *cells, Text(visible(marks), style))
    return table


def _delta(before: float | None, value: float | None) -> str:
    if before is None or value is None or not math.isfinite(value - before):
        return ""
    return "=" if value == before else f"{value - before:+.3g}"


def _write_csv(lineages: Sequence[Lineage], names: Sequence[str], archive: Archive, target: str) -> None:
    if target == "-":
        _write_rows(sys.stdout, lineages, names, archive)
        return
    try:
        with Path(target).open("w", newline="", encoding="utf-8") as file:
            _write_rows(file, lineages, names, archive)
    except OSError as error:
        raise ConfigurationError("--csv", target, f"It cannot be written: {error.strerror or error}.") from error


def _write_rows(file: IO[str], lineages: Sequence[Lineage], names: Sequence[str], archive: Archive) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["run_id", "started", "status", "tags", *names])
    writer.writerows(_rows(lineages, names, archive))


def _rows(lineages: Sequence[Lineage], names: Sequence[str], archive: Archive) -> Iterator[list[object]]:
    for lineage in lineages:
        run = lineage.run
        tags = " ".join(archive.remarks.tags_of(run.run_id))
        yield [run.run_id, iso(run.started_us), run.status, tags, *(run.metrics.get(name, "") for name in names)]
