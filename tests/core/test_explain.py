"""What changed between two calls, two runs, two fingerprints, and where a changed input comes from."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_helix.core.causes import MAX_DEPTH, Step, trace_back
from prefect_helix.core.comparison import run_changes
from prefect_helix.core.explain import Calls, ComponentChange, component_changes, reason
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
    assert Calls(earlier).closest(fit("x", 0, "2")) is earlier[1]
    assert Calls(earlier).closest(fit("x", 2, "9")) is earlier[2]
    assert Calls(earlier).closest(call("load")) is None


def test_a_task_that_moved_to_another_module_is_found_by_name() -> None:
    before = call("fit", key="__main__:fit")
    assert Calls([before]).closest(call("fit")) is before
    assert Calls([before, found := call("fit")]).closest(call("fit")) is found


def test_of_very_many_calls_those_around_the_place_are_compared() -> None:
    earlier = [call("fit", f"s{i}", call=i, arguments=(Argument("reg", str(i)),)) for i in range(1000)]

    assert Calls(earlier).closest(call("fit", "x", call=500, arguments=(Argument("reg", "495"),))) is earlier[495]
    assert Calls(earlier).closest(call("fit", "x", call=500, arguments=(Argument("reg", "7"),))) is earlier[500]


def test_of_very_many_calls_those_with_the_same_arguments_are_compared_wherever_they_are() -> None:
    def fit(i: int, at: int, code: str) -> Trace:
        given = (Argument("reg", str(i)),)
        return call("fit", f"{code} {i}", call=at, arguments=given, literals=str(i), fingerprint=code)

    earlier = [fit(i, i, "old") for i in range(1000)]
    assert Calls(earlier).closest(fit(7, 500, "new")) is earlier[7]
    assert Calls(earlier).closest(fit(-1, 500, "new")) is earlier[500]


def test_of_tasks_that_one_function_is_made_into_the_one_of_that_name_is_compared() -> None:
    def fit(name: str, at: int, code: str) -> Trace:
        return call(f"fit {name}", code, call=at, key="flows:fit", fingerprint=code)

    earlier = [fit("a", 5, "old a"), fit("b", 6, "old b")]
    assert Calls(earlier).closest(fit("a", 6, "new a")) is earlier[0]
    assert Calls(earlier).closest(fit("c", 6, "new c")) is earlier[1]


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
        (part("m.SCALE", "3", "constant"), part("m.SCALE", "4", "constant"), "m.SCALE: 3 → 4"),
        (Component("m.BIG", "constant", "1", None, None, "[0, ...]"),
         Component("m.BIG", "constant", "2", None, None, "[0, ...]"), "m.BIG changed within [0, ...]"),
        (part("numpy 2.3", kind="distribution"), part("numpy 2.4", kind="distribution"), "numpy 2.3 → 2.4"),
        (part("numpy 2.3", "a", "distribution"), part("numpy 2.3", "b", "distribution"),
         "numpy 2.3 has other files"),
        (None, part("numpy 2.3", kind="distribution"), "numpy 2.3 is new"),
        (Component("environment variable HOST", "dependency", "1", None, None, None),
         Component("environment variable HOST", "dependency", "2", None, None, None),
         "environment variable HOST changed"),
        (part("code_version", "1", "dependency"), part("code_version", "2", "dependency"), "code_version: 1 → 2"),
        (part("m.CACHE (first value)", "C = {}", "state"), part("m.CACHE (first value)", "C = []", "state"),
         "m.CACHE (first value) changed"),
    ],
)  # fmt: skip
def test_a_changed_component_is_named(before: Component | None, after: Component | None, words: str) -> None:
    same = part("m.same")
    (change,) = component_changes([same, *filter(None, [before])], [*filter(None, [after]), same])
    assert str(change) == words


def test_a_library_with_a_dot_in_its_name_goes_by_all_of_it() -> None:
    versions = [part(f"ruamel.yaml 0.{minor}", kind="distribution") for minor in (18, 19)]
    assert ComponentChange(*versions).name == "ruamel.yaml"


def test_code_comes_first_and_libraries_last() -> None:
    parts = [part("a 1", kind="distribution"), part("b", kind="constant"), part("c"), part("d", kind="class")]
    assert [c.after.name for c in component_changes([], parts) if c.after] == ["c", "d", "b", "a 1"]


def test_only_code_that_was_there_before_has_a_diff_with_the_lines_of_its_file() -> None:
    old, new = part("f", "def f():\n    return 1", file="m.py"), part("f", "def f():\n    return 2")
    assert ComponentChange(old, new).diff == ("@@ -41,2 +1,2 @@", " def f():", "-    return 1", "+    return 2")
    assert ComponentChange(None, new).diff == ()
    assert ComponentChange(part("S", "3", "constant"), part("S", "4", "constant")).diff == ()


def test_changes_far_apart_are_shown_without_what_is_between() -> None:
    lines = [f"line {i}" for i in range(30)]
    old, new = ("\n".join(lines).replace("line 1\n", f"{a}\n").replace("line 25", b) for a, b in ("xy", "zw"))
    diff = ComponentChange(part("f", old, file="m.py"), part("f", new, file="m.py")).diff
    assert [line for line in diff if line[0] != " "] == [
        "@@ -41,5 +41,5 @@",
        "-x",
        "+z",
        "@@ -63,7 +63,7 @@",
        "-y",
        "+w",
    ]


def reached(name: str, content: str, via: str, **fields: Any) -> Component:
    values: dict[str, Any] = {"kind": "function", "file": "/x/m.py", "line": 1, "source": content, **fields}
    return Component(name, hash=content, via=via, **values)


def test_a_change_far_from_the_task_names_the_functions_on_the_way() -> None:
    def version(text: str) -> list[Component]:
        return [
            reached("m.fit", "fit", ""),
            reached("m.line", "line", "m.fit"),
            reached("m.slope", text, "m.line"),
            reached("m.RATE", f"rate {text}", "m.slope", kind="constant"),
        ]

    slope, rate = component_changes(version("1"), version("2"))
    assert (slope.path, rate.path) == (("line()",), ("line()", "slope()"))


def test_the_way_to_a_component_may_be_unknown_or_run_in_circles() -> None:
    lost, circle = ([reached("a", "a", "gone"), reached("b", "b", "c"), reached("c", mark, "b")] for mark in ("1", "2"))
    assert [change.path for change in component_changes(lost, circle)] == [("b()",)]
    assert component_changes([], lost)[0].path == ()


def test_what_only_goes_by_another_name_has_not_changed() -> None:
    moved = Component("new.clean", "function", "same", "/x/new.py", 3, "def clean(): ...")
    assert component_changes([Component("old.clean", "function", "same", "/x/old.py", 9, "")], [moved]) == ()


def test_what_is_inside_of_something_that_changed_is_told_with_it() -> None:
    def version(mark: str) -> list[Component]:
        return [
            part("m.make", f"make {mark}"),
            part("m.make.<locals>.inner", f"inner {mark}"),
            part("m.Rows", mark, "class"),
            part("m.Rows.clean", f"clean {mark}"),
            part("m.other.<locals>.inner", f"other {mark}"),
            part("m.Cfg.n", mark, "constant"),
            part("m.Cfg.__init__.n", mark, "constant"),
        ]

    found = component_changes(version("1"), version("2"))
    names = [change.component.name for change in found]
    assert names == ["m.Rows.clean", "m.make", "m.other.<locals>.inner", "m.Cfg.n"]


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
    assert found == {"input rows changed": {"read'": "gave another result for the same code and inputs"}}


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


def test_an_input_that_came_or_went_leaves_those_beside_it_as_they_are() -> None:
    def run(*numbers: int, code: str = "old") -> list[Trace]:
        squares = []
        for at, n in enumerate(numbers):
            given = (Argument("n", str(n)),)
            squares.append(call("square", f"{code} {n}", call=at, fingerprint=code, literals=str(n), arguments=given))
        return [*squares, call("total", f"total {code} {numbers}", *squares)]

    assert traced(run(1, 2, 3), run(0, 1, 2, 3)) == {"input rows changed": {"old 0": "is taken in addition"}}
    assert traced(run(0, 1, 2, 3), run(1, 2, 3)) == {"input rows changed": {"old 0": "is not taken any more"}}
    edited = {"the code of square changed": {}}
    assert traced(run(1, 2), run(0, 1, 2, code="new")) == {
        "input rows changed": {"new 0": "is taken in addition", "new 1": edited, "new 2": edited}
    }


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
    assert (depth, step.note) == (MAX_DEPTH, "changed for a reason further back; ask for it to see more")
