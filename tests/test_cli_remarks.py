"""`tag`, `untag` and `note`, and a run that goes by its tag."""

from __future__ import annotations

import json

import pytest

from prefect_helix.core.remarks import Tag
from prefect_helix.runtime.session import now_us
from prefect_helix.storage.catalog import Catalog

from .test_cli import NEW, OLD, SECOND_US, Commit, Helix, call, commit, helix, run, store, words

__all__ = ["commit", "helix", "store"]


@pytest.fixture(autouse=True)
def two_runs(commit: Commit) -> Catalog:
    return commit(run(OLD, [call("fit")], day=1), run(NEW, [call("fit")], day=2, name="otter-2"))


def found(helix: Helix, name: str) -> str:
    return str(json.loads(helix("show", name, "--json").stdout)["run_id"])


def test_a_tag_names_a_run_until_another_one_gets_it(helix: Helix) -> None:
    assert helix("tag", "last~1", "best").stdout == "best is run 0a1b2c3d now.\n"
    assert found(helix, "best") == OLD
    assert helix("tag", "last", "best").stdout == "best is run 9f8e7d6c now; it was run 0a1b2c3d.\n"
    assert found(helix, "best") == NEW
    assert helix("untag", "best").stdout == "best is no run any more; it was run 9f8e7d6c.\n"
    assert "There is no run 'best'" in helix("show", "best", exit_code=1).stderr
    assert "No run has the tag 'best'." in helix("untag", "best", exit_code=1).stderr


def test_a_tag_moves_though_the_clock_of_who_gave_it_before_was_ahead(helix: Helix, two_runs: Catalog) -> None:
    two_runs.remark(Tag("t1", now_us() + 3_600 * SECOND_US, "best", OLD))
    assert helix("tag", "last", "best").stdout == "best is run 9f8e7d6c now; it was run 0a1b2c3d.\n"
    assert found(helix, "best") == NEW
    helix("untag", "best")
    assert "There is no run 'best'" in helix("show", "best", exit_code=1).stderr


@pytest.mark.parametrize("verb", [("show",), ("why", "", "fit"), ("diff",), ("tag", "", "again"), ("note", "", "hm")])
def test_a_tag_is_good_wherever_a_run_is_asked_for(helix: Helix, verb: tuple[str, ...]) -> None:
    helix("tag", NEW, "best")
    name, _, *rest = (*verb, "") if len(verb) == 1 else verb
    assert "9f8e7d6c" in helix(name, "best", *rest).stdout


def test_a_tag_goes_before_the_name_of_a_run_and_after_its_id(helix: Helix) -> None:
    helix("tag", OLD, "otter-2")
    assert found(helix, "otter-2") == OLD
    helix("tag", OLD, NEW)
    assert found(helix, NEW) == NEW


def test_a_tag_whose_run_is_gone_says_so(helix: Helix, two_runs: Catalog, commit: Commit) -> None:
    gone = "77777777-0000-4000-8000-000000000003"
    commit(run(gone, day=3))
    helix("tag", gone, "best")
    (entry,) = [entry for entry in two_runs._store.list("lineage") if gone in entry.path]
    two_runs._store.delete(entry.path)
    assert f"'best' is a tag of run {gone}, which" in helix("show", "best", exit_code=1).stderr


def test_a_flow_run_that_was_retried_goes_by_its_last_attempt(commit: Commit, helix: Helix) -> None:
    commit(run(NEW, [call("fit")], day=3, status="failed"))
    assert json.loads(helix("show", NEW, "--json").stdout)["status"] == "failed"


def test_a_name_that_cannot_be_told_from_others_is_refused(helix: Helix) -> None:
    assert "It names a run by its age" in helix("tag", NEW, "last~2", exit_code=2).stderr
    assert "Say which run" in helix("tag", "last", exit_code=2).stderr


def test_tags_and_notes_are_shown_with_their_runs(helix: Helix) -> None:
    helix("tag", NEW, "best")
    helix("note", NEW, "more data\nthan before")
    helix("note", NEW, "kept for the paper")
    listed = [words(line) for line in helix("runs").stdout.splitlines()]
    assert listed[3:6] == ["tagged best", "“more data than before”", "“kept for the paper”"]
    shown = words(helix("show", "best").stdout)
    assert "tags best note more data than before (" in shown
    (one, _) = json.loads(helix("runs", "--json").stdout)
    assert (one["tags"], [note["text"] for note in one["notes"]]) == (
        ["best"],
        ["more data\nthan before", "kept for the paper"],
    )
    assert json.loads(helix("tag", "--json").stdout)[0].items() >= {"tag": "best", "run_id": NEW}.items()


def test_a_note_can_be_withdrawn(helix: Helix) -> None:
    written = json.loads(helix("note", NEW, "wrong", "--json").stdout)
    assert helix("note", NEW, "--remove", written["id"][:5]).stdout == "Withdrawn: wrong\n"
    assert json.loads(helix("show", NEW, "--json").stdout)["notes"] == []
    assert "is no note of this run" in helix("note", NEW, "--remove", written["id"], exit_code=1).stderr
    assert "--remove and the id" in helix("note", NEW, exit_code=2).stderr


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_note_that_says_nothing_is_refused(helix: Helix, text: str) -> None:
    assert "Give a text that says something." in helix("note", NEW, text, exit_code=2).stderr
    assert json.loads(helix("show", NEW, "--json").stdout)["notes"] == []


def test_garbage_collection_leaves_what_people_said(helix: Helix) -> None:
    helix("tag", OLD, "best")
    helix("note", OLD, "kept")
    helix("store", "gc", "--to", "0", "--yes", exit_code=0)
    shown = json.loads(helix("show", "best", "--json").stdout)
    assert (shown["tags"], [note["text"] for note in shown["notes"]]) == (["best"], ["kept"])


def test_a_store_without_tags_says_how_to_give_one(helix: Helix) -> None:
    assert "prefect-helix tag RUN NAME" in helix("tag").stderr
    assert json.loads(helix("tag", "--json").stdout) == []
