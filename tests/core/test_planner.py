from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import networkx as nx
import pytest

from prefect_helix.core.graph import Decision, ancestors
from prefect_helix.core.planner import (
    InvalidGraphError,
    PlanError,
    PlanNode,
    cutting,
    network,
    networkx_flow,
    solve,
)
from prefect_helix.core.planner.explanation import Explanation, Yardsticks, explain, yardsticks
from prefect_helix.core.planner.network import Network

COMPUTE, LOAD, PRUNE = Decision.COMPUTE, Decision.LOAD, Decision.PRUNE

DIAMOND = (
    PlanNode("source", compute_us=100),
    PlanNode("left", ("source",), 1),
    PlanNode("right", ("source",), 1),
    PlanNode("join", ("left", "right"), 1, 150, demanded=True),
)


# Two results made from one source, each of which can be loaded: only a cut tells that computing all three is cheapest.
UNSETTLED = (
    PlanNode("source", (), 10),
    PlanNode("left", ("source",), 1, 8, demanded=True),
    PlanNode("right", ("source",), 2, 7, demanded=True),
)

# Computing k4 costs what loading it does, and brings k1 and k2: their cost is part of k4's by then.
SHARED_INPUT = [
    PlanNode("k5", (), 6, original=True),
    PlanNode("k2", ("k5",), 2, 27),
    PlanNode("k1", ("k2",), 1, 24),
    PlanNode("k4", ("k1",), 9, 12, demanded=True),
    PlanNode("k0", ("k5", "k4"), 0, 16, demanded=True),
]


def random_dag(rng: random.Random, size: int, top_us: int = 9, unknown: float = 0.0) -> list[PlanNode]:
    """Return a graph, parents first, with few distinct costs (so that ties are frequent) and keys in no order."""
    keys = rng.sample([f"k{number}" for number in range(size)], size)
    return [
        PlanNode(
            key,
            parents=tuple(rng.choices(keys[:position], k=rng.randint(0, 3))) if position else (),
            compute_us=None if rng.random() < unknown else rng.randint(0, top_us),
            load_us=rng.randint(0, 3 * top_us) if rng.random() < 0.7 else None,
            original=rng.random() < 0.15,
            demanded=rng.random() < 0.3,
        )
        for position, key in enumerate(keys)
    ]


def small_dags() -> Iterator[list[PlanNode]]:
    """Yield graphs with unknown and zero costs, several targets, loadable targets and originals, and two rare ones."""
    yield from (SHARED_INPUT, [*SHARED_INPUT, PlanNode("other", ("k1",), 7, 12, demanded=True)])
    rng = random.Random(7)
    for case in range(2500):
        yield random_dag(rng, rng.randint(1, 8), rng.choice([2, 9, 1000]), unknown=0.3 if case % 4 == 0 else 0.0)


def by_depth_and_key(nodes: Sequence[PlanNode]) -> list[PlanNode]:
    depth: dict[str, int] = {}
    for node in nodes:
        depth[node.key] = 1 + max((depth[parent] for parent in node.parents), default=0)
    return sorted(nodes, key=lambda node: (depth[node.key], node.key))


def feasible(nodes: Sequence[PlanNode], chosen: Mapping[str, Decision]) -> Iterator[Mapping[str, Decision]]:
    """Yield every allowed way to complete `chosen`: load before compute before prune, node after node."""
    if len(chosen) == len(nodes):
        yield chosen
        return
    node = nodes[len(chosen)]
    if node.load_us is not None and not node.original:
        yield from feasible(nodes, {**chosen, node.key: LOAD})
    if all(chosen[parent] is not PRUNE for parent in node.parents):
        yield from feasible(nodes, {**chosen, node.key: COMPUTE})
    if not node.demanded:
        yield from feasible(nodes, {**chosen, node.key: PRUNE})


def price(nodes: Sequence[PlanNode], decisions: Mapping[str, Decision]) -> tuple[int, int]:
    """Return the number of unknown computes and the known cost."""
    computed = [node.compute_us for node in nodes if decisions[node.key] is COMPUTE]
    loaded = [node.load_us or 0 for node in nodes if decisions[node.key] is LOAD]
    return computed.count(None), sum(cost or 0 for cost in computed) + sum(loaded)


def without_idle(nodes: Sequence[PlanNode], decisions: Mapping[str, Decision]) -> dict[str, Decision]:
    kept = dict(decisions)
    for node in reversed(nodes):
        children = [child.key for child in nodes if node.key in child.parents]
        if not node.demanded and all(kept[child] is not COMPUTE for child in children):
            kept[node.key] = PRUNE
    return kept


def is_feasible(nodes: Sequence[PlanNode], decisions: Mapping[str, Decision]) -> bool:
    return all(
        not (node.demanded and decisions[node.key] is PRUNE)
        and not (decisions[node.key] is LOAD and (node.original or node.load_us is None))
        and not (decisions[node.key] is COMPUTE and any(decisions[parent] is PRUNE for parent in node.parents))
        for node in nodes
    )


def project_selection(nodes: Sequence[PlanNode]) -> int:
    """Return the least cost as HELIX states it: projects with profits and prerequisites (PVLDB 2018, section 5.2)."""
    huge = 1 + sum((node.compute_us or 0) + (node.load_us or 0) for node in nodes)
    graph = nx.DiGraph()
    graph.add_nodes_from(["source", "sink"])
    gains = 0

    def project(name: tuple[str, str], profit: int) -> None:
        nonlocal gains
        gains += max(profit, 0)
        graph.add_edge("source", name, capacity=max(profit, 0))
        graph.add_edge(name, "sink", capacity=max(-profit, 0))

    for node in nodes:
        load = huge if node.original or node.load_us is None else node.load_us
        must_compute = node.original and node.demanded
        project(("available", node.key), -load)
        project(("computed", node.key), load - (node.compute_us or 0))
        for needed in (node.key, *node.parents):
            graph.add_edge(("computed", node.key), ("available", needed))
        if node.demanded:
            graph.add_edge("source", ("computed" if must_compute else "available", node.key), capacity=float("inf"))
    return int(nx.minimum_cut_value(graph, "source", "sink", flow_func=nx.algorithms.flow.boykov_kolmogorov)) - gains


def by_node(nodes: Sequence[PlanNode], computing: Mapping[str, int]) -> dict[str, Decision]:
    """Decide from the demands upwards, each node by itself: load what costs less than `computing` it."""
    needed = {node.key for node in nodes if node.demanded}
    decisions = dict.fromkeys((node.key for node in nodes), PRUNE)
    for node in reversed(nodes):
        if node.key in needed:
            loads = not node.original and node.load_us is not None and node.load_us < computing[node.key]
            decisions[node.key] = LOAD if loads else COMPUTE
            if not loads:
                needed.update(node.parents)
    return decisions


def greedy(nodes: Sequence[PlanNode]) -> dict[str, Decision]:
    """Load what costs less than to compute it and all its ancestors."""
    parents = {node.key: node.parents for node in nodes}
    own = {node.key: node.compute_us or 0 for node in nodes}
    return by_node(nodes, {key: own[key] + sum(own[a] for a in ancestors([key], parents)) for key in own})


def linear_time_reuse(nodes: Sequence[PlanNode]) -> dict[str, Decision]:
    """Load what costs less than to compute it from parents had at their least (Derakhshan et al., SIGMOD 2020)."""
    computing: dict[str, int] = {}
    having: dict[str, int] = {}
    for node in nodes:
        computing[node.key] = (node.compute_us or 0) + sum(having[parent] for parent in set(node.parents))
        loadable = node.load_us is not None and not node.original
        having[node.key] = min(computing[node.key], node.load_us or 0) if loadable else computing[node.key]
    return by_node(nodes, computing)


def use(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if library == "SciPy":
        pytest.importorskip("scipy.sparse.csgraph")
    monkeypatch.setattr(network, "WORTH_A_CALL", 0 if library == "SciPy" else 10**9)
    monkeypatch.setattr(network, "WORTH_AN_IMPORT", 10**9)


@pytest.fixture(params=["networkx", "SciPy"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one of the two libraries find all maximum flows."""
    use(request.param, monkeypatch)


@pytest.mark.usefixtures("library")
def test_the_plan_is_the_first_of_the_cheapest_of_all_feasible_ones() -> None:
    for nodes in small_dags():
        ordered = by_depth_and_key(nodes)
        cheapest = min(feasible(ordered, {}), key=lambda decisions: price(ordered, decisions))
        plan = solve(nodes)
        assert plan.decisions == without_idle(ordered, cheapest), nodes
        assert (plan.unknown_computes, plan.cost_us) == price(nodes, cheapest), nodes


@pytest.mark.parametrize("heuristic", [greedy, linear_time_reuse])
def test_a_heuristic_fails_where_the_plan_is_optimal(
    heuristic: Callable[[Sequence[PlanNode]], dict[str, Decision]],
) -> None:
    worse = 0
    for nodes in small_dags():
        if any(node.compute_us is None for node in nodes):
            continue
        decisions = heuristic(nodes)
        assert is_feasible(nodes, decisions)
        _, cost_us = price(nodes, decisions)
        assert cost_us >= solve(nodes).cost_us
        worse += cost_us > solve(nodes).cost_us
    assert worse > 10


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("seed", range(15))
def test_large_plans_cost_what_project_selection_costs(seed: int) -> None:
    rng = random.Random(seed)
    nodes = random_dag(rng, rng.randint(50, 250), rng.choice([3, 100, 10**7]))
    plan = solve(nodes)
    assert is_feasible(nodes, plan.decisions)
    assert plan.cost_us == price(nodes, plan.decisions)[1] == project_selection(nodes)


@pytest.mark.parametrize("seed", range(15))
def test_the_plan_does_not_depend_on_the_order_of_the_nodes(seed: int) -> None:
    rng = random.Random(seed)
    nodes = random_dag(rng, 80, top_us=2)
    plan = solve(nodes)
    for _ in range(5):
        shuffled = [replace(node, parents=tuple(rng.sample(node.parents, len(node.parents)))) for node in nodes]
        rng.shuffle(shuffled)
        again = solve(shuffled)
        assert again == plan
        assert list(again.decisions) == [node.key for node in shuffled]


@pytest.mark.parametrize("seed", range(30))
def test_both_libraries_lead_to_one_plan(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    nodes = random_dag(rng, rng.randint(100, 400), rng.choice([3, 100, 10**12]), unknown=0.1 if seed % 3 == 0 else 0.0)
    plans = []
    for library in ("SciPy", "networkx"):
        use(library, monkeypatch)
        plans.append(solve(nodes))
    assert plans[0] == plans[1]


@pytest.mark.parametrize("top", [9, 2**31, 10**30])
def test_both_libraries_find_as_much_flow(top: int) -> None:
    scipy_flow = pytest.importorskip("prefect_helix.core.planner.scipy_flow", exc_type=ImportError)
    for seed in range(40):
        rng = random.Random(seed)
        drawn = Network()
        vertices = [0, *(drawn.vertex() for _ in range(rng.randint(1, 40))), 1]
        for tail, head in itertools.combinations(range(len(vertices)), 2):
            if rng.random() < 0.3:
                drawn.arc(vertices[tail], vertices[head], rng.choice([0, rng.randint(0, top), 5 * top]))
        if not drawn.tails:
            continue
        found = [solver.maximum_flow(drawn) for solver in (networkx_flow, scipy_flow)]
        values = [
            sum(flow for head, flow in zip(drawn.heads, flows, strict=True) if head == network.SINK) for flows in found
        ]
        assert values[0] == values[1]
        for flows in found:
            network.certify(drawn, flows, values[0])


def test_a_shared_ancestor_is_paid_once() -> None:
    plan = solve(DIAMOND)
    assert set(plan.decisions.values()) == {COMPUTE}
    assert plan.cost_us == 103
    assert linear_time_reuse(DIAMOND)["join"] is LOAD


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(
            [PlanNode("a", (), 10), PlanNode("b", ("a",), 10, 5, demanded=True)],
            {"a": PRUNE, "b": LOAD},
            id="a demanded node is loaded if that is cheaper",
        ),
        pytest.param(
            [PlanNode("a", (), 10, 1), PlanNode("b", ("a",), 10, 0, original=True, demanded=True)],
            {"a": LOAD, "b": COMPUTE},
            id="a demanded original is computed, however cheap its load",
        ),
        pytest.param(
            [PlanNode("a", (), 1, 0, original=True), PlanNode("b", ("a",), 1, demanded=True)],
            {"a": COMPUTE, "b": COMPUTE},
            id="an original is computed for a child that computes",
        ),
        pytest.param(
            [PlanNode("a", (), 0, 0, original=True), PlanNode("b", ("a",), 9, 5, demanded=True)],
            {"a": PRUNE, "b": LOAD},
            id="an original that nobody needs is pruned",
        ),
        pytest.param(
            [PlanNode("a", (), 1, 4), PlanNode("b", ("a",), 2, 3, demanded=True), PlanNode("c", ("a",), 1)],
            {"a": COMPUTE, "b": COMPUTE, "c": PRUNE},
            id="loading for what computing costs leaves the ancestors to decide",
        ),
        pytest.param(
            [PlanNode("a", (), 5), PlanNode("b", ("a",), 5, 5, demanded=True)],
            {"a": PRUNE, "b": LOAD},
            id="load before compute",
        ),
        pytest.param(
            [PlanNode("a", (), 0, 0), PlanNode("b", ("a",), 5, 0, demanded=True), PlanNode("c", ("b",), 0)],
            {"a": PRUNE, "b": LOAD, "c": PRUNE},
            id="what nobody needs is pruned even where it is free",
        ),
        pytest.param(
            [PlanNode("a", (), 1, 1, demanded=True), PlanNode("a2", ("a", "a"), 1, 3, demanded=True)],
            {"a": LOAD, "a2": COMPUTE},
            id="a parent taken twice is one parent",
        ),
        pytest.param([], {}, id="nothing"),
    ],
)
def test_decisions(nodes: list[PlanNode], expected: dict[str, Decision]) -> None:
    assert solve(nodes).decisions == expected


def test_an_unknown_cost_is_avoided_at_any_known_cost() -> None:
    nodes = [PlanNode("a"), PlanNode("b", ("a",), 1, 10**9, demanded=True), PlanNode("c", (), 10**9, demanded=True)]
    plan = solve(nodes)
    assert plan.decisions == {"a": PRUNE, "b": LOAD, "c": COMPUTE}
    assert (plan.cost_us, plan.unknown_computes) == (2 * 10**9, 0)


def test_an_unknown_cost_that_cannot_be_avoided_is_counted_apart() -> None:
    plan = solve([PlanNode("a", (), 7), PlanNode("b", ("a",), original=True, demanded=True)])
    assert (plan.cost_us, plan.unknown_computes) == (7, 1)


def test_costs_are_exact_beyond_machine_integers() -> None:
    shift = 2**70
    nodes = [replace(node, compute_us=(node.compute_us or 0) + shift) for node in DIAMOND]
    closure = 103 + 4 * shift
    assert solve([*nodes[:3], replace(nodes[3], load_us=closure + 1)]).cost_us == closure
    assert solve([*nodes[:3], replace(nodes[3], load_us=closure - 1)]).cost_us == closure - 1


def test_a_long_chain_is_planned() -> None:
    chain = [PlanNode(f"{i:05}", (f"{i - 1:05}",) if i else (), 2, 3, demanded=i == 4999) for i in range(5000)]
    plan = solve(chain)
    assert (plan.count(LOAD), plan.count(COMPUTE), plan.cost_us) == (1, 0, 3)


@pytest.mark.parametrize(
    ("falsify", "finding"),
    [
        pytest.param(lambda flows: [0 for _ in flows], "it costs 13 where the maximum flow is 0", id="not maximum"),
        pytest.param(lambda flows: [10 * flow for flow in flows], "does not fit the capacity", id="over capacity"),
        pytest.param(lambda flows: [-flow for flow in flows], "does not fit the capacity", id="negative"),
        pytest.param(lambda flows: [*flows[:-1], flows[-1] - 1], "not conserved", id="not conserved"),
    ],
)
def test_a_wrong_flow_is_found(
    monkeypatch: pytest.MonkeyPatch, falsify: Callable[[list[int]], list[int]], finding: str
) -> None:
    right = network.maximum_flow
    monkeypatch.setattr(cutting, "maximum_flow", lambda arcs: falsify(right(arcs)))
    with pytest.raises(PlanError, match=finding):
        solve(UNSETTLED)


@pytest.mark.parametrize(
    ("nodes", "finding", "keys"),
    [
        ([PlanNode("a"), PlanNode("a")], "'a' comes twice", {"a"}),
        ([PlanNode("a", ("b", "c")), PlanNode("c")], "unknown parents 'b'", {"a"}),
        ([PlanNode("a", ("b",)), PlanNode("b", ("a",))], "cycle", {"a", "b"}),
        ([PlanNode("a", ("a",))], "cycle", {"a"}),
        ([PlanNode("a", (), -1)], "negative cost", {"a"}),
        ([PlanNode("a", (), 1, -1)], "negative cost", {"a"}),
    ],
)
def test_what_is_no_graph_with_costs_is_refused(nodes: list[PlanNode], finding: str, keys: set[str]) -> None:
    with pytest.raises(InvalidGraphError, match=finding) as caught:
        solve(nodes)
    assert set(caught.value.keys) == keys
    assert isinstance(caught.value, ValueError)


CHAIN = (
    PlanNode("read", (), 100, 30),
    PlanNode("clean", ("read",), 40, 25),
    PlanNode("fit", ("clean",), 60, original=True, demanded=True),
    PlanNode("plot", ("clean",), None, 5),
)


def test_a_plan_explains_each_decision() -> None:
    plan = solve(CHAIN)
    by_key = {node.key: node for node in CHAIN}
    found = {key: explain(by_key, plan, key, changed="argument reg changed") for key in by_key}
    assert found == {
        "read": Explanation(PRUNE, "unchanged, and not needed", 0, LOAD, 30),
        "clean": Explanation(LOAD, "unchanged, and needed", 25, COMPUTE, 70),
        "fit": Explanation(COMPUTE, "argument reg changed", 60, None, None),
        "plot": Explanation(PRUNE, "unchanged, and not needed", 0, LOAD, 5),
    }


def test_what_is_computed_although_it_is_stored_tells_what_loading_would_have_cost() -> None:
    nodes = {"a": PlanNode("a", (), 10, 90, demanded=True)}
    assert explain(nodes, solve(nodes.values()), "a") == Explanation(
        COMPUTE, "unchanged, but dearer to load than to compute", 10, LOAD, 90
    )


def test_an_alternative_pays_for_what_the_plan_does_not_have_only() -> None:
    nodes = [*UNSETTLED[:2], PlanNode("right", ("source", "left"), 50, 7, demanded=True)]
    plan = solve(nodes)
    assert plan.decisions == {"source": PRUNE, "left": LOAD, "right": LOAD}
    by_key = {node.key: node for node in nodes}
    assert explain(by_key, plan, "right").alternative_us == 60
    assert explain(by_key, plan, "left").alternative_us == 11
    unknown = {**by_key, "source": PlanNode("source")}
    assert explain(unknown, solve(unknown.values()), "left").alternative_us is None


def test_a_plan_is_measured_against_others() -> None:
    assert yardsticks(CHAIN[:3], solve(CHAIN[:3])) == Yardsticks(
        predicted_us=85, scratch_us=200, compute_all_us=200, load_targets_us=85
    )
    assert yardsticks(CHAIN, solve(CHAIN)) == Yardsticks(85, None, 200, 85)
    cached = [*UNSETTLED, PlanNode("alone", (), 1000, 300)]
    assert yardsticks(cached, solve(cached)) == Yardsticks(13, 1013, 13, 15)


@pytest.mark.parametrize("seed", range(20))
def test_the_alternative_is_what_the_plan_costs_more_without_the_decision(seed: int) -> None:
    """Against plans solved anew in which what the first plan has costs nothing."""
    nodes = random_dag(random.Random(seed), 40)
    plan, by_key = solve(nodes), {node.key: node for node in nodes}
    for node in nodes:
        sunk = [
            replace(other, load_us=0, original=False, demanded=False)
            if other is not node and plan.decisions[other.key] is not PRUNE
            else replace(other, demanded=False)
            for other in nodes
        ]
        decision = plan.decisions[node.key]
        if decision is not COMPUTE:
            forced = replace(node, demanded=True, load_us=None if decision is LOAD else node.load_us)
            expected = solve([forced if other.key == node.key else other for other in sunk]).cost_us
            assert explain(by_key, plan, node.key).alternative_us == expected
