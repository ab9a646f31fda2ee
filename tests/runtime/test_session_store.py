"""What is kept: damage, budget, policy, and runs that were killed."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.errors import StoreError
from prefect_helix.core.graph import Decision
from prefect_helix.core.summary import summarise
from prefect_helix.runtime import execution, keeper, objects, stock
from prefect_helix.storage import known
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import Store
from prefect_helix.views.differences import summary_words

from .conftest import Run

pytestmark = pytest.mark.timeout(60)


def frame(start: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000.0) + start})


def total(x: Any) -> float:
    return float(x["x"].sum())


@pytest.fixture
def flow(lab):
    load = lab.task(lambda: frame(), name="load")
    split = lab.task(lambda df: (df + 1, df + 2, 3), name="split")
    score = lab.task(lambda one, two, factor: (total(one) + total(two)) * factor, name="score")

    def flow(factor: float):
        one, two, _ = split(load())
        return score(one, two, factor)

    return flow


def harmed(data: bytes, harm: str) -> bytes | None:
    match harm:
        case "truncated":
            return data[: len(data) // 2]
        case "empty":
            return b""
        case "flipped":
            return data[: len(data) // 3] + bytes([data[len(data) // 3] ^ 1]) + data[len(data) // 3 + 1 :]
    return None


@pytest.mark.parametrize("harm", ["deleted", "truncated", "empty", "flipped"])
@pytest.mark.parametrize("killed", [False, True], ids=["lineage", "journal"])
def test_no_harm_to_any_file_changes_a_result(lab, flow, harm, killed, tmp_path):
    with lab.open("flow", {"factor": 1.0}) as run:
        flow(1.0)
        if killed:
            lab.kill(run)
    pristine = tmp_path / "pristine"
    shutil.copytree(lab.url, pristine)
    files = [path.relative_to(pristine) for path in pristine.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files} >= {"blobs", "journal" if killed else "lineage"}
    want = [lab.scratch(flow, factor=factor) for factor in (1.0, 2.0)]
    for file in files:
        shutil.rmtree(lab.url)
        shutil.copytree(pristine, lab.url)
        target = Path(lab.url) / file
        data = harmed(target.read_bytes(), harm)
        target.unlink()
        if data is not None:
            target.write_bytes(data)
        assert [lab.run(flow, factor=factor).value for factor in (1.0, 2.0)] == want


def test_an_emptied_store_costs_only_time(lab, flow):
    first = lab.run(flow, factor=1.0)
    shutil.rmtree(lab.url)
    run = lab.run(flow, factor=1.0)
    assert (run.value, run.bodies) == (first.value, first.bodies)


def test_lost_blobs_are_told_and_computed_again_where_they_are_needed(lab, flow):
    lab.run(flow, factor=1.0)
    shutil.rmtree(Path(lab.url) / "blobs")
    run = lab.run(flow, factor=2.0)
    assert run.bodies == ["load", "split", "score"]
    assert "load, split" in run.warnings["lost"]


# -- policies ----------------------------------------------------------------------------------------------------


def test_policy_never_stores_no_blob_and_still_reuses_small_results(lab, flow):
    lab.run(flow, policy="never", factor=1.0)
    assert lab.blob_bytes() == 0
    assert lab.run(flow, policy="never", factor=1.0).bodies == []


def test_policy_helix_keeps_what_is_dearer_to_recreate_than_twice_its_load(lab):
    cheap = lab.task(lambda: frame(), name="cheap", cost_us=10)
    dear = lab.task(lambda: frame(1.0), name="dear")
    lab.run(lambda: (total(cheap()), total(dear())), policy="helix")
    assert lab.run(lambda: (total(cheap()), total(dear())), policy="helix").bodies == ["cheap"]


@pytest.mark.parametrize(("policy", "choice", "kept"), [("never", "always", True), ("always", "never", False)])
def test_a_task_overrules_the_policy(lab, policy, choice, kept):
    task = lab.task(lambda: frame(), name="task", materialize=choice)
    run = lab.run(lambda: total(task()), policy=policy)
    assert run.lineage.traces[0].stored is kept is bool(lab.blob_bytes())


def test_what_one_step_keeps_is_not_given_up_with_the_equal_result_of_another(lab):
    passing = lab.task(lambda: frame(), name="passing", cost_us=1000)
    kept = lab.task(lambda: frame(), name="kept", cost_us=1000, materialize="always")
    lab.run(lambda: total(passing()) + total(kept()), policy="helix")
    assert lab.blob_bytes() > 0


@pytest.mark.parametrize("policy", ["auto", "never"])
def test_an_equal_call_computes_again_what_was_not_worth_keeping(lab, policy):
    cheap = lab.task(lambda: frame(), name="cheap", cost_us=10)
    run = lab.run(lambda: [total(cheap()), total(cheap())], policy=policy)
    assert (run.bodies, run.warnings, lab.blob_bytes()) == (["cheap", "cheap"], {}, 0)


def test_policy_auto_keeps_what_is_likely_to_be_needed_and_dear(lab):
    source = lab.task(lambda: frame(), name="source", cost_us=30_000_000)
    small = lab.task(lambda df: pd.concat([df, df]), name="small", cost_us=10)
    last = lab.task(total, name="last", cost_us=1_000_000)
    run = lab.run(lambda: last(small(source())), policy="auto")
    assert [trace.stored for trace in run.lineage.traces] == [True, False, True], "small is made from source at once"
    last.edit(lambda df: total(df) + 1)
    assert lab.run(lambda: last(small(source())), policy="auto").bodies == ["small", "last"]


def test_policy_auto_gives_up_what_became_worth_less_for_what_is_worth_more(lab):
    first = lab.task(lambda: frame(1.0), name="first", cost_us=2_000_000)
    second = lab.task(lambda df: df + 1, name="second", cost_us=60_000_000)
    last = lab.task(total, name="last")

    def flow():
        return last(second(first()))

    run = lab.run(flow, policy="auto", budget=ONE + 1000)
    assert [trace.stored for trace in run.lineage.traces] == [False, True, True]
    assert lab.blob_bytes() == ONE
    last.edit(lambda df: total(df) + 1)
    assert lab.run(flow, policy="auto", budget=ONE + 1000).bodies == ["last"]


def test_policy_auto_learns_what_changes(lab):
    """Two branches as dear as each other; the tuned one changes at every run, so what it is made from is kept."""
    steady = lab.task(lambda: frame(1.0), name="steady", cost_us=10_000_000)
    tuned = lab.task(lambda: frame(2.0), name="tuned", cost_us=10_000_000)
    plot = lab.task(lambda df, again: total(df) + again, name="plot")
    fit = lab.task(lambda df, reg: total(df) * reg, name="fit")

    def flow(again: int, reg: float):
        return plot(steady(), again), fit(tuned(), reg)

    for step in range(4):
        run = lab.run(flow, policy="auto", budget=ONE + 1000, again=0, reg=float(step))
    assert run.lineage.run.changed == ("lab:fit",)
    assert {trace.task for trace in run.lineage.traces if trace.stored and trace.result.blobs} == {"tuned"}
    for step in range(8):
        run = lab.run(flow, policy="auto", budget=ONE + 1000, again=step, reg=0.0)
    assert run.lineage.run.changed == ("lab:plot",)
    assert {trace.task for trace in run.lineage.traces if trace.stored and trace.result.blobs} == {"steady"}


def test_one_dear_call_among_cheap_ones_of_its_task_is_reused(lab):
    def fit(df, n):
        lab.tasks["fit"].cost_us = 100_000_000 if n == 0 else 300
        return df + n

    read, fit = lab.task(frame, name="read"), lab.task(fit)
    score = lab.task(lambda frames: sum(map(total, frames)), name="score")

    def flow():
        df = read()
        return score([fit(df, n) for n in range(6)])

    lab.run(flow)
    for version in "ab":
        score.edit(version=version)
        run = lab.run(flow)
        assert run.lineage.traces[1].decision is Decision.LOAD


def test_policy_auto_spares_what_the_run_will_load(lab):
    kept = lab.task(lambda: frame(1.0), name="kept", cost_us=1_000_000)
    dear = lab.task(lambda x: frame(x), name="dear", cost_us=90_000_000)
    both = lab.task(lambda one, other, x: total(one) + total(other) + x, name="both")

    def flow(x: float):
        made = dear(x)
        return both(kept(), made, x)

    lab.run(flow, policy="auto", x=1.0)
    run = lab.run(flow, policy="auto", budget=ONE + 1000, x=2.0)
    assert run.bodies == ["dear", "both"]
    assert run.decisions()["kept"] is Decision.LOAD


def test_policy_auto_keeps_the_results_of_another_flow_that_are_worth_more(lab):
    dear = lab.task(lambda: frame(1.0), name="dear", cost_us=90_000_000)
    cheap = lab.task(lambda: frame(2.0), name="cheap", cost_us=1_000_000)

    def nightly(n: int):
        return total(dear()) + n

    def trial(n: int):
        return total(cheap()) + n

    for n in range(3):
        lab.run(nightly, policy="auto", budget=ONE + 1000, n=n)
    for n in range(3):
        assert lab.run(trial, policy="auto", budget=ONE + 1000, n=n).bodies == ["cheap"]
    assert lab.run(nightly, policy="auto", budget=ONE + 1000, n=9).bodies == []


# -- budget ------------------------------------------------------------------------------------------------------

ONE = 161_024


@pytest.mark.parametrize("policy", ["auto", "helix", "always"])
def test_the_budget_is_never_exceeded(lab, policy):
    load = lab.task(lambda i: frame(i), name="load")
    more = lab.task(lambda df: (df + 1, df + 2), name="more")
    budget = 3 * ONE + 1000
    for start in range(4):
        run = lab.run(lambda start=start: [more(load(start + i)) for i in range(3)], budget=budget, policy=policy)
        assert 0 < run.most_bytes <= budget
        assert 0 < lab.blob_bytes() <= budget


def test_a_result_larger_than_the_budget_is_not_kept(lab):
    load = lab.task(lambda: frame(), name="load")
    lab.run(lambda: total(load()), budget=1000)
    assert lab.blob_bytes() == 0


def test_the_least_recently_used_makes_room(lab):
    load = lab.task(lambda i: frame(i), name="load")
    for i in (0, 1, 0, 2):
        lab.run(lambda i=i: total(load(i)), budget=2 * ONE + 1000)
    assert lab.run(lambda: total(load(0))).bodies == []
    assert lab.run(lambda: total(load(1))).bodies == ["load"]


def test_nothing_that_the_run_will_load_makes_room(lab):
    load = lab.task(lambda i: frame(i), name="load")
    other = lab.task(lambda: frame(9.0), name="other")

    def flow(more: bool):
        return (total(other()) if more else 0, total(load(0)), total(load(1)))

    lab.run(flow, more=False)
    assert lab.run(flow, more=True, budget=2 * ONE + 1000).bodies == ["other"]


def test_nothing_that_another_running_flow_will_load_makes_room(lab):
    load = lab.task(lambda i: frame(i), name="load")
    lab.run(lambda: total(load(0)))
    with lab.open("<lambda>", {}) as running:
        other = lab.run(lambda: total(load(1)), budget=ONE + 1000)
        assert [trace.stored for trace in other.lineage.traces] == [False]
        lab.current = running
        assert (total(load(0)), running.bodies) == (0.0 + sum(range(20_000)), [])
    assert lab.run(lambda: total(load(1)), budget=ONE + 1000).lineage.traces[0].stored
    assert lab.store.list("leases") == []


def test_the_lease_of_a_run_that_was_killed_holds_for_some_minutes(lab):
    load = lab.task(lambda i: frame(i), name="load")
    lab.run(lambda: total(load(0)))
    with lab.open("<lambda>", {}) as running:
        lab.kill(running)
    assert not lab.run(lambda: total(load(1)), budget=ONE + 1000).lineage.traces[0].stored
    (lease,) = (Path(lab.url) / "leases").iterdir()
    os.utime(lease, (lease.stat().st_mtime - 3600,) * 2)
    assert lab.run(lambda: total(load(1)), budget=ONE + 1000).lineage.traces[0].stored


def test_what_others_wrote_counts_in_the_budget_and_is_not_the_first_to_go(lab):
    load = lab.task(lambda i: frame(i), name="load")
    lab.run(lambda: total(load(0)))
    with lab.open("flow", {}, budget=2 * ONE + 1000) as running:
        lab.run(lambda: total(load(1)))
        lab.current = running
        load(2)
    assert lab.blob_bytes() <= 2 * ONE + 1000
    assert lab.run(lambda: total(load(1))).bodies == []
    assert lab.run(lambda: total(load(0))).bodies == ["load"]


def test_what_others_write_meanwhile_is_looked_at_before_each_write_where_looking_is_quick(lab, monkeypatch):
    monkeypatch.setattr(stock, "LOOK_SHARE", float("inf"))
    load = lab.task(lambda i: frame(i), name="load")
    with lab.open("flow", {}, budget=2 * ONE + 1000) as running:
        load(0)
        running.session.keeper.flush()
        lab.run(lambda: total(load(1)))
        lab.current = running
        load(2)
        running.session.keeper.flush()
        assert lab.blob_bytes() <= 2 * ONE + 1000


def test_a_lowered_budget_holds_at_the_end_of_the_next_run(lab):
    load = lab.task(lambda i: frame(i), name="load")
    lab.run(lambda: [total(load(i)) for i in range(3)])
    lab.run(lambda: [total(load(i)) for i in range(3)], budget=ONE + 1000)
    assert lab.blob_bytes() <= ONE + 1000


def test_a_blob_that_cannot_be_read_counts_in_the_budget(lab):
    load = lab.task(lambda i: frame(i), name="load")
    run = lab.run(lambda: total(load(0)))
    lab.damage_blob(run.lineage.traces[0].result.leaves[0].blob)
    load.options = {"materialize": "never"}
    lab.run(lambda: total(load(0)), budget=1000)
    assert lab.blob_bytes() <= 1000


@pytest.mark.parametrize(("modified_us", "told"), [(1, ["unnamed"]), (0, [])], ids=["old", "of unknown age"])
def test_results_of_no_known_run_are_told_unless_a_run_may_just_have_written_them(lab, monkeypatch, modified_us, told):
    load = lab.task(lambda: frame(), name="load")
    lab.run(lambda: total(load()))
    shutil.rmtree(Path(lab.url) / "lineage")
    entries = Store.blob_entries
    monkeypatch.setattr(
        Store,
        "blob_entries",
        lambda store: {name: replace(entry, modified_us=modified_us) for name, entry in entries(store).items()},
    )
    assert list(lab.run(lambda: total(load())).warnings) == told


def test_what_another_run_left_is_found_wherever_it_lies(lab, monkeypatch):
    load = lab.task(lambda i: frame(i), name="load")
    with lab.open("flow", {}) as run:
        lab.run(lambda: total(load(0)))
        monkeypatch.setattr(known, "COVERED_LINEAGES", 1)
        lab.run(lambda: total(load(1)))
        with lab.open("flow", {}) as going_on:
            load(2)
            going_on.session.keeper.flush()
            for run_id in ("run2", "run3", "run4"):
                (left,) = run.session.keeper.look_at_run(run_id)
                assert all(run.session.keeper.loadable(trace.result) for trace in left.traces)
                assert len(left.traces) == 1


# -- journal -----------------------------------------------------------------------------------------------------


def test_what_a_killed_run_finished_is_reused(lab, flow):
    with lab.open("flow", {"factor": 1.0}) as run:
        first = flow(1.0)
        lab.kill(run)
    again = lab.run(flow, factor=1.0)
    assert (again.value, again.bodies) == (first, [])
    assert again.decisions()["load"] is Decision.PRUNE


def test_traces_are_journaled_while_one_write_follows_the_other(lab, monkeypatch):
    monkeypatch.setattr(keeper, "JOURNAL_SECONDS", 0.0)
    load = lab.task(lambda i: frame(i), name="load")
    journaled = []
    with lab.open("flow", {}) as run:
        put_blob, queued = run.session.keeper.store.put_blob, threading.Event()

        def put_once_all_wait(encoded):
            queued.wait()
            journaled.append(len(lab.store.list("journal")))
            put_blob(encoded)

        run.session.keeper.store.put_blob = put_once_all_wait
        for i in range(3):
            load(i)
        queued.set()
    assert journaled == [0, 0, 1]


def test_waiting_for_a_result_to_be_written_is_no_part_of_what_loading_it_takes(lab, monkeypatch):
    class Clock:
        """Stands still but for what is written, which takes a second."""

        now_ns = 0

        def perf_counter_ns(self) -> int:
            return self.now_ns

        def time_ns(self) -> int:
            return self.now_ns

    clock, asked = Clock(), threading.Event()
    monkeypatch.setattr(objects, "time", clock)
    load = lab.task(lambda: frame(), name="load")

    def flow() -> float:
        kept = lab.current.session.keeper
        put_blob, flush = kept.store.put_blob, kept.flush

        def put_when_asked(encoded):
            asked.wait()
            clock.now_ns += 1_000_000_000
            put_blob(encoded)

        def flush_now():
            asked.set()
            flush()

        monkeypatch.setattr(kept.store, "put_blob", put_when_asked)
        monkeypatch.setattr(kept, "flush", flush_now)
        load()
        return total(load())

    run = lab.run(flow)
    assert (run.value, run.bodies) == (total(frame()), ["load"])
    assert [trace.load_us for trace in run.lineage.traces] == [None, 0]


def test_what_waits_to_be_written_where_it_was_computed_holds_nobody_up(lab, monkeypatch):
    monkeypatch.setattr(keeper, "PENDING_BYTES", 1)
    asked = threading.Event()

    class Apart(Run):
        """A run whose values are on workers, which write them when they are asked to."""

        apart = True

        def run(self, node):
            value = node.spec.fn(**node.parameters)

            def put(names):
                asked.wait(20)
                execution.store(value, self.session.keeper.store, names)

            self.session.observe_elsewhere(node, execution.account_for(value), 10_000_000, (), put)

    make = lab.task(frame, name="make")

    def flow() -> list[bool]:
        settled = [one.node.settled.wait(10) for one in [make.submit(1.0), make.submit(2.0)]]
        asked.set()
        return settled

    lab.new_run = Apart
    run = lab.run(flow)
    assert run.value == [True, True]
    assert [trace.stored for trace in run.lineage.traces] == [True, True]


def test_what_a_failed_run_finished_is_reused(lab):
    load = lab.task(lambda: frame(), name="load")
    broken = lab.task(lambda df: 1 / 0, name="broken")
    with pytest.raises(ZeroDivisionError):
        lab.run(lambda: broken(load()))
    broken.edit(total)
    broken.fn = lambda df: total(df)
    assert lab.run(lambda: broken(load())).bodies == ["broken"]


def test_a_run_ends_with_a_summary_of_what_it_did_and_what_it_added(lab, flow):
    with lab.open("flow", {"factor": 1.0}) as first:
        flow(1.0)
    with lab.open("flow", {"factor": 2.0}) as second:
        flow(2.0)
    recorded = {one.run.run_id: one for one in Catalog(lab.store).read().lineages}
    summaries = [recorded[run.lineage.run.run_id].run.summary for run in (first, second)]
    assert summaries[0] == summarise(first.lineage, None, lab.blob_bytes())
    assert summaries[1] == summarise(second.lineage, first.lineage, 0)
    assert summary_words(summaries[1]) == "factor 1.0 → 2.0"


def test_a_killed_run_has_no_summary_and_its_traces_tell_it(lab, flow):
    with lab.open("flow", {"factor": 1.0}) as run:
        flow(1.0)
        lab.kill(run)
    (lineage,) = Catalog(lab.store).read().lineages
    assert lineage.run.summary is None
    assert summarise(lineage, None).computed == 3


def test_code_that_cannot_be_looked_up_costs_its_name_in_the_list_of_runs_and_no_more(lab, monkeypatch):
    fit = lab.task(lambda: frame(), name="fit")
    lab.run(lambda: total(fit()))
    fit.edit()

    def refuse(self, fingerprint):
        raise StoreError(lab.url, "read code", "Forbidden")

    monkeypatch.setattr(Catalog, "components_of", refuse)
    run = lab.run(lambda: total(fit()))
    summary = Catalog(lab.store).read().lineages[-1].run.summary
    assert (summary_words(summary), summary.code) == ("code of fit", ())
    assert [told for told in run.warnings.values() if "Forbidden" in told and "does not name what changed" in told]


def test_a_result_that_is_lost_and_made_again_as_it_was_contradicts_nobody_who_waited_for_it(lab):
    make = lab.task(lambda n: frame(n), name="make")
    score = lab.task(lambda frames: sum(map(total, frames)), name="score")
    lost: list[str] = []

    def flow():
        frames = [make.submit(n) for n in range(2)]
        scored = score(frames, wait_for=frames)
        for name in lost:
            lab.store.delete_blob(name)
        return scored, [total(each.result()) for each in frames]

    first = lab.run(flow)
    lost += [name for trace in first.lineage.traces if trace.task == "make" for name in trace.result.blobs]
    second = lab.run(flow)
    assert (second.value, second.bodies) == (first.value, ["make", "make"])
