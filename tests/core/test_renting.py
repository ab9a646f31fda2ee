"""What is paid to avoid an ancestor counts towards it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import PlanNode, solve
from prefect_helix.core.renting import credits_us


def ask_one_by_one(nodes: list[PlanNode], asked: list[str]) -> int:
    """What it costs to ask for values one after the other; what one needed is there for the next."""
    there: set[str] = set()
    credit = dict.fromkeys((node.key for node in nodes), 0)
    cost_us = 0
    costs = {node.key: node for node in nodes}
    for key in asked:
        graph = [
            replace(
                node,
                demanded=node.key == key,
                compute_us=max(0, node.compute_us - credit[node.key]),
                load_us=0
                if node.key in there
                else None
                if node.load_us is None
                else max(0, node.load_us - credit[node.key]),
            )
            for node in nodes
        ]
        made = solve(graph).decisions
        for one, decision in made.items():
            if one not in there and decision is not Decision.PRUNE:
                cost_us += (costs[one].compute_us if decision is Decision.COMPUTE else costs[one].load_us) or 0
                there.add(one)
        if made[key] is Decision.LOAD:
            for one, us in credits_us(graph, key).items():
                credit[one] += us
    return cost_us


def test_a_source_is_computed_once_what_was_paid_to_avoid_it_would_have_bought_it():
    children = [PlanNode(f"child{i}", ("source",), 100_000, 10_000_000) for i in range(50)]
    nodes = [PlanNode("source", (), 12_000_000), *children]
    asked = [child.key for child in children]
    best_us = solve(replace(node, demanded=node.key in asked) for node in nodes).cost_us
    assert best_us == 17_000_000
    # One by one, each child for itself, all are loaded: 500 s.
    assert ask_one_by_one(nodes, asked) == 10_000_000 + 12_000_000 + 49 * 100_000 <= 2 * best_us


def test_what_is_paid_counts_for_the_nearest_ancestors_first_and_never_for_more_than_they_cost():
    nodes = [
        PlanNode("source", (), 50, 40),
        PlanNode("middle", ("source",), 5),
        PlanNode("aside", (), 7),
        PlanNode("child", ("middle", "aside"), 1, 31, demanded=True),
    ]
    assert credits_us(nodes, "child") == {"middle": 5, "aside": 7, "source": 18}


@pytest.mark.parametrize(
    "child",
    [
        PlanNode("child", ("source",), 10, 10, demanded=True),
        PlanNode("child", ("source",), None, 10, demanded=True),
        PlanNode("child", ("source",), 1, None, demanded=True),
    ],
)
def test_a_load_that_spares_nothing_pays_for_nothing(child):
    assert credits_us([PlanNode("source", (), 100), child], "child") == {}


def test_what_is_there_or_will_be_is_not_paid_for():
    nodes = [PlanNode("source", (), 100, original=True, demanded=True), PlanNode("child", ("source",), 1, 9)]
    assert credits_us([nodes[0], replace(nodes[1], demanded=True)], "child") == {}


@pytest.mark.parametrize("seed", range(40))
def test_asking_one_by_one_costs_at_most_twice_what_asking_at_once_does(seed):
    choose = random.Random(seed)
    source = PlanNode("source", (), choose.randint(1, 50))
    children = [PlanNode(f"c{i}", ("source",), choose.randint(0, 3), choose.randint(1, 20)) for i in range(30)]
    nodes = [source, *children]
    asked = choose.sample([child.key for child in children], 25)
    best_us = solve(replace(node, demanded=node.key in asked) for node in nodes).cost_us
    assert ask_one_by_one(nodes, asked) <= 2 * best_us


def test_what_is_loaded_together_pays_together_each_for_what_it_spares():
    nodes = [
        PlanNode("source", (), 50),
        PlanNode("aside", (), 9),
        *(PlanNode(f"child{i}", ("source",), 1, 6, demanded=True) for i in range(3)),
        PlanNode("other", ("aside",), 1, 8, demanded=True),
    ]
    assert credits_us(nodes, "child0", "child1", "child2", "other") == {"source": 15, "aside": 7}


def test_what_is_made_from_what_is_loaded_as_well_pays_for_nothing_above_that():
    nodes = [
        PlanNode("source", (), 100),
        PlanNode("middle", ("source",), 1, 20, demanded=True),
        PlanNode("aside", (), None),
        PlanNode("child", ("middle", "aside"), 1, 9, demanded=True),
    ]
    assert credits_us(nodes, "middle", "child") == {"source": 19}
