"""What earlier runs tell about a call: traces by code and arguments, costs, and which tasks repeat themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from prefect_helix.core.costs import Costs, learn
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace


class History:
    """An index over all traces known at the start of a run; the run adds its own as it goes."""

    def __init__(self, lineages: Sequence[Lineage]) -> None:
        """Index `lineages`, oldest first. Complexity: O(traces)."""
        self.lineages = tuple(lineages)
        self._by_call: dict[tuple[str, str], list[Trace]] = defaultdict(list)
        self._by_task: dict[str, Trace] = {}
        self._digests: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._ambiguous: set[str] = set()
        self._unsteady: set[str] = set()
        self._proven: set[str] = set()
        traces = [trace for lineage in lineages for trace in lineage.traces]
        for trace in traces:
            self.add(trace)
        self.costs: Costs = learn(traces)

    def add(self, trace: Trace) -> None:
        """Add one trace, newer than all before it."""
        if trace.status != "completed" or trace.result is None:
            return
        self._by_call[trace.fingerprint, trace.literals].append(trace)
        self._by_task[trace.key] = trace
        digest = trace.result.digest
        if trace.decision is Decision.COMPUTE and digest is not None:
            self._count(trace.fingerprint, trace.signature, digest, exact=trace.result.exact)

    def _count(self, fingerprint: str, signature: str, digest: str, *, exact: bool) -> None:
        seen = self._digests[fingerprint, signature]
        seen[digest] += 1
        if len(seen) > 1:
            self._ambiguous.add(signature)
            self._unsteady.add(fingerprint)
        elif exact and seen[digest] > 1:
            self._proven.add(fingerprint)

    def candidates(self, fingerprint: str, literals: str) -> Sequence[Trace]:
        """Return the traces of calls with this code and these literal arguments, newest first."""
        return self._by_call.get((fingerprint, literals), [])[::-1]

    def latest(self, key: str) -> Trace | None:
        """Return the newest completed trace of task `key`."""
        return self._by_task.get(key)

    def ambiguous(self, signature: str) -> bool:
        """Return whether one signature was seen to give two digests."""
        return signature in self._ambiguous

    def proven(self, fingerprint: str) -> bool:
        """Return whether the task gave one exact digest for one signature on two computes, and never two."""
        return fingerprint in self._proven and fingerprint not in self._unsteady

    def prior(self, flow: str, parameters: Mapping[str, str]) -> Lineage | None:
        """Return the run of `flow` that predicts the next one best, or None.

        That is the latest completed with the same parameters, else the latest completed, else the latest with traces.
        """
        runs = [lineage for lineage in self.lineages if lineage.run.flow == flow and lineage.traces]
        completed = [lineage for lineage in runs if lineage.run.status == "completed"]
        same = [lineage for lineage in completed if dict(lineage.run.parameters) == dict(parameters)]
        for choice in (same, completed, runs):
            if choice:
                return choice[-1]
        return None


def last_used(lineages: Iterable[Lineage]) -> dict[str, int]:
    """Return when each blob was last named by a run, since the epoch, by content name.

    Complexity: O(traces).
    """
    used: dict[str, int] = {}
    for lineage in lineages:
        for trace in lineage.traces:
            for blob in (trace.result.blobs if trace.result else None) or ():
                used[blob] = max(used.get(blob, 0), trace.started_us)
    return used
