"""What has to happen on the way to a value, one step after the other, for threads and event loops alike.

The rules that lead to a value (see `scheduler`) are generators: they yield what has to be waited for and go on when it
is done. So there is one set of rules, and two ways to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from prefect_helix.runtime.nodes import Node

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Compute:
    """Compute a node here."""

    node: Node


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until a node is settled."""

    node: Node


@dataclass(frozen=True, slots=True)
class Do:
    """Do something that takes its time, such as reading a blob; what it returns is sent back.

    Attributes:
        job: What.
        idle: Whether it waits for somebody outside, which an event loop does not do: it shares few threads.
    """

    job: Callable[[], object]
    idle: bool = False


Step: TypeAlias = Compute | Wait | Do
Steps: TypeAlias = Generator[Step, Any, T]


def walk(steps: Steps[T], compute: Callable[[Node], None]) -> T:
    """Take all steps in this thread and return what they lead to.

    Args:
        steps: The steps; what a step raises is raised in them.
        compute: Computes a node in this thread.
    """
    try:
        step = next(steps)
        while True:
            found = None
            try:
                match step:
                    case Compute(node):
                        compute(node)
                    case Wait(node):
                        node.settled.wait()
                    case Do(job, _):
                        found = job()
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(found)
    except StopIteration as end:
        value: T = end.value
        return value


async def walk_async(
    steps: Steps[T],
    compute: Callable[[Node], Awaitable[None]],
    when_settled: Callable[[Node, Callable[[], None]], None],
) -> T:
    """Take all steps in the running event loop, which is free for other work meanwhile; see `walk`.

    Args:
        steps: The steps; what a step raises is raised in them.
        compute: Computes a node.
        when_settled: Calls a function once a node is settled, from any thread.
    """
    try:
        step = next(steps)
        while True:
            found = None
            try:
                match step:
                    case Compute(node):
                        await compute(node)
                    case Wait(node):
                        await _settled(node, when_settled)
                    case Do(job, idle=False):
                        found = await asyncio.to_thread(job)
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(found)
    except StopIteration as end:
        value: T = end.value
        return value


async def _settled(node: Node, when_settled: Callable[[Node, Callable[[], None]], None]) -> None:
    loop = asyncio.get_running_loop()
    settled = asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settled.set)

    when_settled(node, tell)
    await settled.wait()
