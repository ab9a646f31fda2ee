"""What computes a node once more, beside its flow run, in the time that timeouts leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from prefect_helix.clones import run_beside
from prefect_helix.core.errors import NotStorableError
from prefect_helix.engine import PrefectEngine
from prefect_helix.runtime.arguments import isolated
from prefect_helix.runtime.nodes import Cell, Node
from prefect_helix.runtime.specs import Versioned
from prefect_helix.visiting import visit
from prefect_helix.workers import PlainResult


@dataclass(frozen=True)
class Deadlines:
    """When timeouts end a flow run, by the monotonic clock; None where there is none.

    Attributes:
        own: When the flow's own does.
        first: When the first does of its own and those of its callers.
    """

    own: float | None
    first: float | None

    def left_s(self) -> float | None:
        """Return how long it is until a timeout ends the flow; None if it has none."""
        return None if self.first is None else self.first - time.monotonic()

    @property
    def timed_out(self) -> bool:
        """Whether the flow's own timeout has run out."""
        return self.own is not None and time.monotonic() >= self.own


class PrefectRepeater:
    """Computes nodes of one flow run once more.

    Args:
        engine: What computes them in the run.
        deadlines: When that has to end.
    """

    def __init__(self, engine: PrefectEngine, deadlines: Deadlines) -> None:
        self._engine = engine
        self._deadlines = deadlines

    def may_repeat(self, node: Node) -> bool:
        """Return whether a node's code is what it was at its call."""
        task, spec = self._engine.calls[node.key].task, node.spec
        return not spec.code.may_change or cast("Versioned", task).spec().fingerprint == spec.fingerprint

    def left_s(self) -> float | None:
        """Return how long it is until a timeout ends the flow; None if it has none."""
        return self._deadlines.left_s()

    def inputs(self, node: Node, load: Callable[[Cell], object]) -> dict[str, Any]:
        """Return the arguments of a node as objects that nobody else has; ignored ones are those of the call.

        Raises:
            NotStorableError: If one cannot be copied, or is the result of a plain task, which is on its worker.
        """

        def here(part: Any, _: dict[str, Any]) -> Any:
            if isinstance(part, PlainResult):
                raise NotStorableError(node.spec.name, "an argument is on the worker that computed it")
            return part

        def own(name: str, value: Any) -> Any:
            if isinstance(value, Cell):
                return load(value)
            value = self._engine.replaced(value, load)
            return value if name in node.spec.ignore else isolated(value)

        visit(dict(node.parameters), here)
        return {name: own(name, value) for name, value in node.parameters.items()}

    def repeat(self, node: Node, arguments: Mapping[str, Any], timeout_s: float) -> object:
        """Compute a node once more in this thread, as a task run of its own; raises what its task raises."""
        call = self._engine.calls[node.key]
        return call.context.copy().run(run_beside, call.task, arguments, timeout_s)
