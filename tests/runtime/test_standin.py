from __future__ import annotations

import copy
import functools
import gc
import inspect
import json
import logging
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
import scipy.sparse as sp
from prefect.utilities.collections import visit_collection
from prefect.utilities.engine import collect_task_run_inputs_sync
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from prefect_helix.runtime.standin import StandIn, is_stand_in, is_touched, plain, stand_in

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 0, 0, 1, 1, 1])


class Money:
    """Compares by value and has no hash; adds in place and otherwise."""

    def __init__(self, amount: int = 0) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.amount == other.amount

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + other.amount)

    def __iadd__(self, other: Money) -> Money:
        self.amount += other.amount
        return self

    def __enter__(self) -> Money:
        return self

    def __exit__(self, *_: object) -> None:
        self.amount = 0

    def __call__(self, factor: int) -> int:
        return self.amount * factor


class Plain:
    pass


class Duck:
    """An array of another library: numpy must hand it the call, with nothing but its own kind in it."""

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return [type(part) for part in args[0]] if all(issubclass(kind, Duck) for kind in types) else NotImplemented


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, 3.0]})


def values() -> list[Any]:
    model = LogisticRegression().fit(X, Y)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    return [frame(), frame()["a"], sp.csr_matrix(np.eye(3)), sp.csr_array(np.eye(3)), model, pipeline, Plain()]


def of(value: Any) -> Any:
    return stand_in(lambda: value, type(value), handle="the handle")


def untouchable(cls: type) -> Any:
    def load() -> object:
        pytest.fail(f"the stand-in for {cls.__name__} was loaded")

    return stand_in(load, cls, handle="the handle")


every_value = pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)


@every_value
def test_questions_about_the_class_do_not_load(value: Any) -> None:
    cls = type(value)
    x = untouchable(cls)
    assert isinstance(x, cls)
    assert x.__class__ is cls
    assert type(x) in (cls,) and {cls: 1}[type(x)] == 1
    assert type(x).__name__ == cls.__name__
    assert isinstance(value, type(x))
    assert callable(x) == callable(value)
    assert is_stand_in(x) and not is_stand_in(value)
    assert type(x).__helix_handle__(x) == "the handle"
    assert not is_touched(x)


@every_value
def test_prefect_walks_past_a_stand_in_without_loading_it(value: Any) -> None:
    x = untouchable(type(value))
    walked = visit_collection({"a": [x, (x,)]}, visit_fn=lambda part: part, return_data=True)
    assert walked["a"][0] is x
    assert collect_task_run_inputs_sync({"a": [x]}) == set()


@every_value
def test_pydantic_accepts_a_stand_in_as_an_instance_without_loading_it(value: Any) -> None:
    x = untouchable(type(value))
    adapter = pydantic.TypeAdapter(type(value), config={"arbitrary_types_allowed": True})
    assert adapter.validate_python(x) is x


def test_dispatch_and_match_do_not_load() -> None:
    @functools.singledispatch
    def kind(value: object) -> str:
        return "object"

    kind.register(pd.DataFrame, lambda value: "frame")
    x = untouchable(pd.DataFrame)
    assert kind(x) == "frame"
    match x:
        case pd.Series():
            pytest.fail("a frame matched as a series")
        case pd.DataFrame():
            pass


@every_value
@pytest.mark.parametrize(
    "touch",
    [repr, str, dir, lambda x: f"{x}", lambda x: sorted(vars(x)), lambda x: x.__doc__, inspect.isclass],
)
def test_shows_as_the_value_does(value: Any, touch: Callable[[Any], Any]) -> None:
    assert touch(of(value)) == touch(value)


@every_value
@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_pickles_as_the_plain_value(value: Any, dumps: Callable[[Any], bytes]) -> None:
    again = pickle.loads(dumps(of(value)))
    assert type(again) is type(value)
    assert pickle.dumps(again) == pickle.dumps(pickle.loads(pickle.dumps(value)))


@every_value
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_is_a_copy_of_the_value(value: Any, copied: Callable[[Any], Any]) -> None:
    again = copied(of(value))
    assert type(again) is type(value) and again is not value


def test_a_pickle_needs_no_package_of_ours() -> None:
    code = "import pickle, sys; pickle.load(sys.stdin.buffer); sys.exit('prefect_helix' in sys.modules)"
    dumped = pickle.dumps(of(frame()))
    assert subprocess.run([sys.executable, "-c", code], input=dumped, check=False).returncode == 0


def test_a_value_that_refers_to_itself_keeps_its_shape_in_a_pickle() -> None:
    value = Plain()
    value.me = value
    again, same = pickle.loads(pickle.dumps((of(value), value)))
    assert again.me is again is same


@pytest.mark.parametrize(
    "use",
    [
        lambda x: pd.concat([x, frame()]),
        lambda x: frame().merge(x, on="a"),
        lambda x: pd.DataFrame({"z": x["a"]}),
        lambda x: x + frame(),
        lambda x: frame() + x,
        lambda x: np.ones((3, 2)) + x,
        lambda x: np.float64(2) * x,
        lambda x: x == frame(),
        lambda x: frame()[x > 1],
        lambda x: np.exp(x),
        lambda x: np.asarray(x),
        lambda x: np.add(np.ones((3, 2)), 1, out=np.ones((3, 2)), where=(x > 1).to_numpy()),
        lambda x: pa.table(x).to_pandas(),
        lambda x: pa.Table.from_pandas(x).to_pandas(),
        lambda x: pa.RecordBatchReader.from_stream(x).read_all().to_pandas(),
        lambda x: pd.DataFrame(x).sum(),
        lambda x: type(x)(x, columns=["b"]),
        lambda x: StandardScaler().fit_transform(x),
        lambda x: [len(x), list(x), "a" in x, max(x)],
    ],
)
def test_a_frame_computes_alike(use: Callable[[Any], Any]) -> None:
    assert repr(use(of(frame()))) == repr(use(frame()))


def test_testing_helpers_take_a_frame_on_either_side() -> None:
    pd.testing.assert_frame_equal(of(frame()), frame())
    pd.testing.assert_frame_equal(frame(), of(frame()))


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x @ x,
        lambda x: np.eye(3) @ x,
        lambda x: np.eye(3) * x,
        lambda x: np.float64(2) * x,
        lambda x: 2 * x - x,
        lambda x: abs(-x),
        lambda x: sp.vstack([x, x]),
        lambda x: sp.hstack([x, np.eye(3)]),
        lambda x: sp.csc_matrix(x),
        lambda x: x[0],
        lambda x: sp.linalg.norm(x),
        lambda x: sp.kron(x, x),
    ],
)
@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_array])
def test_a_sparse_matrix_computes_alike(make: Any, use: Callable[[Any], Any]) -> None:
    def dense(result: Any) -> tuple[type, Any]:
        return type(result), (result.toarray() if sp.issparse(result) else result).tolist()

    try:
        expected = dense(use(make(np.eye(3))))
    except TypeError as error:
        with pytest.raises(TypeError, match=str(error)):
            use(of(make(np.eye(3))))
    else:
        assert dense(use(of(make(np.eye(3))))) == expected


@pytest.mark.parametrize("index", [4, 5], ids=["estimator", "pipeline"])
def test_an_estimator_is_used_cloned_and_checked_alike(index: int) -> None:
    value = values()[index]
    assert of(value).predict(X).tolist() == value.predict(X).tolist()
    check_is_fitted(of(value))
    again = clone(of(value))
    assert type(again) is type(value)
    assert make_pipeline(StandardScaler(), of(value)).fit(X, Y).score(X, Y) == 1.0
    assert isinstance(of(value), Pipeline) == isinstance(value, Pipeline)


@pytest.mark.parametrize("call", [bool, hash, json.dumps, len, iter, int, memoryview])
@every_value
def test_fails_or_not_as_the_value_does(value: Any, call: Callable[[Any], Any]) -> None:
    def outcome(argument: Any) -> tuple[type, str]:
        try:
            return type(call(argument)), ""
        except (TypeError, ValueError, AttributeError) as error:
            return type(error), str(error)

    assert outcome(of(value)) == outcome(value)


def test_an_in_place_operator_keeps_the_name_and_changes_the_value() -> None:
    value = Money(1)
    x = alias = of(value)
    x += of(Money(2))
    assert x is alias and value.amount == 3


def test_an_in_place_operator_without_a_method_makes_a_new_object() -> None:
    value = sp.csr_matrix(np.eye(2))
    x = of(value)
    x += value
    assert not is_stand_in(x) and value[0, 0] == 1.0 and x[0, 0] == 2.0


def test_special_methods_of_a_plain_class_are_its_own() -> None:
    x = of(Money(2))
    assert x == Money(2) and Money(2) == x and x == of(Money(2)) and x != Money(3)
    assert (x + of(Money(1))).amount == 3
    assert x(3) == 6 and inspect.signature(x) == inspect.signature(Money(2))
    assert type(x)(5).amount == 5
    with x as entered:
        assert entered.amount == 2
    assert x.amount == 0


def test_a_class_without_a_hash_has_none_in_its_stand_in() -> None:
    with pytest.raises(TypeError, match="unhashable type: 'Money'"):
        hash(of(Money()))


def test_a_special_method_that_a_class_rules_out_is_ruled_out_in_its_stand_in() -> None:
    class NotIterable:
        __iter__ = None

        def __getitem__(self, index: int) -> int:
            return [1, 2][index]

    with pytest.raises(TypeError, match="'NotIterable' object is not iterable"):
        list(of(NotIterable()))


def test_attributes_are_set_and_deleted_on_the_value() -> None:
    value = Plain()
    x = of(value)
    x.name = of(value)
    assert value.name is value
    del x.name
    assert not hasattr(value, "name")


def test_equality_and_hash_without_methods_are_those_of_the_value_itself() -> None:
    value = Plain()
    assert of(value) == value and value == of(value) and of(value) == of(value) and of(value) != Plain()
    assert {value: 1}[of(value)] == 1


def test_numpy_asks_another_librarys_array_with_the_values() -> None:
    assert np.concatenate([of(Duck()), Duck()]) == [Duck, Duck]


def test_logging_formats_the_value(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(__name__).warning("%s", of(frame()))
    assert caplog.messages == [str(frame())]


def test_a_load_that_raises_is_tried_again_by_the_next_touch() -> None:
    outcomes: list[Any] = [OSError("the store is away"), frame()]

    def load() -> object:
        outcome = outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    x: Any = stand_in(load, pd.DataFrame, None)
    with pytest.raises(OSError, match="the store is away"):
        len(x)
    assert not is_touched(x)
    assert len(x) == 3 and x.shape == (3, 2)
    assert is_touched(x) and not outcomes


def test_threads_that_touch_at_once_load_once() -> None:
    barrier = threading.Barrier(8)
    entered, go_on = threading.Event(), threading.Event()
    loads: list[Plain] = []

    def load() -> Plain:
        entered.set()
        go_on.wait()
        loads.append(Plain())
        return loads[-1]

    x = stand_in(load, Plain, None)
    found: list[Any] = []

    def touch() -> None:
        barrier.wait()
        found.append(plain(x))

    threads = [threading.Thread(target=touch) for _ in range(8)]
    for thread in threads:
        thread.start()
    entered.wait()
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and all(value is loads[0] for value in found)


def test_what_the_load_held_is_let_go_and_the_value_dies_with_the_stand_in() -> None:
    class Source:
        value = Plain()

    source = Source()
    x = stand_in(lambda held=source: Plain(), Plain, None)  # type: ignore[misc]
    held = weakref.ref(source)
    del source
    value = weakref.ref(plain(x))
    gc.disable()
    try:
        assert held() is None and value() is not None
        del x
        assert value() is None
    finally:
        gc.enable()


def test_a_load_that_touches_its_own_stand_in_fails_and_does_not_hang() -> None:
    x: Any = stand_in(lambda: x.shape, pd.DataFrame, None)
    with pytest.raises(RecursionError):
        len(x)


def test_stand_ins_are_made_by_stand_in_only() -> None:
    with pytest.raises(TypeError, match="stand_in"):
        StandIn()
