"""A run in a few figures: what its steps cost and saved, and what had changed before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from prefect_helix.core.amounts import total
from prefect_helix.core.change import Change, Changed, Summary
from prefect_helix.core.comparison import CodeChanges, ComponentsOf, code_changes, run_changes, version_changes
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.core.short import excerpts

MAX_CHANGES = 20
"""Changes that a summary has one by one."""

SHOWN_CHARACTERS = 60
"""Characters of an old or a new value that a summary has."""


LOOKED_UP = 8
"""Tasks whose changed code is looked up."""


def summarise(
    lineage: Lineage,
    prior: Lineage | None,
    added_bytes: int | None = None,
    components_of: ComponentsOf = lambda fingerprint: None,
) -> Summary:
    """Return the summary of a run. Complexity: O(traces).

    Args:
        lineage: The run.
        prior: The run it is compared with; None if there is none.
        added_bytes: What it added to the store, where that is known.
        components_of: Gives what code is made of; asked for a few changes at most.
    """
    traces = lineage.traces
    counts = Counter(trace.decision for trace in traces)
    found = _changed(prior, lineage) if prior else []
    code = _code(found, components_of)
    found = [changed for changed in found if not code.tells(changed.task, changed.change)]
    return Summary(
        computed=counts[Decision.COMPUTE],
        loaded=counts[Decision.LOAD],
        pruned=counts[Decision.PRUNE],
        failed=sum(trace.status == "failed" for trace in traces),
        spent_us=total(map(spent_us, traces)),
        saved_us=all_saved_us(traces),
        scratch_us=total(trace.compute_us for trace in traces if not never_needed(trace)),
        added_bytes=added_bytes,
        compared_with=prior.run.run_id if prior else None,
        changes=tuple(found[:MAX_CHANGES]),
        more_changes=max(0, len(found) - MAX_CHANGES),
        code=_names(code),
    )


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
    return all_saved_us([trace])


def all_saved_us(traces: Iterable[Trace]) -> int | None:
    """Return what not computing steps saved in all, never below zero; None if that is not known of one.

    A step whose load took longer than computing it takes off what others saved.
    """
    saved = total(map(_gained_us, traces))
    return None if saved is None else max(0, saved)


def _gained_us(trace: Trace) -> int | None:
    spent = spent_us(trace)
    if trace.decision is Decision.COMPUTE or never_needed(trace):
        return 0
    return None if spent is None or trace.compute_us is None else trace.compute_us - spent


def never_needed(trace: Trace) -> bool:
    """Return whether the step was never computed and nobody missed it, as a lazy one that reaches no output."""
    return trace.decision is Decision.PRUNE and trace.result is None and trace.compute_us is None


def _changed(prior: Lineage, lineage: Lineage) -> list[Changed]:
    versions = [Changed("", _short(change)) for change in version_changes(prior.run, lineage.run)]
    steps = [Changed(task, _short(change), calls) for (task, change), calls in run_changes(prior, lineage).items()]
    return [*steps, *versions]


def _code(found: Sequence[Changed], components_of: ComponentsOf) -> CodeChanges:
    edits = [(changed.task, changed.change) for changed in found if changed.change.kind == "code"]
    return code_changes(edits[:LOOKED_UP], components_of)


def _names(code: CodeChanges) -> tuple[str, ...]:
    """Return by their last names what changed in code; what only came or went is told where it is used."""
    parts = (each.change for each in code.found)
    names = (part.name[:SHOWN_CHARACTERS] for part in parts if part.before and part.after)
    return tuple(dict.fromkeys(names))[:LOOKED_UP]


def _short(change: Change) -> Change:
    """Return a change whose values take little room; a hash of code, which names it, stays whole."""
    if change.kind == "code":
        return change
    before, after = excerpts(change.before, change.after, SHOWN_CHARACTERS)
    return replace(change, before=before, after=after)
