"""Engines for task runners whose tasks compute in other processes: what they have in common, and pools of processes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast
from uuid import UUID

from prefect.client.schemas.objects import TaskRunResult
from prefect.states import Crashed
from prefect.task_runners import ProcessPoolTaskRunner
from prefect.tasks import Task

from prefect_helix.clones import clone_with
from prefect_helix.compat import is_resolving_for
from prefect_helix.engine import Dependencies, PrefectEngine, Submit
from prefect_helix.futures import unfinished
from prefect_helix.runtime.agreement import Taken, taken
from prefect_helix.runtime.arguments import code_brought
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.specs import Versioned
from prefect_helix.storage.blob import Code
from prefect_helix.visiting import cells_in
from prefect_helix.workers import (
    AsyncTimed,
    Timed,
    measure_of,
    value_of,
)


class ApartEngine(PrefectEngine):
    """Computes submitted nodes in other processes, whoever wants them; direct calls compute in the flow's process.

    Attributes:
        describes_there: Whether values are described where they are computed, since the same objects are passed on.
    """

    apart = True
    describes_there = False

    def __init__(self, submit: Submit | None) -> None:
        super().__init__(submit)
        self._takes: dict[str, tuple[Taken, ...]] = {}  # what tasks take from modules, by fingerprint
        self._brought: dict[frozenset[Code], tuple[Taken, ...]] = {}  # what literals with this code take

    def run(self, node: Node) -> None:
        """Compute a direct call in this thread, and hand a submitted one to the task runner."""
        if node.submitted and not self._is_bound_to_this_thread():
            with self.session.failing(node):
                self.start(node)
        else:
            super().run(node)

    async def arun(self, node: Node) -> None:
        """Compute a direct call in the running event loop, and hand a submitted one to the task runner."""
        if node.submitted:
            with self.session.failing(node):
                self.start(node)
        else:
            await super().arun(node)

    def take_back(self, node: Node) -> bool:
        """Leave every node to the task runner."""
        return False

    def give_up(self, node: Node) -> bool:
        """Cancel a node that the task runner has not begun."""
        return super().take_back(node)

    def _is_bound_to_this_thread(self) -> bool:
        return False

    def _timed(self, node: Node, task: Task[..., Any]) -> Task[..., Any]:
        timed = AsyncTimed if task.isasync else Timed
        body = timed(task.fn, described=self.describes_there, takes=self._taken_by(node, cast("Versioned", task)))
        clone = clone_with(task, body)
        clone.on_commit_hooks = [body.committed, *task.on_commit_hooks]
        return clone

    def _taken_by(self, node: Node, task: Versioned) -> tuple[Taken, ...]:
        """Return what a task takes from modules, and what the objects that a node of it is given do."""
        spec = node.spec
        if spec.fingerprint not in self._takes:
            looked_at = spec.fn if spec.code_version is None else None
            self._takes[spec.fingerprint] = taken(looked_at, task.helix.depends_on)
        found = [self._takes[spec.fingerprint]]
        for argument in node.arguments:
            value = node.parameters[argument.parameter]
            code = code_brought(value)
            if code not in self._brought:
                self._brought[code] = taken(value) if code else ()
            found.append(self._brought[code])
        return tuple(dict.fromkeys(itertools.chain.from_iterable(found)))

    def _edges(self, parameters: Mapping[str, Any], told: Dependencies | None) -> Dependencies:
        """Return the edges of the graph, which values on their way to other processes do not carry."""
        edges: Dependencies = {}
        for name, value in parameters.items():
            ids = [cell.node.task_run_id for cell in cells_in(self.replaced(value, lambda cell: cell))]
            edges[name] = {*(told or {}).get(name, ()), *(TaskRunResult(id=UUID(one)) for one in ids)}
        return edges

    def _has_failed(self, node: Node) -> bool:
        if node.started:
            node.settled.wait()
        return node.failed

    def _failure(self, node: Node) -> Any:
        """Return what a task that allows for failures is given in place of the node's value."""
        state = self.calls[node.key].state
        if state is None:
            return node.error
        return state.result(raise_on_failure=False, _sync=True) if state.is_final() else state.data  # type: ignore[call-overload]

    def _tell_difference(self, node: Node, differs: str) -> None:
        """Tell that a node was computed with other code than this process has, if so: its value stands for nothing."""
        if differs:
            name = differs.rstrip(":").replace(":", ".")
            self.session.warn(
                f"differs:{node.spec.key}",
                f"{node.spec.name} was computed where {name} is not what it is in this process: the worker was "
                "started before an edit, or it has other files, other versions of libraries, or other settings. The "
                "result is used in this run and not kept. Restart the workers, on Dask with client.restart().",
            )

    def _crashed(self, node: Node, error: BaseException) -> None:
        """Take note of a node whose worker died, or whose inputs could not be had."""
        self.calls[node.key].state = state = unfinished(error, f"{type(error).__name__}: {error}", Crashed)
        self._failed(node, state)


class ProcessEngine(ApartEngine):
    """Computes submitted nodes in a pool of processes. Inputs and results pass through the flow's process."""

    def __init__(self, runner: ProcessPoolTaskRunner) -> None:
        super().__init__(runner.submit)
        self._runner = runner

    def start(self, node: Node) -> None:
        """Hand `node` to the pool."""
        assert self._submit is not None, "a call was submitted"
        call = self.calls[node.key]
        arguments = self._arguments(node, call)
        arguments["dependencies"] = self._edges(node.parameters, call.dependencies)
        future = call.context.copy().run(self._submit, self._timed(node, call.task), **arguments)
        node.task_run_id = str(future.task_run_id)
        call.running = future.wrapped_future
        call.running.add_done_callback(lambda done: self._threads.submit(self._back, node, done))

    def _is_bound_to_this_thread(self) -> bool:
        # What resolves inputs for the pool must not wait for it: there are few such threads.
        return is_resolving_for(self._runner)

    def _back(self, node: Node, done: Future[Any]) -> None:
        call = self.calls[node.key]
        if done.cancelled() and call.taken_back:
            return
        try:
            call.state = state = done.result()
        except BaseException as error:
            self._crashed(node, error)
            return
        try:
            measure = measure_of(state)
            node.metrics = measure.metrics
            if state.is_completed():
                value = value_of(state)
                if measure.given_back:
                    call.returned = state
                else:
                    call.state = call.running = None  # who has the value, the session knows
                reusable = measure.called and not measure.given_back and not measure.differs
                self._tell_difference(node, measure.differs)
                self.session.observe(node, value, measure.elapsed_us, reusable=reusable)
            else:
                self._failed(node, state)
        except BaseException as error:
            self._escaped(node, error)
