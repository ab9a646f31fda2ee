"""What was found clear is not looked at again, and nothing open is overlooked."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_helix.core.fingerprint import Fingerprint
from prefect_helix.core.graph import Decision, depth_first
from prefect_helix.core.history import History
from prefect_helix.runtime.clearing import Clearing
from prefect_helix.runtime.nodes import Edge, Node
from prefect_helix.runtime.specs import TaskSpec


class Graph:
    """Nodes whose parents come before them, and what is known of their tasks."""

    def __init__(self, count: int) -> None:
        self.nodes = [self.node(number) for number in range(count)]
        self.proven_codes: set[str] = set()
        self.unsteady = 0
        self.clearing = Clearing(cast("History", self), self.children)

    @staticmethod
    def node(number: int) -> Node:
        return Node(TaskSpec("step", f"step{number}", print, Fingerprint(str(number), (), ())), str(number), number)

    def proven(self, fingerprint: str) -> bool:
        return fingerprint in self.proven_codes

    def children(self, node: Node) -> list[Node]:
        return [one for one in self.nodes if node in one.parents]

    def connect(self, child: int, parents: set[int]) -> None:
        self.nodes[child].edges = tuple(Edge(self.nodes[one].cell(), "x") for one in parents if one < child)
        self.clearing.moved(self.nodes[child])

    def change(self, number: int, how: str) -> None:
        node = self.nodes[number]
        match how:
            case "compute":
                self.clearing.opened(node)
                node.decision = Decision.COMPUTE
            case "load":
                node.decision = Decision.LOAD
            case "done":
                node.done = True
            case "left memory":
                node.done = False
                self.clearing.opened(node)
            case "proven":
                self.proven_codes.add(node.spec.fingerprint)
            case "not proven after all" if node.spec.fingerprint in self.proven_codes:
                self.proven_codes.remove(node.spec.fingerprint)
                self.unsteady += 1


CHANGES = ("compute", "load", "done", "left memory", "proven", "not proven after all")


@given(st.data(), st.integers(1, 7))
def test_all_open_ancestors_are_found_whatever_changes(data: st.DataObject, count: int) -> None:
    graph = Graph(count)
    numbers = st.integers(0, count - 1)
    steps = st.one_of(
        st.tuples(st.just("connect"), numbers, st.sets(numbers, max_size=3)),
        st.tuples(st.sampled_from(CHANGES), numbers, st.none()),
        st.tuples(st.just("ask"), numbers, st.none()),
    )
    for child in range(count):
        graph.connect(child, data.draw(st.sets(numbers, max_size=3)))
    for how, number, parents in data.draw(st.lists(steps, max_size=30)):
        if parents is not None:
            graph.connect(number, parents)
        elif how == "ask":
            node = graph.nodes[number]
            above = depth_first(node, lambda one: one.parents)
            assert set(graph.clearing.open_above(node)) == {one for one in above if graph.clearing.is_open(one)}
        else:
            graph.change(number, how)


def test_who_touches_each_step_of_a_chain_looks_at_each_step_a_few_times(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = 60

    @lab.task
    def start() -> Any:
        return np.arange(9_000.0)

    @lab.task
    def more(x: Any) -> Any:
        return x + 1

    def flow(touched: bool) -> float:
        value, total = start(), 0.0
        for _ in range(length):
            value = more(value)
            if touched:
                total += float(value[0])
        return total

    lab.run(flow, touched=False)
    looks: list[Node] = []
    plain = Node.parents.fget
    monkeypatch.setattr(Node, "parents", property(lambda node: looks.append(node) or plain(node)))
    run = lab.run(flow, touched=True)
    assert (run.value, run.bodies) == (length * (length + 1) / 2, [])
    assert len(looks) < 10 * length
