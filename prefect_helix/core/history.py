"""What earlier runs tell about a call: traces by code and arguments, costs, and which tasks repeat themselves.

Most of it may lie in an index, which is asked for the traces of one call at a time, so that a run need not read what
it does not need. What an index cannot be asked for call by call is kept in it as facts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, Protocol

from prefect_helix.core.alike import Alike
from prefect_helix.core.costs import Costs, Samples, sample
from prefect_helix.core.digest import hash_parts
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.core.outcomes import Outcomes
from prefect_helix.core.rulings import Revocation, Rulings, moot_signatures
from prefect_helix.core.signature import Input, Match, match

_FEW = 64
"""Calls that have code and literal arguments in common, up to which they are gone through one by one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a body of traces tells as a whole, under certain rulings.

    Attributes:
        rulings: Name of the rulings that were in force.
        ambiguous: Signatures that were seen to give two digests.
        unsteady: Codes, by what they stand for, that gave one of these.
        proven: Fingerprints seen to give one exact digest for one signature on two computes.
        moot: Signatures that do not tell one result any more, each with what made it so.
        samples: The latest measurements.
        last_used_us: When each blob was last named by a run, since the epoch.
    """

    rulings: str
    ambiguous: frozenset[str]
    unsteady: frozenset[str]
    proven: frozenset[str]
    moot: Mapping[str, frozenset[str]]
    samples: Samples
    last_used_us: Mapping[str, int]


class Head(NamedTuple):
    """What of a run tells whether it resembles another one.

    Attributes:
        flow: Name of the flow.
        completed: Whether it completed.
        parameters: A hash of its parameters.
        started_us: When the flow body began, since the epoch.
        steps: Number of its traces.
    """

    flow: str
    completed: bool
    parameters: str
    started_us: int
    steps: int


class Index(Protocol):
    """A body of traces of ended runs that can be asked without reading all of it.

    Of traces that are alike in all but when they were computed it may give the newest only.
    """

    @property
    def facts(self) -> Facts:
        """What it tells as a whole."""

    @property
    def heads(self) -> Sequence[Head]:
        """What its runs are, oldest first."""

    @property
    def lineages(self) -> Sequence[Lineage]:
        """Its runs, oldest first, each with every trace."""

    def lineage(self, position: int) -> Lineage:
        """Return the run at a position in `heads`."""

    def calls(self, codes: Iterable[str], literals: str) -> Iterator[Trace]:
        """Yield the traces with a result that one of these codes computed from these arguments, newest first."""

    def signed(self, signature: str) -> Iterator[Trace]:
        """Yield the traces with a result and this signature, newest first."""


class History:
    """All traces known at the start of a run; the run adds its own as it goes.

    Code is named by what it stands for under the rulings of today, signatures as the lineage has them.

    Args:
        lineages: What is remembered and not in the index, oldest first.
        rulings: What people have ruled about it.
        index: The rest. It is read whole if its facts are those of other rulings.

    Complexity: O(traces · revocations) of those not in the index.
    """

    def __init__(self, lineages: Iterable[Lineage], rulings: Rulings | None = None, index: Index | None = None) -> None:
        self.rulings = rulings or Rulings()
        recent = tuple(lineages)
        if index is None or index.facts.rulings != self.rulings.name or not self._read(recent, index):
            everything = [*(index.lineages if index else ()), *recent]
            self._read(sorted(everything, key=lambda lineage: lineage.run.started_us), None)

    def _read(self, recent: Sequence[Lineage], index: Index | None) -> bool:
        """Take in what is remembered; return False if the index does not go with the rest."""
        facts = index.facts if index else _nothing(self.rulings)
        self._index = index
        self._indexed_runs = len(index.heads) if index else 0
        self._signed: Callable[[str], Iterator[Trace]] = index.signed if index is not None else _no_traces
        self._recent = tuple(recent)
        self._by_call: dict[tuple[str, str], list[Trace]] = defaultdict(list)
        self._by_signature: dict[str, list[Trace]] = defaultdict(list)
        self._revoked: dict[tuple[str, str], list[Trace]] = defaultdict(list)
        self._alike: dict[tuple[str, str], Alike] = {}
        self._alike_revoked: dict[tuple[str, str], Alike] = {}
        self._outcomes = Outcomes(self.rulings, self._signed, facts.ambiguous, facts.unsteady, facts.proven)
        traces = list(results(recent))
        self._moot = moot_signatures(traces, self.rulings, facts.moot, self._signed)
        if index is not None and self._moot != facts.moot:
            return False  # traces in the index may be made from results that only the recent ones tell to be moot
        for trace in traces:
            self.add(trace)
        self._samples = sample((lineage.traces for lineage in recent), facts.samples)
        self._last_used_us = {**facts.last_used_us}
        for blob, at_us in last_used(recent).items():
            self._last_used_us[blob] = max(at_us, self._last_used_us.get(blob, 0))
        self.costs = Costs(self._samples)
        return True

    def add(self, trace: Trace) -> None:
        """Add one trace, newer than all before it."""
        if trace.status != "completed" or trace.result is None:
            return
        call = self._call(trace)
        if self.rulings.revocation(trace) is not None:
            self._revoked[call].append(trace)
            if call in self._alike_revoked:
                self._alike_revoked[call].add(trace)
            return
        if trace.decision is Decision.COMPUTE:
            self._outcomes.add(trace)
        self._by_call[call].append(trace)
        if call in self._alike:
            self._alike[call].add(trace)
        self._by_signature[trace.signature].append(trace)

    def candidates(self, fingerprint: str, literals: str, signature: str = "") -> Iterator[Trace]:
        """Yield the traces of calls with this code and these literal arguments, newest first.

        Complexity: O(log traces) to the first one with the signature, if there is one.

        Args:
            fingerprint: What the code stands for.
            literals: Hash of the arguments.
            signature: Traces with this signature come before all others: one of them is most likely asked for.
        """
        call = (fingerprint, literals)
        yield from self._with_signature(call, signature)
        yield from (trace for trace in self._by_call.get(call, [])[::-1] if trace.signature != signature)
        for trace in self._indexed(fingerprint, literals):
            if trace.signature != signature and not self.rulings.revocation(trace):
                yield trace

    def matching(
        self, fingerprint: str, literals: str, signature: str, inputs: Sequence[Input], wait_for: Sequence[str]
    ) -> Iterator[Trace]:
        """Yield all `candidates` that `match` the inputs, or one at least of those that may; and maybe others.

        Complexity: that of `Alike.like`; the first time for a call that has more than a few, of making an `Alike` of
        them.
        """
        call = (fingerprint, literals)
        alike = self._alike.get(call)
        if alike is None:
            found = self.candidates(fingerprint, literals, signature)
            yield from islice(found, _FEW)
            if next(found, None) is None:
                return
            alike = self._alike[call] = Alike(reversed([*self.candidates(fingerprint, literals)]))
        yield from self._with_signature(call, signature)
        yield from alike.like(inputs, wait_for)

    def revoked(self, fingerprint: str, literals: str) -> Iterator[Trace]:
        """Yield the traces that would be candidates if their results had not been revoked, newest first."""
        yield from self._revoked.get((fingerprint, literals), [])[::-1]
        for trace in self._indexed(fingerprint, literals) if self.rulings.revocations else ():
            if self.rulings.revocation(trace) is not None:
                yield trace

    def revocation(
        self, fingerprint: str, literals: str, inputs: Sequence[Input], wait_for: Sequence[str]
    ) -> Revocation | None:
        """Return what revoked the newest result that `matches` and was revoked; None if there is none."""
        if not self.rulings.revocations:
            return None
        call = (fingerprint, literals)
        if call not in self._alike_revoked:
            self._alike_revoked[call] = Alike(reversed([*self.revoked(fingerprint, literals)]))
        same = self._alike_revoked[call].like(inputs, wait_for)
        newest = next((trace for trace in same if match(trace, inputs, wait_for) is Match.YES), None)
        return None if newest is None else self.rulings.revocation(newest)

    def _with_signature(self, call: tuple[str, str], signature: str) -> Iterator[Trace]:
        if signature:
            signed = (*self._by_signature.get(signature, [])[::-1], *self._signed(signature))
            yield from (trace for trace in signed if self._call(trace) == call and not self.rulings.revocation(trace))

    def _call(self, trace: Trace) -> tuple[str, str]:
        return self.rulings.stands_for(trace.computed_by), trace.literals

    def _indexed(self, fingerprint: str, literals: str) -> Iterator[Trace]:
        if self._index is not None:
            yield from self._index.calls(self.rulings.members(fingerprint), literals)

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
        return signature in self._outcomes.ambiguous

    @property
    def unsteady(self) -> int:
        """How many codes were seen to give two digests for one signature; it only grows."""
        return len(self._outcomes.unsteady)

    def proven(self, fingerprint: str) -> bool:
        """Return whether this very code gave an exact digest that its signature had given before, and never another."""
        return self._outcomes.repeats(fingerprint)

    def prior(self, flow: str, parameters: Mapping[str, str]) -> Lineage | None:
        """Return the run of `flow` that predicts the next one best, or None.

        That is the latest completed with the same parameters, else the latest completed, else the latest with traces.
        """
        same = parameters_hash(parameters)
        ranked = (
            (head.completed + (head.completed and head.parameters == same), head.started_us, position)
            for position, head in enumerate(self.heads)
            if head.flow == flow and head.steps
        )
        best = max(ranked, default=None)
        return None if best is None else self.lineage(best[-1])

    def latest(self, flow: str, count: int) -> list[Run]:
        """Return the newest runs of `flow` that have ended, at most so many, oldest first. O(runs)."""
        began = [(head.started_us, position) for position, head in enumerate(self.heads) if head.flow == flow]
        runs = (self.lineage(position).run for _, position in sorted(began, reverse=True))
        return [*islice((run for run in runs if run.status != "running"), count)][::-1]

    def runs(self, run_ids: Collection[str]) -> dict[str, Run]:
        """Return those of these runs that are remembered, by id. O(runs)."""
        runs = (self.lineage(position).run for position in range(len(self.heads)))
        return {run.run_id: run for run in runs if run.run_id in run_ids}

    @property
    def heads(self) -> Sequence[Head]:
        """What each run is that is remembered, oldest first of those in the index and then of the others."""
        return [*(self._index.heads if self._index is not None else ()), *map(head_of, self._recent)]

    def lineage(self, position: int) -> Lineage:
        """Return the run at a position in `heads`."""
        if self._index is not None and position < self._indexed_runs:
            return self._index.lineage(position)
        return self._recent[position - self._indexed_runs]

    @property
    def last_used_us(self) -> Mapping[str, int]:
        """When each blob was last named by a run that is remembered, since the epoch, by content name."""
        return self._last_used_us

    def facts(self) -> Facts:
        """Return what all of it tells as a whole."""
        return Facts(
            self.rulings.name,
            frozenset(self._outcomes.ambiguous),
            frozenset(self._outcomes.unsteady),
            frozenset(self._outcomes.proven),
            self._moot,
            self._samples,
            self._last_used_us,
        )


def head_of(lineage: Lineage) -> Head:
    """Return what of a run tells whether it resembles another one."""
    run = lineage.run
    return Head(
        run.flow, run.status == "completed", parameters_hash(run.parameters), run.started_us, len(lineage.traces)
    )


def parameters_hash(parameters: Mapping[str, str]) -> str:
    """Return one hash over the digests of a flow's parameters."""
    return hash_parts("parameters", *(part for item in sorted(parameters.items()) for part in item))


def results(lineages: Iterable[Lineage]) -> Iterator[Trace]:
    """Yield the traces that have a result, each with the run that computed it. Complexity: O(traces)."""
    for lineage in lineages:
        for trace in lineage.traces:
            if trace.status == "completed" and trace.result is not None:
                yield with_origin(trace, lineage.run)


def with_origin(trace: Trace, run: Run) -> Trace:
    """Return a trace of `run`, with the run that computed its result if it has one."""
    return trace if trace.computed_in or trace.result is None else replace(trace, computed_in=run.run_id)


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
            for blob in trace.result.kept if trace.result else ():
                used[blob] = max(used.get(blob, 0), trace.started_us)
    return used


def identity(trace: Trace, rulings: Rulings) -> object:
    """Return what two traces have in common if either makes the same calls equivalent."""
    revocation = rulings.revocation(trace)
    return (
        trace.signature,
        trace.fingerprint,
        trace.code,
        trace.literals,
        trace.parents,
        trace.wait_for,
        trace.result,
        trace.changed_inputs,
        revocation and revocation.id,
    )


def _no_traces(signature: str) -> Iterator[Trace]:
    return iter(())


def _nothing(rulings: Rulings) -> Facts:
    nothing: frozenset[str] = frozenset()
    return Facts(rulings.name, nothing, nothing, nothing, {}, Samples(), {})
