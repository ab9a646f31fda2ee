"""The engine for task runners whose workers keep values: Dask's and Ray's.

What travels through the flow's process are futures, and accounts of what they stand for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.tasks import Task
from prefect.utilities.annotations import allow_failure

from prefect_helix.core.errors import BlobMissingError, NotStorableError, StoreError, UpstreamFailedError
from prefect_helix.core.lineage import Result
from prefect_helix.elsewhere import ApartEngine
from prefect_helix.engine import Call, Dependencies, Submit
from prefect_helix.futures import failed
from prefect_helix.inputs import Handle, Inputs, Luggage
from prefect_helix.runtime.nodes import Cell, Node
from prefect_helix.runtime.results import SMALL_BYTES
from prefect_helix.runtime.scheduler import freeze, is_open
from prefect_helix.storage.store import Store
from prefect_helix.visiting import cells_in, visit
from prefect_helix.workers import (
    Outcome,
    PlainResult,
    check_there,
    describe_there,
    digest_there,
    load_there,
    loaded_there,
    pick_there,
    store_there,
    value_of,
    waited_there,
)


class Cluster(Protocol):
    """Workers that keep values: Dask's or Ray's.

    Attributes:
        shares_objects: Whether tasks on one worker are given the same objects, which one may change for another.
    """

    shares_objects: bool

    def luggage(self) -> Luggage | None:
        """Return what takes the arguments that a call brings along; None if they are read as the call is submitted."""

    def open(self) -> None:
        """Make sure that there are workers; called where the flow first needs them, before anything else."""

    def call(self, function: Callable[..., Any], *args: Any) -> Handle:
        """Have a function called on a worker, as a task; handles among its arguments become their values."""

    def look(self, handle: Handle, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function gives of a value, once there is one, where it is; no task has to end for that.

        Raises what became of the value, if there is none, and what the function raises.
        """

    def ask(self, process: str, handles: Sequence[Handle], function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function gives of values in that process of a worker, as `look`; None if it is gone.

        None stands for values that are not there.
        """

    def take(self, handle: Handle) -> Any:
        """Return a value, or raise what its function raised or what became of its worker."""

    def put(self, value: Any) -> Handle:
        """Bring a value to the workers."""

    def then(self, handle: Handle, done: Callable[[], object]) -> None:
        """Call `done` once there is a value or an error, without bringing it here."""

    def future(self, task_run_id: UUID, handle: Handle) -> PrefectFuture[Any]:
        """Return a future of the task runner's own kind for the state of a task run."""

    def has(self, future: PrefectFuture[Any]) -> bool:
        """Return whether a future is one of the task runner's own kind."""

    def cancel(self, handle: Handle) -> None:
        """Cancel a call that has not begun."""


class ClusterEngine(ApartEngine):
    """Computes submitted nodes on the workers of a cluster, where their values stay.

    Args:
        submit: The task runner's own.
        cluster: Its workers.
    """

    def __init__(self, submit: Submit, cluster: Cluster) -> None:
        super().__init__(submit)
        self._cluster = cluster
        # Of what is copied on its way, the copy counts: it may lie in memory otherwise, and nobody can change it.
        self.describes_there = cluster.shares_objects
        self._places: dict[str, Future[Handle]] = {}  # of the states that nodes end in, with their values
        self._loads: dict[Cell, Future[Handle | None]] = {}
        self._sent: dict[Cell, Handle] = {}
        self._parts: dict[Cell, Handle] = {}
        self._lock = threading.RLock()
        self._cannot_share = False

    # -- Engine --------------------------------------------------------------------------------------------------

    def start(self, node: Node) -> None:
        """Hand `node` to the workers, as soon as they have its inputs or will have them."""
        self._cluster.open()
        place: Future[Handle] = Future()
        self._places[node.key] = place
        if self._is_ready(node):
            self._hand_over(node, place)
        else:
            freeze(node)  # the flow goes on meanwhile, and may change them
            self._threads.submit(self._hand_over, node, place, late=True)

    def give_up(self, node: Node) -> bool:
        """Cancel a node; what a worker is at goes on there, as when Prefect leaves it."""
        call, place = self.calls[node.key], self._places.get(node.key)
        if place is None or not self._is_first(call):
            return False
        if place.done() and place.exception() is None:
            self._cluster.cancel(place.result())
        return True

    def fetch(self, node: Node) -> object:
        """Return the value of a node from the worker that has it."""
        return value_of(self._cluster.take(self._places[node.key].result()))

    def submit_plainly(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any, dependencies: Dependencies | None
    ) -> Any:
        """Submit a task that has no node, with the results of helix tasks that it takes."""
        assert self._submit is not None, "the task runner was adopted"
        self._cluster.open()
        self._supply(parameters)
        sent = {name: self._given_there(value, name, Inputs(), None) for name, value in parameters.items()}
        return self._submit(task, sent, self._waited_there(wait_for), self._edges(parameters, dependencies))

    # -- the way there -------------------------------------------------------------------------------------------

    def _is_ready(self, node: Node) -> bool:
        """Return whether handing a node over takes no wait."""
        tree = self.replaced(dict(node.parameters), lambda cell: cell)
        if any(is_open(cell.node) for cell in cells_in(tree, allowed=True)):
            return False  # whether they fail decides what is given
        cells = cells_in(tree)
        places = [self._places.get(cell.node.key) for cell in cells]
        handed_over = all(place is None or place.done() for place in places)
        return handed_over and all(map(self._has, cells)) and not any(one.provisional for one in node.wait_for)

    def _hand_over(self, node: Node, promise: Future[Handle], *, late: bool = False) -> None:
        call = self.calls[node.key]
        inputs = Inputs()
        try:
            for waited in node.wait_for:
                if waited.provisional:
                    waited.settled.wait()
            luggage = self._cluster.luggage()
            given = partial(self._given_there, inputs=inputs, luggage=luggage)
            parameters = {name: given(value, name) for name, value in node.parameters.items()}
            waits = self._waited_there(call.wait_for)
            if call.taken_back:
                promise.cancel()
                return
            if luggage is not None:
                luggage.pack()
            if late:  # what is looked at is what was copied, or newer
                self.session.check_arguments(node)
            place = self._submitted(node, call, parameters, waits)
        except BaseException as error:
            promise.set_exception(error)
            if not call.taken_back:
                self._crashed(node, error)
            if not isinstance(error, Exception):
                raise  # this may be the flow's own thread, which somebody wants to end
            return
        promise.set_result(place)
        self._cluster.then(place, partial(self._threads.submit, self._back, node, place, inputs))

    def _submitted(self, node: Node, call: Call, parameters: dict[str, Any], waits: Any) -> Handle:
        assert self._submit is not None, "a call was submitted"
        edges = self._edges(node.parameters, call.dependencies)
        future: Any = call.context.copy().run(self._submit, self._timed(node, call.task), parameters, waits, edges)
        node.task_run_id = str(future.task_run_id)
        return future.wrapped_future

    def _back(self, node: Node, place: Handle, inputs: Inputs) -> None:
        """Take note of what became of a node."""
        call = self.calls[node.key]
        if call.taken_back:
            return
        try:
            outcome: Outcome = self._cluster.look(place, describe_there)
            for edge in node.edges:  # so that whoever makes the same calls once more finds all of them known
                if edge.node.started:
                    edge.node.settled.wait()
        except BaseException as error:
            self._crashed(node, error)
            return
        try:
            self._note(node, call, place, outcome, inputs)
        except BaseException as error:
            self._escaped(node, error)

    def _note(self, node: Node, call: Call, place: Handle, outcome: Outcome, inputs: Inputs) -> None:
        call.state, node.metrics = outcome.state, outcome.metrics
        self._tell_difference(node, outcome.differs)
        if outcome.account is not None:
            put = None if self._is_unshared() else lambda names: self._put(place, names)
            changed = tuple(dict.fromkeys(inputs.parameters[index] for index in self._changed(outcome, inputs)))
            reusable = not outcome.differs
            self.session.observe_elsewhere(node, outcome.account, outcome.elapsed_us, changed, put, reusable=reusable)
            if outcome.account.result.inline is not None and not outcome.account.result.leaves:
                self.session.load(node.cell())  # it came along with the account
                del self._places[node.key]  # or Dask would compute it again if its worker is lost
        elif outcome.state is not None and outcome.state.is_completed():
            call.returned = outcome.state if outcome.given_back else None
            self.session.observe(node, value_of(outcome.state), outcome.elapsed_us, reusable=False)
        else:
            self._failed(node, outcome.state)

    def _changed(self, outcome: Outcome, inputs: Inputs) -> Sequence[int]:
        """Return the positions of inputs whose objects were changed in place where the node was computed."""
        process, handles = outcome.process, inputs.handles
        if not (self._cluster.shares_objects and process and handles):
            return ()
        found = self._cluster.ask(process, handles, check_there, inputs.made())
        return range(len(handles)) if found is None else found

    # -- inputs --------------------------------------------------------------------------------------------------

    def _given_there(
        self, value: Any, parameter: str, inputs: Inputs, luggage: Luggage | None, *, allowed: bool = False
    ) -> Any:
        """Return an argument as a worker takes it: results that are on the cluster as futures.

        Dask looks for futures in the built-in containers only, and takes annotations apart; what is in anything else
        goes there by value, and failures that are allowed for go as what failed.
        """
        if isinstance(value, allow_failure):
            value, allowed = value.unwrap(), True
        cell = value if isinstance(value, Cell) else self.session.reference(value)
        if cell is not None and allowed and self._has_failed(cell.node):
            return self._failure(cell.node)
        if cell is not None:
            return self._cell_there(cell, parameter, inputs, luggage)
        given = partial(self._given_there, parameter=parameter, inputs=inputs, luggage=luggage, allowed=allowed)
        if type(value) in (list, tuple):
            return type(value)(map(given, value))
        if type(value) is dict:
            return {key: given(part) for key, part in value.items()}
        if isinstance(value, PlainResult):
            inputs.add(parameter, value.future.wrapped_future, value)
            return value.future
        brought = self.replaced(visit(value, _brought), lambda cell: self.session.value(cell))
        return brought if luggage is None else luggage.add(brought)

    def _cell_there(self, cell: Cell, parameter: str, inputs: Inputs, luggage: Luggage | None) -> Any:
        node = cell.node
        self.session.reach(cell, self._has, self._load)
        if node.failed:
            state = self.calls[node.key].state
            if state is None:
                raise node.error or UpstreamFailedError(node.spec.name)
            return state
        node.used = True
        promise = self._places.get(node.key)
        if promise is not None:
            handle = promise.result()
            if cell.leaf is not None:
                handle = self._part(cell, handle, cell.leaf)
        elif (loaded := self._loaded(cell)) is not None:
            handle = loaded
        else:
            value = self.session.value(cell)
            if self._is_small(cell):
                return value if luggage is None else luggage.add(value)
            with self._lock:
                if cell not in self._sent:
                    self._sent[cell] = self._cluster.put(value)
            handle = self._sent[cell]
        inputs.add(parameter, handle, cell)
        return self._cluster.future(UUID(node.task_run_id), handle)

    def _part(self, cell: Cell, whole: Handle, leaf: int) -> Handle:
        """Return a part of a result, the same for all who take it: a worker that has it need not get it once more."""
        with self._lock:
            if cell not in self._parts:
                self._parts[cell] = self._cluster.call(pick_there, whole, leaf)
            return self._parts[cell]

    def _end_of(self, future: PrefectFuture[Any], *, submitted: bool) -> Any:
        """Return what stands for the result of a task without a node, which stays on the worker unless it is small."""
        handle = getattr(future, "wrapped_future", None)
        if not submitted or handle is None or not self._cluster.has(future):
            return super()._end_of(future, submitted=submitted)
        try:
            self._cluster.open()
            state, digest, content = self._cluster.look(handle, digest_there)
        except Exception:  # its worker died: Prefect tells what became of it
            return super()._end_of(future, submitted=submitted)
        return state or PlainResult(future, digest, content)

    def _waited_there(self, value: Any) -> Any:
        """Return what a task run waits for as a worker takes it; no value goes there."""

        def waited(cell: Cell) -> Any:
            node = cell.node
            place = self._places.get(node.key)
            if node.failed:
                return self.calls[node.key].state or failed(node)
            if place is None or node.done:
                return Completed(data=True)
            handle = self._cluster.call(waited_there, place.result())
            return self._cluster.future(UUID(node.task_run_id), handle)

        return self.replaced(value, waited)

    def _has(self, cell: Cell) -> bool:
        node = cell.node
        return cell.present or node.failed or node.key in self._places or self._loaded(cell) is not None

    def _loaded(self, cell: Cell) -> Handle | None:
        """Return the object of a cell that was loaded on a worker; None if none was."""
        loading = self._loads.get(cell)
        if loading is None or not loading.done() or loading.exception() is not None:
            return None
        return loading.result()

    def _is_small(self, cell: Cell) -> bool:
        result = cell.node.result
        if result is None or cell.diverged:
            return True
        part = result if cell.leaf is None else result.leaves[cell.leaf]
        return part.size_bytes <= SMALL_BYTES

    # -- the store -----------------------------------------------------------------------------------------------

    def _is_unshared(self) -> bool:
        """Return whether workers do not see the store; tell it once."""
        url = self.session.keeper.store.url
        unshared = self._cannot_share or url.startswith("memory:")
        if unshared:
            self.session.warn(
                "unshared",
                f"The workers of the task runner do not see the store {url}, so what they compute is not kept. "
                "Use a store that all of them reach, such as s3://bucket/helix or a shared folder.",
            )
        return unshared

    def _load(self, cell: Cell) -> None:
        """Load the object of a cell on a worker; raises `StoreError`."""
        result = cell.node.result
        assert result is not None, "only equivalent nodes are loaded"
        if (cell.leaf is None and result.inline is not None and not result.leaves) or self._is_unshared():
            self.session.load(cell)
            return
        with self._lock:
            loading = self._loads.get(cell)
            if loading is None:
                promise = self._loads[cell] = Future()
        if loading is not None:
            loading.result()
            return
        try:
            promise.set_result(self._loaded_there(cell, result))
        except BaseException as error:
            promise.set_exception(error)
            raise

    def _loaded_there(self, cell: Cell, result: Result) -> Handle | None:
        """Load the object of a cell on a worker; None if that does not find it, and it is loaded here.

        A path may be another folder on the machines of the workers.

        Raises:
            StoreError: If it cannot be loaded.
        """
        store = self.session.keeper.store
        try:
            handle = self._cluster.call(load_there, result, cell.leaf, store)
            told = self._cluster.look(handle, loaded_there)
        except Exception as error:  # a worker may have died
            raise StoreError(store.url, "load on a worker", str(error)) from error
        if isinstance(told, BlobMissingError):
            self.session.load(cell)
            self._share_no_more()
            return None
        if isinstance(told, StoreError):
            raise told
        cell.node.note_load(result, cell.leaf, told)
        return handle

    def _put(self, place: Handle, names: Collection[str]) -> None:
        """Have a worker write blobs of a result.

        Raises:
            NotStorableError: If the value was changed, or its worker is gone.
            StoreError: If the store refuses.
        """
        store = self.session.keeper.store
        try:
            self._cluster.look(place, store_there, store, list(names))
        except NotStorableError:
            raise
        except StoreError as error:
            store.check_writable()  # else it is not the worker that is at fault
            self._share_no_more()
            raise NotStorableError("result", f"its worker cannot write it. {error}") from error
        except Exception as error:
            raise NotStorableError("result", f"its worker is gone ({type(error).__name__}: {error})") from error
        if not _sees(store, names):
            self._share_no_more()
            raise NotStorableError("result", "its worker wrote it where this process does not see it")

    def _share_no_more(self) -> None:
        """Take note that workers do not see the store."""
        self._cannot_share = True
        self._is_unshared()


def _brought(part: Any, _: dict[str, Any]) -> Any:
    """Return what a plain task gave, brought here, in place of what stands for it."""
    if not isinstance(part, PlainResult):
        return part
    part.future.wait()
    return value_of(part.future.state)


def _sees(store: Store, names: Collection[str]) -> bool:
    """Return whether blobs that a worker wrote are there: a local path may be another folder on another machine."""
    if "://" in store.url:
        return True
    return all(any(entry.path.endswith(name) for entry in store.list(f"blobs/{name[:2]}")) for name in names)
