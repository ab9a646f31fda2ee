"""Which calls compute: equivalence, one world per run, prediction and plan."""

from __future__ import annotations

import shutil
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core import renting
from prefect_helix.core.errors import NondeterministicTaskError, VerificationError
from prefect_helix.core.graph import Decision
from prefect_helix.core.summary import saved_us
from prefect_helix.runtime.nodes import Node
from prefect_helix.runtime.standin import is_stand_in, is_touched
from prefect_helix.runtime.world import World
from prefect_helix.storage import known
from prefect_helix.storage.files import File

pytestmark = pytest.mark.timeout(60)


def frame(start: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000.0) + start})


def total(x: Any) -> float:
    return float(x["x"].sum())


class Sealed:
    """An object that has no digest and cannot be stored."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.lock = threading.Lock()


class Model:
    """An object that is only known by its reduced state: its digest is a witness."""

    def __init__(self, weight: float) -> None:
        self.weight = weight


@pytest.fixture
def census(lab):
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


# -- the plan ----------------------------------------------------------------------------------------------------


def test_an_unchanged_run_computes_nothing_and_loads_nothing_large(lab, census):
    first, second = lab.run(census), lab.run(census)
    assert first.bodies == ALL
    assert second.value == first.value
    assert (second.bodies, second.loads) == ([], {})
    assert second.decisions() == {**dict.fromkeys(ALL, Decision.PRUNE), "evaluate": Decision.LOAD}


def test_a_changed_parameter_computes_what_depends_on_it_and_loads_its_inputs(lab, census):
    lab.run(census)
    run = lab.run(census, reg=3.0)
    assert run.value == lab.scratch(census, reg=3.0)
    assert run.bodies == ["fit", "evaluate"]
    assert run.decisions()["features"] is run.decisions()["scan"] is Decision.LOAD
    assert sum(run.loads.values()) == 2


def test_a_parameter_set_back_finds_the_older_results(lab, census):
    first = lab.run(census)
    lab.run(census, reg=3.0)
    run = lab.run(census)
    assert (run.value, run.bodies) == (first.value, [])


@pytest.mark.parametrize("task", ALL)
def test_edited_code_computes_it_and_what_depends_on_it(lab, census, task):
    lab.run(census)
    edited = lab.tasks[task]
    old = edited.fn
    edited.edit(
        (lambda: old() * 2)
        if task == "scan"
        else (lambda df: old(df) * 2)
        if task == "features"
        else (lambda df, reg: old(df, reg) * 2)
        if task == "fit"
        else (lambda model, df: old(model, df) * 2)
    )
    run = lab.run(census)
    assert run.value == lab.scratch(census)
    assert run.bodies == ALL[ALL.index(task) :]


def test_code_set_back_finds_the_older_results(lab, census):
    lab.run(census)
    lab.tasks["fit"].edit(lambda df, reg: df - reg)
    lab.run(census)
    lab.tasks["fit"].edit(lambda df, reg: df * reg, version="1")
    assert lab.run(census).bodies == []


def test_the_cheaper_of_loading_and_computing_is_done(lab, census):
    lab.tasks["features"].cost_us = 1
    lab.run(census)
    run = lab.run(census, reg=3.0)
    assert run.bodies == ["features", "fit", "evaluate"]


# -- early cutoff ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "spared"),
    [(3, True), ("text", True), (frame(), True), (None, True), (Model(1.0), False)],
    ids=["small", "text", "frame", "none", "witness"],
)
def test_a_changed_parent_with_the_same_exact_digest_spares_its_children(lab, value, spared):
    make = lab.task(lambda: value, name="make")
    use = lab.task(lambda x, y: 1.0, name="use")
    # The stand-in of a large parent keeps its edge; a small one comes back as the object, or as a literal.
    lab.run(flow := lambda: use(make(), 0))
    make.edit()
    run = lab.run(flow)
    assert run.bodies == (["make"] if spared else ["make", "use"])


def test_grandchildren_of_a_cut_off_parent_are_spared_too(lab, census):
    lab.run(census)
    lab.tasks["scan"].edit()
    run = lab.run(census)
    assert (run.bodies, run.loads) == (["scan"], {})


def test_nothing_computes_to_feed_a_child_that_may_still_be_cut_off(lab):
    early = lab.task(lambda: frame(2.0), name="early", materialize="never")
    edited = lab.task(lambda: frame(), name="edited")
    join = lab.task(lambda one, other: total(one) + total(other), name="join")

    def flow():
        one = early()
        return join(one, edited())

    lab.run(flow)
    edited.edit()
    assert lab.run(flow).bodies == ["edited"]


def test_what_only_waits_is_matched_by_signature(lab):
    prepare = lab.task(lambda: None, name="prepare")
    use = lab.task(lambda: 1, name="use")

    def flow():
        return use.submit(wait_for=[prepare.submit()]).result()

    lab.run(flow)
    assert lab.run(flow).bodies == []
    prepare.edit()
    assert lab.run(flow).bodies == ["prepare", "use"]


def test_what_waits_for_another_step_is_another_call(lab):
    steps = [lab.task(lambda: None, name=name) for name in ("one", "other")]
    use = lab.task(lambda: 1, name="use")

    def flow(waits_for: int):
        futures = [step.submit() for step in steps]
        return use.submit(wait_for=[futures[waits_for]]).result()

    lab.run(flow, waits_for=0)
    assert lab.run(flow, waits_for=1).bodies == ["use"]


# -- what a signature does not determine ---------------------------------------------------------------------------


@pytest.fixture
def outcomes() -> Iterator[float]:
    return iter([0.0, 5.0, 7.0, 9.0])


@pytest.mark.parametrize("options", [{"deterministic": False}, {"max_age_us": 0}], ids=["declared", "too old"])
def test_a_child_of_the_first_outcome_is_not_served_for_the_second(lab, outcomes, options):
    fetch = lab.task(lambda: frame(next(outcomes)), name="fetch", **options)
    child = lab.task(total, name="child")
    first, second = (lab.run(lambda: child(fetch())) for _ in range(2))
    assert second.value == first.value + 5.0 * 20_000
    assert second.bodies == ["fetch", "child"]


@pytest.mark.parametrize("options", [{"deterministic": False}, {"max_age_us": 0}], ids=["declared", "too old"])
def test_a_child_whose_parent_is_not_computed_yet_waits_for_its_outcome(lab, outcomes, options):
    fetch = lab.task(lambda: frame(next(outcomes)), name="fetch", lazy=True, **options)
    child = lab.task(total, name="child")
    first, second = (lab.run(lambda: child.submit(fetch.submit()).result()) for _ in range(2))
    assert second.value == first.value + 5.0 * 20_000


@pytest.mark.parametrize("options", [{"deterministic": False}, {"max_age_us": 0}], ids=["declared", "too old"])
def test_a_child_is_spared_if_the_outcome_is_the_same_again(lab, options):
    fetch = lab.task(lambda: frame(), name="fetch", **options)
    child = lab.task(total, name="child")
    lab.run(lambda: child(fetch()))
    assert lab.run(lambda: child(fetch())).bodies == ["fetch"]


def test_a_result_that_is_young_enough_is_served(lab):
    fetch = lab.task(lambda: 1, name="fetch", max_age_us=10**12)
    lab.run(lambda: fetch())
    assert lab.run(lambda: fetch()).bodies == []


def test_a_model_is_never_scored_on_its_training_rows(lab, outcomes):
    split = lab.task(lambda: frame(next(outcomes)), name="split", materialize="never")
    fit = lab.task(lambda df: df * 2, name="fit")
    evaluate = lab.task(lambda model, df: total(model) - total(df) * 2, name="evaluate")

    def flow():
        rows = split()
        return evaluate(fit(rows), rows)

    lab.run(flow)
    evaluate.edit()
    assert lab.run(flow).value == 0.0


def test_a_run_that_has_used_what_no_longer_holds_is_stopped(lab, outcomes):
    split = lab.task(lambda: frame(next(outcomes)), name="split", materialize="never")
    stats = lab.task(total, name="stats")
    extra = lab.task(total, name="extra")

    def flow(more: bool):
        rows = split()
        number = stats(rows)
        return (number, extra(rows)) if more else number

    lab.run(flow, more=False)
    with pytest.raises(NondeterministicTaskError, match="'split'"):
        lab.run(flow, more=True)


def test_a_run_that_has_used_one_recorded_outcome_is_stopped_at_another(lab):
    outcomes = iter([0.0, 5.0, 0.0])
    split = lab.task(lambda: frame(next(outcomes)), name="split", materialize="never")
    stats = lab.task(total, name="stats")
    extra = lab.task(total, name="extra")

    def flow(more: bool):
        rows = split()
        number = stats(rows)
        return (number, extra(rows)) if more else number

    lab.run(flow, more=False)
    lab.run(flow, more=False, mode="recompute")
    with pytest.raises(NondeterministicTaskError, match="'split'"):
        lab.run(flow, more=True)


def test_a_call_that_another_thread_cannot_start_fails_with_what_stopped_it(lab, outcomes):
    gate, more = threading.Event(), [True]
    split = lab.task(lambda: frame(next(outcomes)), name="split", materialize="never")
    clean = lab.task(lambda df: df + 1, name="clean", materialize="never")
    stats = lab.task(total, name="stats")
    count = lab.task(lambda: 1, name="count")
    extra = lab.task(lambda df, n: total(df) + n, name="extra")

    def flow():
        rows = clean(split())
        number = stats(rows)
        if not more[0]:
            return number
        last = extra.submit(rows, count.submit())
        gate.set()
        return number, last.result(timeout=10)

    lab.run(flow)
    more[0] = False
    assert lab.run(flow).bodies == []
    more[0] = True
    gate.clear()
    count.edit(lambda: gate.wait() and 2)
    with pytest.raises(NondeterministicTaskError, match="'split'"):
        lab.run(flow)


def test_what_has_begun_is_waited_for_though_the_call_that_it_was_for_is_spared(lab, outcomes):
    gate = threading.Event()
    gate.set()

    def cut() -> pd.DataFrame:
        gate.wait()
        return frame(next(outcomes))

    split = lab.task(cut, name="split", materialize="never")
    fit = lab.task(lambda df, fast: total(df), name="fit")
    scale = lab.task(lambda df: df + 1, name="scale")

    def flow(debug: bool) -> float:
        rows = split.submit()
        fit.submit(rows, False)  # which is `debug` by its value
        scaled = scale.submit(rows)
        if debug:
            node = rows.__helix_handle__().node
            assert (node.started, node.decision) == (True, Decision.COMPUTE)
            gate.set()
        return total(scaled.result())

    lab.run(flow, debug=False)
    gate.clear()
    assert lab.run(flow, debug=True).value == total(frame(5.0) + 1)


def test_a_file_that_has_grown_is_expected_to_take_longer(lab, tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(bytes(1_000))
    scan = lab.task(lambda file, labels: len(Path(file).read_bytes()) + len(labels), name="scan", cost_us=1_000_000)
    read = lab.task(lambda: "a" * 1_000, name="read", cost_us=1)

    def flow() -> int:
        return scan(File(path), read.submit())

    taken = lab.run(flow).lineage.traces[0].result.size_bytes
    path.write_bytes(bytes(4_000 + 3 * taken))
    run = lab.run(flow)
    assert (run.value, run.bodies) == (5_000 + 3 * taken, ["scan"])
    assert run.lineage.run.predicted_us == 4_000_000, "with the other input it takes four times as many bytes"


@pytest.mark.parametrize("last", [False, True])
def test_what_a_call_was_expected_to_take_and_does_not_is_not_computed_for_it(lab, last):
    split = lab.task(lambda: frame(), name="split", materialize="never")
    other = lab.task(lambda: frame(1.0), name="other")
    scale = lab.task(lambda df: df + 1, name="scale")
    fit = lab.task(total, name="fit")
    swapped = False

    def flow() -> float:
        rows, others = split(), other()
        scaled = scale(rows) if last else None
        score = fit(others if swapped else rows)
        return score + total(scaled if last else scale(rows))

    lab.run(flow)
    swapped = True
    fit.edit()
    assert lab.run(flow).bodies == ["fit"]


def test_what_comes_out_otherwise_while_a_result_is_loaded_stops_the_run(lab, outcomes):
    split = lab.task(lambda: frame(next(outcomes)), name="split", materialize="never")
    fit = lab.task(lambda df: df * 2, name="fit")
    extra = lab.task(total, name="extra")
    stopped: list[BaseException | None] = []

    def flow(more: bool):
        rows = split()
        model = fit(rows)
        if more:
            store = lab.current.session.keeper.store
            get_blob = store.get_blob

            def get_late(name: str) -> object:
                stopped.append(other_thread.submit(extra, rows).exception(10))
                return get_blob(name)

            store.get_blob = get_late
        return total(model)

    lab.run(flow, more=False)
    with ThreadPoolExecutor(1) as other_thread:
        run = lab.run(flow, more=True)
    assert run.bodies == ["split"]
    assert [type(error) for error in stopped] == [NondeterministicTaskError]


def test_the_small_part_of_a_container_counts_as_used(lab, outcomes):
    split = lab.task(lambda: frame(next(outcomes)), name="split", materialize="never")
    stats = lab.task(lambda df: (frame(99.0), total(df)), name="stats")
    extra = lab.task(total, name="extra")

    def flow(more: bool):
        rows = split()
        number = stats(rows)[1]
        return (number, extra(rows)) if more else number

    lab.run(flow, more=False)
    with pytest.raises(NondeterministicTaskError):
        lab.run(flow, more=True)


def test_two_outcomes_of_one_task_are_never_mixed(lab, outcomes):
    def cut():
        start = next(outcomes)
        return frame(start), frame(start + 100)

    split = lab.task(cut, name="split")

    def flow(look: bool):
        train, test = split()
        return (float(train["x"].iloc[0]), float(test["x"].iloc[0])) if look else None

    run = lab.run(flow, look=False)
    lab.damage_blob(run.lineage.traces[0].result.leaves[1].blob)
    with pytest.raises(NondeterministicTaskError):
        lab.run(flow, look=True)


@pytest.fixture
def chain(lab, outcomes):
    """split (outcomes differ) → fit, whose result has no digest and cannot be stored → score, a small number."""

    def make(*, sealed: bool = False, **options: Any) -> Any:
        split = (lambda: Sealed(next(outcomes))) if sealed else (lambda: frame(next(outcomes)))
        lab.task(split, name="split", **options)
        lab.task(lambda rows: Sealed(rows.weight if sealed else rows["x"].iloc[0]), name="fit")
        lab.task(lambda model: float(model.weight), name="score")
        lab.task(lambda rows: float(rows["x"].iloc[0]), name="count")

        def flow(more: bool, score: bool) -> Any:
            rows = lab.tasks["split"].submit()
            model = lab.tasks["fit"].submit(rows)
            found = lab.tasks["score"].submit(model) if score else None
            return [lab.tasks["count"].submit(rows).result() if more else None, found.result() if found else None]

        return flow

    return make


@pytest.mark.parametrize("sealed", [False, True], ids=["digest", "no digest"])
@pytest.mark.parametrize("options", [{"deterministic": False}, {"max_age_us": 0}], ids=["declared", "too old"])
def test_a_grandchild_that_is_known_by_signature_only_is_not_served_for_another_outcome(lab, chain, options, sealed):
    flow = chain(sealed=sealed, **options)
    assert [lab.run(flow, more=False, score=True).value[1] for _ in range(3)] == [0.0, 5.0, 7.0]


def test_a_grandchild_is_spared_if_the_outcome_is_the_same_again(lab, chain):
    flow = chain(deterministic=False)
    lab.run(flow, more=False, score=True)
    lab.tasks["split"].fn = frame
    assert lab.run(flow, more=False, score=True).bodies == ["split"]


def test_a_grandchild_of_an_outcome_that_did_not_repeat_itself_is_computed_again(lab, chain):
    flow = chain(materialize="never")
    lab.run(flow, more=False, score=True)
    assert lab.run(flow, more=True, score=True).value == [5.0, 5.0]


def test_a_grandchild_that_was_not_called_when_the_outcome_changed_is_computed_later(lab, chain):
    flow = chain()
    lab.run(flow, more=False, score=True)
    lab.run(flow, more=False, score=False, mode="recompute")
    assert lab.run(flow, more=True, score=True).value == [5.0, 5.0]


def test_failed_traces_make_nothing_equivalent(lab):
    results = iter([ValueError("first"), 7])

    def body():
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    task = lab.task(body, name="task")
    with pytest.raises(ValueError, match="first"):
        lab.run(lambda: task())
    assert lab.run(lambda: task()).value == 7


@pytest.mark.parametrize("argument", [5, 6], ids=["result not stored", "other argument"])
def test_a_step_that_fails_has_no_times_of_an_earlier_run(lab, argument):
    given, failing, runs = [5], [], []

    def body(k):
        if failing:
            raise ValueError("no room")
        return bytes(100_000)

    fit = lab.task(body, name="fit")

    def flow():
        runs.append(lab.current)
        return fit(given[0])

    lab.run(flow, policy="never")
    given[0], failing[:] = argument, [True]
    with pytest.raises(ValueError, match="no room"):
        lab.run(flow, policy="never")
    (trace,) = runs[1].lineage.traces
    assert (trace.status, trace.compute_us, trace.computed_at_us) == ("failed", None, None)


def test_a_lazy_call_that_nobody_asks_for_saves_nothing_whatever_was_expected_of_it(lab):
    part = lab.task(lambda k: bytes(100_000), name="part", lazy=True)
    given = [5]

    def flow(asks):
        made = part.submit(given[0])
        return len(made.result()) if asks else 0

    lab.run(flow, asks=True, policy="never")
    given[0] = 6
    (trace,) = lab.run(flow, asks=False, policy="never").lineage.traces
    assert (trace.decision, trace.compute_us, saved_us(trace)) == (Decision.PRUNE, None, 0)


# -- options -----------------------------------------------------------------------------------------------------


def test_what_the_flow_does_not_ask_for_any_more_is_not_recorded_as_demanded(lab):
    table = lab.task(lambda: frame(), name="table", lazy=True)

    def flow(asks: bool) -> float:
        made = table.submit()
        return total(made.result()) if asks else 0.0

    demanded = [[trace.demanded for trace in lab.run(flow, asks=asks).lineage.traces] for asks in (True, False)]
    assert demanded == [[True], [False]]


def test_a_lazy_task_computes_only_when_it_is_touched(lab):
    table = lab.task(lambda: frame(), name="table", lazy=True, returns=pd.DataFrame)
    assert lab.run(lambda: is_stand_in(table())).bodies == []
    run = lab.run(lambda: total(table()))
    assert (run.bodies, run.value) == (["table"], total(frame()))


def test_an_ignored_parameter_changes_nothing(lab):
    task = lab.task(lambda x, jobs: x, name="task", ignore=frozenset({"jobs"}))
    lab.run(lambda: task(1, object()))
    assert lab.run(lambda: task(1, object())).bodies == []
    assert lab.run(lambda: task(2, object())).bodies == ["task"]


def test_a_task_with_an_argument_without_digest_is_computed_in_every_run_and_told(lab):
    task = lab.task(lambda stream: 1, name="task")
    child = lab.task(lambda one: one + 1, name="child")

    for bodies in (["task", "child"], ["task"]):
        run = lab.run(lambda: child(task(x for x in ())))
        assert run.bodies == bodies
        assert "its argument 'stream' holds a value of type generator" in " ".join(run.warnings.values())


@pytest.mark.parametrize("make", [lambda: lambda: 3, lambda: iter([3])], ids=["function", "iterator"])
def test_what_cannot_be_versioned_or_stored_is_computed_again(lab, make):
    source = lab.task(make, name="source", ignore=frozenset())
    use = lab.task(lambda x: x() if callable(x) else next(x), name="use", ignore=frozenset({"x"}))
    for _ in range(2):
        assert lab.run(lambda: use.fn(source())).value == 3


def test_mode_recompute_computes_all_and_refreshes_the_store(lab, census):
    lab.run(census)
    assert lab.run(census, mode="recompute").bodies == ALL
    assert lab.run(census).bodies == []


def test_mode_verify_names_what_does_not_repeat_itself(lab, outcomes):
    task = lab.task(lambda: next(outcomes), name="task")
    lab.run(lambda: task())
    run = lab.run(lambda: task(), mode="verify")
    assert run.session.mismatched == ["task"]
    (how,) = run.session.differences
    assert f"task ({how})" in str(VerificationError(run.session.mismatched, run.session.differences))


def test_earlier_results_of_a_task_that_does_not_repeat_itself_are_looked_at_once(lab, outcomes, monkeypatch):
    accepted, looked = World.accepted, list[str]()
    monkeypatch.setattr(World, "accepted", lambda world, node: looked.append(node.spec.name) or accepted(world, node))
    draw = lab.task(lambda number: next(outcomes), name="draw")

    def flow() -> list[float]:
        return [draw(number) for number in range(2)]

    lab.run(flow)
    run = lab.run(flow, mode="verify")
    assert (run.session.mismatched, looked) == (["draw", "draw"], ["draw"])


def test_mode_verify_compares_with_what_an_index_holds(lab, outcomes, monkeypatch):
    monkeypatch.setattr(known, "COVERED_LINEAGES", 2)
    task = lab.task(lambda: next(outcomes), name="task")
    for _ in range(2):
        lab.run(lambda: task())
    assert lab.store.list("index")
    assert lab.run(lambda: task(), mode="verify").session.mismatched == ["task"]


def test_mode_verify_tells_how_a_result_differs_also_where_it_makes_room_for_the_new_one(lab):
    start = {"at": 0.0}
    task = lab.task(lambda: frame(start["at"]), name="task")
    lab.run(lambda: task(), budget=200_000)
    start["at"] = 1.0
    run = lab.run(lambda: task(), budget=200_000, mode="verify")
    assert run.session.differences == [
        "['x']: 20000 of 20000 cells differ by up to 1; first in row 0: recorded 0.0, now 1.0"
    ]


def test_mode_verify_asks_no_more_than_a_task_promises(lab):
    outcomes = iter(range(9))
    once = lab.task(lambda: next(outcomes), name="once", deterministic=False)
    for_a_while = lab.task(lambda: next(outcomes), name="for_a_while", max_age_us=10**15)
    for mode in ("auto", "verify"):
        assert lab.run(lambda: [once(), for_a_while()], mode=mode).session.mismatched == []


# -- prediction --------------------------------------------------------------------------------------------------


def test_steps_that_come_go_or_move_change_nothing_else(lab):
    one = lab.task(lambda: frame(), name="one")
    two = lab.task(lambda df: total(df), name="two")
    three = lab.task(lambda n: n + 1, name="three")

    def flow(shape: str):
        match shape:
            case "short":
                return two(one())
            case "long":
                return three(two(one()))
            case "swapped":
                n = three(1)
                return n, two(one())

    lab.run(flow, shape="long")
    assert lab.run(flow, shape="short").bodies == []
    assert lab.run(flow, shape="swapped").bodies == ["three"]
    assert lab.run(flow, shape="long").bodies == []


def test_a_renamed_task_is_a_new_one(lab):
    one = lab.task(lambda: 1, name="one")
    lab.run(lambda: one())
    renamed = lab.task(lambda: 2, name="other")
    assert lab.run(lambda: renamed()).value == 2


def test_two_calls_with_one_signature_give_two_objects(lab):
    make = lab.task(lambda: frame(), name="make")

    def flow():
        one, other = make(), make()
        one["x"] = 0.0
        return total(one), total(other)

    assert lab.run(flow).value == (0.0, total(frame()))
    assert lab.run(flow).value == (0.0, total(frame()))


# -- files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def read(lab):
    return lab.task(lambda source: Path(source).read_text(), name="read")


def test_a_file_argument_is_its_content(lab, read, tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("one")
    flow = lambda: read(File(path))  # noqa: E731
    lab.run(flow)
    path.write_text("two")
    run = lab.run(flow)
    assert (run.value, run.bodies) == ("two", ["read"])
    path.write_text("one")
    assert lab.run(flow).bodies == []


@pytest.fixture
def made(lab, read, tmp_path):
    """A flow that makes a file in a folder of its own and reads it, and the file's path."""
    path = tmp_path / "folder" / "made.txt"

    def body():
        path.parent.mkdir(exist_ok=True)
        path.write_text("made")
        path.chmod(0o750)
        return File(path)

    make = lab.task(body, name="make")
    return lambda: read(make()), path


def test_a_file_result_is_reused_only_while_it_has_its_content(lab, made):
    flow, path = made
    lab.run(flow)
    assert lab.run(flow).bodies == []
    path.write_text("altered")
    run = lab.run(flow)
    assert (run.value, run.bodies) == ("made", ["make"])


@pytest.mark.parametrize("policy", ["always", "never"])
def test_a_file_that_is_gone_is_put_back_if_its_content_was_kept(lab, read, made, policy):
    flow, path = made
    lab.run(flow, policy=policy)
    shutil.rmtree(path.parent)
    assert lab.run(flow, policy=policy).bodies == ([] if policy == "always" else ["make"])
    read.edit(lambda source: Path(source).read_text() + "!")
    shutil.rmtree(path.parent, ignore_errors=True)
    run = lab.run(flow, policy=policy)
    assert (run.value, run.bodies) == ("made!", ["read"] if policy == "always" else ["make", "read"])
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("made", 0o750)


def test_a_file_is_put_back_as_it_was_whatever_was_written_into_it(lab, read, made):
    flow, path = made
    lab.run(flow)
    with path.open("r+") as file:  # in place: the same inode
        file.write("MADE")
    path.unlink()
    read.edit(lambda source: Path(source).read_text() + "!")
    run = lab.run(flow)
    assert (run.value, run.bodies) == ("made!", ["read"])


@pytest.mark.parametrize("harm", ["deleted", "damaged"])
def test_a_file_whose_copy_is_lost_is_made_again(lab, read, made, harm):
    flow, path = made
    first = lab.run(flow)
    (copy,) = first.lineage.traces[0].result.copies
    if harm == "damaged":
        lab.damage_blob(copy.blob)
    else:
        lab.store.delete_blob(copy.blob)
    path.unlink()
    read.edit(lambda source: Path(source).read_text() + "!")
    run = lab.run(flow)
    assert (run.value, run.bodies) == ("made!", ["make", "read"])


def test_a_file_that_cannot_be_put_back_is_made_again(lab, read, made):
    flow, path = made
    lab.run(flow)
    shutil.rmtree(path.parent)
    path.parent.write_text("a file where the folder was")
    read.edit(lambda source: Path(source).read_text() + "!")
    with pytest.raises(OSError, match=r"exists|Not a directory"):  # as the flow from scratch would
        lab.run(flow)


def test_a_long_list_of_files_is_reused_only_while_all_have_their_content(lab, tmp_path):
    paths = [tmp_path / f"a-shard-with-a-rather-long-name-{i:04}.txt" for i in range(300)]

    def body():
        for path in paths:
            path.write_text("made")
        return [File(path) for path in paths]

    make = lab.task(body, name="make")
    flow = lambda: Path(make()[7]).read_text()  # noqa: E731
    lab.run(flow)
    paths[7].write_text("altered")
    assert lab.run(flow).value == "made"


def test_a_file_beside_a_frame_does_not_make_the_result_lost(lab, tmp_path):
    path = tmp_path / "made.txt"

    def body():
        path.write_text("made")
        return frame(), File(path)

    make = lab.task(body, name="make")
    flow = lambda: Path(make()[1]).read_text()  # noqa: E731
    lab.run(flow)
    assert lab.run(flow).bodies == []


def test_what_was_made_from_a_file_that_changed_meanwhile_is_not_reused(lab, tmp_path):
    path = tmp_path / "data.txt"
    meanwhile = iter(["new", "old"])

    def body(source):
        path.write_text(next(meanwhile))
        return path.read_text()

    task = lab.task(body, name="task")
    path.write_text("old")
    lab.run(lambda: task(File(path)))
    path.write_text("old")
    assert lab.run(lambda: task(File(path))).value == "old"


def test_what_reads_a_file_is_not_put_off(lab, tmp_path):
    path = tmp_path / "data.txt"
    task = lab.task(lambda file: frame(float(Path(file).read_text())), name="task", materialize="never")

    def flow(look: bool):
        table = task(File(path))
        if look:
            path.write_text("2")
            return float(table["x"].iloc[0])

    path.write_text("1")
    lab.run(flow, look=False)
    assert lab.run(flow, look=True).value == 1.0


# -- what the flow body gets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "stands_in"),
    [
        (frame(), True),
        (frame()["x"], True),
        (np.zeros(20_000), False),
        ("x" * 100_000, False),
        (1, False),
        (None, False),
    ],
    ids=["frame", "series", "array", "text", "number", "none"],
)
def test_only_large_values_of_safe_types_are_stood_in_for_in_every_run(lab, value, stands_in):
    task = lab.task(lambda: value, name="task")
    for _ in range(2):
        assert lab.run(lambda: is_stand_in(task())).value is stands_in


def test_only_the_leaf_that_is_touched_is_loaded(lab):
    split = lab.task(lambda: {"train": frame(), "test": frame(1.0), "rows": 2}, name="split")

    def flow():
        parts = split()
        total(parts["test"])
        return parts["rows"], is_touched(parts["train"])

    lab.run(flow)
    run = lab.run(flow)
    assert run.value == (2, False)
    assert sum(run.loads.values()) == 1
    (trace,) = run.lineage.traces
    assert (trace.loaded_bytes, trace.loaded_blobs) == (trace.result.leaves[1].size_bytes, 1)


def test_how_much_was_loaded_is_recorded(lab):
    split = lab.task(lambda: (frame(), frame(1.0)), name="split")

    def flow():
        split.submit().result()

    lab.run(flow)
    (trace,) = lab.run(flow).lineage.traces
    assert (trace.loaded_bytes, trace.loaded_blobs) == (trace.result.size_bytes, 2)


def test_what_a_run_is_expected_to_take_is_recorded_where_that_can_be_told(lab):
    load = lab.task(lambda: frame(), name="load")
    fit = lab.task(lambda df, by: total(df) / by, name="fit", cost_us=10_000_000)

    def flow(by: float, again: int) -> float:
        return sum(fit(load(), by) for _ in range(again))

    with pytest.raises(ZeroDivisionError):
        lab.run(flow, by=0.0, again=1)
    run = lab.run(flow, by=0.5, again=1)
    assert run.lineage.run.predicted_us is None, "how long fit takes nobody has seen"
    assert lab.run(flow, by=0.25, again=1).lineage.run.predicted_us >= 10_000_000
    assert lab.run(flow, by=0.25, again=2).lineage.run.predicted_us is None, "again only steers the flow"


@pytest.mark.timeout(10)
def test_a_small_result_of_a_class_that_is_gone_is_computed_again(lab):
    module = types.ModuleType("shortlived")
    exec("class Thing: pass", module.__dict__)
    sys.modules["shortlived"] = module
    make = lab.task(lambda: module.Thing() if "shortlived" in sys.modules else 7, name="make")
    try:
        lab.run(lambda: make())
    finally:
        del sys.modules["shortlived"]
    assert lab.run(lambda: make()).value == 7


def test_only_what_the_flow_itself_needs_counts_as_demanded(lab):
    split = lab.task(lambda: (frame(), frame(1.0)), name="split")
    scale = lab.task(lambda df: df + 1, name="scale")
    score = lab.task(total, name="score")

    run = lab.run(lambda: score(scale(split()[0])))

    assert {trace.task: trace.demanded for trace in run.lineage.traces} == {
        "split": False,
        "scale": False,
        "score": True,
    }
    again = lab.run(lambda: score(scale(split()[0])))
    assert (again.bodies, sum(again.loads.values())) == ([], 0)


# -- where a part comes from ---------------------------------------------------------------------------------------


class Handle:
    """Something whose state tells where to look, not what is there."""

    def __init__(self, place: str) -> None:
        self.place = place


@pytest.mark.parametrize("opened", [{"handle": Handle("here")}, [[Handle("here")]]], ids=["in a dict", "in lists"])
def test_a_handle_taken_out_of_a_small_result_counts_by_where_it_comes_from(lab, opened):
    content = {"here": 1}
    lab.task(lambda version: opened, name="connect")
    read = lab.task(lambda handle: content[handle.place], name="read")

    def flow(version: int):
        found = lab.tasks["connect"](version)
        return read(found["handle"] if isinstance(found, dict) else found[0][0])

    assert lab.run(flow, version=1).value == 1
    content["here"] = 2
    assert lab.run(flow, version=1).bodies == []
    again = lab.run(flow, version=2)
    assert (again.bodies, again.value) == (["connect", "read"], 2)


def test_a_part_that_its_digest_tells_counts_by_its_content(lab):
    lab.task(lambda version: {"numbers": [1, 2], "handle": Handle("here")}, name="connect")
    total = lab.task(lambda numbers: sum(numbers), name="total")

    def flow(version: int):
        return total(lab.tasks["connect"](version)["numbers"])

    lab.run(flow, version=1)
    assert lab.run(flow, version=2).bodies == ["connect"]


def test_an_outcome_that_nobody_has_seen_may_be_replaced_by_another(lab, outcomes):
    def cut():
        start = next(outcomes)
        return frame(start), frame(start + 100)

    split = lab.task(cut, name="split")
    fit = lab.task(lambda train: float(train["x"].iloc[0]), name="fit")
    evaluate = lab.task(lambda model, test: (model, float(test["x"].iloc[0])), name="evaluate")

    def flow():
        train, test = split()
        return evaluate(fit(train), test)

    first = lab.run(flow)
    for leaf in first.lineage.traces[0].result.leaves:
        lab.store.delete_blob(leaf.blob)
    evaluate.edit()
    again = lab.run(flow)
    assert (again.bodies, again.value) == (["split", "fit", "evaluate"], (5.0, 105.0))


def test_two_equal_calls_are_computed_once_also_after_an_edit(lab):
    scan = lab.task(lambda: frame(1), name="scan")
    fit = lab.task(lambda rows: float(rows["x"].sum()), name="fit")
    total = lab.task(lambda rows: float(rows["x"].sum()) + 1, name="total")

    def flow():
        return fit(scan()), total.submit(scan.submit()).result()

    assert lab.run(flow).bodies == ["scan", "fit", "total"]
    scan.edit()
    assert lab.run(flow).bodies == ["scan"]


def test_asking_for_one_value_after_the_other_does_not_load_for_longer_than_their_source_takes(lab, monkeypatch):
    monkeypatch.setattr("prefect_helix.core.costs.DEFAULT_BYTES_PER_US", 0.016)  # a slow store: 10 s for each child
    source = lab.task(lambda: frame(), name="source", cost_us=12_000_000, materialize="never")
    child = lab.task(lambda df, add: df + add, name="child", cost_us=100_000)

    def flow(ask: bool) -> list[float]:
        rows = source()
        children = [child(rows, add) for add in range(1, 6)]
        return [total(one) for one in children] if ask else []

    lab.run(flow, ask=False)
    run = lab.run(flow, ask=True)
    assert run.value == [total(frame(float(add))) for add in range(1, 6)]
    assert run.bodies == ["source", "child", "child", "child", "child"]
    assert sum(run.loads.values()) == 1


def test_values_that_are_asked_for_together_are_planned_together_however_many_they_are(lab, monkeypatch):
    source = lab.task(lambda: frame(), name="source", cost_us=60_000_000, materialize="never")
    child = lab.task(lambda df, add: df + add, name="child", cost_us=100)

    def flow(ask: bool) -> list[Any]:
        rows = source()
        children = [child(rows, add) for add in range(1, 31)]  # none is the source's value, which would be stored then
        return children if ask else []

    lab.run(flow, ask=False)
    solve, solved = renting.solve, list[Any]()
    monkeypatch.setattr(renting, "solve", lambda graph: solved.append(graph) or solve(graph))
    run = lab.run(flow, ask=True)
    assert [total(one) for one in run.value] == [total(frame(float(add))) for add in range(1, 31)]
    assert run.bodies == []
    assert len(solved) == 2


def test_a_call_that_could_not_be_entered_was_not_made(lab, monkeypatch: pytest.MonkeyPatch) -> None:
    classify = World.classify

    def fail(world: World, node: Node, key: str | None = None) -> None:
        if node.spec.name == "broken" and node.called:
            raise OSError("nobody knows")
        classify(world, node, key)

    monkeypatch.setattr(World, "classify", fail)
    lab.task(lambda: 1, name="sound")
    lab.task(lambda: 2, name="broken")

    def flow() -> int:
        value = lab.tasks["sound"]()
        with pytest.raises(OSError, match="nobody knows"):
            lab.tasks["broken"]()
        return value

    for bodies in (["sound"], []):
        run = lab.run(flow)
        assert run.bodies == bodies
        assert [trace.task for trace in run.lineage.traces] == ["sound"]
