"""The least time that a series of runs can take when all its edits are known beforehand, by trying everything.

A state is the set of results stored before a run. For each state and each set of steps that the run may compute, what
it takes is known; it may then write what it computed, and keep what it has. Results of older versions are not kept, so
this is the optimum where no edit is taken back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .simulator import load_us, signatures, write_us
from .workloads import Step, Workload


def clairvoyant_us(workload: Workload, budget_bytes: int) -> int:
    """Return the least time of a series of runs within a budget. Complexity: O(runs · 4**steps · steps)."""
    steps = workload.steps
    size = len(steps)
    sizes = _sums([step.size_bytes for step in steps])
    writes = _sums([write_us(step) for step in steps])
    least = [math.inf] * (1 << size)
    least[0] = 0
    computed: set[str] = set()
    for versions in workload.versions:
        names = signatures(steps, versions)
        original = sum(1 << n for n, step in enumerate(steps) if names[step.key] not in computed)
        computed |= set(names.values())
        kept = _least_of_supersets(least, size)  # anything may be dropped, and what is out of date must be
        after = [math.inf] * (1 << size)
        for stored in range(1 << size):
            if stored & original or kept[stored] == math.inf:
                continue
            times = _run_times(steps, original, stored)
            written = _least_of_supersets(times, size)  # to write a result, a run computes it
            rest = ~stored & ((1 << size) - 1)
            news = rest
            while True:
                took = kept[stored] + written[news] + writes[news]
                if took < after[stored | news]:
                    after[stored | news] = took
                if not news:
                    break
                news = (news - 1) & rest
        least = _least_of_supersets(after, size)
        for stored in range(1 << size):
            if sizes[stored] > budget_bytes:
                least[stored] = math.inf
    return int(min(least))


def _run_times(steps: Sequence[Step], original: int, stored: int) -> list[float]:
    """Return for each set of steps what a run takes that computes just these."""
    numbers = {step.key: n for n, step in enumerate(steps)}
    takes = [sum(1 << numbers[parent] for parent in step.parents) for step in steps]
    demanded = sum(1 << n for n, step in enumerate(steps) if step.demanded)
    loads = _sums([load_us(step) for step in steps])
    computes = _sums([step.compute_us for step in steps])
    inputs = _unions(takes)
    times = [math.inf] * (1 << len(steps))
    for chosen in range(1 << len(steps)):
        loaded = (demanded | inputs[chosen]) & ~chosen
        if not original & ~chosen and not loaded & ~stored:
            times[chosen] = computes[chosen] + loads[loaded]
    return times


def _sums(amounts: Sequence[int]) -> list[int]:
    """Return the sum of every subset."""
    sums = [0]
    for amount in amounts:
        sums += [amount + one for one in sums]
    return sums


def _unions(sets: Sequence[int]) -> list[int]:
    """Return the union of every subset."""
    unions = [0]
    for one in sets:
        unions += [one | other for other in unions]
    return unions


def _least_of_supersets(values: Sequence[float], size: int) -> list[float]:
    """Return for each set the least value of a set that it is part of."""
    least = list(values)
    for n in range(size):
        for chosen in range(1 << size):
            if not chosen >> n & 1 and least[chosen | 1 << n] < least[chosen]:
                least[chosen] = least[chosen | 1 << n]
    return least
