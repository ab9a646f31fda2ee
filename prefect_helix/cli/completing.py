"""Names of runs, flows and tasks for the shell, while somebody types."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator

import typer

from prefect_helix.archive import Archive, read_archive
from prefect_helix.cli.output import ago
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.views.differences import summary_words
from prefect_helix.views.steps import call_names
from prefect_helix.views.units import format_count, shorten

OFFERED_RUNS = 50
"""Runs that are offered, the latest."""

Offer = tuple[str, str]
"""A name, and what it stands for."""


def complete_run(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Return the names of runs that begin so."""
    return _offered(ctx, incomplete, _runs)


def complete_flow(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Return the flows that begin so."""
    return _offered(ctx, incomplete, _flows)


def complete_run_or_flow(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Return the names of runs, and the flows, that begin so."""
    return _offered(ctx, incomplete, lambda archive, ctx: [*_runs(archive, ctx), *_flows(archive, ctx)])


def complete_task(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Return the steps that begin so, of the run that was typed before, else the tasks of the latest runs."""
    return _offered(ctx, incomplete, _tasks)


def complete_tag(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Return the tags that begin so."""
    return _offered(ctx, incomplete, _tags)


def _offered(
    ctx: typer.Context, incomplete: str, names: Callable[[Archive, typer.Context], Iterable[Offer]]
) -> list[Offer]:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            archive = read_archive(resolve(FlowOptions(store=ctx.params.get("store"))))
            found = dict(reversed([one for one in names(archive, ctx) if one[0].startswith(incomplete)]))
        except Exception:  # whatever it is, a message in the middle of a line that is being typed helps nobody
            return []
    return list(reversed(found.items()))


def _runs(archive: Archive, ctx: typer.Context) -> Iterator[Offer]:
    if archive.lineages:
        yield "last", "the latest run"
    yield from _tags(archive, ctx)
    short = archive.short_ids
    for lineage in archive.lineages[:OFFERED_RUNS]:
        run = lineage.run
        told = f"{run.flow}, {ago(run.started_us)}"
        if run.summary is not None:
            told += f": {shorten(summary_words(run.summary), 40)}"
        yield short[run.run_id], told


def _tags(archive: Archive, ctx: typer.Context) -> Iterator[Offer]:
    for name, tag in archive.remarks.tags.items():
        yield name, f"run {archive.short_ids.get(tag.run, tag.run)}"


def _flows(archive: Archive, ctx: typer.Context) -> Iterator[Offer]:
    flows = [lineage.run.flow for lineage in archive.lineages]
    yield from ((flow, format_count(flows.count(flow), "run")) for flow in dict.fromkeys(flows))


def _tasks(archive: Archive, ctx: typer.Context) -> Iterator[Offer]:
    if run := ctx.params.get("run"):
        traces = archive.run(run).traces
        yield from ((name, trace.decision.value) for name, trace in zip(call_names(traces), traces, strict=True))
        return
    latest = {lineage.run.flow: lineage for lineage in reversed(archive.lineages)}
    for flow, lineage in latest.items():
        yield from ((task, flow) for task in dict.fromkeys(trace.task for trace in lineage.traces))
