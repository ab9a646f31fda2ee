"""One flow run: calls come in, values go out, and what is learned on the way is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from prefect_helix.core.errors import NondeterministicTaskError, StoreError
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Run, RunStatus
from prefect_helix.runtime.appraisal import Appraiser
from prefect_helix.runtime.arguments import Given, bind
from prefect_helix.runtime.closing import close, code_of
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.computing import Engine, Repeater
from prefect_helix.runtime.dispatcher import Dispatcher
from prefect_helix.runtime.doubts import Doubts
from prefect_helix.runtime.execution import Account
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.memory import Memory
from prefect_helix.runtime.nodes import ABSENT, Cell, Node, Standing, Way
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.observation import Observer
from prefect_helix.runtime.planning import demand, replan
from prefect_helix.runtime.results import describe
from prefect_helix.runtime.sampling import Sampler
from prefect_helix.runtime.scheduler import Scheduler, freeze
from prefect_helix.runtime.shelving import Put
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.runtime.steps import Do, Steps, walk_async
from prefect_helix.runtime.waiting import Waiting
from prefect_helix.runtime.world import World

WRITING = "writing results"


class Session:
    """What a flow, its tasks and the engine that computes them see of one flow run.

    Args:
        head: What is known of the run at its start.
        prior: The run that it is compared with; None if there is none.
        world: Its nodes, with what is expected of them.
        keeper: The store.
        appraiser: Knows what results are worth.
        engine: What computes.
        repeater: What computes reused results again.
        warn: Called with a key and a sentence for whatever goes wrong; the same key is told once.
        waiting: Waits for other runs; None where they are not waited for.
        verify: Share of the reused results that is computed again.

    Attributes:
        logged: The metrics that the flow's body logged.
        contradictions: Why the run fails in any case: results that it has used do not go with others that it computed.
        sampler: Verifies them, once the run has finished; None if there are none to verify.
    """

    def __init__(
        self,
        head: Run,
        prior: Lineage | None,
        *,
        world: World,
        keeper: Keeper,
        appraiser: Appraiser,
        engine: Engine,
        repeater: Repeater,
        warn: Callable[[str, str], None],
        waiting: Waiting | None = None,
        verify: float = 0.0,
    ) -> None:
        self.head = head
        self._prior = prior
        self.world = world
        self.keeper = keeper
        self._appraiser = appraiser
        self.finished = False
        self.logged: dict[str, float] = {}
        self.contradictions: list[NondeterministicTaskError] = []
        self._engine = engine
        self.warn = warn
        self._value_code = ValueCode()
        self._objects = Objects(keeper.get, keeper.await_written, lambda cell: self.value(cell, exposed=True))
        self._observer = Observer(
            world, self._objects, keeper, appraiser, self._value_code, warn, verify=head.mode == "verify"
        )
        self._memory = Memory(world, self._objects, keeper)
        self._sampler = Sampler(
            head.run_id,
            verify,
            world=world,
            objects=self._objects,
            observer=self._observer,
            keeper=keeper,
            repeater=repeater,
            doubts=Doubts(head, world, keeper.catalog, warn),
            warn=warn,
        )
        self.sampler: Sampler | None = None
        self._lineage: Lineage | None = None
        self._scheduler = Scheduler(
            world,
            self._objects,
            self._observer,
            self._memory,
            keeper,
            engine,
            warn,
            lambda node: self._dispatcher.settled(node),
            waiting,
        )
        self._dispatcher = Dispatcher(world, self._scheduler, keeper, engine)

    @property
    def mismatched(self) -> Sequence[str]:
        """Tasks that gave another result than was recorded for the same code and inputs."""
        return self._observer.mismatched

    @property
    def differences(self) -> Sequence[str]:
        """How their results differ, in mode ``verify``."""
        return self._observer.differences

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
            self.warn(f"{spec.key}:{note}", note)
        edges, arguments = bind(spec, given, self.head.parameters, self._value_code, self.warn)
        parameters = {name: one.value for name, one in given.items()}
        with self._scheduler.lock:
            node, changed = self.world.call(spec, parameters, edges, tuple(wait_for), arguments)
            node.entry = self.way(node.cell())
            node.given = tuple(dict.fromkeys(cell for one in given.values() for cell in one.cells))
            self._memory.take(node)
            self._memory.tidy()
            entered(node)
            node.submitted, node.started_us = submitted, now_us()
            if node.prior is None:
                self.keeper.expect(self._appraiser.step(node))
            if node.standing is Standing.ORIGINAL and not spec.lazy and not self.world.expecting:
                self.world.decide(node, Decision.COMPUTE)  # there is nothing to choose
                changed = [one for one in changed if one is not node]
            if changed:
                replan(self.world, changed)
            return node

    def way(self, cell: Cell) -> Way:
        """Return what keeps the object of a cell within reach of the flow, as long as it is held."""
        return self._objects.way(cell)

    def handed_out(self, node: Node) -> None:
        """Take note that the flow has what a call gives back: its value is kept for who has a way to it."""
        with self._scheduler.lock:
            node.entry = None
            self._memory.tidy()

    def reference(self, value: Any) -> Cell | None:
        """Return the cell of an object that this run made and nobody changed since; None for any other object."""
        cell = self._objects.reference(value)
        return cell if cell is not None and cell.node in self.world else None

    def maker(self, value: Any) -> Cell | None:
        """Return the cell whose object `value` is a part of, if its own digest does not tell what it is."""
        cell = self._objects.maker(value)
        return cell if cell is not None and cell.node in self.world else None

    def deliver(self, node: Node) -> Any:
        """Return what a direct call gives back: the value if it is small, else a stand-in."""
        return self._scheduler.now(self._delivery(node))

    async def deliver_async(self, node: Node) -> Any:
        """Return what an awaited direct call gives back; see `deliver`."""
        return await walk_async(self._delivery(node), self._engine.arun, self.when_settled)

    def _delivery(self, node: Node) -> Steps[Any]:
        scheduler = self._scheduler
        yield from scheduler.settle(node)
        if node.original and node.spec.lazy and node.spec.returns is not None and freeze(node):
            return self._objects.stand_in(node.cell(), node.spec.returns)
        if not scheduler.deferrable(node) or (node.decision is Decision.COMPUTE and node.demanded):
            yield from scheduler.bring(node.cell())
        while True:
            if node.result is not None and node.result.leaves and not node.result.standin:
                yield from scheduler.verify_ancestors(node)
                node.opened = True
            if node.original:
                yield from scheduler.bring(node.cell())
            if not self._objects.stands_in(node):
                return (yield from self._valuation(node.cell(), exposed=True))
            try:
                return (yield Do(partial(self._objects.hand_out, node)))
            except StoreError as error:
                scheduler.not_loaded(node, error)
                yield from scheduler.bring(node.cell())

    def submit(self, node: Node) -> None:
        """Start a call made through a task runner, if it is to compute."""
        self._dispatcher.submit(node)

    def value(self, cell: Cell, *, exposed: bool = False) -> Any:
        """Return the object of a cell, loaded or computed as the plan says.

        Args:
            cell: Which.
            exposed: Whether the flow body, which may change it, will have it. A task gets what the node made, even
                if the flow body changed its own object since.
        """
        return self._scheduler.now(self._valuation(cell, exposed))

    async def value_async(self, cell: Cell, *, exposed: bool = False) -> Any:
        """Return the object of a cell to who awaits it; see `value`."""
        return await walk_async(self._valuation(cell, exposed), self._engine.arun, self.when_settled)

    def _valuation(self, cell: Cell, exposed: bool) -> Steps[Any]:
        node, way = cell.node, self.way(cell)
        if exposed:
            self.demand([node])
        while True:
            yield from self._scheduler.bring(cell)
            with self._scheduler.lock:
                value = cell.get()
                if value is not ABSENT:  # else it left memory in between, to be loaded again
                    node.used = True
                    if exposed:
                        self._objects.expose(cell)
                    break
        del way
        return self._objects.fresh(cell) if not exposed and self._objects.diverged(cell) else value

    def demand(self, nodes: Sequence[Node]) -> None:
        """Plan together for the values of `nodes`, which somebody outside of helix tasks needs."""
        with self._scheduler.lock:
            for node in nodes:
                node.demanded = node.asked = True
            demand(self.world, nodes)

    def require(self, node: Node) -> None:
        """Have a call computed, whatever is recorded of it."""
        with self._scheduler.lock:
            node.standing, node.trace, node.result = Standing.ORIGINAL, None, None
            self.world.decide(node, Decision.COMPUTE)
            replan(self.world, [node])

    def supply(self, nodes: Sequence[Node]) -> None:
        """Demand `nodes` together and start those that are to be computed."""
        self.demand(nodes)
        for node in nodes:
            self._scheduler.now(self._scheduler.settle(node))
            if node.original or node.decision is Decision.COMPUTE:
                self._dispatcher.start(node)

    def check_arguments(self, node: Node) -> None:
        """Make sure that a node that is computed late has the arguments it was called with; see `Observer`."""
        self._observer.check_arguments(node)

    def load(self, cell: Cell) -> None:
        """Load the object of a cell; raises `StoreError`."""
        self._objects.load(cell)

    def reach(self, cell: Cell, has: Callable[[Cell], bool], load: Callable[[Cell], None]) -> None:
        """Bring the object of a cell to where submitted nodes compute: it is loaded or computed there.

        Args:
            cell: Which.
            has: Whether it can be had there, or will be without anybody doing more for it.
            load: Loads it there; raises `StoreError`.
        """
        self._scheduler.now(self._scheduler.reach(cell, has, load))

    def when_settled(self, node: Node, then: Callable[[], None]) -> None:
        """Call `then` once, as soon as nobody has to wait for the node any more."""
        self._scheduler.when_settled(node, then)

    def finish(
        self,
        status: RunStatus,
        tell: Callable[[str], None] = lambda doing: None,
        without_task_run: Callable[[Sequence[Node]], Collection[str]] = lambda called: (),
    ) -> Lineage:
        """Wait for what is running, finish writing, and return the lineage, committed.

        Where a sample is to be verified, it is only journaled: `commit` commits it after that.

        Args:
            status: How the run ended.
            tell: Called with what is being done.
            without_task_run: Gives the keys of the calls that no task run shows.
        """
        tell(WRITING)
        if status != "completed":
            self._scheduler.abandon()
            self.keeper.end(status)  # whoever cancels a run may not wait for a task that cannot be stopped
        self._scheduler.wait_until_idle()
        if status == "completed" and self.contradictions:
            status = "failed"  # as the flow run is about to
        self.finished = True
        with self._scheduler.lock:
            self._memory.end()
        head = replace(self.head, metrics=self.logged)
        self._lineage = close(head, self._prior, self.world, self.keeper, status, now_us(), without_task_run)
        if status != "completed" or not self._sampler.choose():
            return self.commit()
        self.sampler = self._sampler
        self.keeper.secure(self._lineage)
        return self._lineage

    def commit(self) -> Lineage:
        """Commit the lineage, with what verifying a sample has shown so far, and return it."""
        lineage = self._lineage
        assert lineage is not None, "the run has finished"
        if self.sampler is not None:
            lineage = replace(lineage, run=replace(lineage.run, problems=self.sampler.settle()))
        self.keeper.commit(lineage, code_of(self.world))
        return lineage

    # -- what the engine tells -----------------------------------------------------------------------------------

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
        changed_inputs = self._observer.changed_inputs(node, value, described)  # it may read a lot: others go on
        with self._scheduler.lock:
            node.tainted = not reusable
            node.changed_inputs = changed_inputs
            if node.changed_inputs:
                self._objects.changed()
            self._objects.keep(node, value, described)
        pieces = {piece.name: piece for piece in described.pieces}

        def put(names: Collection[str]) -> None:
            for name in names:
                self.keeper.store.put_blob(pieces[name])

        sizes = {name: piece.size_bytes for name, piece in pieces.items()}
        self._note(node, Account(described.result, sizes, described.problem), compute_us, put, lambda: value)

    def observe_elsewhere(
        self,
        node: Node,
        account: Account,
        compute_us: int,
        changed: Sequence[str],
        put: Put | None,
        *,
        reusable: bool = True,
    ) -> None:
        """Take note of a value that was just computed on a worker, and stays there.

        Args:
            node: What was computed.
            account: What is known of the value.
            compute_us: How long its function took.
            changed: Parameters whose objects were changed there in place.
            put: Writes blobs of it into the store; None if the worker cannot.
            reusable: Whether it is what the task's code gives.

        Raises:
            NondeterministicTaskError: If it contradicts results that were already used.
        """
        with self._scheduler.lock:
            node.elsewhere, node.tainted = True, not reusable
            node.changed_inputs = tuple(changed)
        self._note(node, account, compute_us, put)

    def _note(
        self,
        node: Node,
        account: Account,
        compute_us: int,
        put: Put | None,
        value: Callable[[], object] | None = None,
    ) -> None:
        with self._scheduler.lock:
            contradicted = self._observer.note(node, account.result, compute_us, now_us())
            if contradicted:
                self.contradictions.append(NondeterministicTaskError(node.spec.name, contradicted))
            self._observer.tell(node, account.problem)
        self._observer.compare(node, value)
        self._observer.keep(node, account.sizes if put else {}, put or _nowhere)
        self._scheduler.ended(node)
        if contradicted:
            raise NondeterministicTaskError(node.spec.name, contradicted)

    def failing(self, node: Node) -> AbstractContextManager[None]:
        """Return a context that whoever computes a node does it in: whatever stops that, the node has failed."""
        return self._scheduler.failing(node)

    def fail(self, node: Node, error: BaseException | None = None, told: str = "") -> None:
        """Take note of a node whose task failed, or that could not be computed because of `error`.

        Args:
            node: The node.
            error: What stopped it, where its task did not run to its end.
            told: What the task told of its failure.
        """
        self._scheduler.fail(node, error, told)


def _nowhere(names: Collection[str]) -> None:
    """Write nothing, where there is nothing to write."""


def now_us() -> int:
    """Return the time since the epoch in microseconds."""
    return time.time_ns() // 1000
