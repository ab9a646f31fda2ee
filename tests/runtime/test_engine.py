"""What Prefect's engine and its futures say of nodes that Prefect has not run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from prefect.futures import wait
from prefect.task_runners import ProcessPoolTaskRunner

from prefect_helix import helix_task
from prefect_helix.elsewhere import ProcessEngine
from prefect_helix.engine import Call, PrefectEngine
from prefect_helix.futures import HelixFuture, Ref
from prefect_helix.runtime.nodes import Node

SESSION: Any = SimpleNamespace(way=lambda cell: None, when_settled=lambda node, then: then())
TASK: Any = None
ID = "0a1b2c3d-0000-4000-8000-000000000001"


def node_of(**fields: Any) -> Node:
    node = Node(TASK, "n1", 0, task_run_id=ID, started=True, **fields)
    node.settled.set()
    return node


def test_a_future_whose_node_failed_before_prefect_ran_it_has_failed() -> None:
    future = HelixFuture(SESSION, node_of(failed=True, error=ValueError("no such column")), lambda node: None)
    assert (future.state.type.value, future.state.state_details.task_run_id) == ("FAILED", UUID(ID))
    assert "ValueError: no such column" in str(future.state.message)
    with pytest.raises(ValueError, match="no such column"):
        future.state.result()
    assert wait([future]).done == {future}


def test_a_future_whose_node_was_given_up_has_failed() -> None:
    future = HelixFuture(SESSION, node_of(failed=True), lambda node: None)
    assert (future.state.type.value, str(future.state.message).endswith("it was given up")) == ("FAILED", True)


def test_who_only_waits_for_a_node_that_failed_before_prefect_ran_it_is_told() -> None:
    cell = node_of(failed=True, error=ValueError("no such column")).cell()
    state = Ref(SESSION, cell, lambda node: None, waits_only=True).state
    assert (state.type.value, "ValueError: no such column" in str(state.message)) == ("FAILED", True)


def test_of_two_threads_that_take_a_node_back_one_does() -> None:
    """Both have looked whether somebody has before either goes on, unless one has to wait for the other to look."""
    there: set[int] = set()
    both = threading.Event()

    def arrive() -> None:
        there.add(threading.get_ident())
        if len(there) == 2:
            both.set()

    class Watched(Call):
        @property  # type: ignore[override]
        def taken_back(self) -> bool:
            taken = self._taken
            arrive()
            both.wait()
            return taken

        @taken_back.setter
        def taken_back(self, taken: bool) -> None:
            self._taken = taken

    class Entered:
        lock = threading.Lock()

        def __enter__(self) -> None:
            arrive()
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    engine, node = PrefectEngine(None), node_of()
    engine._taking = Entered()  # type: ignore[assignment]
    engine.calls[node.key] = Watched(TASK, None, None, contextvars.Context(), running=Future())
    with ThreadPoolExecutor(2) as pool:
        taken = [one.result() for one in [pool.submit(engine.take_back, node) for _ in range(2)]]
    assert sorted(taken) == [False, True]


def test_a_node_that_a_pool_does_not_take_has_failed() -> None:
    failed: list[Node] = []

    @contextmanager
    def failing(node: Node) -> Iterator[None]:
        try:
            yield
        except RuntimeError:
            failed.append(node)
            raise

    engine, node = ProcessEngine(ProcessPoolTaskRunner(max_workers=1)), node_of(submitted=True)
    called = helix_task(lambda: 1)
    node.spec = called.spec()
    engine.session = cast("Any", SimpleNamespace(failing=failing, reference=lambda value: None))
    engine.calls[node.key] = Call(called, None, None, contextvars.Context())
    with pytest.raises(RuntimeError, match="not started"):
        engine.run(node)
    with pytest.raises(RuntimeError, match="not started"):
        asyncio.run(engine.arun(node))
    assert failed == [node, node]
