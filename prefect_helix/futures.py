"""What a submitted helix task gives back, and how results of nodes look to Prefect's engine."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State, StateType
from prefect.futures import PrefectFuture, PrefectFutureList, PrefectTaskRunFuture
from prefect.states import Completed, Failed
from pydantic import PrivateAttr

from prefect_helix.compat import (
    async_dispatch,
    link_state_to_task_run_result,
    raise_if_flow_run_suspension_requested,
    recorded,
)
from prefect_helix.core.errors import UpstreamFailedError
from prefect_helix.core.graph import Decision
from prefect_helix.runtime.nodes import Cell, Node, Way
from prefect_helix.runtime.session import Session

STATE_NAMES = {Decision.LOAD: "Loaded", Decision.PRUNE: "Pruned", Decision.COMPUTE: "Completed"}


class Link(State[Any]):
    """The state that Prefect keeps with a value to know the task run it is from.

    Prefect copies it to be rid of the value in it. There is none, and the copy takes a tenth of a pruned call.
    """

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Link:
        """Return the state as it is."""
        return self


_LINK = Link(type=StateType.COMPLETED)
"""What each link is a copy of: validating a new one takes twice as long."""


_WAITED_FOR: State[Any] = Completed(data=True)
"""Of what is only waited for: Prefect takes the result even of that, and a completed state without data has none."""


class HelixState(State[Any]):
    """A completed state whose result is loaded or computed when somebody asks for it."""

    _session: Session = PrivateAttr()
    _cell: Cell = PrivateAttr()
    _way: Way = PrivateAttr()
    _exposed: bool = PrivateAttr()
    _for_body: bool = PrivateAttr()

    def __helix_handle__(self) -> Cell:
        """Return the cell of the value."""
        return self._cell

    async def aresult(self, raise_on_failure: bool = True, retry_result_failure: bool = True) -> Any:
        """Return the result, loaded or computed now if need be."""
        value = await self._session.value_async(self._cell, exposed=self._exposed)
        return linked(self._cell.node, value) if self._for_body else value

    @async_dispatch(aresult)
    def result(self, raise_on_failure: bool = True, retry_result_failure: bool = True) -> Any:
        """Return the result, loaded or computed now if need be; in an event loop, what to await for it."""
        value = self._session.value(self._cell, exposed=self._exposed)
        return linked(self._cell.node, value) if self._for_body else value

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a plain state that has the result, as a stand-in pickles what it stands for."""
        value = self._session.value(self._cell, exposed=self._exposed)
        told = {name: getattr(self, name) for name in State.model_fields}
        plain: State[Any] = State(**{**told, "data": recorded(value)})
        return operator.getitem, ((plain,), 0)


def completed(session: Session, node: Node, cell: Cell | None = None, *, exposed: bool = False) -> HelixState:
    """Return the state of a node whose value is there or can be had.

    Args:
        session: The run.
        node: The node.
        cell: What a task takes of it; None for the whole value as the flow body gets it.
        exposed: Whether that task may change it without anybody looking, as the flow body may.
    """
    name = STATE_NAMES[node.decision] if node.decision and not node.original else "Completed"
    state = HelixState(type=StateType.COMPLETED, name=name)
    state.state_details.task_run_id = UUID(node.task_run_id)
    state._session, state._cell, state._for_body = session, cell or node.cell(), cell is None
    state._exposed = exposed or state._for_body
    state._way = session.way(state._cell)
    return state


def linked(node: Node, value: Any) -> Any:
    """Return a value that the flow body is given, once Prefect knows where it comes from, so that it draws the edges.

    What its engine computed in this process and is given as it is, it knows already.
    """
    if not node.done or (node.result is not None and node.result.leaves):
        link = copy(_LINK)
        link.state_details = copy(_LINK.state_details)
        link.state_details.task_run_id = UUID(node.task_run_id)
        link_state_to_task_run_result(link, value)
    return value


def failed(node: Node) -> State[Any]:
    """Return the state of a node that failed where Prefect has none of it."""
    error = node.error
    state = unfinished(error, "it was given up" if error is None else f"{type(error).__name__}: {error}")
    state.state_details.task_run_id = UUID(node.task_run_id)
    return state


def unfinished(error: BaseException | None, cause: str, kind: Callable[..., State[Any]] = Failed) -> State[Any]:
    """Return the state of a task run that Prefect did not bring to its end.

    Args:
        error: What stopped it.
        cause: The same in words.
        kind: Makes the state.
    """
    return kind(message=f"The task run was not finished: {cause}", data=error)


class Ref(PrefectTaskRunFuture[Any]):
    """A result of a node as an argument of a task: Prefect resolves it, so that it is loaded where Prefect loads.

    Args:
        session: The run.
        cell: The result.
        failed_state: Gives the state of a node that failed.
        waits_only: Whether it is only waited for, so that it loads nothing.
        exposed: Whether who takes it may change it without anybody looking.
    """

    def __init__(
        self,
        session: Session,
        cell: Cell,
        failed_state: Callable[[Node], State[Any] | None],
        *,
        waits_only: bool = False,
        exposed: bool = False,
    ) -> None:
        super().__init__(UUID(cell.node.task_run_id))
        self._session = session
        self._cell = cell
        self._way = None if waits_only else session.way(cell)
        self._waits_only, self._exposed = waits_only, exposed
        self._failed_state = failed_state

    @property
    def state(self) -> State[Any]:
        """The state of the node as the task that takes its value has to see it."""
        if self._final_state is None:
            self.wait()
        assert self._final_state is not None
        return self._final_state

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the node if it computes."""
        node = self._cell.node
        if node.started:
            node.settled.wait(timeout)
        told = self._failed_state(node) if node.failed else None
        if not self._waits_only:  # the result of a completed state raises what its node failed with
            self._final_state = told or completed(self._session, node, self._cell, exposed=self._exposed)
        elif node.failed:
            self._final_state = told or failed(node)
        else:
            self._final_state = _WAITED_FOR

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """Return the value."""
        return self.state.result(raise_on_failure=raise_on_failure, _sync=True)  # type: ignore[call-overload]

    def add_done_callback(self, fn: Callable[[PrefectFuture[Any]], None]) -> None:
        """Call `fn` once the node has ended."""
        self._session.when_settled(self._cell.node, lambda: fn(self))


class HelixFuture(PrefectTaskRunFuture[Any]):
    """The future of a submitted helix task; what it stands for is computed or loaded when it is demanded."""

    def __init__(self, session: Session, node: Node, failed_state: Callable[[Node], State[Any] | None]) -> None:
        self._session = session
        self._node = node
        self._way = session.way(node.cell())
        self._failed_state = failed_state

    def __helix_handle__(self) -> Cell:
        """Return the cell of the value."""
        return self._node.cell()

    @property
    def task_run_id(self) -> UUID:
        """Id of the task run that shows the node."""
        return UUID(self._node.task_run_id)

    @property
    def _final_state(self) -> State[Any] | None:  # type: ignore[override]
        node = self._node
        if not node.settled.is_set():
            return None
        if node.failed:
            return self._failed_state(node) or failed(node)
        return completed(self._session, node)

    @property
    def state(self) -> State[Any]:
        """The node's state now; never waits."""
        final = self._final_state
        if final is not None:
            return final
        name = "Running" if self._node.started else "Pending"
        state: State[Any] = State(type=StateType[name.upper()], name=name)
        state.state_details.task_run_id = self.task_run_id  # Prefect makes a task that runs a parent of who takes it
        return state

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the node is computed, or need not be."""
        self._node.settled.wait(timeout)
        raise_if_flow_run_suspension_requested()

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """Return the value, loaded or computed if need be; what failed its node, if that is not to be raised.

        Raises:
            TimeoutError: If the node is not computed in `timeout` seconds.
        """
        self._session.demand([self._node])
        if not self._node.settled.wait(timeout):
            raise TimeoutError(f"Task run {self.task_run_id} did not complete within {timeout} seconds")
        raise_if_flow_run_suspension_requested()
        try:
            return self._value()
        except UpstreamFailedError:
            told = self._failed_state(self._node)
            if told is None:
                raise
            return told.result(raise_on_failure=raise_on_failure, _sync=True)  # type: ignore[call-overload]
        except Exception as error:
            if raise_on_failure or error is not self._node.error:
                raise
            return error

    def add_done_callback(self, fn: Callable[[PrefectFuture[Any]], None]) -> None:
        """Call `fn` once the node is computed, or need not be."""
        self._session.when_settled(self._node, lambda: fn(self))

    def _value(self) -> Any:
        return linked(self._node, self._session.value(self._node.cell(), exposed=True))


class HelixFutureList(PrefectFutureList[Any]):
    """The futures of a map of helix tasks, whose values are demanded together."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[Any]:
        """Return the values in their order; Prefect asks for one after the other, in any order."""
        wanted: dict[Session, list[Node]] = {}
        for future in self:
            if isinstance(future, HelixFuture):
                wanted.setdefault(future._session, []).append(future._node)
        for session, nodes in wanted.items():
            session.demand(nodes)
        return super().result(timeout=timeout, raise_on_failure=raise_on_failure)


def demanded_together(mapped: Any) -> Any:
    """Return what Prefect's `map` gives back, as a `HelixFutureList` if there are futures of helix tasks in it."""
    if isinstance(mapped, PrefectFutureList) and any(isinstance(future, HelixFuture) for future in mapped):
        return HelixFutureList(mapped)  # type: ignore[abstract]  # as Prefect makes its own
    return mapped
