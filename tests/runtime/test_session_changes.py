"""Objects that somebody changes in place: every run gives what a run from scratch gives."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.timeout(60)


class Side(Enum):
    LOW = 1
    HIGH = 2


def frame(start: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000.0) + start})


def total(x: Any) -> float:
    return float(x["x"].sum())


def zero(df: pd.DataFrame) -> int:
    df["x"] = 0.0
    return 0


@pytest.fixture
def load(lab):
    return lab.task(lambda: frame(), name="load")


@pytest.fixture
def score(lab):
    return lab.task(total, name="score")


def assert_as_from_scratch(lab, flow, **parameters):
    for _ in range(3):
        assert lab.run(flow, **parameters).value == lab.scratch(flow, **parameters)


def test_a_task_that_changes_its_input_is_computed_in_every_run(lab, load, score):
    wipe = lab.task(zero, name="wipe")

    def flow():
        df = load()
        before = score(df)
        wipe(df)
        return before, score(df)

    assert_as_from_scratch(lab, flow)
    run = lab.run(flow)
    assert run.bodies == ["wipe"]
    assert "changed its argument 'df' in place" in run.warnings["mutation:lab:wipe:df"]


@pytest.mark.parametrize("harmless", [True, False])
def test_what_is_mapped_from_the_store_is_seen_to_be_changed_where_it_is(lab, harmless):
    make = lab.task(lambda: np.arange(1 << 20), name="make")
    mean = lab.task(lambda x, by: float(x.mean()) + by, name="mean")
    shift = lab.task(lambda x, by: x.sort() if harmless else x.__iadd__(by).sum(), name="shift")

    def flow(by: int):
        x = make.submit()
        before = mean.submit(x, by).result()
        return before, shift.submit(x, by).result(), mean.submit(x, -by).result()

    lab.run(lambda: mean.submit(make.submit(), 0).result())
    for by in (1, 2, 3):
        run = lab.run(flow, by=by)
        assert run.value == lab.scratch(flow, by=by)
        assert run.bodies == ["mean", "shift", "mean"]
        assert ("mutation:lab:shift:x" in run.warnings) == (not harmless)


@pytest.mark.parametrize("make", [lambda: {"x": np.ones(3)}, frame], ids=["dict", "frame"])
def test_a_task_that_changes_a_literal_is_computed_in_every_run(lab, score, make):
    wipe = lab.task(lambda df: df.__setitem__("x", np.zeros(3)) if type(df) is dict else zero(df), name="wipe")

    def flow():
        df = make()
        wipe(df)
        return score(df)

    assert_as_from_scratch(lab, flow)


def test_a_list_changed_between_two_calls_is_two_arguments(lab):
    size = lab.task(len, name="size")
    size.fn = lambda items: len(items)

    def flow():
        items = [1]
        one = size(items)
        items.append(2)
        return one, size(items)

    assert_as_from_scratch(lab, flow)


class Config:
    def rate(self) -> int:
        return getattr(self, "lr", 0) * 10


@pytest.mark.parametrize("given", [Config, Config()])
def test_a_class_changed_between_two_calls_is_two_arguments(lab, monkeypatch, given):
    train = lab.task(lambda config: Config.rate(config), name="train")

    def flow():
        with monkeypatch.context() as patch:
            rates = [train(given)]
            for lr in (1, 2, 1):
                patch.setattr(Config, "lr", lr, raising=False)
                rates.append(train(given))
        return rates

    assert lab.run(flow).value == [0, 10, 20, 10]
    assert_as_from_scratch(lab, flow)
    assert lab.run(flow).bodies == []


class Memoised:
    seen: ClassVar[dict[int, int]] = {}

    def square(self, x: int) -> int:
        return self.seen.setdefault(x, x * x)


def test_a_class_that_keeps_a_memo_is_not_taken_for_a_changed_argument(lab, monkeypatch):
    use = lab.task(lambda memoised, x: memoised.square(x), name="use")

    def flow():
        with monkeypatch.context() as patch:
            patch.setattr(Memoised, "seen", {})
            return use(Memoised(), 3)

    assert lab.run(flow).bodies == ["use"]
    assert lab.run(flow).bodies == []


@pytest.mark.parametrize("change", [True, False])
def test_a_stand_in_that_the_flow_changes_is_another_value_from_there_on(lab, load, score, change):
    def flow(change: bool):
        df = load()
        before = score(df)
        if change:
            df["x"] = 0.0
        return before, score(df)

    lab.run(flow, change=not change)
    assert_as_from_scratch(lab, flow, change=change)


def test_a_small_result_that_the_flow_changes_is_another_value_from_there_on(lab):
    make = lab.task(lambda: [1], name="make")
    size = lab.task(lambda items: len(items), name="size")

    def flow():
        items = make()
        one = size(items)
        items.append(2)
        return one, size(items), size(make())

    assert_as_from_scratch(lab, flow)


@pytest.mark.parametrize("change", [True, False])
def test_a_part_of_a_submitted_result_that_the_flow_changes_is_another_value(lab, score, change):
    split = lab.task(lambda: (frame(), frame(1.0)), name="split")

    def flow(change: bool):
        one, _ = split.submit().result()
        if change:
            one["x"] = 0.0
        return score(one)

    lab.run(flow, change=not change)
    assert_as_from_scratch(lab, flow, change=change)


def test_a_container_passed_whole_is_not_taken_for_changed(lab):
    split = lab.task(lambda: (frame(), frame(1.0)), name="split")
    both = lab.task(lambda pair: total(pair[0]) + total(pair[1]), name="both")

    def flow(look: bool):
        future = split.submit()
        if look:
            future.result()
        return both.submit(future).result()

    for look in (False, True):
        run = lab.run(flow, look=look)
        assert run.warnings == {}
    assert run.bodies == []


def test_a_late_compute_takes_its_inputs_as_they_were_at_the_call(lab, load):
    double = lab.task(lambda df: df * 2, name="double", materialize="never")

    def flow(late: bool):
        df = load()
        twice = double(df)
        if late:
            df["x"] = 0.0
            return total(twice)

    lab.run(flow, late=False)
    assert lab.run(flow, late=True).value == 2 * total(frame())


def test_a_late_submitted_compute_takes_its_literals_as_they_were_at_the_call(lab):
    make = lab.task(lambda items: frame(len(items)), name="make", materialize="never")

    def flow(late: bool):
        items = [1]
        future = make.submit(items)
        if late:
            items.append(2)
            return total(future.result())

    lab.run(flow, late=False)
    assert lab.run(flow, late=True).value == total(frame(1.0))


def test_a_leaf_that_the_flow_changed_stays_changed_when_another_cannot_be_loaded(lab, score):
    split = lab.task(lambda: (frame(), frame(1.0)), name="split")

    def flow(look: bool):
        one, two = split()
        if look:
            one["x"] = 0.0
            return total(two), score(one)

    run = lab.run(flow, look=False)
    lab.damage_blob(run.lineage.traces[0].result.leaves[1].blob)
    assert lab.run(flow, look=True).value == lab.scratch(flow, look=True)


def test_a_task_that_returns_its_input_returns_the_same_object(lab, load, score):
    same = lab.task(lambda df: df, name="same")

    def flow():
        one = load()
        other = same(one)
        other["x"] = 0.0
        return score(one)

    assert_as_from_scratch(lab, flow)


def test_what_was_computed_from_a_changed_alias_is_not_served_for_the_original(lab, load, score):
    same = lab.task(lambda df: df, name="same")

    def flow(change: bool):
        one = load()
        other = same(one)
        if change:
            other["x"] = 0.0
        return score(one)

    lab.run(flow, change=True)
    assert lab.run(flow, change=False).value == total(frame())


def test_a_task_that_returns_the_enum_member_it_was_given_is_not_taken_to_change_it(lab):
    turn = lab.task(lambda side: Side.HIGH, name="turn")

    def flow():
        return turn(turn(Side.LOW))

    assert lab.run(flow).bodies == ["turn", "turn"]
    run = lab.run(flow)
    assert (run.value, run.bodies, run.warnings) == (Side.HIGH, [], {})


class Box:
    """An object that is part of a small result."""

    def __init__(self, value: float) -> None:
        self.value = value


def test_a_late_compute_takes_parts_of_a_small_result_as_they_were_at_the_call(lab):
    boxes = lab.task(lambda: [Box(1.0)], name="boxes")
    filled = lab.task(lambda items: pd.DataFrame({"x": np.full(20_000, items[0].value)}), name="filled")

    def flow() -> float:
        items = boxes()
        future = filled.submit(items)
        items[0].value = 9.0
        return float(future.result()["x"].sum())

    lab.run(flow, policy="never")
    run = lab.run(flow, policy="never")
    assert (run.value, run.bodies) == (20_000.0, ["filled"])


def test_what_digests_of_another_format_tell_is_not_believed(lab, monkeypatch):
    make = lab.task(lambda: np.arange(1 << 15), name="make")
    mean = lab.task(lambda x, by: float(x.mean()) + by, name="mean")

    def flow(by: int):
        return mean.submit(make.submit(), by).result()

    lab.run(flow, by=1)
    monkeypatch.setattr("prefect_helix.core.digest.FORMAT", "another")
    monkeypatch.setattr("prefect_helix.core.signature.FORMAT", "another")
    assert lab.run(flow, by=1).bodies == ["make", "mean"]
    run = lab.run(flow, by=2)
    assert (run.bodies, run.warnings) == (["mean"], {})


def test_results_that_share_memory_are_two_values_once_they_are_loaded(lab):
    load = lab.task(lambda: np.arange(100_000.0), name="load")
    head = lab.task(lambda rows: rows[:10], name="head")
    total = lab.task(lambda rows: float(rows.sum()), name="total")

    def flow():
        rows = load()
        part = head(rows)
        if lab.current is not None:
            lab.current.session.keeper.flush()
        part += 1
        return total(rows)

    assert lab.run(flow).value == lab.scratch(flow)
    assert lab.run(flow).value == lab.scratch(flow) - 10


# -- what has no digest ----------------------------------------------------------------------------------------------


class Counter:
    """Has no digest and cannot be stored, because of its lock; what else it has can be told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0

    def add(self, n: int) -> int:
        self.count += n
        return self.count


def test_a_task_that_changes_what_has_no_digest_is_computed_in_every_run(lab):
    make = lab.task(lambda: Counter(), name="make")
    add = lab.task(lambda counter: counter.add(1), name="add")
    show = lab.task(lambda counter: counter.count, name="show")

    def flow():
        counter = make()
        add(counter)
        return show(counter)

    for _ in range(2):
        run = lab.run(flow)
        assert (run.value, run.bodies) == (lab.scratch(flow), ["make", "add", "show"])
        show.edit()
    assert {trace.task: trace.changed_inputs for trace in run.lineage.traces}["add"] == ("counter",)


def test_what_has_no_digest_is_another_argument_once_the_flow_changed_it(lab):
    make = lab.task(lambda: Counter(), name="make")
    show = lab.task(lambda counter: counter.count, name="show")

    def flow(n):
        counter = make()
        counter.count = n
        return show(counter)

    assert [lab.run(flow, n=n).value for n in (0, 5, 7)] == [0, 5, 7]


def test_who_takes_what_has_no_digest_and_does_not_change_it_is_spared(lab):
    make = lab.task(lambda: Counter(), name="make")
    show = lab.task(lambda counter: counter.count, name="show")

    def flow():
        counter = make()
        return show(counter), show(counter)

    assert lab.run(flow).bodies == ["make", "show"]
    assert lab.run(flow).bodies == ["make"]
