"""What the steps of a run cost and saved, and the sentences that say so."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prefect_helix.core.amounts import total
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Trace
from prefect_helix.core.summary import all_saved_us, never_needed, spent_us
from prefect_helix.views.units import format_bytes, format_count, format_us, shorten

MANY_CALLS = 5
"""Calls of a task in a row that are one line of a table, if they went alike."""

SHOWN_TASKS = 5

N = TypeVar("N")


def size_bytes(trace: Trace) -> int | None:
    """Return the size of the step's result; None if it has none."""
    return None if trace.result is None else trace.result.size_bytes


def call_numbers(traces: Sequence[Trace]) -> list[int | None]:
    """Return for each trace which call of its task it is, from 1; None for the only call of a task."""
    calls = Counter(trace.task for trace in traces)
    seen: Counter[str] = Counter()
    numbers: list[int | None] = []
    for trace in traces:
        seen[trace.task] += 1
        numbers.append(seen[trace.task] if calls[trace.task] > 1 else None)
    return numbers


def call_names(traces: Sequence[Trace]) -> list[str]:
    """Return what each call is called: "fit", or "fit#2" where the task is called more than once."""
    numbers = call_numbers(traces)
    return [f"{t.task}#{n}" if n else t.task for t, n in zip(traces, numbers, strict=True)]


def names_by_signature(traces: Sequence[Trace]) -> dict[str, str]:
    """Return what calls are called, by signature; equal calls go by the name of the first."""
    names: dict[str, str] = {}
    for trace, name in zip(traces, call_names(traces), strict=True):
        names.setdefault(trace.signature, name)
    return names


def alike(steps: Iterable[tuple[Trace, N]]) -> Iterator[list[tuple[Trace, N]]]:
    """Yield steps with their names or numbers; calls of a task in a row that went alike come together, if many.

    Tasks that one function is made into, each with a name of its own, are several.
    """
    for _, group in itertools.groupby(steps, lambda one: _outcome(one[0])):
        calls = list(group)
        yield from [calls] if len(calls) >= MANY_CALLS else ([call] for call in calls)


def _outcome(trace: Trace) -> tuple[object, ...]:
    return trace.task, trace.key, trace.decision, trace.status, trace.reason


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table of steps: one call, or many that went alike, with their sums.

    Attributes:
        trace: The first call.
        calls: How many there are.
        word: What was decided, or that it failed.
        cost: What they took; empty where they are pruned.
        saved: What they saved; empty where they are computed.
        size: The size of their results; empty if they have none.
    """

    trace: Trace
    calls: int
    word: str
    cost: str
    saved: str
    size: str


def row_of(calls: Sequence[Trace]) -> Row:
    """Return the line that calls are, of which `alike` says that they are one."""
    trace = calls[0]
    sizes = [size for size in map(size_bytes, calls) if size is not None]
    return Row(
        trace=trace,
        calls=len(calls),
        word="failed" if trace.status == "failed" else trace.decision.value,
        cost="" if trace.decision is Decision.PRUNE else format_us(total(map(spent_us, calls))),
        saved="" if trace.decision is Decision.COMPUTE else format_us(all_saved_us(calls)),
        size=format_bytes(sum(sizes)) if sizes else "",
    )


def span(names: Sequence[str]) -> str:
    """Return what calls that are one line are called: "fit#1 to #7"."""
    return names[0] if len(names) == 1 else f"{names[0]} to #{names[-1].rpartition('#')[2]}"


def unshown(traces: Sequence[Trace], shown: int) -> str:
    """Return a sentence about steps without a task run: "Only 2 of 5 loaded and pruned steps ...".

    Args:
        traces: The steps.
        shown: How many others have one.
    """
    tasks = Counter(trace.task for trace in traces).most_common()
    calls = [f"{format_count(count, 'call')} of {shorten(task, 80)}" for task, count in tasks[:SHOWN_TASKS]]
    rest = [f"calls of {len(tasks) - SHOWN_TASKS} more tasks"] if len(tasks) > SHOWN_TASKS else []
    return (
        f"Only {shown} of {shown + len(traces)} loaded and pruned steps are shown as task runs, without "
        f"{', '.join([*calls, *rest])}."
    )


def count_decisions(traces: Iterable[Trace]) -> dict[Decision, int]:
    """Return how many steps were computed, loaded and pruned."""
    counts = Counter(trace.decision for trace in traces)
    return {decision: counts[decision] for decision in Decision}


def step_summary(counts: Mapping[Decision, int]) -> str:
    """Return "12 steps: compute 2, load 1, prune 9"."""
    parts = ", ".join(f"{decision} {counts.get(decision, 0)}" for decision in Decision)
    return f"{format_count(sum(counts.values()), 'step')}: {parts}"


def time_summary(spent: int | None, scratch_us: int | None) -> str:
    """Return "4.1 s instead of 63 s"; only "4.1 s" where nothing is known to be saved, "" where nothing is known."""
    if spent is None:
        return ""
    took = format_us(spent)
    if scratch_us is None or scratch_us <= spent or format_us(scratch_us) == took:
        return took
    return f"{took} instead of {format_us(scratch_us)}"


def run_time_summary(traces: Sequence[Trace]) -> str:
    """Return `time_summary` of what the steps cost this run and what computing each of them takes."""
    needed = [trace for trace in traces if not never_needed(trace)]
    return time_summary(total(map(spent_us, needed)), total(trace.compute_us for trace in needed))


def run_line(traces: Sequence[Trace]) -> str:
    """Return what a run did in one line: "12 steps: compute 2, load 1, prune 9; 4.1 s instead of 63 s"."""
    times = run_time_summary(traces)
    return step_summary(count_decisions(traces)) + (f"; {times}" if times else "")


def plan_line(counts: Mapping[Decision, int], predicted_us: int | None, scratch_us: int | None) -> str:
    """Return the line that a run logs about its plan.

    Args:
        counts: How many steps are to be computed, loaded and pruned.
        predicted_us: What they are expected to take; None if not known.
        scratch_us: What computing each of them would take; None if not known.

    Returns:
        "helix: 12 steps: compute 2, load 1, prune 9; about 4.1 s instead of 63 s", without what is not known.
    """
    line = f"helix: {step_summary(counts)}"
    times = time_summary(predicted_us, scratch_us)
    return f"{line}; about {times}" if times else line
