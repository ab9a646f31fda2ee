"""What is learned from a computed value: what it is, what it contradicts, what people are told, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.errors import ArgumentChangedError, FileChangedError, UndigestibleError
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Result
from prefect_helix.core.rulings import noted
from prefect_helix.runtime import execution
from prefect_helix.runtime.appraisal import Appraiser
from prefect_helix.runtime.arguments import immutable, literal_digest
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.planning import replan
from prefect_helix.runtime.results import Described, difference
from prefect_helix.runtime.shelving import Put
from prefect_helix.runtime.values import name_of_type
from prefect_helix.runtime.world import World
from prefect_helix.storage.files import files

_NONE = name_of_type(None)


class Observer:
    """Takes note of computed values for the session.

    What changes the world is called under the session's lock: `note`, `tell`.

    Args:
        world: The run's nodes.
        objects: The run's objects.
        keeper: The store.
        appraiser: Knows what results are worth.
        value_code: Hashes the code that values bring.
        warn: Called with a key and a sentence; the same key is told once.
        verify: Whether recorded results are checked (mode ``verify``).
    """

    def __init__(
        self,
        world: World,
        objects: Objects,
        keeper: Keeper,
        appraiser: Appraiser,
        value_code: ValueCode,
        warn: Callable[[str, str], None],
        *,
        verify: bool,
    ) -> None:
        self.mismatched: list[str] = []
        self.differences: list[str] = []
        self._unlike: dict[str, Result] = {}
        self._told: set[str] = set()
        self._world = world
        self._objects = objects
        self._keeper = keeper
        self._appraiser = appraiser
        self._value_code = value_code
        self._warn = warn
        self._verify = verify

    def note(self, node: Node, result: Result, compute_us: int, at_us: int) -> list[str]:
        """Enter a computed result into the world; return the tasks whose results were used and no longer hold."""
        earlier = node.result or self._recorded(node)
        node.done, node.decision, node.result = True, Decision.COMPUTE, result
        node.compute_us, node.computed_at_us = compute_us, at_us
        self._check_taint(node)
        contradicted = []
        if earlier is not None and earlier.digest not in (None, result.digest):
            self.mismatched.append(node.spec.name)
            if self._verify:
                self._unlike[node.key] = earlier
            other_skeleton = (earlier.inline, earlier.blob) != (result.inline, result.blob)
            contradicted += [node.spec.name] if node.used or (node.opened and other_skeleton) else []
            node.by_digest = True
        if not node.tainted:
            self._world.history.add(self._world.facts(node))
        node.by_digest = node.by_digest or self._world.history.ambiguous(node.signature)
        return contradicted + self._update_descendants(node)

    def compare(self, node: Node, value: Callable[[], object] | None) -> None:
        """In mode ``verify``, find out how a result differs from the recorded one, before that makes room for it.

        Args:
            node: What was computed and noted.
            value: Gives the value; None where it is elsewhere.
        """
        recorded = self._unlike.pop(node.key, None)
        if recorded is not None and node.result is not None:
            now = value or partial(self._load, node.result)
            told = difference(node.spec.name, partial(self._load, recorded), now, recorded.digest, node.result.digest)
            self.differences.append(told)

    def _load(self, result: Result) -> object:
        return execution.load(result, None, self._keeper.store)[0]

    def check_arguments(self, node: Node) -> None:
        """Make sure that a node that is computed has the arguments it was called with.

        Raises:
            FileChangedError: If a file has other content now.
            ArgumentChangedError: If somebody changed another argument after the call.
        """
        for argument in node.arguments:
            if self._literal_changed(node, argument):
                for file in files(node.parameters[argument.parameter]):
                    raise FileChangedError(file.path, node.spec.name)
                raise ArgumentChangedError(node.spec.name, argument.parameter)
        for edge in node.edges:
            result = edge.node.result
            if self._objects.diverged(edge.cell) and not (result and self._keeper.loadable(result)):
                raise ArgumentChangedError(node.spec.name, edge.parameter)

    def keep(self, node: Node, sizes: Mapping[str, int], put: Put) -> None:
        """Offer a computed result to the store, unless it stands for nothing.

        Args:
            node: What was computed.
            sizes: The blobs it is made of, with their sizes in bytes.
            put: Writes those of the given names.
        """
        if node.tainted or node.result is None:
            return
        whole = node.result.blobs is not None and sizes.keys() >= {*node.result.blobs}
        parcel = self._appraiser.parcel(node, sizes) if whole else None
        step = self._appraiser.step(node)
        self._keeper.offer(self._world.facts(node), step, parcel, put, elsewhere=node.elsewhere)

    def tell(self, node: Node, problem: str | None) -> None:
        """Tell people what they should know of a computed value.

        Args:
            node: What was computed.
            problem: Why it cannot be materialized, if so.
        """
        task, key = node.spec.name, node.spec.key
        for parameter in node.changed_inputs:
            self._warn(
                f"mutation:{key}:{parameter}",
                f"{task} changed its argument {parameter!r} in place, or gave it back as its result. It is computed in "
                "every run, since later steps may rely on that. Return a copy to have it skipped.",
            )
        if problem is not None:
            self._warn(f"unstorable:{key}", f"{problem} So {task} cannot be loaded, only computed again.")
        if node.result is not None and node.result.type_name == _NONE:
            self._warn(
                f"none:{key}",
                f"{task} returned None. A helix task is skipped when nothing changed, and whatever else it does is not "
                "done then; make it a plain @task if it has effects.",
            )
        if task in self.mismatched and key not in self._told:
            self._told.add(key)  # what follows looks at all results of such calls
            accepted = self._world.accepted(node)
            self._warn(
                f"mismatch:{key}",
                f"{task} gave another result than before for the same code and inputs. Seed it, or declare it with "
                "@helix_task(deterministic=False)."
                if accepted is None
                else f"{task} gave another result than before its code changed, and that was accepted as a refactoring "
                f"{noted(accepted)}. If it is none, take that back with `prefect-helix undo {accepted.id}`.",
            )

    def _recorded(self, node: Node) -> Result | None:
        """Return what would be served for the call, for mode ``verify``."""
        if not self._verify or node.spec.by_digest:
            return None
        same = self._world.candidates(node)
        links = tuple(edge.input().link() for edge in node.edges)
        return next((t.result for t in same if t.parents == links), None)

    def _update_descendants(self, node: Node) -> list[str]:
        """Classify again what rests on `node`; return the tasks whose used results no longer hold."""
        contradicted, changed = [], [node]
        for child, before in self._world.spread(node):
            changed.append(child)
            if before is not None and (child.used or child.opened) and not _is_same(before, child.result):
                contradicted.append(child.spec.name)
        replan(self._world, changed)
        return contradicted

    def changed_inputs(self, node: Node, value: Any, described: Described) -> tuple[str, ...]:
        """Return the parameters whose objects the task changed in place, or gave back as they are."""
        parts = {id(part) for part in (value, *described.leaves) if not _is_one_for_all(part)}
        found: dict[str, None] = {}
        for edge in node.edges:
            given_back = id(edge.cell.get()) in parts
            changed = self._objects.diverged(edge.cell, look=True) or self._objects.looks_changed(edge.cell)
            if given_back or changed:
                found[edge.parameter] = None
        for argument in node.arguments:
            given = node.parameters[argument.parameter]
            if not immutable(given) and (id(given) in parts or self._literal_changed(node, argument)):
                found[argument.parameter] = None
        return tuple(found)

    def _literal_changed(self, node: Node, argument: Argument) -> bool:
        value = node.parameters[argument.parameter]
        if immutable(value) and not any(files(value)):
            return False
        try:
            return literal_digest(value, self._value_code) != argument.digest
        except UndigestibleError:  # it never had one, or a file is no longer there
            return any(files(value))

    def _check_taint(self, node: Node) -> None:
        """Find out whether a file changed while the node read it: what it computed then stands for neither content."""
        given = ((argument, node.parameters[argument.parameter]) for argument in node.arguments)
        read = ((argument, file) for argument, value in given for file in files(value))
        changed = next((file for argument, file in read if self._literal_changed(node, argument)), None)
        if changed is not None:
            node.tainted = True
            self._warn(
                f"file:{node.key}",
                f"The file {changed.path} changed while {node.spec.name} was computed. The result is used in this run "
                "and not kept.",
            )
        if node.tainted:  # what was computed from it must not be taken for computed from what the call gives
            node.signature = hash_parts("tainted", node.key, str(node.computed_at_us))


def _is_same(before: Result, now: Result | None) -> bool:
    """Return whether what a node is equivalent to now has the result of what it was equivalent to."""
    return now is not None and (now == before if before.digest is None else now.digest == before.digest)


def _is_one_for_all(value: Any) -> bool:
    """Return whether `value` is one object however it is had, or may as well be: giving it back ties nothing."""
    return immutable(value) or isinstance(value, Enum)
