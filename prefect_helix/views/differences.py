"""Two runs side by side: what changed in words, rows of steps, figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TypeVar

from prefect_helix.core.amounts import total
from prefect_helix.core.change import Change, Changed, Summary
from prefect_helix.core.comparison import CodeChanges, Pair
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.core.short import excerpts
from prefect_helix.core.summary import all_saved_us, spent_us
from prefect_helix.views.boxes import Mark
from prefect_helix.views.steps import size_bytes
from prefect_helix.views.units import format_count, with_calls

SHOWN_NAMES = 6
SHOWN_ALIKE = 3
"""Facts of one kind that are told one by one."""

Fact = TypeVar("Fact", bound=Hashable)

_NAMES = 4
_CODE = "code of"
_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class StepRow:
    """Calls of one task that went alike in both runs.

    Attributes:
        pairs: The calls, in call order.
        changed: What made them other calls than before, in words; empty if nothing did.
    """

    pairs: tuple[Pair, ...]
    changed: str

    @property
    def task(self) -> str:
        """The task."""
        return self.pairs[0].trace.task

    @property
    def same_decision(self) -> bool:
        """Whether both runs did the same with them."""
        before, after = self.pairs[0].before, self.pairs[0].after
        return before is not None and after is not None and _outcome(before) == _outcome(after)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of two runs; None where it is not known."""

    before: float | None
    after: float | None

    @property
    def delta(self) -> float | None:
        """By how much it grew; None where that cannot be told."""
        if self.before is None or self.after is None:
            return None
        delta = self.after - self.before
        return None if math.isnan(delta) else delta


def step_rows(pairs: Iterable[Pair], code: CodeChanges) -> list[StepRow]:
    """Return the steps of two runs; calls of a task with the same decisions and changes are one row."""
    rows: dict[tuple[object, ...], list[Pair]] = {}
    for pair in pairs:
        words = changed_words(pair, code)
        key = (pair.trace.task, _outcome(pair.before), _outcome(pair.after), same_result(pair), words)
        rows.setdefault(key, []).append(pair)
    return [StepRow(tuple(found), str(key[-1])) for key, found in rows.items()]


def changed_words(pair: Pair, code: CodeChanges) -> str:
    """Return in a few words why a step is not what it was: "code: clean()", "reg 0.1 → 0.5", "inputs rows, model"."""
    words = [_own_words(change, pair.trace.task, code) for change in pair.own]
    inputs = [change.name for change in pair.changes if change.kind == "input"]
    if inputs:
        words.append(f"{'input' if len(inputs) == 1 else 'inputs'} {_some(inputs)}")
    if any(change.kind == "order" and change not in pair.own for change in pair.changes):
        words.append("what it waits for")
    return "; ".join(words)


def summary_words(summary: Summary) -> str:
    """Return in a few words what had changed before a run: "reg 0.1 → 0.5; code of fit, prices (slope(), RATE)"."""
    if summary.compared_with is None:
        return "first run"
    words: dict[str, list[str]] = {}
    for changed in summary.changes:
        told, name = _told(changed)
        names = words.setdefault(told, [])
        if name and name not in names:
            names.append(name)
    parts = [f"{told} {_some(names)}".rstrip() for told, names in words.items()]
    if summary.code and _CODE in words:
        parts[list(words).index(_CODE)] += f" ({_some(summary.code)})"
    if summary.more_changes:
        parts.append(f"and {summary.more_changes} more")
    return "; ".join(parts) or "nothing changed"


def _told(changed: Changed) -> tuple[str, str]:
    """Return what there is to say of a change, and the name of the task where several are told together."""
    change = changed.change
    name = with_calls(changed.task, changed.calls)
    shown = " {} → {}".format(*excerpts(change.before, change.after, _CHARACTERS))
    if change.before == change.after:
        shown = ""
    match change.kind:
        case "parameter" | "version":
            return f"{change.name}{shown}", ""
        case "argument":
            return f"{change.name} of {name}{shown}", ""
        case "file":
            return f"content of {PurePath(change.origin).name}", ""
        case "renamed":
            return "renamed", f"{change.before} → {change.after}"
        case "new":
            return "new step", name
        case "removed":
            return "without", name
        case "code":
            return _CODE, name
        case _:
            return f"{change.kind} of", name


def few(names: Sequence[str]) -> str:
    """Return "a, b and c", with at most some of them by name."""
    shown = list(names[:SHOWN_NAMES])
    if len(names) > SHOWN_NAMES:
        shown.append(f"{len(names) - SHOWN_NAMES} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def each_kind(facts: Iterable[tuple[Hashable, Fact]]) -> Iterator[tuple[Fact, int, str]]:
    """Yield facts, each once; of more than a few of one kind only the first.

    A mapped task may be called ten thousand times, each time with other arguments than before.

    Args:
        facts: What kind of fact each is, and the fact, once for each call that it is true of.

    Yields:
        A fact, of how many calls it is told, and what is to be said of the others of its kind if they are not told.
    """
    kinds: dict[Hashable, Counter[Fact]] = {}
    for kind, fact in facts:
        kinds.setdefault(kind, Counter())[fact] += 1
    for counts in kinds.values():
        if len(counts) > SHOWN_ALIKE:
            yield next(iter(counts)), 1, f", and likewise in {format_count(counts.total() - 1, 'more call')}"
        else:
            yield from ((fact, count, "") for fact, count in counts.items())


def same_result(pair: Pair) -> bool | None:
    """Return whether a step gave the same result in both runs; None where that cannot be told."""
    results = [trace.result for trace in (pair.before, pair.after) if trace]
    if len(results) < 2 or any(result is None or result.digest is None for result in results):
        return None
    before, after = results
    assert before is not None and after is not None
    if before.digest != after.digest:
        return False
    return True if before.exact else None


def merged(pairs: Sequence[Pair]) -> tuple[list[Trace], list[Mark]]:
    """Return the steps of two runs as one graph, and what became of each.

    Those that are no longer called stand after what they took values from, and lead to what took theirs.

    Complexity: O(traces + edges).
    """
    partner = {pair.before.signature: pair.after.signature for pair in pairs if pair.before and pair.after}
    gone = {pair.before.signature: pair.before for pair in pairs if pair.before and not pair.after and pair.changes}
    own = {id(pair.after): pair for pair in pairs if pair.after}
    traces: list[Trace] = []
    marks: list[Mark] = []

    def place(signature: str) -> None:
        """Put a removed step at the end, and before it those removed ones that it took values from."""
        waiting = [signature]
        while waiting:
            trace = gone.get(waiting[-1])
            missing = [] if trace is None else [p.signature for p in trace.parents if p.signature in gone]
            missing = [one for one in missing if one not in waiting]
            if missing:
                waiting.append(missing[0])
                continue
            waiting.pop()
            if trace is not None:
                del gone[trace.signature]
                links = (replace(link, signature=partner.get(link.signature, link.signature)) for link in trace.parents)
                traces.append(replace(trace, parents=tuple(links), wait_for=()))
                marks.append("removed")

    for trace in sorted((pair.after for pair in pairs if pair.after), key=lambda one: one.call):
        pair = own[id(trace)]
        lost = [link for link in (pair.before.parents if pair.before else ()) if link.signature not in partner]
        for link in lost:
            place(link.signature)
        traces.append(replace(trace, parents=(*trace.parents, *lost)) if lost else trace)
        marks.append(_mark(pair))
    for signature in [*gone]:
        place(signature)
    return traces, marks


def _mark(pair: Pair) -> Mark:
    if pair.before is None:
        return "added" if pair.changes else ""
    return "changed" if pair.own else ""


def run_figures(before: Lineage, after: Lineage) -> dict[str, Figure]:
    """Return times in microseconds and sizes in bytes of two runs.

    Returns:
        By name: what the steps cost (``cost_us``), what was saved (``saved_us``), what is stored (``stored_bytes``).
    """
    amounts = [
        (
            total(map(spent_us, lineage.traces)),
            all_saved_us(lineage.traces),
            sum(size_bytes(trace) or 0 for trace in lineage.traces if trace.stored),
        )
        for lineage in (before, after)
    ]
    return dict(zip(("cost_us", "saved_us", "stored_bytes"), map(Figure, *amounts), strict=True))


def metric_figures(before: Run | None, after: Run) -> dict[str, Figure]:
    """Return the metrics of two runs, those of the later one first."""
    old = before.metrics if before else {}
    return {name: Figure(old.get(name), after.metrics.get(name)) for name in {**after.metrics, **old}}


def _own_words(change: Change, task: str, code: CodeChanges) -> str:
    match change.kind:
        case "new":
            return "new step"
        case "removed":
            return "no longer called"
        case "renamed":
            return f"was {change.before}"
        case "code":
            names = list(_code_names(task, code))
            return f"code: {_some(names)}" if names else "code"
        case "argument":
            return "{} {} → {}".format(change.name, *excerpts(change.before, change.after, _CHARACTERS))
        case "file":
            return f"content of {PurePath(change.origin).name}"
        case _:
            return str(change)


def _code_names(task: str, code: CodeChanges) -> Iterator[str]:
    """Yield what changed in the code of a task, by its last name."""
    for each in code.found:
        if task in each.users and each.change.before and each.change.after:
            yield each.change.name


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"{', '.join(names[:_NAMES])}{more}"


def _outcome(trace: Trace | None) -> Decision | str | None:
    if trace is None:
        return None
    return "failed" if trace.status == "failed" else trace.decision
