"""What leaves memory while a run goes on: the objects that nobody will ask for, or that can be had again.

HELIX (section 5.4) drops a result as soon as its last child has run. Here the flow body may ask for one at any time, so
that two things are known of each: who may still take it (calls that were made, by counting), and whether the flow body
has a way to it (a stand-in, a future, a state, or the object itself, by Python's own references).

- What no call takes any more and nobody has a way to is dropped.
- What the flow body has is left to it: the run knows it for as long as it is there.
- What the flow body could still ask for, but has not touched, is dropped if it is stored, if no call that the prior run
  makes us expect will compute from it, and if nobody shares its memory. Should somebody ask for it after all, it is
  loaded again.
"""

from __future__ import annotations

from collections.abc import Iterator

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Result
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Cell, Node
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.results import SMALL_BYTES
from prefect_helix.runtime.sharing import is_unshared
from prefect_helix.runtime.world import World

_FEW = 16
"""Results that are looked at again each time it is tidied; of more only a part, on average."""


class Memory:
    """Lets go of the objects of one run; called by whoever holds the lock of its nodes.

    Args:
        world: The run's nodes.
        objects: Their objects.
        keeper: The store.
    """

    def __init__(self, world: World, objects: Objects, keeper: Keeper) -> None:
        self._world = world
        self._objects = objects
        self._keeper = keeper
        self._again: dict[str, Node] = {}
        self._put_off = 0

    def take(self, node: Node) -> None:
        """Count a call among the takers of its parents: it was made, or is to be computed once more."""
        if not node.taking:
            node.taking = True
            for cell in node.given:
                cell.node.takers += 1
                cell.hold()

    def tidy(self) -> None:
        """Let go of what nobody has a way to since this was last asked, and of what has been written meanwhile.

        Large results that are still to be written, or that others have, wait for it the longer the more there are.

        Complexity: O(what there is to let go), on average.
        """
        while self._objects.let_go:
            self.look_at(self._objects.let_go.popleft().node)
        self._put_off += 1
        if len(self._again) > _FEW * self._put_off:
            return
        self._put_off = 0
        again, self._again = self._again, {}
        for node in again.values():
            self.look_at(node, last_look=True)

    def ended(self, node: Node) -> None:
        """Take note that a node was computed, or failed, and takes nothing any more."""
        for other in (node, *self._give_back(node)):
            self.look_at(other)

    def end(self) -> None:
        """Let go of everything that nobody has a way to: the flow has come to its end."""
        for node in self._world.nodes:
            for cell in [*node.cells.values()]:
                if cell.is_kept and not _has_way(cell):
                    self._objects.drop(cell)

    def look_at(self, node: Node, *, last_look: bool = False) -> None:
        """Let go of what can be let go of a node, and, if nobody will ask for it, of what it was to be made from.

        Args:
            node: The node.
            last_look: Whether it is not looked at again if others have a part of its value. Who has just computed with
                it may be about to let go of it.
        """
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if not node.takers and not _is_to_compute(node):
                whole = node.cell()
                for cell in [*node.cells.values()]:
                    self._look_at(cell, whole, last_look)
                if not any(cell.within_reach for cell in node.cells.values()):
                    waiting.extend(self._give_back(node))

    def _give_back(self, node: Node) -> Iterator[Node]:
        """Count a node no longer among the takers of its parents; yield those that nobody takes any more."""
        if node.taking:
            node.taking = False
            for cell in node.given:
                cell.node.takers -= 1
                if not cell.node.takers:
                    yield cell.node

    def _look_at(self, cell: Cell, whole: Cell, last_look: bool) -> None:
        node, result = cell.node, cell.node.result
        if not cell.is_kept or result is None:
            return
        handed_out = cell.exposed or node.opened
        if handed_out and not result.exact:  # parts of it are known by where they are
            return
        if _has_way(cell) or _has_way(whole):
            if result.size_bytes > SMALL_BYTES and self._can_be_had_again(node, result):
                if is_unshared(cell):
                    # Somebody may have had a part of it before, and have changed that.
                    if not self._objects.diverged(cell, look=True):
                        with self._keeper.stays(result) as is_there:
                            if is_there:
                                self._objects.set_aside(cell)
                elif not last_look:
                    self._again[node.key] = node
        elif not handed_out:
            self._objects.drop(cell)
        elif not self._objects.leave(cell) and result.size_bytes > SMALL_BYTES:
            self._again[node.key] = node

    def _can_be_had_again(self, node: Node, result: Result) -> bool:
        """Return whether a value that the flow body has a way to can be had again at little cost.

        Where nothing is known of who will ask for it, somebody may at once.
        """
        if node.by_digest or node.tainted or any(map(self._objects.may_be_changed, node.cells.values())):
            return False
        if self._is_expected(node) or (node.prior is None and not self._keeper.store.maps(result.size_bytes)):
            return False
        if not self._keeper.is_written(result):
            if self._keeper.loadable(result):
                self._again[node.key] = node
            return False
        return True

    def _is_expected(self, node: Node) -> bool:
        """Return whether the prior run makes us expect that somebody asks for a value that nobody takes just now."""
        return node.demanded or any(
            child.decision is Decision.COMPUTE and not child.called for child in self._world.children(node)
        )


def _has_way(cell: Cell) -> bool:
    return cell.ways is not None and cell.ways() is not None


def _is_to_compute(node: Node) -> bool:
    """Return whether a node is being computed, or will be, even if nobody has a way to it."""
    if node.started:
        return not node.settled.is_set()
    return node.submitted and not node.spec.lazy and (node.original or node.decision is Decision.COMPUTE)
