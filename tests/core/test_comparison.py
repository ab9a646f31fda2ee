"""The steps of two runs in pairs, and what changed in their code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect_helix.core.change import Change
from prefect_helix.core.comparison import Pair, code_changes, run_changes, step_pairs
from prefect_helix.core.fingerprint import Component, fingerprint
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, ParentLink, Result, Run, Trace
from prefect_helix.views.differences import changed_words

ROWS = 3
DEPTH = 3


def inner() -> int:
    return DEPTH


def uses_constants() -> int:
    return ROWS + inner()


def test_equal_constants_go_by_their_own_names_and_tell_by_what_they_are_reached() -> None:
    parts = {part.name.rpartition(".")[2]: part for part in fingerprint(uses_constants).components}
    assert (parts["ROWS"].source, parts["DEPTH"].source) == ("3", "3")
    assert [parts[name].via.rpartition(".")[2] for name in ("uses_constants", "inner", "ROWS", "DEPTH")] == [
        "",
        "uses_constants",
        "uses_constants",
        "inner",
    ]


def call(task: str, signature: str, at: int = 0, **fields: Any) -> Trace:
    """A computed call whose digest is its signature."""
    values: dict[str, Any] = {
        "key": f"flows:{task}",
        "fingerprint": "code",
        "arguments": (),
        "literals": "",
        "parents": (),
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
    return Trace(task=task, signature=signature, call=at, **{**values, **fields})


def lineage(*traces: Trace) -> Lineage:
    return Lineage(Run("id", "flow", "", "completed", 0, 1, {}, {}, None, "auto", "helix", 0), traces)


def told(pairs: Sequence[Pair]) -> list[tuple[str | None, str | None, list[str]]]:
    return [
        (
            pair.before.signature if pair.before else None,
            pair.after.signature if pair.after else None,
            [str(change) for change in pair.changes],
        )
        for pair in pairs
    ]


def test_steps_are_paired_by_signature_and_else_in_call_order_with_removed_ones_last() -> None:
    before = lineage(call("scan", "s"), call("fit", "a", 1), call("fit", "b", 2), call("plot", "p", 3))
    after = lineage(
        call("fit", "b", 0), call("fit", "c", 1, fingerprint="new"), call("scan", "s", 2), call("fit", "d", 3)
    )
    assert told(step_pairs(before, after)) == [
        ("b", "b", []),
        ("a", "c", ["the code of fit changed"]),
        ("s", "s", []),
        (None, "d", ["no earlier call of fit to compare with"]),
        ("p", None, ["plot is no longer called"]),
    ]


def test_equal_calls_are_paired_one_to_one() -> None:
    twice = lineage(call("fit", "a"), call("fit", "a", 1))
    assert told(step_pairs(twice, lineage(call("fit", "a")))) == [
        ("a", "a", []),
        ("a", None, ["fit is no longer called"]),
    ]


def test_a_call_that_came_does_not_shift_those_that_follow() -> None:
    def mapped(code: str, *numbers: int) -> Lineage:
        parts = [
            call("part", f"{code} part {n}", at, fingerprint=code, literals=str(n), arguments=(Argument("n", str(n)),))
            for at, n in enumerate(numbers)
        ]
        scores = [
            call(
                "score",
                part.signature.replace("part", "score"),
                len(parts) + at,
                parents=(ParentLink(part.signature, None, part.signature, True, "part"),),
            )
            for at, part in enumerate(parts)
        ]
        return lineage(*parts, *scores)

    assert told(step_pairs(mapped("old", 1, 2), mapped("new", 0, 1, 2))) == [
        (None, "new part 0", ["no earlier call of part to compare with"]),
        ("old part 1", "new part 1", ["the code of part changed"]),
        ("old part 2", "new part 2", ["the code of part changed"]),
        (None, "new score 0", ["no earlier call of score to compare with"]),
        ("old score 1", "new score 1", ["input part changed"]),
        ("old score 2", "new score 2", ["input part changed"]),
    ]


def test_tasks_that_one_function_is_made_into_are_paired_by_their_names() -> None:
    def fits(signature: str, names: str) -> Lineage:
        calls = [
            call(f"fit {name}", signature.format(name), at, key="flows:fit", fingerprint=signature)
            for at, name in enumerate(names)
        ]
        return lineage(*calls)

    assert told(step_pairs(fits("old {}", "abc"), fits("new {}", "bc"))) == [
        ("old b", "new b", ["the code of fit b changed"]),
        ("old c", "new c", ["the code of fit c changed"]),
        ("old a", None, ["fit a is no longer called"]),
    ]
    pairs = step_pairs(fits("same", "ab"), fits("same", "b"))
    assert told(pairs) == [("same", "same", []), ("same", None, ["fit a is no longer called"])]
    assert told(step_pairs(fits("same", "a"), fits("same", "b"))) == [("same", "same", ["fit a is called fit b now"])]


def given(mark: str, value: str, *, at: int, maker: str = "fit") -> list[Trace]:
    """A small result, and a step that is given it, or another value, as a literal."""
    return [
        call(maker, mark, 0, fingerprint=mark),
        call("score", f"score {value}", at, arguments=(Argument("model", value, shown=value),)),
    ]


def test_an_argument_that_another_step_made_is_an_input() -> None:
    before, after = lineage(*given("1", "1", at=1)), lineage(*given("2", "2", at=1))
    assert told(step_pairs(before, after))[1] == ("score 1", "score 2", ["input model changed"])
    assert [str(change) for _, change in run_changes(before, after)] == ["the code of fit changed"]


class Counted(int):
    """A number that knows how often such numbers were compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Counted.compared += 1
        return super().__lt__(other)


def test_who_made_an_argument_is_found_without_a_look_at_all_calls_that_gave_the_same() -> None:
    many = 300

    def run(value: str) -> Lineage:
        same = Result(value, True, 1, "builtins:bool")
        makers = [call("check", f"check {value} {n}", Counted(n), result=same) for n in range(many)]
        given = (Argument("passed", value, shown=value),)
        takers = [call("use", f"use {value} {n}", Counted(many + n), arguments=given) for n in range(many)]
        return lineage(*makers, *takers)

    pairs = step_pairs(run("1"), run("0"))
    assert {str(change) for pair in pairs for change in pair.changes} == {"input passed changed"}
    assert Counted.compared < 100 * many


def test_an_argument_that_is_a_result_by_chance_is_an_argument() -> None:
    changed = ["argument model changed: 1 → 2"]
    before = lineage(*given("1", "1", at=1))
    for after in (given("3", "2", at=1), given("2", "2", at=1, maker="guess"), given("2", "2", at=0)):
        assert told(step_pairs(before, lineage(*after)))[1] == ("score 1", "score 2", changed)


def test_what_a_step_waits_for_in_addition_is_a_change_of_its_own() -> None:
    def waits(*signatures: str) -> Lineage:
        return lineage(call("read", f"read {signatures}", wait_for=signatures))

    assert [str(change) for _, change in run_changes(waits("a"), waits("a", "b"))] == ["what read waits for changed"]
    assert run_changes(waits("a"), waits("b")) == {}


def test_another_result_of_what_a_step_waits_for_is_no_input() -> None:
    before = lineage(call("load", "l1"), call("fit", "f1", 1, wait_for=("l1",)))
    after = lineage(call("load", "l2", fingerprint="new"), call("fit", "f2", 1, wait_for=("l2",)))
    nothing = code_changes([], lambda _: None)
    assert changed_words(step_pairs(before, after)[1], nothing) == "what it waits for"


def test_a_component_is_told_once_with_all_who_use_it_and_each_document_is_read_once() -> None:
    def part(name: str, mark: str, via: str = "") -> Component:
        return Component(name, "function", f"{name} {mark}", None, None, mark, via)

    documents = {
        f"{task}{mark}": [part(f"m.{task}", ""), part("m.clean", mark, f"m.{task}"), *extra]
        for mark in "12"
        for task, extra in (("fit", []), ("scan", [part("m.read", mark, "m.scan")]))
    }
    asked = []

    def components_of(fingerprint: str) -> Sequence[Component] | None:
        asked.append(fingerprint)
        return documents.get(fingerprint)

    fit, scan = Change("code", "fit", "fit1", "fit2"), Change("code", "scan", "scan1", "scan2")
    lost, same = Change("code", "lost", "x", "y"), Change("code", "same", "fit1", "fit1")
    edits = [("fit", fit), ("fit", fit), ("scan", scan), ("lost", lost), ("same", same)]
    found = code_changes(edits, components_of)
    assert [(each.change.component.name, list(each.users)) for each in found.found] == [
        ("m.clean", ["fit", "scan"]),
        ("m.read", ["scan"]),
    ]
    assert (found.unrecorded, found.unnamed) == (("lost",), ("same",))
    assert asked == ["fit1", "fit2", "scan1", "scan2", "x", "y"]
