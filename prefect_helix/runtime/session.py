"""One flow run: calls come in, values go out, and what is learned on the way is kept."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from prefect_helix.core.errors import NondeterministicTaskError, StoreError, UpstreamFailedError
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Run, RunStatus
from prefect_helix.runtime.arguments import Given, bind, frozen
from prefect_helix.runtime.closing import close
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Cell, Node, Standing, TaskSpec
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.observation import Observer
from prefect_helix.runtime.results import describe
from prefect_helix.runtime.world import World
from prefect_helix.storage.files import files

LONG_US = 1_000_000
"""Before a compute predicted to take longer, everything finished is made safe."""


class Engine(Protocol):
    """What computes: Prefect's engine, as the session sees it.

    Both ways end with `Session.observe` or `Session.fail`.
    """

    def run(self, node: Node) -> None:
        """Compute `node` in this thread; raises what the task raised."""

    def start(self, node: Node) -> None:
        """Hand `node` to the task runner."""

    def take_back(self, node: Node) -> bool:
        """Take back a node that still waits for a thread of the task runner; return whether it did."""


class Session:
    """Everything that is decided in one flow run.

    Args:
        head: What is known of the run at its start.
        world: Its nodes, with what is expected of them.
        keeper: The store.
        engine: What computes.
        warn: Called with a key and a sentence for whatever goes wrong; the same key is told once.
    """

    def __init__(
        self,
        head: Run,
        *,
        world: World,
        keeper: Keeper,
        engine: Engine,
        warn: Callable[[str, str], None],
    ) -> None:
        self.head = head
        self.world = world
        self.keeper = keeper
        self.finished = False
        self._engine = engine
        self._warn = warn
        self._value_code = ValueCode()
        self._objects = Objects(keeper.get, lambda cell: self.value(cell, exposed=True))
        self._observer = Observer(world, self._objects, keeper, self._value_code, warn, verify=head.mode == "verify")
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._computing = 0

    @property
    def mismatched(self) -> Sequence[str]:
        """Tasks that gave another result than was recorded for the same code and inputs."""
        return self._observer.mismatched

    # -- what the flow does --------------------------------------------------------------------------------------

    def call(
        self,
        spec: TaskSpec,
        given: Mapping[str, Given],
        wait_for: Iterable[Node] = (),
        *,
        submitted: bool = False,
        entered: Callable[[Node], None] = lambda node: None,
    ) -> Node:
        """Enter a call of a helix task and find out what it is.

        Args:
            spec: The task.
            given: Its arguments, by parameter.
            wait_for: The nodes it only waits for.
            submitted: Whether it is made through a task runner.
            entered: Called with the node before any other thread can see it.
        """
        for note in spec.code.notes:
            self._warn(f"{spec.key}:{note}", note)
        edges, arguments = bind(spec, given, self.head.parameters, self._value_code, self._warn)
        parameters = {name: one.value for name, one in given.items()}
        with self._lock:
            node, departed = self.world.call(spec, parameters, edges, tuple(wait_for), arguments)
            entered(node)
            node.submitted, node.started_us = submitted, now_us()
            if node.standing is Standing.ORIGINAL and not spec.lazy and not self.world.expecting:
                node.decision = Decision.COMPUTE  # there is nothing to choose
            elif departed or node.decision is None:
                self.world.plan()
            return node

    def reference(self, value: Any) -> Cell | None:
        """Return the cell of an object that this run made and nobody changed since; None for any other object."""
        cell = self._objects.reference(value)
        return cell if cell is not None and cell.node in self.world else None

    def deliver(self, node: Node) -> Any:
        """Return what a direct call gives back: the value if it is small, else a stand-in."""
        self._settle(node)
        if node.original and node.spec.lazy and node.spec.returns is not None and self._freeze(node):
            return self._objects.stand_in(node.cell(), node.spec.returns)
        if not self._deferrable(node):
            self._bring(node.cell())
        while True:
            try:
                return self._hand_out(node)
            except StoreError as error:
                self._not_loaded(node, error)
                self._bring(node.cell())

    def _hand_out(self, node: Node) -> Any:
        if node.result is not None and node.result.leaves and not node.result.standin:
            self._verify_ancestors(node)
            node.used = True  # the small parts of a container go out as they are
        if node.original:
            self._bring(node.cell())
        return self._objects.hand_out(node)

    def submit(self, node: Node) -> None:
        """Start a call made through a task runner, if it is to compute.

        While it depends on parents that compute whether it is original, those are started, and it waits for them.
        """
        if self._is_put_off(node):
            self._settled(node)

    def _is_put_off(self, node: Node) -> bool:
        """Start a submitted call if it is due; return whether it turned out that nobody need wait for it."""
        if node.standing is Standing.PROVISIONAL:
            for parent in node.parents:
                if parent.original and not (parent.started or (parent.submitted and _provisional(parent))):
                    self._start(parent)
            if any(p.original and not p.failed for p in node.parents):
                return False
            self._reclassify(node)
        if not self._is_due(node):
            return True
        self._start(node)
        return False

    def _is_due(self, node: Node) -> bool:
        """Return whether a submitted node starts without anybody asking for its value."""
        if node.original:
            return not (node.spec.lazy and self._freeze(node))
        if node.decision is Decision.COMPUTE and (node.demanded or self._feeds(node)):
            return True
        return not self._deferrable(node)

    def _feeds(self, node: Node) -> bool:
        """Return whether something that is certain to compute takes the node's value."""
        return any(
            child.decision is Decision.COMPUTE and not _provisional(child) for child in self.world.children(node)
        )

    def value(self, cell: Cell, *, exposed: bool = False) -> Any:
        """Return the object of a cell, loaded or computed as the plan says.

        Args:
            cell: Which.
            exposed: Whether the flow body, which may change it, will have it. A task gets what the node made, even
                if the flow body changed its own object since.
        """
        node = cell.node
        if exposed:
            self.demand([node])
        self._bring(cell)
        node.used = True
        if not exposed:
            return self._objects.fresh(cell) if self._objects.diverged(cell) else cell.value
        for part in node.cells.values():  # who has one part may change it, and with it the whole
            part.exposed = True
        return cell.value

    def demand(self, nodes: Sequence[Node]) -> None:
        """Plan together for the values of `nodes`, which somebody outside of helix tasks needs."""
        with self._lock:
            for node in nodes:
                node.demanded = True
            if any(node.decision in (None, Decision.PRUNE) and not node.done for node in nodes):
                self.world.plan()

    def supply(self, nodes: Sequence[Node]) -> None:
        """Demand `nodes` together and start those that are to be computed."""
        self.demand(nodes)
        for node in nodes:
            self._settle(node)
            if node.original or node.decision is Decision.COMPUTE:
                self._start(node)

    def when_settled(self, node: Node, then: Callable[[], None]) -> None:
        """Call `then` once, as soon as nobody has to wait for the node any more."""
        with self._lock:
            if not node.settled.is_set():
                node.watchers.append(then)
                return
        then()

    def finish(self, status: RunStatus) -> Lineage:
        """Wait for what is running, finish writing, commit the lineage and return it."""
        if status != "completed":
            self._abandon()
        with self._idle:
            self._idle.wait_for(lambda: not self._computing)
        self.finished = True
        return close(self.head, self.world, self.keeper, status, now_us())

    def _abandon(self) -> None:
        """Give up what the task runner has not begun, as Prefect does when a flow fails."""
        for node in self.world.called:
            if node.started and not node.settled.is_set() and self._engine.take_back(node):
                self.fail(node)

    # -- demand --------------------------------------------------------------------------------------------------

    def _bring(self, cell: Cell) -> None:
        """Make the object of a cell present: load or compute it, whatever it takes."""
        node = cell.node
        while not cell.present:
            if node.failed:
                raise node.error or UpstreamFailedError(node.spec.name)
            if node.done:
                raise NondeterministicTaskError(node.spec.name, [node.spec.name])
            self._settle(node)
            if node.original or node.started:
                self._await(node)
                continue
            if node.decision in (None, Decision.PRUNE):
                with self._lock:
                    node.wanted = True
                    self.world.plan()
            self._verify_ancestors(node)
            if node.original or node.started or node.decision is not Decision.LOAD:
                self._await(node)
                continue
            try:
                self._objects.load(cell)
            except StoreError as error:
                self._not_loaded(node, error)

    def _not_loaded(self, node: Node, error: StoreError) -> None:
        self._warn(f"load:{node.key}", f"{error} {node.spec.name} is computed again.")
        with self._lock:
            node.lost = node.wanted = True
            self.world.plan()

    def _settle(self, node: Node) -> None:
        """Make a provisional standing definite by computing the original parents it hangs on."""
        while _provisional(node) and not node.started:
            waiting = [p for p in node.parents if p.original and not p.failed]
            for parent in waiting:
                self._settle(parent)
                if parent.original:
                    self._await(parent)
            self._reclassify(node)
            if not waiting:
                return

    def _reclassify(self, node: Node) -> None:
        with self._lock:
            self.world.classify(node)
            self.world.plan()

    def _verify_ancestors(self, node: Node) -> None:
        """Compute the ancestors that are to be computed anyway and are not known to repeat themselves.

        So a stored result is never mixed with another outcome of what it was made from.
        """
        for ancestor in self.world.ancestors(node):
            if ancestor.decision is Decision.COMPUTE and not ancestor.done and not self.world.proven(ancestor):
                self._await(ancestor)

    def _deferrable(self, node: Node) -> bool:
        """Return whether the node's value need not be there yet: it can be loaded, or still be computed later.

        A file may have other content later, and an object that the flow body has may be changed.
        """
        if node.original:
            return False
        frozen = self._freeze(node)
        if self.world.loadable(node):
            return True
        stored = self.keeper.loadable
        safe = all(not e.cell.exposed or (e.node.result and stored(e.node.result)) for e in node.edges)
        return frozen and safe and not any(any(files(value)) for value in node.parameters.values())

    def _freeze(self, node: Node) -> bool:
        """Keep the node's literal arguments as they are now; return whether that could be done."""
        fixed = frozen(node.parameters)
        if fixed is not None:
            node.parameters = fixed
        return fixed is not None

    # -- compute -------------------------------------------------------------------------------------------------

    def _await(self, node: Node) -> None:
        """Have a node computed, by this thread unless somebody else is at it."""
        if not node.started:
            for parent in self._needed(node):
                try:
                    self._settle(parent)
                    if parent.original or parent.decision is Decision.COMPUTE:
                        self._compute(parent)
                except Exception:
                    if parent.error is not None or not parent.failed:
                        raise
                    # its task failed: Prefect tells who takes its value
        self._compute(node)

    def _compute(self, node: Node) -> None:
        if self._claim(node) or self._engine.take_back(node):
            self._prepared(node, self._engine.run)
        node.settled.wait()

    def _start(self, node: Node) -> None:
        """Hand a node to the task runner, after the parents it needs, so that no thread of it waits for them."""
        if node.started:
            return
        needed = self._needed(node)
        if any(_provisional(parent) and parent.submitted for parent in needed):
            return  # looked at again once it is known whether they compute
        for one in (*needed, node):
            if not one.submitted:
                self._compute(one)
            elif self._claim(one):
                self._prepared(one, self._engine.start)

    def _needed(self, node: Node) -> list[Node]:
        """Plan for a node that is to compute, and return what has to be computed for it, parents before children."""
        with self._lock:
            node.decision = Decision.COMPUTE
            if any(not e.cell.present and e.node.decision in (None, Decision.PRUNE) for e in node.edges):
                node.wanted = True
                self.world.plan()
            return self.world.to_compute_for(node)

    def _claim(self, node: Node) -> bool:
        """Return whether it is for the caller to compute the node; nobody else will."""
        with self._lock:
            if node.started:
                return False
            node.started = True
            node.settled.clear()
            self._computing += 1
            return True

    def _prepared(self, node: Node, go: Callable[[Node], None]) -> None:
        try:
            node.reason = node.reason or self.world.reason(node)
            self._observer.check_arguments(node)
            estimate_us = self.world.history.costs.compute(node.spec.key, node.trace)
            if estimate_us is not None and estimate_us > LONG_US:
                self.keeper.flush()
            go(node)
        except BaseException as error:
            if not node.settled.is_set():
                self.fail(node, error)
            raise

    def observe(self, node: Node, value: Any, compute_us: int, *, reusable: bool = True) -> None:
        """Take note of a value that was just computed, before anybody else sees it.

        Args:
            node: What was computed.
            value: The value.
            compute_us: How long its function took.
            reusable: Whether the value is all that the task gave back.

        Raises:
            NondeterministicTaskError: If it contradicts results that were already used.
        """
        described = describe(value, self._value_code)
        with self._lock:
            node.tainted = not reusable
            contradicted = self._observer.note(node, value, described, compute_us, now_us())
            self._observer.tell(node, value, described)
        self._observer.keep(node, described)
        self._ended(node)
        if contradicted:
            raise NondeterministicTaskError(node.spec.name, contradicted)

    def fail(self, node: Node, error: BaseException | None = None) -> None:
        """Take note of a node whose task failed, or that could not be computed because of `error`."""
        with self._lock:
            node.failed, node.decision, node.error = True, Decision.COMPUTE, error
            trace = self.world.facts(node)
        self.keeper.record(trace)
        self._ended(node)

    def _ended(self, node: Node) -> None:
        self._settled(node)
        with self._idle:
            self._computing -= 1
            self._idle.notify_all()

    def _settled(self, node: Node) -> None:
        """Let everybody know that nobody has to wait for the node, and look again at the calls that waited for it."""
        settled = [node]
        while settled:
            node = settled.pop()
            with self._lock:
                node.settled.set()
                watchers, node.watchers = node.watchers, []
                waiting = [
                    c for c in self.world.children(node) if c.submitted and not (c.started or c.settled.is_set())
                ]
            for watcher in watchers:
                watcher()
            for child in waiting:
                with contextlib.suppress(Exception):  # it failed to start; whoever asks for it is told
                    if self._is_put_off(child):
                        settled.append(child)


def _provisional(node: Node) -> bool:
    return node.standing is Standing.PROVISIONAL and not node.done


def now_us() -> int:
    """Return the time since the epoch in microseconds."""
    return time.time_ns() // 1000
