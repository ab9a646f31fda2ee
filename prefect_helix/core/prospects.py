"""The runs that may come next, and what their steps' results are worth to all of them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from prefect_helix.core.habits import FADE
from prefect_helix.core.losses import Losses

Key = tuple[str, str]
"""A step of one of the runs that may come: the run, and the step's name in it."""

NOW = ""
"""The run that is going on, and what it would be if it came again."""

Again = tuple[str, str]
"""What a run may be again: its flow, and the hash of its parameters."""

LATEST = 1000
"""Runs that are looked at; what was before them counts for nothing."""

RETURN = 0.1
"""How often a flow is taken to be run with parameters that it had before the last ones, before that is seen."""


class Prospects:
    """Values results for the runs that may come next, each by how likely it is."""

    def __init__(self) -> None:
        self._losses: dict[str, Losses] = {}
        self._shares: dict[str, float] = {}

    def add(self, run: str, share: float, losses: Losses) -> None:
        """Add a run that may come, and how likely it is beside the others: more than not at all."""
        self._losses[run], self._shares[run] = losses, share

    def stored(self, key: Key) -> bool:
        """Return whether the result of a step counts as stored."""
        return self._losses[key[0]].stored(key[1])

    def flip(self, keys: Iterable[Key]) -> None:
        """Take note that the results of these steps are stored now that were not, or are not any more."""
        for run, steps in _by_run(keys):
            self._losses[run].flip(steps)

    def loss_us(self, keys: Iterable[Key]) -> float:
        """Return what it costs the next run on average, whichever it is, if these results are not stored."""
        return sum(self._share(run) * self._losses[run].loss_us(steps) for run, steps in _by_run(keys))

    def most_loss_us(self, keys: Iterable[Key]) -> float:
        """Return what `loss_us` is at most, which is known at once."""
        return sum(self._share(run) * self._losses[run].most_loss_us(steps) for run, steps in _by_run(keys))

    def runs(self, keys: Iterable[Key]) -> float:
        """Return how many runs there are to be, of whatever kind, until these results are not valid any more."""
        return max(self._losses[run].runs(steps) / self._share(run) for run, steps in _by_run(keys))

    def compute_us(self, key: Key) -> int:
        """Return what computing a step takes."""
        return self._losses[key[0]].compute_us(key[1])

    def recreate_us(self, key: Key) -> int:
        """Return what computing a step and all its ancestors takes."""
        return self._losses[key[0]].recreate_us(key[1])

    def recreate_exceeds(self, key: Key, us: int) -> bool:
        """Return whether computing a step and all its ancestors takes longer than that."""
        return self._losses[key[0]].recreate_exceeds(key[1], us)

    def remake_exceeds(self, key: Key, us: int, had: Callable[[Key], bool] = lambda key: False) -> bool:
        """Return whether computing a step, and having what it takes from what is stored, takes longer than that.

        Args:
            key: The step.
            us: That.
            had: Whether the result of a step can be loaded although it does not count as stored.
        """
        run, step = key
        return self._losses[run].remake_exceeds(step, us, lambda one: had((run, one)))

    def affected(self) -> list[Key]:
        """Return the stored steps whose losses may not be what they were when this was last asked."""
        return [(run, step) for run, losses in self._losses.items() for step in losses.affected()]

    def _share(self, run: str) -> float:
        return self._shares[run] / sum(self._shares.values())


def shares(runs: Sequence[Again]) -> dict[Again, float]:
    """Return how likely each of the runs that were is the next one, apart from changes of code.

    A flow is as likely as it was among the last runs. Of its parameters, the last ones come again, or those from before
    as often as that has happened. Complexity: O(latest runs).

    Args:
        runs: What each of them was, oldest first.
    """
    flows: defaultdict[str, list[Again]] = defaultdict(list)
    counts: defaultdict[str, float] = defaultdict(float)
    for age, run in enumerate(reversed(runs[-LATEST:])):
        flows[run[0]].append(run)
        counts[run[0]] += FADE**age
    found: dict[Again, float] = {}
    for flow, newest_first in flows.items():
        latest, *before = newest_first
        older: defaultdict[Again, float] = defaultdict(float)
        for age, one in enumerate(before):
            if one != latest:
                older[one] += FADE**age
        returns = _returns(newest_first) if older else 0.0
        found[latest] = (1 - returns) * counts[flow]
        for one, count in older.items():
            found[one] = returns * counts[flow] * count / sum(older.values())
    return found


def _returns(newest_first: Sequence[Again]) -> float:
    """Return how often a flow is run with parameters that it had before the last ones."""
    seen: set[Again] = set()
    returned, last = 0, None
    for one in reversed(newest_first):
        returned += one in seen and one != last
        seen.add(one)
        last = one
    return (returned + RETURN) / len(newest_first)


def _by_run(keys: Iterable[Key]) -> Collection[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for run, step in keys:
        found.setdefault(run, []).append(step)
    return found.items()
