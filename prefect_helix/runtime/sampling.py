"""Computes some of the results that a run reused again, beside it, and compares."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.errors import ArgumentChangedError, FileChangedError, NotStorableError, StoreError
from prefect_helix.core.lineage import Result
from prefect_helix.runtime.computing import Repeater
from prefect_helix.runtime.doubts import Doubts
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.observation import Observer
from prefect_helix.runtime.results import difference, try_digest
from prefect_helix.runtime.values import name_of_type
from prefect_helix.runtime.world import World
from prefect_helix.storage.blob import DecodingError
from prefect_helix.views.units import format_count, format_us

TIMES_AS_LONG = 10
SECONDS_MORE = 60.0
"""A result may take so many times as long as when it was recorded to be computed again, and so many seconds more."""

_NONE = name_of_type(None)


@dataclass
class Sample:
    """What became of the results that were chosen.

    Attributes:
        reused: Number of results of earlier runs that the run reused.
        chosen: How many of them were to be computed again.
        begun: How many were begun to be.
        compared: Names of the tasks whose results were, and were compared.
        failed: Names of the tasks that failed this time.
        differing: Names of the tasks that gave something else.
        spent_us: How long all of it took.
    """

    reused: int = 0
    chosen: int = 0
    begun: int = 0
    compared: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    spent_us: int = 0

    @property
    def told(self) -> str:
        """That in one line; empty if none was chosen."""
        if not self.chosen:
            return ""
        line = f"verified {len(self.compared)} of {format_count(self.reused, 'reused result')} in "
        parts = [line + format_us(self.spent_us)]
        if self.differing:
            parts[0] += f": {len(self.differing)} came out otherwise ({_each(self.differing)})"
        elif self.compared:
            parts[0] += ": all came out the same"
        if self.failed:
            parts.append(f"{len(self.failed)} failed ({_each(self.failed)})")
        if missed := self.chosen - len(self.compared) - len(self.failed):
            parts.append(f"{missed} more could not be computed again")
        return "; ".join(parts)


def _each(tasks: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(tasks))


class Sampler:
    """Verifies a run's reused results once its steps have ended, in one thread.

    Args:
        run_id: Id of the run; which results are chosen follows from it.
        share: Share of them.
        world: The run's nodes.
        objects: Loads what they were made from.
        observer: Knows whether arguments are what they were.
        keeper: The store.
        repeater: What computes.
        doubts: Told of what comes out otherwise.
        warn: Called with a key and a sentence; the same key is told once.

    Attributes:
        sample: What has become of them.
    """

    def __init__(
        self,
        run_id: str,
        share: float,
        *,
        world: World,
        objects: Objects,
        observer: Observer,
        keeper: Keeper,
        repeater: Repeater,
        doubts: Doubts,
        warn: Callable[[str, str], None],
    ) -> None:
        self.sample = Sample()
        self._run_id = run_id
        self._share = share
        self._world = world
        self._objects = objects
        self._observer = observer
        self._keeper = keeper
        self._repeater = repeater
        self._doubts = doubts
        self._warn = warn
        self._until = math.inf
        self._ranked: list[Node] = []

    def choose(self) -> bool:
        """Choose a share of the reused results; return whether there are any in it."""
        if self._share:
            reused = self._reused()
            ranks = {node.key: self._rank(node) for node in reused}
            self._ranked = sorted(reused, key=lambda node: ranks[node.key])
            self.sample.reused, self.sample.chosen = len(reused), sum(rank < self._share for rank in ranks.values())
        return self.sample.chosen > 0

    def verify(self, tell: Callable[[str], None] = lambda doing: None) -> None:
        """Compute what was chosen again, in half of the time that is left to the run at most.

        Where an input of a chosen result is not at hand, or there is too little time for it, another result is taken in
        its place. Nothing that the run gave is touched, and whatever goes wrong is told.

        Args:
            tell: Called with what is being done.
        """
        started, left_s = time.monotonic(), self._repeater.left_s()
        if left_s is not None:
            self._until = min(self._until, started + left_s / 2)
        for node in self._ranked:
            if self.sample.begun >= self.sample.chosen or self._left_s() <= 0:
                break
            tell(f"verifying {node.spec.name}")
            try:
                self._verify(node)
            except Exception as error:  # whatever it is, the flow has come to its end
                self._warn("sample", f"{node.spec.name} could not be verified: {type(error).__name__}: {error}")
            self.sample.spent_us = int(1e6 * (time.monotonic() - started))

    def settle(self) -> tuple[str, ...]:
        """Rule about what has come out otherwise so far, and return what is to be known of it, in sentences."""
        try:
            return self._doubts.settle()
        except Exception as error:
            self._warn("doubts", f"What came out otherwise was not revoked: {type(error).__name__}: {error}")
            return ()

    def stop(self) -> None:
        """Begin nothing more."""
        self._until = -math.inf

    def _left_s(self) -> float:
        return self._until - time.monotonic()

    def _reused(self) -> list[Node]:
        """Return the first call of each result of an earlier run that stands for one of this run."""
        found: dict[str, Node] = {}
        for node in self._world.called:
            if node.trace and node.result and not (node.started or node.trace.computed_in == self._run_id):
                found.setdefault(node.signature, node)
        return [*found.values()]

    def _rank(self, node: Node) -> float:
        """Return a number from 0 to 1, which is below a share of s for a share of s of all results."""
        drawn = hash_parts("verify", self._run_id, node.signature)
        return int(drawn, 16) / float(16 ** len(drawn))

    def _verify(self, node: Node) -> None:
        recorded, task, sample = node.result, node.spec.name, self.sample
        if recorded is None or not self._can_tell(node, recorded) or not self._repeater.may_repeat(node):
            return
        if self._expected_s(node) > self._left_s():
            return
        try:
            self._observer.check_arguments(node)
            arguments = self._repeater.inputs(node, self._objects.fresh)
        except (StoreError, NotStorableError, DecodingError, ArgumentChangedError, FileChangedError):
            return  # another one takes its place, and the last line of the run counts those that are missing
        timeout_s = min(TIMES_AS_LONG * (node.compute_us or 0) / 1e6 + SECONDS_MORE, self._left_s())
        if timeout_s <= 0:
            return
        sample.begun += 1
        try:
            value = self._repeater.repeat(node, arguments, timeout_s)
        except (Exception, SystemExit) as error:  # it is the user's function
            sample.failed.append(task)
            self._warn(
                f"verify failed:{node.spec.key}",
                f"{task} failed when it was computed again to verify its result: {type(error).__name__}: {error} The "
                "run has used the recorded result, which is neither confirmed nor refuted.",
            )
            return
        finally:
            del arguments  # they may be large, and the recorded result is loaded next
        found = try_digest(value)
        try:
            self._observer.check_arguments(node)
        except (ArgumentChangedError, FileChangedError):
            return  # a file changed while the task read it
        if found is None:
            return
        sample.compared.append(task)
        if found.hex != recorded.digest:
            sample.differing.append(task)
            before = partial(self._objects.fresh, node.cell())
            self._doubts.add(node, difference(task, before, lambda: value, recorded.digest, found.hex))

    def _can_tell(self, node: Node, recorded: Result) -> bool:
        """Return whether the task promises this very result, does nothing else by giving it, and can be given inputs.

        A task that gives a `File` would write it, and one that gives nothing has effects.
        """
        return (
            not (node.by_digest or self._world.history.ambiguous(node.signature))
            and recorded.digest is not None
            and not recorded.files
            and recorded.type_name != _NONE
            and all(cell.node.result and self._keeper.loadable(cell.node.result) for cell in node.given)
        )

    def _expected_s(self, node: Node) -> float:
        """Return what loading the inputs of a node and computing it is expected to take, as far as known."""
        loads = {cell.node.key: self._world.expected_load_us(cell.node) or 0 for cell in node.given}
        return ((node.compute_us or 0) + sum(loads.values())) / 1e6
