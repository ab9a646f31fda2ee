"""What is told and ruled of reused results that came out otherwise when they were computed again."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prefect_helix.core.environment import unlikeness
from prefect_helix.core.errors import StoreError
from prefect_helix.core.lineage import Run, Trace
from prefect_helix.core.rulings import Revocation, name_of_result, noted
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.world import World
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.documents import new_id
from prefect_helix.views.units import format_count, moment

MOST_RESULTS = 100
"""Results that a ruling names one by one; if more of a task came out otherwise, none of its results is trusted."""


@dataclass(frozen=True)
class Doubt:
    """A result that came out otherwise.

    Attributes:
        node: The call that used it.
        told: How it differs, in words.
        trace: The computation that it is taken from.
        others: All others known that gave it.
    """

    node: Node
    told: str
    trace: Trace
    others: Sequence[Trace]

    @property
    def traces(self) -> tuple[Trace, ...]:
        """All computations that gave it."""
        return (self.trace, *self.others)


class Doubts:
    """Those of one run.

    Args:
        head: What is known of the run.
        world: Its nodes.
        catalog: Where rulings are kept.
        warn: Called with a key and a sentence; the same key is told once.
    """

    def __init__(self, head: Run, world: World, catalog: Catalog, warn: Callable[[str, str], None]) -> None:
        self._head = head
        self._world = world
        self._catalog = catalog
        self._warn = warn
        self._doubts: list[Doubt] = []

    def add(self, node: Node, told: str) -> None:
        """Take note of a result that came out otherwise.

        Args:
            node: The call that used it.
            told: How it differs, in words.
        """
        trace = node.trace
        assert trace is not None and trace.result is not None, "it was reused"
        digest = trace.result.digest
        same = [one for one in self._world.equivalents(node) if one.result and one.result.digest == digest]
        self._doubts.append(Doubt(node, told, trace, same))

    def settle(self) -> tuple[str, ...]:
        """Rule that these results are not used any more, whoever computed them; return what is to be known, by task.

        A result that nobody computed on a system like this one is only told: its last bits may be right where it was
        made.
        """
        computed_in = {trace.computed_in for doubt in self._doubts for trace in doubt.traces}
        runs = self._world.history.runs(computed_in) if self._doubts else {}
        by_task: dict[tuple[str, str], list[Doubt]] = defaultdict(list)
        for doubt in self._doubts:
            reasons = [unlikeness(runs.get(trace.computed_in), self._head) for trace in doubt.traces]
            by_task[doubt.node.spec.key, min(reasons, key=len)].append(doubt)
        problems = []
        for (key, reason), doubts in by_task.items():
            problems.append(self._problem(doubts, reason))
            self._warn(f"verify:{key}:{reason}", problems[-1])
        return tuple(problems)

    def _problem(self, doubts: Sequence[Doubt], reason: str) -> str:
        """Return what is to be known of doubts about one task; rule about them if there is no reason not to."""
        first = doubts[0]
        task, trace = first.node.spec.name, first.trace
        cause = f"computed {moment(_computed_us(trace))} by the run {trace.computed_in or 'of an early version'}"
        others = f" So did {len(doubts) - 1} more of its results." if len(doubts) > 1 else ""
        follows = f"It is used on, since {reason}." if reason else self._revoke(doubts)
        accepted = self._world.accepted(first.node)
        remedy = (
            "Seed the task, name what it depends on with depends_on=, or declare it with "
            "@helix_task(deterministic=False)."
            if accepted is None
            else f"A change of its code was accepted as a refactoring {noted(accepted)}. If it is none, take that back "
            f"with `prefect-helix undo {accepted.id}`."
        )
        return (
            f"{task} gave something else when it was computed again: {first.told}. The recorded result, {cause}, was "
            f"used in this run.{others} {follows} {remedy} `prefect-helix revoke {task}` has all results of the task "
            "computed anew."
        )

    def _revoke(self, doubts: Sequence[Doubt]) -> str:
        """Rule that results of one task are not used any more; return what follows."""
        ruling = self._revocation(doubts)
        try:
            self._catalog.rule(ruling)
        except StoreError as error:
            return f"It could not be revoked, and is used again: {error}"
        what = "It is" if ruling.results else f"No result of {doubts[0].node.spec.name} is"
        return f"{what} not used any more; `prefect-helix undo {ruling.id}` takes that back."

    def _revocation(self, doubts: Sequence[Doubt]) -> Revocation:
        traces = [trace for doubt in doubts for trace in doubt.traces]
        names = {name_of_result(trace) for trace in traces}
        after_us = 1 + max(map(_computed_us, traces))  # by clocks that may be ahead of ours
        more = f" (and {format_count(len(doubts) - 1, 'more result')})" if len(doubts) > 1 else ""
        return Revocation(
            new_id(),
            max(time.time_ns() // 1000, after_us),
            tasks=tuple(sorted({trace.task for trace in traces})),
            note=f"computed again by the run {self._head.run_id}: {doubts[0].told}{more}",
            results=tuple(sorted(names)) if len(names) <= MOST_RESULTS else (),
        )


def _computed_us(trace: Trace) -> int:
    return trace.computed_at_us or trace.started_us
