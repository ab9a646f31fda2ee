from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_helix.views.plots import plot


def test_a_plot_has_a_dot_for_each_value_and_names_both_ends_of_its_axis() -> None:
    assert plot([0.0, 1.0, None, 0.5], 40, height=3) == [
        "1 ┤    ▀",
        "  │            ▄",
        "0 ┤▄",
    ]


def test_equal_values_are_a_line_in_the_middle() -> None:
    assert plot([2.5, 2.5], 40, height=3) == ["    │", "2.5 ┤▄   ▄", "    │"]


def test_what_is_no_number_is_a_gap_and_nothing_is_no_plot() -> None:
    assert plot([], 40) == plot([None, math.nan, math.inf], 40) == []
    assert plot([math.nan, 1.0, math.inf, 2.0], 40, height=2) == ["2 ┤            ▀", "1 ┤    ▄"]


def test_numbers_as_far_apart_as_can_be_are_drawn() -> None:
    assert [line[-1] for line in plot([-1.7e308, 1.7e308], 40, height=2)] == ["▀", "▄"]


def test_the_ends_of_an_axis_are_told_apart() -> None:
    assert [line.split()[0] for line in plot([0.8451001, 0.8451002], 60, height=2)] == ["0.8451002", "0.8451001"]


def axis_of(line: str) -> int:
    """The column of the axis."""
    return next(column for column, character in enumerate(line) if character in "┤│")


@pytest.mark.parametrize("last", [[0.8451001, 0.8451002], [7.0, 8.0]])
def test_the_axis_is_straight_where_the_values_shown_need_other_labels_than_all_of_them(last: list[float]) -> None:
    lines = plot([0.25, 1000.125, *last * 20], 30)
    assert lines[0].split()[0] == f"{last[1]}".removesuffix(".0")
    assert len({axis_of(line) for line in lines}) == 1
    assert max(map(len, lines)) <= 30


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.none()


@given(st.lists(numbers, max_size=200), st.integers(20, 100), st.integers(2, 9))
def test_a_plot_fits_and_is_as_high_as_asked(values: list[float | None], width: int, height: int) -> None:
    lines = plot(values, width, height)
    finite = [value for value in values if value is not None and math.isfinite(value)]
    assert len(lines) == (height if finite else 0)
    assert all(len(line) <= max(width, 30) for line in lines)
    assert len({axis_of(line) for line in lines}) <= 1


@pytest.mark.parametrize("count", [3, 50])
def test_the_highest_value_shown_is_on_the_first_line_and_the_lowest_on_the_last(count: int) -> None:
    lines = plot([float(value) for value in range(count)], 30)
    assert lines[0].rstrip()[-1] == "▀"
    assert "▄" in lines[-1]
