"""Which nodes rest on nothing that may still come out otherwise.

A stored result must not be mixed with another outcome of what it was made from, so whoever uses one has its ancestors
looked at before. What was found clear is not looked at again: a flow that touches each step of a chain would look at
the whole chain each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prefect_helix.core.graph import Decision, depth_first
from prefect_helix.core.history import History
from prefect_helix.runtime.nodes import Node


class Clearing:
    """Remembers which nodes are clear: no parent of theirs is open, and each is clear itself.

    It has to be told of whatever makes a node open, or gives it other parents. Not thread-safe: the session guards it.

    Args:
        history: Tells which tasks repeat themselves.
        children: Returns the nodes that take the value of one.
    """

    def __init__(self, history: History, children: Callable[[Node], Iterable[Node]]) -> None:
        self._history = history
        self._children = children
        self._clear: set[Node] = set()
        self._unsteady = 0

    def is_open(self, node: Node) -> bool:
        """Return whether a node is to be computed, and its task is not known to repeat itself."""
        ended = node.done or node.failed
        return node.decision is Decision.COMPUTE and not (ended or self._history.proven(node.spec.fingerprint))

    def open_above(self, node: Node) -> list[Node]:
        """Return the ancestors of a node that are open, parents before children.

        Complexity: O(ancestors that are not clear + their edges).
        """
        if self._unsteady != self._history.unsteady:  # what was proven is not any more
            self._unsteady = self._history.unsteady
            self._clear.clear()
        if node in self._clear:
            return []
        above = depth_first(node, lambda child: () if child in self._clear else child.parents)
        for one in (*above, node):
            if all(parent in self._clear and not self.is_open(parent) for parent in one.parents):
                self._clear.add(one)
        return [one for one in above if self.is_open(one)]

    def opened(self, node: Node) -> None:
        """Take note that a node is to be computed, or once more. Complexity: O(descendants that were clear)."""
        for child in self._children(node):
            self.moved(child)

    def moved(self, node: Node) -> None:
        """Take note that a node has other parents, or parents that changed."""
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if one in self._clear:
                self._clear.remove(one)
                waiting += self._children(one)
