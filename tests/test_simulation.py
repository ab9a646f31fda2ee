"""The simulator that policies are compared in, and what they are compared with."""

from __future__ import annotations

import sys

import pytest

from benchmarks.simulation.__main__ import main
from benchmarks.simulation.bound import least_us
from benchmarks.simulation.clairvoyant import clairvoyant_us
from benchmarks.simulation.simulator import load_us, simulate, write_us
from benchmarks.simulation.workloads import Step, Workload, chain, diamonds, small, wide_map
from prefect_helix.core.materialization import POLICIES

SECOND = 1_000_000
BUDGETS = (0.0, 0.1, 0.5, 1.0)


def two_steps(*versions: dict[str, int]) -> Workload:
    """A dear step, and a cheap one that takes its result and is edited."""
    dear = Step("dear", "dear", (), 100 * SECOND, 1_000_000)
    cheap = Step("cheap", "cheap", ("dear",), SECOND, 5_000, demanded=True)
    return Workload("two", "two", (dear, cheap), versions)


def test_a_step_that_did_not_change_is_loaded_if_it_was_stored() -> None:
    workload = two_steps({}, {"cheap": 1}, {"cheap": 1})
    dear, cheap = workload.steps
    everything = simulate(workload, POLICIES["always"], 2_000_000)
    writes = write_us(dear) + write_us(cheap)
    again = load_us(dear) + SECOND + write_us(cheap)
    assert everything.run_us == [101 * SECOND + writes, again, load_us(cheap)]
    assert simulate(workload, POLICIES["never"], 2_000_000).run_us == [101 * SECOND] * 3


def test_the_best_is_found_and_the_bound_is_below_it() -> None:
    workload = two_steps({}, {"cheap": 1}, {"cheap": 2})
    dear, _ = workload.steps
    best = 101 * SECOND + write_us(dear) + 2 * (load_us(dear) + SECOND)
    assert clairvoyant_us(workload, 2_000_000) == best
    assert clairvoyant_us(workload, 10_000) == 303 * SECOND
    assert best / 1.01 < least_us(workload, 2_000_000) <= best * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", BUDGETS)
def test_nobody_beats_the_best_and_the_best_does_not_beat_the_bound(seed: int, share: float) -> None:
    workload = small(seed)
    budget_bytes = int(share * workload.size_bytes)
    best_us = clairvoyant_us(workload, budget_bytes)
    assert least_us(workload, budget_bytes) <= best_us * (1 + 1e-6)
    assert best_us <= min(simulate(workload, policy, budget_bytes).total_us for policy in POLICIES.values())


@pytest.mark.parametrize("workload", [chain(0), diamonds(0), wide_map(0)], ids=lambda one: one.family)
@pytest.mark.parametrize("share", BUDGETS)
def test_nobody_beats_the_bound_where_edits_are_taken_back(workload: Workload, share: float) -> None:
    budget_bytes = int(share * workload.size_bytes)
    bound_us = least_us(workload, budget_bytes)
    outcomes = [simulate(workload, policy, budget_bytes) for policy in POLICIES.values()]
    assert bound_us <= min(outcome.total_us for outcome in outcomes) * (1 + 1e-6)
    assert outcomes == [simulate(workload, policy, budget_bytes) for policy in POLICIES.values()]


def test_a_family_that_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulation", "--families", "nosuch"])
    with pytest.raises(SystemExit):
        main()
    assert "Unknown: nosuch. Choose from census, genomics, spouse, mnist, chain," in capsys.readouterr().err
