"""Inputs of which it is still to be seen whether a task changed them in place.

To see it, an input is digested once more. Where many calls take one large object, a look after the last of them tells
as much as one after each. Only what another call is hangs on it: before one is entered, all doubts are settled. Until
they are, nothing is kept of the calls in doubt. What a killed run may lose is bounded, since a look is put off only
until the calls in doubt have computed `PATIENCE` times as long as it takes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from prefect_helix.core.costs import taken_bytes
from prefect_helix.runtime.nodes import Cell, Edge, Node
from prefect_helix.runtime.objects import Objects

PATIENCE = 20
"""What calls in doubt may compute, over what the look takes: at most a twentieth of the time goes into looks."""

LARGE_BYTES = 1 << 20
"""From which size it is worth to put off a look."""

_BYTES_PER_US = 1000

Then = Callable[[tuple[str, ...]], None]


@dataclass(slots=True)
class _Doubt:
    takers: list[tuple[Node, str]] = field(default_factory=list)
    computed_us: int = 0


class Doubts:
    """The doubts of one run; any thread may call any method.

    Args:
        objects: The run's objects.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._open: dict[Cell, _Doubt] = {}
        self._looking = 0
        self._settled = threading.Condition()
        self._count: Counter[str] = Counter()
        self._changed: dict[str, tuple[str, ...]] = {}
        self._then: dict[str, Then] = {}

    def put_off(self, node: Node, edge: Edge, compute_us: int) -> bool:
        """Return whether the look at what a call took can wait, after it computed for so long; if so, take note."""
        cell = edge.cell
        size_bytes = taken_bytes(cell.node.result, cell.leaf) or 0
        if size_bytes < LARGE_BYTES or cell.node.takers < 2:
            return False
        if node.prior is not None and edge.parameter in node.prior.changed_inputs:
            return False
        with self._settled:
            doubt = self._open.get(cell) or _Doubt()
            computed_us = doubt.computed_us + compute_us
            if computed_us > PATIENCE * size_bytes / _BYTES_PER_US:
                return False
            self._open[cell] = doubt
            doubt.computed_us = computed_us
            doubt.takers.append((node, edge.parameter))
            self._count[node.key] += 1
        return True

    def concern(self, cell: Cell) -> bool:
        """Return whether an object is in doubt: it has to stay in memory until somebody has looked at it."""
        return cell in self._open

    def when_settled(self, node: Node, then: Then) -> None:
        """Call `then` once nothing that a call took is in doubt any more, with the parameters that were changed."""
        with self._settled:
            if self._count[node.key]:
                self._then[node.key] = then
                return
        then(self._changed.pop(node.key, ()))

    def look(self, cell: Cell) -> bool:
        """Return whether somebody changed an object, which settles whether those in doubt did."""
        with self._settled:
            doubt = self._open.pop(cell, None)
            self._looking += doubt is not None
        if doubt is None:
            return self._objects.diverged(cell, look=True)
        try:
            changed = not cell.present or self._objects.diverged(cell, look=True)
            if changed:
                self._objects.changed()
            for node, parameter in doubt.takers:
                self._tell(node, parameter, changed)
        finally:
            with self._settled:
                self._looking -= 1
                self._settled.notify_all()
        return changed

    def settle(self, cells: Collection[Cell] | None = None) -> None:
        """Look at what is in doubt of some objects, or of all, and wait for who is about to."""
        if not (self._open or self._looking):
            return
        while waiting := [cell for cell in [*self._open] if cells is None or cell in cells]:
            for cell in waiting:
                self.look(cell)
        with self._settled:
            self._settled.wait_for(lambda: not self._looking)

    def _tell(self, node: Node, parameter: str, changed: bool) -> None:
        with self._settled:
            if changed:
                self._changed[node.key] = (*self._changed.get(node.key, ()), parameter)
            self._count[node.key] -= 1
            then = None if self._count[node.key] else self._then.pop(node.key, None)
        if then is not None:
            then(self._changed.pop(node.key, ()))
