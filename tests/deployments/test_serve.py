"""One flow, run by hand, served, and loaded from an entrypoint: each run a process, and all share what they compute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)

ALL = ["scan", "priced", "fit", "report"]
LOADED_UNDER_ANOTHER_NAME = """
import json, sys, types
from prefect.flows import load_flow_from_entrypoint
sys.modules["sales"] = types.ModuleType("sales")
flow = load_flow_from_entrypoint("sales.py:sales")
assert flow.fn.__module__.startswith("__prefect_loader"), flow.fn.__module__
flow(**json.loads(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def served(project: Any) -> Iterator[Any]:
    """The project while it is served."""
    settings = {"PREFECT_RUNNER_POLL_FREQUENCY": "1", "PREFECT_INTEGRATIONS_HELIX_STORE": str(project.store)}
    with project.running("sales.py", "serve", **settings) as output:
        yield project
        assert "Traceback" not in output.read_text()


def test_only_what_changed_computes_whoever_runs_the_flow(served: Any) -> None:
    orders = served.orders("2026-01-05", 10)
    parameters = {"orders": orders, "how": {"since": "2026-01-01"}, "region": "south"}

    by_hand = served.by_hand("sales.py", json.dumps(parameters))
    assert served.ran(by_hand) == ALL
    assert served.said(by_hand) == served.expected(10, region="south")

    unchanged = served.run("served", **parameters)
    assert served.ran(unchanged) == []
    assert served.said(unchanged) == served.expected(10, region="south")
    assert served.decisions(unchanged) == {"scan": "prune", "priced": "prune", "fit": "prune", "report": "load"}
    told = served.logged(unchanged)
    (plan,) = (number for number, line in enumerate(told) if "about" in line and line.startswith("helix: 4 steps"))
    assert plan < told.index("the body begins"), "the hook plans before the flow's body starts"

    parameters["how"]["weight"] = 0.25
    weighted = served.run("served", **parameters)
    assert served.ran(weighted) == ["fit", "report"]
    assert served.said(weighted) == served.expected(10, weight=0.25, region="south")

    served.edit("prices.py", "1.07", "1.19")
    edited = served.run("served", **parameters)
    assert served.ran(edited) == ["priced", "fit", "report"]
    assert served.said(edited) == served.expected(10, weight=0.25, tax=1.19, region="south")

    elsewhere = served.by_hand("-c", LOADED_UNDER_ANOTHER_NAME, json.dumps(parameters))
    assert served.ran(elsewhere) == []
    assert served.said(elsewhere) == served.said(edited)

    runs = [by_hand, unchanged, weighted, edited, elsewhere]
    keys = {tuple(trace.key for trace in served.lineage(run).traces) for run in runs}
    assert keys == {("sales:scan", "sales:priced", "sales:fit", "sales:report")}
    processes = [served.processes(run) for run in runs if served.ran(run)]
    assert [len(one) for one in processes] == [1, 1, 1]
    assert len(set().union(*processes)) == 3, "each run is a process of its own"
