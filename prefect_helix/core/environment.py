"""Whether what two runs computed may differ although code and inputs are the same: in the last bit, say."""

from __future__ import annotations

from prefect_helix.core.lineage import Run

PROCESSOR = "processor"
"""What the processor goes by among the versions of a run."""

_INDIFFERENT = {"prefect", "prefect-helix"}


def unlikeness(before: Run | None, now: Run) -> str:
    """Return why the results of two runs need not be the same, in words; empty if nothing is known that tells so.

    Args:
        before: The run that computed a result; None if it is not known.
        now: The run that computes it again, in the process of its flow.
    """
    if before is None:
        return "the run that computed it is not known any more"
    if before.apart:
        return "a worker of a cluster may have computed it, and its machine is not recorded"
    if PROCESSOR not in before.versions:
        return "the processor that computed it is not recorded"
    common = [name for name in before.versions if name in now.versions and name not in _INDIFFERENT]
    changed = [name for name in common if before.versions[name] != now.versions[name]]
    told = [f"{name} {before.versions[name]}, now {now.versions[name]}" for name in changed]
    return f"it was computed on another system ({'; '.join(told)})" if told else ""
