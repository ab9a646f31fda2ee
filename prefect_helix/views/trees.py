"""The steps of a run as a tree of lines: below each step those whose results it takes."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from prefect_helix.core.lineage import Trace
from prefect_helix.views.steps import alike, call_names

MAX_DEPTH = 12
"""Steps below each other that are indented one more each."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree.

    Attributes:
        lead: The lines that lead to it, as text.
        calls: The step with its name; several calls of a task that went alike.
        told: Whether what it takes is told at its first mention, above.
    """

    lead: str
    calls: tuple[tuple[Trace, str], ...]
    told: bool = False


def tree(traces: Sequence[Trace]) -> Iterator[Branch]:
    """Yield the lines of the tree of some steps: first those whose results no step takes, in call order.

    What several steps take is told once. Complexity: O(traces + edges).
    """
    names = call_names(traces)
    index_of: dict[str, int] = {}
    for index, trace in enumerate(traces):
        index_of.setdefault(trace.signature, index)
    inputs = [_inputs(trace, index, index_of) for index, trace in enumerate(traces)]
    taken = {one for some in inputs for one in some}
    seen: set[int] = set()
    # What is still to be told, the next on top: calls that are one line, what leads to them, what goes on below them.
    waiting = [(group, "", "") for group in reversed(_groups([*range(len(traces))], traces, inputs, taken))]
    while waiting:
        group, lead, below = waiting.pop()
        first = group[0]
        told = bool(inputs[first]) and first in seen
        yield Branch(lead, tuple((traces[index], names[index]) for index in group), told)
        if told:
            continue
        seen.update(group)
        children = _groups(inputs[first], traces, inputs)
        for place in reversed(range(len(children))):
            is_last = place == len(children) - 1
            deep = len(below) >= 3 * MAX_DEPTH
            mark = f"{below}{'└─ ' if is_last else '├─ '}"
            after = below if deep else f"{below}{'   ' if is_last else '│  '}"
            waiting.append((children[place], mark, after))


def _inputs(trace: Trace, index: int, index_of: dict[str, int]) -> tuple[int, ...]:
    """Return the steps that come before and that a step takes results of, or waits for."""
    signatures = [*(link.signature for link in trace.parents), *trace.wait_for]
    found = dict.fromkeys(index_of[signature] for signature in signatures if signature in index_of)
    return tuple(one for one in found if one < index)


def _groups(
    steps: Sequence[int], traces: Sequence[Trace], inputs: Sequence[tuple[int, ...]], left_out: Collection[int] = ()
) -> list[list[int]]:
    """Return steps in groups of those that are one line: they went alike and take the same."""
    shown = ((traces[index], index) for index in steps if index not in left_out)
    return [
        list(group)
        for calls in alike(shown)
        for _, group in itertools.groupby((index for _, index in calls), lambda index: inputs[index])
    ]
