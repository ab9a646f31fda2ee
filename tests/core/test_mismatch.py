"""What is said of two values that should be one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.digest import digest
from prefect_helix.core.mismatch import by_digest, mismatch


@dataclass
class Fit:
    reg: float
    weights: Any = field(default_factory=list)


class Login(NamedTuple):
    user: str
    password: str


class Model:
    def __init__(self, coef: Any, token: str = "t") -> None:
        self.coef_ = coef
        self.api_token = token


class Opaque:
    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x

    def __reduce__(self) -> Any:
        return Opaque, (self.x,)


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, None], "c": ["x", "y", None]} | columns)


NAN = float("nan")
WIDE = pd.DataFrame(np.arange(6).reshape(2, 3), columns=["x", "x", "z"])

CASES = [
    (3, 4, "recorded 3, now 4 (+1)"),
    (1.5, 1.25, "recorded 1.5, now 1.25 (-0.25)"),
    (1.0, NAN, "recorded 1.0, now nan"),
    (1, 1.0, "recorded int 1, now float 1.0"),
    (True, False, "recorded True, now False"),
    (None, 1, "recorded NoneType None, now int 1"),
    ("north", "south", "recorded 'north', now 'south'"),
    ("a" * 900 + "b", "a" * 900 + "c", "recorded …aaaaaaaaaaaab', now …aaaaaaaaaaaac'"),
    (np.float32(1), np.float32(2), "recorded 1.0, now 2.0"),
    ([1, 2, 3], [1, 5, 3], "[1]: recorded 2, now 5 (+3)"),
    ([1, 2], [1, 2, 3], "recorded 2 items, now 3"),
    ((1, [2, {"k": 3}]), (1, [2, {"k": 4}]), "[1][1]['k']: recorded 3, now 4 (+1)"),
    ({"a": 1, "b": 2}, {"b": 2, "c": 3}, "['a']: recorded, and gone now; ['c']: new, not recorded"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "the same keys in another order"),
    ({1, 2}, {2, 3}, "1 gone now, such as 1; 1 new, such as 3"),
    (
        list(range(9)),
        list(range(1, 10)),
        "[0]: recorded 0, now 1 (+1); [1]: recorded 1, now 2 (+1); [2]: recorded 2, now 3 (+1); and more",
    ),
    ({"api_key": "hunter2"}, {"api_key": "hunter3"}, "['api_key']: recorded ********, now another one"),
    (
        np.zeros((2, 3)),
        np.array([[0, 0, 0.5], [0, -2, 0]]),
        "2 of 6 elements differ by up to 2; first [0, 2]: recorded 0.0, now 0.5",
    ),
    (
        np.array([NAN, 1.0]),
        np.array([NAN, np.inf]),
        "1 of 2 elements differ; first [1]: recorded 1.0, now inf",
    ),
    (
        np.array([0, 255], np.uint8),
        np.array([255, 255], np.uint8),
        "1 of 2 elements differ by up to 255; first [0]: recorded 0, now 255",
    ),
    (np.zeros(3), np.zeros(4), "recorded float64 [3], now float64 [4]"),
    (np.zeros(3), np.zeros(3, "f4"), "recorded float64 [3], now float32 [3]"),
    (np.zeros((2, 2)), np.zeros((2, 2), order="F"), "the same elements, otherwise in memory"),
    (np.array(["a", "b"]), np.array(["a", "c"]), "1 of 2 elements differ; first [1]: recorded b, now c"),
    (np.array([1, "a"], object), np.array([1, "b"], object), "[1]: recorded 'a', now 'b'"),
    (
        frame(),
        frame(a=[1, 2, 9]),
        "['a']: 1 of 3 cells differ by up to 6; first in row 2: recorded 3, now 9",
    ),
    (frame(), frame(c=["x", "z", None]), "['c']: 1 of 3 cells differ; first in row 1: recorded 'y', now 'z'"),
    (frame(), frame(a=[1.0, 2.0, 3.0]), "['a']: recorded int64, now float64"),
    (frame(), frame().head(2), "recorded 3 rows, now 2"),
    (frame(), frame()[["c", "b", "a"]], "columns in another order"),
    (frame(), frame().rename(columns={"a": "d"}), "without recorded columns 'a'; with new columns 'd'"),
    (frame(), frame().set_axis([3, 4, 5]), "other row labels"),
    (WIDE, WIDE.set_axis(["x", "x", "y"], axis=1), "without recorded columns 'z'; with new columns 'y'"),
    (
        WIDE,
        WIDE + np.array([0, 1, 0]),
        "['x']: 2 of 2 cells differ by up to 1; first in row 0: recorded 1, now 2",
    ),
    (
        frame(a=pd.array([1, None, 3], "Int64")),
        frame(a=pd.array([1, 2, None], "Int64")),
        "['a']: 2 of 3 cells differ; first in row 1: recorded <NA>, now 2",
    ),
    (
        frame(a=pd.Categorical(["x", "y", "x"])),
        frame(a=pd.Categorical(["x", "y", "y"])),
        "['a']: 1 of 3 cells differ; first in row 2: recorded 'x', now 'y'",
    ),
    (pd.Series([1, 2], name="n"), pd.Series([1, 2], name="m"), "recorded name 'n', now 'm'"),
    (
        pd.Series([1, 2]),
        pd.Series([1, 4]),
        "1 of 2 cells differ by up to 2; first in row 1: recorded 2, now 4",
    ),
    (Fit(1.0), Fit(2.0), ".reg: recorded 1.0, now 2.0 (+1)"),
    (
        Model(np.array([1.0])),
        Model(np.array([1.5])),
        ".coef_: 1 of 1 elements differ by up to 0.5; first [0]: recorded 1.0, now 1.5",
    ),
    (Model(1, "t1"), Model(1, "t2"), ".api_token: recorded ********, now another one"),
    (
        [Login("a", "s1")],
        [Login("b", "s2")],
        "[0].user: recorded 'a', now 'b'; [0].password: recorded ********, now another one",
    ),
    (Login("a", "s1"), ("a", "s2"), "recorded Login <Login>, now tuple ('a', 's2')"),
    ({"a": {"password": "s1"}}, {"a": None}, "['a']: recorded dict {'password': ********}, now NoneType None"),
    (
        np.array([(1, "s1")], [("n", "i4"), ("password", "U9")]),
        np.array([(2, "s2")], [("n", "i4"), ("password", "U9")]),
        "['n']: 1 of 1 elements differ by up to 1; first [0]: recorded 1, now 2; "
        "['password']: recorded ********, now another one",
    ),
    (pd.Series(["s1"], name="password"), pd.Series(["s2"], name="password"), "recorded ********, now another one"),
    (
        pd.Series({"user": "a", "password": "s1"}),
        pd.Series({"user": "b", "password": "s2"}),
        "2 of 2 cells differ: recorded ********, now others",
    ),
]


@pytest.mark.parametrize(("recorded", "now", "told"), CASES, ids=[told for _, _, told in CASES])
def test_the_difference_is_told_where_it_is(recorded: Any, now: Any, told: str) -> None:
    assert digest(recorded) != digest(now)
    assert mismatch(recorded, now) == told


def test_what_cannot_be_looked_into_goes_by_a_short_form_or_its_digest() -> None:
    assert by_digest("a" * 64, None) == "recorded digest aaaaaaaaaaaa, now none"
    assert "Opaque" in mismatch(Opaque(1), Opaque(2))


def test_what_never_ends_is_told_all_the_same() -> None:
    deep: list[Any] = [1]
    deeper: list[Any] = [2]
    for _ in range(50):
        deep, deeper = [deep], [deeper]
    assert mismatch(deep, deeper).startswith("[0]" * 8 + ": recorded [")


def test_it_is_short_however_large_the_values_are() -> None:
    names = [f"column {i} with a long name" for i in range(500)]
    one = dict.fromkeys(names, "x" * 10_000)
    other = dict.fromkeys(names, "y" * 10_000)
    assert len(mismatch(one, other)) < 600
