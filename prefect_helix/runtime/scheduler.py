"""Gets values: decides in what order nodes are loaded and computed, and who computes each.

A suspending scheduler (Build Systems à la Carte, section 4.1.3): a value is asked for, and what it needs is brought
first. What a value leads to is told as steps (see `steps`), so that a thread and an event loop can both take them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.errors import NondeterministicTaskError, NotKeptError, StoreError, UpstreamFailedError
from prefect_helix.core.graph import Decision
from prefect_helix.runtime.arguments import frozen
from prefect_helix.runtime.computing import Engine
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.memory import Memory
from prefect_helix.runtime.nodes import Cell, Node, Standing
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.observation import Observer
from prefect_helix.runtime.planning import demand, replan
from prefect_helix.runtime.steps import Compute, Do, Steps, T, Wait, walk
from prefect_helix.runtime.waiting import Waiting
from prefect_helix.runtime.world import World
from prefect_helix.storage.files import files

LONG_US = 1_000_000
"""Before a compute predicted to take longer, everything finished is made safe."""


class Scheduler:
    """Computes and loads the nodes of one run as the plan says, each at most once.

    Args:
        world: The nodes.
        objects: Their objects.
        observer: Takes note of what is computed.
        memory: Lets go of objects.
        keeper: The store.
        engine: What computes.
        warn: Called with a key and a sentence; the same key is told once.
        settled: Called with each node that has ended; see `Dispatcher.settled`.
        waiting: Waits for other runs; None where they are not waited for.

    Attributes:
        lock: Held by whoever changes nodes.
    """

    def __init__(
        self,
        world: World,
        objects: Objects,
        observer: Observer,
        memory: Memory,
        keeper: Keeper,
        engine: Engine,
        warn: Callable[[str, str], None],
        settled: Callable[[Node], None],
        waiting: Waiting | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self._world = world
        self._objects = objects
        self._observer = observer
        self._memory = memory
        self._keeper = keeper
        self._engine = engine
        self._warn = warn
        self._settled = settled
        self._waiting = waiting
        self._idle = threading.Condition(self.lock)
        self._computing: set[str] = set()

    def now(self, steps: Steps[T]) -> T:
        """Take steps in this thread."""
        return walk(steps, self._engine.run)

    # -- demand --------------------------------------------------------------------------------------------------

    def bring(self, cell: Cell) -> Steps[None]:
        """Make the object of a cell present: load or compute it, whatever it takes."""
        yield from self._bring(cell, lambda cell: cell.present, self._objects.load)

    def _bring(self, cell: Cell, has: Callable[[Cell], bool], load: Callable[[Cell], None]) -> Steps[None]:
        node = cell.node
        while not has(cell):
            if node.failed:
                raise node.error or UpstreamFailedError(node.spec.name)
            if node.elsewhere:
                yield Do(partial(self._retrieve, cell))
            if node.done and not cell.present:
                yield from self._bring_back(cell)
                continue
            yield from self.settle(node)
            if node.original or node.started:
                yield from self._compute_with_needs(node)
                continue
            if node.decision in (None, Decision.PRUNE):
                with self.lock:
                    node.wanted = True
                    demand(self._world, [node])
            yield from self.verify_ancestors(node)
            if node.original or node.started or node.decision is not Decision.LOAD:
                yield from self._compute_with_needs(node)
                continue
            with self.lock:
                is_to_load = node.decision is Decision.LOAD and not (node.original or node.started)
                if not is_to_load or self._world.clearing.open_above(node):
                    continue
                # Before it is there: what it was made from may come out otherwise meanwhile.
                first, node.used = not node.used, True
            try:
                yield Do(partial(load, cell))
            except StoreError as error:
                node.used = not first
                self.not_loaded(node, error)

    def reach(self, cell: Cell, has: Callable[[Cell], bool], load: Callable[[Cell], None]) -> Steps[None]:
        """Make the object of a cell present where submitted nodes compute; see `Session.reach`."""
        yield from self._bring(cell, has, load)

    def _bring_back(self, cell: Cell) -> Steps[None]:
        """Have an object again that was computed in this run and has left memory: loaded, else computed once more."""
        node, result = cell.node, cell.node.result
        if result is None or (cell.leaf is not None and cell.leaf >= len(result.leaves)):
            raise NondeterministicTaskError(node.spec.name, [node.spec.name])
        if self._world.loadable(node):
            try:
                yield Do(partial(self._objects.load, cell))
                return
            except StoreError as error:
                self.not_loaded(node, error)
        with self.lock:
            if node.done and not cell.present and node.settled.is_set():
                node.trace, node.standing = self._world.facts(node), Standing.EQUIVALENT
                node.done, node.started, node.credit_us = False, False, 0
                self._world.clearing.opened(node)

    def _retrieve(self, cell: Cell) -> None:
        """Get the object of a cell that was computed on a worker."""
        node = cell.node
        if node.result is not None and self._keeper.is_written(node.result):
            try:
                self._objects.load(cell)
                return
            except StoreError as error:
                self._warn(f"load:{node.key}", f"{error} {node.spec.name} is fetched from its worker.")
        self._objects.take_over(node, self._engine.fetch(node))

    def not_loaded(self, node: Node, error: StoreError) -> None:
        """Take note of a node whose stored result cannot be read: it is computed instead."""
        if not isinstance(error, NotKeptError):
            self._warn(f"load:{node.key}", f"{error} {node.spec.name} is computed again.")
        with self.lock:
            node.lost = node.wanted = True
            replan(self._world, [node])

    def settle(self, node: Node) -> Steps[None]:
        """Make a provisional standing definite by computing the original parents it hangs on."""
        open_ones = self._world.unsettled_for(node) if node.provisional and not node.started else []
        for one in (*open_ones, node):
            while one.provisional and not one.started:
                waiting = [p for p in one.parents if p.original and not p.failed]
                for parent in waiting:
                    yield from self.attempt(parent, self._compute_with_needs(parent))
                self.reclassify(one)
                if not waiting:
                    break

    def verify_ancestors(self, node: Node) -> Steps[None]:
        """Compute the ancestors that are to be computed anyway and are not known to repeat themselves.

        So a stored result is never mixed with another outcome of what it was made from.
        """
        clearing = self._world.clearing
        while True:
            with self.lock:
                above = clearing.open_above(node)
            if not above:
                return
            for ancestor in above:
                if clearing.is_open(ancestor):  # what was computed meanwhile may have changed the plan
                    yield from self.attempt(ancestor, self._compute_with_needs(ancestor))

    def deferrable(self, node: Node) -> bool:
        """Return whether the node's value need not be there yet: it can be loaded, or still be computed later.

        A file may have other content later, and an object that the flow body has may be changed.
        """
        if node.original:
            return False
        could_freeze = freeze(node)
        if self._world.loadable(node):
            return True
        stored = self._keeper.loadable
        safe = all(not e.cell.exposed or (e.node.result and stored(e.node.result)) for e in node.edges)
        return could_freeze and safe and not any(any(files(value)) for value in node.parameters.values())

    def reclassify(self, node: Node) -> None:
        """Find out anew what a node is, now that more is known of its parents, and plan for it."""
        with self.lock:
            self._world.classify(node)
            replan(self._world, [node])

    # -- compute -------------------------------------------------------------------------------------------------

    def _compute_with_needs(self, node: Node) -> Steps[None]:
        """Have a node computed, and before it all that it needs."""
        if not node.started:
            for parent in self.needed(node):
                yield from self.settle(parent)
                if parent.original or parent.decision is Decision.COMPUTE:
                    yield from self.attempt(parent, self.compute(parent))
        yield from self.compute(node)

    def attempt(self, node: Node, compute: Steps[None]) -> Steps[None]:
        """Have a node computed for others; if its task fails, Prefect tells who takes its value."""
        try:
            yield from compute
        except Exception:
            if node.error is not None or not node.failed:
                raise

    def compute(self, node: Node) -> Steps[None]:
        """Have a node computed: here, unless somebody else is at it, or another run is and its result can be had."""
        if self._waiting is not None and self._may_wait(node):
            yield Do(partial(self._wait_for_others, node, self._waiting), idle=True)
            if not (node.original or node.started):
                return
            if node.started and node.settled.is_set():  # another thread was quicker
                self._waiting.release(node)
        if not node.started:
            for awaited in filter(is_open, node.awaited):
                if awaited.started:
                    yield from self.attempt(awaited, self.compute(awaited))
                else:
                    yield Wait(awaited)
        if not node.started and self.is_long(node):
            yield Do(self._keeper.flush)  # before it is claimed: others wait for what is
        if self.claim(node) or self._take_back(node):
            yield from self._compute_here(node)
        yield Wait(node)

    def _compute_here(self, node: Node) -> Steps[None]:
        with self.failing(node):
            self.prepare(node)
        yield Compute(node)

    def _take_back(self, node: Node) -> bool:
        with self.lock:
            node.missed = not node.handed_over
        return self._engine.take_back(node)

    def handed_over(self, node: Node) -> None:
        """Take note that the task runner was given a node.

        Its only thread may have come to wait for the node before there was anything to take back, so that nobody would
        ever compute it: it is computed here then.
        """
        with self.lock:
            node.handed_over = True
        if node.missed and self._engine.take_back(node):
            self.now(self.attempt(node, self._compute_here(node)))

    def _may_wait(self, node: Node) -> bool:
        """Return whether another run may be computing the same, and that for so long that it is worth a look."""
        return node.original and not (node.started or node.by_digest or node.submitted) and self.is_long(node)

    def _wait_for_others(self, node: Node, waiting: Waiting) -> None:
        found = waiting.claim(node)
        with self.lock:
            for trace in found:
                if trace not in self._world.candidates(node):  # another call may have waited for it as well
                    self._world.history.add(trace)
            if found and not node.started:
                self._world.classify(node)
                replan(self._world, [node, *(child for child, _ in self._world.spread(node))])

    def needed(self, node: Node) -> list[Node]:
        """Plan for a node that is to compute, and return what has to be computed for it, parents before children."""
        with self.lock:
            self._world.decide(node, Decision.COMPUTE)
            if any(not e.cell.present and e.node.decision in (None, Decision.PRUNE) for e in node.edges):
                node.wanted = True
                replan(self._world, [node])
            return self._world.to_compute_for(node)

    def claim(self, node: Node) -> bool:
        """Return whether it is for the caller to compute the node; nobody else will."""
        with self.lock:
            if node.started:
                return False
            node.started, node.handed_over, node.missed = True, False, False
            node.settled.clear()
            self._memory.take(node)
            self._computing.add(node.key)
            return True

    def prepare(self, node: Node) -> None:
        """Get a node ready to compute."""
        node.reason = node.reason or self._world.reason(node)
        self._observer.check_arguments(node)

    def is_long(self, node: Node) -> bool:
        """Return whether computing a node may take so long that what is finished is made safe before."""
        estimate_us = self._world.expected_compute_us(node)
        return estimate_us is not None and estimate_us > LONG_US

    @contextlib.contextmanager
    def failing(self, node: Node) -> Iterator[None]:
        """Take note of a node that could not be computed, whatever stopped it; see `Session.failing`."""
        try:
            yield
        except BaseException as error:
            if not node.settled.is_set():
                self.fail(node, error)
            raise

    # -- the end of a node ---------------------------------------------------------------------------------------

    def fail(self, node: Node, error: BaseException | None = None, told: str = "") -> None:
        """Take note of a node whose task failed; see `Session.fail`."""
        with self.lock:
            node.failed, node.decision, node.error = True, Decision.COMPUTE, error
            node.failure = hash_parts("failed", told or repr(error))
            if not node.done:  # what it has are the times of an earlier run
                node.compute_us = node.computed_at_us = None
            trace = self._world.facts(node)
            replan(self._world, [node, *(child for child, _ in self._world.spread(node))])
        self._keeper.record(trace)
        self.ended(node)

    def ended(self, node: Node) -> None:
        """Take note of a node that was computed, or failed."""
        try:
            if self._waiting is not None:
                self._waiting.release(node)
            self._settled(node)
            with self.lock:
                self._memory.tidy()
                self._memory.ended(node)
        finally:
            with self._idle:
                self._computing.discard(node.key)
                self._idle.notify_all()

    def mark_settled(self, node: Node) -> bool:
        """Let everybody who waits for a node know that nobody has to; return whether that is so."""
        with self.lock:
            if node.started and not (node.done or node.failed):
                return False  # whoever computes it by now will tell when it has ended
            node.settled.set()
            watchers, node.watchers = node.watchers, []
        for watcher in watchers:
            self._tell(watcher, node)
        return True

    def _tell(self, watcher: Callable[[], None], node: Node) -> None:
        """Call who wants to be told of a node: code of the user, whose errors are nobody else's."""
        try:
            watcher()
        except Exception as error:
            self._warn(
                f"callback:{node.key}",
                f"A callback of {node.spec.name} failed, and the run goes on: {type(error).__name__}: {error}",
            )

    def when_settled(self, node: Node, then: Callable[[], None]) -> None:
        """Call `then` once, as soon as nobody has to wait for the node any more."""
        with self.lock:
            if not node.settled.is_set():
                node.watchers.append(then)
                return
        self._tell(then, node)

    def abandon(self) -> None:
        """Give up what the task runner has not begun, as Prefect does when a flow fails.

        What is in one of its threads by now and waits for its inputs there does not begin when it has them.
        """
        left = [node for node in self._world.called if node.submitted and not node.settled.is_set()]
        for node in left:
            node.given_up = True
        for node in left:
            if self.claim(node) or self._engine.give_up(node):
                self.fail(node)

    def wait_until_idle(self) -> None:
        """Wait for what is computing."""
        with self._idle:
            self._idle.wait_for(lambda: not self._computing)


def is_open(node: Node) -> bool:
    """Return whether a node computes, or it is not known yet whether it will."""
    return (node.started or node.submitted) and not node.settled.is_set()


def freeze(node: Node) -> bool:
    """Keep the node's literal arguments as they are now; return whether that could be done."""
    fixed = frozen(node.parameters)
    if fixed is not None:
        node.parameters = fixed
    return fixed is not None
