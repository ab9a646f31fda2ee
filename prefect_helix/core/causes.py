"""What made a step compute, followed back through its inputs to what somebody changed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from prefect_helix.core.change import FOLLOWING, Change
from prefect_helix.core.comparison import Makers, made_argument, pair_up, partners
from prefect_helix.core.explain import changes, link_identity
from prefect_helix.core.lineage import Lineage, ParentLink, Trace

MAX_DEPTH = 100
"""Calls in a row that a changed input is followed back."""

TOLD = "as told above"
"""Note of a step that is explained elsewhere in the same tree."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A change, and for an input or the order the steps that it comes from."""

    change: Change
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A call, and what makes it another than an earlier one.

    Attributes:
        trace: The call.
        before: The earlier call; None if there is none to compare with.
        causes: What changed.
        note: What there is to say where no change tells it.
    """

    trace: Trace
    before: Trace | None
    causes: tuple[Cause, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from.

    Attributes:
        step: The step that changed, and not only because of another step.
        change: What changed; None where the step's note tells it.
        route: The tasks from that step to the one that was asked for, both included.
    """

    step: Step
    change: Change | None
    route: tuple[str, ...]

    @property
    def told(self) -> bool:
        """Whether this is one more way from a step that is told before."""
        return self.step.note == TOLD


def origins(step: Step, after: tuple[str, ...] = ()) -> Iterator[Origin]:
    """Yield what is at the roots of a tree of causes, in reading order."""
    route = (step.trace.task, *after)
    if step.note:
        yield Origin(step, None, route)
    for cause in step.causes:
        if not cause.steps:
            yield Origin(step, cause.change, route)
        for source in cause.steps:
            yield from origins(source, route)


def trace_back(trace: Trace, before: Trace | None, run: Lineage, prior: Lineage) -> Step:
    """Return what makes `trace` another call than `before`, with changed inputs followed back to their causes.

    Each call is explained once. Complexity: O(traces + edges) of the part that changed.

    Args:
        trace: A call of `run`.
        before: The call of `prior` it is compared with.
        run: Its run.
        prior: The earlier run.
    """
    return _Tracer(run, prior).step(trace, before)


class _Tracer:
    def __init__(self, run: Lineage, prior: Lineage) -> None:
        self._now = {trace.signature: trace for trace in reversed(run.traces)}
        self._then = {trace.signature: trace for trace in reversed(prior.traces)}
        self._makers = Makers(prior), Makers(run)
        found = partners(prior.traces, run.traces)
        places = (place for place in reversed(range(len(run.traces))) if place in found)
        self._partners = {run.traces[place].signature: prior.traces[found[place]].signature for place in places}
        self._told: set[str] = set()

    def step(self, trace: Trace, before: Trace | None, depth: int = 0) -> Step:
        if trace.signature in self._told:
            return Step(trace, before, note=TOLD)
        if depth == MAX_DEPTH:
            return Step(trace, before, note="changed for a reason further back; ask for it to see more")
        self._told.add(trace.signature)
        found = [self._cause(change, before, trace, depth) for change in changes(before, trace)]
        return Step(trace, before, tuple(found), "" if found else _other_result(before, trace))

    def _cause(self, change: Change, before: Trace | None, trace: Trace, depth: int) -> Cause:
        if before is None:
            return Cause(change)
        if made := made_argument(change, before, trace, *self._makers):
            earlier, maker = made
            return Cause(Change("input", change.name), (self.step(maker, earlier, depth + 1),))
        return Cause(change, tuple(self._sources(change, before, trace, depth)))

    def _sources(self, change: Change, before: Trace, trace: Trace, depth: int) -> Iterator[Step]:
        if change.kind not in FOLLOWING:
            return
        for was, now in self._changed_edges(change, before, trace):
            earlier = self._then.get(was.signature) if was else None
            made = self._now.get(now.signature) if now else None
            if now is None and earlier is not None:
                yield Step(earlier, earlier, note="is not taken any more")
            elif made is None or now is None:
                continue
            elif was is None:
                yield Step(made, None, note="is taken in addition")
            elif was.signature == now.signature and was.leaf != now.leaf:
                yield Step(made, earlier, note="another part of its result is taken")
            elif earlier is not None and earlier.task != made.task:
                yield Step(made, earlier, note=f"takes the place of {earlier.task}")
            else:
                yield self.step(made, earlier, depth + 1)

    def _changed_edges(
        self, change: Change, before: Trace, trace: Trace
    ) -> Iterator[tuple[ParentLink | None, ParentLink | None]]:
        """Yield in pairs the edges of a changed input, or of the order, that are not what they were.

        Those from one step in both runs are a pair wherever they stand, so that one that came or went is told as that.
        """
        old, new = ([link for link in _edges(t, change) if link.parameter == change.name] for t in (before, trace))

        def source(link: ParentLink) -> Hashable:
            return self._partners.get(link.signature), link.leaf

        found: dict[int, int] = {}
        pair_up(found, old, new, lambda was: (was.signature, was.leaf), source)
        pair_up(found, old, new, link_identity, link_identity)
        pair_up(found, old, new, lambda _: None, lambda _: None)
        for place, now in enumerate(new):
            was = old[found[place]] if place in found else None
            if was is None or link_identity(was) != link_identity(now):
                yield was, now
        taken = {*found.values()}
        yield from ((was, None) for place, was in enumerate(old) if place not in taken)


def _edges(trace: Trace, change: Change) -> Iterator[ParentLink]:
    if change.kind == "input":
        yield from trace.parents
    else:
        yield from (ParentLink(signature, None, None, False, change.name) for signature in trace.wait_for)


def _other_result(before: Trace | None, trace: Trace) -> str:
    if before is None or before.result is None or trace.result is None or before.result.digest == trace.result.digest:
        return ""
    return "gave another result for the same code and inputs"
