"""Runs from Python: what their records say, and what loading a result says where it cannot be had."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import prefect_helix
from prefect_helix import (
    ConfigurationError,
    File,
    NotFoundError,
    ResultUnavailableError,
    find_run,
    list_runs,
    load_result,
    runs_frame,
)
from prefect_helix.core.lineage import Argument, Trace
from prefect_helix.core.rulings import Revocation
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.results import describe
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

from .test_cli import (
    COMPUTE,
    NEW,
    NEW_YEAR_US,
    OLD,
    PRUNE,
    SECOND_US,
    Commit,
    call,
    commit,
    component,
    run,
    store,
    takes,
)

__all__ = ["commit", "store"]

Keep = Callable[..., Trace]


class Model:
    """Something of a class of ours."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights


@pytest.fixture
def keep(store: Path) -> Keep:
    """Makes a call that gave a value, which it puts into the store."""

    def keep(task: str, value: object, *, stored: bool = True, **fields: Any) -> Trace:
        described = describe(value, ValueCode())
        for piece in described.pieces if stored else ():
            open_store(store).put_blob(piece)
        return call(task, **{"result": described.result, "stored": stored, **fields})

    return keep


def frame() -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000.0), "y": "a"})


# -- load_result -----------------------------------------------------------------------------------------------------


def test_a_result_is_had_again_by_the_names_of_its_run_and_step(commit: Commit, keep: Keep, store: Path) -> None:
    rows = frame()
    commit(
        run(
            OLD, [keep("scan", rows), keep("part", {"n": 1}, call=1), keep("part", [2], call=2)], name="otter-1", day=1
        ),
        run(NEW, [keep("scan", rows, decision=PRUNE)], day=2),
    )
    find_run(OLD, store).tag("best")
    for name in (OLD, "last", "last~1", "otter-1", "best"):
        pd.testing.assert_frame_equal(load_result(name, "scan", store), rows)
    assert (load_result(OLD, "part#1", store), load_result("best", "part#2", store)) == ({"n": 1}, [2])


def test_one_of_several_calls_has_to_be_named(commit: Commit, keep: Keep, store: Path) -> None:
    commit(run(OLD, [keep("part", [1]), keep("part", [2], call=1)]))
    with pytest.raises(NotFoundError, match=r"'part' was called 2 times; say which call: part#1 to part#2\."):
        load_result("last", "part", store)


@pytest.mark.parametrize(
    ("name", "task", "told"),
    [("nosuch", "scan", "There is no run 'nosuch'"), ("last", "scn", "did not call 'scn'; did you mean scan?")],
)
def test_a_run_or_a_step_that_is_not_there_is_told(
    commit: Commit, keep: Keep, store: Path, name: str, task: str, told: str
) -> None:
    commit(run(OLD, [keep("scan", [1])]))
    with pytest.raises(NotFoundError, match=told):
        load_result(name, task, store)


def test_a_store_without_runs_is_told(store: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no runs"):
        load_result("last", "scan", store)


def test_why_a_result_cannot_be_had_is_told_with_what_to_do(commit: Commit, keep: Keep, store: Path) -> None:
    gone = keep("gone", frame())
    catalog = commit(
        run(
            OLD,
            [
                keep("kept", frame() + frame(), stored=False),
                gone,
                call("failed", status="failed", result=None),
                call("spared", decision=PRUNE, result=None, compute_us=None),
                keep("open", threading.Lock(), stored=False),
                keep("revoked", [1]),
            ],
        )
    )
    assert gone.result is not None
    for name in gone.result.kept:
        open_store(store).delete_blob(name)
    catalog.rule(Revocation("r1", NEW_YEAR_US + SECOND_US, tasks=("revoked",), note="bad disk"))
    told = {
        "kept": "it was not kept. Run the flow again, and give the task materialize='always'",
        "gone": "has been removed since or made room for others. Run the flow again",
        "failed": "the step failed. Ask for another run.",
        "spared": "was never computed. Use its result in the flow.",
        "open": "cannot be serialised, so it was never stored. Have the step give what can be pickled",
        "revoked": "it was revoked on 2026-01-01 (bad disk). Take that back with `prefect-helix undo r1`",
    }
    for task, sentence in told.items():
        with pytest.raises(ResultUnavailableError) as caught:
            load_result("last", task, store)
        assert sentence in str(caught.value)
        assert (caught.value.run, caught.value.task) == (OLD, task)


def test_a_result_of_a_class_whose_code_changed_is_not_passed_off(
    commit: Commit, keep: Keep, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(run(OLD, [keep("fit", Model(np.arange(20_000.0)))]))
    assert load_result("last", "fit", store).weights[-1] == 19_999
    monkeypatch.setattr(Model, "predict", lambda self: 1, raising=False)
    with pytest.raises(ResultUnavailableError, match="the code of Model, which its result holds, changed"):
        load_result("last", "fit", store)
    monkeypatch.delitem(globals(), "Model")
    with pytest.raises(ResultUnavailableError, match=r"Model, which cannot be imported here\. Put the folder"):
        load_result("last", "fit", store)


def test_a_damaged_result_is_told(commit: Commit, keep: Keep, store: Path) -> None:
    rows = keep("scan", frame())
    commit(run(OLD, [rows]))
    assert rows.result is not None
    path = store / "blobs" / rows.result.kept[0][:2] / rows.result.kept[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ResultUnavailableError, match=r"cannot be read .*store verify --remove"):
        load_result("last", "scan", store)


def test_a_file_that_is_gone_is_put_back_and_one_that_changed_is_not_passed_off(
    commit: Commit, keep: Keep, store: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    path.write_text("weights")
    commit(run(OLD, [keep("train", File(path))]))
    path.unlink()
    assert Path(load_result("last", "train", store)).read_text() == "weights"
    path.write_text("other weights")
    with pytest.raises(ResultUnavailableError, match="a file that its result names has other content now"):
        load_result("last", "train", store)


# -- records ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(commit: Commit) -> Catalog:
    """Two runs; what is like HTML in them would do harm as such."""
    before = [call("scan"), call("<b>fit</b>", call=1, fingerprint="old")]
    after = [call("scan", decision=PRUNE), call("<b>fit</b>", call=1, fingerprint="new", signature="f'", reason="<i>")]
    catalog = commit(
        run(OLD, before, day=1, parameters={"reg": "0.1"}, metrics={"loss": 1.0}),
        run(NEW, after, day=2, parameters={"reg": "0.5", "path": "'<a>'"}, metrics={"loss": 0.5, "n": 3.0}),
    )
    for name, line in (("old", "    return x < 1"), ("new", "    return x <= 1")):
        one = component("flows.fit", source=f"def fit(x):\n{line}", hash=name, file="/src/flows.py", line=1)
        catalog.put_document("code", name, {"components": [asdict(one)]})
    return catalog


def test_a_record_says_what_a_run_was(two: Catalog, store: Path) -> None:
    found = find_run(store=store)
    found.tag("best")
    found.note("kept")
    found = find_run("best", store)
    assert (found.id, found.flow, found.status, found.tags, found.notes) == (
        NEW,
        "census",
        "completed",
        ("best",),
        ("kept",),
    )
    assert found.started.isoformat() == "2026-01-03T12:00:00+00:00"
    assert (found.spent, found.saved) == (timedelta(seconds=1), timedelta(seconds=1))
    assert found.decisions == {"compute": 1, "load": 0, "prune": 1}
    assert (found.parameters, found.metrics) == ({"reg": "0.5", "path": "'<a>'"}, {"loss": 0.5, "n": 3.0})
    assert [(step.name, step.decision, step.spent) for step in found.steps] == [
        ("scan", "prune", timedelta()),
        ("<b>fit</b>", "compute", timedelta(seconds=1)),
    ]
    assert repr(found).startswith("<run 9f8e7d6c of census, 2026-01-03 ")
    assert repr(found).endswith(": 2 steps: compute 1, load 0, prune 1; 1.0 s instead of 2.0 s>")


def test_records_are_listed_newest_first(two: Catalog, store: Path) -> None:
    assert [one.id for one in list_runs(store=store)] == [one.id for one in list_runs("census", store)] == [NEW, OLD]
    with pytest.raises(NotFoundError, match="did you mean census"):
        list_runs("cencus", store)


@pytest.mark.parametrize("other", [None, "last~1", OLD])
def test_a_record_is_compared_with_another(two: Catalog, store: Path, other: str | None) -> None:
    found = find_run(store=store).diff(other)
    assert found.changes == ["parameter reg 0.1 → 0.5", "parameter path absent → '<a>'", "fit() in flows.py:1 changed"]
    assert found.sources["fit() in flows.py:1 changed"].splitlines()[2:] == ["-    return x < 1", "+    return x <= 1"]
    assert found.metrics == {"loss": (1.0, 0.5), "n": (None, 3.0)}
    assert "  metric loss: 1 → 0.5" in repr(found).splitlines()
    with pytest.raises(NotFoundError, match="no run of census before"):
        find_run(OLD, store).diff()


def test_code_that_is_not_recorded_is_among_the_changes(commit: Commit, store: Path) -> None:
    commit(
        run(OLD, [call("fit", fingerprint="old")], day=1),
        run(NEW, [call("fit", fingerprint="new", signature="f2")], day=2),
    )
    found = find_run(store=store).diff()
    assert found.changes == ["the code of fit changed; what changed in it is not recorded"]
    assert "same parameters, code" not in repr(found)


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "onload", "onerror")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_of_records_is_complete_escaped_and_needs_nothing_from_elsewhere(two: Catalog, store: Path) -> None:
    record = find_run(store=store)
    record.note("<script>alert(1)</script>")
    record = find_run(store=store)
    for html, parts in (
        (
            record._repr_html_(),
            ["<b>fit</b>", "path='<a>'", "<script>alert(1)</script>", "compute", "1.0 s instead of"],
        ),
        (record.diff()._repr_html_(), ["<b>fit</b>", "+    return x <= 1", "parameter reg 0.1 → 0.5", "-0.5"]),
    ):
        page = Page(html)
        assert [part for part in parts if part not in page.text] == []
        assert not {"script", "b", "i", "a", "link", "iframe"} & {*page.tags}
        assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)


def test_html_of_records_is_bounded_and_tells_what_it_leaves_out(commit: Commit, store: Path) -> None:
    for day, (run_id, code) in enumerate(((OLD, "old"), (NEW, "new"))):
        steps = [
            call(f"step {n}", call=n, fingerprint=code, signature=f"{code}{n}", reason="x" * 5_000) for n in range(300)
        ]
        metrics = {f"metric {n}": float(n + day) for n in range(301)}
        catalog = commit(run(run_id, steps, day=day, metrics=metrics, problems=("Ouch.",) * 302))
        lines = "".join(f"    {code}{n} = '{'x' * 2_000}'\n" for n in range(600))
        one = component("flows.fit", f"def fit():\n{lines}", hash=code)
        catalog.put_document("code", code, {"components": [asdict(one)]})
    record = find_run(store=store)
    for html, expected in (
        (record._repr_html_(), ["and 200 more", "and 205 more"]),
        (record.diff()._repr_html_(), ["and 200 more", "and 201 more", "and 802 more lines"]),
    ):
        told = Page(html).text
        assert [part for part in expected if part not in told] == []
        assert len(html) < 600_000


# -- runs_frame ------------------------------------------------------------------------------------------------------


def test_a_frame_has_a_row_for_each_run_and_columns_of_types(two: Catalog, store: Path) -> None:
    find_run(NEW, store).tag("best")
    found = runs_frame("census", store)
    assert list(found.index) == [OLD, NEW]
    assert found["started"].dtype == "datetime64[us, UTC]"
    assert found["spent"].tolist() == [timedelta(seconds=2), timedelta(seconds=1)]
    assert found["tags"].tolist() == ["", "best"]
    assert found["changed"].tolist()[1] == "reg 0.1 → 0.5; path absent → '<a>'; code of <b>fit</b>"
    assert found[["computed", "pruned", "failed"]].to_numpy().tolist() == [[2, 0, 0], [1, 1, 0]]
    assert found["metric.loss"].diff().iloc[-1] == -0.5
    assert (found["metric.n"].dtype, found["parameter.reg"].dtype) == ("float64", "Float64")
    assert found["parameter.path"].isna().tolist() == [True, False]
    assert found["parameter.path"].iloc[1] == "<a>"


def test_a_number_that_is_none_or_infinite_in_a_run_leaves_its_column_numbers(commit: Commit, store: Path) -> None:
    for day, shown in enumerate(["0.5", "nan", "inf", "-inf", "2"], 1):
        commit(run(f"{day}" * 8, day=day, parameters={"reg": shown, "name": repr(shown)}))
    found = runs_frame("census", store)
    assert found["parameter.reg"].dtype == "Float64"
    assert found["parameter.reg"].dropna().tolist() == [0.5, float("inf"), float("-inf"), 2.0]
    assert found["parameter.name"].tolist() == ["0.5", "nan", "inf", "-inf", "2"]


def test_a_frame_without_runs_has_its_columns(store: Path) -> None:
    assert {"started", "spent", "changed"} <= {*runs_frame(store=store).columns}


def test_without_pandas_a_frame_is_refused_and_nothing_else_needs_it(two: Catalog, store: Path) -> None:
    program = f"""
import sys
sys.modules["pandas"] = None
import prefect_helix
assert len(prefect_helix.list_runs(store={str(store)!r})) == 2
try:
    prefect_helix.runs_frame(store={str(store)!r})
except prefect_helix.ConfigurationError as error:
    assert "Install pandas" in str(error), error
else:
    raise AssertionError("it was not refused")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert issubclass(prefect_helix.ConfigurationError, ConfigurationError)


def test_what_cannot_be_read_in_the_store_is_warned_of(two: Catalog, store: Path) -> None:
    (path,) = [path for path in (store / "lineage").iterdir() if OLD in path.name]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.warns(UserWarning, match="is damaged"):
        find_run(store=store)


def test_arguments_and_edges_of_steps_are_told(commit: Commit, store: Path) -> None:
    scan = call("scan")
    fit = call("fit", call=1, decision=COMPUTE, arguments=(Argument("reg", "d", shown="0.5"),))
    commit(run(OLD, [scan, fit]))
    assert find_run(store=store).steps[1].arguments == {"reg": "0.5"}


def test_of_equal_calls_the_first_is_the_input(commit: Commit, store: Path) -> None:
    scan = call("scan")
    commit(run(OLD, [scan, call("clean", call=1, parents=takes(scan)), call("scan", call=2)]))
    assert find_run(store=store).steps[1].inputs == ("scan#1",)
