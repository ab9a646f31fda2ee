"""The task runners that helix tasks can be submitted to, and what is done with each.

The libraries of Dask and Ray are not imported here: whoever runs a flow on one of them has them loaded.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from prefect_helix.clusters import ClusterEngine
from prefect_helix.core.errors import HelixError
from prefect_helix.elsewhere import ProcessEngine
from prefect_helix.engine import PrefectEngine
from prefect_helix.inputs import Handle, Luggage
from prefect_helix.workers import ask_there, ended_there, given_there, look_there

_FIRST = 10
"""Priority of our calls on Dask: tasks wait for what they give, and they take little time."""


def engine_for(runner: TaskRunner[Any]) -> PrefectEngine | None:
    """Return the engine that computes with a task runner; None if it is of a kind that is not known."""
    if isinstance(runner, ThreadPoolTaskRunner):
        return PrefectEngine(runner.submit)
    if isinstance(runner, ProcessPoolTaskRunner):
        return ProcessEngine(runner)
    kinds = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(runner).__mro__}
    if ("prefect_dask", "DaskTaskRunner") in kinds:
        return ClusterEngine(runner.submit, DaskCluster(runner))
    if ("prefect_ray", "RayTaskRunner") in kinds:
        return ClusterEngine(runner.submit, RayCluster())
    return None


class DaskCluster:
    """The workers of a `DaskTaskRunner`: a value is a future of the runner's client."""

    shares_objects = True

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._client: Any = None
        self._opening = threading.Lock()
        self._future = sys.modules["prefect_dask.task_runners"].PrefectDaskFuture

    def open(self) -> None:
        """Have the task runner connect: it makes a client, and a cluster, for each thread that comes before it has one.

        It is done in the context of the flow, which the task runner leaves again at the end.
        """
        with self._opening:
            self._client = self._runner.client

    def luggage(self) -> Luggage:
        """Return what takes the arguments that a call brings along."""
        return Luggage(sys.modules["distributed"].Future)

    def call(self, function: Callable[..., Any], *args: Any) -> Handle:
        """Have a function called, beside its largest argument as a rule."""
        key = f"{function.__name__}-{uuid4().hex}"
        return self._client.submit(function, *args, key=key, pure=False, priority=_FIRST)

    def look(self, handle: Handle, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function gives of a value on the worker that has it."""
        client = self._client
        handle.exception()  # waits, and brings no value here
        for worker in client.who_has([handle])[handle.key]:
            try:
                return client.run(look_there, handle.key, function, *args, workers=[worker])[worker]
            except HelixError:  # some are errors of the system, too
                raise
            except (OSError, LookupError):  # the worker is gone, or the value went to another
                continue
        return self.take(self.call(function, handle, *args))  # Dask computes it again, or tells why there is none

    def ask(self, process: str, handles: Sequence[Handle], function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function gives of values on the worker of that address; None if it is gone."""
        keys = [handle.key for handle in handles]
        try:
            return self._client.run(ask_there, keys, function, *args, workers=[process])[process]
        except OSError:
            return None

    def take(self, handle: Handle) -> Any:
        """Return a value, or raise what came of it."""
        return handle.result()

    def put(self, value: Any) -> Handle:
        """Bring a value to a worker, as an argument: what is scattered goes with its worker, and starts none."""
        luggage = self.luggage()
        brought = luggage.add(value)
        luggage.pack()
        return self.call(given_there, brought)

    def then(self, handle: Handle, done: Callable[[], object]) -> None:
        """Call `done` once there is a value or an error."""
        handle.add_done_callback(lambda _: done())

    def future(self, task_run_id: UUID, handle: Handle) -> PrefectFuture[Any]:
        """Return a future of Prefect's for the state of a task run."""
        made: PrefectFuture[Any] = self._future(task_run_id=task_run_id, wrapped_future=handle)
        return made

    def has(self, future: PrefectFuture[Any]) -> bool:
        """Return whether a future is one of the task runner's own kind."""
        return isinstance(future, self._future)

    def cancel(self, handle: Handle) -> None:
        """Cancel a call."""
        handle.cancel()


class RayCluster:
    """The workers of a `RayTaskRunner`: a value is a reference to an object of Ray's store, which nobody can change."""

    shares_objects = False

    def __init__(self) -> None:
        self._ray: Any = sys.modules["ray"]
        self._future = sys.modules["prefect_ray.task_runners"].PrefectRayFuture
        self._functions: dict[Callable[..., Any], Any] = {}

    def open(self) -> None:
        """Do nothing: the task runner connected when the flow run began."""

    def luggage(self) -> None:
        """Return None: Ray copies arguments as a call is submitted."""

    def look(self, handle: Handle, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function gives of a value."""
        return self.take(self.call(function, handle, *args))

    def ask(self, process: str, handles: Sequence[Handle], function: Callable[..., Any], *args: Any) -> Any:
        """Return None: nothing has to be asked where objects do not change."""

    def call(self, function: Callable[..., Any], *args: Any) -> Handle:
        """Have a function called; it takes no processor from the tasks."""
        if function not in self._functions:
            self._functions[function] = self._ray.remote(num_cpus=0)(function)
        return self._functions[function].remote(*args)

    def take(self, handle: Handle) -> Any:
        """Return a value, or raise what came of it."""
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause or error) from None

    def put(self, value: Any) -> Handle:
        """Bring a value to the object store."""
        return self._ray.put(value)

    def then(self, handle: Handle, done: Callable[[], object]) -> None:
        """Call `done` once there is a value or an error."""
        ended = self.call(ended_there, handle)  # Ray brings and unpickles what it tells of
        ended.future().add_done_callback(lambda _: done())

    def future(self, task_run_id: UUID, handle: Handle) -> PrefectFuture[Any]:
        """Return a future of Prefect's for the state of a task run."""
        made: PrefectFuture[Any] = self._future(task_run_id=task_run_id, wrapped_future=handle)
        return made

    def has(self, future: PrefectFuture[Any]) -> bool:
        """Return whether a future is one of the task runner's own kind."""
        return isinstance(future, self._future)

    def cancel(self, handle: Handle) -> None:
        """Cancel a call."""
        self._ray.cancel(handle)
