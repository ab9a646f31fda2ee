"""Every edit of a project, as a user makes it: a version in one process, the next in a new one, on a real Prefect."""

from __future__ import annotations

import pytest

from . import cases_classes, cases_constants, cases_functions, cases_modules, cases_places, cases_writing
from .checks import parameters, playable, problems
from .conftest import Play, Played
from .table import Case

CASES = [
    *cases_writing.CASES,
    *cases_functions.CASES,
    *cases_classes.CASES,
    *cases_constants.CASES,
    *cases_modules.CASES,
    *cases_places.CASES,
]


@pytest.fixture(scope="module")
def edits(play: Play) -> Played:
    """The runs of all edits."""
    return play(playable(CASES))


@pytest.mark.parametrize("case", parameters(CASES))
def test_an_edit_computes_what_it_must_and_nothing_else(case: Case, edits: Played) -> None:
    assert problems(case, edits) == []
