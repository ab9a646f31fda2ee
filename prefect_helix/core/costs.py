"""What computing and loading cost, learned from traces. Unknown is None, never zero."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Result, Trace

RECENT = 5
"""Computes of a task that its estimate is the median of."""

DEFAULT_LATENCY_US = 500
DEFAULT_BYTES_PER_US = 500.0
"""Assumed of a store nothing was loaded from yet: half a millisecond a blob, 500 MB/s."""


@dataclass(frozen=True)
class Costs:
    """Estimates in microseconds.

    Attributes:
        compute_us: Median of the last computes, by task key.
        bytes_per_us: Bandwidth of the store.
        latency_us: Fixed time of one load.
    """

    compute_us: Mapping[str, int]
    bytes_per_us: float = DEFAULT_BYTES_PER_US
    latency_us: int = DEFAULT_LATENCY_US

    def compute(self, key: str, trace: Trace | None) -> int | None:
        """Return what computing a node of task `key` takes, best known from its own `trace`."""
        if trace is not None and trace.compute_us is not None:
            return trace.compute_us
        return self.compute_us.get(key)

    def load(self, result: Result) -> int:
        """Return what loading all of `result` takes; what sits in the lineage costs nothing."""
        blobs = result.blobs
        if not blobs:
            return 0
        return self.transfer(result.size_bytes, blobs=len(blobs))

    def transfer(self, size_bytes: int, *, blobs: int = 1) -> int:
        """Return what moving `size_bytes` in `blobs` objects takes."""
        return blobs * self.latency_us + int(size_bytes / self.bytes_per_us)


@dataclass(frozen=True, slots=True)
class Samples:
    """The latest measurements, oldest first.

    Attributes:
        compute_us: Times of the last computes, by task key.
        bytes_per_us: Rates of the last loads of a megabyte and more.
    """

    compute_us: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    bytes_per_us: tuple[float, ...] = ()


def sample(traces: Iterable[Trace], earlier: Samples | None = None) -> Samples:
    """Return the latest measurements in `traces`, oldest first, and before them. Complexity: O(traces)."""
    before = earlier or Samples()
    computed: dict[str, list[int]] = defaultdict(list, {key: [*times] for key, times in before.compute_us.items()})
    rates = [*before.bytes_per_us]
    for trace in traces:
        if trace.decision is Decision.COMPUTE and trace.compute_us is not None and trace.status == "completed":
            computed[trace.key].append(trace.compute_us)
        elif trace.decision is Decision.LOAD and trace.load_us and trace.result and trace.result.size_bytes > 1_000_000:
            rates.append(trace.result.size_bytes / trace.load_us)
    return Samples({key: tuple(times[-RECENT:]) for key, times in computed.items()}, tuple(rates[-4 * RECENT :]))


def learn(samples: Samples) -> Costs:
    """Return estimates: medians of the latest measurements."""
    return Costs(
        compute_us={key: int(statistics.median(times)) for key, times in samples.compute_us.items()},
        bytes_per_us=statistics.median(samples.bytes_per_us) if samples.bytes_per_us else DEFAULT_BYTES_PER_US,
    )
