"""Which reused results are computed again beside a run, and what follows where one comes out otherwise."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.rulings import Acceptance
from prefect_helix.runtime import opening, sampling, session
from prefect_helix.runtime.results import difference
from prefect_helix.runtime.session import now_us
from prefect_helix.storage import known
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.files import File

pytestmark = pytest.mark.timeout(60)

ALL = ["scan", "features", "fit", "evaluate"]


def frame(start: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000.0) + start})


class Box:
    """An object that is part of a small result."""

    def __init__(self, value: int) -> None:
        self.value = value


class Hidden:
    """What a task depends on and its version does not tell."""

    value = 2.0


@pytest.fixture
def hidden() -> Hidden:
    return Hidden()


@pytest.fixture
def census(lab: Any, hidden: Hidden) -> Callable[..., float]:
    """scan → features(scan) → fit(features, reg) → evaluate(fit, scan), all large but the last."""
    lab.task(lambda: frame(), name="scan")
    lab.task(lambda df: df * hidden.value, name="features")
    lab.task(lambda df, reg: df * reg, name="fit")
    lab.task(lambda model, df: float(model["x"].sum() + df["x"].sum()), name="evaluate")

    def flow(reg: float = 2.0) -> float:
        t = lab.tasks
        rows = t["scan"]()
        return t["evaluate"](t["fit"](t["features"](rows), reg), rows)

    return flow


def revocations(lab: Any) -> list[Any]:
    return [*Catalog(lab.store).rulings()[0].revocations]


def test_nothing_is_computed_again_unless_it_is_asked_for(lab, census, hidden):
    lab.run(census)
    hidden.value = 3.0
    run = lab.run(census)
    assert (run.bodies, run.again, run.session.sampler) == ([], [], None)


def test_a_share_of_one_computes_each_reused_result_once_and_changes_nothing(lab, census):
    lab.verify = 1.0
    first = lab.run(census)
    assert (first.bodies, first.again) == (ALL, [])
    second = lab.run(census)
    assert (second.value, second.bodies, sorted(second.again)) == (first.value, [], sorted(ALL))
    assert second.session.sampler.sample.told.startswith("verified 4 of 4 reused results in ")
    assert second.session.sampler.sample.told.endswith(": all came out the same")
    assert (second.warnings, second.lineage.run.problems, revocations(lab)) == ({}, (), [])
    third = lab.run(census)
    assert ([t.decision for t in third.lineage.traces], third.bodies) == (
        [t.decision for t in second.lineage.traces],
        [],
    )


def test_equal_calls_are_verified_once_and_what_this_run_computed_is_not(lab):
    double = lab.task(lambda x: 2 * x, name="double")
    lab.run(lambda: [double(1), double(1)])
    lab.verify = 1.0
    run = lab.run(lambda: [double(1), double(2), double(1), double(2)])
    assert (run.bodies, run.again) == (["double"], ["double"])


def test_a_stale_result_is_found_and_told_and_computed_in_the_next_run(lab, census, hidden):
    first = lab.run(census)
    hidden.value = 3.0
    lab.verify = 1.0
    second = lab.run(census)
    assert (second.value, second.bodies) == (first.value, [])  # the run is not touched
    (told,) = second.warnings.values()
    assert told.startswith(
        "features gave something else when it was computed again: ['x']: 19999 of 20000 cells differ by up to 2e+04; "
        "first in row 1: recorded 2.0, now 3.0. The recorded result, computed 2"
    )
    (ruling,) = revocations(lab)
    assert f"by the run run1, was used in this run. It is not used any more; `prefect-helix undo {ruling.id}`" in told
    assert (ruling.tasks, len(ruling.results)) == (("features",), 1)
    assert ruling.note.startswith("computed again by the run run2: ['x']: ")
    assert second.lineage.run.problems == (told,)
    assert second.session.sampler.sample.told.endswith(": 1 came out otherwise (features)")

    lab.verify = 0.0
    third = lab.run(census)
    assert (third.bodies, third.value) == (["features", "fit", "evaluate"], lab.scratch(census))
    assert lab.run(census).bodies == []


def test_no_other_computation_of_the_same_wrong_result_takes_its_place(lab, census, hidden):
    lab.run(census)
    lab.run(census, mode="recompute")
    lab.run(census, mode="recompute")
    hidden.value = 3.0
    lab.verify = 1.0
    lab.run(census)
    assert len(revocations(lab)) == 1
    lab.verify = 0.0
    assert lab.run(census).value == lab.scratch(census)


def test_the_choice_follows_from_the_run_and_has_the_share_that_was_asked_for(lab):
    triple = lab.task(lambda x: 3 * x, name="triple")

    def flow() -> list[int]:
        return [triple(x) for x in range(400)]

    lab.run(flow)
    lab.verify = 0.1
    runs = [lab.run(flow) for _ in range(6)]
    chosen = [{t.literals for t in run.lineage.traces} and len(run.again) for run in runs]
    assert all(20 <= count <= 70 for count in chosen)
    assert len(set(chosen)) > 1 or chosen[0] != 40  # by chance, run by run
    lab._runs = 1
    assert [len(lab.run(flow).again) for _ in range(6)] == chosen


def test_another_one_is_taken_where_an_input_is_not_at_hand(lab, census):
    lab.run(census)
    for name in lab.store.blobs():
        lab.store.delete_blob(name)
    lab.run(lambda: lab.tasks["scan"]())  # scan is there again, and its children's other inputs are not
    lab.verify = 1.0
    run = lab.run(census)
    assert (run.bodies, sorted(run.again)) == ([], ["features", "scan"])
    assert run.session.sampler.sample.told.endswith(": all came out the same; 2 more could not be computed again")
    assert run.warnings.keys() == {"lost"}


def test_a_run_without_stored_inputs_computes_nothing_again(lab, census):
    lab.run(census, policy="never")
    lab.verify = 1.0
    run = lab.run(census, policy="never")
    assert (run.bodies, run.again) == ([], ["scan"])  # it takes nothing


@pytest.mark.parametrize(
    ("options", "give"),
    [
        ({"deterministic": False}, lambda: 1),
        ({"max_age_us": 10**15}, lambda: 1),
        ({"lazy": True, "returns": pd.DataFrame}, frame),
        ({}, lambda: None),
        ({}, lambda: [threading.Lock()]),
    ],
    ids=["not deterministic", "right for a while", "lazy and never computed", "none", "without digest"],
)
def test_what_promises_no_result_that_can_be_compared_is_left_alone(lab, options, give):
    task = lab.task(give, name="task", **options)
    lab.verify = 1.0

    def flow() -> int:
        task()
        return 1

    lab.run(flow)
    assert lab.run(flow).again == []


def test_what_writes_a_file_is_left_alone(lab, tmp_path):
    def write(text: str) -> File:
        (tmp_path / "out").write_text(text)
        return File(tmp_path / "out")

    task = lab.task(write)
    lab.verify = 1.0
    for _ in range(2):
        run = lab.run(lambda: task("a"))
    assert (run.bodies, run.again) == ([], [])


def test_who_changes_its_arguments_changes_nothing_of_the_run(lab):
    wild = {"now": False}

    def used(rows: pd.DataFrame, marks: Any) -> float:
        if wild["now"]:
            rows["y"] = 1
            marks[0] = 1.0
        return float(marks.sum())

    source = lab.task(lambda: frame(), name="source")
    task = lab.task(used)
    marks = np.zeros(3)

    def flow() -> Any:
        rows = source()
        return rows, marks, task(rows, marks)

    lab.run(flow)
    wild["now"] = True
    lab.verify = 1.0
    run = lab.run(flow)
    rows, given, found = run.value
    assert sorted(run.again) == ["source", "used"]
    assert ([*rows], given.tolist(), found) == (["x"], [0.0, 0.0, 0.0], 0.0)
    assert [*run.warnings] == [key for key in run.warnings if key.startswith("verify:lab:used")]


def test_an_argument_that_the_flow_changed_after_the_call_is_what_it_was_or_is_left_alone(lab):
    length = lab.task(lambda items: len(items), name="length")
    summed = lab.task(lambda array: float(array.sum()), name="summed")

    def flow() -> list[float]:
        items, array = [1, 2], np.zeros(3)
        found = [length(items), summed(array)]
        items.append(3)
        array[0] = 1
        return found

    lab.run(flow)
    lab.verify = 1.0
    run = lab.run(flow)
    assert (run.again, run.warnings) == (["length"], {})


def test_a_result_that_the_flow_changed_after_the_call_is_taken_as_it_was(lab):
    boxes = lab.task(lambda: [Box(1)], name="boxes")
    opened = lab.task(lambda items: items[0].value, name="opened")

    def flow() -> tuple[Any, int]:
        items = boxes()
        found = opened(items)
        items[0].value = 9
        return items, found

    lab.run(flow)
    lab.verify = 1.0
    run = lab.run(flow)
    items, found = run.value
    assert (items[0].value, found, sorted(run.again), run.warnings) == (9, 1, ["boxes", "opened"], {})


def test_a_file_that_changed_after_the_call_is_not_taken_for_it(lab, tmp_path):
    path = tmp_path / "data"
    length = lab.task(lambda file: len(Path(file).read_text()), name="length")

    def flow() -> int:
        path.write_text("one")
        found = length(File(path))
        path.write_text("three")
        return found

    lab.run(flow)
    lab.verify = 1.0
    run = lab.run(flow)
    assert (run.value, run.again, run.warnings) == (3, [], {})


def test_results_in_containers_and_parts_of_results_are_inputs(lab):
    split = lab.task(lambda: (frame(), frame(1.0)), name="split")
    joined = lab.task(lambda parts: float(sum(part["x"].sum() for part in parts["all"])), name="joined")

    def flow() -> float:
        one, other = split()
        return joined({"all": [one, other]})

    lab.run(flow)
    lab.verify = 1.0
    run = lab.run(flow)
    assert (sorted(run.again), run.warnings) == (["joined", "split"], {})


def test_a_failure_is_told_and_refutes_nothing(lab):
    calm = {"now": True}

    def fragile(x: int) -> int:
        if not calm["now"]:
            raise ConnectionError("no route")
        return x

    task = lab.task(fragile)
    lab.run(lambda: task(1))
    calm["now"] = False
    lab.verify = 1.0
    run = lab.run(lambda: task(1))
    (told,) = run.warnings.values()
    assert told.startswith("fragile failed when it was computed again to verify its result: ConnectionError: no route ")
    assert (run.value, run.lineage.run.status, revocations(lab)) == (1, "completed", [])
    assert lab.run(lambda: task(1)).bodies == []


def test_a_change_that_was_no_refactoring_is_found(lab, census):
    lab.run(census)
    lab.tasks["fit"].edit(lambda df, reg: df - reg)
    Catalog(lab.store).rule(Acceptance("r0", now_us(), "fit", "fit-1", f"fit-{lab.tasks['fit'].version}"))
    lab.verify = 1.0
    run = lab.run(census)
    (told,) = run.warnings.values()
    assert told.startswith("fit gave something else")
    assert "A change of its code was accepted as a refactoring on 2" in told
    assert "take that back with `prefect-helix undo r0`." in told


def test_a_run_that_failed_verifies_nothing(lab, census):
    def failing() -> None:
        census()
        raise RuntimeError

    lab.run(census)
    lab.verify = 1.0
    with pytest.raises(RuntimeError):
        lab.run(failing)
    assert lab.run(census).again != []


def test_a_result_that_cannot_be_revoked_is_told_all_the_same(lab, census, hidden):
    def flow() -> float:
        Path(lab.url, "rulings").write_text("in the way")  # after they were read
        return census()

    lab.run(census)
    hidden.value = 3.0
    lab.verify = 1.0
    run = lab.run(flow)
    told = next(one for key, one in run.warnings.items() if key.startswith("verify:"))
    assert "It could not be revoked, and is used again: The store" in told


def test_other_modes_reuse_nothing_that_could_be_verified(lab, census):
    lab.verify = 1.0
    lab.run(census)
    for mode in ("recompute", "verify"):
        run = lab.run(census, mode=mode)
        assert (run.bodies, run.again) == (ALL, [])


def test_of_a_secret_no_more_is_told_than_that_it_differs(lab):
    secrets = {"text": "first-secret"}
    fetch = lab.task(lambda: secrets["text"] * 50, name="fetch_token")
    users = lab.task(lambda: pd.DataFrame({"name": ["a"], "password": [secrets["text"]]}), name="users")

    def flow():
        return len(fetch()), len(users())

    lab.run(flow)
    secrets["text"] = "other-secret"
    lab.verify = 1.0
    run = lab.run(flow)
    assert run.session.sampler.sample.differing == ["fetch_token", "users"]
    told = "\n".join([*run.warnings.values(), *run.lineage.run.problems, *(each.note for each in revocations(lab))])
    assert "-secret" not in told


def test_a_task_that_wants_to_end_the_process_only_fails(lab, census):
    lab.run(census)
    lab.tasks["evaluate"].fn = lambda model, df: sys.exit(3)
    lab.verify = 1.0
    run = lab.run(census)
    assert run.session.sampler.sample.failed == ["evaluate"]
    assert run.lineage.run.status == "completed"


class Odd(Exception):
    """An exception that cannot be copied."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)


def test_an_argument_that_cannot_be_copied_leaves_the_others_to_be_verified(lab):
    take = lab.task(lambda odd: str(odd), name="take")
    plain = lab.task(lambda n: n + 1, name="plain")

    def flow():
        return take(Odd(1, 2)), plain(1)

    lab.run(flow)
    lab.verify = 1.0
    run = lab.run(flow)
    assert (run.again, run.session.sampler.sample.compared) == (["plain"], ["plain"])


def on_system(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Have runs take place on a system with these versions."""
    monkeypatch.setattr(opening, "_versions", lambda: {"python": "3", "platform": "x", "processor": "y"} | versions)


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"processor": "z"}, "it was computed on another system (processor z, now y)"),
        ({"numpy": "1"}, "it was computed on another system (numpy 1, now 2)"),
        ({"prefect": "1", "torch": "1"}, ""),
    ],
)
def test_what_was_computed_on_another_system_is_told_and_not_revoked(lab, hidden, monkeypatch, versions, reason):
    number = lab.task(lambda x: hidden.value * x, name="number")
    on_system(monkeypatch, **versions)
    first = lab.run(lambda: number(1))
    on_system(monkeypatch, numpy="2", prefect="2")
    hidden.value += 1e-15
    lab.verify = 1.0
    run = lab.run(lambda: number(1))
    (told,) = run.lineage.run.problems
    assert run.session.sampler.sample.differing == ["number"]
    assert f"It is used on, since {reason}." in told if reason else "It is not used any more" in told
    assert (lab.run(lambda: number(1)).value == first.value) is bool(reason)
    assert len(revocations(lab)) == (not reason)


def test_a_result_that_was_also_computed_on_this_system_is_revoked(lab, hidden, monkeypatch):
    number = lab.task(lambda x: hidden.value * x, name="number")
    for processor in ("y", "z"):
        on_system(monkeypatch, processor=processor)
        lab.run(lambda: number(1), mode="recompute")
    on_system(monkeypatch)
    hidden.value = 3.0
    lab.verify = 1.0
    lab.run(lambda: number(1))
    assert len(revocations(lab)) == 1
    assert lab.run(lambda: number(1)).value == 3.0


def test_what_a_clock_ahead_of_ours_dates_is_revoked_and_computed_once(lab, census, hidden, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(session, "now_us", lambda: now_us() + 3_600 * 10**6)
        lab.run(census)
    hidden.value = 3.0
    lab.verify = 1.0
    lab.run(census)
    lab.verify = 0.0
    run = lab.run(census)
    assert (run.bodies, run.value) == (["features", "fit", "evaluate"], lab.scratch(census))
    assert lab.run(census).bodies == []


def test_time_that_is_not_left_is_not_taken(lab, census):
    lab.run(census)
    lab.verify = 1.0
    for left_s, again in ((0.0, 0), (-1.0, 0), (2 * 9.9, 0), (2 * 3_600.0, 4)):  # each step took ten seconds
        lab.left_s = left_s
        assert len(lab.run(census).again) == again


def test_loading_inputs_counts_towards_the_time_that_is_left(lab):
    big = lab.task(lambda: np.zeros(4_000_000), name="big", cost_us=10**9)
    summed = lab.task(lambda array: float(array.sum()), name="summed", cost_us=1)

    def flow():
        return summed(big())

    lab.run(flow)
    lab.verify = 1.0
    for left_s, again in ((0.05, []), (60.0, ["summed"])):  # 32 MB are assumed to take 64 ms
        lab.left_s = left_s
        assert lab.run(flow).again == again


def test_a_run_that_is_killed_while_it_verifies_has_its_lineage(lab, census):
    lab.run(census)

    def kill(model: Any, df: Any) -> None:
        raise KeyboardInterrupt

    lab.tasks["evaluate"].fn = kill
    lab.verify = 1.0
    with pytest.raises(KeyboardInterrupt):
        lab.run(census)
    catalog = Catalog(lab.store)
    left = catalog.read()
    last = left.lineages[-1]
    assert (last.run.run_id, last.run.status, last.run.finished_us is not None) == ("run2", "completed", True)
    assert ([trace.task for trace in last.traces], last.run.summary is not None) == (ALL, True)
    assert [lineage.run.run_id for lineage in left.uncovered.values()] == ["run1"]
    assert [one.run for one in catalog.close_abandoned((), 1 << 60)] == [last.run]
    assert [*Catalog(lab.store).read().lineages][-1].run == last.run


def test_no_more_than_the_share_is_begun_where_nothing_can_be_compared(lab):
    locked = {"now": False}
    made = lab.task(lambda x: [threading.Lock()] if locked["now"] else [x], name="made")

    def flow():
        return [made(x) for x in range(40)]

    lab.run(flow)
    locked["now"] = True
    lab.verify = 0.2
    run = lab.run(flow)
    sample = run.session.sampler.sample
    assert 0 < len(run.again) == sample.chosen < 30
    assert (sample.compared, run.warnings) == ([], {})


@pytest.mark.parametrize(("calls", "revoked"), [(12, 12), (101, 0)])
def test_one_ruling_takes_back_all_that_came_out_otherwise_of_a_task(lab, hidden, calls, revoked):
    twice = lab.task(lambda x: hidden.value * x, name="twice")

    def flow():
        return [twice(x) for x in range(calls + 1)]

    lab.run(flow)
    hidden.value = 3.0
    lab.verify = 1.0
    run = lab.run(flow)
    (told,), (ruling,) = run.lineage.run.problems, revocations(lab)
    assert f" So did {calls - 1} more of its results. " in told
    assert ("No result of twice is not used any more" in told) is (not revoked)
    assert len(ruling.results) == revoked
    lab.verify = 0.0
    run = lab.run(flow)
    assert run.value == [3.0 * x for x in range(calls + 1)]
    assert len(run.bodies) == (calls if revoked else calls + 1)  # zero is zero


def test_a_task_that_did_not_repeat_itself_in_this_very_run_is_left_alone(lab):
    outcomes = iter(range(100))

    def chance(n: int) -> np.ndarray:
        return np.full(n, float(next(outcomes)))

    drawn = lab.task(chance, name="drawn")
    used = lab.task(lambda array: float(array.sum()), name="used")

    def flow(calls: int):
        one, *_ = (drawn.submit(10_000) for _ in range(calls))
        return used(one)

    lab.run(flow, calls=1)
    for name in lab.store.blobs():
        lab.store.delete_blob(name)
    used.edit()
    lab.verify = 1.0
    run = lab.run(flow, calls=2)
    assert (run.bodies, run.again) == (["drawn", "used"], [])
    assert revocations(lab) == []


def test_inputs_are_gone_when_the_recorded_result_is_loaded(lab, hidden, monkeypatch):
    given: list[weakref.ref[Any]] = []
    there: list[Any] = []

    def used(rows: pd.DataFrame) -> float:
        given.append(weakref.ref(rows))
        return hidden.value

    source, task = lab.task(lambda: frame(), name="source"), lab.task(used)

    def noticed(*args: Any) -> str:
        there.append(given[-1]() is not None)
        return difference(*args)

    monkeypatch.setattr(sampling, "difference", noticed)
    lab.run(lambda: task(source.submit()))
    hidden.value = 3.0
    lab.verify = 1.0
    lab.run(lambda: task(source.submit()))
    assert (len(given), there) == (2, [False])


def test_what_an_index_leaves_out_does_not_take_the_place_of_what_was_revoked(lab, census, hidden, monkeypatch):
    monkeypatch.setattr(known, "COVERED_LINEAGES", 2)
    for _ in range(5):
        lab.run(census, mode="recompute")
    hidden.value = 3.0
    lab.verify = 1.0
    lab.run(census)
    lab.verify = 0.0
    assert lab.run(census).value == lab.scratch(census)
