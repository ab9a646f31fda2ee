"""Why a step was decided as it was, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, ParentLink, Trace

ChangeKind = Literal["new", "removed", "parameter", "code", "argument", "file", "input", "order", "declared"]

MAX_DEPTH = 100
"""Calls in a row that a changed input is followed back."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a call and the earlier call it is compared with.

    Attributes:
        kind: What changed.
        name: The parameter, or the task.
        before: The old value or hash in short form; of a file its path.
        after: The new one.
    """

    kind: ChangeKind
    name: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        shown = f": {self.before} → {self.after}" if self.before != self.after else ""
        match self.kind:
            case "new":
                return f"no earlier call of {self.name} to compare with"
            case "removed":
                return f"{self.name} is no longer called"
            case "parameter":
                return f"parameter {self.name} changed{shown}"
            case "code":
                return f"the code of {self.name} changed"
            case "argument":
                return f"argument {self.name} changed{shown}"
            case "file":
                return f"the content of {self.after} changed"
            case "input":
                return f"input {self.name} changed"
            case "order":
                return f"what {self.name} waits for changed"
            case "declared":
                return f"{self.name} is declared not to be deterministic"


def changes(before: Trace | None, after: Trace) -> tuple[Change, ...]:
    """Return what makes the call `after` another call than `before`; empty if nothing does.

    Complexity: O(arguments + parents).
    """
    if before is None:
        return (Change("new", after.task),)
    found: list[Change] = []
    if before.fingerprint != after.fingerprint:
        found.append(Change("code", after.task, before.fingerprint, after.fingerprint))
    found.extend(_argument_changes(before, after))
    found.extend(_input_changes(before, after))
    if before.wait_for != after.wait_for:
        found.append(Change("order", after.task))
    if not found and not after.deterministic:
        found.append(Change("declared", after.task))
    return tuple(found)


def closest(after: Trace, earlier: Iterable[Trace]) -> Trace | None:
    """Return the call of the same task that differs least from `after`, the nearest in call order of several.

    A task that moved to another module goes by its name. Complexity: O(calls of the task · arguments).
    """
    calls = list(earlier)
    same = [t for t in calls if t.key == after.key] or [t for t in calls if t.task == after.task]
    return min(same, key=lambda t: (len(changes(t, after)), abs(t.call - after.call)), default=None)


def reason(
    decision: Decision, *, equivalent: bool, needed: bool, mode: str = "auto", found: Sequence[Change] = ()
) -> str:
    """Return in words why a step is decided as it is.

    Args:
        decision: What is done with it.
        equivalent: Whether an earlier result can stand for it.
        needed: Whether something needs its value.
        mode: The run's mode.
        found: What changed since the call it is compared with, if it is not equivalent.
    """
    match decision:
        case Decision.LOAD:
            return "nothing changed, and its value is needed"
        case Decision.PRUNE if equivalent:
            return "nothing changed, and nothing needs its value"
        case Decision.PRUNE:
            return "nothing needs it"
    if equivalent:
        return "nothing changed, but its result is not stored, or dearer to load than to compute"
    if mode != "auto":
        return f"mode {mode!r} computes every step"
    return "; ".join(map(str, found)) or "no earlier result can be used"


def run_changes(before: Lineage, after: Lineage) -> dict[tuple[str, Change], int]:
    """Return what changed from one run of a flow to another, and in how many calls, without mere consequences.

    Calls with equal signatures are the same; the others of a task are compared in call order. What only follows from
    another change (an input, an argument that is a changed flow parameter) is left out. What a run that did not
    complete has not called was not removed, and not called before is not new. Complexity: O(traces).

    Returns:
        By task ("" for a flow parameter) and change, the number of calls.
    """
    parameters = tuple(_parameter_changes(before, after))
    names = {change.name for change in parameters}
    found = {("", change): 1 for change in parameters}
    old, new = _unmatched(before.traces, after.traces), _unmatched(after.traces, before.traces)
    own: list[tuple[str, Change]] = []
    for key in {**old, **new}:
        for was, now in zip(old[key], new[key], strict=False):
            follows = {a.parameter for a in now.arguments if a.source == "flow_parameter" and a.origin in names}
            own += [
                (now.task, change)
                for change in changes(was, now)
                if change.kind not in ("input", "declared") and change.name not in follows
            ]
        if before.run.status == "completed":
            own += [(trace.task, Change("new", trace.task)) for trace in new[key][len(old[key]) :]]
        if after.run.status == "completed":
            own += [(trace.task, Change("removed", trace.task)) for trace in old[key][len(new[key]) :]]
    for one in own:
        found[one] = found.get(one, 0) + 1
    return found


@dataclass(frozen=True, slots=True)
class Cause:
    """A change, and for an input or the order the calls that it comes from."""

    change: Change
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A call, and what makes it another than an earlier one.

    Attributes:
        after: The call.
        before: The earlier call; None if there is none to compare with.
        causes: What changed.
        note: What there is to say where no change tells it.
    """

    after: Trace
    before: Trace | None
    causes: tuple[Cause, ...] = ()
    note: str = ""


def trace_back(after: Trace, before: Trace | None, run: Lineage, prior: Lineage) -> Step:
    """Return what makes `after` another call than `before`, with changed inputs followed back to their causes.

    Each call is explained once. Complexity: O(traces + edges) of the part that changed.

    Args:
        after: A call of `run`.
        before: The call of `prior` it is compared with.
        run: Its run.
        prior: The earlier run.
    """
    return _Tracer(run, prior).step(after, before)


class _Tracer:
    def __init__(self, run: Lineage, prior: Lineage) -> None:
        self._now = {trace.signature: trace for trace in reversed(run.traces)}
        self._then = {trace.signature: trace for trace in reversed(prior.traces)}
        self._told: set[int] = set()

    def step(self, after: Trace, before: Trace | None, depth: int = 0) -> Step:
        if after.call in self._told:
            return Step(after, before, note="as told above")
        self._told.add(after.call)
        if depth == MAX_DEPTH:
            return Step(after, before, note="and so on: ask for this step to see more")
        found = changes(before, after)
        causes = tuple(Cause(change, tuple(self._sources(change, before, after, depth))) for change in found)
        return Step(after, before, causes)

    def _sources(self, change: Change, before: Trace | None, after: Trace, depth: int) -> Iterator[Step]:
        if before is None or change.kind not in ("input", "order"):
            return
        for was, now in _edges(change, before, after):
            made = self._now.get(now.signature) if now else None
            if made is None or now is None:
                continue
            earlier = self._then.get(was.signature) if was else None
            if was is not None and was.signature == now.signature and was.leaf != now.leaf:
                yield Step(made, earlier, note="another part of its result is taken")
            elif earlier is None or earlier.task == made.task:
                step = self.step(made, earlier, depth + 1)
                yield step if step.causes or step.note else Step(made, earlier, note=_other_result(earlier, made))
            else:
                yield Step(made, earlier, note=f"in place of {earlier.task}")


def _other_result(before: Trace | None, after: Trace) -> str:
    if before is None or before.result is None or after.result is None or before.result.digest == after.result.digest:
        return ""
    return "it gave another result for the same code and inputs"


def _edges(change: Change, before: Trace, after: Trace) -> Iterator[tuple[ParentLink | None, ParentLink | None]]:
    """Yield the edges of a changed input, or of the order, that are not what they were, in pairs."""
    if change.kind == "order":
        pairs = zip_longest(_waits(before), _waits(after))
    else:
        old, new = ([link for link in t.parents if link.parameter == change.name] for t in (before, after))
        pairs = zip_longest(old, new)
    for was, now in pairs:
        if was is None or now is None or _identity(was) != _identity(now):
            yield was, now


def _waits(trace: Trace) -> list[ParentLink]:
    return [ParentLink(signature, None, None, False, "") for signature in trace.wait_for]


def _parameter_changes(before: Lineage, after: Lineage) -> Iterator[Change]:
    old, new = before.run, after.run
    for name in {**old.parameters, **new.parameters}:
        was, now = (run.shown_parameters.get(name, "absent") for run in (old, new))
        if old.parameters.get(name) != new.parameters.get(name) or was != now:
            yield Change("parameter", name, was, now)


def _argument_changes(before: Trace, after: Trace) -> Iterable[Change]:
    old = {a.parameter: a for a in before.arguments}
    new = {a.parameter: a for a in after.arguments}
    for parameter in {**old, **new}:
        was, now = old.get(parameter), new.get(parameter)
        if was is None or now is None or was.digest != now.digest:
            yield _argument_change(parameter, was, now)


def _argument_change(parameter: str, was: Argument | None, now: Argument | None) -> Change:
    if was and now and was.source == now.source == "file" and was.origin == now.origin:
        return Change("file", parameter, was.origin, now.origin)
    return Change("argument", parameter, was.shown if was else "absent", now.shown if now else "absent")


def _input_changes(before: Trace, after: Trace) -> Iterable[Change]:
    old: Mapping[str, list[tuple[object, ...]]] = _links(before)
    new = _links(after)
    for parameter in {**old, **new}:
        if old.get(parameter) != new.get(parameter):
            yield Change("input", parameter)


def _links(trace: Trace) -> dict[str, list[tuple[object, ...]]]:
    links: dict[str, list[tuple[object, ...]]] = {}
    for link in trace.parents:
        links.setdefault(link.parameter, []).append(_identity(link))
    return links


def _identity(link: ParentLink) -> tuple[object, ...]:
    return (link.digest,) if link.exact else (link.signature, link.leaf, link.digest)


def _unmatched(traces: Sequence[Trace], others: Sequence[Trace]) -> defaultdict[str, list[Trace]]:
    """Return by task those of `traces` that have no partner of the same signature among `others`."""
    partners: defaultdict[str, int] = defaultdict(int)
    for other in others:
        partners[other.signature] += 1
    left: defaultdict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        partners[trace.signature] -= 1
        if partners[trace.signature] < 0:
            left[trace.key].append(trace)
    return left
