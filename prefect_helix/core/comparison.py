"""What changed from one run of a flow to another: its steps in pairs, and each piece of code once."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TypeVar

from prefect_helix.core.change import FOLLOWING, Change
from prefect_helix.core.explain import ComponentChange, changes, component_changes
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.lineage import Lineage, Run, Trace

T = TypeVar("T")

_LAST = {"removed": 1, "new": 2}

ComponentsOf = Callable[[str], Sequence[Component] | None]
"""Gives what a fingerprint is made of; None where that is not recorded."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A step in two runs.

    Attributes:
        before: The call of the earlier run; None if it made none.
        after: The call of the later run; None if it made none.
        changes: What makes the one another call than the other, its changed inputs included.
    """

    before: Trace | None
    after: Trace | None
    changes: tuple[Change, ...]

    @property
    def trace(self) -> Trace:
        """The call of the later run, else that of the earlier one."""
        trace = self.after or self.before
        assert trace is not None
        return trace

    @property
    def own(self) -> tuple[Change, ...]:
        """The changes that do not come from another step."""
        return tuple(change for change in self.changes if change.kind not in FOLLOWING or self._is_new_order(change))

    def _is_new_order(self, change: Change) -> bool:
        counts = {len(trace.wait_for) for trace in (self.before, self.after) if trace}
        return change.kind == "order" and len(counts) > 1


@dataclass(frozen=True, slots=True)
class CodeChange:
    """A piece of code, a constant or a library that changed, and the tasks that use it.

    Attributes:
        change: What changed; the path in it is that of the first task.
        users: For each task that reaches it the functions by which it does, the task's own left out.
    """

    change: ComponentChange
    users: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CodeChanges:
    """What changed in the code of several tasks.

    Attributes:
        found: Each changed component once: code first, then constants, then libraries.
        unrecorded: Tasks of which it is not recorded what they are made of.
        unnamed: Tasks whose fingerprint changed though no component did.
        defaults: Task, parameter, old and new value in short form of each default that changed.
    """

    found: tuple[CodeChange, ...]
    unrecorded: tuple[str, ...]
    unnamed: tuple[str, ...]
    defaults: frozenset[tuple[str, str, str, str]]

    def tells(self, task: str, change: Change) -> bool:
        """Return whether `change` is an argument of calls that give none, told as the default that changed."""
        return change.kind == "argument" and (task, change.name, change.before, change.after) in self.defaults


class Makers:
    """Tells which step made a small result that came back as the literal argument of another step."""

    def __init__(self, run: Lineage) -> None:
        """Index the results of `run`. Complexity: O(traces)."""
        self._made: defaultdict[str, defaultdict[str, list[Trace]]] = defaultdict(lambda: defaultdict(list))
        for trace in run.traces:
            if trace.result is not None and trace.result.digest is not None:
                self._made[trace.result.digest][trace.key].append(trace)

    def of(self, trace: Trace, parameter: str) -> dict[str, Trace]:
        """Return by task the last call before `trace` whose result is equal to that argument of it.

        Complexity: O(tasks * log(calls)).
        """
        digests = [a.digest for a in trace.arguments if a.parameter == parameter and a.source == "constant"]
        found: dict[str, Trace] = {}
        for digest in digests:
            for task, calls in self._made[digest].items():
                if earlier := bisect_left(calls, trace.call, key=lambda made: made.call):
                    found[task] = calls[earlier - 1]
        return found


def made_argument(change: Change, before: Trace, after: Trace, then: Makers, now: Makers) -> tuple[Trace, Trace] | None:
    """Return the calls of one task that made a changed argument in two runs; None if it is no result of a step."""
    if change.kind != "argument":
        return None
    earlier = then.of(before, change.name)
    made = [trace for task, trace in now.of(after, change.name).items() if task in earlier] if earlier else []
    latest = max(made, key=lambda trace: trace.call, default=None)
    return (earlier[latest.key], latest) if latest else None


def parameter_changes(before: Lineage, after: Lineage) -> tuple[Change, ...]:
    """Return the flow parameters that are not what they were."""
    return tuple(_parameter_changes(before, after))


def version_changes(before: Run, after: Run) -> tuple[Change, ...]:
    """Return the versions (Python, platform, libraries) that are not what they were."""
    names = {**before.versions, **after.versions}
    pairs = [(name, before.versions.get(name, "absent"), after.versions.get(name, "absent")) for name in names]
    return tuple(Change("version", name, was, now) for name, was, now in pairs if was != now)


def step_pairs(before: Lineage, after: Lineage) -> tuple[Pair, ...]:
    """Return the steps of two runs side by side: in call order of the later one, then those it did not call.

    Which call is which, `partners` tells. What a run that did not complete has not called was not removed, and not
    called before is not new. Complexity: O(traces + edges).
    """
    then, now = Makers(before), Makers(after)
    found_at = partners(before.traces, after.traces)
    taken = {*found_at.values()}
    pairs = []
    for place, trace in enumerate(after.traces):
        if place in found_at:
            was = before.traces[found_at[place]]
            found = [_with_makers(change, was, trace, then, now) for change in changes(was, trace)]
            if was.task != trace.task:
                found.append(Change("renamed", trace.task, was.task, trace.task))
            pairs.append(Pair(was, trace, tuple(change for change in found if change.kind != "declared")))
        else:
            told = before.run.status == "completed"
            pairs.append(Pair(None, trace, (Change("new", trace.task),) if told else ()))
    for place, trace in enumerate(before.traces):
        if place not in taken:
            told = after.run.status == "completed"
            pairs.append(Pair(trace, None, (Change("removed", trace.task),) if told else ()))
    return tuple(pairs)


def partners(before: Sequence[Trace], after: Sequence[Trace]) -> dict[int, int]:
    """Return which calls of two runs are paired, as places in `after` and in `before`.

    Calls with one signature are the same. Of the others of a task those come together that were given the same, so that
    a call which came or went does not shift all that follow; then those that are left, in call order. A task that is
    called otherwise now goes by its function. Complexity: O(traces + edges).
    """
    found: dict[int, int] = {}
    place_of = {trace.signature: place for place, trace in reversed([*enumerate(after)])}

    def partner(signature: str) -> str:
        place = found.get(place_of.get(signature, -1))
        return signature if place is None else before[place].signature

    by_name, by_function = attrgetter("key", "task"), attrgetter("key")
    for same in (attrgetter("signature", "task"), attrgetter("signature")):
        pair_up(found, before, after, same, same)
    pair_up(found, before, after, lambda was: _given(was, str), lambda now: _given(now, partner))
    for same in (by_name, by_function):
        pair_up(found, before, after, same, same)
    return found


def pair_up(
    found: dict[int, int],
    before: Sequence[T],
    after: Sequence[T],
    then: Callable[[T], Hashable],
    now: Callable[[T], Hashable],
) -> None:
    """Add pairs to `found`, which has places in `after`, each with one in `before`: of what has no partner yet.

    Things are paired in their order, those whose `then` is equal to the `now` of the others. Complexity: O(things).
    """
    taken = {*found.values()}
    waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for place, one in enumerate(before):
        if place not in taken:
            waiting[then(one)].append(place)
    for place, one in enumerate(after):
        if place not in found and (alike := waiting.get(now(one))):
            found[place] = alike.popleft()


def run_changes(before: Lineage, after: Lineage) -> dict[tuple[str, Change], int]:
    """Return what changed from one run of a flow to another, and in how many calls, without mere consequences.

    What only follows from another change (an input, an argument that is a changed flow parameter or the small result
    of another step) is left out. Complexity: O(traces).

    Returns:
        By task ("" for a flow parameter) and change, the number of calls.
    """
    parameters = parameter_changes(before, after)
    names = {change.name for change in parameters}
    found = Counter({("", change): 1 for change in parameters})
    own = [
        (pair.trace.task, change)
        for pair in step_pairs(before, after)
        for change in pair.own
        if change.kind != "argument" or change.origin not in names
    ]
    found.update(sorted(own, key=lambda one: _LAST.get(one[1].kind, 0)))
    return dict(found)


def code_changes(edits: Iterable[tuple[str, Change]], components_of: ComponentsOf) -> CodeChanges:
    """Return what changed in the code of tasks, each component once whatever it is reached by.

    Args:
        edits: Tasks with the changes of their code.
        components_of: Asked once for each fingerprint.
    """
    components_of = cache(components_of)
    found: dict[tuple[object, ...], CodeChange] = {}
    unrecorded, unnamed, defaults = [], [], []
    for task, change in dict.fromkeys(edits):
        before, after = components_of(change.before), components_of(change.after)
        if before is None or after is None:
            unrecorded.append(task)
            continue
        parts = component_changes(before, after)
        if not parts:
            unnamed.append(task)
        for part in parts:
            key = tuple(one and (one.name, one.hash) for one in (part.before, part.after))
            known = found.setdefault(key, CodeChange(part, {}))
            found[key] = CodeChange(known.change, {**known.users, task: known.users.get(task, part.path)})
            if part.before and part.after and (parameter := part.own_name):
                defaults.append((task, parameter, part.before.source or "", part.after.source or ""))
    return CodeChanges(
        tuple(sorted(found.values(), key=lambda each: each.change.rank)),
        tuple(dict.fromkeys(unrecorded)),
        tuple(dict.fromkeys(unnamed)),
        frozenset(defaults),
    )


def _parameter_changes(before: Lineage, after: Lineage) -> Iterator[Change]:
    old, new = before.run, after.run
    for name in {**old.parameters, **new.parameters}:
        was, now = (run.shown_parameters.get(name, "absent") for run in (old, new))
        if old.parameters.get(name) != new.parameters.get(name) or was != now:
            yield Change("parameter", name, was, now)


def _with_makers(change: Change, was: Trace, now: Trace, then: Makers, since: Makers) -> Change:
    """Return `change` as that of an input where the argument is what another step returned."""
    return Change("input", change.name) if made_argument(change, was, now, then, since) else change


def _given(trace: Trace, name: Callable[[str], str]) -> Hashable:
    """Return the task of a call and what it was given, the calls whose results it takes by the names given to them."""
    taken = ((name(link.signature), link.leaf, link.parameter) for link in trace.parents)
    return trace.key, trace.task, trace.literals, *taken
