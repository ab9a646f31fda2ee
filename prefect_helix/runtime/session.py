"""One flow run: calls come in, values go out, and what is learned on the way is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from prefect_helix.core.errors import (
    FileChangedError,
    HelixError,
    NondeterministicTaskError,
    StoreError,
    UndigestibleError,
)
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, Result, Run, RunStatus, Trace
from prefect_helix.core.materialization import Candidate
from prefect_helix.runtime.arguments import Given, bind, files, frozen, immutable, literal_digest, metrics
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Cell, Node, Standing, TaskSpec
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.results import Described, describe
from prefect_helix.runtime.world import World

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


class UpstreamFailedError(HelixError):
    """A value was asked for whose task failed in this run.

    Args:
        task: Name of the task.
    """

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"Task {task!r} failed in this run, so its result cannot be used.")


class Session:
    """Everything that is decided in one flow run.

    Args:
        head: What is known of the run at its start.
        world: Its nodes, with what is expected of them.
        keeper: The store.
        engine: What computes.
        warn: Called with a key and a sentence for whatever goes wrong; the same key is told once.
        priors: Traces of the run that this one is compared with.
    """

    def __init__(
        self,
        head: Run,
        *,
        world: World,
        keeper: Keeper,
        engine: Engine,
        warn: Callable[[str, str], None],
        priors: Sequence[Trace] = (),
    ) -> None:
        self.head = head
        self.world = world
        self.keeper = keeper
        self.mismatched: list[str] = []
        self.finished = False
        self._engine = engine
        self._warn = warn
        self._priors = priors
        self._objects = Objects(keeper.get, lambda cell: self.value(cell, exposed=True))
        self._value_code = ValueCode()
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._computing = 0

    # -- what the flow does --------------------------------------------------------------------------------------

    def call(
        self, spec: TaskSpec, given: Mapping[str, Given], wait_for: Iterable[Node] = (), *, submitted: bool = False
    ) -> Node:
        """Enter a call of a helix task and find out what it is.

        Raises:
            UnhashableArgumentError: If an argument has no digest.
        """
        with self._lock:
            edges, arguments = bind(spec, given, self.head.parameters, self._value_code)
            parameters = {name: one.value for name, one in given.items()}
            node, departed = self.world.call(spec, parameters, edges, tuple(wait_for), arguments)
            node.submitted, node.started_us = submitted, now_us()
            if departed or node.decision is None:
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
        if node.original or node.decision is Decision.COMPUTE or not (self.world.loadable(node) or self._freeze(node)):
            self._bring(node.cell())
        while True:
            try:
                return self._objects.hand_out(node)
            except StoreError as error:
                self._not_loaded(node, error)
                self._bring(node.cell())

    def submit(self, node: Node) -> None:
        """Start a call made through a task runner, if it is to compute.

        While it depends on parents that compute whether it is original, those are started and it waits for them.
        """
        if node.standing is Standing.PROVISIONAL:
            waiting = [p for p in node.parents if p.original and not p.failed]
            for parent in waiting:
                self._start_or_compute(parent)
            if any(not (p.done or p.failed) for p in waiting):
                return
            self._reclassify(node)
        if node.decision is Decision.COMPUTE or (node.original and not node.spec.lazy):
            self._start(node)
        else:
            self._mark_settled(node)

    def supply(self, nodes: Sequence[Node]) -> None:
        """Demand `nodes` together and start those that are to be computed."""
        self.demand(nodes)
        for node in nodes:
            self._settle(node)
            if node.original or node.decision is Decision.COMPUTE:
                self._start_or_compute(node)

    def when_settled(self, node: Node, then: Callable[[], None]) -> None:
        """Call `then` once, as soon as nobody has to wait for the node any more."""
        with self._lock:
            if not node.settled.is_set():
                node.watchers.append(then)
                return
        then()

    def wait(self, node: Node, timeout: float | None = None) -> bool:
        """Wait until a submitted node is computed, has failed, or turned out not to compute; return whether it has."""
        return node.settled.wait(timeout)

    def value(self, cell: Cell, *, exposed: bool = False) -> Any:
        """Return the object of a cell, loaded or computed as the plan says.

        Args:
            cell: Which.
            exposed: Whether the flow body, which may change it, will have it.
        """
        if exposed:
            self.demand([cell.node])
        self._bring(cell)
        cell.node.used = True
        if exposed:  # who has one part may change it, and with it the whole
            for part in cell.node.cells.values():
                part.exposed = True
        return cell.value

    def demand(self, nodes: Sequence[Node]) -> None:
        """Plan together for the values of `nodes`, which somebody outside of helix tasks needs."""
        with self._lock:
            for node in nodes:
                node.demanded = True
            if any(node.decision in (None, Decision.PRUNE) and not node.done for node in nodes):
                self.world.plan()

    def finish(self, status: RunStatus) -> Lineage:
        """Wait for what is running, finish writing, commit the lineage and return it."""
        with self._idle:
            self._idle.wait_for(lambda: not self._computing)
        self.finished = True
        self.keeper.drain()
        traces = tuple(self._final(node) for node in self.world.called)
        lineage = Lineage(
            replace(
                self.head,
                status=status,
                finished_us=now_us(),
                scratch_us=sum(trace.compute_us or 0 for trace in traces),
                metrics=metrics(traces),
            ),
            traces,
        )
        self.keeper.commit(lineage, self._new_code())
        return lineage

    def _new_code(self) -> dict[str, dict[str, Any]]:
        codes = [node.spec.code for node in self.world.called if node.done]
        return {code.hash: {"components": [asdict(part) for part in code.components]} for code in codes}

    def _final(self, node: Node) -> Trace:
        if not node.started:
            loaded = any(cell.present for cell in node.cells.values())
            node.decision = Decision.LOAD if loaded else Decision.PRUNE
        if not node.reason:
            if node.original:
                node.reason = "nothing needs it"
            elif node.decision is Decision.LOAD:
                node.reason = "nothing changed, and its value is needed"
            else:
                node.reason = "nothing changed, and nothing needs its value"
        stored = node.result is not None and self.keeper.loadable(node.result)
        return replace(self.world.facts(node), stored=stored)

    # -- demand --------------------------------------------------------------------------------------------------

    def _bring(self, cell: Cell) -> None:
        """Make the object of a cell present: load or compute it, whatever it takes."""
        node = cell.node
        while not cell.present:
            if node.failed:
                raise UpstreamFailedError(node.spec.name)
            if node.done:
                raise NondeterministicTaskError(node.spec.name, [node.spec.name])
            self._settle(node)
            if node.original or node.started:
                self._await(node)
                continue
            if node.decision in (None, Decision.PRUNE):
                self.demand([node])
            self._verify_ancestors(node)
            if node.original or node.decision is not Decision.LOAD:
                self._await(node)
                continue
            try:
                self._objects.load(cell)
            except StoreError as error:
                self._not_loaded(node, error)

    def _not_loaded(self, node: Node, error: StoreError) -> None:
        self._warn(f"load:{node.key}", f"{error} {node.spec.name} is computed again.")
        with self._lock:
            node.demanded = True
            self.world.plan()

    def _settle(self, node: Node) -> None:
        """Make a provisional standing definite by computing the original parents it hangs on."""
        while node.standing is Standing.PROVISIONAL and not node.started:
            waiting = [p for p in node.parents if p.original and not p.failed]
            for parent in waiting:
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

    # -- compute -------------------------------------------------------------------------------------------------

    def _await(self, node: Node) -> None:
        """Compute a node, or wait until it is computed."""
        self._start_or_compute(node)
        node.settled.wait()

    def _start_or_compute(self, node: Node) -> None:
        if node.submitted:
            self._start(node)
        elif self._claim(node):
            self._prepared(node, self._engine.run)

    def _start(self, node: Node) -> None:
        if self._claim(node):
            self._prepared(node, self._engine.start)

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
            self._prepare(node)
            go(node)
        except BaseException:
            if not node.settled.is_set():
                self.fail(node)
            raise

    def _prepare(self, node: Node) -> None:
        """Have the inputs of a node that computes: what is to be computed is, what is to be loaded can be."""
        with self._lock:
            node.reason = node.reason or self._reason(node)
            if any(not e.cell.present and e.node.decision in (None, Decision.PRUNE) for e in node.edges):
                node.demanded = True
                self.world.plan()
        self._check_files(node)
        for edge in node.edges:
            parent = edge.node
            if not edge.cell.present and (parent.original or parent.decision is Decision.COMPUTE):
                self._start_or_compute(parent)
        estimate_us = self.world.history.costs.compute(node.spec.key, node.trace)
        if estimate_us is not None and estimate_us > LONG_US:
            self.keeper.flush()

    def _reason(self, node: Node) -> str:
        if node.trace is not None:
            return "nothing changed, but its result is not stored, or dearer to load than to compute"
        if self.head.mode != "auto":
            return f"mode {self.head.mode!r} computes every step"
        return self.world.explain(node, self._priors)

    def _check_files(self, node: Node) -> None:
        for argument in node.arguments:
            given = node.parameters.get(argument.parameter)
            for file in files(given):
                try:
                    same = literal_digest(given, self._value_code) == argument.digest
                except UndigestibleError:  # it is no longer there
                    same = False
                if not same:
                    raise FileChangedError(file.path, node.spec.name)

    def _freeze(self, node: Node) -> bool:
        """Make sure that the node can be computed later, from what it was given now."""
        fixed = frozen(node.parameters)
        if fixed is not None:
            node.parameters = fixed
        return fixed is not None

    # -- observe -------------------------------------------------------------------------------------------------

    def observe(self, node: Node, value: Any, compute_us: int) -> None:
        """Take note of a value that was just computed, before anybody else sees it.

        Raises:
            NondeterministicTaskError: If it contradicts results that were already used.
        """
        described = describe(value, self._value_code)
        with self._lock:
            earlier = node.result or self._recorded(node)
            node.done, node.decision, node.result = True, Decision.COMPUTE, described.result
            node.compute_us, node.computed_at_us = compute_us, now_us()
            self._objects.keep(node, value, described)
            node.changed_inputs = self._changed_inputs(node)
            if earlier is not None and earlier.digest not in (None, described.result.digest):
                self.mismatched.append(node.spec.name)
            contradicted = self._update_descendants(node)
            trace = self.world.facts(node)
            self.world.history.add(trace)
        self._tell(node, value, described)
        self._keep(node, trace, described)
        self._settled(node)
        if contradicted:
            raise NondeterministicTaskError(node.spec.name, contradicted)

    def fail(self, node: Node) -> None:
        """Take note of a node whose task failed."""
        with self._lock:
            node.failed, node.decision = True, Decision.COMPUTE
            trace = self.world.facts(node)
        self.keeper.record(trace)
        self._settled(node)

    def _recorded(self, node: Node) -> Result | None:
        """Return what the same call gave when it was last computed, for mode ``verify``."""
        if self.head.mode != "verify" or not node.spec.deterministic:
            return None
        same = self.world.history.candidates(node.spec.fingerprint, node.literals)
        links = tuple(edge.input().link() for edge in node.edges)
        return next((t.result for t in same if t.parents == links and t.decision is Decision.COMPUTE), None)

    def _update_descendants(self, node: Node) -> list[str]:
        """Classify again what rests on `node`; return the tasks whose used results no longer hold."""
        contradicted, changed = [], False
        for child in self.world.descendants(node):
            before = child.standing
            self.world.classify(child)
            changed = changed or child.standing is not before
            if before is Standing.EQUIVALENT and child.original and child.used:
                contradicted.append(child.spec.name)
        if changed:
            self.world.plan()
        return contradicted

    def _changed_inputs(self, node: Node) -> tuple[str, ...]:
        """Return the parameters whose objects the task changed in place, be they results of nodes or literals."""
        results = (e.parameter for e in node.edges if self._objects.diverged(e.cell, look=True))
        literals = (a.parameter for a in node.arguments if self._literal_changed(node, a))
        return tuple(dict.fromkeys((*results, *literals)))

    def _literal_changed(self, node: Node, argument: Argument) -> bool:
        value = node.parameters[argument.parameter]
        if argument.source == "file" or immutable(value):
            return False
        try:
            return literal_digest(value, self._value_code) != argument.digest
        except UndigestibleError:
            return True

    def _tell(self, node: Node, value: Any, described: Described) -> None:
        task, key = node.spec.name, node.spec.key
        for parameter in node.changed_inputs:
            self._warn(
                f"mutation:{key}:{parameter}",
                f"{task} changed its argument {parameter!r} in place. It is computed in every run, since later steps "
                "may rely on that. Work on a copy to have it skipped.",
            )
        if described.problem is not None:
            self._warn(f"unstorable:{key}", f"{described.problem} So {task} cannot be loaded, only computed again.")
        if value is None:
            self._warn(
                f"none:{key}",
                f"{task} returned None. A helix task is skipped when nothing changed, and whatever else it does is not "
                "done then; make it a plain @task if it has effects.",
            )
        if task in self.mismatched:
            self._warn(
                f"mismatch:{key}",
                f"{task} gave another result than before for the same code and inputs. Seed it, or declare it with "
                "@helix_task(deterministic=False).",
            )

    def _keep(self, node: Node, trace: Trace, described: Described) -> None:
        try:
            self._check_files(node)
        except FileChangedError as error:
            self._warn(f"file:{node.key}", f"{error} What was computed from it is not stored.")
            return
        costs = self.world.history.costs
        with self._lock:
            recreate_us = self.world.recreate_us(node)
        size_bytes = sum(piece.size_bytes for piece in described.pieces)
        candidate = Candidate(
            recreate_us=recreate_us,
            load_us=costs.load(described.result),
            write_us=costs.transfer(size_bytes, blobs=len(described.pieces)),
            size_bytes=size_bytes,
            choice=node.spec.materialize,
        )
        self.keeper.offer(trace, described.pieces, candidate)

    def _settled(self, node: Node) -> None:
        """Let everybody know that the node has ended, and start the submitted calls that waited for it."""
        self._mark_settled(node)
        for child in self.world.children(node):
            if child.submitted and child.called and not child.started:
                self.submit(child)
        with self._idle:
            self._computing -= 1
            self._idle.notify_all()

    def _mark_settled(self, node: Node) -> None:
        with self._lock:
            node.settled.set()
            watchers, node.watchers = node.watchers, []
        for watcher in watchers:
            watcher()


def now_us() -> int:
    """Return the time since the epoch in microseconds."""
    return time.time_ns() // 1000
