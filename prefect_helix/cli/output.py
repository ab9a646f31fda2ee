"""What every verb prints with: text for people, tables of steps, JSON for programs."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.progress import track
from rich.table import Table
from rich.text import Text

from prefect_helix.core.lineage import Trace
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.runtime.session import now_us
from prefect_helix.views.steps import alike, call_names, names_by_signature, row_of, size_bytes, span
from prefect_helix.views.trees import tree
from prefect_helix.views.units import format_us, moment, shorten

T = TypeVar("T")

STYLES: Mapping[str, str] = {"compute": "yellow", "load": "blue", "prune": "dim", "failed": "bold red"}

_RELATIVE_US = 24 * 3600 * 1_000_000


def replace_unknown_characters() -> None:
    """Have stdout and stderr print "?" for what their encoding does not have, such as "→" in cp1252."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def console() -> Console:
    """Return where results go: colour only in a terminal and without NO_COLOR, 80 columns elsewhere."""
    return Console(markup=False, emoji=False, highlight=False)


def complain(sentence: str) -> None:
    """Tell a problem on stderr, in one line."""
    Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True).print(visible(sentence))


def warn(key: str, sentence: str) -> None:
    """Tell what is wrong with the store, on stderr."""
    complain(f"warning: {sentence}")


def print_json(data: object) -> None:
    """Print `data` as JSON; a number that JSON does not have is null."""
    all_characters = (sys.stdout.encoding or "").lower().startswith("utf")
    json.dump(_finite(data), sys.stdout, indent=2, ensure_ascii=not all_characters)
    sys.stdout.write("\n")


def tracked(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield `items` with a bar that shows how far one is, on stderr if that is a terminal."""
    err = Console(stderr=True)
    yield from track(items, label, total, console=err, transient=True, disable=not err.is_terminal)


def ago(us: int) -> str:
    """Return when a time since the epoch was: "5 min ago" within a day, else its date."""
    age = now_us() - us
    if not 0 <= age < _RELATIVE_US:
        return moment(us).split()[0]
    number, unit = format_us(age - age % 1_000_000).split()[:2]
    return f"{number} {unit} ago"


def decision_text(trace: Trace) -> Text:
    """Return the decision in its colour, or that the step failed."""
    word = "failed" if trace.status == "failed" else trace.decision.value
    return Text(word, STYLES[word])


def steps_table(traces: Sequence[Trace]) -> Table:
    """Return the steps of a run or a plan in call order; many calls that went alike are one line, with their sums."""
    table = _steps_table("step", max_width=22, overflow="fold")
    for calls in alike(zip(traces, call_names(traces), strict=True)):
        table.add_row(shorten(span([name for _, name in calls]), 80), *_step_cells(calls))
    return table


def steps_tree(traces: Sequence[Trace]) -> Table:
    """Return the steps of a run, each with those below it whose results it takes; what several take is told once."""
    table = _steps_table("step", max_width=40, no_wrap=True)
    for branch in tree(traces):
        name = Text.assemble((branch.lead, "dim"), shorten(span([name for _, name in branch.calls]), 80))
        if branch.told:
            table.add_row(name, Text("as above", "dim"))
        else:
            table.add_row(name, *_step_cells(branch.calls))
    return table


def _steps_table(first: str, **options: Any) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, **options)
    table.add_column("decision", no_wrap=True)
    for heading in ("cost", "saved", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    return table


def _step_cells(calls: Sequence[tuple[Trace, str]]) -> tuple[RenderableType, ...]:
    row = row_of([trace for trace, _ in calls])
    reason = shorten(row.trace.reason, 240)
    return decision_text(row.trace), row.cost, row.saved, row.size, reason


def steps_json(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """Return the steps of a run or a plan as JSON-ready data."""
    names = call_names(traces)
    by_signature = names_by_signature(traces)
    return [
        {
            "step": name,
            "task": trace.task,
            "call": trace.call,
            "decision": trace.decision.value,
            "reason": trace.reason,
            "status": trace.status,
            "cost_us": spent_us(trace),
            "saved_us": saved_us(trace),
            "compute_us": trace.compute_us,
            "size_bytes": size_bytes(trace),
            "stored": trace.stored,
            "inputs": [by_signature[link.signature] for link in trace.parents if link.signature in by_signature],
            "arguments": {argument.parameter: argument.shown for argument in trace.arguments},
            "code": trace.computed_by,
            "task_run_id": trace.task_run_id or None,
        }
        for trace, name in zip(traces, names, strict=True)
    ]


def numbers(metrics: Mapping[str, float], limit: int | None = None) -> str:
    """Return "accuracy 0.8451, loss 0.31", with at most `limit` of them."""
    shown = [f"{shorten(name, 40)} {value:.6g}" for name, value in metrics.items()]
    return ", ".join(shown[:limit]) + (", …" if limit is not None and len(shown) > limit else "")


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return lines of a name and what there is to say of it, aligned."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            table.add_row(name, visible(value))
    return table


def visible(text: str) -> str:
    """Return `text` on one line, with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text.expandtabs(4))


def _finite(data: object) -> object:
    match data:
        case float() if not math.isfinite(data):
            return None
        case Mapping():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case _:
            return data
