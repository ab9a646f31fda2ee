"""Prefect's engine as the session sees it: nodes are computed by `run_task` and by the flow's own task runner."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import RunInput, State, TaskRunResult
from prefect.futures import PrefectConcurrentFuture, PrefectFuture, PrefectTaskRunFuture
from prefect.tasks import Task
from prefect.utilities.annotations import allow_failure

from prefect_helix.clones import Body, instrumented, run_to_the_end
from prefect_helix.compat import pass_assets_on, run_task, run_task_async, run_task_sync
from prefect_helix.futures import HelixFuture, Ref, completed, unfinished
from prefect_helix.runtime.arguments import Given
from prefect_helix.runtime.nodes import Cell, Node, Standing
from prefect_helix.runtime.session import Session
from prefect_helix.runtime.standin import is_stand_in, plain
from prefect_helix.visiting import cells_in, parts_within, source_of, stays_whole, visit
from prefect_helix.workers import is_given_back

Dependencies = dict[str, set[RunInput]]
Submit = Callable[..., PrefectConcurrentFuture[Any]]


@dataclass
class Call:
    """One call of a helix task, as Prefect has to be told of it.

    Attributes:
        task: The task.
        wait_for: What it waits for, with futures of helix tasks.
        dependencies: Further edges, by parameter.
        context: The context variables at the call.
        state: The state it ended in, once Prefect ran it; None again if that holds but a value that the session has.
        returned: The states or future that the task gave back in place of a value.
        running: What the task runner works at, once it was handed the call.
        taken_back: Whether it was taken from the task runner's queue again.
    """

    task: Task[..., Any]
    wait_for: Any
    dependencies: Dependencies | None
    context: contextvars.Context
    state: State[Any] | None = None
    returned: Any = None
    running: concurrent.futures.Future[Any] | None = None
    taken_back: bool = False


class PrefectEngine:
    """Computes the nodes of one flow run.

    Args:
        submit: The `submit` of the flow run's task runner; None if helix tasks cannot be submitted to it.
    """

    apart = False

    def __init__(self, submit: Submit | None) -> None:
        self.session: Session
        self.calls: dict[str, Call] = {}
        self.errors: list[BaseException] = []
        self._submit = submit
        self._taking = threading.Lock()
        # A thread may wait for others, so their number has no bound; one is made when none is idle.
        self._threads = ThreadPoolExecutor(sys.maxsize, thread_name_prefix="helix")

    # -- calls ---------------------------------------------------------------------------------------------------

    def enter(
        self,
        task: Task[..., Any],
        spec: Any,
        parameters: Mapping[str, Any],
        wait_for: Any = None,
        dependencies: Dependencies | None = None,
        *,
        submitted: bool = False,
    ) -> Node | None:
        """Enter a call of a helix task into the session.

        Returns:
            Its node; None if it takes a result of another task that has none, which is for Prefect to deal with.
        """
        others: Dependencies = {name: set(edges) for name, edges in (dependencies or {}).items()}
        try:
            given = {
                name: self._given(value, others.setdefault(name, set()), submitted=submitted)
                for name, value in parameters.items()
            }
        except _NotReadyError:
            return None
        waits = [] if wait_for is None else cells_in(self.replaced(wait_for, lambda cell: cell))
        call = Call(task, wait_for, others, contextvars.copy_context())

        def entered(node: Node) -> None:
            node.task_run_id = str(uuid4())
            self.calls[node.key] = call

        node = self.session.call(spec, given, [cell.node for cell in waits], submitted=submitted, entered=entered)
        if wait_for is not None and node.standing is not Standing.ORIGINAL and not self._may_go_on(wait_for):
            self.session.require(node)  # Prefect does not run it, and tells why
        own = (UUID(one.task_run_id) for one in node.awaited)
        plain_ones = (edge.id for edge in chain(*others.values()) if isinstance(edge, TaskRunResult))
        pass_assets_on(task, UUID(node.task_run_id), chain(own, plain_ones))
        return node

    def _may_go_on(self, wait_for: Any) -> bool:
        """Wait for what is waited for and is no node of this run; return whether it lets who waits for it run."""
        others: list[tuple[Any, bool]] = []

        def note(part: Any, context: dict[str, Any]) -> Any:
            if isinstance(part, (PrefectFuture, State)) and self.session.reference(part) is None:
                others.append((part, isinstance(context.get("annotation"), allow_failure)))
            return part

        visit(wait_for, note)
        for part, allowed in others:
            ended = self._end_of(part, submitted=True) if isinstance(part, PrefectFuture) else part
            if isinstance(ended, State) and not (ended.is_completed() or (allowed and ended.is_failed())):
                return False
        return True

    def future(self, node: Node) -> HelixFuture:
        """Return the future of a submitted node."""
        return HelixFuture(self.session, node, self.state)

    def state(self, node: Node) -> State[Any] | None:
        """Return the state in which Prefect ended the node; None if it never ran it."""
        return self.calls[node.key].state

    def native(self, value: Any, *, waits_only: bool = False, exposed: bool = False) -> Any:
        """Return arguments as Prefect's own engine takes them: results of helix tasks as references.

        Args:
            value: The arguments.
            waits_only: Whether they are only waited for, so that nothing is loaded.
            exposed: Whether nobody looks afterwards at whether who takes them has changed them.
        """
        return self.replaced(
            value, lambda cell: Ref(self.session, cell, self.state, waits_only=waits_only, exposed=exposed)
        )

    def at_hand(self, value: Any) -> Any:
        """Return arguments with the results in them, if that loads nothing from the store; else None."""
        if not all(cell.present or (cell.node.result and cell.node.result.blobs == ()) for cell in cells_in(value)):
            return None
        return self.replaced(value, self.session.value)

    def completed(self, node: Node) -> State[Any]:
        """Return the state that a direct call with ``return_state=True`` gives back."""
        return completed(self.session, node)

    def call_plainly(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any, *, return_state: bool
    ) -> Any:
        """Make a direct call as Prefect would without us; of an async task, return the coroutine."""
        return run_task(
            task,
            parameters=self.native(parameters),
            wait_for=self.native(wait_for, waits_only=True),
            return_type="state" if return_state else "result",
        )

    def submit_plainly(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any, dependencies: Dependencies | None
    ) -> Any:
        """Submit a task that has no node, with the results of helix tasks that it takes."""
        assert self._submit is not None, "the task runner was adopted"
        self._supply(parameters)
        given = self.native(parameters, exposed=not self.apart)  # in another process it has copies
        return self._submit(task, given, self.native(wait_for, waits_only=True), dependencies)

    def _supply(self, parameters: Mapping[str, Any]) -> None:
        """Have the results of helix tasks that a plain task takes on their way, before it occupies a thread."""
        cells = cells_in(self.replaced(dict(parameters), lambda cell: cell))
        self.session.supply([cell.node for cell in cells])

    def resolved(self, value: Any) -> Any:
        """Return a value with its stand-ins, which are demanded together, replaced by what they stand for."""
        found: list[Any] = []

        def note(part: Any, _: dict[str, Any]) -> Any:
            found.extend(filter(is_stand_in, parts_within(part) if stays_whole(part) else [part]))
            return part

        visit(value, note)
        nodes = [one.__helix_handle__().node for one in found]
        self.session.demand([node for node in nodes if node in self.session.world])
        for one in found:  # also where it stays in its place
            plain(one)
        return visit(value, lambda part, _: plain(part) if is_stand_in(part) else part)

    def _given(self, value: Any, edges: set[RunInput], *, submitted: bool) -> Given:
        """Return an argument with the results of this run's nodes as cells; what other tasks gave is a literal.

        Args:
            value: The argument.
            edges: Where the edges to other tasks are put.
            submitted: Whether the call is made through the task runner.

        Raises:
            _NotReadyError: If another task has no result to take.
        """
        makers: list[Cell] = []

        def note(part: Any) -> None:
            edges.update(source_of(part))
            maker = self.session.maker(part)
            makers.extend([maker] if maker is not None else [])

        def take(part: Any, context: dict[str, Any]) -> Any:
            taken = taken_of(part, context)
            for inner in parts_within(taken) if stays_whole(taken) else ():
                cell = self.session.reference(inner)
                makers.extend([cell] if cell is not None else [])
                note(inner)
            return taken

        def taken_of(part: Any, context: dict[str, Any]) -> Any:
            cell = part if isinstance(part, Cell) else self.session.reference(part)
            if cell is not None:
                return cell
            if isinstance(part, PrefectFuture):
                if isinstance(part, PrefectTaskRunFuture):  # that of a flow run names no task run
                    edges.add(TaskRunResult(id=part.task_run_id))
                part = self._end_of(part, submitted=submitted)
            if not isinstance(part, State):
                note(part)
                return plain(part) if is_stand_in(part) else part
            if part.state_details.task_run_id is not None:
                edges.add(TaskRunResult(id=part.state_details.task_run_id))
            if not part.is_completed() and not (
                isinstance(context.get("annotation"), allow_failure) and part.is_failed()
            ):
                raise _NotReadyError
            return part.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]

        tree = visit(value, take)
        return Given(tree, [*cells_in(tree), *makers])

    def _end_of(self, future: PrefectFuture[Any], *, submitted: bool) -> Any:
        """Return the state in which a task without a node ended, or what stands for its result."""
        future.wait()
        return future.state

    def replaced(self, value: Any, replace: Callable[[Cell], Any]) -> Any:
        """Return a value with something in place of each result of this run in it.

        Args:
            value: The value.
            replace: Gives that.
        """

        def in_place_of(part: Any, _: dict[str, Any]) -> Any:
            cell = part if isinstance(part, Cell) else self.session.reference(part)
            if cell is not None:
                return replace(cell)
            return plain(part) if is_stand_in(part) else part

        return visit(value, in_place_of)

    # -- Engine --------------------------------------------------------------------------------------------------

    def run(self, node: Node) -> None:
        """Compute `node` in this thread; raises what the task raised."""
        call = self.calls[node.key]
        with self.session.failing(node):
            body, task = instrumented(node, call.task)
            arguments = self._arguments(node, call) | {"task_run_id": UUID(node.task_run_id), "return_type": "state"}
            context = call.context.copy()
            if task.isasync:
                state = context.run(run_to_the_end, functools.partial(run_task_async, task, **arguments))
            else:
                state = context.run(functools.partial(run_task_sync, task, **arguments))
            assert isinstance(state, State)
        self._ended(node, body, state)
        if call.returned is None and (state.is_failed() or state.is_crashed() or state.is_cancelled()):
            state.result(raise_on_failure=True, _sync=True)  # type: ignore[call-overload]

    async def arun(self, node: Node) -> None:
        """Compute `node` in the running event loop, or in a thread.

        That is where tasks belong that are not async, and what the flow body has already: it may touch that at any
        time without awaiting it, and then the loop stands still.
        """
        call = self.calls[node.key]
        if not call.task.isasync or node.entry is None:
            await self._beside(self.run, node)
            return
        with self.session.failing(node):
            for edge in node.edges:  # Prefect resolves arguments without awaiting them
                if not edge.node.failed:
                    await self.session.value_async(edge.cell)
            body, task = instrumented(node, call.task)
            arguments = self._arguments(node, call) | {"task_run_id": UUID(node.task_run_id), "return_type": "state"}
            # A task runs in a copy of the context that it is created in.
            state = await call.context.copy().run(asyncio.ensure_future, run_task_async(task, **arguments))
            assert isinstance(state, State)
        await self._beside(self._ended, node, body, state)
        if call.returned is None and (state.is_failed() or state.is_crashed() or state.is_cancelled()):
            await state.aresult(raise_on_failure=True)

    async def _beside(self, job: Callable[..., None], *args: Any) -> None:
        """Do something in a thread, which begins at once, and goes on when nobody awaits that any more."""
        begun = self._threads.submit(contextvars.copy_context().run, job, *args)
        await asyncio.shield(asyncio.wrap_future(begun))

    def start(self, node: Node) -> None:
        """Hand `node` to the task runner."""
        assert self._submit is not None, "a call was submitted"
        call = self.calls[node.key]
        body, task = instrumented(node, call.task)
        future = call.context.copy().run(self._submit, task, **self._arguments(node, call))
        node.task_run_id = str(future.task_run_id)
        call.running = future.wrapped_future
        future.wrapped_future.add_done_callback(lambda done: self._returned(node, body, done))

    def take_back(self, node: Node) -> bool:
        """Take a node that still waits for a thread of the task runner back, so that whoever needs it computes it."""
        call = self.calls[node.key]
        running = call.running
        if running is None or not self._is_first(call):
            return False
        call.taken_back = running.cancel()
        return call.taken_back

    def _is_first(self, call: Call) -> bool:
        """Mark a call as taken back; return whether it was not: a future can be cancelled again and again."""
        with self._taking:
            first, call.taken_back = not call.taken_back, True
        return first

    def give_up(self, node: Node) -> bool:
        """Cancel a node that the task runner has not begun."""
        return self.take_back(node)

    def fetch(self, node: Node) -> object:
        """Return the value of a node that was computed on a worker."""
        raise AssertionError(f"{node.spec.name} was computed in this process")

    def _arguments(self, node: Node, call: Call) -> dict[str, Any]:
        # A reference carries its own edge; other edges can only be told for parameters.
        return {
            "parameters": self.native(dict(node.parameters)),
            "wait_for": self.native(call.wait_for, waits_only=True),
            "dependencies": call.dependencies,
        }

    def _returned(self, node: Node, body: Body, done: concurrent.futures.Future[Any]) -> None:
        """Take over in the runner's thread what a submitted node gave."""
        if done.cancelled() and self.calls[node.key].taken_back:
            return
        try:
            state = done.result()
        except BaseException as error:
            state = unfinished(error, repr(error))
        try:
            self._ended(node, body, state)
        except BaseException as error:
            self._escaped(node, error)

    def _escaped(self, node: Node, error: BaseException) -> None:
        """Take note of what went wrong in another thread and is no task's own error: it fails the flow."""
        self.errors.append(error)
        if not node.settled.is_set():
            self.session.fail(node, error)

    def _failed(self, node: Node, state: State[Any] | None) -> None:
        self.session.fail(node, told=f"{state.name}: {state.message}" if state is not None else "given up")

    def _ended(self, node: Node, body: Body, state: State[Any]) -> None:
        """Take over what a node gave."""
        with self.session.failing(node):
            self._take_over(node, body, state)

    def _take_over(self, node: Node, body: Body, state: State[Any]) -> None:
        call = self.calls[node.key]
        call.state = state
        if is_given_back(body.value):
            call.returned = body.value
        if not state.is_completed():
            self._failed(node, state)
        elif body.called and call.returned is None:
            value, body.value, call.state, call.running = body.value, None, None, None  # who has it, the session knows
            self.session.observe(node, value, body.elapsed_us)
        else:
            # States that the task gave back, or what Prefect's own cache had, as the user asked: it may be the result
            # of other code, so that the cache is asked again in the next run.
            value = state.result(_sync=True)  # type: ignore[call-overload]
            self.session.observe(node, value, body.elapsed_us, reusable=False)


class _NotReadyError(Exception):
    """An argument is the result of a task that has none."""
