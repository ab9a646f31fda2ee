"""What changed between two calls, two runs, two fingerprints, and where a changed input comes from."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_helix.core.causes import MAX_DEPTH, Step, trace_back
from prefect_helix.core.explain import ComponentChange, closest, component_changes, reason, run_changes
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, ParentLink, Result, Run, RunStatus, Trace


def call(task: str, signature: str | None = None, *parents: Trace, leaf: int | None = None, **fields: Any) -> Trace:
    """A computed call that takes the results of `parents` as `rows`; its digest is its signature."""
    signature = signature or task
    values: dict[str, Any] = {
        "key": f"flows:{task}",
        "call": 0,
        "fingerprint": "code",
        "arguments": (),
        "literals": "",
        "wait_for": (),
        "decision": Decision.COMPUTE,
        "reason": "",
        "status": "completed",
        "result": Result(signature, True, 1, "builtins:int"),
        "compute_us": 1,
        "load_us": None,
        "demanded": False,
        "started_us": 0,
    }
    links = tuple(ParentLink(p.signature, leaf, f"{_digest(p)}{leaf}", True, "rows") for p in parents)
    return Trace(task=task, signature=signature, parents=links, **{**values, **fields})


def _digest(trace: Trace) -> str | None:
    return trace.result.digest if trace.result else None


def lineage(*traces: Trace, status: RunStatus = "completed", **parameters: str) -> Lineage:
    return Lineage(Run("id", "flow", "", status, 0, 1, parameters, parameters, None, "auto", "helix", 0), traces)


def told(step: Step) -> dict[str, Any]:
    """A step as nested dictionaries: note, or changes with the steps they come from."""
    return {str(cause.change): {s.trace.signature: s.note or told(s) for s in cause.steps} for cause in step.causes}


def traced(before: list[Trace], after: list[Trace]) -> dict[str, Any]:
    """What is told of the last call of two runs."""
    return told(trace_back(after[-1], before[-1], lineage(*after), lineage(*before)))


# -- calls -----------------------------------------------------------------------------------------------------------


def test_the_closest_call_differs_least_then_is_nearest() -> None:
    def fit(signature: str, at: int, reg: str, code: str = "code") -> Trace:
        return call("fit", signature, call=at, arguments=(Argument("reg", reg),), fingerprint=code)

    earlier = [fit("a", 0, "1", "old"), fit("b", 1, "2", "old"), fit("c", 2, "3", "old"), call("scan")]
    assert closest(fit("x", 0, "2"), earlier) is earlier[1]
    assert closest(fit("x", 2, "9"), earlier) is earlier[2]
    assert closest(call("load"), earlier) is None


def test_a_task_that_moved_to_another_module_is_found_by_name() -> None:
    before = call("fit", key="__main__:fit")
    assert closest(call("fit"), [before]) is before
    assert closest(call("fit"), [before, found := call("fit")]) is found


@pytest.mark.parametrize(
    ("decision", "equivalent", "mode", "words"),
    [
        (Decision.LOAD, True, "auto", "unchanged, and needed"),
        (Decision.PRUNE, True, "auto", "unchanged, and not needed"),
        (Decision.PRUNE, False, "auto", "not needed"),
        (Decision.COMPUTE, False, "auto", "its code changed"),
        (Decision.COMPUTE, False, "verify", "mode 'verify' computes every step"),
        (Decision.COMPUTE, True, "auto", "unchanged, but not stored"),
    ],
)
def test_each_decision_has_a_reason(decision: Decision, equivalent: bool, mode: str, words: str) -> None:
    assert reason(decision, equivalent=equivalent, stored=False, mode=mode, changed="its code changed") == words


def test_a_stored_result_that_is_computed_again_costs_more_to_load() -> None:
    words = reason(Decision.COMPUTE, equivalent=True, stored=True, mode="auto", changed="")

    assert words == "unchanged, but dearer to load than to compute"


# -- runs ------------------------------------------------------------------------------------------------------------


def test_what_changed_between_runs_leaves_consequences_out() -> None:
    def fit(reg: str, signature: str, parent: Trace) -> Trace:
        return call("fit", signature, parent, arguments=(Argument("reg", reg, "flow_parameter", "reg", reg),))

    old, new = call("scan"), call("scan", "scan'", fingerprint="new")
    before = lineage(old, fit("1", "f", old), call("gone"), reg="1", n="2")
    after = lineage(new, fit("3", "f'", new), call("extra"), reg="3", n="2")
    found = {(task, str(change)): count for (task, change), count in run_changes(before, after).items()}
    assert found == {
        ("", "parameter reg changed: 1 → 3"): 1,
        ("scan", "the code of scan changed"): 1,
        ("gone", "gone is no longer called"): 1,
        ("extra", "no earlier call of extra to compare with"): 1,
    }


def test_calls_that_changed_alike_are_counted() -> None:
    before = lineage(*(call("fit", f"a{i}") for i in range(3)))
    after = lineage(*(call("fit", f"b{i}", fingerprint="new") for i in range(3)))
    assert list(run_changes(before, after).values()) == [3]


def test_a_run_that_did_not_complete_neither_adds_nor_removes_steps() -> None:
    assert run_changes(lineage(status="failed"), lineage(call("fit"))) == {}
    assert run_changes(lineage(call("fit")), lineage(status="failed")) == {}


# -- components ------------------------------------------------------------------------------------------------------


def part(name: str, content: str | None = None, kind: Any = "function", file: str | None = None) -> Component:
    return Component(name, kind, content or name, file, 41 if file else None, content)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (part("features.clean", "a", file="/x/features.py"), part("features.clean", "b", file="/x/features.py"),
         "clean() in features.py:41 changed"),
        (part("pkg.features.Rows.clean", "a", file="/x/features.py"), None,
         "Rows.clean() in features.py:41 is not used any more"),
        (None, part("pkg.Rows", kind="class", file="/x/pkg/__init__.py"), "pkg.Rows in __init__.py:41 is new"),
        (part("m.SCALE", "3", "constant"), part("m.SCALE", "4", "constant"), "m.SCALE changed: 3 → 4"),
        (Component("m.BIG", "constant", "1", None, None, "[0, ...]"),
         Component("m.BIG", "constant", "2", None, None, "[0, ...]"), "m.BIG changed"),
        (part("numpy 2.3", kind="distribution"), part("numpy 2.4", kind="distribution"), "numpy 2.3 → 2.4"),
        (part("numpy 2.3", "a", "distribution"), part("numpy 2.3", "b", "distribution"),
         "the files of numpy 2.3 changed"),
        (part("environment variable HOST", "a", "dependency"), part("environment variable HOST", "b", "dependency"),
         "environment variable HOST changed"),
    ],
)  # fmt: skip
def test_a_changed_component_is_named(before: Component | None, after: Component | None, words: str) -> None:
    same = part("m.same")
    (change,) = component_changes([same, *filter(None, [before])], [*filter(None, [after]), same])
    assert str(change) == words


def test_code_comes_first_and_libraries_last() -> None:
    parts = [part("a 1", kind="distribution"), part("b", kind="constant"), part("c"), part("d", kind="class")]
    assert [c.after.name for c in component_changes([], parts) if c.after] == ["c", "d", "b", "a 1"]


def test_only_functions_that_were_there_before_have_a_diff() -> None:
    old, new = part("f", "def f():\n    return 1"), part("f", "def f():\n    return 2")
    assert ComponentChange(old, new).diff == ("@@ -1,2 +1,2 @@", " def f():", "-    return 1", "+    return 2")
    assert ComponentChange(None, new).diff == ()
    assert ComponentChange(part("S", "3", "constant"), part("S", "4", "constant")).diff == ()


# -- causes ----------------------------------------------------------------------------------------------------------


def test_a_changed_input_is_followed_back_and_each_step_is_told_once() -> None:
    def run(mark: str, code: str) -> list[Trace]:
        scan = call("scan", f"scan{mark}", fingerprint=code)
        left, right = call("left", f"left{mark}", scan), call("right", f"right{mark}", scan)
        return [scan, left, right, call("join", f"join{mark}", left, right)]

    assert traced(run("", "old"), run("'", "new")) == {
        "input rows changed": {
            "left'": {"input rows changed": {"scan'": {"the code of scan changed": {}}}},
            "right'": {"input rows changed": {"scan'": "as told above"}},
        }
    }


def test_an_input_that_did_not_change_is_not_followed() -> None:
    same = call("scan")
    before, after = [same, old := call("read"), call("join", "j", same, old)], [same, new := call("read", "read'")]
    found = traced(before, [*after, call("join", "j'", same, new)])
    assert found == {"input rows changed": {"read'": "it gave another result for the same code and inputs"}}


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        ([call("a")], [call("b")], {"b": "takes the place of a"}),
        ([call("a")], [call("a"), call("b")], {"b": "is taken in addition"}),
        ([call("a"), call("b")], [call("a")], {"b": "is not taken any more"}),
        ([call("a", "a1", fingerprint="old")], [call("a", "a2")], {"a2": {"the code of a changed": {}}}),
    ],
)
def test_inputs_from_other_steps_are_told(before: list[Trace], after: list[Trace], steps: dict[str, Any]) -> None:
    found = traced([*before, call("join", "j", *before)], [*after, call("join", "j'", *after)])
    assert found == {"input rows changed": steps}


def test_another_part_of_a_result_is_told() -> None:
    split = call("split")
    found = traced([split, call("fit", "f", split, leaf=0)], [split, call("fit", "f'", split, leaf=1)])
    assert found == {"input rows changed": {"split": "another part of its result is taken"}}


def test_what_a_step_waits_for_is_followed_too() -> None:
    old, new = call("write", "w"), call("write", "w'", fingerprint="new")
    found = traced([old, call("read", "r", wait_for=("w",))], [new, call("read", "r'", wait_for=("w'",))])
    assert found == {"what read waits for changed": {"w'": {"the code of write changed": {}}}}


def test_a_step_whose_trace_was_lost_leaves_a_gap() -> None:
    old, new = call("scan"), call("scan", "scan'")
    assert traced([call("fit", "f", old)], [call("fit", "f'", new)]) == {"input rows changed": {}}


def test_a_long_chain_ends_somewhere() -> None:
    def run(mark: str) -> list[Trace]:
        chain = [call("step", f"0{mark}", fingerprint=mark)]
        for i in range(1, 3 * MAX_DEPTH):
            chain.append(call("step", f"{i}{mark}", chain[-1]))
        return chain

    step, depth = trace_back(run("'")[-1], run("")[-1], lineage(*run("'")), lineage(*run(""))), 0
    while step.causes:
        step, depth = step.causes[0].steps[0], depth + 1
    assert (depth, step.note) == (MAX_DEPTH, "and so on: ask for this step to see more")
