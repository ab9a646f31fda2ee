"""Computes some of the results that a run reused again, beside it, and distrusts those that come out otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.errors import ArgumentChangedError, FileChangedError, NotStorableError, StoreError
from prefect_helix.core.lineage import Result
from prefect_helix.core.rulings import Revocation, noted
from prefect_helix.runtime.computing import Engine
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.observation import Observer
from prefect_helix.runtime.results import difference, try_digest
from prefect_helix.runtime.values import name_of_type
from prefect_helix.runtime.world import World
from prefect_helix.storage.codec import DecodingError
from prefect_helix.storage.documents import new_id
from prefect_helix.views.units import format_count, format_us, moment

_NONE = name_of_type(None)


@dataclass
class Sample:
    """What became of the results that were chosen.

    Attributes:
        reused: Number of results of earlier runs that the run reused.
        chosen: How many of them were to be computed again.
        compared: Names of the tasks whose results were, and were compared.
        failed: Names of the tasks that failed this time.
        differing: Names of the tasks that gave something else.
        problems: What is to be known of those, in sentences.
        spent_us: How long all of it took.
    """

    reused: int
    chosen: int
    compared: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
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
    """Verifies a run's reused results once its steps have ended, in the thread that ends it.

    Args:
        run_id: Id of the run; which results are chosen follows from it.
        share: Share of them.
        world: The run's nodes.
        objects: Loads what they were made from.
        observer: Knows whether arguments are what they were.
        keeper: The store.
        engine: What computes.
        warn: Called with a key and a sentence; the same key is told once.
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
        engine: Engine,
        warn: Callable[[str, str], None],
    ) -> None:
        self._run_id = run_id
        self._share = share
        self._world = world
        self._objects = objects
        self._observer = observer
        self._keeper = keeper
        self._engine = engine
        self._warn = warn

    def verify(self, tell: Callable[[str], None]) -> Sample:
        """Compute a sample again, and rule that what comes out otherwise is not used any more.

        Where an input of a chosen result is not at hand, another result is taken in its place. Nothing that the run
        gave is touched, and whatever goes wrong is told.

        Args:
            tell: Called with what is being done.
        """
        reused = self._reused()
        ranks = {node.key: self._rank(node) for node in reused}
        sample = Sample(len(reused), sum(rank < self._share for rank in ranks.values()))
        started = time.perf_counter_ns()
        for node in sorted(reused, key=lambda node: ranks[node.key]):
            if len(sample.compared) + len(sample.failed) >= sample.chosen:
                break
            tell(f"verifying {node.spec.name}")
            self._verify(node, sample)
        sample.spent_us = (time.perf_counter_ns() - started) // 1000
        return sample

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

    def _verify(self, node: Node, sample: Sample) -> None:
        recorded = node.result
        if recorded is None or not self._can_tell(node, recorded) or not self._engine.may_repeat(node):
            return
        try:
            self._observer.check_arguments(node)
            arguments = self._engine.inputs(node, self._objects.fresh)
        except (StoreError, NotStorableError, DecodingError, ArgumentChangedError, FileChangedError):
            return  # another one takes its place, and the last line of the run counts those that are missing
        try:
            value = self._engine.repeat(node, arguments)
        except (Exception, SystemExit) as error:  # it is the user's function
            sample.failed.append(node.spec.name)
            self._warn(
                f"verify failed:{node.spec.key}",
                f"{node.spec.name} failed when it was computed again to verify its result: {type(error).__name__}: "
                f"{error} The run has used the recorded result, which is neither confirmed nor refuted.",
            )
            return
        found = try_digest(value)
        try:
            self._observer.check_arguments(node)
        except (ArgumentChangedError, FileChangedError):
            return  # a file changed while the task read it
        if found is None:
            return
        sample.compared.append(node.spec.name)
        if found.hex != recorded.digest:
            before = partial(self._objects.fresh, node.cell())
            told = difference(node.spec.name, before, lambda: value, recorded.digest, found.hex)
            self._distrust(node, told, sample)

    def _can_tell(self, node: Node, recorded: Result) -> bool:
        """Return whether the task promises this very result, does nothing else by giving it, and can be given inputs.

        A task that gives a `File` would write it, and one that gives nothing has effects.
        """
        return (
            not node.spec.by_digest
            and recorded.digest is not None
            and not recorded.files
            and recorded.type_name != _NONE
            and all(cell.node.result and self._keeper.loadable(cell.node.result) for cell in node.given)
        )

    def _distrust(self, node: Node, told: str, sample: Sample) -> None:
        """Tell of a result that came out otherwise, and rule that it is not used any more, whoever computed it."""
        task = node.spec.name
        rulings = [*self._revocations(node, told)]
        cause = ""
        try:
            for ruling in rulings:
                self._keeper.catalog.rule(ruling)
            undo = " and ".join(f"`prefect-helix undo {ruling.id}`" for ruling in rulings)
            follows = f"It is not used any more; {undo} takes that back."
        except StoreError as error:
            follows = f"It could not be revoked, and is used again: {error}"
        trace, accepted = node.trace, self._world.accepted(node)
        if trace is not None:
            at_us = trace.computed_at_us or trace.started_us
            cause = f", computed {moment(at_us)} by the run {trace.computed_in or 'of an early version'},"
        remedy = (
            "Seed the task, name what it depends on with depends_on=, or declare it with "
            "@helix_task(deterministic=False)."
            if accepted is None
            else f"A change of its code was accepted as a refactoring {noted(accepted)}. If it is none, take that back "
            f"with `prefect-helix undo {accepted.id}`."
        )
        problem = (
            f"{task} gave something else when it was computed again: {told}. The recorded result{cause} was used in "
            f"this run. {follows} {remedy} `prefect-helix revoke {task}` has all results of the task computed anew."
        )
        sample.differing.append(task)
        sample.problems.append(problem)
        self._warn(f"verify:{node.spec.key}:{node.signature}", problem)

    def _revocations(self, node: Node, told: str) -> Iterator[Revocation]:
        """Yield a revocation for each computation that gave the result: the next run must find none of them."""
        recorded = node.result.digest if node.result else None
        traces = [trace for trace in self._world.equivalents(node) if trace.result and trace.result.digest == recorded]
        made = {(trace.task, trace.computed_in, trace.computed_at_us or trace.started_us) for trace in traces}
        for task, run_id, at_us in sorted(made):
            yield Revocation(
                new_id(),
                time.time_ns() // 1000,
                tasks=(task,),
                runs=(run_id,) if run_id else (),
                since_us=at_us,
                until_us=at_us + 1,
                note=f"computed again by the run {self._run_id}: {told}",
            )
