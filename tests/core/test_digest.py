from __future__ import annotations

import copy
import enum
import functools
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from pydantic import BaseModel
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from prefect_helix.core import digest as digest_module
from prefect_helix.core.digest import _Branch, digest, hash_parts, outline, register_digest
from prefect_helix.core.digest_writer import Writer
from prefect_helix.core.errors import UndigestibleError


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 2


class Paint(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: object
    y: object = 0


@dataclass
class Spot:
    x: object
    y: object = 0


@dataclass(frozen=True, slots=True)
class Slotted:
    x: int


@dataclass
class Reopened:
    path: str

    def __getstate__(self) -> object:
        return self.path

    def __setstate__(self, state: str) -> None:
        self.path = state


class Model(BaseModel):
    x: int = 1
    tags: dict[str, object] = {}


class Plain:
    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)

    def method(self) -> None: ...


class Holder(list[object]):
    pass


class Bag(set[object]):
    pass


Pair = namedtuple("Pair", "a b")
Couple = namedtuple("Couple", "a b")


def make_function(constant: int, captured: int) -> Any:
    namespace: dict[str, Any] = {}
    exec(f"def outer(n):\n def f(x): return x + n + {constant}\n return f", namespace)
    return namespace["outer"](captured)


def with_nan_payload(payload: int) -> float:
    return float(np.array([0x7FF8000000000000 + payload], dtype="u8").view("f8")[0])


def padded(filler: int) -> np.ndarray:
    """Two aligned records whose padding bytes are `filler`."""
    array = np.full(32, filler, dtype="u1").view(np.dtype([("a", "i1"), ("b", "f8")], align=True))
    array["a"], array["b"] = 1, 2.0
    return array


def long_double(filler: int) -> np.ndarray:
    """One and a half; where a long double has six bytes that do not count, these are `filler`."""
    array = np.full(16, filler, dtype="u1").view("g")
    array[:] = 1.5
    if np.finfo("g").nmant == 63:
        array.view("u1")[10:] = filler
    return array


def split_frame() -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    frame["b"] = [3.0, 4.0]
    return frame


def over_nulls(under: str) -> pa.Array:
    """["a", null, "c"] with some text lying under the null."""
    text = f"a{under}c".encode()
    offsets = np.array([0, 1, 1 + len(under), len(text)], dtype="i4")
    return pa.Array.from_buffers(
        pa.string(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(offsets), pa.py_buffer(text)], null_count=1
    )


def indexed(values: object, **labels: object) -> pd.Series:
    return pd.Series(values, **labels)


def with_attrs(frame: pd.DataFrame, **attrs: object) -> pd.DataFrame:
    frame.attrs.update(attrs)
    return frame


def linked(*values: object) -> list[Any]:
    """A ring of cells, each a list of its value and the next cell."""
    cells: list[Any] = [[value] for value in values]
    for cell, following in zip(cells, cells[1:] + cells[:1], strict=True):
        cell.append(following)
    return cells[0]


def linked_set(*values: object) -> Plain:
    """An object with a set of objects that know it."""
    root = Plain()
    root.members = {Plain(value=value, root=root) for value in values}  # type: ignore[attr-defined]
    return root


GRID = np.arange(12.0).reshape(3, 4)
SHARED = [1, 2]
EYE = np.eye(3)
MASKED = np.ma.array([1, 2], mask=[0, 1])
FRAME = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
ARROW = pa.array(["a", None, "ccc", "", "e"])

EQUAL = {
    "one object twice is as two equal ones": ([SHARED, SHARED], [[1, 2], [1, 2]]),
    "interned and built strings": ("word", "".join(["w", "ord"])),
    "sets have no order": ({1, 2, 3}, {3, 2, 1}),
    "frozensets have no order": (frozenset("abc"), frozenset("cba")),
    "set subclasses have no order": (Bag(["x", "y", "z"]), Bag(["z", "y", "x"])),
    "a NaN equals itself by bits": (float("nan"), with_nan_payload(0)),
    "sets of tuples": ({(1, "a"), (2, "b")}, {(2, "b"), (1, "a")}),
    "a list of one ring": (linked(1, 2), linked(1, 2)),
    "a ring unrolled twice": (linked(1, 2), linked(1, 2, 1, 2)),
    "a set inside a cycle has no order": (linked_set(1, 2, 3), linked_set(3, 1, 2)),
    "strings by code points, also surrogates": ("\ud800", "\ud800"),
    "the owner of the memory does not count": (GRID[1], GRID[1].copy()),
    "writeable or not": (np.broadcast_to(1.0, (1,)), np.ones(1)),
    "strides of axes of length one": (
        as_strided(GRID, shape=(3, 1), strides=(16, 8)),
        as_strided(GRID, shape=(3, 1), strides=(16, 24)),
    ),
    "padding between fields": (padded(0), padded(255)),
    "padding in a long double": (long_double(0), long_double(255)),
    "a masked array's default fill value": (MASKED, pickle.loads(pickle.dumps(MASKED))),
    "arrow chunks": (pa.chunked_array([["a", None], ["ccc", "", "e"]]), pa.chunked_array([ARROW])),
    "arrow chunks of nothing": (pa.chunked_array([[1.5], [], [2.5]]), pa.chunked_array([[1.5], [2.5]])),
    "arrow offsets": (pa.array(["x", "a", None, "ccc", "", "e"])[1:], ARROW),
    "arrow offsets of bits": (pa.array([True, False, None, True])[1:], pa.array([False, None, True])),
    "arrow offsets of numbers": (pa.array([0, 1, 2])[1:], pa.array([1, 2])),
    "arrow offsets of numbers and nulls": (pa.array([0, 1, None])[1:], pa.array([1, None])),
    "bits under arrow's nulls": (over_nulls(""), over_nulls("garbage")),
    "a text column, sliced": (
        pd.Series(["x", "a", None], dtype="str")[1:].reset_index(drop=True),
        pd.Series(["a", None], dtype="str"),
    ),
    "a decimal under another context": (Decimal("1E+3"), Decimal("1e+3")),
}

DIFFERENT = {
    "int and bool": (1, True),
    "int and float": (1, 1.0),
    "int and str": (1, "1"),
    "str and bytes": ("1", b"1"),
    "bytes and bytearray": (b"1", bytearray(b"1")),
    "bytes and memoryview": (b"1", memoryview(b"1")),
    "shape of a memoryview": (memoryview(np.zeros((2, 3))), memoryview(np.zeros((3, 2)))),
    "float and complex": (1.0, 1 + 0j),
    "signed zeros": (0.0, -0.0),
    "signed zeros in a run of floats": ([0.0, 1.0], [-0.0, 1.0]),
    "NaNs of other bits": (float("nan"), with_nan_payload(1)),
    "None and zero": (None, 0),
    "None and Ellipsis": (None, ...),
    "integers by sign": (128, -128),
    "integers by a byte": (255, -1),
    "integers beyond 64 bits": (2**64, 2**64 + 1),
    "integers that need a hash": (2**6000, 2**6000 + 1),
    "long strings": ("a" * 100, "a" * 99 + "b"),
    "a long string and its own hash's length": ("a" * 64, "a" * 65),
    "strings past a slice": ("a" * (1 << 21), "a" * (1 << 21) + "b"),
    "a pair of surrogates and the character": ("\ud800\udc00", "\U00010000"),
    "surrogates in a run of strings": (["\ud800", "a"], ["?", "a"]),
    "list and tuple": ([1, 2], (1, 2)),
    "order of a list": ([1, 2], [2, 1]),
    "nesting": ([[1], 2], [[1, 2]]),
    "where strings are cut": (["ab", "c"], ["a", "bc"]),
    "where lists are cut": ([[1], [2, 3]], [[1, 2], [3]]),
    "where rows are cut": ([(1,), (2,)], [(1, 2)]),
    "rows and columns": ([(1, 2), (3, 4)], [(1, 3), (2, 4)]),
    "rows as lists": ([(1, 2), (3, 4)], [[1, 2], [3, 4]]),
    "how many empty rows": ([()] * 2, [()] * 3),
    "how many Nones": ([None] * 2, [None] * 3),
    "a run of bools and of integers": ([True, False], [1, 0]),
    "past one chunk": ([*range(5000)], [*range(4999), 0]),
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "key and value": ({"a": "b"}, {"b": "a"}),
    "set and frozenset": ({1}, frozenset({1})),
    "set and list": ({1}, [1]),
    "dict and OrderedDict": ({"a": 1}, OrderedDict(a=1)),
    "dict and Counter": ({"a": 1}, Counter(a=1)),
    "dict and defaultdict": ({"a": 1}, defaultdict(int, a=1)),
    "default factories": (defaultdict(int), defaultdict(list)),
    "deque and list": (deque([1]), [1]),
    "length of a deque": (deque([1]), deque([1], maxlen=3)),
    "ranges": (range(3), range(0, 6, 2)),
    "slices": (slice(1), slice(None, 1, 1)),
    "tuple and namedtuple": ((1, 2), Pair(1, 2)),
    "namedtuples by name": (Pair(1, 2), Couple(1, 2)),
    "list and its subclass": ([1], Holder([1])),
    "decimals by precision": (Decimal("1.0"), Decimal("1.00")),
    "fractions": (Fraction(1, 23), Fraction(12, 3)),
    "UUIDs": (UUID(int=1), UUID(int=2)),
    "date and datetime": (date(2020, 1, 1), datetime(2020, 1, 1)),
    "fold": (datetime(2020, 1, 1, fold=0), datetime(2020, 1, 1, fold=1)),
    "naive and aware": (datetime(2020, 1, 1), datetime(2020, 1, 1, tzinfo=timezone.utc)),
    "time zones": (datetime(2020, 1, 1, tzinfo=timezone.utc), datetime(2020, 1, 1, tzinfo=ZoneInfo("UTC"))),
    "names of time zones": (timezone(timedelta(0), "A"), timezone(timedelta(0), "B")),
    "times": (time(1), time(1, 0, 1)),
    "timedeltas": (timedelta(days=1), timedelta(seconds=1)),
    "paths of other systems": (PurePosixPath("a"), PureWindowsPath("a")),
    "path and string": (PurePosixPath("a"), "a"),
    "enum members": (Colour.RED, Colour.CRIMSON),
    "enum classes": (Colour.RED, Paint.RED),
    "dataclasses by class": (Point(1), Spot(1)),
    "dataclasses by field": (Point(1, 2), Point(2, 1)),
    "pydantic models": (Model(x=1), Model(x=2)),
    "flags of a pattern": (re.compile("a"), re.compile("a", re.I)),
    "classes": (Point, Spot),
    "bytecode": (make_function(1, 1), make_function(2, 1)),
    "closures": (make_function(1, 1), make_function(1, 2)),
    "partials": (functools.partial(int, base=2), functools.partial(int, base=3)),
    "objects by attribute": (Plain(a=1), Plain(a=2)),
    "bound methods by object": (Plain(a=1).method, Plain(a=2).method),
    "rings by value": (linked(1, 2), linked(2, 1)),
    "rings by shape": (linked(1, 2), linked(1, 2, 2)),
    "sets inside a cycle": (linked_set(1, 2), linked_set(1, 3)),
    "dtype": (np.zeros(2, "i4"), np.zeros(2, "f4")),
    "byte order": (np.zeros(2, "<i4"), np.zeros(2, ">i4")),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "shape of nothing": (np.zeros((0, 3)), np.zeros((0, 2))),
    "C and Fortran order": (GRID, np.asfortranarray(GRID)),
    "strided and contiguous": (GRID[:, ::2], GRID[:, ::2].copy()),
    "reversed": (np.arange(3)[::-1], np.arange(3)[::-1].copy()),
    "content of strided arrays": (GRID[:, ::2], GRID[:, 1::2]),
    "array and list": (np.array([1, 2]), [1, 2]),
    "array and scalar": (np.array(1.0), np.float64(1.0)),
    "numpy's and Python's float": (np.float64(1.0), 1.0),
    "numpy's and Python's str": (np.str_("a"), "a"),
    "array and matrix": (np.zeros((1, 1)), np.matrix([[0.0]])),
    "names of fields": (np.zeros(1, [("a", "i4")]), np.zeros(1, [("b", "i4")])),
    "alignment": (
        np.dtype([("a", "i1"), ("b", "f8")]),
        np.dtype([("a", "i1"), ("b", "f8")], align=True),
    ),
    "elements of object arrays": (np.array([1, "a"], object), np.array([True, "a"], object)),
    "units of time": (np.array(["2020"], "M8[s]"), np.array(["2020"], "M8[ms]")),
    "whether strings may be missing": (
        np.array(["a"], np.dtypes.StringDType()),
        np.array(["a"], np.dtypes.StringDType(na_object=None)),
    ),
    "types of strings that may be missing": (np.dtypes.StringDType(), np.dtypes.StringDType(na_object=None)),
    "data under a mask": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 3], mask=[0, 1])),
    "masks": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
    "random states": (np.random.default_rng(1), np.random.default_rng(2)),
    "sparse formats": (sparse.csr_array(EYE), sparse.csc_array(EYE)),
    "sparse array and matrix": (sparse.csr_array(EYE), sparse.csr_matrix(EYE)),
    "sparse shapes": (sparse.coo_array((2, 3)), sparse.coo_array((3, 2))),
    "explicit zeros": (sparse.csr_array([[0.0]]), sparse.csr_array(([0.0], ([0], [0])), shape=(1, 1))),
    "names of columns": (FRAME, FRAME.rename(columns={"a": "c"})),
    "order of columns": (FRAME, FRAME[["b", "a"]]),
    "index": (FRAME, FRAME.set_axis([1, 2])),
    "range index and integers": (indexed([1], index=pd.RangeIndex(1)), indexed([1], index=pd.Index([0]))),
    "name of the index": (FRAME, FRAME.rename_axis("i")),
    "dtypes of columns": (FRAME, FRAME.astype("float64")),
    "block layout": (split_frame(), split_frame().copy()),
    "memory order of a block": (
        pd.DataFrame(GRID, copy=False),
        pd.DataFrame(np.asfortranarray(GRID), copy=False),
    ),
    "attrs": (FRAME, with_attrs(FRAME.copy(), unit="m")),
    "frame and series": (FRAME[["a"]], FRAME["a"]),
    "name of a series": (indexed([1], name="a"), indexed([1], name="b")),
    "categories that nothing uses": (pd.Categorical(["a"], ["a", "b"]), pd.Categorical(["a"], ["a"])),
    "ordered categories": (pd.Categorical(["a"]), pd.Categorical(["a"], ordered=True)),
    "levels of a multi-index": (
        pd.MultiIndex.from_tuples([(1, 2)], names=["a", "b"]),
        pd.MultiIndex.from_tuples([(1, 2)], names=["b", "a"]),
    ),
    "frequency": (pd.date_range("2020", periods=2, freq="D"), pd.DatetimeIndex(["2020-01-01", "2020-01-02"])),
    "holidays of an offset": (
        pd.offsets.CustomBusinessDay(holidays=["2020-01-01"]),
        pd.offsets.CustomBusinessDay(holidays=["2020-01-02"]),
    ),
    "nullable integers": (pd.array([1, None], dtype="Int64"), pd.array([1, 0], dtype="Int64")),
    "text as objects": (indexed(["a"], dtype="string"), indexed(["a"], dtype="object")),
    "missing text": (indexed(["a", None], dtype="str"), indexed(["a", ""], dtype="str")),
    "text cut elsewhere": (indexed(["ab", "c"], dtype="str"), indexed(["a", "bc"], dtype="str")),
    "where the text is missing": (indexed([None, "a"], dtype="str"), indexed(["a", None], dtype="str")),
    "Arrow's and NumPy's numbers": (indexed([1], dtype="int64[pyarrow]"), indexed([1], dtype="int64")),
    "sparse fill values": (pd.arrays.SparseArray([0, 1]), pd.arrays.SparseArray([0, 1], fill_value=1)),
    "length of a sparse array": (pd.arrays.SparseArray([0, 1]), pd.arrays.SparseArray([0, 1, 0])),
    "timestamps by zone": (pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC")),
    "units of a timestamp": (pd.Timestamp("2020").as_unit("s"), pd.Timestamp("2020").as_unit("ns")),
    "closed sides": (pd.Interval(0, 1), pd.Interval(0, 1, closed="left")),
    "NA and NaT": (pd.NA, pd.NaT),
    "Arrow types": (pa.array([1], pa.int32()), pa.array([1], pa.int64())),
    "Arrow chunks of numbers": (pa.chunked_array([[1.5, 2.5], [3.5]]), pa.chunked_array([[1.5], [2.5, 3.5]])),
    "Arrow chunks of a column": (
        pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([[1], [2]]))),
        pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([[1, 2]]))),
    ),
    "Arrow lists": (pa.array([[1], [2, 3]]), pa.array([[1, 2], [3]])),
    "Arrow dictionaries": (pa.array(["a", "b"]).dictionary_encode(), pa.array(["a", "c"]).dictionary_encode()),
    "Arrow bits": (pa.array([True, False]), pa.array([False, True])),
    "Arrow nulls and zeros": (pa.array([0, None]), pa.array([None, 0])),
    "Arrow table and batch": (pa.table({"a": [1]}), pa.record_batch({"a": [1]})),
    "Arrow metadata": (pa.table({"a": [1]}), pa.table({"a": [1]}).replace_schema_metadata({"k": "v"})),
    "Arrow scalars": (pa.scalar("a"), pa.scalar("b")),
    "fitted and not": (LogisticRegression(), LogisticRegression().fit([[0.0], [1.0]], [0, 1])),
}

EXACT = {
    "nothing": None,
    "numbers": [1, 2.0, 3j, True, Decimal(1), Fraction(1, 2)],
    "nested containers": {"a": [(1, {2}), frozenset({"x"})], "b": deque([range(3), slice(1)])},
    "defaultdict of a builtin": defaultdict(list, a=[1]),
    "time": [datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Rome")), date(2020, 1, 1), timedelta(1)],
    "enum": Colour.RED,
    "dataclass": Point([1], 2),
    "slotted dataclass": Slotted(1),
    "model": Model(x=2, tags={"a": {1}}),
    "namedtuple": Pair(1, 2),
    "pattern": re.compile("a"),
    "partial of a builtin": functools.partial(int, base=2),
    "cycle": linked(1, 2),
    "array": GRID,
    "object array": np.array([1, None], object),
    "sparse": sparse.csr_array(EYE),
    "frame": pd.DataFrame(
        {
            "number": [1, 2],
            "text": ["a", None],
            "object": [(1,), "x"],
            "time": pd.to_datetime(["2020", "2021"]).tz_localize("Europe/Rome"),
            "category": pd.Categorical(["a", "b"]),
            "nullable": pd.array([1, None], dtype="Int64"),
            "period": pd.period_range("2020", periods=2, freq="M"),
            "interval": pd.interval_range(0, 2),
            "arrow": pd.array([1, 2], dtype="int64[pyarrow]"),
            "sparse": pd.arrays.SparseArray([0, 1]),
        },
        index=pd.date_range("2020", periods=2, freq="MS"),
    ),
    "table": pa.table({"a": [1, None], "b": [["x"], []]}),
}

WITNESS = {
    "object": Plain(a=1),
    "object deep inside": {"a": [1, (Plain(a=1),)]},
    "object in a cycle": linked(Plain(a=1)),
    "class": Point,
    "function": make_function(1, 1),
    "bound method": Plain().method,
    "partial of a function": functools.partial(make_function, 1),
    "dataclass with a state of its own": Reopened("data.csv"),
    "list subclass": Holder([1]),
    "estimator": LogisticRegression(),
    "random generator": np.random.default_rng(1),
    "object in an object array": np.array([Plain(a=1)], object),
    "object in a frame": pd.DataFrame({"a": [Plain(a=1)]}),
    "frame subclass": types.new_class("GeoFrame", (pd.DataFrame,))(FRAME),
}

ROUND_TRIPS = {
    name: value for name, value in {**EXACT, **WITNESS}.items() if name not in ("function", "frame subclass")
}


@pytest.mark.parametrize(("left", "right"), EQUAL.values(), ids=EQUAL.keys())
def test_what_does_not_count(left: object, right: object) -> None:
    assert digest(left) == digest(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_counts(left: object, right: object) -> None:
    assert digest(left).hex != digest(right).hex
    assert digest([left]).hex != digest([right]).hex


@pytest.mark.parametrize("value", EXACT.values(), ids=EXACT.keys())
def test_exact_types(value: object) -> None:
    assert digest(value).exact


@pytest.mark.parametrize("value", WITNESS.values(), ids=WITNESS.keys())
def test_other_objects_are_witnesses(value: object) -> None:
    assert not digest(value).exact


@pytest.mark.parametrize("value", ROUND_TRIPS.values(), ids=ROUND_TRIPS.keys())
def test_copies_and_pickles_have_the_digest_of_the_original(value: object) -> None:
    before = digest(value)
    assert digest(copy.deepcopy(value)) == before
    assert digest(pickle.loads(pickle.dumps(value))) == before


def leaves() -> st.SearchStrategy[object]:
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.complex_numbers(),
        st.text(st.characters()),
        st.binary(),
        st.decimals(),
        st.fractions(),
        st.datetimes(),
        st.timedeltas(),
        st.builds(np.array, st.lists(st.floats())),
    )


def nested() -> st.SearchStrategy[object]:
    keys = st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text()))
    return st.recursive(
        leaves(),
        lambda parts: st.one_of(
            st.lists(parts),
            st.lists(st.tuples(parts, parts)),
            st.lists(parts).map(tuple),
            st.dictionaries(keys, parts),
            st.sets(keys),
            st.builds(Point, parts, parts),
            parts.map(lambda part: [part, part]),
        ),
        max_leaves=30,
    )


@given(nested())
def test_any_nested_value_has_the_digest_of_its_copies(value: object) -> None:
    before = digest(value)
    assert before.exact
    assert digest(copy.deepcopy(value)) == before
    assert digest(pickle.loads(pickle.dumps(value))) == before


def plain(value: Any) -> object:
    """A form of plain nested data in which == sees what a digest must see."""
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(part) for part in value]
    if isinstance(value, dict):
        return "dict", [(plain(key), plain(part)) for key, part in value.items()]
    return type(value).__name__, repr(value)


PLAIN = st.recursive(
    st.one_of(st.integers(-1, 1), st.booleans(), st.sampled_from([0.0, -0.0, 1.0]), st.sampled_from(["", "a", "ab"])),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3),
        st.lists(parts, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["", "a", "b"]), parts, max_size=2),
    ),
    max_leaves=6,
)


@given(PLAIN, PLAIN)
def test_digests_are_equal_just_where_values_are(left: object, right: object) -> None:
    assert (digest(left) == digest(right)) == (plain(left) == plain(right))


GOLDEN = {
    "none": (None, "c12cb0e9765a36111eaea34330fcad15"),
    "int": (1, "278bca283872f3a7471b4ad6b7afc998"),
    "str": ("häll\ud800o", "e9713c1dc37ad42943a34f6c36979918"),
    "floats": ([0.0, -0.0, 1.5], "e776f0ae5dfcb5c67b033979ba7d1a6a"),
    "mixed": ([1, "a", None, (2.0, b"x")], "7a23d984f61b00e230dca653f9e25164"),
    "rows": ([(1, "a"), (2, "b")], "c1beec92fec712694c16da8af586e3ca"),
    "dict": ({"a": 1, "b": [True, None]}, "e10ead0824f9b9f30b84cf3a6a0b7514"),
    "set": ({"a", "b", 1}, "bc1cdf1c208cb358f0f3dea57e0e69d6"),
    "ring": (linked(1, 2), "ab3edc8186ae79718c21cc822894fe93"),
    "datetime": (datetime(2020, 1, 2, 3, 4, 5, 6, timezone.utc), "0238eb9f251931a0c9d1140e363d1a73"),
    "enum": (SafeUUID.safe, "a9a396c1b9392e997ce7e4accdc9bef8"),
    "array": (np.arange(6, dtype="<i4").reshape(2, 3), "0cce363ee724211bf94415323e2ad6ec"),
    "long": (np.arange(1 << 14, dtype="<i4"), "c7c513bbbb942f56f670ed4287001e25"),
    "fortran": (np.asfortranarray(np.arange(6, dtype="<i4").reshape(2, 3)), "d23ce0168753adf522ea0145f7fb928e"),
    "sparse": (sparse.csr_array(np.eye(2)), "4425a92df608bfbee9de030891db6b20"),
    "arrow": (pa.array(["a", None, "ccc"]), "48f44b792c88c555e9a3255618dbae72"),
    "frame": (pd.DataFrame(np.arange(4, dtype="<f8").reshape(2, 2), copy=False), "356e24759bddb8967eb34a4f69e52a0a"),
}


@pytest.mark.parametrize(("value", "expected"), GOLDEN.values(), ids=GOLDEN.keys())
def test_digests_never_change(value: object, expected: str) -> None:
    assert digest(value).hex == expected


def test_hashes_of_parts_never_change() -> None:
    assert hash_parts("node", "a", b"b") == "98de40f65efba6bc6f9d12fe6c86a662"


def test_hashes_of_parts_tell_apart_tags_cuts_and_kinds() -> None:
    hashes = [
        hash_parts("node", "ab", "c"),
        hash_parts("node", "a", "bc"),
        hash_parts("node", "abc"),
        hash_parts("node", b"abc"),
        hash_parts("edge", "abc"),
        hash_parts("node", "abc", ""),
        hash_parts("node"),
    ]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in hashes)


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None: ...


LOCK = threading.Lock()
SOCKET = socket.socket()
SOCKET.close()
STREAM = open(os.devnull)  # noqa: PTH123, SIM115
STREAM.close()

REFUSED = {
    "the value itself": (LOCK, "_thread.lock", ""),
    "in a list": ([1, [2, LOCK]], "_thread.lock", "[1][1]"),
    "in a row": ([(1, 2), (3, LOCK)], "_thread.lock", "[1][1]"),
    "in a long list": ([*range(5000), LOCK], "_thread.lock", "[5000]"),
    "in a dict": ({"a": {"b": LOCK}}, "_thread.lock", "['a']['b']"),
    "as a key": ({LOCK: 1}, "_thread.lock", ".keys()[0]"),
    "in a set": ({LOCK}, "_thread.lock", "{...}"),
    "in an object": ([Plain(inner=Plain(lock=LOCK))], "_thread.lock", "[0].inner.lock"),
    "in a dataclass": (Point(1, LOCK), "_thread.lock", ".y"),
    "in a namedtuple": (Pair(1, LOCK), "_thread.lock", ".b"),
    "in a ring": (linked(1, 2, LOCK), "_thread.lock", "[1][1][0]"),
    "in an object array": (np.array([1, LOCK], object), "_thread.lock", ".flat[1]"),
    "in a column": (pd.DataFrame({"a": [1], "b": [LOCK]}), "_thread.lock", "['b'].flat[0]"),
    "behind a bound method": (Plain(lock=LOCK).method, "_thread.lock", ".__reduce__()[1][0].lock"),
    "a generator": ({"a": generator()}, "generator", "['a']"),
    "an open file": ([STREAM], "_io.TextIOWrapper", "[0]"),
    "a socket": ([SOCKET], "socket.socket", "[0]"),
    "a module": ([sys], "module", "[0]"),
    "an event": (threading.Event(), "_thread.lock", "._cond._lock"),
}


@pytest.mark.parametrize(("value", "name", "path"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_content_is_refused_with_its_place(value: object, name: str, path: str) -> None:
    with pytest.raises(UndigestibleError) as caught:
        digest(value)
    assert (caught.value.type_name, caught.value.path) == (name, path)
    assert caught.value.cause.startswith("cannot pickle")
    assert (f" at {path} " in str(caught.value)) == bool(path)


def test_of_what_has_no_content_all_else_can_be_told() -> None:
    def told(n: int) -> object:
        return Plain(lock=threading.Lock(), of=[n, Plain(n=n, rows=np.arange(n))])

    assert outline(told(1)) == outline(told(1)) != outline(told(2))
    assert outline(told(1)) != outline(Plain(lock=SOCKET, of=[1, Plain(n=1, rows=np.arange(1))]))
    assert outline(linked(1, 2, LOCK)) is None


def test_coroutines_are_refused() -> None:
    running = coroutine()
    with pytest.raises(UndigestibleError, match="type coroutine cannot be digested"):
        digest(running)
    running.close()


def test_what_is_nested_too_deeply_is_refused() -> None:
    value: list[object] = []
    for _ in range(10_000):
        value = [value]
    with pytest.raises(UndigestibleError, match="nested too deeply"):
        digest(value)


def test_sharing_takes_no_exponential_time() -> None:
    value: list[object] = []
    for _ in range(100):
        value = [value, value]
    assert digest(value).exact


def test_a_large_array_is_hashed_once_however_often_it_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    streamed: list[int] = []
    monkeypatch.setattr(_Branch, "stream", lambda self, buffer: streamed.append(1) or Writer.stream(self, buffer))
    large = np.zeros(1 << 16)
    assert digest([large, [large], {"a": large}]) == digest([large.copy(), [large.copy()], {"a": large.copy()}])
    assert len(streamed) == 1 + 3


def test_many_cycles_take_no_exponential_time() -> None:
    people = [Plain(name=i) for i in range(60)]
    for person in people:
        person.friends = people  # type: ignore[attr-defined]
    assert digest(people) == digest(copy.deepcopy(people))


def test_a_memory_map_is_the_array_it_holds(tmp_path: Any) -> None:
    np.save(tmp_path / "grid.npy", GRID)
    assert digest(np.load(tmp_path / "grid.npy", mmap_mode="c")) == digest(GRID)


def test_decimals_do_not_depend_on_the_context() -> None:
    before = digest(Decimal("1E+3"))
    with localcontext() as context:
        context.capitals = 0
        assert digest(Decimal("1E+3")) == before


def test_a_digest_leaves_the_value_as_it_was() -> None:
    masked = np.ma.array([1, 2], mask=[0, 1])
    digest(masked)
    assert masked._fill_value is None


def test_large_strided_arrays_are_taken_in_pieces() -> None:
    large = np.arange(1 << 19, dtype="i8").reshape(512, 1024)
    odd = large[:, 1::2]
    changed = large.copy()
    changed[-1, -1] += 1
    assert digest(odd) == digest(large.copy()[:, 1::2])
    assert digest(odd) != digest(changed[:, 1::2])


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_the_hash_seed_does_not_count(seed: str) -> None:
    program = (
        "from prefect_helix.core.digest import digest\n"
        "class Bag(set): pass\n"
        "class Node: pass\n"
        "root = Node(); root.members = frozenset({'a', 'b', 'c'}); root.self = root\n"
        "value = [{'x', 'y', 'z', ('w', 1)}, frozenset('abcdef'), Bag('abcdef'), {'k': {'p', 'q'}}, root]\n"
        "print(digest(value).hex)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert printed == "9d20cba433a85c9b2c8dfbea5bfde104"


class Connection:
    def __init__(self, url: str) -> None:
        self.url = url
        self.lock = threading.Lock()


class Pooled(Connection):
    pass


class Cached(Pooled):
    pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_module, "_registered", {})
    monkeypatch.setattr(digest_module, "_encoders", {})


@pytest.mark.usefixtures("registry")
class TestRegistry:
    def test_a_registered_class_is_digested_by_its_reduction(self) -> None:
        with pytest.raises(UndigestibleError):
            digest(Connection("a"))
        register_digest(Connection, lambda value: value.url)
        assert digest(Connection("a")) == digest(Connection("a"))
        assert digest(Connection("a")).exact
        assert digest(Connection("a")) != digest(Connection("b"))
        assert digest(Connection("a")) != digest("a")

    def test_it_may_be_a_witness(self) -> None:
        register_digest(Connection, lambda value: value.url, exact=False)
        assert not digest(Connection("a")).exact

    def test_its_exactness_is_that_of_the_reduction_too(self) -> None:
        register_digest(Connection, lambda value: Plain(url=value.url))
        assert not digest(Connection("a")).exact

    def test_subclasses_are_included_and_told_apart(self) -> None:
        register_digest(Connection, lambda value: value.url)
        assert digest(Pooled("a")).exact
        assert digest(Pooled("a")) != digest(Connection("a"))

    def test_the_nearest_class_decides(self) -> None:
        register_digest(Connection, lambda value: value.url)
        register_digest(Pooled, lambda _: "pooled")
        assert digest(Cached("a")) == digest(Cached("b"))
        assert digest(Connection("a")) != digest(Connection("b"))

    def test_it_goes_before_what_is_built_in(self) -> None:
        register_digest(np.ndarray, lambda value: value.tolist())
        assert digest(GRID) == digest(np.asfortranarray(GRID))

    def test_a_builtin_type_is_nearer_than_a_registered_base(self) -> None:
        register_digest(object, lambda _: "anything")
        assert digest([1]) != digest([2])

    def test_a_registration_counts_at_once(self) -> None:
        before = digest(Plain(a=1))
        register_digest(Plain, lambda value: value.a)
        assert digest(Plain(a=1)) != before

    @pytest.mark.parametrize(
        ("reduce", "cause"),
        [(lambda value: value, "gives back the value itself"), (lambda value: value.missing, "AttributeError")],
    )
    def test_a_reduction_that_does_not_work_is_refused(self, reduce: Any, cause: str) -> None:
        register_digest(Connection, reduce)
        with pytest.raises(UndigestibleError, match=cause) as caught:
            digest([Connection("a")])
        assert caught.value.path == "[0]"
