"""Why a step was decided as it was, in words: what differs between two calls, and between two versions of code."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from prefect_helix.core.change import Change
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, ParentLink, Trace
from prefect_helix.core.short import HIDDEN, excerpts

_COMPARED = 8
"""Calls before and after one that it is compared with."""

_NAMED = 3
"""Changed inputs that a sentence names."""

NOT_STORED = "not stored"
"""How the reason ends of a step that was computed for nothing else."""

_KIND_ORDER = ("function", "class", "module", "constant", "state", "dependency", "opaque", "distribution")
_CODE = ("function", "class", "module", "state")
_DIFF_CONTEXT = 3


def changes(before: Trace | None, after: Trace) -> tuple[Change, ...]:
    """Return what makes the call `after` another call than `before`; empty if nothing does.

    Complexity: O(arguments + parents).
    """
    if before is None:
        return (Change("new", after.task),)
    found: list[Change] = []
    if before.fingerprint != after.fingerprint and before.computed_by != after.computed_by:
        found.append(Change("code", after.task, before.computed_by, after.computed_by))
    found.extend(_argument_changes(before, after))
    found.extend(_input_changes(before, after))
    if before.wait_for != after.wait_for:
        found.append(Change("order", after.task))
    if not found and not after.deterministic:
        found.append(Change("declared", after.task))
    return tuple(found)


def in_short(found: Iterable[Change]) -> str:
    """Return changes as half a sentence in which the inputs that changed are one thing."""
    found = tuple(found)
    own = [str(change) for change in found if change.kind != "input"]
    inputs = [change.name for change in found if change.kind == "input"]
    if len(inputs) > 1:
        more = f" and {len(inputs) - _NAMED} more" if len(inputs) > _NAMED else ""
        own.append(f"inputs {', '.join(inputs[:_NAMED])}{more} changed")
    elif inputs:
        own.append(f"input {inputs[0]} changed")
    return "; ".join(own)


def link_identity(link: ParentLink) -> tuple[object, ...]:
    """Return what must be equal for an input to be the same: an exact digest, else also where it comes from."""
    return (link.digest,) if link.exact else (link.signature, link.leaf, link.digest)


class Calls:
    """The calls of an earlier run, to find the one that a call is most like.

    Args:
        traces: Them, in call order.
    """

    def __init__(self, traces: Iterable[Trace]) -> None:
        self._by_literals: dict[tuple[str, str, str], list[Trace]] = {}
        self._by_task: dict[tuple[str, str], list[Trace]] = {}
        self._by_key: dict[str, list[Trace]] = {}
        self._by_name: dict[str, list[Trace]] = {}
        for trace in traces:
            self._by_literals.setdefault((trace.key, trace.task, trace.literals), []).append(trace)
            self._by_task.setdefault((trace.key, trace.task), []).append(trace)
            self._by_key.setdefault(trace.key, []).append(trace)
            self._by_name.setdefault(trace.task, []).append(trace)

    def closest(self, after: Trace) -> Trace | None:
        """Return the call of the same task that differs least from `after`, the nearest in call order of several.

        Tasks that one function is made into, each with a name of its own, are several. A task that is called otherwise
        now goes by its function, and one that moved to another module by its name. Of a task with very many calls
        those around the place of `after` are looked at; if none has its literal arguments, as where many came or went
        before it, also those that have. Complexity: O(arguments + log(calls)).
        """
        same = self._by_task.get((after.key, after.task)) or self._by_key.get(after.key)
        same = same or self._by_name.get(after.task) or []
        near = _around(after, same)
        if len(near) < len(same) and all(trace.literals != after.literals for trace in near):
            near += _around(after, self._by_literals.get((after.key, after.task, after.literals), []))
        return min(near, key=lambda t: (len(changes(t, after)), abs(t.call - after.call)), default=None)


def reason(
    decision: Decision, *, equivalent: bool, stored: bool, mode: str, changed: str, same: str = "unchanged"
) -> str:
    """Return in words why a step is decided as it is.

    Args:
        decision: What is done with it.
        equivalent: Whether an earlier result can stand for it.
        stored: Whether that result is in the lineage or the store.
        mode: The run's mode.
        changed: What changed since the call it is compared with; told of a step that is not equivalent.
        same: Why it is equivalent.
    """
    match decision:
        case Decision.LOAD:
            return f"{same}, and needed"
        case Decision.PRUNE:
            return f"{same}, and not needed" if equivalent else "not needed"
    if equivalent:
        return f"{same}, but {'dearer to load than to compute' if stored else NOT_STORED}"
    return changed if mode == "auto" else f"mode {mode!r} computes every step"


@dataclass(frozen=True, slots=True)
class ComponentChange:
    """One component of a fingerprint that is not what it was.

    Attributes:
        before: What it was; None if it is new.
        after: What it is; None if it is gone.
        path: The functions by which the task reaches it, the task's own left out.
    """

    before: Component | None
    after: Component | None
    path: tuple[str, ...] = ()

    @property
    def component(self) -> Component:
        """What it is, or was last."""
        component = self.after or self.before
        assert component is not None
        return component

    @property
    def place(self) -> str:
        """What changed and where it is: "clean() in features.py:41", "features.SCALE", "numpy"."""
        return _identifier(self.component) if self.component.kind == "distribution" else _place(self.component)

    @property
    def name(self) -> str:
        """Its last name: "clean()", "SCALE", "numpy"."""
        if self.component.kind == "distribution":
            return self.place
        return self.place.partition(" in ")[0].rpartition(".")[2]

    @property
    def own_name(self) -> str:
        """The name of a constant within the task's own function, such as a default; else empty."""
        owner, _, name = self.component.name.rpartition(".")
        is_own = self.component.kind == "constant" and not self.path and owner == self.component.via
        return name if is_own else ""

    @property
    def what(self) -> str:
        """What became of it: "changed", "is new", "is not used any more", "0.1 → 0.5"."""
        was, now = self.before, self.after
        if was is None:
            return f"{_version(self.component)} is new".lstrip()
        if now is None:
            return "is not used any more"
        if now.kind == "distribution":
            versions = _version(was), _version(now)
            return "{} → {}".format(*versions) if versions[0] != versions[1] else f"{versions[0]} has other files"
        if now.kind in _CODE or not (was.source and now.source):
            return "changed"
        if was.source == now.source:
            return "changed" if now.source == HIDDEN else f"changed within {now.source}"
        return "{} → {}".format(*excerpts(_value(was), _value(now)))

    def __str__(self) -> str:
        colon = ":" if "→" in self.what and self.component.kind != "distribution" else ""
        return f"{self.place}{colon} {self.what}"

    @property
    def hashes(self) -> tuple[str | None, str | None]:
        """Hashes of what it was and what it is."""
        was, now = self.before, self.after
        return was.hash if was else None, now.hash if now else None

    @property
    def rank(self) -> tuple[int, str]:
        """Order for people: code first, then constants, then libraries."""
        return _KIND_ORDER.index(self.component.kind), self.component.name

    @property
    def diff(self) -> tuple[str, ...]:
        """The unified diff of its source, with the line numbers of its file; empty where there is none to show."""
        was, now = self.before, self.after
        if was is None or now is None or now.kind not in _CODE:
            return ()
        return tuple(_unified(was, now))


def component_changes(before: Iterable[Component], after: Iterable[Component]) -> tuple[ComponentChange, ...]:
    """Return what differs between the components of two fingerprints: code first, then constants, then libraries.

    Components are the same if they have the same name; a distribution's version is no part of that. What only goes by
    another name has not changed. Complexity: O(n log n).
    """
    versions = [list(before), list(after)]
    old, new = ({_identifier(component): component for component in parts} for parts in versions)
    old_names, new_names = ({component.name: component for component in parts} for parts in versions)
    gone = {old[name].hash for name in old.keys() - new.keys()}
    renamed = {new[name].hash for name in new.keys() - old.keys()} & gone
    found = []
    for name in {**old, **new}:
        was, now = old.get(name), new.get(name)
        hashes = {each.hash for each in (was, now) if each}
        same = len(hashes) == 1 and (bool(was and now) or hashes <= renamed)
        if not same:
            found.append(ComponentChange(was, now, _path(now, new_names) if now else _path(was, old_names)))
    return tuple(sorted(_without_parts(found), key=lambda change: change.rank))


def _around(after: Trace, calls: list[Trace]) -> list[Trace]:
    middle = bisect_left(calls, after.call, key=lambda trace: trace.call)
    return calls[max(0, middle - _COMPARED) : middle + _COMPARED]


def _argument_changes(before: Trace, after: Trace) -> Iterable[Change]:
    old = {a.parameter: a for a in before.arguments}
    new = {a.parameter: a for a in after.arguments}
    for parameter in {**old, **new}:
        was, now = old.get(parameter), new.get(parameter)
        if was is None or now is None or was.digest != now.digest:
            yield _argument_change(parameter, was, now)


def _argument_change(parameter: str, was: Argument | None, now: Argument | None) -> Change:
    if was and now and was.source == now.source == "file" and was.origin == now.origin:
        sized = None not in (was.size_bytes, now.size_bytes) and was.size_bytes != now.size_bytes
        before, after = (f"{one.size_bytes:,} bytes" if sized else one.digest[:8] for one in (was, now))
        return Change("file", parameter, before, after, now.origin)
    origin = now.origin if now and now.source == "flow_parameter" else ""
    return Change("argument", parameter, was.shown if was else "absent", now.shown if now else "absent", origin)


def _input_changes(before: Trace, after: Trace) -> Iterable[Change]:
    old, new = _links(before.parents), _links(after.parents)
    for parameter in {**old, **new}:
        if old.get(parameter) != new.get(parameter):
            yield Change("input", parameter)


def _links(parents: Sequence[ParentLink]) -> dict[str, list[tuple[object, ...]]]:
    links: dict[str, list[tuple[object, ...]]] = {}
    for link in parents:
        links.setdefault(link.parameter, []).append(link_identity(link))
    return links


def _without_parts(found: Sequence[ComponentChange]) -> Iterator[ComponentChange]:
    """Yield the changes but for functions within one that changed, classes of which a member did, and copies.

    A dataclass keeps a default of its own in several places; the one that the source names tells it.
    """
    names = {change.component.name for change in found}
    owners = {name.rpartition(".")[0] for name in names}
    named = {change.hashes for change in found if ".__" not in change.component.name}
    for change in found:
        component = change.component
        is_inside = component.name.partition(".<locals>.")[0] in names - {component.name}
        is_owner = component.kind == "class" and component.name in owners
        is_copy = ".__" in component.name and component.kind == "constant" and change.hashes in named
        if not (is_inside or is_owner or is_copy):
            yield change


def _path(component: Component | None, parts: Mapping[str, Component]) -> tuple[str, ...]:
    """Return the functions between the task's own and `component`, which was first reached by way of `via`."""
    path: list[Component] = []
    while component is not None and component.via and component.via in parts:
        component = parts[component.via]
        if component in path:
            break
        path.append(component)
    return tuple(_short_name(each) for each in path[-2::-1])


def _identifier(component: Component) -> str:
    return component.name.rpartition(" ")[0] if component.kind == "distribution" else component.name


def _value(component: Component) -> str:
    """Return what people see of a constant; of a code version without the function that it is of."""
    source = component.source or ""
    return (source.rpartition(" of ")[0] or source) if component.name == "code_version" else source


def _version(component: Component) -> str:
    return component.name.rpartition(" ")[2] if component.kind == "distribution" else ""


def _place(component: Component) -> str:
    """Return "clean() in features.py:41" for code with a file, its name for anything else."""
    if component.file is None or component.kind not in _CODE:
        return component.name
    line = "" if component.line is None else f":{component.line}"
    return f"{_short_name(component)} in {PurePath(component.file).name}{line}"


def _short_name(component: Component) -> str:
    """Return "clean()", "Rows.clean()" or "Rows" for code of a file, without the module that the file tells."""
    name = component.name
    if component.file is not None:
        name = f".{name}".partition(f".{PurePath(component.file).stem}.")[2] or name
    match component.kind:
        case "module":
            return f"module {component.name}"
        case "function":
            return f"{name}()"
        case _:
            return name


def _unified(was: Component, now: Component) -> Iterator[str]:
    """Yield the unified diff of two sources, without the lines that name the files."""
    old, new = ((each.source or "").splitlines() for each in (was, now))
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(_DIFF_CONTEXT):
        (_, i, _, j, _), (_, _, i_end, _, j_end) = group[0], group[-1]
        yield f"@@ -{(was.line or 1) + i},{i_end - i} +{(now.line or 1) + j},{j_end - j} @@"
        for tag, a, a_end, b, b_end in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[a:a_end])
            else:
                yield from (f"-{line}" for line in old[a:a_end])
                yield from (f"+{line}" for line in new[b:b_end])
