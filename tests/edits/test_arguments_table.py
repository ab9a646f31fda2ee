"""Pairs of arguments: a process passes the first, the next the second, on a real Prefect."""

from __future__ import annotations

import pytest

from . import cases_arrays, cases_objects, cases_values
from .checks import parameters, problems
from .conftest import Play, Played
from .table import Case

CASES = [*cases_values.CASES, *cases_arrays.CASES, *cases_objects.CASES]


@pytest.fixture(scope="module")
def arguments(play: Play) -> Played:
    """The runs of all pairs."""
    return play(CASES)


@pytest.mark.parametrize("case", parameters(CASES))
def test_a_task_is_computed_exactly_for_another_argument(case: Case, arguments: Played) -> None:
    assert problems(case, arguments) == []
