"""Which reused results are computed again beside a run, and what follows where one comes out otherwise."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.rulings import Acceptance
from prefect_helix.runtime.session import now_us
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
    assert (run.bodies, run.again, run.session.sample) == ([], [], None)


def test_a_share_of_one_computes_each_reused_result_once_and_changes_nothing(lab, census):
    lab.verify = 1.0
    first = lab.run(census)
    assert (first.bodies, first.again) == (ALL, [])
    second = lab.run(census)
    assert (second.value, second.bodies, sorted(second.again)) == (first.value, [], sorted(ALL))
    assert second.session.sample.told.startswith("verified 4 of 4 reused results in ")
    assert second.session.sample.told.endswith(": all came out the same")
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
    assert (ruling.tasks, ruling.runs) == (("features",), ("run1",))
    assert ruling.note.startswith("computed again by the run run2: ['x']: ")
    assert second.lineage.run.problems == (told,)
    assert second.session.sample.told.endswith(": 1 came out otherwise (features)")

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
    assert {one.runs for one in revocations(lab)} == {("run1",), ("run2",), ("run3",)}
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
    assert run.session.sample.told.endswith(": all came out the same; 2 more could not be computed again")
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
    assert run.session.sample.differing == ["fetch_token", "users"]
    told = "\n".join([*run.warnings.values(), *run.lineage.run.problems, *(each.note for each in revocations(lab))])
    assert "-secret" not in told


def test_a_task_that_wants_to_end_the_process_only_fails(lab, census):
    lab.run(census)
    lab.tasks["evaluate"].fn = lambda model, df: sys.exit(3)
    lab.verify = 1.0
    run = lab.run(census)
    assert run.session.sample.failed == ["evaluate"]
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
    assert (run.again, run.session.sample.compared) == (["plain"], ["plain"])
