"""`checkout`: what a step of a run gave, shown or written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from prefect_helix.archive import Archive, find_call
from prefect_helix.cli.finding import JsonOption, RunArgument, StoreOption, TaskArgument, open_archive
from prefect_helix.cli.output import console, facts, print_json, visible
from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.runtime.retrieving import retrieve
from prefect_helix.storage.exporting import export
from prefect_helix.views.units import format_bytes, iso, moment
from prefect_helix.views.values import kind_of, preview


def checkout(
    run: RunArgument,
    task: TaskArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Write it: .pkl, or .parquet, .csv, .npy, .json if it is such."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load what a step of a run gave: tell what it is and show its beginning, or write it to a file."""
    archive = open_archive(store)
    lineage = archive.run(run)
    trace = find_call(lineage, task)
    value = retrieve(trace, task, lineage.run.run_id, store=archive.store, rulings=archive.rulings)
    if to is not None:
        try:
            export(value, to, force=force)
        except OSError as error:
            raise ConfigurationError("--to", str(to), f"It cannot be written: {error.strerror or error}.") from error
    if as_json:
        print_json(_json(value, trace, lineage, to))
    else:
        _print(value, trace, archive, to)


def _print(value: object, trace: Trace, archive: Archive, to: Path | None) -> None:
    out = console()
    origin, short = trace.computed_in, archive.short_ids
    by = f" by run {short.get(origin, origin)}" if origin else ""
    told = [
        ("what", kind_of(value)),
        ("size", format_bytes(trace.result.size_bytes) if trace.result else ""),
        ("computed", f"{moment(trace.computed_at_us)}{by}" if trace.computed_at_us is not None else ""),
        ("written", f"{to}, {format_bytes(to.stat().st_size)}" if to else ""),
    ]
    out.print(facts(told))
    if to is None:
        out.print()
        for line in preview(value):
            out.print(Text(visible(line)), no_wrap=True, overflow="ellipsis", crop=True)


def _json(value: object, trace: Trace, lineage: Lineage, to: Path | None) -> dict[str, Any]:
    return {
        "run_id": lineage.run.run_id,
        "task": trace.task,
        "what": kind_of(value),
        "type": trace.result.type_name if trace.result else None,
        "size_bytes": trace.result.size_bytes if trace.result else None,
        "computed": iso(trace.computed_at_us),
        "computed_in": trace.computed_in or None,
        "preview": preview(value),
        "written": str(to) if to else None,
    }
