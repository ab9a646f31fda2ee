"""What stays where room is short, and what a policy that fails costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.materialization import POLICIES
from prefect_helix.runtime import shelving
from prefect_helix.storage.blob import Encoded
from prefect_helix.storage.files import File
from prefect_helix.storage.store import Store, open_store

pytestmark = pytest.mark.timeout(60)

ONE = 161_024
"""Bytes of a stored frame, and some more."""

MANY = 600_000
"""Rows of a frame that is mapped where it is loaded."""


def frame(start: float = 0.0, rows: int = 20_000) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(float(rows)) + start})


def total(x: Any) -> float:
    return float(x["x"].sum())


@pytest.mark.parametrize("policy", ["auto", "always"])
@pytest.mark.parametrize("edited", [(5.0, 2.0), (1.0, 5.0)], ids=["first", "second"])
def test_a_part_that_is_as_before_stays_when_room_is_made_for_the_other(lab, policy, edited):
    split = lab.task(lambda: (frame(1.0), frame(2.0)), name="split", cost_us=60_000_000)
    other = lab.task(lambda: frame(9.0), name="other", cost_us=60_000_000)
    use = lab.task(lambda one, two: total(one) + total(two), name="use")

    def flow() -> float:
        return use(*split())

    budget = 3 * ONE + 1000
    lab.run(flow, policy=policy, budget=budget)
    lab.run(lambda: total(other()), policy=policy, budget=budget)
    split.edit(lambda: (frame(edited[0]), frame(edited[1])))
    lab.run(flow, policy=policy, budget=budget)
    use.edit(lambda one, two: total(one) - total(two))
    assert lab.run(flow, policy=policy, budget=budget).bodies == ["use"]
    assert lab.blob_bytes() <= budget


class Failing:
    """A policy that divides by what is zero once a result is written."""

    name = "failing"

    def worth(self, candidate: Any) -> float:
        return candidate.recreate_us / candidate.write_us - 100


def test_a_policy_that_fails_costs_what_is_not_kept(lab, monkeypatch):
    monkeypatch.setitem(POLICIES, "failing", Failing())
    load = lab.task(lambda: frame(), name="load", cost_us=50_000)

    run = lab.run(lambda: total(load()), policy="failing")

    assert run.value == total(frame())
    assert "ZeroDivisionError" in run.warnings["keeping"]
    assert len(lab.store.list("lineage")) == 1
    assert lab.store.list("leases") == []


def test_what_was_only_stored_for_now_may_be_gone_at_the_end(lab):
    early = [lab.task(lambda i=i: i, name=f"early{i}", cost_us=1) for i in range(10)]
    lodged = lab.task(lambda: frame(1.0), name="lodged", cost_us=1500)
    dear = lab.task(lambda d: d + 1, name="dear", cost_us=60_000_000)
    waiting = lab.task(lambda d: d + 2, name="waiting", cost_us=1_000_000)
    late = [lab.task(lambda d, i=i: total(d) + i, name=f"late{i}", cost_us=1) for i in range(8)]

    def flow() -> list[float]:
        for task in early:
            task()
        one = lodged()
        two = dear(one)
        three = waiting(two)
        return [*(task(one) for task in late), total(two), total(three)]

    run = lab.run(flow, policy="auto", budget=ONE + 1000)

    assert run.warnings == {}
    assert len(lab.store.list("lineage")) == 1
    assert lab.store.list("leases") == []


@pytest.mark.parametrize("declared", [True, False], ids=["not deterministic", "changes its argument"])
def test_what_every_run_computes_in_any_case_takes_no_room_from_what_is_reused(lab, declared):
    def draw(seen: list[int]) -> pd.DataFrame:
        if not declared:
            seen.append(1)
        return frame(1.0)

    drawn = lab.task(draw, name="drawn", cost_us=90_000_000, deterministic=not declared)
    other = lab.task(lambda: frame(2.0), name="other", cost_us=50_000_000)
    fit = lab.task(lambda one, two: total(one) + total(two), name="fit", cost_us=1)

    def flow() -> float:
        return fit(drawn([]), other())

    lab.run(flow, policy="auto", budget=ONE + 1000)
    fit.edit()
    assert lab.run(flow, policy="auto", budget=ONE + 1000).bodies == ["drawn", "fit"]
    assert lab.blob_bytes() <= ONE + 1000


def test_what_is_reused_again_once_a_task_does_not_change_its_argument_any_more_is_worth_its_room(lab):
    def draw(seen: list[int]) -> pd.DataFrame:
        return frame(1.0)

    def draw_and_note(seen: list[int]) -> pd.DataFrame:
        seen.append(1)
        return frame(3.0)

    drawn = lab.task(draw, name="drawn", cost_us=90_000_000)
    other = lab.task(lambda: frame(2.0), name="other", cost_us=10_000_000)
    fit = lab.task(lambda one, two: total(one) + total(two), name="fit", cost_us=1)

    def flow() -> float:
        return fit(drawn([]), other())

    lab.run(flow, policy="auto")
    drawn.edit(draw_and_note, version="2")
    lab.run(flow, policy="auto")
    drawn.edit(draw, version="1")
    other.edit(lambda: frame(4.0))
    for _ in range(2):
        fit.edit()
        assert lab.run(flow, policy="auto", budget=ONE + 1000).bodies == ["other", "fit"]


class Worthless:
    """A policy to which nothing is worth anything."""

    name = "worthless"

    def worth(self, candidate: Any) -> float:
        return 0.0


def test_steps_that_are_made_sooner_than_written_are_stored_now_and_then_in_case_the_run_is_killed(lab, monkeypatch):
    monkeypatch.setitem(POLICIES, "worthless", Worthless())
    first = lab.task(lambda: frame(), name="step0", cost_us=500)
    steps = [lab.task(lambda d: d + 1, name=f"step{i}", cost_us=500) for i in range(1, 8)]

    def flow() -> float:
        found = first()
        for step in steps:
            found = step(found)
        return total(found)

    with lab.open("flow", {}, policy="worthless") as run:
        flow()
        lab.kill(run)
    assert len(lab.store.blobs()) == 4, "of step1, 3, 4 and 6: writing one takes 0.8 ms, making it 0.5"
    assert lab.run(flow, policy="worthless").bodies == ["step7"]


def write_slowly(monkeypatch: pytest.MonkeyPatch, write_us: int) -> None:
    """Let each write take so long, by the clock of whoever stores results."""
    clock, put_blob = [0], Store.put_blob

    def put_slowly(store: Store, encoded: Encoded) -> None:
        clock[0] += write_us
        put_blob(store, encoded)

    monkeypatch.setattr(shelving, "clock_us", lambda: clock[0])
    monkeypatch.setattr(Store, "put_blob", put_slowly)


@pytest.mark.parametrize(
    ("rows", "write_us"),
    [(MANY, 480_000), (5_000, 100_000), (125_000, 100_000)],
    ids=["bandwidth", "latency", "latency of some bytes"],
)
def test_a_store_that_is_slow_to_write_shows_as_it_is_written(lab, rows, write_us, monkeypatch):
    monkeypatch.setitem(POLICIES, "worthless", Worthless())
    lab.url = f"memory://slow-{rows}/store"
    write_slowly(monkeypatch, write_us)
    steps = [lab.task(lambda i=i: frame(float(i), rows), name=f"step{i}", cost_us=50_000) for i in range(5)]
    dear = lab.task(lambda: frame(5.0, rows), name="dear", cost_us=60_000_000)

    def flow() -> float:
        return sum(total(step()) for step in (*steps, dear))

    with lab.open("flow", {}, policy="worthless") as run:
        flow()
        lab.kill(run)
    assert len(lab.store.blobs()) == 2, "after the first, which took longer than its step, only what is dear"
    assert lab.run(flow, policy="worthless").bodies == ["step1", "step2", "step3", "step4"]


@pytest.mark.parametrize(
    ("kind", "stored"), [("plain", 5), ("compressed", 5), ("of a kind that other machines may change", 1)]
)
def test_what_a_write_to_a_disk_of_this_machine_took_tells_nothing(lab, kind, stored, monkeypatch):
    """Others were computing meanwhile."""
    monkeypatch.setitem(POLICIES, "worthless", Worthless())
    if kind == "compressed":
        monkeypatch.setattr(type(lab), "store", property(lambda lab: open_store(lab.url, compression="zstd")))
    elif kind != "plain":
        monkeypatch.setattr("prefect_helix.storage.local._kind_of_mount", lambda folder: "nfs4")
    write_slowly(monkeypatch, 480_000)
    steps = [lab.task(lambda i=i: frame(float(i), MANY), name=f"step{i}", cost_us=50_000) for i in range(5)]

    def flow() -> float:
        return sum(total(step()) for step in steps)

    with lab.open("flow", {}, policy="worthless") as run:
        flow()
        lab.kill(run)
    assert len(lab.store.blobs()) == stored


class Fading:
    """A policy to which dear results are worth something until the run is over."""

    name = "fading"
    is_over = False

    def worth(self, candidate: Any) -> float:
        return float(candidate.recreate_us > 5_000_000 and not self.is_over)


def test_what_is_not_worth_storing_as_the_run_ends_is_not_stored_in_case_it_is_killed(lab, monkeypatch):
    policy = Fading()
    monkeypatch.setitem(POLICIES, "fading", policy)
    lodged = lab.task(lambda: frame(1.0), name="lodged", cost_us=1_000_000)
    dear = lab.task(lambda: frame(2.0), name="dear", cost_us=90_000_000)

    def flow() -> float:
        held = lodged()
        sums = total(held), total(dear())
        lab.current.session.keeper.flush()
        assert len(lab.store.blobs()) == 1, "what is stored for now is in use, so that there is no room for the other"
        policy.is_over = True
        return sum(sums)

    lab.run(flow, policy="fading", budget=ONE + 1000)
    assert lab.blob_bytes() == 0


def test_a_run_that_failed_leaves_what_it_did_not_come_to(lab):
    cheap = lab.task(lambda: frame(1.0), name="cheap", cost_us=1_000_000)
    dear = lab.task(lambda: frame(2.0), name="dear", cost_us=90_000_000)
    first = lab.task(lambda d: total(d), name="first", cost_us=1)
    second = lab.task(lambda d: total(d), name="second", cost_us=1)
    fails = False

    def flow() -> float:
        one = first(cheap())
        if fails:
            raise OSError("the network is gone")
        return one + second(dear())

    lab.run(flow, policy="auto", budget=ONE + 1000)
    cheap.edit(lambda: frame(3.0))
    fails = True
    with pytest.raises(OSError, match="network"):
        lab.run(flow, policy="auto", budget=ONE + 1000)
    fails = False
    second.edit(lambda d: total(d) + 1)
    assert "dear" not in lab.run(flow, policy="auto", budget=ONE + 1000).bodies


def test_one_result_waits_for_room_however_large_it_is(lab, monkeypatch):
    monkeypatch.setattr(shelving, "WAITING_BYTES", ONE - 1)
    small = lab.task(lambda: frame(1.0), name="small", cost_us=3_000_000)
    large = lab.task(lambda: frame(2.0), name="large", cost_us=90_000_000)

    def flow() -> float:
        held = small()
        total(held)
        return total(held) + total(large())

    lab.run(flow, policy="auto", budget=ONE + 1000)
    assert "large" not in lab.run(flow, policy="auto", budget=ONE + 1000).bodies


def test_of_two_runs_that_end_together_one_sees_that_the_budget_is_kept(lab):
    """Each spares what the other may load, until that has ended."""
    steps = [lab.task(lambda i=i: frame(float(i)), name=f"step{i}") for i in range(4)]

    def flow() -> float:
        return sum(total(step()) for step in steps)

    lab.run(flow)
    with lab.open("flow", {}, budget=ONE) as one:
        flow()
        with lab.open("flow", {}, budget=ONE) as other:
            flow()
            commit = one.session.keeper.commit

            def commit_once_the_other_has_ended(*what: Any) -> None:
                other.lineage = other.session.finish("completed")
                commit(*what)

            one.session.keeper.commit = commit_once_the_other_has_ended
            one.session.finish("completed")
            assert lab.blob_bytes() <= ONE


def test_what_the_run_comes_to_need_as_it_is_about_to_go_stays(lab):
    held = lab.task(lambda: frame(1.0, MANY), name="held", cost_us=1_000_000)
    dear = lab.task(lambda: frame(2.0, MANY), name="dear", cost_us=90_000_000)
    about_to_go: list[bool] = []

    def flow() -> float:
        one = held()
        session, cell = lab.current.session, one.__helix_handle__()
        session.keeper.flush()
        stock, others = session.keeper._stock, [cell.value]  # that somebody has it keeps it in memory
        delete = stock.delete

        def delete_once_it_has_left_memory(names, *args, **options):
            if not set(names).isdisjoint(cell.node.result.blobs):
                others.clear()
                session._memory.look_at(cell.node)  # as the flow's thread may at any time
                about_to_go.append(not cell.present)
            return delete(names, *args, **options)

        stock.delete = delete_once_it_has_left_memory
        two = dear()
        session.keeper.flush()
        stock.delete = delete
        return total(one) + total(two)

    run = lab.run(flow, policy="auto", budget=9 * MANY)

    assert about_to_go == [True]
    assert run.value == total(frame(1.0, MANY)) + total(frame(2.0, MANY))
    assert (run.bodies, run.warnings) == (["held", "dear"], {})


def test_the_copy_of_a_file_stays_for_whoever_needs_it(lab, tmp_path):
    path = tmp_path / "out"

    def write() -> File:
        path.write_bytes(bytes(160_000))
        return File(path)

    make = lab.task(write, name="make", cost_us=60_000_000)
    other = lab.task(lambda: frame(9.0), name="other", cost_us=1_000_000)

    def flow() -> float:
        make()
        return total(other())

    lab.run(lambda: make() and None, policy="always", budget=ONE + 1000)
    lab.run(flow, policy="always", budget=ONE + 1000)
    path.unlink()
    assert "make" not in lab.run(flow, policy="always", budget=ONE + 1000).bodies
