"""What the steps of a run cost and saved, and the sentences that say so."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Trace
from prefect_helix.views.units import format_count, format_us, shorten

MANY_CALLS = 5
"""Calls of a task in a row that are one line of a table, if they went alike."""

SHOWN_TASKS = 5

N = TypeVar("N")


def spent_us(trace: Trace) -> int | None:
    """Return what the step cost this run; None if that was not measured."""
    match trace.decision:
        case Decision.COMPUTE:
            return trace.compute_us
        case Decision.LOAD:
            return trace.load_us
        case Decision.PRUNE:
            return 0


def saved_us(trace: Trace) -> int | None:
    """Return what not computing the step saved this run, never below zero; None if that is not known."""
    spent = spent_us(trace)
    if trace.decision is Decision.COMPUTE or never_needed(trace):
        return 0
    return None if spent is None or trace.compute_us is None else max(0, trace.compute_us - spent)


def never_needed(trace: Trace) -> bool:
    """Return whether the step was never computed and nobody missed it, as a lazy one that reaches no output."""
    return trace.decision is Decision.PRUNE and trace.result is None and trace.compute_us is None


def size_bytes(trace: Trace) -> int | None:
    """Return the size of the step's result; None if it has none."""
    return None if trace.result is None else trace.result.size_bytes


def total(amounts: Iterable[int | None]) -> int | None:
    """Return the sum of `amounts`; None as soon as one of them is not known."""
    known = 0
    for amount in amounts:
        if amount is None:
            return None
        known += amount
    return known


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


def alike(steps: Iterable[tuple[Trace, N]]) -> Iterator[list[tuple[Trace, N]]]:
    """Yield steps with their names or numbers; calls of a task in a row that went alike come together, if many."""
    for _, group in itertools.groupby(steps, lambda one: (one[0].key, one[0].decision, one[0].status, one[0].reason)):
        calls = list(group)
        yield from [calls] if len(calls) >= MANY_CALLS else ([call] for call in calls)


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
