"""`store verify`: reads every byte, and computes some results again."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from prefect_helix.archive import Archive
from prefect_helix.cli.finding import JsonOption, StoreOption, archive_of, existing, open_archive
from prefect_helix.cli.output import ago, complain, console, print_json, tracked, visible
from prefect_helix.cli.rulings import YesOption, ask
from prefect_helix.core.errors import BlobMissingError, ConfigurationError, CorruptError
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.preview import Loaded, loaded, outside_of_runs
from prefect_helix.runtime.recomputing import Outcome, recompute
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.storage.store import Store
from prefect_helix.views.units import format_bytes, format_count

READERS = 4


def verify(
    entrypoint: Annotated[
        str | None,
        typer.Argument(metavar="[ENTRYPOINT]", help="The flow whose results --recompute computes again."),
    ] = None,
    recompute_count: Annotated[
        int, typer.Option("--recompute", metavar="N", min=0, help="Compute N results again and compare.")
    ] = 0,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is damaged.")] = False,
    yes: YesOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every byte that is kept and check it; compute a sample of results again. Damaged results are told.

    With --recompute the flow's module is run, and the tasks of the sample, but not the flow.
    """
    if recompute_count and entrypoint is None:
        raise ConfigurationError("--recompute", recompute_count, "Name the flow: path/to/file.py:flow.")
    flow = None
    if entrypoint is not None:
        with contextlib.redirect_stdout(sys.stderr):  # what the flow's module prints
            flow = loaded(entrypoint, store=store)
    archive = existing(archive_of(flow.settings) if flow else open_archive(store))
    sizes = archive.store.blobs()
    damaged = _damaged(archive.store, sizes)
    outcomes = _recomputed(archive, flow, recompute_count) if flow and recompute_count else []
    if as_json:
        print_json(_json(archive, sizes, damaged, outcomes))
    else:
        _print(archive, sizes, damaged, outcomes)
        if (compared := sum(outcome.compared for outcome in outcomes)) < recompute_count:
            complain(
                f"Only {compared} of {recompute_count} could be computed again: no more of the flow's code of today."
            )
    if damaged and remove:
        ask(f"Remove {format_count(len(damaged), 'damaged result')}?", yes=yes, as_json=as_json)
        for name in damaged:
            archive.store.delete_blob(name)
    if damaged or archive.useless or any(outcome.differs for outcome in outcomes):
        raise typer.Exit(1)


def _damaged(store: Store, sizes: dict[str, int]) -> dict[str, str]:
    """Return the blobs that are not what was written, with what is wrong with each."""

    def problem(name: str) -> tuple[str, str | None]:
        try:
            store.check_blob(name)
        except BlobMissingError:  # somebody made room
            return name, None
        except CorruptError as error:
            return name, error.cause
        return name, None

    with ThreadPoolExecutor(READERS) as readers:
        found = tracked(readers.map(problem, sizes), len(sizes), "Reading")
        return {name: cause for name, cause in found if cause is not None}


def _recomputed(archive: Archive, flow: Loaded, count: int) -> list[Outcome]:
    """Return what became of results that were computed again: of all that the flow's code of today gave, a sample."""
    known = [*_current(archive, flow)]
    random.shuffle(known)
    outcomes: list[Outcome] = []

    def compared() -> Iterator[Outcome]:
        for lineage, trace, spec in known:
            with contextlib.redirect_stdout(sys.stderr), outside_of_runs():
                outcomes.append(recompute(trace, spec, lineage, archive.store))
            if outcomes[-1].compared:
                yield outcomes[-1]

    for _ in tracked(islice(compared(), count), min(count, len(known)), "Computing"):
        pass
    return outcomes


def _current(archive: Archive, flow: Loaded) -> Iterator[tuple[Lineage, Trace, TaskSpec]]:
    """Yield each result that the flow's code of today has, with the latest run that names it, and its task."""
    seen: set[str] = set()
    for lineage in archive.lineages:
        for trace in lineage.traces if lineage.run.flow == flow.flow else ():
            spec = flow.spec_of(trace.key, trace.task)
            if trace.result and spec and spec.fingerprint == trace.computed_by and trace.signature not in seen:
                seen.add(trace.signature)
                yield lineage, trace, spec


def _print(archive: Archive, sizes: dict[str, int], damaged: dict[str, str], outcomes: Sequence[Outcome]) -> None:
    out = console()
    size = format_bytes(sum(sizes.values()))
    out.print(f"{format_count(len(sizes), 'result')} read, {size}: {len(damaged) or 'none'} damaged.")
    for name, cause in damaged.items():
        out.print(visible(f"  {name}: {cause}"), soft_wrap=True)
    for path in archive.useless:
        complain(f"{path} is damaged; `store gc` removes it.")
    if not outcomes:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("task", "computed", "computed again"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        told = Text(outcome.told, "bold red" if outcome.differs else "" if outcome.compared else "dim")
        table.add_row(outcome.trace.task, ago(outcome.trace.computed_at_us or outcome.trace.started_us), told)
    out.print(table)


def _json(
    archive: Archive, sizes: dict[str, int], damaged: dict[str, str], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    return {
        "store": archive.url,
        "blobs": len(sizes),
        "size_bytes": sum(sizes.values()),
        "damaged": damaged,
        "useless": list(archive.useless),
        "recomputed": [
            {
                "task": outcome.trace.task,
                "signature": outcome.trace.signature,
                "same": not outcome.differs if outcome.compared else None,
                "told": outcome.told,
            }
            for outcome in outcomes
        ],
    }
