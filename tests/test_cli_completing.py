"""What the shell offers while somebody types; the program is asked as bash asks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prefect_helix.cli import app

from .test_cli import NEW, OLD, Commit, Helix, call, commit, helix, run, store

__all__ = ["commit", "helix", "store"]

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(store: Path) -> Complete:
    """Returns what is offered for the last word of a line; nothing else may be printed."""

    def complete(line: str) -> list[str]:
        words = ["prefect-helix", *line.split(), *([""] if line.endswith(" ") else [])]
        environment = {
            "_PREFECT_HELIX_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "PREFECT_INTEGRATIONS_HELIX_STORE": str(store),
        }
        outcome = CliRunner().invoke(app, [], prog_name="prefect-helix", env=environment)
        assert (outcome.exit_code, outcome.stderr) == (0, "")
        return outcome.stdout.split()

    return complete


@pytest.fixture
def two(commit: Commit) -> None:
    commit(
        run(OLD, [call("scan")], day=1),
        run(NEW, [call("scan"), call("fit", call=1), call("fit", call=2)], day=2, flow="shop"),
    )


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("show ", ["last", "best", "9f8e7d6c", "0a1b2c3d"]),
        ("show 0", ["0a1b2c3d"]),
        ("why last ", ["scan", "fit#1", "fit#2"]),
        ("why 0a1b ", ["scan"]),
        ("checkout best s", ["scan"]),
        ("metrics ", ["shop", "census"]),
        ("runs c", ["census"]),
        ("store ls c", ["census"]),
        ("store rm ", ["shop", "census"]),
        ("diff s", ["shop"]),
        ("diff best 9", ["9f8e7d6c"]),
        ("untag ", ["best"]),
        ("note b", ["best"]),
    ],
)
def test_names_are_offered_where_they_are_asked_for(
    two: None, helix: Helix, complete: Complete, line: str, offered: list[str]
) -> None:
    helix("tag", OLD, "best")
    assert complete(line) == offered


@pytest.mark.parametrize("line", ["show ", "why nosuch ", "metrics ", "untag "])
def test_where_there_is_nothing_to_offer_nothing_is_said(complete: Complete, line: str) -> None:
    assert complete(line) == []


def test_a_store_that_cannot_be_read_offers_nothing_and_says_nothing(complete: Complete, store: Path) -> None:
    store.write_text("no folder")
    assert complete("show ") == []
    assert complete("show --store nosuch://x ") == []


def test_what_is_damaged_is_not_told_while_somebody_types(two: None, complete: Complete, store: Path) -> None:
    for path in (store / "lineage").iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    assert complete("show ") == ["last", "9f8e7d6c", "0a1b2c3d"]
