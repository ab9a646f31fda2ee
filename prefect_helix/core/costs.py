"""What computing and loading cost, learned from traces. Unknown is None, never zero.

Each estimate is a low median of the latest measurements, so that neither an outlier nor a slow first run, which imports
and fills caches, is taken for what a step takes. What is measured counts from the next run on: a wrong estimate costs
time until then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median_high, median_low
from typing import TypeVar

from prefect_helix.core.amounts import total
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Result, Trace

RECENT = 5
"""Measurements of a task that its estimate is made from."""

DEFAULT_LATENCY_US = 500
DEFAULT_BYTES_PER_US = 500.0
"""Assumed of a store nothing was loaded from yet, and of writing to any: half a millisecond a blob, 500 MB/s."""

MOST_SCALED = 8.0
"""A time is scaled by no more than this where inputs are larger or smaller."""

OUTLIER = 3.0
"""A single measurement so many times what such calls else take is not believed."""

FEWEST = 3
"""Measurements of calls with the same literals, its own included, that one is not believed beside."""

_T = TypeVar("_T")

_SMALL_BYTES = 64 * 1024
_LARGE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Computed:
    """A compute: what it took, the size of what it was given as far as known, and the hash of its literal arguments."""

    us: int
    input_bytes: int | None = None
    literals: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load: what it took, of how much, in how many blobs."""

    us: int
    size_bytes: int
    blobs: int = 1


@dataclass(frozen=True, slots=True)
class Samples:
    """The latest measurements by task key, oldest first."""

    computed: Mapping[str, tuple[Computed, ...]] = field(default_factory=dict)
    loaded: Mapping[str, tuple[Loaded, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """Estimates in microseconds.

    Attributes:
        samples: What they are made from.
    """

    samples: Samples = field(default_factory=Samples)

    def compute(
        self, key: str, trace: Trace | None, input_bytes: Callable[[], int | None] = lambda: None
    ) -> int | None:
        """Return what computing a node of task `key` takes, best known from its own `trace`.

        Args:
            key: The task.
            trace: The trace that the node is equivalent to.
            input_bytes: Gives the size of what the node is given, as far as known; other computes of the task are
                scaled to it.
        """
        samples = self.samples.computed.get(key, ())
        if trace is None or trace.compute_us is None:
            return _usual(samples, input_bytes()) if samples else None
        own = trace.compute_us
        alike = [one for one in samples if one.literals == trace.literals]
        if len(alike) < FEWEST or own <= OUTLIER * min(one.us for one in alike):
            return own
        size = input_bytes()
        usual = _usual(alike, size)
        return usual if size and own > OUTLIER * usual else own

    def load(self, result: Result, key: str = "") -> int:
        """Return what loading all of `result` takes; what sits in the lineage costs nothing.

        Args:
            result: The result.
            key: The task that gave it. What its results took to load before tells more than the store's bandwidth: a
                list of objects takes longer than an array of that size.
        """
        blobs = result.blobs
        if not blobs:
            return 0
        loads = [one for one in self.samples.loaded.get(key, ()) if one.size_bytes]
        rates = [max(0, one.us - one.blobs * self._latency_us) / one.size_bytes for one in loads]
        usual = median_low(rates) if rates else 0
        us_per_byte = usual or 1 / self._bytes_per_us  # what took no longer than the latency tells no rate
        return round(len(blobs) * self._latency_us + us_per_byte * result.size_bytes)

    def write(self, size_bytes: int, blobs: int) -> int:
        """Return what writing so many bytes in so many blobs takes: no less than is assumed of any store."""
        bytes_per_us = min(self._bytes_per_us, DEFAULT_BYTES_PER_US)
        return int(blobs * max(self._latency_us, DEFAULT_LATENCY_US) + size_bytes / bytes_per_us)

    @cached_property
    def _latency_us(self) -> int:
        small = [one.us // one.blobs for one in self._loads if one.blobs and one.size_bytes <= one.blobs * _SMALL_BYTES]
        return median_low(small) if small else DEFAULT_LATENCY_US

    @cached_property
    def _bytes_per_us(self) -> float:
        large = [one for one in self._loads if one.size_bytes >= _LARGE_BYTES]
        rates = [one.size_bytes / max(one.us - one.blobs * self._latency_us, one.us / 2, 1) for one in large]
        return median_high(rates) if rates else DEFAULT_BYTES_PER_US  # which is the low median of the times

    @property
    def _loads(self) -> Iterable[Loaded]:
        return (one for loads in self.samples.loaded.values() for one in loads)


def sample(runs: Iterable[Iterable[Trace]], earlier: Samples | None = None) -> Samples:
    """Return the latest measurements in the traces of runs, oldest first, and before them.

    Complexity: O(traces + edges).
    """
    before = earlier or Samples()
    computed: dict[str, list[Computed]] = defaultdict(list, {key: [*some] for key, some in before.computed.items()})
    loaded: dict[str, list[Loaded]] = defaultdict(list, {key: [*some] for key, some in before.loaded.items()})
    for traces in runs:
        results: dict[str, Result] = {}
        for trace in traces:
            result = trace.result
            if result is not None:
                results[trace.signature] = result
            if trace.decision is Decision.COMPUTE and trace.compute_us is not None and trace.status == "completed":
                computed[trace.key].append(Computed(trace.compute_us, _input_bytes(trace, results), trace.literals))
            elif trace.decision is Decision.LOAD and trace.load_us and trace.loaded_blobs:
                loaded[trace.key].append(Loaded(trace.load_us, trace.loaded_bytes, trace.loaded_blobs))
    return Samples(_latest(computed), _latest(loaded))


def taken_bytes(result: Result | None, leaf: int | None) -> int | None:
    """Return the size of a result or of a leaf of it; None if it is not known."""
    if result is None:
        return None
    if leaf is None:
        return result.size_bytes
    return result.leaves[leaf].size_bytes if leaf < len(result.leaves) else None


def _latest(measured: Mapping[str, list[_T]]) -> dict[str, tuple[_T, ...]]:
    return {key: tuple(some[-RECENT:]) for key, some in measured.items()}


def _input_bytes(trace: Trace, results: Mapping[str, Result]) -> int | None:
    taken = [taken_bytes(results.get(link.signature), link.leaf) for link in trace.parents]
    return total([*taken, *(argument.size_bytes for argument in trace.arguments if argument.size_bytes)])


def _usual(samples: Iterable[Computed], input_bytes: int | None) -> int:
    """Return what a compute usually took, scaled to inputs of this size."""
    return median_low([_scaled(one, input_bytes) for one in samples])


def _scaled(one: Computed, input_bytes: int | None) -> int:
    """Return what a compute would have taken with inputs of this size."""
    if not one.input_bytes or not input_bytes:
        return one.us
    return int(one.us * min(MOST_SCALED, max(1 / MOST_SCALED, input_bytes / one.input_bytes)))
