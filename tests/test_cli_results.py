"""`checkout` and `metrics`: results and numbers of runs, on the screen and in files."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from .test_cli import NEW, NEW_YEAR_US, OLD, SECOND_US, Commit, Helix, call, commit, helix, run, store, words
from .test_records import Keep, frame, keep

__all__ = ["commit", "helix", "keep", "store"]

DAY_US = 86_400 * SECOND_US

# -- checkout --------------------------------------------------------------------------------------------------------


def test_what_a_step_gave_is_described_and_its_beginning_shown(commit: Commit, keep: Keep, helix: Helix) -> None:
    made = keep("scan", frame(), computed_at_us=NEW_YEAR_US, computed_in=OLD)
    commit(run(OLD, [made], day=1), run(NEW, [made], day=2))
    lines = [line.rstrip() for line in helix("checkout", "last", "scan").stdout.splitlines()]
    assert words(lines[0]) == "what pandas.DataFrame, 20,000 rows, 2 columns"
    assert lines[1].startswith("size ")
    assert words(lines[2]).endswith("by run 0a1b2c3d")
    assert [words(line) for line in lines[4:6]] == ["x y", "0 0.0 a"]
    assert len(lines) == 11
    found = json.loads(helix("checkout", "last", "scan", "--json").stdout)
    assert (found["type"], found["computed_in"], len(found["preview"])) == ("pandas:DataFrame", OLD, 7)


class Awkward:
    """Something that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "what", "first"),
    [
        (np.zeros((2, 3)), "numpy.ndarray of float64, shape (2, 3)", "[[0. 0. 0.]"),
        ({"n": 1}, "dict, 1 item", "{'n': 1}"),
        ("hello", "str, 5 characters", "'hello'"),
        (0.5, "float", "0.5"),
        (["\x1b[31m"], "list, 1 item", r"['\x1b[31m']"),
        (pd.Series([1, 2], name="a"), "pandas.Series of int64, shape (2,)", "0 1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_told_in_a_line(
    commit: Commit, keep: Keep, helix: Helix, value: object, what: str, first: str
) -> None:
    commit(run(OLD, [keep("make", value)]))
    lines = [words(line) for line in helix("checkout", "last", "make").stdout.splitlines()]
    assert (lines[0], lines[4]) == (f"what {what}", first)


def test_a_value_that_cannot_be_shown_is_described(commit: Commit, keep: Keep, helix: Helix) -> None:
    commit(run(OLD, [keep("make", Awkward())]))
    assert "Awkward" in helix("checkout", "last", "make").stdout


READ = {
    ".pkl": lambda path: pickle.loads(path.read_bytes()),
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".npy": np.load,
    ".json": lambda path: json.loads(path.read_text()),
}


@pytest.mark.parametrize(
    ("value", "suffix"),
    [
        (frame(), ".pkl"),
        (frame(), ".parquet"),
        (frame(), ".csv"),
        (np.arange(5.0), ".npy"),
        ({"größe": [1, None]}, ".json"),
        ([1, 2], ".pkl"),
    ],
)
def test_a_result_is_written_in_the_format_of_the_files_name(
    commit: Commit, keep: Keep, helix: Helix, tmp_path: Path, value: Any, suffix: str
) -> None:
    commit(run(OLD, [keep("make", value)]))
    path = tmp_path / f"out{suffix}"
    assert f"out{suffix}" in "".join(helix("checkout", "last", "make", "--to", str(path)).stdout.split())
    found = READ[suffix](path)
    assert found.equals(value) if isinstance(value, pd.DataFrame) else np.array_equal(found, value)
    assert [one.name for one in tmp_path.iterdir() if one != tmp_path / "store"] == [path.name]


@pytest.mark.parametrize(
    ("index", "first"),
    [
        (pd.RangeIndex(3), "x"),
        (pd.RangeIndex(10, 13), ",x"),
        (pd.RangeIndex(0, 6, 2), ",x"),
        (pd.RangeIndex(3, name="day"), "day,x"),
        (pd.Index(["a", "b", "c"]), ",x"),
    ],
)
def test_an_index_that_says_something_goes_into_the_file(
    commit: Commit, keep: Keep, helix: Helix, tmp_path: Path, index: pd.Index, first: str
) -> None:
    commit(run(OLD, [keep("make", pd.DataFrame({"x": range(3)}, index=index))]))
    path = tmp_path / "out.csv"
    helix("checkout", "last", "make", "--to", str(path))
    assert path.read_text().splitlines()[0] == first


@pytest.mark.parametrize(
    ("value", "suffix", "told"),
    [
        ({1, 2}, ".json", "A builtins.set does not go into .json"),
        ({"x": float("nan")}, ".json", "does not go into .json"),
        ({"x": [{1: "a", "1": "b"}]}, ".json", "(the key 1 is not text)"),
        ({None: 1}, ".json", "(the key None is not text)"),
        ([1], ".parquet", "it is no frame"),
        ([1], ".npy", "it is no array"),
        (np.array([None]), ".npy", "A name that ends in .pkl takes every value."),
        ([1], ".xlsx", "Its name has to end in .pkl, .parquet, .csv, .npy, .json."),
    ],
)
def test_a_value_that_does_not_go_into_a_format_is_told_and_nothing_is_left(
    commit: Commit, keep: Keep, helix: Helix, tmp_path: Path, value: object, suffix: str, told: str
) -> None:
    commit(run(OLD, [keep("make", value)]))
    path = tmp_path / f"out{suffix}"
    assert told in helix("checkout", "last", "make", "--to", str(path), exit_code=2).stderr
    assert [one for one in tmp_path.iterdir() if one != tmp_path / "store"] == []


def test_a_file_that_is_there_is_replaced_only_if_that_is_said(
    commit: Commit, keep: Keep, helix: Helix, tmp_path: Path
) -> None:
    commit(run(OLD, [keep("make", [1])]))
    path = tmp_path / "out.json"
    path.write_text("mine")
    assert "add --force" in helix("checkout", "last", "make", "--to", str(path), exit_code=2).stderr
    assert path.read_text() == "mine"
    helix("checkout", "last", "make", "--to", str(path), "--force")
    assert json.loads(path.read_text()) == [1]


def test_a_result_that_is_not_there_is_told_in_one_line(commit: Commit, keep: Keep, helix: Helix) -> None:
    commit(run(OLD, [keep("make", frame(), stored=False)]))
    told = helix("checkout", "last", "make", exit_code=1).stderr
    assert "it was not kept" in told
    assert told.count("\n") == 1


# -- metrics ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def five(commit: Commit) -> None:
    losses = [1.0, 0.5, None, 0.5, float("nan")]
    for day, loss in enumerate(losses, 1):
        metrics = {"n": 3.0} if loss is None else {"loss": loss, "n": 3.0, "auc": 0.1, "f1": day / 7}
        commit(run(f"{day}{OLD[1:]}", [call("fit")], day=day, metrics=metrics))
    commit(run(NEW, [call("fit")], day=6, status="failed"))


def test_metrics_are_a_table_with_the_newest_run_last_and_a_plot_for_each(five: None, helix: Helix) -> None:
    helix("tag", "otter-2", "best")
    outcome = helix("metrics", "census")
    lines = [words(line) for line in outcome.stdout.splitlines()]
    assert lines[:6] == [
        "run when loss n auc",
        "1a1b2c3d 2026-01-02 1 3 0.1",
        "2a1b2c3d 2026-01-03 0.5 -0.5 3 = 0.1 = best",
        "3a1b2c3d 2026-01-04 3 =",
        "4a1b2c3d 2026-01-05 0.5 = 3 = 0.1 =",
        "5a1b2c3d 2026-01-06 nan 3 = 0.1 =",
    ]
    start = next(place for place, line in enumerate(lines) if line.startswith("loss 2026"))
    assert lines[start + 1].startswith("1 ┤▀")
    assert lines[start + 5] == "0.5 ┤ ▄ ▄"
    assert "Metrics without a column: f1; choose some with --metric." in outcome.stderr
    assert max(map(len, outcome.stdout.splitlines())) <= 80


def test_some_metrics_and_runs_are_chosen(five: None, helix: Helix) -> None:
    outcome = helix("metrics", "-m", "f1", "-n", "2")
    assert [words(line) for line in outcome.stdout.splitlines()[:3]] == [
        "run when f1",
        "4a1b2c3d 2026-01-05 0.571429",
        "5a1b2c3d 2026-01-06 0.714286 +0.143",
    ]
    assert outcome.stderr == "3 older runs are not shown; see them with --limit.\n"
    assert "No run of census reported 'f2'; there is loss, n, auc and f1." in (
        helix("metrics", "-m", "f2", exit_code=1).stderr
    )


def test_metrics_for_programs(five: None, helix: Helix, tmp_path: Path) -> None:
    found = json.loads(helix("metrics", "census", "--json", "-n", "2").stdout, parse_constant=pytest.fail)
    assert [one["metrics"].get("loss") for one in found] == [0.5, None]
    rows = list(csv.DictReader(helix("metrics", "--csv", "-").stdout.splitlines()))
    assert [row["loss"] for row in rows] == ["1.0", "0.5", "", "0.5", "nan"]
    path = tmp_path / "metrics.csv"
    helix("metrics", "--csv", str(path))
    assert pd.read_csv(path)["loss"].isna().tolist() == [False, False, True, False, True]
    assert "cannot be written" in helix("metrics", "--csv", str(tmp_path), exit_code=2).stderr


def test_which_flow_is_meant_has_to_be_clear(commit: Commit, helix: Helix) -> None:
    assert "holds no runs." in helix("metrics", exit_code=1).stderr
    commit(run(OLD), run(NEW, flow="shop"))
    assert "has runs of census and shop: name one." in helix("metrics", exit_code=1).stderr
    told = helix("metrics", "shop", exit_code=1).stderr
    assert "No run of shop reported a metric" in told
    assert "log_metric()" in told
