"""Calls made through a task runner."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.errors import FileChangedError, HelixError
from prefect_helix.runtime import nodes
from prefect_helix.runtime.scheduler import Scheduler
from prefect_helix.storage.files import File

from .conftest import Run

pytestmark = pytest.mark.timeout(20)


def frame(start: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000.0) + start})


def total(x: Any) -> float:
    return float(x["x"].sum())


@pytest.fixture
def diamond(lab):
    """source → left, right → join, all submitted."""
    t = lab.tasks
    lab.task(lambda: frame(), name="source")
    lab.task(lambda df: df + 1, name="left")
    lab.task(lambda df: df + 2, name="right")
    lab.task(lambda one, other: total(one) + total(other), name="join")

    def flow():
        source = t["source"].submit()
        return t["join"].submit(t["left"].submit(source), t["right"].submit(source)).result()

    return flow


@pytest.mark.parametrize("workers", [1, 4])
def test_a_diamond_computes_once_and_then_not_at_all(lab, diamond, workers):
    first = lab.run(diamond, workers=workers)
    assert sorted(first.bodies) == ["join", "left", "right", "source"]
    second = lab.run(diamond, workers=workers)
    assert (second.value, second.bodies, second.loads) == (first.value, [], {})


@pytest.mark.parametrize("workers", [1, 4])
def test_a_parent_with_the_same_digest_spares_everything_below(lab, diamond, workers):
    first = lab.run(diamond, workers=workers)
    lab.tasks["source"].edit()
    run = lab.run(diamond, workers=workers)
    assert (run.value, run.bodies) == (first.value, ["source"])


@pytest.mark.parametrize("workers", [1, 4])
def test_a_branch_with_another_digest_computes_what_is_below_it(lab, diamond, workers):
    lab.run(diamond, workers=workers)
    lab.tasks["left"].edit(lambda df: df + 3)
    run = lab.run(diamond, workers=workers)
    assert (run.value, run.bodies) == (lab.scratch(diamond), ["left", "join"])


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_chain_below_an_edit_waits_to_be_cut_off(lab, length):
    source = lab.task(lambda: frame(), name="source")
    steps = [lab.task(lambda df: df + 1, name=f"step{i}") for i in range(length)]

    def flow():
        future = source.submit()
        for step in steps:
            future = step.submit(future)
        return total(future.result())

    lab.run(flow)
    source.edit()
    assert lab.run(flow).bodies == ["source"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("fan", [1, 3])
def test_a_blob_that_cannot_be_read_does_not_block_a_small_pool(lab, workers, fan):
    load = lab.task(lambda: frame(), name="load")
    scores = [lab.task(lambda df, i=i: total(df) + i, name=f"score{i}") for i in range(fan)]

    def flow():
        future = load.submit()
        return [f.result() for f in [score.submit(future) for score in scores]]

    run = lab.run(flow, workers=workers)
    for score in scores:
        score.edit()
    lab.damage_blob(run.lineage.traces[0].result.leaves[0].blob)
    again = lab.run(flow, workers=workers)
    assert again.value == run.value
    assert again.bodies.count("load") == 1


def test_two_results_are_loaded_at_once(lab):
    load = lab.task(lambda number: frame(number), name="load")
    score = lab.task(total, name="score")
    both = threading.Barrier(2)

    def flow(again: bool) -> list[float]:
        if again:
            store = lab.current.session.keeper.store
            get_blob = store.get_blob

            def get_together(name: str) -> object:
                both.wait(10)
                return get_blob(name)

            store.get_blob = get_together
        return [future.result() for future in [score.submit(load.submit(number)) for number in range(2)]]

    first = lab.run(flow, again=False)
    score.edit()
    second = lab.run(flow, again=True, workers=2)
    assert (second.value, second.bodies) == (first.value, ["score", "score"])


def test_a_call_on_its_way_to_a_small_pool_is_not_waited_for_there(lab, monkeypatch):
    load = lab.task(lambda: frame(), name="load")
    scores = [lab.task(lambda df, i=i: total(df) + i, name=f"score{i}") for i in range(2)]
    lost, claimed, looked = threading.Event(), threading.Event(), threading.Event()

    def flow():
        future = load.submit()
        futures = [scores[0].submit(future)]
        if first is not None:
            assert lost.wait(10)
        futures.append(scores[1].submit(future))
        return [future.result() for future in futures]

    first = None
    first = lab.run(flow, workers=1)
    for score in scores:
        score.edit()
    lab.damage_blob(first.lineage.traces[0].result.leaves[0].blob)
    flow_thread = threading.current_thread()
    claim, start, take_back = Scheduler.claim, Run.start, Run.take_back

    def claim_later(scheduler, node):
        """Let the pool find that its input is lost, and the flow be the first to claim what computes it."""
        if node.spec.name == "load" and threading.current_thread() is not flow_thread:
            lost.set()
            assert claimed.wait(10)
        return claim(scheduler, node)

    def start_later(run, node):
        if node.spec.name == "load":
            claimed.set()
            assert looked.wait(10)
        start(run, node)

    def look(run, node):
        taken = take_back(run, node)
        if node.spec.name == "load" and threading.current_thread() is not flow_thread:
            looked.set()
        return taken

    monkeypatch.setattr(Scheduler, "claim", claim_later)
    monkeypatch.setattr(Run, "start", start_later)
    monkeypatch.setattr(Run, "take_back", look)
    again = lab.run(flow, workers=1)
    assert again.value == first.value
    assert sorted(again.bodies) == ["load", "score0", "score1"]


def test_an_ignored_input_that_is_put_off_does_not_block_a_small_pool(lab):
    make = lab.task(lambda: frame(), name="make", materialize="never")
    use = lab.task(lambda df, n: total(df) + n, name="use", ignore=frozenset({"df"}))

    def flow(n: int):
        return use.submit(make.submit(), n).result()

    lab.run(flow, n=1, workers=1)
    assert lab.run(flow, n=2, workers=1).value == total(frame()) + 2


@pytest.mark.parametrize("workers", [1, 4])
def test_a_failure_fails_what_takes_its_value_and_nothing_else(lab, workers):
    broken = lab.task(lambda: 1 / 0, name="broken")
    sound = lab.task(lambda: 3, name="sound")
    child = lab.task(lambda x: x, name="child")

    def flow():
        futures = [child.submit(broken.submit()), child.submit(sound.submit())]
        with pytest.raises((ZeroDivisionError, HelixError)):
            futures[0].result()
        return futures[1].result()

    assert lab.run(flow, workers=workers).value == 3


def test_a_child_whose_file_changed_before_it_could_start_fails_alone(lab, tmp_path):
    path = tmp_path / "data.txt"
    go = threading.Event()
    first = lab.task(lambda: frame(), name="first")
    second = lab.task(lambda df, file: total(df) + len(Path(file).read_text()), name="second")

    def flow(change: bool):
        one = first.submit()
        two = second.submit(one, File(path))
        if change:
            path.write_text("123")
            go.set()
            one.result()
        return two.result()

    path.write_text("1")
    lab.run(flow, change=False)

    def edited():
        go.wait()
        return frame(1.0)

    first.edit(edited)
    with pytest.raises(FileChangedError):
        lab.run(flow, change=True)


@pytest.mark.parametrize("stored", ["always", "never"])
def test_watchers_are_called_once_in_every_run(lab, diamond, stored):
    told: list[str] = []

    def flow():
        source = lab.tasks["source"].submit()
        left = lab.tasks["left"].submit(source)
        for future in (source, left):
            future.run.session.when_settled(future.node, lambda name=future.node.spec.name: told.append(name))
        return total(left.result())

    for _ in range(2):
        told.clear()
        lab.run(flow, policy=stored)
        assert sorted(told) == ["left", "source"]


def test_a_literal_that_the_flow_changed_before_the_task_ran_is_not_remembered_as_it_was(lab):
    busy, go = threading.Event(), threading.Event()

    def wait():
        busy.set()
        go.wait()
        return 1

    block = lab.task(wait, name="block")
    size = lab.task(lambda items: len(items), name="size")

    def flow(change: bool):
        items = [0]
        if change:
            block.submit()
            busy.wait()
        future = size.submit(items)
        if change:
            items.append(1)
            go.set()
        return future.result()

    lab.run(flow, change=True, workers=1)
    assert lab.run(flow, change=False, workers=1).value == 1


def test_direct_and_submitted_calls_are_one_and_the_same_step(lab):
    load = lab.task(lambda: frame(), name="load")
    score = lab.task(lambda df: total(df), name="score")
    first = lab.run(lambda: score(load()))
    run = lab.run(lambda: score.submit(load.submit()).result())
    assert (run.value, run.bodies) == (first.value, [])


def test_a_failed_flow_gives_up_what_no_thread_has_begun(lab):
    begun, released = threading.Event(), threading.Event()

    def hold() -> int:
        begun.set()
        released.wait()
        return 1

    first = lab.task(hold, name="first")
    second = lab.task(lambda: 2, name="second")
    runs = []

    def flow() -> None:
        run = lab.current
        runs.append(run)
        take_back = run.take_back
        run.take_back = lambda node: (take_back(node), released.set())[0]
        first.submit()
        begun.wait()
        second.submit()
        raise ValueError("the flow fails")

    with pytest.raises(ValueError, match="the flow fails"):
        lab.run(flow, workers=1)
    assert runs[0].bodies == ["first"]


def test_a_failed_flow_gives_up_what_is_not_known_yet_to_compute(lab, monkeypatch):
    begun, abandoned = threading.Event(), threading.Event()
    abandon = Scheduler.abandon

    def abandoning(scheduler: Scheduler) -> None:
        abandon(scheduler)
        abandoned.set()

    def hold() -> int:
        begun.set()
        abandoned.wait()
        return 2

    monkeypatch.setattr(Scheduler, "abandon", abandoning)
    first = lab.task(lambda: 1, name="first")
    second = lab.task(lambda x: x + 1, name="second")
    runs = []

    def flow(fails: bool) -> int:
        runs.append(lab.current)
        future = second.submit(first.submit())
        if fails:
            begun.wait()
            raise ValueError("the flow fails")
        return future.result()

    lab.run(flow, fails=False)
    first.edit(hold)
    with pytest.raises(ValueError, match="the flow fails"):
        lab.run(flow, fails=True)
    assert [run.bodies for run in runs] == [["first", "second"], ["first"]]
    assert [trace.status for trace in runs[1].lineage.traces] == ["completed", "failed"]


def test_a_lazy_call_that_may_turn_out_to_be_like_an_earlier_one_holds_nobody_up(lab):
    gate = threading.Event()
    start = lab.task(lambda: 100, name="start")
    read = lab.task(lambda n: gate.wait() and n if n == 2 else n, name="read")
    part = lab.task(lambda n: n + 1, name="part", lazy=True)
    grow = lab.task(lambda state, n: state + n, name="grow", lazy=True)
    rate = lab.task(lambda state: state * 10, name="rate")

    def flow():
        part.submit(read.submit(0)).result()
        state = start.submit()
        first = grow.submit(state, part.submit(read.submit(1)))
        last = read.submit(2)
        second = grow.submit(state, part.submit(last))  # like no earlier one as yet
        rated = rate.submit(first).result()
        gate.set()
        last.result()
        return rated, rate.submit(second).result(timeout=10)

    assert lab.run(flow).value == (1020, 1030)


def test_a_lazy_call_that_was_asked_for_as_it_turned_out_original_is_waited_for(lab):
    futures: dict[str, Any] = {}
    submitted = threading.Event()
    told_early: list[bool] = []
    start = [0.0]

    def source() -> pd.DataFrame:
        submitted.wait()
        return frame(start[0])

    def late(df: pd.DataFrame) -> pd.DataFrame:
        told_early.append(futures["late"].node.settled.is_set())
        return df + 1

    lab.task(source)
    lab.task(late, lazy=True)
    lab.task(lambda one, other: total(one) + total(other), name="join")

    def flow() -> float:
        submitted.clear()
        futures["source"] = lab.tasks["source"].submit()
        futures["late"] = lab.tasks["late"].submit(futures["source"])
        joined = lab.tasks["join"].submit(futures["source"], futures["late"])
        submitted.set()
        return joined.result()

    lab.run(flow, workers=1)
    start[0] = 1.0
    lab.tasks["source"].edit()
    told_early.clear()
    run = lab.run(flow, workers=1)  # in one thread "late" begins once all has been told that "source" has ended
    assert run.bodies == ["source", "late", "join"]
    assert told_early == [False]


def to_a_parked_call(lab: Any, then: Any) -> Any:
    """A flow that goes on with a lazy call, original as it was made, which by now may be like an earlier one."""
    gate = threading.Event()
    start = lab.task(lambda: 100, name="start")
    read = lab.task(lambda n: gate.wait() and n if n == 2 else n, name="read")
    part = lab.task(lambda n: n + 1, name="part", lazy=True)
    grow = lab.task(lambda state, n: state + n, name="grow", lazy=True)

    def flow():
        part.submit(read.submit(0)).result()
        state = start.submit()
        first = grow.submit(state, part.submit(read.submit(1)))
        last = read.submit(2)
        second = grow.submit(state, part.submit(last))
        first.result()
        gate.set()
        last.result()
        idle = threading.Barrier(3)
        for _ in range(2):
            lab.current.pool.submit(idle.wait)
        idle.wait()  # all has been told that the last has ended
        assert (second.node.parked, second.node.provisional) == (True, True)
        return then(second)

    return flow


def test_a_new_call_of_a_parked_one_that_may_be_like_an_earlier_one_is_started(lab):
    rate = lab.task(lambda state: state * 10, name="rate")
    flow = to_a_parked_call(lab, lambda parked: rate.submit(parked).result(timeout=10))
    assert lab.run(flow, workers=2).value == 1030


def test_a_new_call_is_started_though_such_a_parked_one_is_further_up(lab):
    halve = lab.task(lambda state: state / 2, name="halve", lazy=True)
    rate = lab.task(lambda state: state * 10, name="rate")
    flow = to_a_parked_call(lab, lambda parked: rate.submit(halve.submit(parked)).result(timeout=10))
    assert lab.run(flow, workers=2).value == 515


def test_a_parked_call_that_somebody_computes_as_it_is_looked_at_again_stays_settled(lab):
    rate = lab.task(lambda state: state * 10, name="rate")
    looked_at: list[Any] = []

    def then(parked: Any) -> Any:
        session = lab.current.session
        unpark = session._dispatcher._unpark

        def computed_first(node: Any) -> None:
            looked_at.append(node)
            session.demand([node])
            session.value(node.cell())
            unpark(node)

        session._dispatcher._unpark = computed_first
        return rate.submit(parked).result(timeout=10), parked.result(timeout=10), looked_at == [parked.node]

    assert lab.run(to_a_parked_call(lab, then), workers=2).value == (1030, 103, True)


def test_who_comes_to_wait_for_a_parked_call_while_it_is_looked_at_again_is_told(lab):
    grow = lab.task(lambda state: state + 1, name="grow", lazy=True)

    def flow():
        node, session = grow.submit(1).node, lab.current.session
        assert node.parked
        is_due, told = session._dispatcher._is_due, list[str]()

        def meanwhile(looked_at: Any) -> bool:
            session.when_settled(looked_at, lambda: told.append(looked_at.spec.name))
            return is_due(looked_at)

        session._dispatcher._is_due = meanwhile
        session._dispatcher._unpark(node)
        assert node.parked
        return told

    assert lab.run(flow).value == ["grow"]


def test_what_takes_many_results_is_not_measured_whenever_one_of_them_is_there(lab, monkeypatch):
    count = 100
    part = lab.task(lambda number: number, name="part")
    whole = lab.task(lambda parts: sum(parts), name="whole")

    def flow():
        return whole.submit([part.submit(number) for number in range(count)]).result()

    lab.run(flow)
    part.edit(lambda number: number + 1)
    measured: list[Any] = []
    taken_bytes = nodes.taken_bytes
    monkeypatch.setattr(nodes, "taken_bytes", lambda *of: measured.append(of) or taken_bytes(*of))
    run = lab.run(flow)
    assert run.value == sum(range(1, count + 1))
    assert run.bodies == ["part"] * count + ["whole"]
    assert len(measured) < 20 * count


# -- who waits for what ----------------------------------------------------------------------------------------------


def test_a_call_is_started_though_a_lazy_direct_one_lies_between_it_and_one_that_is_open(lab):
    gate = threading.Event()
    load = lab.task(lambda: gate.wait() and 1, name="load")
    clean = lab.task(lambda n: n + 1, name="clean")
    extract = lab.task(lambda n: pd.DataFrame({"a": [n]}), name="extract", lazy=True, returns=pd.DataFrame)
    fit = lab.task(lambda rows: int(rows["a"].sum()), name="fit")

    def flow():
        fitted = fit.submit(extract(clean.submit(load.submit())))
        gate.set()
        return fitted.result(timeout=10)

    gate.set()
    assert lab.run(flow).value == 2
    gate.clear()
    for task in (load, extract, fit):
        task.edit()
    again = lab.run(flow)
    assert (again.value, again.bodies) == (2, ["load", "extract", "fit"])


def test_a_callback_that_fails_is_told_and_stops_nobody(lab):
    gate = threading.Event()
    first = lab.task(lambda: gate.wait() and 1, name="first")
    then = lab.task(lambda n: n + 1, name="then")

    def flow():
        def raising():
            raise ValueError("not today")

        made = first.submit()
        session, told = lab.current.session, list[str]()
        session.when_settled(made.node, raising)
        session.when_settled(made.node, lambda: told.append("first"))
        gate.set()
        value = then.submit(made).result(timeout=10)
        session.when_settled(made.node, raising)
        return value, told

    run = lab.run(flow)
    assert run.value == (2, ["first"])
    assert [text for key, text in run.warnings.items() if key.startswith("callback:")] == [
        "A callback of first failed, and the run goes on: ValueError: not today"
    ]


def test_what_waits_for_an_open_call_begins_once_it_has_ended_and_blocks_no_thread(lab):
    gate = threading.Event()
    settings = lab.task(lambda n: gate.wait() and n, name="settings")
    export = lab.task(lambda n: [n], name="export")
    read = lab.task(lambda: 7, name="read")

    def flow(n):
        gate.clear()
        exported = export.submit(settings.submit(n))
        last = read.submit(wait_for=[exported])
        gate.set()
        return last.result(timeout=10)

    for n in (1, 2):
        run = lab.run(flow, workers=1, n=n)
        assert (run.value, run.bodies) == (7, ["settings", "export", "read"])


def test_a_direct_call_that_waits_for_an_open_one_begins_once_that_has_ended(lab):
    gate = threading.Event()
    settings = lab.task(lambda n: gate.wait() and n, name="settings")
    export = lab.task(lambda n: [n], name="export")
    read = lab.task(lambda: 7, name="read")

    class Awaited(threading.Event):
        def wait(self, timeout=None):
            gate.set()
            return super().wait(timeout)

    def flow(n):
        exported = export.submit(settings.submit(n))
        exported.node.settled = Awaited()
        value = read(wait_for=[exported])
        gate.set()
        return value

    gate.set()
    lab.run(flow, n=1)
    gate.clear()
    run = lab.run(flow, n=2)
    assert (run.value, run.bodies) == (7, ["settings", "export", "read"])


def test_what_takes_a_call_that_is_not_handed_over_yet_is_handed_over_after_it(lab):
    make = lab.task(lambda n: n, name="make")
    take = lab.task(lambda n: n + 1, name="take")

    def flow():
        run, taken, handed_over = lab.current, list[Any](), list[str]()
        start = run.start

        def meanwhile(node: Any) -> None:
            if node.spec.name == "make":
                taken.append(take.submit(Handle(node)))
            handed_over.append(node.spec.name)
            start(node)

        run.start = meanwhile
        make.submit(1)
        return taken[0].result(timeout=10), handed_over

    assert lab.run(flow, workers=1).value == (2, ["make", "take"])


class Handle:
    """Stands for what a call gives before `submit` has given it back."""

    def __init__(self, node: Any) -> None:
        self.node = node

    def __helix_handle__(self) -> Any:
        return self.node.cell()


def test_a_long_chain_of_which_it_is_open_whether_it_computes(lab):
    asked = threading.Event()

    def source(n: int) -> dict[str, int]:
        assert n == 0 or asked.wait(30)
        return {"n": n}

    head, step = lab.task(source, name="head"), lab.task(lambda state: {"n": state["n"] + 1}, name="step")
    last = lab.task(lambda state: state["n"], name="last")

    def flow(start: int) -> int:
        future = head.submit(start)
        for _ in range(1_200):
            future = step.submit(future)
        asked.set()
        return last(future)

    assert lab.run(flow, start=0).value == 1_200
    asked.clear()
    assert lab.run(flow, start=1).value == 1_201


def test_what_takes_many_results_is_known_by_one_that_stands_for_nothing(lab, tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("one")
    texts = iter(["other", "one"])
    entered, go = threading.Event(), threading.Event()

    def body(source: Any) -> str:
        entered.wait()
        text = next(texts)
        Path(source).write_text(text)
        return text

    def waiting(number: int) -> int:
        go.wait()
        return number

    read, part = lab.task(body, name="read"), lab.task(waiting, name="part")
    join = lab.task(lambda parts: f"{parts[0]} of {len(parts)}", name="join")

    def flow():
        parts = [read.submit(File(path)), *[part.submit(number) for number in range(nodes._MANY)]]
        joined = join.submit(parts)
        entered.set()
        parts[0].result()
        go.set()
        return joined.result()

    first = lab.run(flow)
    path.write_text("one")
    second = lab.run(flow)
    assert (first.value, second.value) == (f"other of {nodes._MANY + 1}", f"one of {nodes._MANY + 1}")
    assert sorted(second.bodies) == ["join", "read"]
    signatures = {trace.signature for run in (first, second) for trace in run.lineage.traces if trace.task == "join"}
    assert len(signatures) == 2
    assert lab.run(flow).bodies == []
