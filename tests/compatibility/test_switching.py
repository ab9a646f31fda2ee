"""What docs/switching.md says is shown by a test, row by row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .test_compatibility import FEATURES

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs/switching.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.endswith("| |")
]


def shown_by(row: str) -> list[str]:
    """Return the features and tests that a row names in its comment."""
    comment = re.fullmatch(r".*<!-- (.+) --> \|", row)
    return comment[1].split("; ") if comment else []


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip() for row in ROWS])
def test_a_row_is_shown_by_a_test(row: str) -> None:
    named = shown_by(row)

    assert named
    assert [name for name in named if not (name in FEATURES or is_test(name))] == []


def is_test(name: str) -> bool:
    """Return whether a name is that of a test file, or of a test in one."""
    file, _, function = name.partition("::")
    path = ROOT / file
    return path.is_file() and path.match("tests/**/test_*.py") and f"def {function}" in path.read_text("utf-8")


def test_what_is_no_test_is_not_taken_for_one() -> None:
    assert not is_test("tests/flow/test_reporting.py::test_nothing_of_this_name")
    assert not is_test("calls: nothing of this name")
    assert shown_by("| call it | the same | |") == []
