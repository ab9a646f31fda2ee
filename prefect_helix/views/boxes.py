"""Which boxes and arrows a picture of a run has: one box per step, or one for several calls of a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

from prefect_helix.core.amounts import total
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Trace
from prefect_helix.core.summary import spent_us
from prefect_helix.views.steps import call_numbers, size_bytes
from prefect_helix.views.units import format_bytes, format_count, format_us, shorten, with_calls

Look = Literal["compute", "failed", "load", "prune"]
Mark = Literal["", "added", "removed", "changed"]

MAX_BOXES = 60
"""Boxes a picture holds before calls of one task are folded, even where there are only two."""

MAX_ALIKE = 12
"""Calls of one task with one decision, side by side, that are drawn one by one."""

_UNMARKED: Mark = ""


@dataclass(frozen=True, slots=True)
class Box:
    """One or several steps that are drawn as one.

    Attributes:
        name: The task's name.
        badge: Which call of its task it is ("#3"), or how many it stands for ("12 calls"); empty for an only call.
        look: What was decided, or that it failed.
        detail: Decision and time, for the second line.
        size: Size of the result; empty if there is none.
        tooltip: Everything else, several lines.
        share: What part of the time of all steps it took; 0 where that is not known.
        mark: What it is in a comparison of two runs.
        members: Which steps it stands for, by position.
    """

    name: str
    badge: str
    look: Look
    detail: str
    size: str
    tooltip: str
    share: float
    mark: Mark
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow between two boxes; `source` comes before `target`.

    Attributes:
        source: Index of the box it leaves.
        target: Index of the box it enters.
        waits: Whether the target only waits for the source and takes no value from it.
    """

    source: int
    target: int
    waits: bool


Drawing = tuple[list[Box], list[Edge]]


def drawings(traces: Sequence[Trace], marks: Sequence[Mark] = ()) -> Iterator[Drawing]:
    """Yield boxes and edges for `traces` (in call order), each time with more calls folded into one box.

    The last drawing has at most one box per look and mark; the others are left out where they have too many boxes.
    Of several steps with one signature, the first is the one that others take the value from. A folded loop
    has no arrow back.

    Args:
        traces: The steps.
        marks: What each is in a comparison; none for a run alone.

    Complexity: O(traces + edges) for each.
    """
    edges = _trace_edges(traces)
    layers = longest_path(len(traces), edges)
    looks = [(_look(trace), mark) for trace, mark in zip(traces, marks or repeat(_UNMARKED), strict=False)]
    whole_us = sum(spent_us(trace) or 0 for trace in traces)

    def alike(index: int) -> Hashable:
        return traces[index].task, traces[index].key, looks[index], layers[index]

    count_alike = Counter(map(alike, range(len(traces))))
    foldings: tuple[tuple[int, Callable[[int], Hashable]], ...] = (
        (MAX_BOXES, lambda i: alike(i) if count_alike[alike(i)] > MAX_ALIKE else i),
        (2 * MAX_BOXES, alike),
        (4 * MAX_BOXES, lambda i: (traces[i].task, traces[i].key, looks[i])),
        (len(traces), lambda i: looks[i]),
    )
    numbers = call_numbers(traces)
    for limit, group_of in foldings:
        members: dict[Hashable, list[int]] = {}
        for index in range(len(traces)):
            members.setdefault(group_of(index), []).append(index)
        if len(members) <= limit:
            groups = sorted(members.values(), key=lambda group: min(layers[i] for i in group))
            boxes = [_box(traces, group, numbers[group[0]], looks[group[0]], whole_us) for group in groups]
            box_of = {index: box for box, group in enumerate(groups) for index in group}
            yield boxes, _merge(Edge(box_of[e.source], box_of[e.target], e.waits) for e in edges)


def longest_path(count: int, edges: Sequence[Edge]) -> list[int]:
    """Return for each of `count` vertices the number of edges on the longest path that ends in it."""
    layers = [0] * count
    for edge in sorted(edges, key=lambda e: e.source):
        layers[edge.target] = max(layers[edge.target], layers[edge.source] + 1)
    return layers


def _trace_edges(traces: Sequence[Trace]) -> list[Edge]:
    index_of: dict[str, int] = {}
    for index, trace in enumerate(traces):
        index_of.setdefault(trace.signature, index)
    taken = (
        Edge(index_of[signature], index, waits)
        for index, trace in enumerate(traces)
        for waits, signatures in ((False, [p.signature for p in trace.parents]), (True, trace.wait_for))
        for signature in signatures
        if signature in index_of
    )
    return _merge(taken)


def _merge(edges: Iterator[Edge]) -> list[Edge]:
    """Keep one edge per pair that leads forward; one that takes a value outdoes one that waits."""
    waits: dict[tuple[int, int], bool] = {}
    for edge in edges:
        if edge.source < edge.target:
            pair = edge.source, edge.target
            waits[pair] = waits.get(pair, True) and edge.waits
    return [Edge(*pair, only_waits) for pair, only_waits in waits.items()]


def _look(trace: Trace) -> Look:
    return "failed" if trace.status == "failed" else trace.decision.value


def _box(
    every: Sequence[Trace], members: Sequence[int], number: int | None, looks: tuple[Look, Mark], whole_us: int
) -> Box:
    traces = [every[member] for member in members]
    look, mark = looks
    tasks = dict.fromkeys(trace.task for trace in traces)
    name = shorten(traces[0].task, 200) if len(tasks) == 1 else format_count(len(tasks), "task")
    badge = f"{len(traces)} calls" if len(traces) > 1 else f"#{number}" if number else ""
    sizes = [size for size in map(size_bytes, traces) if size is not None]
    tooltip = [f"{name} {badge}".rstrip(), *_reasons(traces), _facts(traces)]
    return Box(
        name=name,
        badge=badge,
        look=look,
        detail=_detail(traces, look),
        size=format_bytes(sum(sizes)) if sizes else "",
        tooltip="\n".join(line for line in tooltip if line),
        share=sum(spent_us(trace) or 0 for trace in traces) / whole_us if whole_us else 0.0,
        mark=mark,
        members=tuple(members),
    )


def _detail(traces: Sequence[Trace], look: Look) -> str:
    pruned = traces[0].decision is Decision.PRUNE
    time_us = total(trace.compute_us if pruned else spent_us(trace) for trace in traces)
    if time_us is None:
        return look
    return f"{look} · saves {format_us(time_us)}" if pruned else f"{look} · {format_us(time_us)}"


def _reasons(traces: Sequence[Trace]) -> list[str]:
    reasons = Counter((trace.decision, shorten(trace.reason, 300)) for trace in traces)
    lines = [f"{with_calls(decision.value, count)}: {reason}" for (decision, reason), count in reasons.most_common(4)]
    return [*lines, f"and {len(reasons) - 4} other reasons"] if len(reasons) > 4 else lines


def _facts(traces: Sequence[Trace]) -> str:
    compute_us, load_us = (total(t.compute_us for t in traces), total(t.load_us for t in traces))
    known = [f"compute {format_us(compute_us)}"] if compute_us is not None else []
    return ", ".join(known + ([f"load {format_us(load_us)}"] if load_us is not None else []))
