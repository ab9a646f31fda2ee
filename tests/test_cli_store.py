"""`store ls|du|gc|rm|verify` over a store that real runs of a flow filled; no Prefect server runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from prefect_helix.cli import app
from prefect_helix.core.errors import StoreError
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Leaf, Lineage, Result, Run, Trace
from prefect_helix.storage import leases
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.codec import encode
from prefect_helix.storage.leases import Lease
from prefect_helix.storage.local import Local
from prefect_helix.storage.store import Store, open_store

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
NOON_US = 1_767_268_800 * SECOND_US  # of 2026-01-01 in UTC

Helix = Callable[..., Outcome]


def trace(task: str, value: Any, day: int, store: Store, **fields: Any) -> Trace:
    """A result of `task`, used on that day of January, whose blob is in the store."""
    encoded = encode(value)
    store.put_blob(encoded)
    values: dict[str, Any] = {
        "key": f"flows:{task}",
        "call": 0,
        "signature": f"{task} {value!r}",
        "fingerprint": f"code of {task}",
        "arguments": (),
        "literals": "",
        "parents": (),
        "wait_for": (),
        "decision": Decision.COMPUTE,
        "reason": "",
        "status": "completed",
        "result": Result("d", True, encoded.size_bytes, "builtins:str", blob=encoded.name),
        "compute_us": 3 * SECOND_US,
        "load_us": None,
        "demanded": False,
        "started_us": NOON_US + (day - 1) * DAY_US,
    }
    return Trace(task=task, **{**values, **fields})


def run(run_id: str, flow: str, day: int, *traces: Trace) -> Lineage:
    at_us = NOON_US + (day - 1) * DAY_US
    values = (flow, f"otter-{day}", "completed", at_us, at_us, {}, {}, None, "auto", "helix", 10**9)
    return Lineage(Run(run_id, *values), traces)  # type: ignore[arg-type]


BIG, SHARED, OLD = "big" * 1_000, "shared" * 100, "old" * 300


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "store")
    catalog = Catalog(store)
    catalog.commit(run("aaaa1111", "census", 1, trace("scan", OLD, 1, store), trace("fit", SHARED, 1, store)))
    catalog.commit(run("bbbb2222", "shop", 2, trace("fit", SHARED, 2, store), trace("plot", BIG, 2, store)))
    return store


@pytest.fixture
def helix(store: Store) -> Helix:
    """Calls the command line over the store; an exception that would be a traceback is raised."""

    def invoke(*arguments: str, exit_code: int = 0, **options: Any) -> Outcome:
        call = ["store", *arguments, "--store", store.url]
        outcome = CliRunner().invoke(app, call, catch_exceptions=False, **options)
        assert outcome.exit_code == exit_code, outcome.output
        return outcome

    return invoke


def kept(store: Store) -> set[str]:
    return {str(store.get_blob(name))[:3] for name in store.blobs()}


def aged(store: Store, folder: str, days: float) -> None:
    for path in (Path(store.url) / folder).rglob("*"):
        os.utime(path, (path.stat().st_mtime - days * 86_400,) * 2)


# -- ls and du -------------------------------------------------------------------------------------------------------


def test_ls_lists_results_by_flow_and_task_the_largest_first(helix: Helix) -> None:
    rows = [line.split() for line in helix("ls").stdout.splitlines()]
    assert [row[:3] for row in rows[1:-1]] == [
        ["shop", "plot", "1"],
        ["census", "scan", "1"],
        ["census", "fit", "1"],
        ["shop", "fit", "1"],
    ]
    assert rows[1][3:] == ["3.1", "kB", "2026-01-02", "3.0", "s"]
    assert rows[-1][:3] == ["4.9", "kB", "in"]


def test_ls_of_one_flow_and_as_json(helix: Helix) -> None:
    found = json.loads(helix("ls", "census", "--json").stdout)
    assert [(one["task"], one["blobs"], one["last_used"][:10]) for one in found] == [
        ("scan", 1, "2026-01-01"),
        ("fit", 1, "2026-01-02"),
    ]
    assert found[0]["size_bytes"] > 900


def test_a_result_of_several_files_is_computed_once_for_all_of_them(helix: Helix, store: Store) -> None:
    parts = [encode(f"{part}" * 900) for part in range(3)]
    leaves = [Leaf("d", True, part.size_bytes, "builtins:str", part.name) for part in parts]
    for part in parts:
        store.put_blob(part)

    def split(day: int, *chosen: Leaf) -> Trace:
        return trace("split", BIG, day, store, result=Result("d", True, 9, "builtins:tuple", b"", leaves=chosen))

    Catalog(store).commit(run("cccc3333", "cut", 3, split(3, *leaves)))
    Catalog(store).commit(run("dddd4444", "cut", 4, split(4, *leaves), split(4, *leaves[1:])))

    (found,) = json.loads(helix("ls", "cut", "--json").stdout)
    assert (found["blobs"], found["compute_us"]) == (3, 6 * SECOND_US)
    store.delete_blob(parts[0].name)
    (found,) = json.loads(helix("ls", "cut", "--json").stdout)
    assert (found["blobs"], found["compute_us"]) == (2, 6 * SECOND_US)


def test_ls_tells_of_results_that_no_run_names(helix: Helix, store: Store) -> None:
    store.put_blob(encode("nobody's"))
    assert "no known run" in helix("ls").stdout


def test_ls_tells_a_flow_without_results_of_its_own_from_one_that_is_not_known(helix: Helix, store: Store) -> None:
    Catalog(store).commit(run("cccc3333", "small", 3))
    assert "holds no results of a flow 'small'" in helix("ls", "small").stderr
    for told in (helix("ls", "censu", exit_code=1), helix("ls", "censu", "--json", exit_code=1)):
        assert "There is no run of a flow 'censu'" in told.stderr
        assert "did you mean census?" in told.stderr


def test_du_tells_what_takes_the_room(helix: Helix, store: Store) -> None:
    found = json.loads(helix("du", "--json").stdout)
    assert found["kinds"].keys() == {"blobs", "lineage"}
    assert found["used_bytes"] == found["kinds"]["blobs"]["size_bytes"] == sum(store.blobs().values())
    assert "2 runs are known" in helix("du").stdout


# -- gc ------------------------------------------------------------------------------------------------------------


def test_gc_of_a_tidy_store_removes_nothing(helix: Helix, store: Store) -> None:
    assert "nothing to remove" in helix("gc").stderr
    assert kept(store) == {"big", "sha", "old"}


def test_gc_shows_asks_and_removes(helix: Helix, store: Store) -> None:
    store.put_blob(encode("nobody's"))
    aged(store, "blobs", 1)
    assert "1 result of no known run" in helix("gc", "--dry-run").stdout
    helix("gc", input="n\n", exit_code=1)
    assert kept(store) == {"big", "sha", "old", "nob"}
    assert "Removed" in helix("gc", input="y\n").stdout
    assert kept(store) == {"big", "sha", "old"}


def test_gc_leaves_what_a_run_may_just_have_written(helix: Helix, store: Store) -> None:
    store.put_blob(encode("nobody's yet"))
    assert "nothing to remove" in helix("gc", "--yes").stderr


def test_gc_of_a_store_that_can_only_be_read_still_shows_what_would_go(
    helix: Helix, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Local, path: str, chunks: Any) -> int:
        raise PermissionError(path)

    monkeypatch.setattr(Local, "write", refuse)
    assert "3 results least recently used" in helix("gc", "--to", "0", "--dry-run").stdout
    assert kept(store) == {"big", "sha", "old"}


def test_gc_to_a_size_removes_the_least_recently_used(helix: Helix, store: Store) -> None:
    found = json.loads(helix("gc", "--to", "4kB", "--yes", "--json").stdout)
    assert ([one["why"] for one in found["results"]], found["removed"]) == (["least recently used"], True)
    assert kept(store) == {"big", "sha"}
    helix("gc", "--to", "0", "--yes")
    assert kept(store) == set()


def test_gc_to_an_age_removes_what_was_not_used_since(helix: Helix, store: Store) -> None:
    helix("gc", "--unused-for", "2026-01-02", "--yes")
    assert kept(store) == {"big", "sha"}


def test_gc_leaves_what_a_running_flow_may_load(helix: Helix, store: Store) -> None:
    (old,) = (name for name in store.blobs() if store.get_blob(name) == OLD)
    leases.beat(store, Lease("running", frozenset({old})))
    helix("gc", "--to", "0", "--yes")
    assert kept(store) == {"old"}
    assert [entry.path for entry in store.list("leases")] == ["leases/running.json"]


def test_gc_leaves_what_a_flow_may_load_that_began_before_it_was_confirmed(
    helix: Helix, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = (name for name in store.blobs() if store.get_blob(name) == OLD)

    def confirm(question: str, **_: Any) -> None:
        leases.beat(store, Lease("begun", frozenset({old})))

    monkeypatch.setattr("typer.confirm", confirm)
    helix("gc", "--to", "0")
    assert kept(store) == {"old"}


def test_nothing_is_removed_while_part_of_the_catalog_cannot_be_read(
    helix: Helix, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, read = store.blobs(), Store.read

    def refuse(self: Store, path: str) -> bytes:
        if path.startswith("lineage/"):
            raise StoreError(self.url, f"read {path}", "TimeoutError")
        return read(self, path)

    monkeypatch.setattr(Store, "read", refuse)
    for call in (["gc", "--yes"], ["rm", "--task", "scan", "--yes"]):
        outcome = helix(*call, exit_code=1)
        assert "Nothing is removed" in outcome.stderr
    assert store.blobs() == blobs


def test_gc_removes_what_killed_runs_left(helix: Helix, store: Store) -> None:
    leases.beat(store, Lease("killed", frozenset({"0" * 32})))
    aged(store, "leases", 1)
    (Path(store.url) / ".aside/half").write_bytes(b"half a result")
    aged(store, ".aside", 2)
    (Path(store.url) / "lineage/9-x.jsonl").write_bytes(b"no lineage")
    assert "2 files of no use" in helix("gc", "--yes").stdout
    assert store.unfinished() == ()
    assert store.list("leases") == []
    assert len(store.list("lineage")) == 2


def test_gc_closes_the_journal_of_a_killed_run_after_a_day(helix: Helix, store: Store) -> None:
    going = run("cccc3333", "shop", 3, trace("fit", SHARED, 3, store))
    Catalog(store).append(replace(going.run, status="running", finished_us=None), going.traces)
    helix("gc", "--yes")
    assert len(store.list("journal")) == 1
    aged(store, "journal", 2)
    leases.beat(store, Lease("cccc3333", frozenset()))
    helix("gc", "--yes")
    assert len(store.list("journal")) == 1
    leases.end(store, "cccc3333")
    helix("gc", "--yes")
    assert store.list("journal") == []
    last = Catalog(store).read().lineages[-1]
    assert (last.run.run_id, last.run.status, len(last.traces)) == ("cccc3333", "crashed", 1)


def test_programs_have_to_agree_beforehand(helix: Helix) -> None:
    assert "Add --yes" in helix("gc", "--to", "0", "--json", exit_code=2).stderr
    assert json.loads(helix("gc", "--to", "0", "--json", "--dry-run").stdout)["removed"] is False
    assert "--to='much'" in helix("gc", "--to", "much", exit_code=2).stderr


def test_a_dry_run_writes_nothing(helix: Helix, store: Store) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (Path(store.url), *Path(store.url).rglob("*"))}

    before = files()
    helix("gc", "--to", "0", "--dry-run")
    helix("rm", "census", "--dry-run")
    assert files() == before


@pytest.mark.parametrize("call", [["gc"], ["gc", "--dry-run"], ["rm", "census"], ["rm", "census", "-n"], ["verify"]])
def test_a_store_that_is_not_there_is_told_and_not_made(tmp_path: Path, call: list[str]) -> None:
    mistyped = tmp_path / "stroe"
    outcome = CliRunner().invoke(app, ["store", *call, "--store", str(mistyped)], catch_exceptions=False)
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert f"There is no store at {mistyped}. Correct the path" in outcome.stderr
    assert not mistyped.exists()


# -- rm --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        (["census"], {"sha", "big"}),
        (["--task", "fit"], {"old", "big"}),
        (["census", "--task", "fit"], {"old", "sha", "big"}),
        (["--run", "aaaa"], {"sha", "big"}),
        (["--run", "aaaa", "--run", "last"], set()),
        (["--task", "plot", "--run", "last"], {"old", "sha"}),
    ],
)
def test_rm_removes_what_is_named_and_nobody_else_gave(
    helix: Helix, store: Store, criteria: list[str], left: set[str]
) -> None:
    helix("rm", *criteria, "--dry-run")
    assert kept(store) == {"old", "sha", "big"}
    helix("rm", *criteria, "--yes")
    assert kept(store) == left


def test_rm_says_what_it_does_not_know(helix: Helix) -> None:
    assert "Say which" in helix("rm", exit_code=2).stderr
    assert "did you mean census?" in helix("rm", "censu", exit_code=1).stderr
    assert "did you mean plot?" in helix("rm", "--task", "plt", exit_code=1).stderr


def test_rm_leaves_what_a_running_flow_may_load(helix: Helix, store: Store) -> None:
    leases.beat(store, Lease("running", frozenset(store.blobs())))
    assert "Left in place: 1 result that a running flow may load." in helix("rm", "--task", "plot", "--yes").stderr
    assert kept(store) == {"old", "sha", "big"}


# -- verify ----------------------------------------------------------------------------------------------------------


def test_verify_reads_every_byte(helix: Helix, store: Store) -> None:
    assert "3 results read, 4.9 kB: none damaged." in helix("verify").stdout
    (big,) = (name for name in store.blobs() if store.get_blob(name) == BIG)
    path = Path(store.url) / "blobs" / big[:2] / big
    data = bytearray(path.read_bytes())
    data[2_000] ^= 1
    path.write_bytes(data)
    found = json.loads(helix("verify", "--json", exit_code=1).stdout)
    assert found["damaged"].keys() == {big}
    assert kept_names(store) >= {big}
    helix("verify", "--remove", "--yes", exit_code=1)
    assert big not in kept_names(store)
    helix("verify")


def kept_names(store: Store) -> set[str]:
    return set(store.blobs())


FLOW = """
import datetime

from prefect import get_run_logger
from prefect_helix import helix_flow, helix_task

FACTOR = {factor}

@helix_task
def rows(count: int, step: float = 0.5) -> list[float]:
    return [i * step for i in range(count)]

@helix_task
def total(rows: list[float], power: int) -> float:
    return sum(row ** power for row in rows) * hidden()

@helix_task(deterministic=False)
def dice() -> int:
    return 4

@helix_task(max_age=datetime.timedelta(days=1))
def rate() -> int:
    return 1

@helix_task
def scaled(x: int, /, *more: int, **options: int) -> int:
    get_run_logger().info("scaling")
    return x * sum(more) + options["plus"]

@helix_flow(policy="always")
def sums():
    return rate() * total(rows(1000), 2) + dice() + scaled(1, 2, 3, plus=-5)

def hidden():
    import os
    return int(os.environ.get("HIDDEN", "1"))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: str) -> Iterator[Path]:
    """A flow's file, after the flow ran once."""
    path = tmp_path / "sums_flow.py"
    path.write_text(FLOW.format(factor=1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", str(tmp_path / "sums-store"))
    import sums_flow  # noqa: PLC0415

    assert sums_flow.sums() == sum((i * 0.5) ** 2 for i in range(1000)) + 4
    del sys.modules["sums_flow"]
    yield path
    sys.modules.pop("sums_flow", None)


def verified(*arguments: str, exit_code: int = 0) -> dict[str, str]:
    call = ["store", "verify", "--recompute", *arguments, "--json"]
    outcome = CliRunner().invoke(app, call, catch_exceptions=False)
    assert outcome.exit_code == exit_code, outcome.output
    return {one["task"]: one["told"] for one in json.loads(outcome.stdout)["recomputed"]}


def test_verify_computes_results_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = verified("9", f"{project}:sums")
    assert told == {
        "rows": "the same",
        "total": "the same",
        "scaled": "the same",
        "dice": "not compared: it is declared not to be deterministic",
        "rate": "not compared: it is declared to be right for a while only",
    }
    assert sum("not compared" not in one for one in verified("1", f"{project}:sums").values()) == 1
    told_to_people = CliRunner().invoke(app, ["store", "verify", "--recompute", "9", f"{project}:sums"])
    assert "Only 3 of 9 could be computed again" in told_to_people.stderr
    monkeypatch.setenv("HIDDEN", "2")
    told = verified("9", f"{project}:sums", exit_code=1)["total"]
    assert told == "another result: recorded 83208375.0, now 166416750.0 (+8.321e+07)"


def test_verify_needs_the_flow_to_compute_again(helix: Helix) -> None:
    assert "Name the flow" in helix("verify", "--recompute", "3", exit_code=2).stderr
