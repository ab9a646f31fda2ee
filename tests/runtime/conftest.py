"""A flow runner without Prefect: tasks are plain functions with a version we choose, bodies that run are logged."""

from __future__ import annotations

import inspect
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prefect_helix.core.digest import digest
from prefect_helix.core.fingerprint import Fingerprint
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage
from prefect_helix.core.materialization import POLICIES
from prefect_helix.runtime.arguments import Given, isolated
from prefect_helix.runtime.nodes import Cell, Node, Way
from prefect_helix.runtime.opening import Order, Warnings, look_ahead, open_session
from prefect_helix.runtime.session import Session
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.runtime.standin import is_stand_in, plain
from prefect_helix.storage.blob import Encoded
from prefect_helix.storage.store import Store, open_store

AMPLE_BYTES = 1 << 40


class Killed(BaseException):
    """The process of a run ends here."""


@dataclass
class LabTask:
    """A helix task whose code version and cost the test chooses."""

    lab: Lab
    fn: Callable[..., Any]
    name: str
    version: str = "1"
    cost_us: int = 10_000_000
    options: dict[str, Any] = field(default_factory=dict)

    def spec(self) -> TaskSpec:
        code = Fingerprint(f"{self.name}-{self.version}", (), ())
        return TaskSpec(self.name, f"lab:{self.name}", self.fn, code, **self.options)

    def edit(self, fn: Callable[..., Any] | None = None, *, version: str | None = None) -> None:
        """Change the code: what it does, or only its version."""
        self.fn = fn or self.fn
        self.version = version or f"{self.version}.1"

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = inspect.signature(self.fn).bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def __call__(self, *args: Any, wait_for: Any = (), **kwargs: Any) -> Any:
        run = self.lab.current
        if run is None:
            return self.fn(**_visit(self.bind(args, kwargs), _done_value))
        node = run.enter(self, self.bind(args, kwargs), wait_for, submitted=False)
        try:
            return run.session.deliver(node)
        finally:
            run.session.handed_out(node)

    def submit(self, *args: Any, wait_for: Any = (), **kwargs: Any) -> Any:
        run = self.lab.current
        if run is None:
            return Done(self(*args, **kwargs))
        node = run.enter(self, self.bind(args, kwargs), wait_for, submitted=True)
        future = Future(run, node, run.session.way(node.cell()))
        run.session.handed_out(node)
        run.session.submit(node)
        return future


@dataclass
class Done:
    """What `submit` gives outside of a run."""

    value: Any

    def result(self, timeout: float | None = None) -> Any:
        return self.value


@dataclass(eq=False)
class Future:
    """What `submit` gives in a run."""

    run: Run
    node: Node
    way: Way

    def __helix_handle__(self) -> Cell:
        return self.node.cell()

    def result(self, timeout: float | None = None) -> Any:
        session = self.run.session
        session.demand([self.node])
        if not self.node.settled.wait(timeout):
            raise TimeoutError
        error = self.run.errors.get(self.node.key)
        if error is not None:
            raise error
        return session.value(self.node.cell(), exposed=True)


class Pool:
    """Daemon threads, so that a deadlock fails its own test only."""

    def __init__(self, workers: int) -> None:
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[], None]) -> None:
        self._queue.put(job)

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)

    def join(self) -> None:
        """Wait until all has ended, once it is closed."""
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            job()


class Run:
    """One run of a flow: the engine, and afterwards what happened.

    Attributes:
        bodies: Names of the tasks whose functions ran, in their order.
        again: Names of those that ran once more, beside the run.
        loads: Blobs read, by name.
        most_bytes: The most that the store held after a result was written.
        value: What the flow returned, stand-ins resolved.
        lineage: What the run left; None if it was killed.
        warnings: What was told, by key.
    """

    apart = False

    def __init__(self, lab: Lab, workers: int) -> None:
        self.lab = lab
        self.session: Session
        self.bodies: list[str] = []
        self.again: list[str] = []
        self.loads: Counter[str] = Counter()
        self.most_bytes = 0
        self.errors: dict[str, BaseException] = {}
        self.escaped: list[BaseException] = []
        self.value: Any = None
        self.lineage: Lineage | None = None
        self.warnings: dict[str, str] = {}
        self.pool = Pool(workers)
        self._lock = threading.Lock()
        self._queued: set[str] = set()

    # -- Engine --------------------------------------------------------------------------------------------------

    def run(self, node: Node) -> None:
        try:
            for other in node.wait_for:
                if other.started:
                    other.settled.wait()
            arguments = _visit(dict(node.parameters), lambda x: self.session.value(x) if isinstance(x, Cell) else x)
            self.bodies.append(node.spec.name)
            value = node.spec.fn(**arguments)
        except BaseException as error:
            self.errors[node.key] = error
            self.session.fail(node)
            raise
        self.session.observe(node, value, self.lab.tasks[node.spec.name].cost_us)

    def start(self, node: Node) -> None:
        with self._lock:
            self._queued.add(node.key)

        def job() -> None:
            if not self.take_back(node):
                return
            try:
                self.run(node)
            except BaseException as error:
                if node.key not in self.errors:
                    self.escaped.append(error)

        self.pool.submit(job)

    def give_up(self, node: Node) -> bool:
        return self.take_back(node)

    def take_back(self, node: Node) -> bool:
        with self._lock:
            waited = node.key in self._queued
            self._queued.discard(node.key)
        return waited

    # -- Repeater ------------------------------------------------------------------------------------------------

    def may_repeat(self, node: Node) -> bool:
        return True

    def left_s(self) -> float | None:
        return self.lab.left_s

    def inputs(self, node: Node, load: Callable[[Cell], object]) -> Mapping[str, Any]:
        def own(value: Any) -> Any:
            whole = _visit(value, lambda x: load(x) if isinstance(x, Cell) else x)
            return whole if isinstance(value, Cell) else isolated(whole)

        return {name: own(value) for name, value in node.parameters.items()}

    def repeat(self, node: Node, arguments: Mapping[str, Any], timeout_s: float) -> object:
        self.again.append(node.spec.name)
        return node.spec.fn(**arguments)

    # -- calls ---------------------------------------------------------------------------------------------------

    def enter(self, task: LabTask, parameters: Mapping[str, Any], wait_for: Any, *, submitted: bool) -> Node:
        given = {name: self._given(value) for name, value in parameters.items()}
        waits = [cell.node for cell in self._given(list(wait_for)).cells]
        return self.session.call(task.spec(), given, waits, submitted=submitted)

    def _given(self, value: Any) -> Given:
        cells: list[Cell] = []
        makers: list[Cell] = []

        def replace(part: Any) -> Any:
            cell = self.session.reference(part)
            if cell is not None:
                cells.append(cell)
                return cell
            maker = self.session.maker(part)
            makers.extend([maker] if maker is not None else [])
            if isinstance(part, Future):  # somebody changed what it gave
                return part.result()
            return plain(part) if is_stand_in(part) else part

        return Given(_visit(value, replace), [*cells, *makers])

    def resolved(self, value: Any) -> Any:
        nodes: list[Node] = []

        def note(part: Any) -> Any:
            if is_stand_in(part) or isinstance(part, Future):
                nodes.append(part.__helix_handle__().node)
            return part

        def give(part: Any) -> Any:
            return part.result() if isinstance(part, Future) else plain(part) if is_stand_in(part) else part

        _visit(value, note)
        self.session.demand(nodes)
        return _visit(value, give)

    # -- afterwards ----------------------------------------------------------------------------------------------

    def decisions(self) -> dict[str, Decision]:
        assert self.lineage is not None
        return {trace.task: trace.decision for trace in self.lineage.traces}


class Lab:
    """A store, tasks, and runs of flows over them."""

    new_run = Run

    def __init__(self, url: str) -> None:
        self.url = url
        self.tasks: dict[str, LabTask] = {}
        self.current: Run | None = None
        self.wait_seconds = 0.0
        self.verify = 0.0
        self.left_s: float | None = None
        self._runs = 0

    @property
    def store(self) -> Store:
        return open_store(self.url)

    def task(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        version: str = "1",
        cost_us: int = 10_000_000,
        **options: Any,
    ) -> Any:
        """Make a task; one of the same name takes the place of the earlier one."""
        if fn is None:
            return lambda fn: self.task(fn, name=name, version=version, cost_us=cost_us, **options)
        made = LabTask(self, fn, name or fn.__name__, version, cost_us, options)
        self.tasks[made.name] = made
        return made

    def run(
        self,
        flow: Callable[..., Any],
        *,
        mode: str = "auto",
        policy: str = "always",
        budget: int = AMPLE_BYTES,
        workers: int = 4,
        **parameters: Any,
    ) -> Run:
        """Run a flow; raises what it raises."""
        with self.open(flow.__name__, parameters, mode=mode, policy=policy, budget=budget, workers=workers) as run:
            run.value = run.resolved(flow(**parameters))
        return run

    @contextmanager
    def open(
        self,
        flow: str,
        parameters: Mapping[str, Any],
        *,
        mode: str = "auto",
        policy: str = "always",
        budget: int = AMPLE_BYTES,
        workers: int = 4,
    ) -> Iterator[Run]:
        run = self.new_run(self, workers)
        self._runs += 1
        warn = Warnings(logging.getLogger("lab"), run.warnings)
        order = Order(
            f"run{self._runs}",
            flow,
            flow,
            parameters,
            mode,
            POLICIES[policy],
            budget,
            spec_of=self._spec_of,
            wait_seconds=self.wait_seconds,
            verify=self.verify,
        )
        store = self.store
        get_blob, put_blob = store.get_blob, store.put_blob

        def weighed(encoded: Encoded) -> None:
            put_blob(encoded)
            run.most_bytes = max(run.most_bytes, sum(store.blobs().values()))

        def counted(name: str) -> object:
            run.loads[name] += 1
            return get_blob(name)

        store.get_blob, store.put_blob = counted, weighed  # type: ignore[method-assign]
        run.session = open_session(look_ahead(store, order, warn), run, run, warn)
        self.current = run
        try:
            yield run
            if run.escaped:
                raise run.escaped[0]
        except Killed:
            pass
        except Exception:
            run.lineage = run.session.finish("failed")
            raise
        else:
            run.lineage = run.session.finish("completed")
            if run.session.sampler is not None:
                run.session.sampler.verify()
                run.lineage = run.session.commit()
        finally:
            self.current = None
            run.pool.close()

    def scratch(self, flow: Callable[..., Any], **parameters: Any) -> Any:
        """What the flow returns with every body run, as if there were no helix."""
        return _visit(flow(**parameters), _done_value)

    def _spec_of(self, key: str, name: str) -> TaskSpec | None:
        task = self.tasks.get(name)
        return task.spec() if task is not None else None

    def kill(self, run: Run) -> None:
        """End a run as if its process were killed once everything finished is safe; call it inside `open`."""
        run.session.keeper.flush()
        raise Killed

    def damage_blob(self, name: str) -> None:
        """Flip a bit in a stored result."""
        path = Path(self.url) / "blobs" / name[:2] / name
        data = bytearray(path.read_bytes())
        data[-100] ^= 1
        path.write_bytes(data)

    def blob_bytes(self) -> int:
        return sum(self.store.blobs().values())


def _done_value(part: Any) -> Any:
    return part.value if isinstance(part, Done) else part


def _visit(value: Any, visit: Callable[[Any], Any]) -> Any:
    """Apply `visit` to all parts of nested lists, tuples and dicts; containers stay where nothing changes."""
    found = visit(value)
    if found is not value or is_stand_in(value) or type(value) not in (list, tuple, dict):
        return found
    parts = list(value.values()) if type(value) is dict else list(value)
    new = [_visit(part, visit) for part in parts]
    if all(a is b for a, b in zip(parts, new, strict=True)):
        return value
    return dict(zip(value, new, strict=True)) if type(value) is dict else type(value)(new)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """An empty store and no tasks."""
    return Lab(str(tmp_path / "store"))


@pytest.fixture
def same() -> Callable[[Any, Any], bool]:
    """Whether two values are equal, bit for bit."""
    return lambda one, other: digest(one) == digest(other)
