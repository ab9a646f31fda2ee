"""The versions of a flow as markdown: what its latest runs took, saved and measured, and what had changed each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from prefect_helix.core.amounts import total
from prefect_helix.core.lineage import Run
from prefect_helix.views.charts import Part, Version, line_chart, stacked_bars
from prefect_helix.views.differences import summary_words
from prefect_helix.views.ink import on_paper
from prefect_helix.views.markdown import link, picture, table, unbroken, verbatim
from prefect_helix.views.units import format_count, format_us, moment

MAX_VERSIONS = 30
"""Runs that are drawn."""

MAX_ROWS = 15
"""Rows of the table of runs."""

_METRICS = 4

Url = Callable[[Run], str]
"""Gives where there is more about a run; empty for nowhere."""


def versions_markdown(runs: Sequence[Run], *, page: Url, more: Url) -> str:
    """Return what there is to say of the versions of a flow.

    Args:
        runs: Its latest runs, oldest first, at most `MAX_VERSIONS`; not empty.
        page: Prefect's page of a run.
        more: Our own.
    """
    shown = [Version(run.name or run.run_id) for run in runs]
    sections = [
        f"**{_headline(runs)}**" + (f" {link('More about the latest', more(runs[-1]))}" if more(runs[-1]) else "")
    ]
    names = list(dict.fromkeys(chain.from_iterable(run.metrics for run in reversed(runs))))
    if names:
        lines = {name: [run.metrics.get(name) for run in runs] for name in names}
        sections += [
            "### Metrics",
            picture(on_paper(line_chart(lines, shown, title="Metrics by run")), "metrics by run"),
        ]
    spent, saved = _spent_us(runs), _saved_us(runs)
    parts = [Part("spent", "compute-line", "full", spent), Part("saved", "prune-line", "hollow", saved)]
    bars = stacked_bars(parts, shown, title="Time spent and saved by run")
    sections += ["### Time", picture(on_paper(bars), "time by run")]
    newest = [*reversed(runs)][:MAX_ROWS]
    header = "run | when | changed | >computed | >spent | >saved | metrics"
    sections += ["### Runs", table(header, [_row(run, page(run), more(run)) for run in newest])]
    return "\n\n".join(sections) + "\n"


def _headline(runs: Sequence[Run]) -> str:
    spent_us, saved_us = total(_known(_spent_us(runs))), total(_known(_saved_us(runs)))
    times = [f"{format_us(spent_us)} spent", *([f"{format_us(saved_us)} saved"] if saved_us else [])]
    which = f"The last {len(runs)} runs" if len(runs) == MAX_VERSIONS else format_count(len(runs), "run")
    return f"{which} of {verbatim(runs[-1].flow, 80)}: {', '.join(times)}."


def _row(run: Run, page: str, more: str) -> list[str]:
    summary = run.summary
    ended = "" if run.status == "completed" else f" ({run.status})"
    own = f" {link('↗', more)}" if more else ""
    metrics = [f"{verbatim(name, 40)} {unbroken(f'{value:.4g}')}" for name, value in run.metrics.items()]
    return [
        link(verbatim(run.name or run.run_id, 60), page) + ended + own,
        unbroken(moment(run.started_us).rpartition(":")[0]),
        verbatim(summary_words(summary), 160) if summary else "",
        unbroken(f"{summary.computed} of {sum(summary.counts.values())}") if summary else "",
        unbroken(format_us(summary.spent_us)) if summary else "",
        unbroken(format_us(summary.saved_us)) if summary and summary.saved_us != 0 else "",
        ", ".join([*metrics[:_METRICS], *(["…"] if len(metrics) > _METRICS else [])]),
    ]


def _spent_us(runs: Sequence[Run]) -> list[int | None]:
    return [run.summary.spent_us if run.summary else None for run in runs]


def _saved_us(runs: Sequence[Run]) -> list[int | None]:
    return [run.summary.saved_us if run.summary else None for run in runs]


def _known(amounts: Sequence[int | None]) -> list[int]:
    return [amount for amount in amounts if amount is not None]
