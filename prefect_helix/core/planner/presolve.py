"""Decide what needs no cut, and fold the rest into a smaller problem, exactly and in linear time.

Three passes. `narrow` (parents first) rules out what no cheapest plan does with a node. `settle` (children first)
decides what is needed for sure and has one option left, and leaves out what no demand reaches. `Fold` (parents first)
takes a node that has one taker into it, or knows what it costs to have.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner.problem import Problem


def narrow(problem: Problem) -> None:
    """Rule out options that are never the best.

    Loading beats computing if it costs no more than the node's own function. Computing beats loading if it costs no
    more even when each parent is had by itself, as if nothing else used it: the linear-time reuse rule of Derakhshan
    et al. (SIGMOD 2020), which counts shared ancestors more than once and so is an upper bound.
    """
    compute, load = problem.compute, problem.load
    everything = sum(cost for cost in compute if cost is not None)
    having: list[int] = []  # an upper bound
    for number, parents in enumerate(problem.parents):
        own, loading = compute[number], load[number]
        assert own is not None
        if loading is not None and loading <= own:
            compute[number] = None
            having.append(loading)
            continue
        for parent in parents:
            own += having[parent]
        if own > everything:
            own = everything
        if loading is None:
            having.append(own)
        elif own <= loading:
            load[number] = None
            having.append(own)
        else:
            having.append(loading)


def settle(problem: Problem) -> list[int]:
    """Decide what every plan needs and can have in one way only, and prune what no demand reaches.

    Returns:
        The nodes that stay open, parents first; those that every plan has are marked `needed`.
    """
    parents, compute, load, needed = problem.parents, problem.compute, problem.load, problem.needed
    decisions = problem.decisions
    reached = [False] * len(parents)
    open_: list[int] = []
    for number in range(len(parents) - 1, -1, -1):
        if needed[number]:
            if compute[number] is None:
                decisions[number] = Decision.LOAD
            elif load[number] is None:
                decisions[number] = Decision.COMPUTE
                for parent in parents[number]:
                    needed[parent] = True
            else:
                open_.append(number)
        elif reached[number]:
            open_.append(number)
        else:
            decisions[number] = Decision.PRUNE
            continue
        if decisions[number] is None and compute[number] is not None:
            for parent in parents[number]:
                reached[parent] = True
    open_.reverse()
    return open_


class Fold:
    """Takes open nodes into their only takers.

    What every plan has costs its takers nothing more. A node that is left without other parents has a constant cost.
    It is added to its taker's where there is just one; so is a node that can only be computed, and its taker has its
    parents then. Chains and trees come down to nothing, and what is left needs a cut.

    Args:
        problem: Narrowed and settled; costs and decisions are changed in place.
        open_: Its open nodes.

    Attributes:
        rest: For each node that is not decided and was not folded, the parents that are as open as it is.
        eager: The nodes that are computed rather than loaded at the same cost, because that brings what they take.
    """

    def __init__(self, problem: Problem, open_: Sequence[int]) -> None:
        self.rest: dict[int, Sequence[int]] = {}
        self.eager: set[int] = set()
        self._problem = problem
        self._taken: dict[int, list[int]] = {}
        uses = self._uses = [0] * len(problem.parents)
        for number in open_:
            if problem.compute[number] is not None:
                for parent in problem.parents[number]:
                    uses[parent] += 1
        for number in open_:
            self._fold(number)

    def _fold(self, number: int) -> None:
        problem = self._problem
        own, load = problem.compute[number], problem.load[number]
        rest: Sequence[int] = ()
        if own is not None:
            cost, rest = self._take(number, own)
            problem.compute[number] = cost
            if load is not None and load < cost:
                problem.compute[number] = None
                for parent in rest:
                    self._uses[parent] -= 1
                rest = ()
            elif not rest:
                problem.load[number] = None
            elif cost > own:
                self.eager.add(number)
        if rest or not problem.needed[number]:
            self.rest[number] = rest
        else:
            self.have(number)

    def _take(self, number: int, cost: int) -> tuple[int, list[int]]:
        """Take what only this node takes; return what it costs with that, and the parents it is left with."""
        needed, load, uses, rest = self._problem.needed, self._problem.load, self._uses, self.rest
        left: dict[int, None] = {}
        taken: list[int] = []
        stack = [*self._problem.parents[number]]
        while stack:
            parent = stack.pop()
            if needed[parent]:
                continue
            if parent in left:  # it came over another node that was taken, and counts once
                uses[parent] -= 1
            if uses[parent] > 1 or (rest[parent] and load[parent] is not None):
                left[parent] = None
                continue
            left.pop(parent, None)
            taken.append(parent)
            cost += self.cost(parent)
            stack += rest.pop(parent)
        if taken:
            self._taken[number] = taken
        return cost, [*left]

    def cost(self, number: int) -> int:
        """Return what it costs to have a node that can be had in one way."""
        compute = self._problem.compute[number]
        return (self._problem.load[number] or 0) if compute is None else compute

    def have(self, number: int) -> None:
        """Decide for a node in the one way it can be had."""
        if self._problem.compute[number] is None:
            self._problem.decisions[number] = Decision.LOAD
        else:
            self.compute(number)

    def compute(self, number: int) -> None:
        """Decide to compute a node, and with it to have what was taken into it."""
        stack = [number]
        while stack:
            number = stack.pop()
            if self._problem.compute[number] is None:
                self._problem.decisions[number] = Decision.LOAD
            else:
                self._problem.decisions[number] = Decision.COMPUTE
                stack += self._taken.get(number, ())
