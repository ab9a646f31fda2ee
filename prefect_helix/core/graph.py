"""The three decisions, and the order of a directed acyclic graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum


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
