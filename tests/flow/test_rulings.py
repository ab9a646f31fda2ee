"""Edits that somebody accepts, and results that somebody revokes, each run and each command in a fresh process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

PIPELINE = """
    import logging

    import numpy as np
    import pandas as pd

    import helpers
    from prefect_helix import helix_flow, helix_task

    RAN = logging.getLogger("ran")

    @helix_task
    def scan(rows: int) -> pd.DataFrame:
        RAN.info("scan")
        return pd.DataFrame({"a": np.arange(rows)})

    @helix_task
    def clean(frame: pd.DataFrame) -> pd.DataFrame:
        RAN.info("clean")
        np.linalg.svd(np.ones((600, 600)))  # so that loading is the cheaper way on a busy machine, too
        return frame.assign(b=helpers.scaled(frame["a"]))

    @helix_task
    def fit(frame: pd.DataFrame, reg: float) -> float:
        RAN.info("fit")
        return float(helpers.scaled(frame["b"]).sum() * reg)

    @helix_task
    def never(rows: int) -> int:
        return rows

    @helix_flow(store="store", policy="always")
    def pipeline(reg: float = 0.5) -> float:
        return fit(clean(scan(50_000)), reg)

    def main(**parameters):
        return pipeline(**parameters)
"""
HELPERS = """
    FACTOR = 3

    def scaled(column):
        return column * FACTOR
"""
REFACTORED = ("return column * FACTOR", "return FACTOR * column")


@pytest.fixture
def work(project: Callable[..., Any]) -> Any:
    """The project, run once."""
    made = project(pipeline=PIPELINE, helpers=HELPERS)
    assert made.run()[1] == ["scan", "clean", "fit"]
    return made


def helix(project: Any, *arguments: str, exit_code: int = 0, answer: str = "") -> subprocess.CompletedProcess[str]:
    """Call the command line in the project's folder."""
    done = subprocess.run(
        [sys.executable, "-c", "from prefect_helix.cli import app; app()", *arguments],
        cwd=project.folder,
        env={**os.environ, "PREFECT_API_URL": project.api_url, "PREFECT_INTEGRATIONS_HELIX_STORE": "store"},
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done


def test_an_accepted_refactoring_of_a_helper_computes_nothing_until_it_is_taken_back(work: Any) -> None:
    first = (work.folder / "result.json").read_text()
    work.edit("helpers", *REFACTORED)
    asked = helix(work, "accept", "pipeline.py:pipeline", answer="n\n", exit_code=1).stdout
    for line in (
        "clean: 1 result of its earlier code",
        "fit: 1 result of its earlier code",
        "+    return FACTOR * col",
    ):
        assert line in asked
    assert "scan" not in asked
    accepted = helix(work, "accept", "pipeline.py:pipeline", "--note", "order of factors", answer="y\n").stdout
    assert work.run() == (first, [])
    told = " ".join(helix(work, "why", "last", "fit").stdout.split())
    assert "Its change was accepted as a refactoring on 2" in told
    assert "(order of factors), and needed." in told
    assert "its change was accepted" in helix(work, "show", "last").stdout
    assert work.run('{"reg": 2.0}')[1] == ["fit"]

    rulings = json.loads(helix(work, "rulings", "--json").stdout)
    assert sorted(one["task"] for one in rulings) == ["clean", "fit"]
    suggested = re.search(r"`prefect-helix (undo [^`]*)`", accepted)
    assert suggested is not None
    helix(work, *suggested[1].split())
    result, ran = work.run('{"reg": 2.0}')
    assert ran == ["clean"]
    assert result == work.run('{"reg": 2.0}', PREFECT_INTEGRATIONS_HELIX_MODE="off")[0]
    assert work.run()[1] == ["fit"]


def test_one_task_of_several_is_accepted_by_its_name(work: Any) -> None:
    work.edit("helpers", *REFACTORED)
    (accepted,) = json.loads(helix(work, "accept", "pipeline.py:pipeline", "fit", "--yes", "--json").stdout)
    assert (accepted["kind"], accepted["task"]) == ("acceptance", "fit")
    assert [part["text"] for part in accepted["components"]] == ["scaled() in helpers.py:4 changed"]
    assert accepted["components"][0]["diff"][-1] == "+    return FACTOR * column"
    assert work.run()[1] == ["clean"]


def test_an_edit_after_the_accepted_one_computes(work: Any) -> None:
    work.edit("helpers", *REFACTORED)
    helix(work, "accept", "pipeline.py:pipeline", "--yes")
    work.edit("helpers", "FACTOR = 3", "FACTOR = 4")
    result, ran = work.run()
    assert ran == ["clean", "fit"]
    assert result == work.run(PREFECT_INTEGRATIONS_HELIX_MODE="off")[0]


def test_what_cannot_be_accepted_is_one_line(work: Any) -> None:
    def said(*arguments: str, exit_code: int = 1) -> str:
        done = helix(work, "accept", *arguments, exit_code=exit_code)
        assert done.stdout == ""
        return done.stderr

    flow = "pipeline.py:pipeline"
    assert said(flow) == "error: The code of no task of 'pipeline' changed since its latest result.\n"
    assert said(flow, "fit") == "error: The code of 'fit' did not change since its latest result.\n"
    assert said(flow, "fitt") == "error: The flow has no helix task 'fitt'; did you mean fit?\n"
    told = "error: No run of 'pipeline' left a result of 'never', so there is nothing to keep.\n"
    assert said(flow, "never") == told
    assert "'other' not found" in said("pipeline.py:other", exit_code=2)
    work.edit("helpers", *REFACTORED)
    assert "Add --yes" in said(flow, "--json", exit_code=2)
    helix(work, "accept", flow, "fit", "--yes")
    told = "error: The code of 'fit' changed, and that is accepted already since its latest result.\n"
    assert said(flow, "fit") == told
    work.edit("pipeline", "def fit", "def fitted")
    work.edit("pipeline", "return fit(", "return fitted(")
    assert said(flow, "fit") == "error: The flow's module has no task 'fit' any more.\n"


def test_a_revoked_run_computes_again_what_it_computed(work: Any) -> None:
    assert work.run('{"reg": 2.0}')[1] == ["fit"]
    told = helix(work, "revoke", "--run", "last~1", "--yes").stdout
    assert told.startswith("3 results: 1 of scan, 1 of clean, 1 of fit; computed from ")
    assert work.run('{"reg": 2.0}')[1] == ["scan", "clean"]
    told = " ".join(helix(work, "why", "last", "clean").stdout.split())
    assert "its earlier result was revoked on 2" in told
    assert work.run()[1] == ["fit"]
