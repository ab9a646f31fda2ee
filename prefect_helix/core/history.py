"""What earlier runs tell about a call: traces by code and arguments, costs, and which tasks repeat themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from prefect_helix.core.costs import Costs, learn
from prefect_helix.core.digest import hash_parts
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.core.rulings import Revocation, Rulings


class History:
    """An index over all traces known at the start of a run; the run adds its own as it goes.

    Code is named by what it stands for under the rulings of today, signatures as the lineage has them.

    Args:
        lineages: What is remembered, oldest first.
        rulings: What people have ruled about it.

    Complexity: O(traces · revocations).
    """

    def __init__(self, lineages: Sequence[Lineage], rulings: Rulings | None = None) -> None:
        self.lineages = tuple(lineages)
        self.rulings = rulings or Rulings()
        self._by_call: dict[tuple[str, str], list[Trace]] = defaultdict(list)
        self._revoked: dict[tuple[str, str], list[tuple[Trace, Revocation]]] = defaultdict(list)
        self._digests: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._ambiguous: set[str] = set()
        self._unsteady: set[str] = set()
        self._proven: set[str] = set()
        traces = list(results(lineages))
        for trace in traces:
            self.add(trace)
        self._moot = _moot(traces, self.rulings)
        self.costs: Costs = learn(trace for lineage in lineages for trace in lineage.traces)

    def add(self, trace: Trace) -> None:
        """Add one trace, newer than all before it."""
        if trace.status != "completed" or trace.result is None:
            return
        code = self.rulings.stands_for(trace.computed_by)
        revocation = self.rulings.revocation(trace)
        if revocation is not None:
            self._revoked[code, trace.literals].append((trace, revocation))
            return
        self._by_call[code, trace.literals].append(trace)
        digest = trace.result.digest
        if trace.decision is Decision.COMPUTE and digest is not None:
            self._count(trace, code, digest, exact=trace.result.exact)

    def _count(self, trace: Trace, code: str, digest: str, *, exact: bool) -> None:
        seen = self._digests[code, trace.signature]
        seen[digest] += 1
        if len(seen) > 1:
            self._ambiguous.add(trace.signature)
            self._unsteady.add(code)
        elif exact and seen[digest] > 1:
            self._proven.add(trace.computed_by)

    def candidates(self, fingerprint: str, literals: str) -> Sequence[Trace]:
        """Return the traces of calls with this code and these literal arguments, newest first.

        Args:
            fingerprint: What the code stands for.
            literals: Hash of the arguments.
        """
        return self._by_call.get((fingerprint, literals), [])[::-1]

    def revoked(self, fingerprint: str, literals: str) -> Sequence[tuple[Trace, Revocation]]:
        """Return the traces that would be candidates if their results had not been revoked, newest first."""
        return self._revoked.get((fingerprint, literals), [])[::-1]

    def moot(self, signature: str) -> bool:
        """Return whether a signature does not tell one result any more.

        That is so if a result with it was revoked, or was computed by code that does not stand for the signature's any
        more. Nobody can tell then which result a child was made from that knows but the signature.
        """
        return signature in self._moot

    def renewed(self, signature: str, fingerprint: str) -> str:
        """Return another signature in place of one that is moot, so that older children match by exact digest only."""
        while signature in self._moot:
            signature = hash_parts("renewed", signature, fingerprint, *sorted(self._moot[signature]))
        return signature

    def ambiguous(self, signature: str) -> bool:
        """Return whether one signature was seen to give two digests."""
        return signature in self._ambiguous

    def proven(self, fingerprint: str) -> bool:
        """Return whether this very code gave an exact digest that its signature had given before, and never another."""
        return fingerprint in self._proven and self.rulings.stands_for(fingerprint) not in self._unsteady

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


def results(lineages: Iterable[Lineage]) -> Iterator[Trace]:
    """Yield the traces that have a result, each with the run that computed it. Complexity: O(traces)."""
    for lineage in lineages:
        for trace in lineage.traces:
            if trace.status == "completed" and trace.result is not None:
                yield trace if trace.computed_in else replace(trace, computed_in=lineage.run.run_id)


def computations(lineages: Iterable[Lineage]) -> list[Trace]:
    """Return one trace for each result that was computed, however often it was used. Complexity: O(traces)."""
    return list({(t.key, t.literals, t.computed_in, t.computed_at_us): t for t in results(lineages)}.values())


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


def _moot(traces: Sequence[Trace], rulings: Rulings) -> Mapping[str, set[str]]:
    """Return the signatures that do not tell one result any more, each with what made it so.

    Args:
        traces: All that have a result, parents before children.
        rulings: The rulings of today.
    """
    moot: dict[str, set[str]] = defaultdict(set)
    for trace in traces:
        if revocation := rulings.revocation(trace):
            moot[trace.signature].add(revocation.id)
        if rulings.stands_for(trace.computed_by) != rulings.stands_for(trace.fingerprint):
            moot[trace.signature].add(trace.computed_by)
    if moot:
        taken: dict[tuple[str, int], tuple[str | None, bool]] = {}
        for trace in traces:
            for place, link in enumerate(trace.parents):
                known = link.digest, link.exact
                other = taken.setdefault((trace.signature, place), known) != known
                if other and link.signature in moot:  # made from different results of one moot signature
                    moot[trace.signature] |= moot[link.signature]
    return moot
