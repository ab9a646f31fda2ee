"""What rulings say: which code stands for which, which results may not be used."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Result, Trace
from prefect_helix.core.rulings import RULING_KINDS, Acceptance, Revocation, Ruling, Rulings, name_of_result, noted
from prefect_helix.core.written import Withdrawal, record_from_json, record_to_json

NEW_YEAR_US = 1_767_268_800_000_000


def accepted(*pairs: str, undone: int | None = None) -> Rulings:
    """Acceptances written as "new=old", in the order they were made."""
    made: list[Ruling] = []
    for i, (after, before) in enumerate(pair.split("=") for pair in pairs):
        made.append(Acceptance(f"a{i}", i, "fit", before, after))
    if undone is not None:
        made.append(Withdrawal("w", 100, f"a{undone}"))
    return Rulings.of(made[::-1])


def classes(rulings: Rulings, codes: str = "12345") -> set[str]:
    """The codes that are the same, as strings of their names."""
    by_name = sorted(codes, key=rulings.stands_for)
    return {"".join(sorted(same)) for _, same in itertools.groupby(by_name, rulings.stands_for)}


@pytest.mark.parametrize(
    ("pairs", "undone", "found"),
    [
        ([], None, {"1", "2", "3", "4", "5"}),
        (["2=1"], None, {"12", "3", "4", "5"}),
        (["2=1"], 0, {"1", "2", "3", "4", "5"}),
        (["2=1", "3=2", "4=3"], None, {"1234", "5"}),
        (["3=2", "2=1"], None, {"123", "4", "5"}),
        (["2=1", "3=2", "4=3"], 0, {"1", "234", "5"}),
        (["2=1", "3=2", "4=3"], 1, {"12", "34", "5"}),
        (["2=1", "1=2"], None, {"12", "3", "4", "5"}),
        (["2=1", "1=2"], 0, {"12", "3", "4", "5"}),
        (["2=1", "3=2", "1=3"], 1, {"123", "4", "5"}),
        (["2=1", "2=3"], None, {"123", "4", "5"}),
        (["2=1", "4=3", "4=2"], None, {"1234", "5"}),
        (["1=1"], None, {"1", "2", "3", "4", "5"}),
    ],
)
def test_code_accepted_as_the_same_has_one_name(pairs: list[str], undone: int | None, found: set[str]) -> None:
    assert classes(accepted(*pairs, undone=undone)) == found


def test_code_goes_by_the_name_it_had_before_the_first_change() -> None:
    assert accepted("2=1", "3=2").stands_for("3") == "1"
    assert accepted("2=1", "1=2").stands_for("2") == "1"


def test_the_acceptance_told_is_the_one_of_this_change() -> None:
    rulings = accepted("2=1", "3=2", "5=4")
    assert [rulings.acceptance(*pair) for pair in ("11", "13", "14")] == [None, rulings.acceptances[0], None]
    assert rulings.acceptance("3", "1") == rulings.acceptances[1]


def trace(**fields: Any) -> Trace:
    values: dict[str, Any] = {
        "task": "fit",
        "key": "census:fit",
        "computed_in": "run",
        "computed_at_us": 50,
        "decision": Decision.LOAD,
        "result": Result("d", True, 1, "builtins:int"),
        **dict.fromkeys(["call", "compute_us", "load_us", "started_us"], 0),
        "demanded": False,
        **dict.fromkeys(["signature", "fingerprint", "literals", "reason"], ""),
        **dict.fromkeys(["arguments", "parents", "wait_for"], ()),
        "status": "completed",
    }
    return Trace(**{**values, **fields})


@pytest.mark.parametrize(
    ("criteria", "covered"),
    [
        ({}, True),
        ({"tasks": ("fit",)}, True),
        ({"tasks": ("census:fit",)}, True),
        ({"tasks": ("scan", "fit")}, True),
        ({"tasks": ("scan",)}, False),
        ({"runs": ("other", "run")}, True),
        ({"runs": ("other",)}, False),
        ({"since_us": 50}, True),
        ({"since_us": 51}, False),
        ({"until_us": 51}, True),
        ({"until_us": 50}, False),
        ({"at_us": 50}, False),
        ({"tasks": ("fit",), "runs": ("run",), "since_us": 1, "until_us": 99}, True),
        ({"tasks": ("scan",), "runs": ("run",)}, False),
        ({"tasks": ("fit",), "runs": ("other",)}, False),
        ({"tasks": ("fit",), "since_us": 60}, False),
        ({"results": (name_of_result(trace()), "another")}, True),
        ({"results": ("another",)}, False),
    ],
)
def test_a_revocation_covers_what_meets_every_criterion_and_was_there(criteria: dict[str, Any], covered: bool) -> None:
    assert Revocation("r", **{"at_us": 100, **criteria}).covers(trace()) is covered


def test_what_was_revoked_and_is_not_any_more_may_be_used() -> None:
    revocation = Revocation("r", 100)
    assert Rulings.of([revocation]).revocation(trace()) == revocation
    assert Rulings.of([revocation, Withdrawal("w", 101, "r")]).revocation(trace()) is None


@pytest.mark.parametrize(
    "ruling",
    [
        Acceptance("a", 1, "fit", "old", "new", "größer"),
        Revocation("r", 2, ("fit",), ("run",), 3, None, "bad disk"),
        Withdrawal("w", 3, "r"),
    ],
)
def test_rulings_come_back_equal(ruling: Ruling) -> None:
    assert record_from_json(json.loads(json.dumps(record_to_json(ruling))), RULING_KINDS) == ruling


def test_a_ruling_is_told_with_its_day_and_its_note() -> None:
    assert noted(Revocation("r", NEW_YEAR_US)) == "on 2026-01-01"
    assert noted(Revocation("r", NEW_YEAR_US, note="bad disk")) == "on 2026-01-01 (bad disk)"
