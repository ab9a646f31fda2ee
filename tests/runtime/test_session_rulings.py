"""Which calls compute after somebody accepted a change of code, or revoked results, or took that back."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.rulings import Acceptance, Revocation, Ruling
from prefect_helix.core.written import Withdrawal
from prefect_helix.runtime.session import now_us
from prefect_helix.storage.catalog import Catalog

pytestmark = pytest.mark.timeout(60)


def frame(start: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000.0) + start})


def total(x: Any) -> float:
    return float(x["x"].sum())


class Clerk:
    """Makes rulings on a lab's store."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self._ids = map("r{}".format, itertools.count())

    def accept(self, task: Any, before: str, after: str | None = None, note: str = "") -> Ruling:
        """Accept the change from one version of a task to another one, else to today's."""
        versions = (f"{task.name}-{version}" for version in (before, after or task.version))
        return self._rule(Acceptance(next(self._ids), now_us(), task.name, *versions, note))

    def revoke(self, **criteria: Any) -> Ruling:
        return self._rule(Revocation(next(self._ids), now_us(), **criteria))

    def undo(self, ruling: Ruling) -> None:
        self._rule(Withdrawal(next(self._ids), now_us(), ruling.id))

    def _rule(self, ruling: Ruling) -> Ruling:
        Catalog(self.lab.store).rule(ruling)
        return ruling


@pytest.fixture
def clerk(lab: Any) -> Clerk:
    return Clerk(lab)


@pytest.fixture
def census(lab: Any) -> Callable[..., float]:
    """scan → features(scan) → fit(features, reg) → evaluate(fit, scan), all large but the last."""
    lab.task(lambda: frame(), name="scan")
    lab.task(lambda df: df + 1, name="features")
    lab.task(lambda df, reg: df * reg, name="fit")
    lab.task(lambda model, df: total(model) + total(df), name="evaluate")

    def flow(reg: float = 2.0) -> float:
        t = lab.tasks
        rows = t["scan"]()
        return t["evaluate"](t["fit"](t["features"](rows), reg), rows)

    return flow


ALL = ["scan", "features", "fit", "evaluate"]


class Sealed:
    """A value without a digest, which cannot be stored either: only its signature tells it from another."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.lock = threading.Lock()


@pytest.fixture
def sealed(lab: Any) -> Callable[..., float]:
    """make(n) → weigh(made): ten times n."""
    lab.task(lambda n: Sealed(10.0 * n), name="make")
    lab.task(lambda made: made.weight, name="weigh")

    def flow(n: int = 1) -> float:
        return lab.tasks["weigh"].submit(lab.tasks["make"].submit(n)).result()

    return flow


def scaled(factor: float) -> Callable[..., Any]:
    return lambda df, reg: df * reg * factor


def wrong_make(n: int) -> Sealed:
    return Sealed(-1.0)


# -- accept ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ALL)
def test_accepted_code_computes_nothing(lab, clerk, census, task):
    first = lab.run(census)
    lab.tasks[task].edit()
    clerk.accept(lab.tasks[task], "1")
    run = lab.run(census)
    assert (run.value, run.bodies) == (first.value, [])
    assert lab.run(census).bodies == []


def test_only_the_change_that_was_accepted_is(lab, clerk, census):
    lab.run(census)
    fit = lab.tasks["fit"]
    fit.edit(version="2")
    clerk.accept(fit, "1")
    fit.edit(lambda df, reg: df - reg, version="3")
    run = lab.run(census)
    assert run.bodies == ["fit", "evaluate"]
    assert run.value == lab.scratch(census)


def test_a_step_that_is_reused_by_an_acceptance_says_so_and_one_that_computes_does_not(lab, clerk, census):
    lab.run(census)
    clerk.accept(lab.tasks["fit"], "1", "1.1", "renamed a helper")
    lab.tasks["fit"].edit()
    reasons = {trace.task: trace.reason for trace in lab.run(census).lineage.traces}
    assert reasons["features"] == "unchanged, and not needed"
    assert reasons["fit"].startswith("its change was accepted as a refactoring on 2")
    assert reasons["fit"].endswith(" (renamed a helper), and not needed")
    again = {trace.task: trace.reason for trace in lab.run(census, reg=3.0).lineage.traces}
    assert again["fit"] == "argument reg changed: 2.0 → 3.0"


def test_the_trace_says_which_code_computed_the_result(lab, clerk, census):
    lab.run(census)
    clerk.accept(lab.tasks["fit"], "1", "1.1")
    lab.tasks["fit"].edit()
    codes = [
        next(trace.computed_by for trace in lab.run(census, reg=reg).lineage.traces if trace.task == "fit")
        for reg in (2.0, 3.0, 3.0)
    ]
    assert codes == ["fit-1", "fit-1.1", "fit-1.1"]


def test_results_of_the_new_code_from_before_it_was_accepted_count_too(lab, clerk, census):
    lab.run(census, reg=2.0)
    lab.tasks["fit"].edit()
    lab.run(census, reg=3.0)
    clerk.accept(lab.tasks["fit"], "1")
    assert [lab.run(census, reg=reg).bodies for reg in (2.0, 3.0)] == [[], []]
    lab.tasks["fit"].edit(version="1")
    assert [lab.run(census, reg=reg).bodies for reg in (2.0, 3.0)] == [[], []]


def test_undone_the_new_code_computes(lab, clerk, census):
    lab.run(census)
    lab.tasks["fit"].edit(lambda df, reg: df - reg)
    ruling = clerk.accept(lab.tasks["fit"], "1")
    assert lab.run(census).bodies == []
    clerk.undo(ruling)
    run = lab.run(census)
    assert (run.value, run.bodies) == (lab.scratch(census), ["fit", "evaluate"])


def test_undone_each_code_keeps_the_results_that_it_computed(lab, clerk, census):
    lab.run(census)
    fit, old = lab.tasks["fit"], lab.tasks["fit"].fn
    fit.edit(lambda df, reg: df - reg, version="2")
    ruling = clerk.accept(fit, "1")
    wrong = lab.run(census, reg=3.0)
    assert wrong.bodies == ["fit", "evaluate"]
    clerk.undo(ruling)
    assert lab.run(census, reg=3.0).bodies == []
    fit.edit(old, version="1")
    assert lab.run(census, reg=2.0).bodies == []
    right = lab.run(census, reg=3.0)
    assert (right.value, right.bodies) == (lab.scratch(census, reg=3.0), ["fit", "evaluate"])
    assert right.value != wrong.value
    assert lab.run(census, reg=3.0).bodies == []


def test_undone_no_child_is_taken_for_that_of_the_other_code(lab, clerk, sealed):
    lab.run(sealed, n=1)
    make, right = lab.tasks["make"], lab.tasks["make"].fn
    make.edit(wrong_make, version="2")
    ruling = clerk.accept(make, "1")
    assert lab.run(sealed, n=2).value == -1.0
    clerk.undo(ruling)
    make.edit(right, version="1")
    run = lab.run(sealed, n=2)
    assert (run.value, run.bodies) == (20.0, ["make", "weigh"])
    assert lab.run(sealed, n=2).bodies == []


def test_undone_no_child_is_taken_for_that_of_a_result_computed_again_by_the_other_code(lab, clerk, sealed):
    """The new code's result of before it was accepted was computed again by the old code, under its signature."""
    make, right = lab.tasks["make"], lab.tasks["make"].fn
    make.edit(version="0")
    lab.run(sealed, n=1)
    make.edit(version="1")
    lab.run(sealed, n=2)
    ruling = clerk.accept(make, "0")
    make.edit(wrong_make, version="0")
    lab.tasks["weigh"].edit()
    assert lab.run(sealed, n=2).value == -1.0
    clerk.undo(ruling)
    make.edit(right, version="1")
    run = lab.run(sealed, n=2)
    assert (run.value, run.bodies) == (20.0, ["make", "weigh"])


def test_undone_the_codes_do_not_share_a_grandchild_either(lab, clerk):
    lab.task(lambda: frame(1.0), name="scan")
    lab.task(lambda df: Sealed(total(df)), name="make")
    lab.task(lambda made: made.weight, name="weigh")

    def flow():
        t = lab.tasks
        return t["weigh"].submit(t["make"].submit(t["scan"].submit())).result()

    first = lab.run(flow).value
    scan, old = lab.tasks["scan"], lab.tasks["scan"].fn
    scan.edit(lambda: frame(-1.0), version="2")
    ruling = clerk.accept(scan, "1")
    other = lab.run(flow, mode="recompute").value
    clerk.undo(ruling)
    for _ in range(2):
        scan.edit(old, version="1")
        assert lab.run(flow).value == first
        scan.edit(lambda: frame(-1.0), version="2")
        assert lab.run(flow).value == other
    assert lab.run(flow).bodies == []


def test_of_a_chain_whose_middle_is_undone_the_ends_stay_accepted(lab, clerk, census):
    fit = lab.tasks["fit"]
    values, rulings = {}, []
    for number, factor in enumerate([1.0, 10.0, 100.0, 1000.0]):
        fit.edit(scaled(factor), version=f"{number}")
        if number:
            rulings.append(clerk.accept(fit, f"{number - 1}"))
        run = lab.run(census, reg=number + 1.0)
        assert run.bodies == (["fit", "evaluate"] if number else ALL)
        values[number] = run.value
    clerk.undo(rulings[1])
    for code, factor in ((3, 1000.0), (1, 10.0)):
        fit.edit(scaled(factor), version=f"{code}")
        for number in range(4):
            run = lab.run(census, reg=number + 1.0)
            same = {code, code - 1} & {number}
            assert run.bodies == ([] if same else ["fit", "evaluate"])
            assert run.value == (values[number] if same else lab.scratch(census, reg=number + 1.0))


def test_accepted_back_and_forth_both_codes_use_all_results(lab, clerk, census):
    fit = lab.tasks["fit"]
    lab.run(census, reg=1.0)
    fit.edit(version="2")
    first = clerk.accept(fit, "1")
    lab.run(census, reg=2.0)
    fit.edit(version="1")
    second = clerk.accept(fit, "2")
    assert [lab.run(census, reg=reg).bodies for reg in (1.0, 2.0)] == [[], []]
    clerk.undo(first)
    assert [lab.run(census, reg=reg).bodies for reg in (1.0, 2.0)] == [[], []]
    clerk.undo(second)
    assert [lab.run(census, reg=reg).bodies for reg in (1.0, 2.0)] == [[], ["fit"]]


def test_mode_verify_finds_a_change_that_is_no_refactoring(lab, clerk, census):
    lab.run(census)
    lab.tasks["fit"].edit(lambda df, reg: df - reg)
    clerk.accept(lab.tasks["fit"], "1")
    run = lab.run(census, mode="verify")
    assert list(run.session.mismatched) == ["fit"]
    (told,) = [sentence for key, sentence in run.warnings.items() if key.startswith("mismatch:")]
    assert told.startswith("fit gave another result than before its code changed, and that was accepted")
    assert told.endswith("take that back with `prefect-helix undo r0`.")


# -- revoke ----------------------------------------------------------------------------------------------------------


def test_what_was_revoked_is_computed_again_and_says_so(lab, clerk, census):
    first = lab.run(census)
    clerk.revoke(tasks=("features",), note="bad disk")
    run = lab.run(census)
    assert (run.value, run.bodies) == (first.value, ["features"])
    features = run.lineage.traces[1]
    assert features.reason.startswith("its earlier result was revoked on 2")
    assert features.reason.endswith(" (bad disk)")
    assert lab.run(census).bodies == []


def test_everything_up_to_now_is_revoked_without_criteria(lab, clerk, census):
    lab.run(census)
    lab.run(census, reg=3.0)
    clerk.revoke()
    assert lab.run(census).bodies == ALL
    assert lab.run(census, reg=3.0).bodies == ["fit", "evaluate"]
    assert lab.run(census).bodies == []


def test_a_child_of_a_revoked_result_is_used_only_where_the_same_comes_out_again(lab, clerk):
    outcomes = iter([0.0, 5.0])
    lab.task(lambda: frame(next(outcomes)), name="scan")
    lab.task(total, name="sum")

    def flow():
        return lab.tasks["sum"](lab.tasks["scan"]())

    lab.run(flow)
    clerk.revoke(tasks=("scan",))
    run = lab.run(flow)
    assert (run.value, run.bodies) == (total(frame(5.0)), ["scan", "sum"])
    assert lab.run(flow).bodies == []


def test_undone_what_was_revoked_is_used_again(lab, clerk):
    outcomes = iter([0.0, 5.0])
    lab.task(lambda: frame(next(outcomes)), name="scan")
    lab.task(total, name="sum")

    def flow():
        return lab.tasks["sum"](lab.tasks["scan"]())

    first = lab.run(flow)
    ruling = clerk.revoke()
    clerk.undo(ruling)
    run = lab.run(flow)
    assert (run.value, run.bodies) == (first.value, [])


def test_a_child_that_is_known_by_signature_only_is_computed_once_more(lab, clerk, sealed):
    right, lab.tasks["make"].fn = lab.tasks["make"].fn, wrong_make  # on a bad machine
    assert lab.run(sealed).value == -1.0
    lab.tasks["make"].fn = right
    clerk.revoke(tasks=("make",))
    run = lab.run(sealed)
    assert (run.value, run.bodies) == (10.0, ["make", "weigh"])
    assert lab.run(sealed).bodies == []


def test_a_run_is_revoked_and_an_earlier_result_of_the_same_call_stays(lab, clerk, census):
    first = lab.run(census)
    clerk.revoke(runs=("run2",))
    lab.run(census, mode="recompute")
    clerk.revoke(runs=("run2",))
    run = lab.run(census)
    assert (run.value, run.bodies) == (first.value, [])


def test_a_grandchild_of_a_revoked_result_is_not_taken_for_that_of_another(lab, clerk):
    """Both outcomes of scan have one signature, and so have the values made from them, which have no digest."""
    scanned = iter([1.0, -1.0])
    lab.task(lambda: frame(next(scanned)), name="scan")
    lab.task(lambda df: Sealed(total(df)), name="make")
    lab.task(lambda made: made.weight, name="weigh")

    def flow():
        t = lab.tasks
        return t["weigh"].submit(t["make"].submit(t["scan"].submit())).result()

    first = lab.run(flow)
    second = lab.run(flow, mode="recompute")
    assert first.value != second.value
    clerk.revoke(tasks=("scan",), runs=("run2",))
    assert lab.run(flow).value == first.value
    assert lab.run(flow).bodies == []


def test_a_reused_result_counts_by_the_run_that_computed_it(lab, clerk, census):
    lab.run(census)
    lab.run(census)
    ruling = clerk.revoke(runs=("run2",))
    assert lab.run(census).bodies == []
    clerk.undo(ruling)
    clerk.revoke(runs=("run1",))
    assert lab.run(census).bodies == ALL


def test_a_reused_result_counts_by_the_time_it_was_computed(lab, clerk, census):
    first = lab.run(census)
    later = lab.run(census, reg=3.0)
    made_us = [trace.computed_at_us for trace in later.lineage.traces]
    assert made_us[:2] == [trace.computed_at_us for trace in first.lineage.traces][:2]
    clerk.revoke(since_us=made_us[2])
    assert lab.run(census).bodies == []
    assert lab.run(census, reg=3.0).bodies == ["fit", "evaluate"]
    clerk.revoke(until_us=made_us[0] + 1)
    assert lab.run(census).bodies == ["scan"]


def test_what_was_computed_again_may_be_revoked_again(lab, clerk):
    outcomes = itertools.count(1)
    lab.task(lambda: frame(float(next(outcomes))), name="scan")
    lab.task(total, name="sum")

    def flow():
        return lab.tasks["sum"](lab.tasks["scan"]())

    for number in (1, 2, 3):
        run = lab.run(flow)
        assert (run.value, run.bodies) == (total(frame(float(number))), ["scan", "sum"])
        clerk.revoke(tasks=("scan",))


def test_what_waits_for_a_revoked_step_waits_for_it_again(lab, clerk):
    first = lab.task(lambda: 1, name="first")
    second = lab.task(lambda: 2, name="second")

    def flow():
        return second(wait_for=[first.submit()])

    lab.run(flow)
    clerk.revoke(tasks=("first",))
    assert lab.run(flow).bodies == ["first", "second"]
    assert lab.run(flow).bodies == []


def test_revoked_results_do_not_count_as_another_outcome(lab, clerk):
    outcomes = iter([1.0, 2.0, 2.0])
    lab.task(lambda: frame(next(outcomes)), name="scan")
    lab.run(lambda: lab.tasks["scan"]())
    clerk.revoke(tasks=("scan",))
    assert lab.run(lambda: lab.tasks["scan"]()).warnings == {}
    assert lab.run(lambda: lab.tasks["scan"](), mode="verify").session.mismatched == []


# -- random series ---------------------------------------------------------------------------------------------------


def number(value: Any) -> float:
    return value.weight if isinstance(value, Sealed) else total(value) if isinstance(value, pd.DataFrame) else value


class Series:
    """A flow of a few steps, of which some are told apart by signature only, and what is ruled on it."""

    def __init__(self, lab: Any, clerk: Clerk, rng: random.Random) -> None:
        self.lab, self.clerk, self.rng = lab, clerk, rng
        self.salts = [0] * rng.randint(2, 5)
        self.forms = [0] * len(self.salts)
        self.versions: list[set[str]] = [set() for _ in self.salts]
        self.kinds = [rng.choice(["frame", "sealed", "number"]) for _ in self.salts]
        self.parents = [[j for j in range(i) if rng.random() < 0.6] for i in range(len(self.salts))]
        self.made: list[Ruling] = []
        self.load()

    def load(self) -> None:
        for i in range(len(self.salts)):
            self._task(i)

    def _task(self, i: int) -> None:
        salt, kind = self.salts[i], self.kinds[i]

        def body(inputs: list[Any], n: int) -> Any:
            found = (sum(map(number, inputs)) * 3 + salt + (n if i == 0 else 0)) % 7
            return frame(found) if kind == "frame" else Sealed(found) if kind == "sealed" else found

        self.lab.task(body, name=f"s{i}", version=f"{salt}.{self.forms[i]}")

    def flow(self, n: int) -> list[float]:
        values: list[Any] = []
        for i, parents in enumerate(self.parents):
            values.append(self.lab.tasks[f"s{i}"].submit([values[j] for j in parents], n if i == 0 else 0))
        shown = [i for i in range(len(values)) if self.kinds[i] != "sealed"]
        return [number(values[i].result()) for i in shown]

    def edit(self) -> None:
        """Change what a step computes, or only how it is written and have that accepted, or rule on results."""
        i = self.rng.randrange(len(self.salts))
        match self.rng.choice(["change", "refactor", "refactor", "revoke", "undo", "nothing"]):
            case "change":
                self.salts[i] = self.rng.randrange(3)
            case "refactor":
                before = f"{self.salts[i]}.{self.forms[i]}"
                self.forms[i] = self.rng.randrange(3)
                self.made.append(self.clerk.accept(self.lab.tasks[f"s{i}"], before, f"{self.salts[i]}.{self.forms[i]}"))
            case "revoke":
                criteria = self.rng.choice([{"tasks": (f"s{i}",)}, {"runs": (f"run{self.rng.randint(1, 8)}",)}, {}])
                self.made.append(self.clerk.revoke(**criteria))
            case "undo" if self.made:
                self.clerk.undo(self.made.pop(self.rng.randrange(len(self.made))))
        self.load()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_truly_ruled_results_are_those_from_scratch(lab, clerk, seed):
    rng = random.Random(seed)
    series = Series(lab, clerk, rng)
    for _ in range(8):
        n = rng.randrange(2)
        mode = rng.choice(["auto", "auto", "recompute"])
        assert lab.run(series.flow, n=n, mode=mode).value == lab.scratch(series.flow, n=n)
        assert lab.run(series.flow, n=n).bodies == []
        series.edit()


def test_undone_for_several_tasks_each_keeps_what_its_code_computed(lab, clerk, census):
    lab.run(census)
    edited = [lab.tasks[name] for name in ("features", "fit")]
    for task in edited:
        task.edit()
    rulings = [clerk.accept(task, "1") for task in edited]
    assert lab.run(census, reg=3.0).bodies == ["fit", "evaluate"]
    for ruling in rulings:
        clerk.undo(ruling)
    assert lab.run(census, reg=3.0).bodies == ["features"]
    assert lab.run(census, reg=2.0).bodies == ["fit"]
