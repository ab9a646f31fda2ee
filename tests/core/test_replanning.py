"""Planning only what a change reaches gives the plan of the whole graph."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import PlanNode, solve
from prefect_helix.core.replanning import affected


@dataclass
class Graph:
    """A random graph with the decisions that were made for it; of the nodes that are there, nothing is planned."""

    nodes: dict[str, PlanNode]
    there: set[str] = field(default_factory=set)
    decisions: dict[str, Decision] = field(default_factory=dict)

    def open_node(self, key: str) -> PlanNode | None:
        return None if key in self.there else replace(self.nodes[key], parents=())

    def parents(self, key: str) -> Iterable[str]:
        return self.nodes[key].parents

    def children(self, key: str) -> Iterable[str]:
        return [node.key for node in self.nodes.values() if key in node.parents]

    def decision(self, key: str) -> Decision | None:
        return self.decisions.get(key)

    def whole(self) -> dict[str, Decision]:
        """What planning all of it decides, where something has to be decided."""
        nodes = [
            replace(node, load_us=0, original=False, demanded=False) if key in self.there else node
            for key, node in self.nodes.items()
        ]
        return {key: made for key, made in solve(nodes).decisions.items() if key not in self.there}


def node(key: str, parents: tuple[str, ...], choose: random.Random) -> PlanNode:
    return PlanNode(
        key,
        parents,
        compute_us=choose.choice([None, 0, 1, 3, 10, 30]),
        load_us=choose.choice([None, None, 0, 1, 3, 10, 30]),
        original=choose.random() < 0.2,
        demanded=choose.random() < 0.2,
    )


def changed(graph: Graph, choose: random.Random) -> set[str]:
    """Change some nodes and return which."""
    keys = sorted(graph.nodes)
    picked = set(choose.sample(keys, choose.randint(1, min(3, len(keys)))))
    for key in picked:
        if choose.random() < 0.3:
            graph.there.add(key)
        else:
            graph.there.discard(key)
            earlier = tuple(k for k in keys[: keys.index(key)] if choose.random() < 0.3)
            graph.nodes[key] = node(key, earlier if choose.random() < 0.3 else graph.nodes[key].parents, choose)
    return picked


@pytest.mark.parametrize("seed", range(400))
def test_planning_what_a_change_reaches_gives_the_plan_of_the_whole(seed: int) -> None:
    choose = random.Random(seed)
    size = choose.randint(2, 14)
    keys = [f"n{i:02}" for i in range(size)]
    nodes = {
        key: node(key, tuple(k for k in keys[:i] if choose.random() < choose.choice([0.1, 0.4])), choose)
        for i, key in enumerate(keys)
    }
    graph = Graph(nodes)
    graph.decisions = graph.whole()
    for _ in range(6):
        before = {key: set(each.parents) for key, each in graph.nodes.items()}
        picked = changed(graph, choose)
        # What lost a child may be needed no more: whoever takes away an edge names both its ends.
        lost = {p for key in picked for p in before[key] - set(graph.nodes[key].parents)}
        graph.decisions |= solve(affected(graph, picked | lost)).decisions
        graph.decisions = {key: made for key, made in graph.decisions.items() if key not in graph.there}

        assert graph.decisions == graph.whole()


def test_a_change_of_one_element_of_a_map_leaves_the_others_alone() -> None:
    elements = {f"e{i}": PlanNode(f"e{i}", ("source",), 10, 1) for i in range(100)}
    nodes = {
        "source": PlanNode("source", (), 50, 5),
        **elements,
        "sum": PlanNode("sum", tuple(elements), 1, None, True, True),
    }
    graph = Graph(nodes)
    graph.decisions = graph.whole()
    graph.nodes["e7"] = PlanNode("e7", ("source",), 10, None, original=True, demanded=True)

    assert sorted(each.key for each in affected(graph, ["e7"])) == ["e7", "source"]


@pytest.mark.parametrize("original", [True, False], ids=["changed", "never stored"])
def test_an_element_of_a_map_that_was_computed_leaves_the_others_alone(
    original: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    elements = {f"e{i}": PlanNode(f"e{i}", ("source",), 10, original=original, demanded=original) for i in range(100)}
    last = PlanNode("sum", tuple(elements), 1, original=True, demanded=True)
    graph = Graph({"source": PlanNode("source", (), 50, 5), **elements, "sum": last})
    graph.decisions = graph.whole()
    graph.there = {f"e{i}" for i in range(50)}
    open_node, looked = graph.open_node, list[str]()
    monkeypatch.setattr(graph, "open_node", lambda key: looked.append(key) or open_node(key))

    assert affected(graph, ["e49"]) == []
    assert len(looked) < 5


def test_elements_of_a_map_that_nobody_needs_are_left_alone_as_others_are_asked_for_one_by_one() -> None:
    elements = {f"e{i}": PlanNode(f"e{i}", ("source",), 1, 10) for i in range(100)}
    graph = Graph({"source": PlanNode("source", (), 500), **elements})
    graph.decisions = graph.whole()
    graph.nodes["e7"] = replace(elements["e7"], demanded=True)

    assert sorted(each.key for each in affected(graph, ["e7"])) == ["e7", "source"]


def test_an_element_of_a_map_that_nobody_needs_is_planned_where_others_are_made_from_it() -> None:
    graph = Graph(
        {
            "source": PlanNode("source", (), 500),
            "part": PlanNode("part", ("source",), 1),
            "whole": PlanNode("whole", ("part",), 1, 100, demanded=True),
            "other": PlanNode("other", ("source",), 1, 450),
        }
    )
    graph.decisions = graph.whole()
    assert graph.decisions["part"] is Decision.PRUNE
    graph.nodes["other"] = replace(graph.nodes["other"], demanded=True)
    graph.decisions |= solve(affected(graph, ["other"])).decisions

    assert graph.decisions == graph.whole()
    assert graph.decisions["whole"] is Decision.COMPUTE
