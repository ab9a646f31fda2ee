"""What it would cost a flow's next run, on average, if a result were not stored.

Scenario k is "task k changes next". Then its steps and all steps below are computed, and what those take from
elsewhere must be had, as must what else the flow gives back: loaded where it is stored, else computed from what is had
in the same way. In one more scenario nothing changes, and a new step takes what none takes so far: the last steps,
those among them that are lazy and were never computed. The loss of a result is the difference that storing it makes to
the cost of this, on average over the scenarios. A stored child shadows its parent, and a parent that is needed anyway
costs its child nothing: each result is valued beside all others.

All scenarios are walked through at once. A set of scenarios is the bits of an integer; each step has the set in which
it changes, and the set in which it does not and its value is needed. If one result is stored more or less, only
ancestors up to the next stored ones are looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

SCENARIOS = 64
"""Tasks of a flow that change each by itself; where it has more, neighbours change together."""

_ADDITION = 2
"""The scenario, as a set of itself, in which nothing changes and what no step takes so far is taken."""

END = 0.1
"""Chance that a run is the last of its flow, so that nothing is worth keeping for ever."""


@dataclass(frozen=True, slots=True)
class Chances:
    """How likely what is to change before the next run, in proportion to each other.

    Attributes:
        tasks: A task.
        other: A task that is not among them.
        nothing: Nothing at all.
        addition: Results that no step takes so far, or that nobody asked for, get steps that take them.
    """

    tasks: Mapping[str, float]
    other: float
    nothing: float
    addition: float


@dataclass(frozen=True, slots=True)
class Expected:
    """A step of the run that is expected next, as far as known.

    Attributes:
        key: Its name, unique in the run.
        task: Whose call it is.
        parents: Keys of the steps whose results it takes.
        compute_us: What computing it takes.
        load_us: What loading its result takes, if that is stored.
        demanded: Whether somebody other than its children needs its value.
        stored: Whether its result is stored, or is expected to be once it is computed.
    """

    key: str
    task: str
    parents: tuple[str, ...]
    compute_us: int
    load_us: int
    demanded: bool = False
    stored: bool = False


@dataclass(slots=True)
class _Step:
    compute_us: int
    load_us: int
    demanded: bool
    stored: bool
    parents: tuple[int, ...]
    changes: int
    children: list[int] = field(default_factory=list)
    needed: int = 0
    asked: dict[int, int] = field(default_factory=dict)

    @property
    def cost_us(self) -> int:
        return self.load_us if self.stored else self.compute_us

    @property
    def asks(self) -> int:
        """The scenarios in which it is computed, so that it needs what it takes."""
        return _asks(self.changes, self.needed, stored=self.stored)


class Losses:
    """Values the results of one flow.

    Args:
        chances: What is likely to change.
        steps: The steps of the next run, parents before children.

    Complexity: O(steps + edges).
    """

    def __init__(self, chances: Chances, steps: Iterable[Expected] = ()) -> None:
        self._chances = chances
        self._weights: list[float] = [chances.nothing, chances.addition]
        self._bits: dict[str, int] = {}
        self._known: dict[int, float] = {}
        self._numbers: dict[str, int] = {}
        self._keys: list[str] = []
        self._steps: list[_Step] = []
        self._touched: set[int] = set()
        self._compute_us = self._cost_us = 0
        steps = [*steps]
        tasks = [*dict.fromkeys(step.task for step in steps)]
        together = -(-len(tasks) // SCENARIOS)
        for place, task in enumerate(tasks):
            self._add_task(task, alone=place % together == 0)
        for step in steps:
            self._append(step)
        for known in reversed(self._steps):
            self._set(known, _needed(known), stored=known.stored)

    def _add_task(self, task: str, *, alone: bool) -> None:
        if alone:
            self._weights.append(0.0)
        self._weights[-1] += self._chances.tasks.get(task, self._chances.other)
        self._bits[task] = 1 << (len(self._weights) - 1)
        self._known.clear()

    def _append(self, step: Expected) -> None:
        number = self._numbers[step.key] = len(self._steps)
        self._keys.append(step.key)
        parents = tuple(dict.fromkeys(self._numbers[parent] for parent in step.parents))
        changes = self._bits[step.task]
        for parent in parents:
            changes |= self._steps[parent].changes
        added = _Step(step.compute_us, step.load_us, step.demanded, step.stored, parents, changes)
        for parent in parents:
            self._steps[parent].children.append(number)
            _count(self._steps[parent].asked, added.asks, 1)
        self._steps.append(added)
        self._add_up(added, 1)

    def append(self, step: Expected) -> None:
        """Add a step that takes results of known ones."""
        if step.task not in self._bits:
            self._add_task(step.task, alone=len(self._bits) < SCENARIOS)
        self._append(step)
        number = self._numbers[step.key]
        self._carry_out(set(), [number, *self._steps[number].parents])

    def update(self, key: str, compute_us: int, load_us: int) -> None:
        """Take note of what a step takes, and loading its result."""
        step = self._steps[self._numbers[key]]
        self._add_up(step, -1)
        step.compute_us, step.load_us = compute_us, load_us
        self._add_up(step, 1)
        self._touched.add(self._numbers[key])

    def __contains__(self, key: str) -> bool:
        """Return whether the step is known."""
        return key in self._numbers

    # -- what is stored ------------------------------------------------------------------------------------------

    def stored(self, key: str) -> bool:
        """Return whether the result of a step counts as stored."""
        return self._steps[self._numbers[key]].stored

    def loss_us(self, keys: Collection[str]) -> float:
        """Return what it costs the next run on average if the results of these steps are not stored.

        Args:
            keys: Steps that all count as stored, or all not.

        Complexity: O(ancestors up to the next stored ones, and their edges).
        """
        numbers = {self._numbers[key] for key in keys}
        _, more = self._flip(numbers, numbers)
        return (more if self.stored(next(iter(keys))) else -more) / sum(self._weights)

    def most_loss_us(self, keys: Collection[str]) -> float:
        """Return what `loss_us` is at most: as if all steps had to be had again wherever one of these is needed.

        Complexity: O(keys).
        """
        steps = [self._steps[self._numbers[key]] for key in keys]
        needed, more_us = 0, self._cost_us
        for step in steps:
            needed |= step.needed
            more_us += step.compute_us - step.cost_us
        return self._weight(needed) * more_us / sum(self._weights)

    def flip(self, keys: Collection[str]) -> None:
        """Take note that the results of these steps are stored now that were not, or are not any more."""
        numbers = {self._numbers[key] for key in keys}
        self._carry_out(numbers, numbers)

    def affected(self) -> list[str]:
        """Return the stored steps whose losses may not be what they were when this was last asked.

        Those are the steps that are needed in other scenarios now, and what would be made from them. Complexity:
        O(steps below down to the next stored ones, and their edges).
        """
        seen, self._touched = self._touched, set()
        found = [number for number in seen if self._steps[number].stored]
        stack = [*seen]
        while stack:
            for child in self._steps[stack.pop()].children:
                if child not in seen:
                    seen.add(child)
                    (found if self._steps[child].stored else stack).append(child)
        return [self._keys[number] for number in found]

    def runs(self, keys: Iterable[str]) -> float:
        """Return in how many runs, on average, the results of these steps are still valid, the next one included."""
        changes = 0
        for key in keys:
            changes |= self._steps[self._numbers[key]].changes
        change = self._weight(changes) / sum(self._weights)
        return 1 / (1 - (1 - END) * (1 - change))

    def compute_us(self, key: str) -> int:
        """Return what computing a step takes."""
        return self._steps[self._numbers[key]].compute_us

    def recreate_us(self, key: str) -> int:
        """Return what computing a step and all its ancestors takes. Complexity: O(ancestors)."""
        return sum(self._steps[number].compute_us for number in self._above(self._numbers[key], past_stored=True))

    def recreate_exceeds(self, key: str, us: int) -> bool:
        """Return whether computing a step and all its ancestors takes longer than that.

        Complexity: O(ancestors), but no more of them than take so long, and none where all steps together take less.
        """
        if self._compute_us <= us:
            return False
        for number in self._above(self._numbers[key], past_stored=True):
            us -= self._steps[number].compute_us
            if us < 0:
                return True
        return False

    def remake_exceeds(self, key: str, us: int, had: Callable[[str], bool] = lambda key: False) -> bool:
        """Return whether computing a step, and having what it takes from what is stored, takes longer than that.

        Complexity: O(ancestors up to the next stored ones), but no more of them than take so long, and none where all
        steps together take less.

        Args:
            key: The step.
            us: That.
            had: Whether the result of a step can be loaded although it does not count as stored.
        """
        if self._cost_us <= us and not self.stored(key):
            return False
        own = self._numbers[key]
        for number in self._above(own, had=had):
            step = self._steps[number]
            if number == own:
                us -= step.compute_us
            else:
                us -= step.load_us if had(self._keys[number]) else step.cost_us
            if us < 0:
                return True
        return False

    def _add_up(self, step: _Step, times: int) -> None:
        """Count what a step takes among what all do, or not any more."""
        self._compute_us += times * step.compute_us
        self._cost_us += times * step.cost_us

    # -- scenarios -----------------------------------------------------------------------------------------------

    def _carry_out(self, flipped: set[int], start: Iterable[int]) -> None:
        needed, _ = self._flip(flipped, start)
        for number in flipped | needed.keys():
            step = self._steps[number]
            self._set(step, needed.get(number, step.needed), stored=step.stored is not (number in flipped))
            self._touched.add(number)

    def _set(self, step: _Step, needed: int, *, stored: bool) -> None:
        before = step.asks
        self._add_up(step, -1)
        step.needed, step.stored = needed, stored
        self._add_up(step, 1)
        for parent in step.parents if step.asks != before else ():
            _count(self._steps[parent].asked, before, -1)
            _count(self._steps[parent].asked, step.asks, 1)

    def _flip(self, flipped: Collection[int], start: Iterable[int]) -> tuple[dict[int, int], float]:
        """Try what changes if the steps of `flipped` were stored that are not, and the other way round.

        Args:
            flipped: Which.
            start: Where to look first.

        Returns:
            The scenarios in which steps would be needed, where these are others than now, and what more the scenarios
            would cost, each by its weight.
        """
        needed: dict[int, int] = {}
        asked: dict[int, list[tuple[int, int]]] = {}
        heap = [-number for number in start]
        heapify(heap)
        queued = {-number for number in heap}
        more = 0.0
        while heap:
            number = -heappop(heap)
            step = self._steps[number]
            now = _needed(step, asked.get(number, ()))
            stored = step.stored is not (number in flipped)
            if now != step.needed:
                needed[number] = now
            elif stored is step.stored:
                continue
            more += self._weight(now) * (step.load_us if stored else step.compute_us)
            more -= self._weight(step.needed) * step.cost_us
            before, after = step.asks, _asks(step.changes, now, stored=stored)
            for parent in step.parents if after != before else ():  # other scenarios ask for them
                asked.setdefault(parent, []).append((before, after))
                if parent not in queued:
                    queued.add(parent)
                    heappush(heap, -parent)
        return needed, more

    def _weight(self, scenarios: int) -> float:
        weight = self._known.get(scenarios)
        if weight is None:
            weight = sum(one for place, one in enumerate(self._weights) if scenarios >> place & 1)
            self._known[scenarios] = weight
        return weight

    def _above(
        self, number: int, *, past_stored: bool = False, had: Callable[[str], bool] = lambda key: False
    ) -> Iterator[int]:
        """Yield a step and its ancestors, up to the next that are stored or `had`, or past them."""
        seen = {number}
        stack = [number]
        while stack:
            one = stack.pop()
            yield one
            if one == number or past_stored or not (self._steps[one].stored or had(self._keys[one])):
                new = [parent for parent in self._steps[one].parents if parent not in seen]
                seen.update(new)
                stack += new


def _asks(changes: int, needed: int, *, stored: bool) -> int:
    return changes if stored else changes | needed


def _needed(step: _Step, others: Sequence[tuple[int, int]] = ()) -> int:
    """Return the scenarios in which the value of a step is needed and the step does not change.

    Args:
        step: The step.
        others: For each child that would ask for it in other scenarios, in which it does and in which it would.

    Complexity: O(others + sets of scenarios that children ask for it in), which are few where children are alike.
    """
    if step.demanded:
        return ~step.changes  # all others, however many there will be
    counts = step.asked
    if others:
        counts = dict(counts)
        for before, after in others:
            _count(counts, before, -1)
            _count(counts, after, 1)
    asked = 0 if step.children else _ADDITION
    for scenarios in counts:
        asked |= scenarios
    return asked & ~step.changes


def _count(counts: dict[int, int], scenarios: int, more: int) -> None:
    counts[scenarios] = counts.get(scenarios, 0) + more
    if not counts[scenarios]:
        del counts[scenarios]
