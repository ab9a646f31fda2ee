"""The three decisions, and the order of a directed acyclic graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import Enum
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


class Decision(str, Enum):
    """What happens to a node in a run (HELIX, PVLDB 2018, section 4)."""

    COMPUTE = "compute"
    LOAD = "load"
    PRUNE = "prune"

    def __str__(self) -> str:
        return self.value


def ancestors(start: Iterable[str], parents: Mapping[str, Iterable[str]]) -> set[str]:
    """Return every key reachable from `start` over `parents`, `start` excluded unless reached.

    Complexity: O(nodes + edges).
    """
    seen: set[str] = set()
    stack = [parent for key in start for parent in parents.get(key, ())]
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            stack.extend(parents.get(key, ()))
    return seen


def depth_first(start: T, following: Callable[[T], Iterable[T]]) -> list[T]:
    """Return all that is reached from `start`, itself excluded, each after all that it leads to. O(nodes + edges)."""
    order: list[T] = []
    seen = {start}
    stack = [(start, iter(following(start)))]
    while stack:
        node, rest = stack[-1]
        for other in rest:
            if other not in seen:
                seen.add(other)
                stack.append((other, iter(following(other))))
                break
        else:
            stack.pop()
            order.append(node)
    return order[:-1]
