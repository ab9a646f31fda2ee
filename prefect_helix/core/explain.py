"""Why a step was decided as it was, in words."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from prefect_helix.core.fingerprint import Component
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, ParentLink, Trace

ChangeKind = Literal["new", "removed", "parameter", "code", "argument", "file", "input", "order", "declared"]

_KIND_ORDER = ("function", "class", "module", "constant", "state", "dependency", "opaque", "distribution")


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


def link_identity(link: ParentLink) -> tuple[object, ...]:
    """Return what must be equal for an input to be the same: an exact digest, else also where it comes from."""
    return (link.digest,) if link.exact else (link.signature, link.leaf, link.digest)


def closest(after: Trace, earlier: Iterable[Trace]) -> Trace | None:
    """Return the call of the same task that differs least from `after`, the nearest in call order of several.

    A task that moved to another module goes by its name. Complexity: O(calls of the task · arguments).
    """
    calls = list(earlier)
    same = [t for t in calls if t.key == after.key] or [t for t in calls if t.task == after.task]
    return min(same, key=lambda t: (len(changes(t, after)), abs(t.call - after.call)), default=None)


def reason(decision: Decision, *, equivalent: bool, stored: bool, mode: str, changed: str) -> str:
    """Return in words why a step is decided as it is.

    Args:
        decision: What is done with it.
        equivalent: Whether an earlier result can stand for it.
        stored: Whether that result is in the lineage or the store.
        mode: The run's mode.
        changed: What changed since the call it is compared with; told of a step that is not equivalent.
    """
    match decision:
        case Decision.LOAD:
            return "unchanged, and needed"
        case Decision.PRUNE:
            return "unchanged, and not needed" if equivalent else "not needed"
    if equivalent:
        return f"unchanged, but {'dearer to load than to compute' if stored else 'not stored'}"
    return changed if mode == "auto" else f"mode {mode!r} computes every step"


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
class ComponentChange:
    """One component of a fingerprint that is not what it was.

    Attributes:
        before: What it was; None if it is new.
        after: What it is; None if it is gone.
    """

    before: Component | None
    after: Component | None

    def __str__(self) -> str:
        was, now = self.before, self.after
        if was is None or now is None:
            return f"{_place(was or now)} {'is new' if was is None else 'is not used any more'}"
        if now.kind == "distribution":
            return f"{was.name} → {_version(now)}" if was.name != now.name else f"the files of {now.name} changed"
        if now.source is None or now.kind != "constant" or was.source == now.source:
            return f"{_place(now)} changed"
        return f"{_place(now)} changed: {was.source} → {now.source}"

    @property
    def diff(self) -> tuple[str, ...]:
        """The unified diff of a function's source, without the lines that name the files; empty for anything else."""
        if self.before is None or self.after is None or self.after.kind == "constant":
            return ()
        old, new = ((c.source or "").splitlines() for c in (self.before, self.after))
        return tuple(difflib.unified_diff(old, new, lineterm=""))[2:]


def component_changes(before: Iterable[Component], after: Iterable[Component]) -> tuple[ComponentChange, ...]:
    """Return what differs between the components of two fingerprints: code first, then constants, then libraries.

    Components are the same if they have the same name; a distribution's version is no part of that.
    Complexity: O(n log n).
    """
    old, new = ({_identifier(component): component for component in parts} for parts in (before, after))
    pairs = [ComponentChange(old.get(name), new.get(name)) for name in {**old, **new}]
    found = [pair for pair in pairs if not (pair.before and pair.after and pair.before.hash == pair.after.hash)]
    return tuple(sorted(found, key=_rank))


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
    old, new = _links(before), _links(after)
    for parameter in {**old, **new}:
        if old.get(parameter) != new.get(parameter):
            yield Change("input", parameter)


def _links(trace: Trace) -> dict[str, list[tuple[object, ...]]]:
    links: dict[str, list[tuple[object, ...]]] = {}
    for link in trace.parents:
        links.setdefault(link.parameter, []).append(link_identity(link))
    return links


def _unmatched(traces: Sequence[Trace], others: Sequence[Trace]) -> defaultdict[str, list[Trace]]:
    """Return by task those of `traces` that have no partner of the same signature among `others`."""
    partners = Counter(trace.signature for trace in others)
    left: defaultdict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        partners[trace.signature] -= 1
        if partners[trace.signature] < 0:
            left[trace.key].append(trace)
    return left


def _identifier(component: Component) -> str:
    return component.name.rpartition(" ")[0] if component.kind == "distribution" else component.name


def _version(distribution: Component) -> str:
    return distribution.name.rpartition(" ")[2]


def _rank(change: ComponentChange) -> tuple[int, str]:
    component = change.after or change.before
    assert component is not None
    return _KIND_ORDER.index(component.kind), component.name


def _place(component: Component | None) -> str:
    """Return "clean() in features.py:41" for a function, its name for anything else."""
    assert component is not None
    if component.file is None or component.kind not in ("function", "class"):
        return component.name
    file = PurePath(component.file)
    name = f".{component.name}".partition(f".{file.stem}.")[2] or component.name
    line = "" if component.line is None else f":{component.line}"
    return f"{name}{'()' if component.kind == 'function' else ''} in {file.name}{line}"
