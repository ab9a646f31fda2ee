"""How likely each task of a flow is to change next, learned from the changes between its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from prefect_helix.core.lineage import Trace
from prefect_helix.core.losses import Chances

FADE = 0.9
"""What a change counts for one run later."""

DOUBT = 2.0
"""Changes that are spread over all tasks before any is seen."""


def chances(changes: Sequence[Collection[str]], tasks: int) -> Chances:
    """Learn from a series of runs.

    Args:
        changes: The tasks that had changed before each run, oldest first; the first run of a flow is none of them.
        tasks: How many tasks the flow has.
    """
    doubt = DOUBT / (tasks + 2)
    seen: defaultdict[str, float] = defaultdict(float)
    nothing, counts = 0.0, 1.0
    for changed in reversed(changes):
        nothing += 0 if changed else counts
        for task in changed:
            seen[task] += counts
        counts *= FADE
    return Chances({task: doubt + count for task, count in seen.items()}, doubt, doubt + nothing, doubt)


def changed(before: Iterable[Trace], after: Iterable[Trace]) -> tuple[str, ...]:
    """Return the keys of the tasks that changed between two runs: in code, in an argument, or in a file.

    A task has changed if one of its calls has no like in the run before. One that is not deterministic always has.
    Complexity: O(traces).
    """
    known = {(trace.key, trace.computed_by, trace.literals) for trace in before}
    return tuple(
        dict.fromkeys(
            trace.key
            for trace in after
            if not trace.deterministic or (trace.key, trace.computed_by, trace.literals) not in known
        )
    )
