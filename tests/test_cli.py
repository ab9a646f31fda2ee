"""The command line over stores whose lineages are written by hand; no Prefect server runs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from prefect.flows import Flow, load_flow_from_entrypoint
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from prefect_helix.answers import answer
from prefect_helix.archive import read_archive
from prefect_helix.cli import app
from prefect_helix.core.digest import digest
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, ParentLink, Result, Run, Trace
from prefect_helix.core.signature import literals_hash
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.codec import encode
from prefect_helix.storage.store import open_store

SECOND_US = 1_000_000
NEW_YEAR_US = 1_767_268_800 * SECOND_US  # noon of 2026-01-01 in UTC, so that it is that day nearly everywhere
OLD, NEW = "0a1b2c3d-0000-4000-8000-000000000001", "9f8e7d6c-0000-4000-8000-000000000002"

COMPUTE, LOAD, PRUNE = Decision


def call(task: str, *, digest: str = "d", exact: bool = True, **fields: Any) -> Trace:
    """A call that was computed in one second, unless told otherwise."""
    values: dict[str, Any] = {
        "key": f"flows:{task}",
        "call": 0,
        "signature": task,
        "fingerprint": "code",
        "arguments": (),
        "literals": "",
        "parents": (),
        "wait_for": (),
        "decision": COMPUTE,
        "reason": "because",
        "status": "completed",
        "result": Result(digest, exact, 2_000, "builtins:list"),
        "compute_us": SECOND_US,
        "load_us": SECOND_US // 10,
        "demanded": False,
        "started_us": NEW_YEAR_US,
        "computed_at_us": NEW_YEAR_US,
        "stored": True,
    }
    return Trace(task=task, **{**values, **fields})


def takes(parent: Trace, parameter: str = "rows") -> tuple[ParentLink, ...]:
    assert parent.result is not None
    return (ParentLink(parent.signature, None, parent.result.digest, parent.result.exact, parameter),)


def run(run_id: str, traces: Sequence[Trace] = (), *, day: int = 1, **fields: Any) -> Lineage:
    """A completed run of "census" on that day of January, with parameters given as {name: shown}."""
    shown = fields.pop("parameters", {})
    values: dict[str, Any] = {
        "run_id": run_id,
        "flow": "census",
        "name": f"otter-{day}",
        "status": "completed",
        "started_us": NEW_YEAR_US + day * 86_400 * SECOND_US,
        "finished_us": None,
        "parameters": shown,
        "shown_parameters": shown,
        "prior_run_id": None,
        "mode": "auto",
        "policy": "helix",
        "budget_bytes": 10**10,
    }
    return Lineage(Run(**{**values, **fields}), tuple(traces))


def words(text: str) -> str:
    """The text with one space for any white space."""
    return " ".join(text.split())


Commit = Callable[..., Catalog]
Helix = Callable[..., Outcome]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def commit(store: Path) -> Commit:
    """Writes runs to the store."""

    def write(*lineages: Lineage) -> Catalog:
        catalog = Catalog(open_store(store))
        for lineage in lineages:
            catalog.commit(lineage)
        return catalog

    return write


@pytest.fixture
def helix(store: Path) -> Helix:
    """Calls the command line over the store; an exception that would be a traceback is raised."""

    def invoke(*arguments: str, exit_code: int = 0, **options: Any) -> Outcome:
        outcome = CliRunner().invoke(app, [*arguments, "--store", str(store)], catch_exceptions=False, **options)
        assert outcome.exit_code == exit_code, outcome.output
        return outcome

    return invoke


# -- runs ------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_with_what_changed_and_what_it_saved(commit: Commit, helix: Helix) -> None:
    commit(
        run(OLD, [call("scan"), call("fit", call=1)], day=1, parameters={"reg": "0.1"}),
        run(
            NEW,
            [call("scan", decision=PRUNE), call("fit", call=1, fingerprint="new", signature="fit'")],
            day=2,
            parameters={"reg": "0.5"},
            metrics={"accuracy": 0.8451, "f1": 0.5, "auc": 0.9, "loss": 1.0},
        ),
    )
    assert [words(line) for line in helix("runs").stdout.splitlines()] == [
        "run flow when compute load prune time saved",
        "9f8e7d6c census 2026-01-03 1 0 1 1.0 s 1.0 s",
        "reg 0.1 → 0.5; code of fit",
        "accuracy 0.8451, f1 0.5, auc 0.9, …",
        "0a1b2c3d census 2026-01-02 2 0 0 2.0 s 0 s",
        "first run",
    ]


def test_a_run_that_did_not_complete_says_so(commit: Commit, helix: Helix) -> None:
    commit(run(OLD, status="crashed"))
    assert "crashed; first run" in helix("runs").stdout


def test_runs_of_one_flow_are_chosen_by_its_name(commit: Commit, helix: Helix) -> None:
    commit(run(OLD), run(NEW, flow="genomics"))
    assert [one["run_id"] for one in json.loads(helix("runs", "genomics", "--json").stdout)] == [NEW]
    assert "did you mean genomics?" in helix("runs", "genomic", exit_code=1).stderr


def test_older_runs_than_asked_for_are_counted(commit: Commit, helix: Helix) -> None:
    commit(run(OLD, day=1), run(NEW, day=2))
    listed = helix("runs", "-n", "1")
    assert "9f8e7d6c" in listed.stdout
    assert "0a1b2c3d" not in listed.stdout
    assert listed.stderr == "1 older runs are not shown; see them with --limit.\n"


def test_a_store_without_runs_is_no_error(helix: Helix, store: Path) -> None:
    told = f"The store {store} holds no runs yet. If a flow has a store of its own, name that with --store.\n"
    assert helix("runs").stderr == told
    assert helix("runs", "--json").stdout == "[]\n"


def test_json_of_runs_has_every_fact_and_only_numbers_that_json_has(commit: Commit, helix: Helix) -> None:
    commit(run(OLD, [call("fit")], metrics={"loss": float("nan")}, problems=("The store is full.",)))
    (one,) = json.loads(helix("runs", "--json").stdout, parse_constant=pytest.fail)
    assert one == {
        "run_id": OLD,
        "flow": "census",
        "name": "otter-1",
        "parent_run_id": None,
        "status": "completed",
        "started": "2026-01-02T12:00:00.000+00:00",
        "finished": None,
        "mode": "auto",
        "policy": "helix",
        "budget_bytes": 10**10,
        "parameters": {},
        "compared_with": None,
        "changed": "first run",
        "changes": [],
        "more_changes": 0,
        "decisions": {"compute": 1, "load": 0, "prune": 0},
        "failed": 0,
        "predicted_us": None,
        "cost_us": SECOND_US,
        "saved_us": 0,
        "scratch_us": SECOND_US,
        "added_bytes": None,
        "metrics": {"loss": None},
        "tags": [],
        "notes": [],
        "problems": ["The store is full."],
    }


# -- names of runs and steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (NEW, NEW),
        ("9f8", NEW),
        ("9F8E7D6C", NEW),
        ("otter-1", OLD),
        ("last", NEW),
        ("last~0", NEW),
        ("last~1", OLD),
    ],
)
def test_a_run_goes_by_its_id_or_the_beginning_of_it_its_name_or_its_age(
    commit: Commit, helix: Helix, name: str, found: str
) -> None:
    commit(run(OLD, day=1), run(NEW, day=2))
    assert json.loads(helix("show", name, "--json").stdout)["run_id"] == found


def test_a_name_goes_before_the_beginning_of_an_id(commit: Commit, helix: Helix) -> None:
    commit(run(OLD), run(NEW, name=OLD[:4]))
    assert json.loads(helix("show", OLD[:4], "--json").stdout)["run_id"] == NEW


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("last~3", "There is no run 'last~3'; the store"),
        ("otter-11", "There is no run 'otter-11'; did you mean otter-1"),
        ("0a1b2c3e", "did you mean 0a1b2c3d?"),
        ("", "There is no run ''."),
        ("otter-3", "'otter-3' names 2 runs: "),
    ],
)
def test_a_run_that_is_not_there_or_not_the_only_one_is_an_error(
    commit: Commit, helix: Helix, name: str, told: str
) -> None:
    commit(run(OLD, day=1), run(NEW, name="otter-3"), run("77", name="otter-3"))
    outcome = helix("show", name, exit_code=1)
    assert outcome.stdout == ""
    assert told in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_ids_are_shown_as_long_as_they_must_be(commit: Commit, helix: Helix) -> None:
    commit(run("12345678-aa"), run("12345678-ab"), run("f"))
    assert "names 2 runs: 12345678-ab (2026-01-02 12:00:00), 12345678-aa (2026-01-02 12:00:00)." in (
        helix("show", "1234", exit_code=1).stderr
    )


def test_what_runs_are_called_is_worked_out_once_for_a_store(commit: Commit, store: Path) -> None:
    commit(run(OLD, day=1), run(NEW, day=2))
    archive = read_archive(resolve(FlowOptions(store=store)))
    assert archive.short_ids is archive.short_ids
    assert archive.short_ids == {OLD: "0a1b2c3d", NEW: "9f8e7d6c"}


def test_a_step_that_is_not_there_is_answered_with_those_that_are(commit: Commit, helix: Helix) -> None:
    commit(run(OLD, [call("scan"), call("fit", call=1)]))
    assert "did you mean fit? Its tasks are scan, fit." in helix("why", "last", "fitt", exit_code=1).stderr


# -- show ------------------------------------------------------------------------------------------------------------


def test_a_subflow_is_shown_with_its_caller_and_a_caller_with_its_subflows(commit: Commit, helix: Helix) -> None:
    other = "77777777-0000-4000-8000-000000000003"
    commit(
        run(OLD, day=1),
        run(NEW, day=2, flow="clean", parent_run_id=OLD),
        run(other, day=3, flow="fit", parent_run_id=OLD),
    )
    assert "calls clean 9f8e7d6c, fit 77777777 " in words(helix("show", OLD).stdout)
    assert "called by census 0a1b2c3d " in words(helix("show", NEW).stdout)
    assert "called by" not in helix("show", OLD).stdout
    assert [one["parent_run_id"] for one in json.loads(helix("runs", "--json").stdout)] == [OLD, OLD, None]


def test_a_run_is_shown_with_its_steps_in_call_order(commit: Commit, helix: Helix) -> None:
    commit(
        run(
            OLD,
            [
                call("scan", decision=LOAD, reason="unchanged, and needed"),
                call("fit", call=1, signature="a", reason="the code of fit changed"),
                call("fit", call=2, signature="b", status="failed", result=None, compute_us=None),
            ],
            metrics={"accuracy": 0.8},
            versions={"python": "3.12.1"},
            problems=("The store is full.",),
            parameters={"reg": "0.5"},
        )
    )
    text = words(helix("show", "last").stdout)
    assert text.startswith("0a1b2c3d census otter-1 completed")
    for part in (
        "parameters reg=0.5",
        "metrics accuracy 0.8",
        "versions python 3.12.1",
        "problem The store is full.",
        "scan load 100 ms 900 ms 2.0 kB unchanged, and needed",
        "fit#1 compute 1.0 s 2.0 kB the code of fit changed",
        "fit#2 failed unknown because",
    ):
        assert part in text
    assert text.index("scan load") < text.index("fit#1 compute") < text.index("fit#2 failed")


def test_many_calls_that_went_alike_are_one_line_with_their_sums(commit: Commit, helix: Helix) -> None:
    fits = [call("fit", call=i, signature=str(i), reason="input rows changed") for i in range(7)]
    spared = [call("fit", call=7, signature="7", decision=PRUNE), *(call(f"t{i}", call=8 + i) for i in range(6))]
    commit(run(OLD, [*fits, *spared, *(call("few", call=14 + i, signature=f"few{i}") for i in range(4))]))
    lines = [words(line) for line in helix("show", "last").stdout.splitlines()]
    assert "fit#1 to #7 compute 7.0 s 14 kB input rows changed" in lines
    assert "fit#8 prune 1.0 s 2.0 kB because" in lines
    assert [line.split()[0] for line in lines[-4:]] == ["few#1", "few#2", "few#3", "few#4"]


def test_json_of_a_run_has_its_steps_and_their_edges(commit: Commit, helix: Helix) -> None:
    scan = call("scan")
    fit = call("fit", call=1, parents=takes(scan), arguments=(Argument("reg", "d", shown="0.5"),))
    commit(run(OLD, [scan, fit]))
    assert json.loads(helix("show", "last", "--json").stdout)["steps"][1] == {
        "step": "fit",
        "task": "fit",
        "call": 1,
        "decision": "compute",
        "reason": "because",
        "status": "completed",
        "cost_us": SECOND_US,
        "saved_us": 0,
        "compute_us": SECOND_US,
        "size_bytes": 2_000,
        "stored": True,
        "inputs": ["scan"],
        "arguments": {"reg": "0.5"},
        "code": "code",
        "task_run_id": None,
    }


@pytest.mark.parametrize("verb", [["runs"], ["show", "last"], ["why", "last", "t" * 90]])
def test_what_is_printed_fits_eighty_columns_and_has_no_control_characters(
    commit: Commit, helix: Helix, verb: list[str]
) -> None:
    long = "\x1b[31m" + "word " * 60
    arguments = (Argument("p" * 50, "d", shown=long),)
    metrics = {"m" * 90: 0.123456789e-200}
    commit(
        run(OLD, [call("t" * 90, reason=long)], flow="f" * 90, day=1),
        run(
            NEW,
            [call("t" * 90, signature="s", reason=long, arguments=arguments, compute_us=10**13)],
            flow="f" * 90,
            day=2,
            parameters={"p": long},
            metrics=metrics,
        ),
    )
    text = helix(*verb).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


@pytest.mark.parametrize(("env", "coloured"), [({"FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1"}, False), ({}, False)])
def test_colour_is_for_terminals_and_for_those_who_want_it(
    commit: Commit, helix: Helix, env: dict[str, str], coloured: bool
) -> None:
    commit(run(OLD, [call("fit")]))
    text = helix("show", "last", env={"FORCE_COLOR": None, "NO_COLOR": None, "TERM": "xterm", **env}).stdout
    assert ("\x1b[33mcompute" in text) is coloured


# -- why -------------------------------------------------------------------------------------------------------------

scan, fit = call("scan"), call("fit", call=1)
rescanned = call("scan", digest="other", signature="scan'", fingerprint="new")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(
            [call("fit", arguments=(Argument("reg", "1", shown="0.1"),))],
            [call("fit", arguments=(Argument("reg", "2", shown="0.5"),))],
            "• argument reg changed: 0.1 → 0.5",
            id="argument",
        ),
        pytest.param(
            [call("fit", arguments=(Argument("source", "1", "file", "a.csv"),))],
            [call("fit", arguments=(Argument("source", "2", "file", "a.csv"),))],
            "• the content of a.csv changed: 1 → 2",
            id="file",
        ),
        pytest.param(
            [call("fit", arguments=(Argument("source", "1", "file", "a.csv", size_bytes=1_200),))],
            [call("fit", arguments=(Argument("source", "2", "file", "a.csv", size_bytes=1_300),))],
            "• the content of a.csv changed: 1,200 bytes → 1,300 bytes",
            id="file of another size",
        ),
        pytest.param(
            [call("fit", arguments=(Argument("rows", "1", "flow_parameter", "n", "3"),))],
            [call("fit", arguments=(Argument("rows", "2", "flow_parameter", "n", "4"),))],
            "• flow parameter n changed: 3 → 4",
            id="flow parameter",
        ),
        pytest.param(
            [scan, call("fit", parents=takes(scan))],
            [rescanned, call("fit", call=1, parents=takes(rescanned))],
            "• the code of scan changed; what changed in it is not recorded how that reaches fit: scan → fit",
            id="input",
        ),
        pytest.param(
            [scan, call("fit", parents=takes(scan))],
            [call("scan", digest="other"), call("fit", call=1, parents=takes(call("scan", digest="other")))],
            "• scan gave another result for the same code and inputs how that reaches fit: scan → fit",
            id="nondeterministic input",
        ),
        pytest.param(
            [call("fit", deterministic=False)],
            [call("fit", deterministic=False)],
            "• fit is declared not to be deterministic",
            id="declared",
        ),
        *(
            pytest.param(
                [call("fit", stored=stored)],
                [call("fit", reason="unchanged, but not stored")],
                "• Nothing changed, but its result was not stored and was needed.",
                id=f"evicted, {stored}",
            )
            for stored in (False, True)
        ),
        pytest.param(
            [call("fit", stored=False)],
            [call("fit", reason="its earlier result was revoked on 2026-01-02 (bad disk)")],
            "• Nothing of the call changed. The run said: its earlier result was revoked on 2026-01-02 (bad disk).",
            id="revoked",
        ),
        pytest.param([call("fit", status="failed")], [fit], "• It failed in the run before.", id="failed"),
        pytest.param(
            [call("fit", changed_inputs=("rows",))], [fit], "It changes its argument rows in place", id="mutation"
        ),
        pytest.param(
            [fit], [call("fit", reason="its result is past its max_age")], "is past its max_age.", id="max_age"
        ),
        pytest.param(
            [scan, call("fit", wait_for=("scan",))],
            [scan, call("fit", call=1, wait_for=("scan",))],
            "It waits for scan, and that was computed.",
            id="waits",
        ),
        pytest.param([scan], [call("fit")], "• No earlier run of census called it.", id="first call"),
    ],
)
def test_a_computed_step_is_explained(
    commit: Commit, helix: Helix, before: list[Trace], after: list[Trace], told: str
) -> None:
    commit(run(OLD, before, day=1), run(NEW, after, day=2))
    text = words(helix("why", "last", "fit").stdout)
    assert text.startswith("fit in run 9f8e7d6c of census, 2026-01-03: computed in 1.0 s")
    assert told in text


def test_the_mode_that_computes_every_step_is_named(commit: Commit, helix: Helix) -> None:
    commit(run(OLD, [fit], day=1), run(NEW, [fit], day=2, mode="recompute"))
    assert helix("why", "last", "fit").stdout.splitlines()[2:] == ["• The run's mode 'recompute' computes every step."]


def component(name: str, source: str | None = None, kind: Any = "function", **fields: Any) -> Component:
    values = {"hash": str(source), "file": "/src/features.py", "line": 41, "source": source}
    return Component(name, kind, **{**values, **fields})


def test_changed_code_is_shown_part_by_part_with_a_diff(commit: Commit, helix: Helix) -> None:
    catalog = commit(run(OLD, [fit], day=1), run(NEW, [call("fit", fingerprint="new")], day=2))
    same = component("features.same", "def same(): ...")
    old = [component("features.clean", "def clean(x):\n    return x"), component("features.S", "3", "constant"), same]
    new = [component("features.clean", "def clean(x):\n    return -x"), component("features.S", "4", "constant"), same]
    for name, parts, numpy in (("code", old, "2.3"), ("new", new, "2.4")):
        library = component(f"numpy {numpy}", None, "distribution", hash=numpy)
        catalog.put_document("code", name, {"components": [asdict(part) for part in (library, *parts)]})
    assert helix("why", "last", "fit").stdout.splitlines()[2:] == [
        "• clean() in features.py:41 changed, used by fit",
        "    @@ -41,2 +41,2 @@",
        "     def clean(x):",
        "    -    return x",
        "    +    return -x",
        "• features.S: 3 → 4, used by fit",
        "• numpy 2.3 → 2.4, used by fit",
    ]
    code = json.loads(helix("why", "last", "fit", "--json").stdout)["code"]
    assert [part["text"] for part in code] == [
        "clean() in features.py:41 changed",
        "features.S: 3 → 4",
        "numpy 2.3 → 2.4",
    ]
    assert code[0]["diff"][-1] == "+    return -x"
    assert code[0]["used_by"] == {"fit": []}


def test_code_that_several_inputs_use_is_shown_once_with_all_that_use_it(commit: Commit, helix: Helix) -> None:
    def calls(mark: str) -> list[Trace]:
        left = call("left", digest=f"l{mark}", signature=f"left{mark}", fingerprint=f"left{mark}")
        right = call("right", call=1, digest=f"r{mark}", signature=f"right{mark}", fingerprint=f"right{mark}")
        return [left, right, call("join", call=2, parents=(*takes(left, "a"), *takes(right, "b")), signature=mark)]

    catalog = commit(run(OLD, calls("1"), day=1), run(NEW, calls("2"), day=2))
    for task in ("left", "right"):
        for mark in "12":
            own = component(f"flows.{task}", f"def {task}(): ...")
            helper = component("features.clean", f"return {mark}", via="features.scan")
            parts = [own, component("features.scan", "scan", via=f"flows.{task}"), helper]
            catalog.put_document("code", f"{task}{mark}", {"components": [asdict(part) for part in parts]})
    text = helix("why", "last", "join").stdout
    assert text.count("+return 2") == 1
    assert "clean() in features.py:41 changed, used by left and right through scan()" in words(text)
    assert text.endswith("how that reaches join:\n    left → join\n    right → join\n")


def test_a_small_result_that_comes_back_as_an_argument_is_followed_to_its_step(commit: Commit, helix: Helix) -> None:
    def calls(mark: str) -> list[Trace]:
        arguments = (Argument("slope", mark, shown=f"{mark}.0"),)
        return [
            call("fit", digest=mark, signature=f"fit{mark}", fingerprint=f"fit{mark}"),
            call("score", call=1, signature=f"score{mark}", arguments=arguments),
        ]

    commit(run(OLD, calls("1"), day=1), run(NEW, calls("2"), day=2))
    assert helix("why", "last", "score").stdout.splitlines()[2:] == [
        "• the code of fit changed; what changed in it is not recorded",
        "how that reaches score:",
        "    fit → score",
    ]
    assert "\n          code of fit\n" in helix("runs").stdout


def test_what_came_and_went_is_told_by_name(commit: Commit, helix: Helix) -> None:
    catalog = commit(run(OLD, [fit], day=1), run(NEW, [call("fit", fingerprint="new")], day=2))
    for name, parts in (("code", ["a"]), ("new", [f"b{i}" for i in range(9)])):
        components = [component(f"features.{part}", part) for part in parts]
        catalog.put_document("code", name, {"components": [asdict(part) for part in components]})
    text = words(helix("why", "last", "fit").stdout)
    assert "• fit now also uses b0() in features.py:41, b1() in features.py:41, " in text
    assert text.endswith("and 3 more • fit no longer uses a() in features.py:41")


def test_a_long_diff_and_many_changes_are_cut_and_say_so(commit: Commit, helix: Helix) -> None:
    catalog = commit(run(OLD, [fit], day=1), run(NEW, [call("fit", fingerprint="new")], day=2))
    for name, word in (("code", "x"), ("new", "y")):
        long = component("features.long", "\n".join(f"{word} {i}" for i in range(50)))
        many = [component(f"features.S{i}", f"{word}{i}", "constant") for i in range(30)]
        catalog.put_document("code", name, {"components": [asdict(part) for part in (long, *many)]})
    lines = helix("why", "last", "fit").stdout.splitlines()
    assert "    and 41 more lines; --json has them all" in lines
    assert lines[-1] == "• and 11 more; --json has them all"


def test_code_of_another_format_is_code_that_is_not_recorded(commit: Commit, helix: Helix) -> None:
    catalog = commit(run(OLD, [fit], day=1), run(NEW, [call("fit", fingerprint="new")], day=2))
    catalog.put_document("code", "code", {"components": []})
    catalog.put_document("code", "new", {"components": [{"title": "?"}]})
    assert "what changed in it is not recorded" in helix("why", "last", "fit").stdout


def test_a_step_is_compared_with_the_run_it_was_planned_from(commit: Commit, helix: Helix) -> None:
    unlike = call("fit", arguments=(Argument("reg", "9"),), signature="other")
    commit(run(OLD, [fit], day=1), run("77", [unlike], day=2), run(NEW, [unlike], day=3, prior_run_id=OLD))
    assert json.loads(helix("why", "last", "fit", "--json").stdout)["compared_with"] == OLD


def test_a_step_that_the_prior_run_did_not_call_is_compared_with_an_earlier_run(commit: Commit, helix: Helix) -> None:
    other = run("88", [fit], day=2, flow="genomics")
    commit(run(OLD, [fit], day=1), run("77", [scan], day=2), other, run(NEW, [fit], day=3, prior_run_id="77"))
    assert json.loads(helix("why", "last", "fit", "--json").stdout)["compared_with"] == OLD


def test_a_step_that_no_run_has_called_is_told_without_a_look_at_their_other_steps(commit: Commit, store: Path) -> None:
    others = [call("scan"), call("clean", call=1)]
    earlier = [run(f"{number:08}", others, started_us=NEW_YEAR_US + number) for number in range(40)]
    commit(*earlier, run(NEW, [call("fit")], day=2))
    archive = read_archive(resolve(FlowOptions(store=store)))
    lineage = archive.run("last")
    assert answer(archive, lineage, lineage.traces[0]).notes == ("No earlier run of census called it.",)
    assert archive.catalog.decoded == 0


@pytest.mark.parametrize("decision", [LOAD, PRUNE])
def test_a_step_that_was_spared_is_told_with_its_origin_and_what_that_saved(
    commit: Commit, helix: Helix, decision: Decision
) -> None:
    reason = "unchanged, and not needed"
    again = call("fit", computed_at_us=NEW_YEAR_US + 1)
    spared = call("fit", decision=decision, reason=reason)
    commit(run(OLD, [fit], day=1), run("77", [again], day=2), run(NEW, [spared], day=3))
    text = helix("why", "last", "fit").stdout
    assert "• Unchanged, and not needed.\n" in text
    assert "• Its result is the one that run 0a1b2c3d computed, 2026-01-02.\n" in text
    assert f"• Saved {'900 ms' if decision is LOAD else '1.0 s'}.\n" in text
    answer = json.loads(helix("why", "last", "fit", "--json").stdout)
    assert (answer["computed_in"], answer["causes"]) == (OLD, [])


def test_a_long_chain_of_causes_stays_readable(commit: Commit, helix: Helix) -> None:
    def chain(mark: str) -> list[Trace]:
        calls = [call("s0", digest=mark, signature=f"0{mark}", fingerprint=mark)]
        for i in range(1, 40):
            calls.append(call(f"s{i}", call=i, digest=mark, signature=f"{i}{mark}", parents=takes(calls[-1])))
        return calls

    commit(run(OLD, chain("a"), day=1), run(NEW, chain("b"), day=2))
    assert helix("why", "last", "s39").stdout.splitlines()[2:] == [
        "• the code of s0 changed; what changed in it is not recorded",
        "how that reaches s39:",
        "    s0 → s1 → s2 → 34 more → s37 → s38 → s39",
    ]


def test_of_several_calls_the_computed_one_is_explained_unless_one_is_named(commit: Commit, helix: Helix) -> None:
    calls = [call("fit", call=i, signature=str(i), decision=PRUNE if i == 0 else COMPUTE) for i in range(3)]
    commit(run(OLD, calls))
    assert helix("why", "last", "fit").stdout.startswith("fit#2 ")
    assert "fit was called 3 times" in helix("why", "last", "fit").stdout
    assert helix("why", "last", "fit#1").stdout.startswith("fit#1 ")


def test_equal_calls_go_by_their_own_names_and_the_first_is_the_input(commit: Commit, helix: Helix) -> None:
    scan = call("scan")
    commit(run(OLD, [scan, call("clean", call=1, parents=takes(scan)), call("scan", call=2)]))
    for name in ("scan#1", "scan#2"):
        assert helix("why", "last", name).stdout.startswith(f"{name} ")
        assert json.loads(helix("why", "last", name, "--json").stdout)["step"] == name
    assert json.loads(helix("show", "last", "--json").stdout)["steps"][1]["inputs"] == ["scan#1"]


# -- what can go wrong -----------------------------------------------------------------------------------------------


def test_a_screen_that_does_not_have_every_character_gets_others(commit: Commit, store: Path) -> None:
    commit(run(OLD, day=1, parameters={"reg": "0.1"}), run(NEW, day=2, parameters={"reg": "0.5"}))
    screen = CliRunner(charset="latin-1")
    listed = screen.invoke(app, ["runs", "--store", str(store)], catch_exceptions=False)
    assert "reg 0.1 ? 0.5" in listed.stdout
    told = screen.invoke(app, ["runs", "--json", "--store", str(store)], catch_exceptions=False)
    assert json.loads(told.stdout)[0]["changed"] == "reg 0.1 → 0.5"


@pytest.mark.parametrize("verb", [["runs"], ["show", "last"], ["why", "last", "fit"]])
def test_a_damaged_lineage_is_a_warning_and_the_rest_is_shown(
    commit: Commit, helix: Helix, store: Path, verb: list[str]
) -> None:
    commit(run(OLD, [scan, fit], day=1), run(NEW, [scan, fit], day=2))
    damaged = store / "lineage" / f"{run(OLD, day=1).run.started_us:020}-{OLD}.jsonl"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    outcome = helix(*verb)
    assert outcome.stderr.startswith("warning: lineage/")
    assert "1 of 2 traces can be read" in outcome.stderr
    assert "9f8e7d6c" in outcome.stdout


def test_a_store_that_cannot_be_read_is_one_line(helix: Helix, store: Path) -> None:
    store.write_text("a file")
    outcome = helix("runs", exit_code=1)
    assert outcome.stderr.startswith("error: The store ")
    assert outcome.stderr.count("\n") == 1


def test_a_store_that_makes_no_sense_is_bad_usage() -> None:
    outcome = CliRunner().invoke(app, ["runs", "--store", "nosuchscheme://x"])
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("error: store=")


def test_without_a_store_the_settings_name_it(commit: Commit, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(run(OLD))
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", str(store))
    assert "0a1b2c3d" in CliRunner().invoke(app, ["runs"]).stdout


# -- plan ------------------------------------------------------------------------------------------------------------

FLOW = """
from prefect_helix import helix_flow, helix_task

print("loaded")

@helix_task
def scan(n: int) -> list:
    raise AssertionError("a plan computes nothing")

@helix_task
def fit(rows: list, reg: float) -> list:
    raise AssertionError("a plan computes nothing")

@helix_task
def score(model: list) -> float:
    raise AssertionError("a plan computes nothing")

@helix_flow{options}
def census(n: int, reg: float = 0.1):
    score(fit(scan(n), reg))
"""


@pytest.fixture
def flow_file(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file with the flow census, made by helix_flow with the options that the test is parametrised with."""
    path = tmp_path / "planned_census.py"
    path.write_text(FLOW.format(options=getattr(request, "param", "")))
    yield path
    sys.modules.pop("planned_census", None)


@pytest.fixture
def planned(commit: Commit, store: Path, flow_file: Path) -> str:
    """The entrypoint of a flow that ran once with n=3 and reg=0.1, its scan stored; fit's code is not what it was."""
    module = load_flow_from_entrypoint(f"{flow_file}:census").fn.__globals__
    del sys.modules["planned_census"]
    rows, n = encode([0, 1, 2] * 50_000), Argument("n", digest(3).hex, "flow_parameter", "n", "3")
    open_store(store).put_blob(rows)
    scanned = call(
        "scan",
        key="planned_census:scan",
        fingerprint=module["scan"].spec().fingerprint,
        arguments=(n,),
        literals=literals_hash([n]),
        result=Result("rows", True, rows.size_bytes, "builtins:list", blob=rows.name),
        compute_us=60 * SECOND_US,
    )
    reg = Argument("reg", digest(0.1).hex, "flow_parameter", "reg", "0.1")
    fitted = call(
        "fit",
        call=1,
        key="planned_census:fit",
        arguments=(reg,),
        parents=takes(scanned),
        stored=False,
        compute_us=SECOND_US,
    )
    scored = call(
        "score",
        call=2,
        key="planned_census:score",
        fingerprint=module["score"].spec().fingerprint,
        literals=literals_hash([]),
        parents=takes(fitted, "model"),
        stored=False,
    )
    parameters = {"n": digest(3).hex, "reg": digest(0.1).hex}
    commit(run(OLD, [scanned, fitted, scored], parameters=parameters))
    return f"{flow_file}:census"


def test_a_plan_has_each_step_with_decision_cost_and_reason(helix: Helix, planned: str) -> None:
    outcome = helix("plan", planned, "-p", "n=3")
    first, _, *table = outcome.stdout.splitlines()
    assert first == "helix: 3 steps: compute 2, load 1, prune 0; about 2.0 s instead of 62 s"
    text = words(" ".join(table))
    assert text.startswith("step decision cost saved size reason scan load ")
    assert "unchanged, and needed fit compute 1.0 s the code of fit changed score compute" in text
    steps, results = text.split(" stored result of used size load without it later, on average ")
    assert steps.endswith("input model changed; spared if that comes out as before")
    assert re.fullmatch(r"scan yes 300 kB 1\.1 ms \+60 s \+\d+ s", results)
    assert outcome.stderr == "loaded\n"


def test_a_plan_follows_the_parameters_given_and_says_what_may_yet_be_spared(helix: Helix, planned: str) -> None:
    plan = json.loads(helix("plan", planned, "-p", "n=4", "-p", "reg=0.1", "--json").stdout)
    assert [step["decision"] for step in plan["steps"]] == ["compute"] * 3
    assert plan["steps"][0]["reason"].startswith("argument n changed")
    assert (plan["flow"], plan["prior_run_id"], plan["predicted_us"]) == ("census", OLD, 62 * SECOND_US)


def test_a_task_of_another_file_is_no_earlier_version_of_one_with_its_name(
    helix: Helix, planned: str, commit: Commit
) -> None:
    commit(run(NEW, [call("fit", key="evaluation:fit", fingerprint="other code")], day=2))
    (accepted,) = json.loads(helix("accept", planned, "--yes", "--json").stdout)
    assert (accepted["task"], accepted["before"]) == ("fit", "code")
    assert [ruling["before"] for ruling in json.loads(helix("rulings", "--json").stdout)] == ["code"]


def test_a_plan_writes_nothing(helix: Helix, planned: str, store: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    helix("plan", planned, "-p", "n=3")
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_a_plan_of_a_flow_that_never_ran_computes_every_step(helix: Helix, flow_file: Path) -> None:
    outcome = helix("plan", f"{flow_file}:census", "-p", "n=3")
    assert outcome.stdout == "helix: first run of this flow; what is needed is computed\n"


@pytest.mark.parametrize("flow_file", ["(mode='recompute')"], indirect=True)
def test_a_plan_goes_by_the_options_of_the_flow(helix: Helix, planned: str) -> None:
    plan = json.loads(helix("plan", planned, "-p", "n=3", "--json").stdout)
    assert [step["reason"] for step in plan["steps"]] == ["mode 'recompute' computes every step"] * 3


@pytest.mark.parametrize("flow_file", ["(mode='off')"], indirect=True)
def test_a_flow_whose_mode_is_off_has_no_plan(helix: Helix, planned: str) -> None:
    assert helix("plan", planned, "-p", "n=3").stdout == "helix: mode 'off'; census runs as plain Prefect\n"


@pytest.mark.parametrize("flow_file", ["(store='memory://flows-own')"], indirect=True)
def test_without_a_store_the_flow_names_it(planned: str) -> None:
    outcome = CliRunner().invoke(app, ["plan", planned, "-p", "n=3"])
    assert "first run of this flow" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{file}:census", "-p", "n"], "-p='n' cannot be used. Give a parameter as name=value."),
        (["{file}:census", "-p", "m=3"], "m=3 cannot be used. Flow 'census' has no such parameter; it takes n, reg."),
        (["{file}:census", "-p", "n=three"], "n: Input should be a valid integer"),
        (["{file}:census"], "Flow 'census' is missing a required argument: 'n'"),
        (["{file}:other"], "'other' not found"),
        (["{file}:scan"], "is not a flow"),
        (["{file}"], "Name a flow as path/to/file.py:flow or package.module:flow."),
        (["{file}:"], "Name a flow as path/to/file.py:flow or package.module:flow."),
        (["census"], "Name a flow as path/to/file.py:flow or package.module:flow."),
        (["wrong_value:census"], "Loading it failed: ValueError: no such unit."),
        (["nosuch.py:census"], "Loading it failed: FileNotFoundError"),
        (["no.such.module:census"], "No module named 'no'"),
        (["{folder}/broken.py:census"], "Loading it failed: ZeroDivisionError: division by zero."),
        (["{folder}/exits.py:census"], "Loading it failed: SystemExit: 3."),
    ],
)
def test_a_flow_that_cannot_be_planned_is_one_line(
    helix: Helix,
    flow_file: Path,
    arguments: list[str],
    told: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(flow_file.parent)
    (flow_file.parent / "wrong_value.py").write_text("raise ValueError('no such unit')")
    (flow_file.parent / "broken.py").write_text("1 / 0")
    (flow_file.parent / "exits.py").write_text("raise SystemExit(3)")
    outcome = helix("plan", *(one.format(file=flow_file, folder=flow_file.parent) for one in arguments), exit_code=2)
    assert outcome.stdout == ""
    (line,) = outcome.stderr.removeprefix("loaded\n").splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert caplog.messages == []


CALLING = """
import asyncio
from prefect import flow

@flow
def own():
    print("the flow runs")

@flow
async def waiting():
    print("the flow runs")

{call}
"""


@pytest.mark.parametrize(
    ("call", "flow"),
    [
        ("own()", "own"),
        ("own(return_state=True)", "own"),
        ("asyncio.run(waiting())", "waiting"),
        ("try: own()\nexcept Exception: pass", "own"),
    ],
)
@pytest.mark.parametrize("entrypoint", ["calling.py:own", "calling:own"])
def test_a_module_that_calls_a_flow_as_it_is_loaded_is_refused(
    helix: Helix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entrypoint: str, call: str, flow: str
) -> None:
    (tmp_path / "calling.py").write_text(CALLING.format(call=call))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "calling", raising=False)
    flows_call = Flow.__call__
    outcome = helix("plan", entrypoint, exit_code=2)
    assert outcome.output == (
        f"error: entrypoint={entrypoint!r} cannot be used. It calls the flow {flow} as it is loaded; "
        'put that call below `if __name__ == "__main__":`.\n'
    )
    assert Flow.__call__ is flows_call
