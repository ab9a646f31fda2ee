"""What measurements come to: for each workload and system what all iterations took, and which results were wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .bound import least_seconds
from .results import Measurement
from .systems import BOUND, PLAIN, SYSTEMS


@dataclass(frozen=True)
class Standing:
    """How a system did in a workload: medians over the repeats that it finished.

    Attributes:
        system: Its name.
        repeats: How many it finished, without a failure.
        body_seconds: For each of those, the bodies of all iterations together.
        each: The body of each iteration.
        at: The bodies up to each iteration, together.
        task_seconds: In bodies of tasks, all iterations together; None if that is not known.
        process_seconds: All processes together; None for the lower bound.
        stored_bytes: What was stored at the end.
        peak_bytes: The highest peak of a process.
        wrong: Iterations, in all repeats, whose result is not plain Prefect's: they do not count as fast.
        unchecked: Iterations for which there is no result of plain Prefect's.
        failures: What failed, in all repeats.
    """

    system: str
    repeats: int
    body_seconds: tuple[float, ...]
    each: tuple[float, ...]
    at: tuple[float, ...]
    task_seconds: float | None
    process_seconds: float | None
    stored_bytes: int | None
    peak_bytes: int | None
    wrong: tuple[Measurement, ...]
    unchecked: int
    failures: tuple[Measurement, ...]

    @property
    def seconds(self) -> float | None:
        """The bodies of all iterations together; None if no repeat was finished."""
        return median(self.body_seconds) if self.body_seconds else None


@dataclass(frozen=True)
class Outcome:
    """How the systems did in a workload.

    Attributes:
        workload: Its name.
        changes: What was changed before each iteration.
        standings: One for each system, by name.
    """

    workload: str
    changes: tuple[str, ...]
    standings: Mapping[str, Standing]

    @property
    def ordered(self) -> list[Standing]:
        """All standings, in the order in which systems are listed."""
        return [self.standings[name] for name in SYSTEMS if name in self.standings]

    @property
    def unlimited(self) -> list[Standing]:
        """Those of systems that may store what they like."""
        return [standing for standing in self.ordered if SYSTEMS[standing.system].budget_share is None]

    def ratio(self, system: str, to: str = BOUND) -> float | None:
        """Return how many times as long a system took as another; None if one of them did not finish."""
        seconds = [self.standings[name].seconds if name in self.standings else None for name in (system, to)]
        return seconds[0] / seconds[1] if seconds[0] is not None and seconds[1] else None


def outcomes(measurements: Iterable[Measurement]) -> list[Outcome]:
    """Return the outcome of each workload, in the order in which they were measured."""
    of_workload: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        of_workload.setdefault(measurement.workload, []).append(measurement)
    return [_outcome(name, found) for name, found in of_workload.items()]


def is_wrong(measurement: Measurement, plain: Sequence[Measurement]) -> bool:
    """Return whether a result is not what plain Prefect returned in the same iteration.

    They have to agree bit for bit. Only where runs of plain Prefect do not agree with each other, because sums are
    taken in another order, are nine significant digits compared.
    """
    digests = {other.digest for other in plain}
    if len(digests) > 1:
        return measurement.rounded not in {other.rounded for other in plain}
    return measurement.digest not in digests


def _outcome(workload: str, measurements: Sequence[Measurement]) -> Outcome:
    changes = {measurement.iteration: measurement.change for measurement in measurements}
    plain: dict[int, list[Measurement]] = {}
    for measurement in measurements:
        if measurement.system == PLAIN and not measurement.failure:
            plain.setdefault(measurement.iteration, []).append(measurement)
    length = max(changes) + 1
    systems = dict.fromkeys(measurement.system for measurement in measurements)
    standings = {
        name: _standing(name, [one for one in measurements if one.system == name], plain, length) for name in systems
    }
    return Outcome(workload, tuple(changes.get(iteration, "") for iteration in range(length)), standings)


def _standing(
    system: str, measurements: Sequence[Measurement], plain: Mapping[int, Sequence[Measurement]], length: int
) -> Standing:
    ran = [measurement for measurement in measurements if not measurement.failure]
    repeats: dict[int, dict[int, Measurement]] = {}
    for measurement in ran:
        repeats.setdefault(measurement.repeat, {})[measurement.iteration] = measurement
    finished = [[found[i] for i in range(length)] for found in repeats.values() if len(found) == length]
    bodies = [_bodies(system, found) for found in finished]
    is_bound = system == BOUND
    return Standing(
        system,
        repeats=len(finished),
        body_seconds=tuple(map(sum, bodies)),
        each=tuple(median(body[i] for body in bodies) for i in range(length)) if bodies else (),
        at=tuple(median(sum(body[: i + 1]) for body in bodies) for i in range(length)) if bodies else (),
        task_seconds=_median([t for found in finished if (t := _in_tasks(found)) is not None]),
        process_seconds=None if is_bound else _median([sum(m.process_seconds for m in found) for found in finished]),
        stored_bytes=None if is_bound else _whole(_median([found[-1].stored_bytes for found in finished])),
        peak_bytes=None if is_bound else _whole(_median([max(m.peak_bytes for m in found) for found in finished])),
        wrong=tuple(m for m in ran if m.iteration in plain and is_wrong(m, plain[m.iteration])),
        unchecked=sum(m.iteration not in plain for m in ran),
        failures=tuple(m for m in measurements if m.failure),
    )


def _bodies(system: str, found: Sequence[Measurement]) -> list[float]:
    return least_seconds(m.calls for m in found) if system == BOUND else [m.body_seconds or 0.0 for m in found]


def _in_tasks(found: Sequence[Measurement]) -> float | None:
    seconds = [m.task_seconds for m in found if m.task_seconds is not None]
    return sum(seconds) if len(seconds) == len(found) else None


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
