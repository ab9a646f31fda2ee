"""What leaves memory while a run goes on, and that nobody notices but by how much is there."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.fingerprint import Fingerprint
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.memory import Memory
from prefect_helix.runtime.nodes import Cell, Node
from prefect_helix.runtime.objects import Objects
from prefect_helix.runtime.results import describe
from prefect_helix.runtime.sharing import is_unshared
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.runtime.standin import plain
from prefect_helix.storage.store import open_store

pytestmark = pytest.mark.timeout(60)

ROWS = 600_000


class Made:
    """Remembers objects without keeping them."""

    def __init__(self) -> None:
        self._objects: list[weakref.ref[Any]] = []
        self.most = 0

    def __call__(self, value: Any) -> Any:
        self._objects.append(weakref.ref(value))
        self.most = max(self.most, self.alive)
        return value

    @property
    def alive(self) -> int:
        return sum(one() is not None for one in self._objects)


@pytest.fixture(autouse=True)
def _no_garbage_collection():
    """What is gone is gone at once, not when garbage happens to be collected."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def frame(start: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(float(ROWS)) + start})


def total(value: Any) -> float:
    return float(np.asarray(value).sum())


def written(lab) -> None:
    """Wait until everything that is kept is written."""
    if lab.current is not None:
        lab.current.session.keeper.flush()


def computed(future) -> None:
    """Wait until a submitted call is computed, without taking its value."""
    if hasattr(future, "node"):
        future.run.session.demand([future.node])
        future.node.settled.wait()


def chain(lab, made, make=frame, **options):
    """Tasks for a chain of large results."""
    start = lab.task(lambda: made(make()), name="start", **options)
    step = lab.task(lambda value, add: made(value + add), name="step", **options)
    end = lab.task(total, name="end")
    return start, step, end


@pytest.mark.parametrize("policy", ["never", "always"])
@pytest.mark.parametrize("make", [frame, lambda: np.arange(float(ROWS))], ids=["frame", "array"])
def test_what_the_flow_has_no_way_to_is_gone(lab, policy, make):
    made = Made()
    start, step, end = chain(lab, made, make)

    def flow() -> float:
        value = start()
        for add in range(8):
            written(lab)  # what waits to be written is in memory, too
            value = step(value, add)
        return end(value)

    run = lab.run(flow, policy=policy)
    assert run.value == lab.scratch(flow)
    assert run.bodies == ["start", *["step"] * 8, "end"]
    assert made.most <= 3


def test_a_future_that_nobody_has_keeps_nothing(lab):
    made = Made()
    start, step, end = chain(lab, made)

    def flow() -> float:
        future = start.submit()
        for add in range(8):
            future = step.submit(future, add)
            computed(future)
        return end.submit(future)

    assert lab.run(flow, policy="never").value == lab.scratch(flow)
    assert made.most <= 3


def test_an_ignored_input_stays_for_the_call_that_takes_it(lab):
    made = Made()
    start, _, _ = chain(lab, made, materialize="never")
    use = lab.task(lambda value, n: total(value) + n, name="use", ignore=frozenset({"value"}))

    def flow(n: int) -> float:
        return use.submit(start.submit(), n).result()

    for n in (1, 2):
        run = lab.run(flow, workers=1, n=n)
        assert run.value == total(frame()) + n
        assert run.bodies == ["start", "use"]


def test_a_stored_result_that_was_not_touched_leaves_and_comes_back(lab):
    made = Made()
    start, step, end = chain(lab, made)

    def flow() -> tuple[float, float]:
        results = [start()]
        for add in range(6):
            results.append(step(results[-1], add))
            written(lab)
        assert made.alive <= 3
        return end(results[-1]), end(results[0])

    run = lab.run(flow)
    assert run.bodies == ["start", *["step"] * 6, "end", "end"]
    assert run.value == (total(frame(15.0)), total(frame()))
    assert sum(run.loads.values()) == 1  # the first one came back


@pytest.mark.parametrize("store", ["compressed", "of a kind that other machines may change"])
def test_what_nobody_is_known_to_take_stays_where_it_cannot_be_mapped(lab, store, monkeypatch):
    if store == "compressed":
        monkeypatch.setattr(type(lab), "store", property(lambda lab: open_store(lab.url, compression="zstd")))
    else:
        monkeypatch.setattr("prefect_helix.storage.local._kind_of_mount", lambda folder: "nfs4")
    made = Made()
    start, step, end = chain(lab, made)

    def flow() -> float:
        first = start()
        second = step(first, 1)
        written(lab)
        third = step(second, 2)
        assert made.alive == 3
        return end(third) + end(first)

    assert not lab.run(flow).loads


def test_what_is_not_stored_stays_as_long_as_there_is_a_way_to_it(lab):
    made = Made()
    start, step, end = chain(lab, made)

    def flow() -> tuple[float, float]:
        first = start()
        second = step(first, 1)
        assert made.alive == 2
        return end(second), end(first)

    run = lab.run(flow, policy="never")
    assert run.bodies == ["start", "step", "end", "end"]
    assert not run.loads


def test_a_result_is_not_loaded_twice_if_the_prior_run_tells_who_takes_it(lab):
    start, step, end = chain(lab, Made())

    def flow() -> tuple[float, ...]:
        first = start()
        found = []
        for add in range(3):
            found.append(end(step(first, add)))
            written(lab)
        return tuple(found)

    lab.run(flow)
    start.edit(lambda: frame(0.5))
    run = lab.run(flow)
    assert run.value == tuple(total(frame(0.5 + add)) for add in range(3))
    assert not run.loads


def test_what_leaves_memory_and_is_lost_is_computed_once_more(lab):
    made = Made()
    start, step, end = chain(lab, made)

    def flow() -> tuple[float, float]:
        first = start()
        second = step(first, 1)
        written(lab)
        third = step(second, 2)
        written(lab)
        for name in lab.store.blobs() if lab.current else ():
            lab.store.delete_blob(name)
        return end(third), end(first)

    run = lab.run(flow)
    assert run.value == (total(frame(3.0)), total(frame()))
    assert run.bodies == ["start", "step", "step", "end", "start", "end"]
    assert run.decisions()["start"] == "compute"
    assert lab.run(flow, mode="recompute").value == run.value


def test_an_array_is_left_to_the_flow_and_known_when_it_comes_back(lab):
    made = Made()
    start, step, end = chain(lab, made, lambda: np.arange(float(ROWS)))

    def flow() -> tuple[float, float]:
        first = start()
        second = step(first, 1)
        written(lab)
        assert made.alive == 2
        del second
        assert made.alive == 1
        again = end(first), end(step(first, 2))
        written(lab)
        del first
        assert made.alive == 0
        end(step(np.zeros(ROWS), 3))
        return again

    assert lab.run(flow, policy="never").value == lab.scratch(flow)
    traces = lab.run(flow).lineage.traces
    assert [len(trace.parents) for trace in traces] == [0, 1, 1, 1, 1, 0, 1]


def test_of_a_value_that_is_brought_from_its_worker_twice_at_once_the_first_counts():
    def brought() -> Any:
        return [frame(), "a name"]

    objects = Objects(lambda name: None, lambda names: None, lambda cell: None)
    spec = TaskSpec("make", "lab:make", brought, Fingerprint("make", (), ()))
    node = Node(spec, "n0", 0, result=describe(brought(), ValueCode()).result)
    first, second = brought(), brought()
    cell = node.cell()
    objects.take_over(node, first)
    given = cell.value
    objects.take_over(node, second)
    assert cell.value is given
    assert objects.reference(given) is cell
    given[0]["x"] += 1  # by the flow, which was given the first
    assert objects.reference(given) is None


def test_a_list_is_gone_once_only_we_have_it(lab):
    made = Made()

    class Part(list):
        """A list that can be watched."""

    start = lab.task(lambda: [made(Part(range(ROWS)))], name="start")
    use = lab.task(lambda value: len(value[0]), name="use")

    def flow() -> int:
        value = start()
        found = use(value)
        assert made.alive == 1
        del value
        return found + use([[]])

    assert lab.run(flow, policy="never").value == lab.scratch(flow)
    assert made.alive == 0


def test_large_results_that_the_flow_keeps_are_not_all_looked_at_at_each_call(lab, monkeypatch):
    count = 200
    make = lab.task(lambda number: [number + 0.5] * 10_000, name="make")
    looked_at: list[str] = []
    look_at = Memory.look_at

    def counted(memory: Memory, node: Node, **options: Any) -> None:
        looked_at.append(node.key)
        look_at(memory, node, **options)

    monkeypatch.setattr(Memory, "look_at", counted)
    run = lab.run(lambda: sum(one[0] for one in [make(number) for number in range(count)]), policy="never")
    assert run.value == sum(number + 0.5 for number in range(count))
    assert len(looked_at) < 80 * count


def test_parts_of_a_result_leave_one_by_one(lab):
    made = Made()
    split = lab.task(lambda: (made(frame(1.0)), made(frame(2.0))), name="split")
    end = lab.task(total, name="end")

    def flow() -> float:
        one, other = split()
        found = end(one)
        del one
        found += end(other)
        assert made.alive == 1
        return found

    assert lab.run(flow, policy="never").value == lab.scratch(flow)


def test_a_view_keeps_what_it_is_a_view_of(lab):
    """In a run from scratch, a change of the one is a change of the other."""
    start = lab.task(lambda: np.zeros(ROWS), name="start")
    hold = lab.task(lambda value: {"of": value.reshape(2, -1)}, name="hold")
    change = lab.task(lambda held: held["of"].__setitem__((0, 0), 5.0), name="change")
    end = lab.task(total, name="end")

    def flow() -> float:
        first = start.submit()
        held = hold.submit(first)
        computed(held)
        written(lab)
        change.submit(held).result()
        return end(first)

    run = lab.run(flow)
    assert run.value == lab.scratch(flow) == 5.0

    def edited() -> float:
        first = start.submit()
        hold.submit(first)
        return end(first)

    assert lab.run(edited).value == 0.0  # what was made from the changed array was not taken for made from the first


def test_a_view_of_what_the_flow_changed_is_as_it_would_be_from_scratch(lab):
    make = lab.task(lambda: np.zeros(ROWS), name="make")
    view = lab.task(lambda value: value.reshape(2, -1), name="view")
    other = lab.task(lambda: 1, name="other")
    end = lab.task(total, name="end")

    def flow() -> float:
        future = make.submit()
        mine = future.result()
        seen = view.submit(future)
        computed(seen)
        written(lab)
        mine[0] = 5.0
        del mine, future
        other()
        other()
        return end(seen)

    assert lab.run(flow).value == lab.scratch(flow) == 5.0


def test_labels_that_frames_share_are_shared_by_what_is_loaded_again(lab):
    make = lab.task(lambda: pd.DataFrame({"x": np.arange(float(ROWS))}, index=pd.Index(np.arange(ROWS))), name="make")
    plus = lab.task(lambda value: value + 1, name="plus")
    other = lab.task(lambda: 1, name="other")
    name = lab.task(lambda value: str(value.index.name), name="name")

    def flow() -> tuple[str, str]:
        first = make.submit()
        second = plus.submit(first)
        computed(second)
        written(lab)
        mine = second.result()
        other()
        mine.index.name = "changed"
        return name(first), name(mine)

    run = lab.run(flow)
    assert run.value == lab.scratch(flow) == ("changed", "changed")
    assert sum(run.loads.values()) == 1


def test_the_end_of_a_run_lets_go_of_everything(lab):
    made = Made()
    start, step, end = chain(lab, made, lambda: np.arange(float(ROWS)))

    def flow() -> float:
        first = start()
        return end(step(first, 1)) + end(first)

    run = lab.run(flow, policy="never")
    assert made.alive == 0
    assert run.session.finished


def test_a_stand_in_that_was_touched_keeps_its_value(lab):
    made = Made()
    start, step, end = chain(lab, made)

    def flow() -> float:
        first = start()
        first.loc[0, "x"] = 7.0
        del_me = step(first, 1)
        written(lab)
        found = end(del_me)
        return found + plain(first).loc[0, "x"] + end(first)

    assert lab.run(flow).value == lab.scratch(flow)


def cell_with(value: Any) -> Cell:
    cell = Cell(None, None)  # type: ignore[arg-type]
    cell.put(value)
    return cell


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(10.0),
        lambda: np.arange(10.0).reshape(2, 5),
        lambda: frame() + 1,
        lambda: pd.DataFrame({"x": [1.0], "s": ["a"], "c": pd.Categorical(["b"]), "t": pd.Timestamp("2020")}),
        lambda: pd.Series([1, None], dtype="Int64"),
        lambda: np.array([[1], [2, 3]], dtype=object),
    ],
)
def test_what_is_nobody_elses_is_unshared(make):
    cell = cell_with(make())
    assert is_unshared(cell)
    other = cell.value
    assert not is_unshared(cell)
    del other
    assert is_unshared(cell)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: np.arange(10.0), lambda x: x[3:]),
        (lambda: np.arange(10.0).reshape(2, 5), lambda x: x.base),
        (frame, lambda x: x["x"]),
        (frame, lambda x: x.assign(y=1)),
        (frame, lambda x: x["x"].to_numpy()),
        (frame, lambda x: x.copy(deep=False)),
        (lambda: np.array([[1], [2, 3]], dtype=object), lambda x: x[1]),
    ],
)
def test_who_has_a_part_shares_the_whole(make, part):
    cell = cell_with(make())
    has = part(cell.value)
    assert not is_unshared(cell)
    del has
    assert is_unshared(cell)


class Model:
    """Of a library of its own."""


@pytest.mark.parametrize(
    "make",
    [
        Model,
        lambda: [np.arange(3.0)],
        lambda: np.array([Model()], dtype=object),
        lambda: np.ma.array(np.arange(3.0), mask=[True, False, False]),
        lambda: np.zeros(3, dtype=[("x", float)]),
    ],
)
def test_what_may_hide_what_it_is_made_of_counts_as_shared(make):
    assert not is_unshared(cell_with(make()))
