"""What a run's head says of it is what its traces say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prefect_helix.core.change import Change, Changed
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Run
from prefect_helix.core.summary import LOOKED_UP, MAX_CHANGES, SHOWN_CHARACTERS, summarise
from prefect_helix.views.differences import Figure, run_figures, summary_words
from prefect_helix.views.steps import row_of
from prefect_helix.views.units import format_us

from .test_comparison import call


def lineage(*traces: Any, run_id: str = "now", **fields: Any) -> Lineage:
    head = Run(run_id, "census", "", "completed", 0, 1, {}, {}, None, "auto", "auto", 0)
    return Lineage(replace(head, **fields), traces)


def test_steps_are_counted_and_their_times_added_up() -> None:
    traces = (
        call("scan", "s", compute_us=50, load_us=5, decision=Decision.LOAD),
        call("fit", "f", compute_us=7),
        call("plot", "p", compute_us=20, decision=Decision.PRUNE),
        call("lazy", "l", compute_us=None, result=None, decision=Decision.PRUNE),
        call("tell", "t", compute_us=1, status="failed", result=None),
    )
    found = summarise(lineage(*traces), None, added_bytes=9)
    assert found.counts == {Decision.COMPUTE: 2, Decision.LOAD: 1, Decision.PRUNE: 2}
    assert (found.failed, found.spent_us, found.saved_us, found.scratch_us, found.added_bytes) == (1, 13, 65, 78, 9)
    assert (found.compared_with, found.changes, found.more_changes) == (None, (), 0)


def test_what_a_load_took_longer_than_computing_is_taken_off_what_others_saved() -> None:
    late = [call(f"late{i}", f"l{i}", i, compute_us=1, load_us=40, decision=Decision.LOAD) for i in range(2)]
    spared = call("scan", "s", 2, compute_us=100, decision=Decision.PRUNE)
    assert summarise(lineage(*late, spared), None).saved_us == 22
    assert summarise(lineage(*late), None).saved_us == 0
    assert run_figures(lineage(*late, spared), lineage(*late))["saved_us"] == Figure(22, 0)
    assert row_of([*late, spared]).saved == format_us(22)


def test_what_was_not_measured_is_not_made_up() -> None:
    found = summarise(lineage(call("scan", "s", compute_us=None), call("fit", "f", compute_us=7)), None)
    assert (found.spent_us, found.scratch_us, found.saved_us, found.added_bytes) == (None, None, 0, None)


def test_what_changed_is_told_without_its_consequences() -> None:
    before = lineage(call("scan", "s"), call("fit", "f", 1), run_id="then", versions={"numpy": "2.3", "python": "3.12"})
    after = lineage(
        call("scan", "s'", fingerprint="new"),
        call("plot", "p", 1),
        parameters={"reg": "d"},
        shown_parameters={"reg": "0.5"},
        versions={"numpy": "2.4", "python": "3.12"},
    )
    found = summarise(after, before)
    assert found.compared_with == "then"
    assert found.changes == (
        Changed("", Change("parameter", "reg", "absent", "0.5")),
        Changed("scan", Change("code", "scan", "code", "new")),
        Changed("fit", Change("removed", "fit")),
        Changed("plot", Change("new", "plot")),
        Changed("", Change("version", "numpy", "2.3", "2.4")),
    )


def test_a_summary_stays_small_whatever_changed() -> None:
    calls = [call(f"t{i}", str(i), i) for i in range(MAX_CHANGES)]
    changed = [call(f"t{i}", f"{i}'", i, fingerprint="new") for i in range(MAX_CHANGES)]
    long = {"rows": "x" * 1_000}
    found = summarise(lineage(*changed, parameters={"rows": "d"}, shown_parameters=long), lineage(*calls))
    assert (len(found.changes), found.more_changes) == (MAX_CHANGES, 1)
    assert len(found.changes[0].change.after) <= SHOWN_CHARACTERS


def test_what_changed_in_code_is_looked_up_for_a_few_tasks_and_named_once() -> None:
    tasks = [f"t{i}" for i in range(LOOKED_UP + 3)]
    asked: list[str] = []

    def components_of(code: str) -> list[Component] | None:
        asked.append(code)
        if code.endswith("7"):
            return None  # it is not recorded
        source = code.partition(" ")[0]
        parts = {"maths.slope": "function", "maths.RATE": "constant"}
        return [Component(name, kind, source, "maths.py", 4, source) for name, kind in parts.items()]  # type: ignore[arg-type]

    before = lineage(*(call(task, task, fingerprint=f"old {task}") for task in tasks))
    after = lineage(*(call(task, f"{task}'", fingerprint=f"new {task}") for task in tasks))
    found = summarise(after, before, components_of=components_of)
    assert found.code == ("slope()", "RATE")
    assert {code.split()[1] for code in asked} == {*tasks[:LOOKED_UP]}
    assert summary_words(found) == "code of t0, t1, t2, t3 and 7 more (slope(), RATE)"
