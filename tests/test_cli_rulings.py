"""`revoke`, `rulings` and `undo` over a store whose runs are written by hand; no Prefect server runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from prefect_helix.cli import app
from prefect_helix.core.graph import Decision
from prefect_helix.core.history import History
from prefect_helix.core.lineage import Lineage, Result, Run, Trace
from prefect_helix.core.rulings import Acceptance, Revocation, Rulings
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

DAY_US = 86_400 * 1_000_000
NOON_US = 1_767_268_800 * 1_000_000  # of 2026-01-01 in UTC

Helix = Callable[..., Outcome]


def trace(task: str, day: int, computed_in: str = "", **fields: Any) -> Trace:
    """A result of `task` that was computed on that day of January."""
    values: dict[str, Any] = {
        "key": f"flows:{task}",
        "decision": Decision.LOAD if computed_in else Decision.COMPUTE,
        "result": Result("d", True, 1, "builtins:int"),
        "computed_at_us": NOON_US + (day - 1) * DAY_US,
        **dict.fromkeys(["call", "compute_us", "load_us", "started_us"], 0),
        "demanded": False,
        **dict.fromkeys(["literals", "reason"], ""),
        **dict.fromkeys(["arguments", "parents", "wait_for"], ()),
        "signature": task,
        "fingerprint": f"code of {task}",
        "status": "completed",
    }
    return Trace(task=task, computed_in=computed_in, **{**values, **fields})


def run(run_id: str, day: int, host: str, *traces: Trace) -> Lineage:
    """A run of that day of January."""
    at_us = NOON_US + (day - 1) * DAY_US
    values = ("census", f"otter-{day}", "completed", at_us, at_us, {}, {}, None, "auto", "helix", 10**9)
    return Lineage(Run(run_id, *values, host=host), traces)  # type: ignore[arg-type]


LINEAGES = (
    run("aaaa1111", 1, "moon", trace("scan", 1), trace("fit", 1)),
    run("bbbb2222", 2, "mars", trace("scan", 1, "aaaa1111"), trace("fit", 2, literals="reg")),
    run("cccc3333", 3, "moon", trace("scan", 1, "aaaa1111"), trace("fit", 3, literals="more"), trace("plot", 3)),
)
CALLS = {"scan": "", "fit 1": "", "fit 2": "reg", "fit 3": "more", "plot": ""}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    for lineage in LINEAGES:
        Catalog(open_store(folder)).commit(lineage)
    return folder


@pytest.fixture
def helix(store: Path) -> Helix:
    """Calls the command line over the store; an exception that would be a traceback is raised."""

    def invoke(*arguments: str, exit_code: int = 0, **options: Any) -> Outcome:
        outcome = CliRunner().invoke(app, [*arguments, "--store", str(store)], catch_exceptions=False, **options)
        assert outcome.exit_code == exit_code, outcome.output
        return outcome

    return invoke


def usable(store: Path) -> list[str]:
    """The calls whose results may still be used."""
    known = Catalog(open_store(store)).read()
    history = History(known.lineages, known.rulings)
    return [call for call, literals in CALLS.items() if any(history.candidates(f"code of {call.split()[0]}", literals))]


def made(store: Path) -> Rulings:
    return Catalog(open_store(store)).read().rulings


# -- revoke ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        (["fit"], ["scan", "plot"]),
        (["flows:fit"], ["scan", "plot"]),
        (["--run", "bbbb"], ["scan", "fit 1", "fit 3", "plot"]),
        (["--run", "otter-1"], ["fit 2", "fit 3", "plot"]),
        (["--run", "bbbb", "--run", "last"], ["scan", "fit 1"]),
        (["--since", "2026-01-02"], ["scan", "fit 1"]),
        (["--until", "2026-01-02T00:00"], ["fit 2", "fit 3", "plot"]),
        (["--since", "2026-01-02", "--until", "2026-01-03"], ["scan", "fit 1", "fit 3", "plot"]),
        (["--host", "moon"], ["fit 2"]),
        (["fit", "--host", "moon"], ["scan", "fit 2", "plot"]),
        (["fit", "--host", "moon", "--until", "2026-01-02"], ["scan", "fit 2", "fit 3", "plot"]),
        (["--host", "moon", "--run", "last", "--run", "bbbb"], ["scan", "fit 1", "fit 2"]),
        (["--until", "1min"], []),
    ],
)
def test_what_meets_every_criterion_is_revoked(helix: Helix, store: Path, criteria: list[str], left: list[str]) -> None:
    assert usable(store) == list(CALLS)
    helix("revoke", *criteria, "--yes")
    assert usable(store) == left


def test_it_is_told_what_is_covered_before_one_agrees(helix: Helix, store: Path) -> None:
    outcome = helix("revoke", "--host", "moon", input="n\n", exit_code=1)
    assert outcome.stdout.startswith("4 results: 2 of fit, 1 of scan, 1 of plot; computed from 2026-01-0")
    assert "Never use these results again? [y/N]" in outcome.stdout
    assert (usable(store), made(store)) == (list(CALLS), Rulings())
    assert "undo" in helix("revoke", "--host", "moon", "--note", "bad disk", input="y\n").stdout
    (revocation,) = made(store).revocations
    assert (revocation.runs, revocation.note) == (("cccc3333", "aaaa1111"), "bad disk")


def test_what_is_revoked_already_is_not_counted_again(helix: Helix) -> None:
    helix("revoke", "fit", "--yes")
    assert helix("revoke", "--host", "moon", "--yes").stdout.startswith("2 results: 1 of scan, 1 of plot")
    assert "is not revoked already" in helix("revoke", "plot", "--yes", exit_code=1).stderr


def test_revoke_tells_programs_what_it_did(helix: Helix, store: Path) -> None:
    told = json.loads(helix("revoke", "fit", "--host", "moon", "--since", "2026-01-01", "--yes", "--json").stdout)
    (revocation,) = made(store).revocations
    assert told == {
        "id": revocation.id,
        "kind": "revocation",
        "made": told["made"],
        "tasks": ["fit"],
        "runs": ["cccc3333", "aaaa1111"],
        "since": told["since"],
        "until": None,
        "results": [],
        "note": "",
        "undone": None,
        "covered": {"fit": 2},
    }


@pytest.mark.parametrize(
    ("arguments", "told", "exit_code"),
    [
        ([], "Say which: a TASK, --run, --since, --until or --host.", 2),
        (["fit", "--since", "yesterday"], "--since='yesterday' cannot be used. Give a time such as 2026-01-31", 2),
        (["fit", "--json"], "Add --yes: a program cannot be asked whether it agrees.", 2),
        (["fot"], "The store has no result of a task 'fot'; did you mean fit?", 1),
        (["--run", "dddd"], "There is no run 'dddd'", 1),
        (["--host", "mrs"], "No run was on the machine 'mrs'; did you mean mars? The store knows mars, moon.", 1),
        (["--host", "mars", "--run", "last"], "None of these runs was on the machine 'mars'.", 1),
        (["fit", "--since", "2026-01-09"], "The store has no result that meets all of this", 1),
    ],
)
def test_a_revocation_that_makes_no_sense_is_one_line(
    helix: Helix, store: Path, arguments: list[str], told: str, exit_code: int
) -> None:
    outcome = helix("revoke", *arguments, exit_code=exit_code)
    assert told in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert made(store) == Rulings()


# -- rulings and undo ------------------------------------------------------------------------------------------------


def test_rulings_are_listed_newest_first_with_what_was_taken_back(helix: Helix, store: Path) -> None:
    catalog = Catalog(open_store(store))
    catalog.rule(Acceptance("aa", NOON_US, "fit", "0123456789", "abcdefabcd", "renamed"))
    limits = (NOON_US - DAY_US, NOON_US)
    catalog.rule(Revocation("bb", NOON_US + 1, ("scan",), tuple(f"{i}" * 8 for i in range(5)), *limits))
    catalog.rule(Revocation("cc", NOON_US + 2, runs=("aaaa1111",)))
    catalog.rule(Revocation("dd", NOON_US + 3, ("plot",), results=("s1 d1", "s2 d2")))
    helix("undo", "c")
    text = " ".join(helix("rulings").stdout.split())
    assert text.startswith("id when what dd 2026-01-01 ")
    assert "revoked plot, 2 results cc" in text
    assert "revoked all tasks, of run aaaa1111 (taken back 2" in text
    assert "revoked scan, of run 00000000, 11111111, 22222222 and 2 more, computed since 2025-12-31" in text
    assert text.endswith("accepted fit, code 01234567 → abcdefab: renamed")
    listed = json.loads(helix("rulings", "--json").stdout)
    assert [(one["id"], one["kind"], one["undone"] is not None) for one in listed] == [
        ("dd", "revocation", False),
        ("cc", "revocation", True),
        ("bb", "revocation", False),
        ("aa", "acceptance", False),
    ]


def test_without_rulings_there_is_nothing_to_list(helix: Helix) -> None:
    assert helix("rulings").stderr.startswith("Nothing was accepted or revoked in the store ")
    assert helix("rulings", "--json").stdout == "[]\n"
    assert helix("runs").stderr == ""


def test_runs_tell_that_rulings_are_in_force(helix: Helix, store: Path) -> None:
    Catalog(open_store(store)).rule(Revocation("cc", NOON_US, ("fit",)))
    assert helix("runs").stderr == "1 ruling on results in force; see `prefect-helix rulings`.\n"
    helix("undo", "cc")
    assert helix("runs").stderr == ""


def test_what_was_revoked_is_used_again_once_that_is_taken_back(helix: Helix, store: Path) -> None:
    told = json.loads(helix("revoke", "fit", "--yes", "--json").stdout)
    assert usable(store) == ["scan", "plot"]
    assert helix("undo", told["id"]).stdout == "Taken back: revoked fit.\n"
    assert usable(store) == list(CALLS)
    again = helix("undo", told["id"], exit_code=1)
    assert again.stderr == f"error: {told['id']} was taken back already.\n"
    assert helix("undo", "zz", exit_code=1).stderr.startswith("error: 'zz' is no ruling. See `prefect-helix rulings`.")


def test_the_beginning_of_a_name_must_name_one_ruling(helix: Helix, store: Path) -> None:
    for name in ("ab", "ac"):
        Catalog(open_store(store)).rule(Revocation(name, NOON_US, ("fit",)))
    assert "names more than one ruling" in helix("undo", "a", exit_code=1).stderr
    (undone,) = json.loads(helix("undo", "ab", "--json").stdout)
    assert (undone["id"], undone["undone"] is not None) == ("ab", True)


def test_no_name_is_the_beginning_of_none(helix: Helix, store: Path) -> None:
    Catalog(open_store(store)).rule(Revocation("ab", NOON_US, ("fit",)))
    assert helix("undo", "", exit_code=1).stderr.startswith("error: '' is no ruling. See `prefect-helix rulings`.")
    assert not made(store).withdrawn


def test_several_rulings_are_taken_back_together_or_none_is(helix: Helix, store: Path) -> None:
    for name in ("aa", "bb", "cc"):
        Catalog(open_store(store)).rule(Acceptance(name, NOON_US, f"task {name}", "0" * 10, "1" * 10))
    assert helix("undo", "aa", "zz", exit_code=1).stderr.startswith("error: 'zz' is no ruling")
    assert not made(store).withdrawn
    assert helix("undo", "aa", "bb", "a").stdout.splitlines() == [
        "Taken back: accepted task aa, code 00000000 → 11111111.",
        "Taken back: accepted task bb, code 00000000 → 11111111.",
    ]
    assert made(store).withdrawn.keys() == {"aa", "bb"}
