"""Short forms of values for people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.short import excerpts, short_form


class DataFrame:
    """Only called like one of pandas."""

    def __repr__(self) -> str:
        return "mine"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.1, "0.1"),
        ({"low": 1, "high": [9]}, "{'high': [9], 'low': 1}"),
        (list(range(1_000)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ...]"),
        (np.linspace(0.0, 1.5, 5_000), "<ndarray float64 [5000]: 0.0 … 1.5>"),
        (np.zeros((3, 4), dtype="int8"), "<ndarray int8 [3, 4]: 0 … 0>"),
        (np.array(["a", "b"]), "<ndarray <U1 [2]>"),
        (np.array([]), "<ndarray float64 [0]>"),
        (pd.DataFrame({"a": [1, 2]}), "<DataFrame [2, 1]>"),
        (pd.Series([1.0]), "<Series float64 [1]>"),
        ({"weights": np.array([1.0, 2.0])}, "{'weights': <ndarray float64 [2]: 1.0 … 2.0>}"),
        (DataFrame(), "mine"),
        (2**10_000, "<int of 10001 bits>"),
    ],
)
def test_a_value_is_shown_in_short(value: object, words: str) -> None:
    assert short_form(value) == words


def test_no_value_is_shown_at_length() -> None:
    deep: list[object] = []
    for _ in range(50):
        deep = [deep] * 50
    values = ["x" * 10**6, 10**5_000, deep, dict.fromkeys(range(99), "y" * 99)]
    assert all(len(short_form(value)) <= 400 for value in values)


def test_long_texts_are_cut_to_where_they_differ() -> None:
    one = repr(list(range(100)))
    assert excerpts(one, one.replace("50", "77"), 20) == ("…47, 48, 49, 50, 51,…", "…47, 48, 49, 77, 51,…")


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("0.1", "0.5", ("0.1", "0.5")),
        ("a" * 30, "a" * 30 + "b", ("…aaaaaaaaaaaa", "…aaaaaaaaaaaab")),
        ("b" + "a" * 30, "c", ("baaaaaaaaaaaaaaaaaa…", "c")),
    ],
)
def test_texts_are_cut_no_more_than_they_must(before: str, after: str, shown: tuple[str, str]) -> None:
    assert excerpts(before, after, 20) == shown
