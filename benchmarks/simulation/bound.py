"""A time that no decisions whatever take less than, also where a flow is too large to try all: a linear relaxation.

What is computed, loaded, written and kept of each result may be a fraction. A result can be loaded as far as it was
kept until the run, and kept as far as it was kept before or computed since; all that is kept is within the budget.
Results of older versions may be kept, too, for when an edit is taken back.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from .simulator import load_us, signatures, write_us
from .workloads import Workload

MEGABYTE = 1e6
"""Budgets are in this, so that no number of the program is too large for its solver."""

Variable = tuple[str, int, str]
"""What: ``compute``, ``load``, ``keep`` or ``write``; the run; the step's key, or the result's signature."""


def least_us(workload: Workload, budget_bytes: int) -> float:
    """Return a lower bound of what the runs take within the budget."""
    program = _Program()
    runs = [signatures(workload.steps, versions) for versions in workload.versions]
    last = {name: run for run, names in enumerate(runs) for name in names.values()}
    sizes: dict[str, int] = {}
    for run, names in enumerate(runs):
        for step in workload.steps:
            name = names[step.key]
            compute, load = ("compute", run, step.key), ("load", run, step.key)
            original = name not in sizes
            program.cost(compute, step.compute_us, least=float(original))
            program.cost(load, load_us(step))
            if step.demanded:
                program.at_least(1, {compute: 1, load: 1})
            for parent in step.parents:
                program.at_least(0, {("compute", run, parent): 1, ("load", run, parent): 1, compute: -1})
            program.at_least(0, {load: -1} if original else {("keep", run, name): 1, load: -1})
            sizes[name] = step.size_bytes
            if last[name] > run:
                keep = ("keep", run + 1, name)
                write = ("write", run, name)
                program.cost(write, write_us(step))
                before: dict[Variable, float] = {} if original else {("keep", run, name): 1}
                program.at_least(0, {compute: 1, keep: -1, **before})
                program.at_least(0, {write: 1, keep: -1, **before})
        for name in sizes.keys() - names.values():
            if last[name] > run:
                program.at_least(0, {("keep", run, name): 1, ("keep", run + 1, name): -1})
        kept = {("keep", run + 1, name): -size / MEGABYTE for name, size in sizes.items() if last[name] > run}
        program.at_least(-budget_bytes / MEGABYTE, kept)
    return program.least()


class _Program:
    """A linear program over variables between zero and one."""

    def __init__(self) -> None:
        self._numbers: dict[Variable, int] = {}
        self._costs: dict[int, float] = {}
        self._least: dict[int, float] = {}
        self._entries: list[tuple[int, int, float]] = []
        self._right: list[float] = []

    def cost(self, variable: Variable, cost: float, least: float = 0.0) -> None:
        """Say what a variable costs, and the least it may be."""
        number = self._number(variable)
        self._costs[number], self._least[number] = cost, least

    def at_least(self, right: float, left: Mapping[Variable, float]) -> None:
        """Add the constraint that a weighted sum is no less than `right`."""
        self._entries += ((len(self._right), self._number(variable), weight) for variable, weight in left.items())
        self._right.append(right)

    def least(self) -> float:
        """Return the least cost."""
        rows, columns, weights = (np.array(column) for column in zip(*self._entries, strict=True))
        size = len(self._numbers)
        found = linprog(
            [self._costs.get(number, 0.0) for number in range(size)],
            A_ub=csr_matrix((-weights, (rows, columns)), shape=(len(self._right), size)),
            b_ub=-np.array(self._right),
            bounds=[(self._least.get(number, 0.0), 1.0) for number in range(size)],
            method="highs",
        )
        return float(found.fun)

    def _number(self, variable: Variable) -> int:
        return self._numbers.setdefault(variable, len(self._numbers))
