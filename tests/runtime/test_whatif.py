"""What a plan says it would cost without a result is what it costs once that is gone."""

from __future__ import annotations

import logging

import pandas as pd
import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.materialization import POLICIES
from prefect_helix.runtime.opening import Order, Outlook, Warnings, look_ahead
from prefect_helix.runtime.whatif import what_if

pytestmark = pytest.mark.timeout(60)

SECOND_US = 1_000_000


def look(lab, **parameters) -> Outlook:
    warn = Warnings(logging.getLogger("lab"), {})
    order = Order("next", "flow", "flow", parameters, "auto", POLICIES["always"], 1 << 40, spec_of=lab._spec_of)
    return look_ahead(lab.store, order, warn)


@pytest.fixture
def flow(lab):
    scan = lab.task(lambda: pd.DataFrame({"x": range(20_000)}), name="scan", cost_us=9 * SECOND_US)
    clean = lab.task(lambda rows: rows + 1, name="clean", cost_us=5 * SECOND_US)
    fit = lab.task(lambda rows, reg: float(rows["x"].sum()) * reg, name="fit", cost_us=SECOND_US)

    def flow(reg: float):
        return fit(clean(scan()), reg)

    return flow


def test_a_plan_without_a_result_costs_as_much_more_as_it_says(lab, flow):
    lab.run(flow, reg=1.0)
    outlook = look(lab, reg=2.0)
    found = {one.node.spec.name: one for one in what_if(outlook)}
    assert [*found] == ["clean", "scan"]
    assert (found["clean"].used, found["scan"].used) == (True, False)
    assert found["scan"].more_us == 0
    assert found["clean"].node.result is not None
    for name in found["clean"].node.result.kept:
        lab.store.delete_blob(name)
    without = look(lab, reg=2.0)
    assert outlook.plan is not None
    assert without.plan is not None
    assert found["clean"].more_us == without.plan.cost_us - outlook.plan.cost_us
    assert {one.node.spec.name: one.used for one in what_if(without)} == {"scan": True}


def test_runs_to_come_would_miss_a_result_that_shadows_others_less(lab, flow):
    lab.run(flow, reg=1.0)
    later = {one.node.spec.name: one.later_us for one in what_if(look(lab, reg=1.0))}
    assert later["clean"] > 0
    assert later["scan"] > 0
    assert look(lab, reg=1.0).world.nodes[0].decision is Decision.PRUNE


def test_a_first_run_has_no_results(lab, flow):
    assert what_if(look(lab, reg=1.0)) == []
