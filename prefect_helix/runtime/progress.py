"""How far a run is, by time: what is done, what is under way, and what the plan expects still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Trace
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.world import World


@dataclass(frozen=True, slots=True)
class Running:
    """A step that is computed or loaded at this moment.

    Attributes:
        task: Its task.
        decision: Compute or load.
        elapsed_us: For how long; None if it waits for a thread, or is on a worker: nobody tells when it begins there.
        expected_us: What all of it is expected to take; None if nothing tells.
    """

    task: str
    decision: Decision
    elapsed_us: int | None
    expected_us: int | None

    @property
    def remaining_us(self) -> int:
        """What is expected still: nothing where nothing tells, or where it takes longer than expected."""
        return max(0, (self.expected_us or 0) - (self.elapsed_us or 0))


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment.

    Attributes:
        elapsed_us: How long it has been going on.
        steps: Its steps as far as known: called, or expected to be.
        settled: Those of them that were computed, loaded or pruned, or failed.
        done_us: What computing and loading took, and of what is under way what was expected to take so long.
        remaining_us: What is expected still of the steps whose times are known.
        unknown: Steps still to be computed of which nothing tells how long they take.
        foreseen: Whether all that will be called is expected; a first run's calls are not.
        running: What is under way, the longest first.
        busy_us: How long at least one step was under way.
    """

    elapsed_us: int
    steps: int
    settled: int
    done_us: int
    remaining_us: int
    unknown: int
    foreseen: bool
    running: tuple[Running, ...]
    busy_us: int

    @property
    def known(self) -> bool:
        """Whether the time of all that is still to come is known."""
        return self.foreseen and not self.unknown

    @property
    def share(self) -> float | None:
        """The part of the work that is done, below 1 as long as there is some; None if it is not known."""
        total_us = self.done_us + self.remaining_us
        return self.done_us / total_us if self.known and total_us else None

    @property
    def left_us(self) -> int:
        """The time until what is known to remain is done, with as much going on at once as until now."""
        at_once = max(1.0, self.done_us / self.busy_us) if self.busy_us else 1.0
        return max([round(self.remaining_us / at_once), *(one.remaining_us for one in self.running)])


class Gauge:
    """Reads off how far a run is, without its lock: what it sees may be a moment apart.

    Args:
        world: The run's nodes.
        started_us: When it began, since the epoch.
        predicted: Whether its steps were predicted from an earlier run.
        followed: Whether everything that differs from that run is in the prediction.
    """

    def __init__(self, world: World, started_us: int, *, predicted: bool, followed: bool) -> None:
        self._world = world
        self._started_us = self._looked_us = started_us
        self._predicted = predicted
        self._followed = followed
        self._seen = 0
        self._open: list[Node] = []
        self._done_us = 0
        self._busy_us = 0
        self._expected: dict[str, tuple[Trace | None, bool, int | None]] = {}

    def look(self, now_us: int) -> Progress:
        """Return how far the run is now; only one thread at a time may look. O(steps that are not computed)."""
        nodes = self._world.nodes
        new = nodes[self._seen :]  # it only grows
        self._seen += len(new)
        still_open: list[Node] = []
        settled = done_us = remaining_us = unknown = 0
        running: list[Running] = []
        for node in (*self._open, *new):
            if node.done or node.failed:
                self._done_us += node.compute_us or 0
                self._expected.pop(node.key, None)
                continue
            still_open.append(node)
            decision = node.decision
            if node.started or decision is Decision.COMPUTE:
                expected_us = self._compute_us(node)
                unknown += expected_us is None
                if node.started:
                    running.append(_running(node, Decision.COMPUTE, expected_us, now_us))
                else:
                    remaining_us += expected_us or 0
            elif node.load_us is not None:
                settled += 1
                done_us += node.load_us
            elif decision is Decision.LOAD:
                expected_us = self._world.expected_load_us(node)
                if node.begun_us is None:
                    remaining_us += expected_us or 0
                else:
                    running.append(_running(node, Decision.LOAD, expected_us, now_us))
            else:
                settled += node.called
        self._open = still_open
        if running:
            self._busy_us += max(0, now_us - self._looked_us)
        self._looked_us = now_us
        return Progress(
            elapsed_us=max(0, now_us - self._started_us),
            steps=self._seen,
            settled=self._seen - len(still_open) + settled,
            done_us=self._done_us + done_us + sum((one.expected_us or 0) - one.remaining_us for one in running),
            remaining_us=remaining_us + sum(one.remaining_us for one in running),
            unknown=unknown,
            foreseen=self._predicted and (self._followed or not self._world.expecting),
            running=tuple(sorted(running, key=lambda one: -(one.elapsed_us or 0))),
            busy_us=self._busy_us,
        )

    def _compute_us(self, node: Node) -> int | None:
        """Return what computing a node is expected to take; asked anew when it begins: its inputs' sizes are known."""
        trace, started, expected_us = self._expected.get(node.key, (None, None, None))
        if started is not node.started or trace is not node.trace:
            expected_us = self._world.expected_compute_us(node)
            self._expected[node.key] = (node.trace, node.started, expected_us)
        return expected_us


def _running(node: Node, decision: Decision, expected_us: int | None, now_us: int) -> Running:
    elapsed_us = None if node.begun_us is None else max(0, now_us - node.begun_us)
    return Running(node.spec.name, decision, elapsed_us, expected_us)


def together(parts: Sequence[Progress]) -> Progress:
    """Return how far runs are that go on at once."""
    return Progress(
        elapsed_us=max(part.elapsed_us for part in parts),
        steps=sum(part.steps for part in parts),
        settled=sum(part.settled for part in parts),
        done_us=sum(part.done_us for part in parts),
        remaining_us=sum(part.remaining_us for part in parts),
        unknown=sum(part.unknown for part in parts),
        foreseen=all(part.foreseen for part in parts),
        running=tuple(sorted((one for part in parts for one in part.running), key=lambda one: -(one.elapsed_us or 0))),
        busy_us=max(part.busy_us for part in parts),
    )
