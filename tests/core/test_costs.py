from __future__ import annotations

from typing import Any

import pytest

from prefect_helix.core import costs as learning
from prefect_helix.core.costs import DEFAULT_LATENCY_US, Costs, Samples
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Leaf, ParentLink, Result, Trace

MB = 1_000_000


def result(size_bytes: int, *, blobs: int = 1) -> Result:
    leaves = tuple(Leaf("d", True, size_bytes // blobs, "numpy:ndarray", f"blob{n}") for n in range(blobs))
    return Result("d", True, size_bytes, "numpy:ndarray", inline=b"", leaves=leaves)


def trace(key: str, **facts: Any) -> Trace:
    base: dict[str, Any] = {
        "task": key, "key": key, "call": 0, "signature": key, "fingerprint": "", "arguments": (), "literals": "",
        "parents": (), "wait_for": (), "decision": Decision.COMPUTE, "reason": "", "status": "completed",
        "result": None, "compute_us": None, "load_us": None, "demanded": False, "started_us": 0,
    }  # fmt: skip
    return Trace(**{**base, **facts})


def sample(traces: list[Trace], earlier: Samples | None = None) -> Samples:
    """Measure one run."""
    return learning.sample([traces], earlier)


def computes(*times_us: int, key: str = "fit") -> list[Trace]:
    return [trace(key, compute_us=us) for us in times_us]


def load(us: int, size_bytes: int, *, blobs: int = 1, key: str = "read") -> Trace:
    loaded = {"loaded_bytes": size_bytes, "loaded_blobs": blobs}
    return trace(key, decision=Decision.LOAD, load_us=us, result=result(size_bytes, blobs=blobs), **loaded)


def with_inputs(input_bytes: int, compute_us: int, literals: str = "") -> list[Trace]:
    """A task that takes the result of another, and literals."""
    made = trace("read", signature=f"r{input_bytes}", compute_us=1, result=result(input_bytes))
    link = ParentLink(made.signature, None, None, True, "data")
    return [made, trace("fit", parents=(link,), compute_us=compute_us, literals=literals)]


def test_what_was_never_measured_is_unknown() -> None:
    assert Costs().compute("fit", None) is None
    assert Costs().compute("fit", trace("fit")) is None
    failed = trace("fit", compute_us=5, status="failed")
    assert Costs(sample([failed])).compute("fit", None) is None


@pytest.mark.parametrize(
    ("times_us", "expected"),
    [((9000,), 9000), ((9000, 100), 100), ((100, 110, 9000, 120), 110), ((1, 1, 50, 51, 52, 53, 54), 52)],
    ids=["one", "a slow first run", "an outlier", "the latest count"],
)
def test_a_task_takes_what_it_usually_took_lately(times_us: tuple[int, ...], expected: int) -> None:
    assert Costs(sample(computes(*times_us))).compute("fit", None) == expected


def test_the_time_of_the_same_call_is_known_best() -> None:
    costs = Costs(sample(computes(100, 110, 120)))
    assert costs.compute("fit", trace("fit", compute_us=250)) == 250


def test_a_time_is_scaled_to_the_size_of_the_inputs_within_limits() -> None:
    costs = Costs(sample(with_inputs(10 * MB, 1000)))
    assert costs.compute("fit", None, lambda: 20 * MB) == 2000
    assert costs.compute("fit", None, lambda: 5 * MB) == 500
    assert costs.compute("fit", None, lambda: 1000 * MB) == 8000
    assert costs.compute("fit", None, lambda: None) == 1000
    assert costs.compute("fit", None, lambda: 0) == 1000


def test_the_size_of_a_file_counts_and_of_a_leaf_the_leaf() -> None:
    argument = Argument("path", "d", "file", "rows.csv", size_bytes=4 * MB)
    found = sample([trace("scan", arguments=(argument,), compute_us=7)])
    assert found.computed["scan"][0].input_bytes == 4 * MB
    made = trace("split", result=result(10 * MB, blobs=2), compute_us=1)
    taker = trace("fit", parents=(ParentLink("split", 1, None, True, "rows"),), compute_us=1)
    assert sample([made, taker]).computed["fit"][0].input_bytes == 5 * MB
    assert sample([taker]).computed["fit"][0].input_bytes is None


def test_inputs_are_those_of_the_run() -> None:
    made = trace("split", result=result(10 * MB), compute_us=1)
    taker = trace("fit", parents=(ParentLink("split", None, None, True, "rows"),), compute_us=1)
    assert learning.sample([[made, taker]]).computed["fit"][0].input_bytes == 10 * MB
    assert learning.sample([[made], [taker]]).computed["fit"][0].input_bytes is None


def test_one_time_far_from_the_usual_is_not_believed_where_the_sizes_can_be_compared() -> None:
    costs = Costs(sample([one for us in (90_000, 1000, 1100) for one in with_inputs(10 * MB, us, "a")]))
    slow = trace("fit", compute_us=90_000, literals="a")
    assert costs.compute("fit", slow, lambda: 10 * MB) == 1100
    assert costs.compute("fit", slow, lambda: None) == 90_000
    assert costs.compute("fit", slow, lambda: 800 * MB) == 8800


def test_a_time_is_believed_however_little_calls_with_other_literals_took() -> None:
    samples = sample([one for n in range(5) for one in with_inputs(10 * MB, 300, str(n))])
    slow = trace("fit", compute_us=100_000_000, literals="5")
    assert Costs(samples).compute("fit", slow, lambda: 10 * MB) == 100_000_000
    beside = sample(with_inputs(10 * MB, 300, "5"), samples)
    assert Costs(beside).compute("fit", slow, lambda: 10 * MB) == 100_000_000, "one other time proves nothing"


def test_what_sits_in_the_lineage_costs_nothing_to_load() -> None:
    assert Costs().load(Result("d", True, 100, "builtins:int", inline=b"x")) == 0


def test_bandwidth_and_latency_are_learned_from_loads() -> None:
    assert Costs().load(result(500 * MB)) == DEFAULT_LATENCY_US + MB
    small = [load(us, 1000, key=f"s{us}") for us in (2000, 2100, 90_000)]
    large = [load(2100 + us, 100 * MB, key=f"l{us}") for us in (1 * MB, 2 * MB, 50 * MB)]
    costs = Costs(sample([*small, *large]))
    assert costs.load(result(100 * MB)) == 2100 + 2 * MB
    assert costs.load(result(100 * MB, blobs=3)) == 3 * 2100 + 2 * MB


def test_one_slow_load_does_not_tell_how_fast_a_store_is_beside_a_quick_one() -> None:
    costs = Costs(sample([load(20 * MB, 10 * MB, key="cold"), load(MB // 10, 10 * MB, key="warm")]))
    assert costs.load(result(10 * MB)) == pytest.approx(MB // 10, rel=0.01)
    assert costs.write(10 * MB, 1) == pytest.approx(MB // 10, rel=0.01)


def test_what_a_task_gives_takes_as_long_to_load_as_before() -> None:
    costs = Costs(sample([load(5 * MB, 10 * MB, key="objects"), load(10_000, 10 * MB, key="array")]))
    assert costs.load(result(10 * MB), "objects") == 5 * MB
    assert costs.load(result(20 * MB), "objects") == pytest.approx(10 * MB, rel=0.001)
    assert costs.load(result(20 * MB), "array") == 20_000 - DEFAULT_LATENCY_US


def test_the_load_of_a_part_tells_what_loading_all_takes() -> None:
    part = {"load_us": 700, "loaded_bytes": MB // 10, "loaded_blobs": 1}
    pair = result(10 * MB, blobs=2)
    costs = Costs(sample([trace("split", decision=Decision.LOAD, result=pair, **part)]))
    assert costs.load(pair, "split") == 2 * DEFAULT_LATENCY_US + 100 * 200
    quick = [trace("split", decision=Decision.LOAD, result=pair, **{**part, "load_us": us}) for us in (400, 400, 9000)]
    costs = Costs(sample(quick))
    assert costs.load(pair, "split") == Costs().load(pair), "all of it may have been latency"


def test_writing_is_not_taken_to_be_faster_than_any_store_is() -> None:
    mapped = Costs(sample([load(1000, 1000 * MB)]))
    assert mapped.write(500 * MB, 1) == DEFAULT_LATENCY_US + MB
    slow = Costs(sample([load(20 * MB, 200 * MB)]))
    assert slow.write(10 * MB, 1) == pytest.approx(MB, rel=0.01)


def test_a_wrong_estimate_is_put_right_by_the_next_measurement() -> None:
    before = sample([load(1000, 10 * MB, key="other")])
    assert Costs(before).load(result(10 * MB), "objects") < 2000
    after = sample([load(3 * MB, 10 * MB, key="objects")], before)
    assert Costs(after).load(result(10 * MB), "objects") == 3 * MB
    known = sample(computes(5), sample(computes(9000)))
    assert Costs(known).compute("fit", None) == 5


def test_samples_go_on_from_earlier_ones() -> None:
    traces = [*computes(*range(1, 9)), load(10, MB), *with_inputs(MB, 3)]
    whole = sample(traces)
    assert sample(traces[5:], sample(traces[:5])) == whole
    assert len(whole.computed["fit"]) == 5
    assert sample([], None) == Samples()
