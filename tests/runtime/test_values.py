from __future__ import annotations

import collections
import dataclasses
import enum
import io
import pickle
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import prefect
import pyarrow as pa
import pydantic
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from prefect.states import Completed
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.standin import is_touched, stand_in
from prefect_helix.runtime.values import LeafRef, approximate_size, find_type, join, name_of_type, split, stands_in_for


class Part:
    pass


class Child(Part):
    __slots__ = ("name",)


@dataclasses.dataclass
class Row:
    a: int = 0


class Model(pydantic.BaseModel):
    a: int = 0


class Colour(enum.Enum):
    RED = 1


class Table(dict[str, int]):
    pass


class View(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Source:
    def read(self) -> bytes:
        return b""


class Stream:
    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> int:
        raise StopIteration


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame(),
        pd.Series([1]),
        sp.csr_matrix((1, 1)),
        sp.coo_array((1, 1)),
        LogisticRegression(),
        Pipeline([("model", LogisticRegression())]),
        Part(),
        Child(),
    ],
    ids=name_of_type,
)
def test_safe_types_are_stood_in_for(value: object) -> None:
    assert stands_in_for(value)


@pytest.mark.parametrize(
    "value",
    [
        *(None, 1, 1.5, "text", b"bytes", (), [], {}, set(), object(), Ellipsis),
        *(Row(), Model(), Colour.RED, Table(), View(), Pair(1, 2), Bunch(), ValueError(), collections.OrderedDict()),
        *(Part, type, len, types.ModuleType("m"), lambda: None, Source.read, iter([]), (i for i in ()), Stream()),
        *(io.BytesIO(), Source(), memoryview(b"")),
        *(np.zeros(3), np.float64(1), np.ma.zeros(3), pd.Index([1]), pd.Categorical(["a"]), pd.Timestamp(0)),
        *(sp.dok_matrix((1, 1)), pa.table({}), pa.array([1])),
        *(Completed(), prefect.unmapped(1), prefect.task(lambda: 1)),
        stand_in(Part, Part, None),
    ],
    ids=name_of_type,
)
def test_other_types_are_not(value: object) -> None:
    assert not stands_in_for(value)


def large(value: object) -> bool:
    return isinstance(value, Part)


def test_a_large_value_is_itself_the_leaf() -> None:
    part = Part()
    assert split(part, large) == (LeafRef(0), (part,))


@pytest.mark.parametrize("value", [1, "text", (1, [2], {"a": 3}), pd.DataFrame(), None])
def test_a_value_without_large_parts_is_its_own_skeleton(value: object) -> None:
    skeleton, leaves = split(value, large)
    assert skeleton is value and leaves == ()
    assert join(skeleton, leaves) is value


def test_large_parts_are_taken_out_of_nested_containers_and_put_back() -> None:
    a, b = Part(), Part()
    untouched = [1, 2]
    value = (a, {"x": [b, 3], "y": untouched}, a)
    skeleton, leaves = split(value, large)
    assert skeleton == (LeafRef(0), {"x": [LeafRef(1), 3], "y": untouched}, LeafRef(0))
    assert leaves == (a, b)
    assert skeleton[1]["y"] is untouched  # type: ignore[index]
    assert value == (a, {"x": [b, 3], "y": untouched}, a)
    joined: Any = join(skeleton, leaves)
    assert joined == value
    assert joined[1]["y"] is untouched


def test_the_order_of_a_dict_is_kept() -> None:
    value = {"b": Part(), "a": 1, "c": Part()}
    assert list(join(*split(value, large))) == ["b", "a", "c"]  # type: ignore[call-overload]


def test_only_exact_containers_are_opened() -> None:
    value = [Pair(Part(), 1), Table(a=1), Row(Part())]  # type: ignore[arg-type]
    assert split(value, large) == (value, ())


def test_a_container_that_occurs_twice_is_left_whole() -> None:
    shared, free = [Part()], Part()
    value = [shared, shared, free]
    skeleton, leaves = split(value, large)
    assert leaves == (free,)
    joined: Any = join(skeleton, leaves)
    assert joined[0] is joined[1] is shared


def test_a_part_that_must_stay_in_one_place_stays_in_all() -> None:
    part = Part()
    shared = [part]
    value = [shared, shared, part]
    assert split(value, large) == (value, ())


def test_a_key_of_a_dict_stays_and_so_does_the_same_object_elsewhere() -> None:
    part = Part()
    value = [{(part,): 1}, part]
    assert split(value, large) == (value, ())


def test_a_cyclic_container_is_left_whole() -> None:
    value: list[Any] = [Part()]
    value.append(value)
    skeleton, leaves = split(value, large)
    assert skeleton is value and leaves == ()
    assert join(skeleton, leaves) is value


def test_a_cycle_beside_a_leaf_survives_the_round_trip_through_pickle() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    skeleton, leaves = split([Part(), cycle], large)
    joined: Any = join(pickle.loads(pickle.dumps(skeleton)), leaves)
    assert joined[0] is leaves[0] and joined[1][0] is joined[1]


def test_what_lies_deep_stays_and_deep_nesting_is_no_error() -> None:
    part = Part()
    value: Any = part
    for _ in range(100_000):
        value = [value]
    skeleton, leaves = split([value, part], large)
    assert leaves == () and join(skeleton, leaves) is skeleton
    while type(value) is list:
        value = value.pop()  # taken apart here: to free it at once would nest as deep


PARTS = [Part() for _ in range(3)]
nested = st.recursive(
    st.sampled_from([*PARTS, 1, "a", None]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), inner)
        | inner.map(lambda part: [part, part])
    ),
    max_leaves=20,
)


@given(nested)
def test_join_is_the_inverse_of_split(value: object) -> None:
    skeleton, leaves = split(value, large)
    joined = join(skeleton, leaves)
    assert joined == value
    assert len(set(map(id, leaves))) == len(leaves)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (b"12345", 5),
        ("text", 4),
        (np.zeros((10, 10)), 800),
        (pd.Series(np.zeros(100), index=range(100)), 932),
        (sp.csr_matrix(np.eye(10)), 10 * 8 + 10 * 4 + 11 * 4),
        (sp.coo_array(np.eye(10)), 10 * 8 + 2 * 10 * 4),
        (np.array([None]), None),
        (pd.DataFrame({"a": pd.Series([[1], "a"], dtype=object)}), None),
        (sp.dok_matrix((2, 2)), None),
        (sp.lil_matrix((2, 2)), None),
        (Part(), None),
        ([1, 2], None),
        (7, None),
    ],
)
def test_sizes_are_told_where_that_is_cheap(value: object, size: int | None) -> None:
    assert approximate_size(value) == size


def test_the_size_of_a_frame_counts_every_column_and_the_text_in_it() -> None:
    small = approximate_size(pd.DataFrame({"a": np.zeros(100)}))
    with_text = approximate_size(pd.DataFrame({"a": np.zeros(100), "b": ["a long text"] * 100}))
    assert small is not None and with_text is not None
    assert small >= 800 and with_text >= small + 1100


@pytest.mark.parametrize("cls", [pd.DataFrame, sp.csr_matrix, LogisticRegression, collections.OrderedDict, int])
def test_a_class_is_found_by_its_name(cls: type) -> None:
    assert find_type(name_of_type(cls)) is cls


def test_a_value_is_named_by_its_class_and_a_stand_in_by_what_it_stands_for() -> None:
    x = stand_in(pd.DataFrame, pd.DataFrame, None)
    assert name_of_type(x) == name_of_type(pd.DataFrame()) == "pandas:DataFrame"
    assert not is_touched(x)


@pytest.mark.parametrize(
    "name",
    ["no_such_module:Class", "collections:NoSuchClass", "collections:namedtuple", "m:f.<locals>.C", "collections"],
)
def test_a_class_that_cannot_be_found_is_none(name: str) -> None:
    assert find_type(name) is None


def test_a_module_that_fails_otherwise_than_by_import_is_not_hidden(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_by_design.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        find_type("broken_by_design:Class")


@pytest.mark.parametrize("text", ["class Order", "1 / 0", "raise SystemExit(2)", "import no_such_module"])
def test_the_code_of_a_module_that_cannot_be_imported_has_changed(
    text: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_edited.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert ValueCode().changed(["half_edited:Order 0123"]) == "Order"
