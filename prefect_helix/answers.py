"""Why a step was decided as it was, from what an archive holds of its run and of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from prefect_helix.archive import Archive
from prefect_helix.core.causes import Origin, Step, origins, trace_back
from prefect_helix.core.comparison import CodeChanges, code_changes
from prefect_helix.core.explain import NOT_STORED, changes
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.views.differences import each_kind
from prefect_helix.views.steps import call_names, names_by_signature
from prefect_helix.views.units import with_calls


@dataclass(frozen=True)
class Answer:
    """What there is to say of one step.

    Attributes:
        archive: Where that is known from.
        lineage: Its run.
        step: The step, with what changed if it was computed.
        prior: The run it is compared with; None if its task was never called before.
        origin: The run that computed the result it stands for, if it was not computed.
        notes: What else tells why, in sentences.
    """

    archive: Archive
    lineage: Lineage
    step: Step
    prior: Lineage | None
    origin: Lineage | None
    notes: tuple[str, ...]

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """What is at the root of it."""
        return tuple(origins(self.step))

    @cached_property
    def names(self) -> dict[str, str]:
        """What the calls of both runs are called, by signature."""
        earlier = names_by_signature(self.prior.traces) if self.prior else {}
        return earlier | names_by_signature(self.lineage.traces)

    @property
    def name(self) -> str:
        """What the step is called."""
        traces = self.lineage.traces
        named = zip(traces, call_names(traces), strict=True)
        return next(name for trace, name in named if trace is self.step.trace)

    @cached_property
    def code(self) -> CodeChanges:
        """What changed in the code of the step, and of those that it takes its inputs from."""
        edits = [
            (origin.step.trace.task, origin.change)
            for origin in self.origins
            if origin.change is not None and origin.change.kind == "code"
        ]
        return code_changes(edits, self.archive.components_of)

    @property
    def words(self) -> list[str]:
        """What changed besides code, each thing once whatever it is reached by; see `each_kind`."""
        told = (origin for origin in self.origins if not (origin.told or self._is_code(origin)))
        facts = each_kind((_kind(origin), self._words(origin)) for origin in told)
        return [f"{with_calls(words, calls)}{likewise}" for words, calls, likewise in facts]

    @property
    def routes(self) -> list[tuple[str, ...]]:
        """By way of which steps the changes of other steps reach this one."""
        return list(dict.fromkeys(_folded(origin.route) for origin in self.origins if len(origin.route) > 1))

    def _is_code(self, origin: Origin) -> bool:
        """Return whether it is told as code."""
        change = origin.change
        return change is not None and (change.kind == "code" or self.code.tells(origin.step.trace.task, change))

    def _words(self, origin: Origin) -> str:
        """Return in words what changed, with the name of the step unless it is the one that was asked for."""
        trace, change = origin.step.trace, origin.change
        if change is None:
            return f"{self.names.get(trace.signature, trace.task)} {origin.step.note}"
        asked = trace.signature == self.step.trace.signature
        match change.kind:
            case "argument" if change.origin:
                return f"flow parameter {change.origin} changed{change.shown}" + (
                    "" if asked else f", given to {trace.task}"
                )
            case "argument" | "input" if not asked:
                return f"{change.kind} {change.name} of {trace.task} changed{change.shown}"
            case "file" if not asked:
                return f"{change}, read by {trace.task}"
        return str(change)


def answer(archive: Archive, lineage: Lineage, trace: Trace) -> Answer:
    """Return what there is to say of the step `trace` of a run. Complexity: O(traces of the runs compared)."""
    if trace.decision is not Decision.COMPUTE:
        return Answer(archive, lineage, Step(trace, None), None, _origin(archive, trace), ())
    compared = archive.compared(lineage.run, trace)
    if compared is None:
        notes = (f"No earlier run of {lineage.run.flow} called it.",)
        return Answer(archive, lineage, Step(trace, None), None, None, notes)
    prior, before = compared
    step = trace_back(trace, before, lineage, prior)
    return Answer(archive, lineage, step, prior, None, tuple(_notes(lineage, trace, before)))


def _kind(origin: Origin) -> tuple[str, ...]:
    change, step = origin.change, origin.step
    return (step.trace.task, *((change.kind, change.name) if change else ("note", step.note)))


def _origin(archive: Archive, trace: Trace) -> Lineage | None:
    """Return the run in which the result that a step stands for was computed."""
    if trace.computed_in:
        return next((lineage for lineage in archive.lineages if lineage.run.run_id == trace.computed_in), None)
    at = trace.computed_at_us
    computed = (
        lineage
        for lineage in (archive.lineages if at is not None else ())
        for other in lineage.traces
        if other.decision is Decision.COMPUTE and other.task == trace.task and other.computed_at_us == at
    )
    return next(computed, None)


def _notes(lineage: Lineage, trace: Trace, before: Trace) -> Iterator[str]:
    """Tell what no change of the call tells."""
    if lineage.run.mode != "auto":
        yield f"The run's mode {lineage.run.mode!r} computes every step."
    if changes(before, trace):
        return
    waits = [t.task for t in lineage.traces if t.signature in trace.wait_for and t.decision is Decision.COMPUTE]
    if waits:
        yield f"It waits for {', '.join(waits)}, and that was computed."
    elif before.status == "failed":
        yield "It failed in the run before."
    elif before.changed_inputs:
        yield f"It changes its argument {', '.join(before.changed_inputs)} in place, so it is computed in every run."
    elif lineage.run.mode == "auto" and trace.reason.endswith(NOT_STORED):
        yield "Nothing changed, but its result was not stored and was needed."
    elif lineage.run.mode == "auto":
        yield f"Nothing of the call changed. The run said: {trace.reason}."


def _folded(route: Sequence[str]) -> tuple[str, ...]:
    """Return a route with only the ends of a long one."""
    return (*route[:3], f"{len(route) - 6} more", *route[-3:]) if len(route) > 8 else tuple(route)
