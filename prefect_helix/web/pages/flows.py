"""All flows, and the versions of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from prefect_helix.archive import suggestion
from prefect_helix.core.change import Summary
from prefect_helix.core.errors import NotFoundError
from prefect_helix.core.lineage import Lineage, Run
from prefect_helix.views.charts import Part, Version, line_chart, sparkline, stacked_bars
from prefect_helix.views.differences import summary_words
from prefect_helix.views.units import format_count, moment, shorten
from prefect_helix.web.asking import PICTURE_WIDTH, Ask, Page, flow_key, part
from prefect_helix.web.rendering import figure

SHOWN_FLOWS = 500
SHOWN_VERSIONS = 50
CHARTED_VERSIONS = 100
SHOWN_METRICS = 2
"""Metrics with a column of their own."""

_SPARK_VERSIONS = 30


@dataclass(frozen=True)
class FlowRow:
    """A flow, its last run and what all its runs saved."""

    name: str
    last: Run
    summary: Summary
    versions: int
    saved_us: int
    metric: str
    line: str


@dataclass(frozen=True)
class VersionRow:
    """A run of a flow."""

    run: Run
    summary: Summary
    changed: str


def flows_page(ask: Ask) -> Page:
    """Show every flow, the one that ran last first."""
    by_name: dict[str, list[Lineage]] = {}
    for lineage in ask.archive.lineages:
        by_name.setdefault(lineage.run.flow, []).append(lineage)
    rows = [_flow_row(ask, name, lineages) for name, lineages in [*by_name.items()][:SHOWN_FLOWS]]
    return Page("flows.html", "Flows", {"flows": rows, "count": len(by_name)})


def versions_page(ask: Ask) -> Page:
    """Show the runs of one flow, newest first."""
    name = ask.text("name")
    key = {flow: flow_key(flow) for flow in {lineage.run.flow for lineage in ask.archive.lineages}}
    found = [lineage for lineage in ask.archive.lineages if key[lineage.run.flow] == name]
    if not found:
        raise NotFoundError(f"There is no run of a flow {shorten(name, 120)!r}{suggestion(name[:120], key)}")
    name = found[0].run.flow
    pages = part(found, ask.number("page", 1), SHOWN_VERSIONS)
    rows = [_version_row(ask, lineage) for lineage in pages.items]
    charted = found[pages.first : pages.first + CHARTED_VERSIONS][::-1]
    values = {
        "name": name,
        "pages": pages,
        "address": partial(ask.links.flow, name),
        "rows": rows,
        "remarked": any(
            ask.archive.remarks.tags_of(row.run.run_id) or ask.archive.remarks.notes_of(row.run.run_id) for row in rows
        ),
        "saved_us": sum(summary_of(ask, lineage).saved_us or 0 for lineage in found),
        "metric_names": _metric_names([row.run for row in rows])[:SHOWN_METRICS],
        "metrics_chart": _metrics_chart(ask, charted),
        "time_chart": _time_chart(ask, charted),
    }
    return Page("flow.html", name or "Flow without a name", values)


def summary_of(ask: Ask, lineage: Lineage) -> Summary:
    """Return a run in a few figures; of one that has none they are made once."""
    run = lineage.run
    return run.summary or ask.library.remembered("summary", run, lambda: ask.archive.summary(lineage))


def version_of(ask: Ask, run: Run, href: str) -> Version:
    """Return a run as a place on the axis of a chart."""
    at = moment(run.started_us)
    return Version(at[5:16], f"{ask.links.short(run)} {shorten(run.name, 60)}, {at}", href)


def _flow_row(ask: Ask, name: str, lineages: Sequence[Lineage]) -> FlowRow:
    last = lineages[0].run
    metrics = next((one.run.metrics for one in lineages if one.run.metrics), {})
    metric_name = next(iter(metrics), "")
    shown = shorten(metric_name, 40)
    values = [one.run.metrics.get(metric_name) for one in lineages[:_SPARK_VERSIONS]][::-1]
    return FlowRow(
        name=name,
        last=last,
        summary=summary_of(ask, lineages[0]),
        versions=len(lineages),
        saved_us=sum(summary_of(ask, lineage).saved_us or 0 for lineage in lineages),
        metric=f"{shown} {figure(metrics[metric_name])}" if metrics else "",
        line=sparkline(values, title=f"{shown} of the last {format_count(len(values), 'version')}") if metrics else "",
    )


def _version_row(ask: Ask, lineage: Lineage) -> VersionRow:
    summary = summary_of(ask, lineage)
    return VersionRow(lineage.run, summary, summary_words(summary))


def _metric_names(runs: Sequence[Run]) -> list[str]:
    return [*dict.fromkeys(name for run in runs for name in run.metrics)]


def _metrics_chart(ask: Ask, lineages: Sequence[Lineage]) -> str:
    """Draw the metrics over versions, oldest first; nothing if there are none."""
    runs = [lineage.run for lineage in lineages]
    lines = {name: [run.metrics.get(name) for run in runs] for name in _metric_names(runs[::-1])}
    if not lines:
        return ""
    return line_chart(
        lines, [version_of(ask, run, ask.links.run(run)) for run in runs], title="Metrics", width=PICTURE_WIDTH
    )


def _time_chart(ask: Ask, lineages: Sequence[Lineage]) -> str:
    """Draw for each version what its steps took and what was saved."""
    summaries = [summary_of(ask, lineage) for lineage in lineages]
    parts = [
        Part("spent", "compute-line", "full", [summary.spent_us for summary in summaries]),
        Part("saved", "prune-line", "hollow", [summary.saved_us for summary in summaries]),
    ]
    versions = [version_of(ask, one.run, ask.links.run(one.run)) for one in lineages]
    return stacked_bars(parts, versions, title="Time spent and saved", width=PICTURE_WIDTH)
