"""Why a step was decided as it was, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from prefect_helix.core.lineage import Trace

ChangeKind = Literal["new", "code", "argument", "input", "order", "declared"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a call and the earlier call it is compared with.

    Attributes:
        kind: What changed.
        name: The parameter, or the task.
        before: The old value or hash in short form.
        after: The new one.
    """

    kind: ChangeKind
    name: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "new":
                return f"no earlier call of {self.name} to compare with"
            case "code":
                return f"the code of {self.name} changed"
            case "argument":
                shown = f": {self.before} → {self.after}" if self.before != self.after else ""
                return f"argument {self.name} changed{shown}"
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


def _argument_changes(before: Trace, after: Trace) -> Iterable[Change]:
    old = {a.parameter: a for a in before.arguments}
    new = {a.parameter: a for a in after.arguments}
    for parameter in {**old, **new}:
        was, now = old.get(parameter), new.get(parameter)
        if was is None or now is None or was.digest != now.digest:
            yield Change("argument", parameter, was.shown if was else "absent", now.shown if now else "absent")


def _input_changes(before: Trace, after: Trace) -> Iterable[Change]:
    old: Mapping[str, list[tuple[object, ...]]] = _links(before)
    new = _links(after)
    for parameter in {**old, **new}:
        if old.get(parameter) != new.get(parameter):
            yield Change("input", parameter)


def _links(trace: Trace) -> dict[str, list[tuple[object, ...]]]:
    links: dict[str, list[tuple[object, ...]]] = {}
    for link in trace.parents:
        identity = (link.digest,) if link.exact else (link.signature, link.leaf, link.digest)
        links.setdefault(link.parameter, []).append(identity)
    return links
