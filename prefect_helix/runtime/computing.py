"""What the runtime asks of whatever computes the nodes of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from prefect_helix.runtime.nodes import Cell, Node


class Engine(Protocol):
    """What computes: Prefect's engine, as the session sees it.

    All ways end with `Session.observe` or `Session.fail`, whatever stops them.

    Attributes:
        apart: Whether submitted nodes compute in other processes, so that this one is free to write meanwhile.
    """

    apart: bool

    def run(self, node: Node) -> None:
        """Compute `node` in this thread; raises what the task raised."""

    async def arun(self, node: Node) -> None:
        """Compute `node` in the running event loop; raises what the task raised."""

    def start(self, node: Node) -> None:
        """Hand `node` to the task runner."""

    def take_back(self, node: Node) -> bool:
        """Take back a node that whoever needs it can compute sooner than the task runner; return whether it did."""

    def give_up(self, node: Node) -> bool:
        """Cancel a node that the task runner has not begun; return whether it did."""

    def fetch(self, node: Node) -> object:
        """Return the value of a node that was computed on a worker; raises what stands in the way."""


class Repeater(Protocol):
    """What computes nodes once more, beside the run."""

    def may_repeat(self, node: Node) -> bool:
        """Return whether a node's code is what it was at its call, so that it can be computed once more."""

    def left_s(self) -> float | None:
        """Return how long the run may still take; None if nothing bounds it."""

    def inputs(self, node: Node, load: Callable[[Cell], object]) -> Mapping[str, Any]:
        """Return the arguments of a node as objects that nobody else has, the results in them given by `load`.

        Raises:
            NotStorableError: If one cannot be copied.
        """

    def repeat(self, node: Node, arguments: Mapping[str, Any], timeout_s: float) -> object:
        """Compute a node once more in this thread; raises what its task raises.

        Args:
            node: Which.
            arguments: What `inputs` gave.
            timeout_s: How long it may take.

        Raises:
            TimeoutError: If it took longer.
        """
