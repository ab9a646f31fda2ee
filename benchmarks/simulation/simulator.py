"""Replays a series of runs under a policy and a budget. Pure and deterministic: the core decides, time is added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.graph import Decision
from prefect_helix.core.habits import chances
from prefect_helix.core.losses import Chances, Expected, Losses
from prefect_helix.core.lots import Parcel
from prefect_helix.core.materialization import Policy
from prefect_helix.core.planner import Plan, PlanNode, solve
from prefect_helix.core.prospects import NOW, Prospects
from prefect_helix.core.shelf import Shelf

from .workloads import Step, Workload

LATENCY_US = 2_000
LOAD_BYTES_PER_US = 200
WRITE_BYTES_PER_US = 100


def load_us(step: Step) -> int:
    """Return what loading the result of a step takes."""
    return LATENCY_US + step.size_bytes // LOAD_BYTES_PER_US


def write_us(step: Step) -> int:
    """Return what writing the result of a step takes; a run is taken to wait for it."""
    return LATENCY_US + step.size_bytes // WRITE_BYTES_PER_US


@dataclass
class Outcome:
    """What a series of runs came to.

    Attributes:
        run_us: What each run took, writing included.
        offers: Results that were offered to the policy.
    """

    run_us: list[int] = field(default_factory=list)
    offers: int = 0

    @property
    def total_us(self) -> int:
        """What all runs took."""
        return sum(self.run_us)


def signatures(steps: Sequence[Step], versions: Mapping[str, int]) -> dict[str, str]:
    """Return the history key of each step in a run."""
    found: dict[str, str] = {}
    for step in steps:
        parents = [found[parent] for parent in step.parents]
        found[step.key] = hash_parts(step.key, str(versions.get(step.task, 0)), *parents)
    return found


def simulate(workload: Workload, policy: Policy, budget_bytes: int) -> Outcome:
    """Replay a workload."""
    series = _Series(workload, policy, budget_bytes)
    for versions in workload.versions:
        series.run(versions)
    return series.outcome


def _plan(steps: Sequence[Step], names: Mapping[str, str], computed: set[str], stored: Mapping[str, int]) -> Plan:
    """Plan a run: what was never computed is computed, the rest as it costs least."""
    return solve(
        PlanNode(
            step.key,
            step.parents,
            step.compute_us,
            load_us(step) if names[step.key] in stored else None,
            original=names[step.key] not in computed,
            demanded=step.demanded or names[step.key] not in computed,
        )
        for step in steps
    )


class _Series:
    """Runs that follow each other, and the store between them."""

    def __init__(self, workload: Workload, policy: Policy, budget_bytes: int) -> None:
        self.outcome = Outcome()
        self._steps = workload.steps
        self._tasks = {step.task for step in workload.steps}
        self._policy = policy
        self._budget_bytes = budget_bytes
        self._blobs: dict[str, int] = {}
        self._last_used: dict[str, int] = {}
        self._computed: set[str] = set()
        self._kept: set[str] = set()
        self._versions: list[Mapping[str, int]] = []

    def run(self, versions: Mapping[str, int]) -> None:
        """Play one run. The first is not expected: its steps become known one by one."""
        names = signatures(self._steps, versions)
        plan = _plan(self._steps, names, self._computed, self._blobs)
        expected = [self._expected(step, names[step.key]) for step in self._steps]
        parcels = {
            step.key: Parcel((NOW, step.key), {names[step.key]: step.size_bytes}, load_us(step), write_us(step))
            for step in self._steps
        }
        losses = Losses(self._chances(versions), expected if self._versions else ())
        to_load = {names[key] for key, decision in plan.decisions.items() if decision is Decision.LOAD}
        shelf = self._shelf(losses, to_load)
        for step in self._steps if self._versions else ():
            if names[step.key] in self._blobs:
                shelf.expect(parcels[step.key])
        run_us = plan.cost_us
        for step, one in zip(self._steps, expected, strict=True):
            name = names[step.key]
            self._last_used[name] = len(self._versions)
            if one.key not in losses:
                losses.append(one)
            to_load.discard(name)
            if plan.decisions[step.key] is Decision.COMPUTE:
                self._computed.add(name)
                run_us += self._offer(shelf, parcels[step.key])
        self._blobs = shelf.blobs
        self._kept = {step.key for step in self._steps if names[step.key] in shelf.blobs}
        self._versions.append(versions)
        self.outcome.run_us.append(run_us)

    def _shelf(self, losses: Losses, to_load: set[str]) -> Shelf:
        prospects = Prospects()
        prospects.add(NOW, 1, losses)
        return Shelf(
            self._policy,
            self._budget_bytes,
            prospects,
            self._blobs,
            self._last_used,
            spared=lambda: to_load,
        )

    def _offer(self, shelf: Shelf, parcel: Parcel) -> int:
        """Offer a result that was computed; return what writing it takes, if it is."""
        self.outcome.offers += 1
        held = shelf.holds(parcel)
        gone = shelf.offer(parcel)
        assert shelf.size_bytes <= self._budget_bytes, "what makes room goes before the result is written"
        return 0 if gone is None or held else parcel.write_us

    def _expected(self, step: Step, name: str) -> Expected:
        again = name not in self._computed and step.key in self._kept
        return Expected(
            step.key,
            step.task,
            step.parents,
            step.compute_us,
            load_us(step),
            step.demanded,
            stored=name in self._blobs or again,
        )

    def _chances(self, versions: Mapping[str, int]) -> Chances:
        series = [*self._versions, versions]
        changes = [
            {task for task in self._tasks if before.get(task, 0) != after.get(task, 0)}
            for before, after in pairwise(series)
        ]
        return chances(changes, len(self._tasks) if self._versions else 0)
