"""Systems that are known to be wrong, each in one way. The attack has to find every one of them out."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from prefect_helix.core import fingerprint as fingerprints
from prefect_helix.core import shelf
from prefect_helix.core.digest import hash_parts
from prefect_helix.core.fingerprint import Fingerprint
from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import Plan, PlanNode
from prefect_helix.runtime import closing, objects, planning, world
from prefect_helix.storage import blob, codec, index, leases, segments

fingerprint_of: Callable[[Any], Fingerprint] = fingerprints.fingerprint
"""What the flow runner knows a task's code by."""


def _knows_by(known_by: Callable[[Any], str]) -> None:
    global fingerprint_of

    def known(fn: Any) -> Fingerprint:
        return Fingerprint(hashlib.sha256(f"{fn.__qualname__} {known_by(fn)}".encode()).hexdigest(), (), ())

    fingerprint_of = known


def blind_to_helpers() -> None:
    """A task's code is what its function does by itself."""

    def own(fn: Any) -> str:
        numbers = [constant for constant in fn.__code__.co_consts if type(constant) is int]
        return f"{fn.__code__.co_code.hex()} {numbers}"

    _knows_by(own)


def sees_too_much() -> None:
    """Any edit of the project changes the code of every task."""

    def everything(fn: Any) -> str:
        return "".join(file.read_text() for file in sorted(Path(sys.path[0]).rglob("*.py")))

    _knows_by(everything)


def greedy_planner() -> None:
    """Each step is decided by itself: what is asked for is computed, from what can be loaded."""

    def solve(nodes: Iterable[PlanNode]) -> Plan:
        return Plan({n.key: Decision.LOAD if n.loadable and not n.demanded else Decision.COMPUTE for n in nodes}, 0, 0)

    planning.solve = solve  # type: ignore[assignment]


def planner_prunes_what_is_demanded() -> None:
    """Only what is original is computed, with what it takes; everything else is pruned."""

    def solve(nodes: Iterable[PlanNode]) -> Plan:
        decisions = {node.key: Decision.COMPUTE if node.original else Decision.PRUNE for node in nodes}
        return Plan(decisions, 0, 0)

    planning.solve = solve  # type: ignore[assignment]


def no_checksums() -> None:
    """What is read from the store is taken for what was written, as long as it can be read."""

    def parse_line(line: bytes) -> Any:
        try:
            return segments.json.loads(line[36:-1])
        except (ValueError, RecursionError) as error:
            raise segments.BadLineError("it is not JSON") from error

    verified_parts = blob.verified_parts
    blob.verified_parts = codec.verified_parts = lambda view, name, *, content: verified_parts(
        view, name, content=False
    )
    segments.parse_line = index.parse_line = parse_line


def trusts_identity() -> None:
    """An object that was changed in place is taken for what its step made."""
    objects.Objects.diverged = lambda self, cell, *, look=False: cell.diverged  # type: ignore[method-assign]


def literals_are_alike() -> None:
    """One literal argument is as good as another one."""
    world.literals_hash = lambda arguments: hash_parts("literals", *(each.parameter for each in arguments))


def stale_index() -> None:
    """The index gives what any code made of the same arguments."""
    calls = index.StoredIndex.calls

    def stale(self: index.StoredIndex, codes: Iterable[str], literals: str) -> Iterator[Any]:
        yield from calls(self, codes, literals)
        for run in self.lineages:
            yield from (t for t in run.traces if t.literals == literals and t.status == "completed")

    index.StoredIndex.calls = stale  # type: ignore[method-assign]


def pruned_in_words_only() -> None:
    """The lineage says of what was loaded that it was pruned, and of what was computed that it was loaded."""
    final = closing._final
    less = {Decision.COMPUTE: Decision.LOAD, Decision.LOAD: Decision.PRUNE, Decision.PRUNE: Decision.PRUNE}

    def told(*args: Any) -> Any:
        trace = final(*args)
        return dataclasses.replace(trace, decision=less[trace.decision])

    closing._final = told


def boundless() -> None:
    """The budget is not kept."""
    init = shelf.Shelf.__init__

    def boundless(self: Any, policy: Any, budget_bytes: int, *args: Any, **more: Any) -> None:
        init(self, policy, 1 << 60, *args, **more)

    shelf.Shelf.__init__ = boundless  # type: ignore[method-assign]


def claims_what_is_not_stored() -> None:
    """The lineage calls every result stored."""
    final = closing._final
    closing._final = lambda node, *rest: dataclasses.replace(final(node, *rest), stored=True)


def never_tidies() -> None:
    """Leases stay when runs end."""
    leases.end = lambda store, run_id: None


def nothing() -> None:
    """The system as it is."""


SYSTEMS: dict[str, Callable[[], None]] = {
    system.__name__: system
    for system in (
        nothing,
        blind_to_helpers,
        sees_too_much,
        greedy_planner,
        planner_prunes_what_is_demanded,
        no_checksums,
        trusts_identity,
        literals_are_alike,
        stale_index,
        pruned_in_words_only,
        boundless,
        claims_what_is_not_stored,
        never_tidies,
    )
}
