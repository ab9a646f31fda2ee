"""The objects of one run: where each came from, whether somebody changed it, and how the flow body gets it."""

from __future__ import annotations

import enum
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from prefect_helix.core.errors import NotKeptError
from prefect_helix.core.lineage import Result
from prefect_helix.runtime.nodes import ABSENT, Cell, Node, Way
from prefect_helix.runtime.results import Described, outline_of, skeleton_of, take_apart, try_digest
from prefect_helix.runtime.sharing import is_alone
from prefect_helix.runtime.standin import stand_in
from prefect_helix.runtime.values import class_stands_in, find_type, join, parts_of

# Objects of these types are shared by the interpreter, so that being the same object tells nothing.
_UNTRACEABLE = (type(None), bool, int, float, complex, str, bytes, frozenset, enum.Enum, type)


class Objects:
    """Keeps the objects that nodes made and knows each by identity.

    Args:
        get_blob: Gives the value of a blob; raises `StoreError`.
        await_written: Waits for those of some blobs that are still to be written; raises `NotKeptError`.
        value: Gives the object of a cell to the flow body, whatever it takes.

    Attributes:
        let_go: Cells that somebody has just lost the way to, or whose objects nobody has any more.
    """

    def __init__(
        self,
        get_blob: Callable[[str], object],
        await_written: Callable[[Sequence[str]], None],
        value: Callable[[Cell], Any],
    ) -> None:
        self._get_blob = get_blob
        self._await_written = await_written
        self._value = value
        self._cells: dict[int, Cell] = {}
        self._makers: dict[int, Cell] = {}
        self._skeletons: dict[str, object] = {}
        self._ways = threading.RLock()
        self._changes = 0
        self.let_go: deque[Cell] = deque()

    def keep(self, node: Node, value: Any, described: Described) -> None:
        """Keep a computed value and its leaves."""
        if described.result.standin:
            if not node.cell().present:
                self._put(node.cell(), value)
            return
        if described.leaves:
            self._skeletons[node.key] = described.skeleton
            value = join(described.skeleton, self._keep_leaves(node, described.leaves))
        self._put(node.cell(), value)
        if described.result.digest is None:
            for part in node.cells.values():
                if part.leaf is None or described.result.leaves[part.leaf].digest is None:
                    part.outline = outline_of(part.value)

    def _keep_leaves(self, node: Node, leaves: Sequence[object]) -> list[object]:
        """Keep the leaves of a value and return them; what the flow body already has stays what it has."""
        kept = []
        for index, leaf in enumerate(leaves):
            had = node.cell(index).get()
            if had is ABSENT:
                self._put(node.cell(index), leaf)
            kept.append(leaf if had is ABSENT else had)
        return kept

    def take_over(self, node: Node, value: Any) -> None:
        """Keep a value that was computed elsewhere and is wanted here; whoever had it there may have changed it.

        Of several that come at once the first counts: it may have been given to somebody already.
        """
        skeleton, leaves = take_apart(value)
        assert node.result is not None, "it was described where it was computed"
        with node.loading:
            if all(part.present for part in [*node.cells.values()]):
                return
            if len(leaves) == len(node.result.leaves) and not node.result.standin:
                value = join(skeleton, self._keep_leaves(node, leaves))
            self._put(node.cell(), value)
            for part in [*node.cells.values()]:
                part.exposed = True

    def fresh(self, cell: Cell) -> Any:
        """Return another object with the content that the object of a cell had before somebody changed it.

        Raises:
            StoreError: If it cannot be read, or was never stored.
        """
        # Under a key of its own, since small parts of the value are kept by that, too.
        copy = Node(cell.node.spec, f"{cell.node.key} afresh", cell.node.call, result=cell.node.result)
        self.load(copy.cell(cell.leaf))
        value = copy.cell(cell.leaf).value
        for part in copy.cells.values():
            self.drop(part)
        self._skeletons.pop(copy.key, None)
        return value

    def load(self, cell: Cell) -> None:
        """Load the object of a cell, and only what of its node's value belongs to it.

        Raises:
            StoreError: If a blob cannot be read.
        """
        node, result = cell.node, cell.node.result
        if result is None:
            raise NotKeptError("of this run", f"load a result of {node.spec.name}", "what it was made from has changed")
        with node.loading:
            if cell.present:
                return
            self._await_written(self._unread(cell, result))  # is no part of what loading takes
            node.begun_us = time.time_ns() // 1000
            started = time.perf_counter_ns()
            if result.standin:
                self._put_back(cell, self._blob_of(node, result, 0))
            elif cell.leaf is not None:
                self._load_leaf(node, result, cell.leaf)
            else:
                leaves = [self._load_leaf(node, result, index) for index in range(len(result.leaves))]
                self._put(cell, join(self._skeleton(node, result), leaves))
            node.note_load(result, cell.leaf, (time.perf_counter_ns() - started) // 1000)

    def _unread(self, cell: Cell, result: Result) -> list[str]:
        """Return the names of the blobs that have to be read for the object of a cell."""
        node, names = cell.node, list[str | None]()
        if result.standin:
            names.append(result.leaves[0].blob)
        elif cell.leaf is not None:
            names.append(result.leaves[cell.leaf].blob)
        else:
            names += [] if node.key in self._skeletons else [result.blob]
            names += [leaf.blob for index, leaf in enumerate(result.leaves) if not node.cell(index).present]
        return [name for name in names if name is not None]

    def _load_leaf(self, node: Node, result: Result, index: int) -> Any:
        value = node.cell(index).get()
        if value is ABSENT:
            value = self._blob_of(node, result, index)
            self._put_back(node.cell(index), value)
        return value

    def _blob_of(self, node: Node, result: Result, index: int) -> Any:
        blob = result.leaves[index].blob
        if blob is None:
            raise NotKeptError("of this run", f"load a result of {node.spec.name}", "it cannot be serialised")
        return self._get_blob(blob)

    def _put_back(self, cell: Cell, value: Any) -> None:
        """Keep an object that was loaded. Labels that it shared before it left memory, it shares again."""
        for name, labels in cell.labels.items():
            setattr(value, name, labels)
        self._put(cell, value)

    def _skeleton(self, node: Node, result: Result) -> object:
        if node.key not in self._skeletons:
            self._skeletons[node.key] = skeleton_of(result, self._get_blob)
        return self._skeletons[node.key]

    def _put(self, cell: Cell, value: Any) -> None:
        self._forget(cell)  # where an earlier object of it was, there may soon be another one
        cell.put(value)
        cell.seen = self._changes
        if not isinstance(value, _UNTRACEABLE):
            self._cells[id(value)] = cell

    def way(self, cell: Cell) -> Way:
        """Return what keeps the object of a cell within reach, as long as it is held."""
        with self._ways:
            way = None if cell.ways is None else cell.ways()
            if way is None:
                way = Way(cell)
                cell.ways = weakref.ref(way, lambda _: self.let_go.append(cell))
        return way

    def drop(self, cell: Cell) -> None:
        """Keep the object of a cell no longer: it can be had again, or nobody can ask for it."""
        self._forget(cell)
        if cell.leaf is None:
            self._skeletons.pop(cell.node.key, None)
        cell.drop()

    def set_aside(self, cell: Cell) -> None:
        """Keep the object of a cell no longer until it is loaded again; the labels of a frame may be others', too."""
        value = cell.value
        cell.labels = {name: getattr(value, name) for name in ("index", "columns") if hasattr(value, name)}
        self.drop(cell)

    def _forget(self, cell: Cell) -> None:
        identity = id(cell.get())
        if self._cells.get(identity) is cell:
            del self._cells[identity]

    def leave(self, cell: Cell) -> bool:
        """Leave the object of a cell to the flow body, which had it; return whether that could be done by now.

        An object is known by where it is, as long as it is there.
        """
        if isinstance(cell.value, _UNTRACEABLE) or is_alone(cell):
            self.drop(cell)
            return True
        identity = id(cell.value)

        def gone() -> None:
            if self._cells.get(identity) is cell:
                del self._cells[identity]
            self.let_go.append(cell)

        left = cell.leave(gone)
        if left and cell.leaf is None:
            self._skeletons.pop(cell.node.key, None)
        return left

    def reference(self, value: Any) -> Cell | None:
        """Return the cell of an object that this run made and nobody changed since; None for any other object."""
        handle = getattr(type(value), "__helix_handle__", None)
        cell = self._cells.get(id(value)) if handle is None else handle(value)
        return cell if isinstance(cell, Cell) and not (self.diverged(cell) or self.looks_changed(cell)) else None

    def expose(self, cell: Cell) -> None:
        """Take note that the flow body has the object of a cell: it may change it, and pass on parts of it."""
        for part in [*cell.node.cells.values()]:  # who has one part may change it, and with it the whole
            part.exposed = True
        result = cell.node.result
        if result is not None and not result.exact:
            self._makers.update((id(part), cell) for part in parts_of(cell.value))

    def maker(self, value: Any) -> Cell | None:
        """Return the cell whose object `value` is a part of, if all there is to tell of `value` is where it came from.

        Equal digests prove nothing for an object that is known by its reduced state, such as a handle of a file.
        """
        cell = self._makers.get(id(value))
        if cell is None:
            return None
        content = try_digest(value)
        return cell if content is not None and not content.exact else None

    def changed(self) -> None:
        """Take note that a task changed an object in place, and with it whatever shares its memory."""
        self._changes += 1

    def may_be_changed(self, cell: Cell) -> bool:
        """Return whether somebody may have changed an object since it was last known to be as it was made."""
        return cell.exposed or cell.seen < self._changes

    def diverged(self, cell: Cell, *, look: bool = False) -> bool:
        """Return whether an object is no longer what its node made; from then on it is a literal.

        Args:
            cell: The object.
            look: Digest it again even if the flow body never had it.
        """
        value, changes = cell.get(), self._changes
        if value is not ABSENT and not cell.diverged and (look or self.may_be_changed(cell)):
            result = cell.node.result
            part = result if result is None or cell.leaf is None else result.leaves[cell.leaf]
            if part is not None and part.digest is not None:
                content = try_digest(value)
                if content is None or content.hex != part.digest:
                    cell.diverged = True  # and never the other way: who looked before may come to its end later
                cell.seen = changes
        return cell.diverged

    def looks_changed(self, cell: Cell) -> bool:
        """Return whether an object without a digest is no longer what its node made, as far as that can be told."""
        value = cell.get()
        return cell.outline is not None and value is not ABSENT and outline_of(value) != cell.outline

    def stands_in(self, node: Node) -> bool:
        """Return whether the flow body gets stand-ins for the large parts of a node's value, if it has some."""
        leaves = node.result.leaves if node.result is not None else ()
        return bool(leaves) and None not in [_stand_in_class(leaf.type_name) for leaf in leaves]

    def hand_out(self, node: Node) -> Any:
        """Return a node's value as the flow body gets it: large parts as stand-ins, everything else as it is.

        Raises:
            StoreError: If what is no stand-in cannot be read.
        """
        result = node.result
        assert result is not None and result.leaves, "it has large parts, computed or equivalent"
        types = [_stand_in_class(leaf.type_name) for leaf in result.leaves]
        if result.standin:
            return self.stand_in(node.cell(), types[0] or object)
        if not result.exact:
            self._makers.update((id(part), node.cell()) for part in parts_of(self._skeleton(node, result)))
        stand_ins = [self.stand_in(node.cell(index), cls or object) for index, cls in enumerate(types)]
        return join(self._skeleton(node, result), stand_ins)

    def stand_in(self, cell: Cell, cls: type) -> Any:
        """Return a stand-in for the object of a cell."""
        way = self.way(cell)
        return stand_in(lambda: self._value(way.cell), cls, cell)


def _stand_in_class(type_name: str) -> type | None:
    """Return the class of that name, if it is there and a stand-in can still take its place."""
    cls = find_type(type_name)
    return cls if cls is not None and class_stands_in(cls) else None
