"""Edits of a project's source, each run in a fresh process, as a user would."""

from __future__ import annotations

import json
import signal
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
        np.linalg.svd(np.ones((500, 500)))  # dear, so that loading is the better choice on a busy machine too
        return pd.DataFrame({"a": np.arange(rows)})

    @helix_task
    def clean(frame: pd.DataFrame) -> pd.DataFrame:
        RAN.info("clean")
        return frame.assign(b=helpers.scaled(frame["a"]))

    @helix_task
    def fit(frame: pd.DataFrame, reg: float) -> float:
        RAN.info("fit")
        return float(frame["b"].sum() * reg)

    @helix_task
    def count(frame: pd.DataFrame) -> int:
        RAN.info("count")
        return len(frame)

    @helix_flow(store="store", policy="always")
    def pipeline(reg: float = 0.5) -> list[float]:
        frame = scan(50_000)
        return [fit(clean(frame), reg), count(frame)]

    def main(**parameters):
        return pipeline(**parameters)
"""
HELPERS = '''
    """What a task reaches."""

    FACTOR = 3

    def scaled(column):
        """Scale a column."""
        return column * factor()

    def factor():
        return FACTOR

    def unused():
        return 1
'''


@pytest.fixture
def reused(project: Callable[..., Any]) -> Any:
    """A project that has run once, and once more without computing anything."""
    made = project(pipeline=PIPELINE, helpers=HELPERS)
    assert made.run()[1] == ["scan", "clean", "fit", "count"]
    assert made.run()[1] == []
    return made


def test_each_edit_computes_exactly_its_dependents(reused: Any) -> None:
    edits = [
        (
            "a helper in another module",
            "helpers",
            "return column * factor()",
            "return column * factor() + 1",
            ["clean", "fit"],
        ),
        ("a constant that a helper's helper reads", "helpers", "FACTOR = 3", "FACTOR = 4", ["clean", "fit"]),
        ("a comment", "helpers", "def factor():", "# the factor\ndef factor():", []),
        ("a docstring", "helpers", "Scale a column.", "Scale a column by the factor.", []),
        ("a function that nobody calls", "helpers", "return 1", "return 2", []),
        ("an edit without effect on the result", "helpers", "return FACTOR", "return FACTOR * 1", ["clean"]),
        ("one task's own body", "pipeline", "return len(frame)", "return len(frame) + 1", ["count"]),
        ("back to an earlier version", "pipeline", "return len(frame) + 1", "return len(frame)", []),
    ]
    for name, module, old, new, expected in edits:
        reused.edit(module, old, new)
        result, ran = reused.run()
        assert ran == expected, name
        plain, _ = reused.run(PREFECT_INTEGRATIONS_HELIX_MODE="off")
        assert result == plain, name


KILLED = """
    import logging
    import os
    import signal

    import numpy as np
    import pandas as pd

    from prefect_helix import helix_flow, helix_task

    RAN = logging.getLogger("ran")

    @helix_task
    def scan(rows: int) -> pd.DataFrame:
        RAN.info("scan")
        frame = pd.DataFrame({"a": np.random.default_rng(0).random(rows)})
        return frame.sort_values("a")

    @helix_task
    def features(frame: pd.DataFrame) -> pd.DataFrame:
        RAN.info("features")
        ranks = sum(frame["a"].sample(frac=1, random_state=seed).rank() for seed in range(10))
        return frame.assign(b=ranks, c=np.sin(frame["a"]))

    @helix_task(code_version="1")
    def fit(frame: pd.DataFrame, kill: bool) -> float:
        RAN.info("fit")
        if kill:
            waiting = True
            while waiting:  # until what was finished is in the store, as in a fit that takes a while
                waiting = not journaled("features")
            os.kill(os.getpid(), signal.SIGKILL)
        return float(frame["b"].sum() + frame["c"].sum())

    def journaled(task):
        from prefect_helix.storage.catalog import Catalog
        from prefect_helix.storage.store import open_store
        known = Catalog(open_store("store")).read()
        return task in {trace.task for lineage in known.lineages for trace in lineage.traces}

    @helix_flow(store="store")
    def pipeline(kill: bool = False) -> float:
        return fit(features(scan(400_000)), kill)

    def main(**parameters):
        return pipeline(**parameters)
"""


def test_a_killed_run_leaves_what_it_finished_to_the_next(project: Callable[..., Any]) -> None:
    killed = project(pipeline=KILLED)
    process = killed.start(json.dumps({"kill": True}))
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert killed.ran() == ["scan", "features", "fit"]

    result, ran = killed.run()

    assert ran == ["fit"]
    assert result == killed.run(PREFECT_INTEGRATIONS_HELIX_MODE="off")[0]
