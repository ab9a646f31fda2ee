"""Runs as HTML for notebooks: no scripts, nothing from elsewhere, in the colours of the page around them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from prefect_helix.core.comparison import CodeChanges, Pair
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.views.code import code_words
from prefect_helix.views.differences import Figure, step_rows
from prefect_helix.views.steps import (
    alike,
    call_names,
    count_decisions,
    row_of,
    run_time_summary,
    span,
    step_summary,
)
from prefect_helix.views.svg import dag_svg
from prefect_helix.views.units import and_more, moment, shorten, with_calls

MAX_ROWS = 100
"""Rows of a table, and sentences of one kind, that are shown; of more the number is told."""

MAX_PIECES = 40
"""Pieces of changed code that are shown."""

MAX_LINES = 400
"""Lines of the difference of each of them."""

_NAME, _TEXT, _LINE = 120, 240, 1_000  # characters

_STYLE = """<style>
.helix-run { color: inherit; max-width: 980px; font-size: 13px; line-height: 1.5; }
.helix-run h4 { margin: 0 0 4px; font-size: 15px; }
.helix-run p { margin: 2px 0; }
.helix-run .quiet { opacity: .72; }
.helix-run img { max-width: 100%; height: auto; margin: 8px 0; }
.helix-run table { border-collapse: collapse; margin: 6px 0; font-size: inherit; color: inherit;
  background: transparent; }
.helix-run th, .helix-run td { text-align: left; padding: 2px 14px 2px 0; vertical-align: top; background: transparent;
  border: 0; border-bottom: 1px solid rgba(128, 128, 128, .3); }
.helix-run th.number, .helix-run td.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.helix-run pre { margin: 2px 0 8px 12px; font-size: 12px; background: transparent; color: inherit; }
.helix-run .failed, .helix-run .old { color: #d1495b; }
.helix-run .compute { color: #c27c1c; } .helix-run .load { color: #4a83d4; } .helix-run .new { color: #3f9b5f; }
</style>"""


def run_html(lineage: Lineage, facts: Iterable[tuple[str, str]]) -> str:
    """Return a run with the picture of its steps and their table.

    Args:
        lineage: The run.
        facts: What else there is to say of it, by name.
    """
    run, traces = lineage.run, lineage.traces
    picture = base64.b64encode(dag_svg(lineage).encode()).decode("ascii") if traces else ""
    times = run_time_summary(traces)
    sentences = [f"<p>{_quiet(name)} {escape(shorten(told, _LINE))}</p>" for name, told in facts if told]
    flow, name = shorten(run.flow, _NAME), shorten(run.name, _NAME)
    return _page(
        f"<h4>{escape(flow)} {_quiet(name)} {_quiet(moment(run.started_us))}</h4>",
        "" if run.status == "completed" else f'<p class="failed">{escape(run.status)}</p>',
        f"<p>{escape(step_summary(count_decisions(traces)) + (f'; {times}' if times else ''))}</p>" if traces else "",
        *_bounded(sentences),
        f'<img alt="the steps of the run" src="data:image/svg+xml;base64,{picture}">' if picture else "",
        _steps(traces) if traces else "",
    )


def difference_html(
    title: str,
    facts: Sequence[tuple[str, str]],
    code: CodeChanges,
    pairs: Sequence[Pair],
    metrics: dict[str, Figure],
) -> str:
    """Return what changed between two runs, with diffs of code, and what that did.

    Args:
        title: Which runs.
        facts: What changed besides code, each with a remark.
        code: What changed in code.
        pairs: Their steps.
        metrics: Their metrics.
    """
    rows = [row for row in step_rows(pairs, code) if row.changed or not row.same_decision]
    sentences = [f"<p>{escape(shorten(told, _LINE))}{_quiet(remark)}</p>" for told, remark in facts]
    changed = [*filter(None, (*_bounded(sentences), *_code(code)))]
    return _page(
        f"<h4>{escape(title)}</h4>",
        *(changed or [f"<p>{_quiet('Same parameters, code, files and libraries.')}</p>"]),
        _table(
            ("step", "before", "now", "changed"),
            [
                (
                    with_calls(shorten(row.task, _NAME), len(row.pairs)),
                    *_outcomes(row.pairs[0]),
                    shorten(row.changed, _TEXT),
                )
                for row in rows[:MAX_ROWS]
            ],
            of=len(rows),
        ),
        _table(
            ("metric", "before", "now", "change"),
            [
                (shorten(name, _NAME), *map(_number, (one.before, one.after)), f"{one.delta:+.4g}" if one.delta else "")
                for name, one in [*metrics.items()][:MAX_ROWS]
            ],
            of=len(metrics),
            numbers=range(1, 4),
        ),
    )


def _page(*parts: str) -> str:
    return "\n".join((_STYLE, '<div class="helix-run">', *filter(None, parts), "</div>"))


def _steps(traces: Sequence[Trace]) -> str:
    groups = [*alike(zip(traces, call_names(traces), strict=True))]
    rows = []
    for calls in groups[:MAX_ROWS]:
        row = row_of([one for one, _ in calls])
        name = shorten(span([one for _, one in calls]), _NAME)
        rows.append((name, row.word, row.cost, row.saved, row.size, shorten(row.trace.reason, _TEXT)))
    header = ("step", "decision", "cost", "saved", "size", "reason")
    return _table(header, rows, of=len(groups), numbers=range(2, 5), looks=1)


def _table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    of: int,
    numbers: Iterable[int] = (),
    looks: int | None = None,
) -> str:
    """Return a table; empty without rows.

    Args:
        header: The names of the columns.
        rows: Their texts.
        of: How many rows there are, with those that are not shown.
        numbers: Places of the columns that are aligned to the right.
        looks: Place of the column whose texts are decisions, which have colours.
    """
    if not rows:
        return ""
    right = frozenset(numbers)

    def cell(tag: str, place: int, text: str) -> str:
        kind = "number" if place in right else text if place == looks and tag == "td" else ""
        return f"<{tag}{f' class={kind!r}' if kind.isidentifier() else ''}>{escape(text)}</{tag}>"

    lines = [("th", header), *(("td", row) for row in rows)]
    cells = ("".join(cell(tag, place, text) for place, text in enumerate(texts)) for tag, texts in lines)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in cells)}</table>{_more(of - len(rows))}"


def _code(code: CodeChanges) -> Iterator[str]:
    words = code_words(code)
    for each, remark in words.changed[:MAX_PIECES]:
        yield f"<p>{escape(shorten(str(each.change), _LINE))} {_quiet(shorten(remark, _LINE))}</p>"
        if diff := each.change.diff:
            yield f"<pre>{chr(10).join(map(_diff_line, diff[:MAX_LINES]))}</pre>"
            yield _more(len(diff) - MAX_LINES, "line")
    yield _more(len(words.changed) - MAX_PIECES, "piece")
    yield from _bounded([f"<p>{escape(shorten(told, _LINE))}</p>" for told in words.told])


def _bounded(sentences: Sequence[str]) -> list[str]:
    return [*sentences[:MAX_ROWS], _more(len(sentences) - MAX_ROWS)]


def _more(count: int, noun: str = "") -> str:
    told = and_more(count, noun)
    return f"<p>{_quiet(told)}</p>" if told else ""


def _diff_line(line: str) -> str:
    line = line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"
    kind = {"+": "new", "-": "old", "@": "quiet"}.get(line[:1])
    return f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line)


def _outcomes(pair: Pair) -> tuple[str, str]:
    before, now = (
        "not called" if trace is None else "failed" if trace.status == "failed" else trace.decision.value
        for trace in (pair.before, pair.after)
    )
    return before, now


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _quiet(text: str) -> str:
    return f'<span class="quiet">{escape(text)}</span>' if text else ""
