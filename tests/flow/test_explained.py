"""`why` and `diff` over real runs, long after the code they speak of is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from prefect_helix.cli import app

from .conftest import Project

MATHS = """
import numpy as np

RATE = 0.19
WEIGHTS = np.linspace(0.0, 1.0, 500)

def slope(xs):
    total = sum(xs)
    return total / len(xs)
"""

MODEL = """
from maths import slope

def line(rows):
    return slope(rows)
"""

PIPELINE = """
import logging

from maths import RATE, WEIGHTS
from model import line
from prefect_helix import File, helix_flow, helix_task

ran = logging.getLogger("ran")

@helix_task
def scan(source: File) -> list[float]:
    ran.info("scan")
    with source.open("r") as file:
        return [float(row) for row in file]

@helix_task
def clean(rows: list[float], floor: float) -> list[float]:
    ran.info("clean")
    return [row for row in rows if row > floor]

@helix_task
def fit(rows: list[float], reg: float) -> float:
    ran.info("fit")
    return line(rows) * reg

@helix_task
def score(model: float, rows: list[float]) -> dict[str, float]:
    ran.info("score")
    return {"error": model * RATE + float(WEIGHTS.sum())}

@helix_flow
def shop(reg: float):
    rows = clean.submit(scan.submit(File("rows.txt")), 0.5)
    return score(fit(rows, reg), rows)

def main(reg=1.0):
    return shop(reg)
"""


@pytest.fixture
def helix(store: str) -> Callable[..., str]:
    def invoke(*arguments: str) -> str:
        outcome = CliRunner().invoke(app, [*arguments, "--store", store], catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout

    return invoke


def texts(report: str) -> list[str]:
    """The points of a report, each on one line."""
    joined = report.replace("\n  ", " ").splitlines()
    return [" ".join(line[2:].split()) for line in joined if line.startswith("• ")]


def test_runs_are_explained_when_the_project_is_gone(
    project: Callable[..., Project], store: str, helix: Callable[..., str]
) -> None:
    made = project(maths=MATHS, model=MODEL, pipeline=PIPELINE)
    (made.folder / "rows.txt").write_text("1\n2\n3\n")
    environment = {"PREFECT_INTEGRATIONS_HELIX_STORE": store}
    executed = [made.run(**environment)[1]]

    made.edit("maths", "total / len(xs)", "total / max(len(xs), 1)")
    made.edit("maths", "    total =", "    # all of it\n    total =")
    executed.append(made.run(**environment)[1])

    made.edit("maths", "RATE = 0.19", "RATE = 0.07")
    made.edit("maths", "0.0, 1.0, 500", "0.0, 1.5, 500")
    executed.append(made.run(**environment)[1])

    (made.folder / "rows.txt").write_text("1\n2\n3\n4\n")
    made.edit("pipeline", "0.5)", "1.5)")
    executed.append(made.run('{"reg": 2.0}', **environment)[1])
    shutil.rmtree(made.folder)
    assert executed == [["scan", "clean", "fit", "score"], ["fit"], ["score"], ["scan", "clean", "fit", "score"]]

    helper = helix("why", "last~2", "fit")
    assert helper.splitlines()[2:] == [
        "• slope() in maths.py:7 changed, used by fit through line()",
        "    @@ -7,3 +7,4 @@",
        "     def slope(xs):",
        "    +    # all of it",
        "         total = sum(xs)",
        "    -    return total / len(xs)",
        "    +    return total / max(len(xs), 1)",
    ]
    assert texts(helix("why", "last~1", "score")) == [
        "pipeline.RATE: 0.19 → 0.07, used by score",
        "pipeline.WEIGHTS: <ndarray float64 [500]: 0.0 … 1.0> → <ndarray float64 [500]: 0.0 … 1.5>, used by score",
    ]
    assert texts(helix("why", "last", "score")) == [
        "flow parameter reg changed: 1.0 → 2.0, given to fit",
        "argument floor of clean changed: 0.5 → 1.5",
        "the content of rows.txt changed: 6 bytes → 8 bytes, read by scan",
    ]
    assert helix("why", "last", "score").partition("how that reaches score:\n")[2].splitlines() == [
        "    fit → score",
        "    clean → fit → score",
        "    scan → clean → fit → score",
        "    clean → score",
    ]
    assert helper.splitlines()[2:] == helix("diff", "last~3", "last~2").splitlines()[3:10]
    steps = {step["step"]: step for step in json.loads(helix("diff", "shop", "--json"))["steps"]}
    assert {name: step["changed"] for name, step in steps.items()} == {
        "scan": "content of rows.txt",
        "clean": "floor 0.5 → 1.5; input rows",
        "fit": "reg 1.0 → 2.0; input rows",
        "score": "inputs model, rows",
    }
