"""`diff` over stores whose lineages are written by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from prefect_helix import find_run
from prefect_helix.core.lineage import Argument, Result, Trace

from .test_cli import (
    COMPUTE,
    LOAD,
    NEW,
    OLD,
    PRUNE,
    SECOND_US,
    Commit,
    Helix,
    call,
    commit,
    component,
    helix,
    run,
    store,
    takes,
    words,
)

__all__ = ["commit", "helix", "store"]


def calls(mark: str, *, reg: str = "0.1", **fields: Any) -> list[Trace]:
    """A flow of four steps; the mark is that of the data."""
    source = Argument("source", mark, "file", "data/rows.csv", size_bytes=1_000 * int(mark))
    scan = call("scan", digest=mark, signature=f"scan{mark}", arguments=(source,), **fields)
    clean = call("clean", call=1, signature=f"clean{mark}", parents=takes(scan), **fields)
    given = (Argument("reg", reg, "flow_parameter", "reg", reg),)
    fit = call("fit", call=2, digest=f"{mark}{reg}", signature=f"fit{mark}{reg}", arguments=given, parents=takes(clean))
    return [scan, clean, fit, call("score", call=3, signature=f"score{mark}{reg}", parents=takes(fit, "model"))]


def test_two_runs_are_compared_from_what_changed_to_what_it_did(commit: Commit, helix: Helix) -> None:
    spared = [call("plot", call=4), *calls("1", decision=LOAD, stored=False)]
    commit(
        run(OLD, spared, day=1, parameters={"reg": "0.1"}, metrics={"loss": 0.5, "old": 1}, versions={"pandas": "2.3"}),
        run(
            NEW,
            calls("2", reg="0.5"),
            day=2,
            parameters={"reg": "0.5"},
            metrics={"loss": 0.25, "f1": 0.8},
            versions={"pandas": "3.0"},
        ),
    )
    assert [line.rstrip() for line in helix("diff").stdout.splitlines()] == [
        "from  0a1b2c3d  census  otter-1  completed  2026-01-02",
        "to    9f8e7d6c  census  otter-2  completed  2026-01-03",
        "",
        "• parameter reg 0.1 → 0.5",
        "• the content of data/rows.csv changed: 1,000 bytes → 2,000 bytes, read by scan",
        "• plot is no longer called",
        "• pandas 2.3 → 3.0",
        "",
        "step   before         now            changed",
        "scan   load 100 ms    compute 1.0 s  content of rows.csv",
        "clean  load 100 ms    compute 1.0 s  input rows; same result",
        "fit    compute 1.0 s  compute 1.0 s  reg 0.1 → 0.5",
        "score  compute 1.0 s  compute 1.0 s  input model; same result",
        "plot   compute 1.0 s  not called     no longer called",
        "",
        "                   before     now   change",
        "steps computed          3       4       +1",
        "steps loaded            2       0       -2",
        "steps pruned            0       0",
        "time of the steps   3.2 s   4.0 s  +800 ms",
        "saved               1.8 s     0 s   -1.8 s",
        "results stored     6.0 kB  8.0 kB  +2.0 kB",
        "loss                  0.5    0.25    -0.25",
        "f1                            0.8",
        "old                     1",
    ]


def test_json_of_a_difference_has_every_fact(commit: Commit, helix: Helix) -> None:
    commit(
        run(OLD, calls("1"), day=1, parameters={"reg": "0.1"}, metrics={"loss": 0.5}),
        run(NEW, calls("2", reg="0.5"), day=2, parameters={"reg": "0.5"}, metrics={"loss": 0.25}),
    )
    found = json.loads(helix("diff", "--json").stdout)
    steps = found.pop("steps")
    before, after = found.pop("before"), found.pop("after")
    assert (before["run_id"], after["run_id"], after["flow"], after["status"]) == (OLD, NEW, "census", "completed")
    assert found == {
        "parameters": [{"name": "reg", "before": "0.1", "after": "0.5"}],
        "files": [{"name": "data/rows.csv", "before": "1,000 bytes", "after": "2,000 bytes", "tasks": ["scan"]}],
        "arguments": [],
        "versions": [],
        "code": [],
        "code_not_recorded": [],
        "figures": {
            "cost_us": {"before": 4 * SECOND_US, "after": 4 * SECOND_US, "change": 0},
            "saved_us": {"before": 0, "after": 0, "change": 0},
            "stored_bytes": {"before": 8_000, "after": 8_000, "change": 0},
        },
        "metrics": {"loss": {"before": 0.5, "after": 0.25, "change": -0.25}},
    }
    computed = {
        "decision": "compute",
        "status": "completed",
        "reason": "because",
        "cost_us": SECOND_US,
        "saved_us": 0,
        "size_bytes": 2_000,
        "stored": True,
    }
    assert steps[2] == {
        "step": "fit",
        "task": "fit",
        "before": computed,
        "after": computed,
        "changes": [{"kind": "argument", "name": "reg", "text": "argument reg changed: 0.1 → 0.5"}],
        "changed": "reg 0.1 → 0.5",
        "same_result": False,
    }


def test_changed_code_is_shown_once_with_all_it_touches(commit: Commit, helix: Helix) -> None:
    def tasks(mark: str) -> list[Trace]:
        names = ("left", "right", "solo")
        return [call(n, call=i, signature=f"{n}{mark}", fingerprint=f"{n}{mark}") for i, n in enumerate(names)]

    catalog = commit(run(OLD, tasks("1"), day=1, versions={"numpy": "2.3"}), run(NEW, tasks("2"), day=2, versions={}))
    for mark in "12":
        shared = component("features.clean", f"def clean():\n    return {mark}", via="features.scan")
        library = component(f"numpy 2.{mark}", None, "distribution", hash=mark, file=None)
        for task in ("left", "right"):
            parts = [component("features.scan", "scan"), shared, library]
            catalog.put_document("code", f"{task}{mark}", {"components": [asdict(part) for part in parts]})
    text = helix("diff").stdout
    assert text.count("+    return 2") == 1
    for part in (
        "• clean() in features.py:41 changed, used by left and right",
        "• numpy 2.1 → 2.2, used by left and right",
        "• the code of solo changed; what changed in it is not recorded",
        "left compute 1.0 s compute 1.0 s code: clean(), numpy; same result",
    ):
        assert part in words(text)
    assert "numpy 2.3" not in text
    found = json.loads(helix("diff", "--json").stdout)
    assert [(part["text"], list(part["used_by"])) for part in found["code"]] == [
        ("clean() in features.py:41 changed", ["left", "right"]),
        ("numpy 2.1 → 2.2", ["left", "right"]),
    ]
    assert found["code_not_recorded"] == ["solo"]


def test_only_documents_of_code_that_differs_are_read(
    commit: Commit, helix: Helix, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(mark: str) -> list[Trace]:
        changed = [call("fit", call=i, signature=f"{i}{mark}", fingerprint=mark) for i in range(20)]
        return [*changed, *(call(f"same{i}", call=20 + i) for i in range(20))]

    catalog = commit(run(OLD, steps("a"), day=1), *(run(f"7{i}", steps("x"), day=2 + i) for i in range(5)))
    commit(run(NEW, steps("b"), day=9))
    asked: list[str] = []
    monkeypatch.setattr(type(catalog), "get_document", lambda _, kind, name: asked.append(f"{kind}/{name}"))
    helix("diff", OLD, NEW)
    assert asked == ["code/a", "code/b"]
    asked.clear()
    helix("why", "last", "fit")
    assert asked == ["code/x", "code/b"]


def test_runs_that_are_alike_say_so(commit: Commit, helix: Helix) -> None:
    commit(run(OLD, [call("fit")], day=1), run(NEW, [call("fit", decision=PRUNE)], day=2))
    text = words(helix("diff").stdout)
    assert "Same parameters, code, files and libraries." in text
    assert "fit compute 1.0 s prune" in text


def test_calls_that_went_alike_are_one_row(commit: Commit, helix: Helix) -> None:
    def fits(mark: str) -> list[Trace]:
        given = (Argument("k", mark, shown=mark),)
        return [call("fit", call=i, signature=f"{i}{mark}", arguments=given) for i in range(50)]

    commit(run(OLD, fits("1"), day=1), run(NEW, fits("2"), day=2))
    text = words(helix("diff").stdout)
    assert "fit (50 calls) compute 50 s compute 50 s k 1 → 2; same result" in text
    assert "• argument k changed: 1 → 2, of fit (50 calls)" in text


def test_of_many_calls_with_other_arguments_or_files_one_is_told(commit: Commit, helix: Helix, store: Path) -> None:
    def part(i: int, mark: int) -> Trace:
        x = Argument("x", f"{i * mark}", shown=f"{i * mark}")
        source = Argument("source", f"{i} {mark}", "file", f"{i}.csv", size_bytes=100 + mark)
        return call("part", call=i, digest=f"{i} {mark}", signature=f"{i} {mark}", arguments=(x, source))

    def mapped(mark: int) -> list[Trace]:
        parts = [part(i, mark) for i in range(30)]
        links = tuple(link for part in parts for link in takes(part, "numbers"))
        return [*parts, call("total", call=30, signature=f"{mark}", parents=links)]

    commit(run(OLD, mapped(100), day=1), run(NEW, mapped(200), day=2))
    told = words(helix("diff").stdout)
    assert (
        "• the content of 0.csv changed: 200 bytes → 300 bytes, and likewise in 29 more calls, read by part •" in told
    )
    assert "• argument x changed: 100 → 200, and likewise in 28 more calls, of part step" in told
    assert len(find_run(store=store).diff().changes) == 2
    assert len(json.loads(helix("diff", "--json").stdout)["arguments"]) == 29

    told = words(helix("why", "last", "total").stdout)
    assert "• argument x of part changed: 100 → 200, and likewise in 28 more calls" in told
    assert "• the content of 0.csv changed: 200 bytes → 300 bytes, read by part, and likewise in 29 more calls" in told
    assert told.count("•") == 2


def test_of_many_steps_those_that_changed_are_shown(commit: Commit, helix: Helix) -> None:
    def steps(mark: str) -> list[Trace]:
        return [
            *(call(f"same{i}", call=i) for i in range(60)),
            *(call(f"new{i}", call=60 + i, signature=f"{i}{mark}", fingerprint=mark) for i in range(3)),
        ]

    commit(run(OLD, steps("a"), day=1), run(NEW, steps("b"), day=2))
    lines = [words(line) for line in helix("diff").stdout.splitlines()]
    assert [line.split()[0] for line in lines if "compute 1.0 s" in line] == ["new0", "new1", "new2"]
    assert "60 others --json has them all" in lines


def test_a_result_whose_digest_proves_nothing_is_not_called_the_same(commit: Commit, helix: Helix) -> None:
    witness = Result("d", False, 1, "x:y")
    commit(run(OLD, [call("fit", result=witness)], day=1), run(NEW, [call("fit", result=witness)], day=2))
    (step,) = json.loads(helix("diff", "--json").stdout)["steps"]
    assert step["same_result"] is None


@pytest.mark.parametrize(
    ("arguments", "pair"),
    [
        ([], ("77", "88")),
        (["census"], (OLD, NEW)),
        (["last~1"], (OLD, NEW)),
        ([NEW[:4]], (OLD, NEW)),
        ([NEW, OLD], (NEW, OLD)),
        (["last~2", "last"], (OLD, "88")),
    ],
)
def test_runs_are_named_one_by_one_or_by_their_flow(
    commit: Commit, helix: Helix, arguments: list[str], pair: tuple[str, str]
) -> None:
    commit(run("77", day=1, flow="genomics"), run(OLD, day=2), run(NEW, day=3), run("88", day=4, flow="genomics"))
    found = json.loads(helix("diff", *arguments, "--json").stdout)
    assert (found["before"]["run_id"], found["after"]["run_id"]) == pair


def test_the_first_run_of_a_flow_has_none_to_be_compared_with(commit: Commit, helix: Helix) -> None:
    commit(run(OLD, day=1, flow="genomics"), run(NEW, day=2))
    told = helix("diff", exit_code=1).stderr
    assert told == "error: There is no run of census before 9f8e7d6c to compare it with.\n"


@pytest.mark.parametrize("decision", [COMPUTE, LOAD, PRUNE])
def test_a_difference_fits_eighty_columns(commit: Commit, helix: Helix, decision: Any) -> None:
    def step(mark: str) -> Trace:
        given = tuple(Argument("p" * 40 + str(i), mark, shown=f"{mark} \x1b[31m" + "word " * 40) for i in range(3))
        return call("t" * 90, signature=mark, arguments=given, decision=decision, compute_us=10**13, load_us=10**13)

    metrics = {"m" * 90: 0.123456789e-200}
    commit(
        run(OLD, [step("1")], day=1, flow="f" * 90, name="n" * 90, parameters={"p": "x" * 300}),
        run(NEW, [step("2")], day=2, flow="f" * 90, name="n" * 90, parameters={"p": "y" * 300}, metrics=metrics),
    )
    text = helix("diff").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
