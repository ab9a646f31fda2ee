from __future__ import annotations

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.habits import chances, changed
from prefect_helix.core.lineage import Trace
from prefect_helix.core.losses import Chances, Expected, Losses
from prefect_helix.core.prospects import LATEST, NOW, Prospects, shares


def test_what_changed_lately_and_often_is_likely_to_change_next() -> None:
    found = chances([{"a"}, {"b"}, set(), {"b"}, {"c"}], tasks=6)
    assert found.tasks["b"] > found.tasks["c"] > found.nothing > found.tasks["a"] > found.other > 0


def test_without_history_everything_is_as_likely() -> None:
    found = chances([], tasks=4)
    assert (found.tasks, found.other, found.nothing) == ({}, found.addition, found.addition)


def call(task: str, *, code: str = "1", literals: str = "", deterministic: bool = True) -> Trace:
    return Trace(
        task, task, 0, "", code, (), literals, (), (), Decision.COMPUTE, "", "completed", None, 1, None, False, 0,
        deterministic=deterministic,
    )  # fmt: skip


def test_a_task_has_changed_if_a_call_of_it_is_new() -> None:
    before = [call("read"), call("fit", literals="a"), call("fit", literals="b"), call("fetch", deterministic=False)]
    assert changed(before, before) == ("fetch",)
    after = [call("read", code="2"), call("fit", literals="b"), call("fit", literals="c"), call("plot")]
    assert changed(before, after) == ("read", "fit", "plot")
    assert changed(before, before[:2]) == ()


def test_a_flow_is_as_likely_as_it_was_lately() -> None:
    found = shares([("old", ""), *[("daily", "")] * 5, ("new", "")])
    assert found["daily", ""] > found["new", ""] > found["old", ""]


def test_other_parameters_come_again_as_often_as_that_has_happened() -> None:
    edited = shares([("flow", str(n)) for n in range(6)])
    assert edited["flow", "5"] > 0.9 * sum(edited.values())
    deployed = shares([("flow", "eu"), ("flow", "us")] * 4)
    assert deployed["flow", "eu"] > deployed["flow", "us"] > 0
    same = shares([("flow", "same")] * 3)
    assert [*same] == [("flow", "same")]


def test_what_was_run_a_long_time_ago_does_not_come_again() -> None:
    found = shares([("flow", "old"), ("gone", ""), *[("flow", "new")] * 8000])
    assert [*found] == [("flow", "new")]
    seldom = shares([("flow", "old"), ("other", ""), *[("flow", "new")] * (LATEST - 2)])
    assert min(seldom.values()) > 0
    always = Chances({}, other=0, nothing=1, addition=0)
    prospects = Prospects()
    for run, share in seldom.items():
        prospects.add(" ".join(run), share, Losses(always, [Expected("a", "a", (), 100, 10, stored=True)]))
    assert prospects.runs([("other ", "a")]) > 1e40


def test_changes_from_long_ago_count_for_nothing() -> None:
    found = chances([{"a"}, *[{"b"}] * 8000], tasks=2)
    assert found.tasks["a"] == found.other > 0
    losses = Losses(found, [Expected("a", "a", (), 100, 10, demanded=True, stored=True)])
    assert losses.loss_us(["a"]) > 0
    assert losses.runs(["a"]) < 10


def test_a_result_is_worth_to_each_run_as_much_as_that_run_is_likely() -> None:
    steps = [Expected("a", "a", (), 100, 10, demanded=True, stored=True)]
    always = Chances({}, other=0, nothing=1, addition=0)
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(always, steps))
    assert prospects.loss_us([(NOW, "a")]) == 90
    prospects.add("other", 2, Losses(always, steps))
    assert prospects.loss_us([(NOW, "a")]) == pytest.approx(30)
    assert prospects.loss_us([(NOW, "a"), ("other", "a")]) == pytest.approx(90)
    assert prospects.most_loss_us([(NOW, "a"), ("other", "a")]) == pytest.approx(100)
    assert prospects.runs([("other", "a")]) == pytest.approx(15), "ten of its own, and five of the other flow"
    assert prospects.runs([(NOW, "a"), ("other", "a")]) == pytest.approx(30)
    prospects.flip([("other", "a")])
    assert (prospects.stored((NOW, "a")), prospects.stored(("other", "a"))) == (True, False)
    assert prospects.affected() == []
    assert prospects.recreate_us((NOW, "a")) == 100
    assert [prospects.recreate_exceeds((NOW, "a"), us) for us in (99, 100)] == [True, False]
    assert [prospects.remake_exceeds(("other", "a"), us) for us in (99, 100)] == [True, False]
