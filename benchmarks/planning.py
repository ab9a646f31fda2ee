"""What planning takes, graph building included: with SciPy, with networkx alone, and beside other planners.

    python benchmarks/planning.py [--dags 20] [--slow-dags 20] [--repeats 3]

The first table is of graphs of 1,000 to 100,000 nodes, each planned in a process that has SciPy and in one that has
not. The second is of random graphs of 500 to 2,000 nodes, as in the test of Derakhshan et al. (SIGMOD 2020), in one
process: this planner, their linear-time heuristic, and HELIX's project selection cut by Edmonds and Karp's algorithm.
All are given the same nodes and use the same Python; some of the heuristic's plans are dearer than need be.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

import networkx as nx
from simulation.workloads import amounts, grown

from prefect_helix.core.graph import Decision
from prefect_helix.core.planner import PlanNode, solve

SECOND = 1_000_000
SIZES = (1_000, 10_000, 100_000)
NETWORKX_SIZES = SIZES[:2]


def drawn(size: int, *, reach: int, loadable: float, demanded: float, original: float) -> list[PlanNode]:
    """Draw a graph whose nodes take one to three of the `reach` nodes before them."""
    rng = random.Random(size)
    nodes = []
    for number in range(size):
        first = max(0, number - reach)
        parents = {f"n{rng.randrange(first, number)}" for _ in range(rng.randint(1, 3))} if number else ()
        nodes.append(
            PlanNode(
                f"n{number}",
                tuple(parents),
                compute_us=rng.randint(1, SECOND),
                load_us=rng.randint(1, 3 * SECOND) if rng.random() < loadable else None,
                original=rng.random() < original,
                demanded=rng.random() < demanded or number == size - 1,
            )
        )
    return nodes


def layered(size: int, width: int = 5) -> list[PlanNode]:
    """Draw layers, each node of which takes some of the layer before it; the last layer is demanded."""
    rng = random.Random(size)
    nodes = []
    for number in range(size):
        layer, place = divmod(number, width)
        parents = rng.sample(range(width), rng.randint(1, 3)) if layer else []
        nodes.append(
            PlanNode(
                f"{layer}.{place}",
                tuple(f"{layer - 1}.{parent}" for parent in parents),
                compute_us=rng.randint(1, SECOND),
                load_us=rng.randint(1, 10 * SECOND) if rng.random() < 0.7 else None,
                demanded=number >= size - width,
            )
        )
    return nodes


SHAPES: dict[str, Callable[[int], list[PlanNode]]] = {
    "wide": lambda size: drawn(size, reach=size, loadable=0.7, demanded=0.3, original=0.15),
    "near": lambda size: drawn(size, reach=20, loadable=0.7, demanded=0.02, original=0.0),
    "sparse loads": lambda size: drawn(size, reach=20, loadable=0.3, demanded=0.02, original=0.05),
    "layers of 5": layered,
}


def seconds(nodes: Sequence[PlanNode], repeats: int) -> float:
    """Return the least processor time of planning these nodes; others may use the machine."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        solve(nodes)
        taken.append(time.process_time() - started)
    return min(taken)


def measure(library: str, repeats: int) -> dict[str, float]:
    """Return the seconds for each graph, with one library."""
    if library == "networkx":
        sys.modules["scipy"] = None  # type: ignore[assignment]  # as if it were not installed
    else:
        import_module("scipy.sparse.csgraph")  # as a flow has done that uses it
    sizes = NETWORKX_SIZES if library == "networkx" else SIZES
    solve(SHAPES["near"](1000))
    return {f"{name} {size}": seconds(make(size), repeats) for name, make in SHAPES.items() for size in sizes}


def linear_time_reuse(nodes: Sequence[PlanNode]) -> dict[str, Decision]:
    """Plan by the heuristic of Derakhshan et al.: forwards what each node costs at least by itself, then backwards."""
    computing: dict[str, int] = {}
    having: dict[str, int] = {}
    for node in nodes:
        cost = (node.compute_us or 0) + sum(having[parent] for parent in node.parents)
        computing[node.key] = cost
        having[node.key] = min(cost, node.load_us) if node.loadable and node.load_us is not None else cost
    needed = {node.key for node in nodes if node.demanded}
    decisions = {node.key: Decision.PRUNE for node in nodes}
    for node in reversed(nodes):
        if node.key in needed:
            if node.loadable and node.load_us is not None and node.load_us < computing[node.key]:
                decisions[node.key] = Decision.LOAD
            else:
                decisions[node.key] = Decision.COMPUTE
                needed.update(node.parents)
    return decisions


def edmonds_karp_cost(nodes: Sequence[PlanNode]) -> int:
    """Return the cost of the plan that HELIX finds: projects with profits, cut by Edmonds and Karp's algorithm."""
    huge = 1 + sum((node.compute_us or 0) + (node.load_us or 0) for node in nodes)
    graph = nx.DiGraph()
    gains = 0
    for node in nodes:
        load = node.load_us if node.loadable and node.load_us is not None else huge
        for name, profit in ((("available", node.key), -load), (("computed", node.key), load - (node.compute_us or 0))):
            gains += max(profit, 0)
            graph.add_edge("source", name, capacity=max(profit, 0))
            graph.add_edge(name, "sink", capacity=max(-profit, 0))
        for needed in (node.key, *node.parents):
            graph.add_edge(("computed", node.key), ("available", needed))
        if node.demanded:
            must = "computed" if node.original else "available"
            graph.add_edge("source", (must, node.key), capacity=huge * len(nodes))
    cut = nx.minimum_cut_value(graph, "source", "sink", flow_func=nx.algorithms.flow.edmonds_karp)
    return int(cut) - gains


def like_scripts(seed: int) -> list[PlanNode]:
    """Draw a graph of 500 to 2,000 nodes, half of them materialized, its last results demanded."""
    rng = random.Random(seed)
    steps = grown(rng, rng.randint(500, 2000), amounts(rng, 1, 10, spread=1.5))
    return [
        PlanNode(
            step.key,
            step.parents,
            step.compute_us,
            load_us=step.size_bytes // 20 if rng.random() < 0.5 else None,
            demanded=step.demanded,
        )
        for step in steps
    ]


def cost(nodes: Sequence[PlanNode], decisions: dict[str, Decision]) -> int:
    """Return what a plan costs."""
    costs = {Decision.COMPUTE: "compute_us", Decision.LOAD: "load_us"}
    return sum(getattr(node, costs[made]) or 0 for node in nodes if (made := decisions[node.key]) in costs)


def beside_others(dags: int, slow_dags: int) -> None:
    """Print the total time of each planner over the same graphs, and how often its plan is not the cheapest."""
    planners: dict[str, Callable[[Sequence[PlanNode]], int]] = {
        "this planner": lambda nodes: solve(nodes).cost_us,
        "linear-time heuristic": lambda nodes: cost(nodes, linear_time_reuse(nodes)),
        "Edmonds-Karp": edmonds_karp_cost,
    }
    seconds: dict[str, list[float]] = {name: [] for name in planners}
    dearer = dict.fromkeys(planners, 0)
    count = 0
    for seed in range(dags):
        nodes = like_scripts(seed)
        count += len(nodes)
        least = None
        for name, planner in planners.items():
            if name == "Edmonds-Karp" and seed >= slow_dags:
                continue
            started = time.process_time()
            found = planner(nodes)
            seconds[name].append(time.process_time() - started)
            least = found if least is None else least
            dearer[name] += found > least
    title = f"{dags:,} graphs, {count:,} nodes"
    print(f"\n{title:32}{'graphs':>8}{'total s':>10}{'ms a graph':>12}{'dearer plans':>14}")
    for name, taken in seconds.items():
        total = sum(taken)
        print(f"{name:32}{len(taken):8,}{total:10.2f}{1000 * total / len(taken):12.2f}{dearer[name]:14,}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dags", type=int, default=20, help="graphs of the second table")
    parser.add_argument("--slow-dags", type=int, default=20, help="how many of them Edmonds-Karp is given")
    parser.add_argument("--repeats", type=int, default=3, help="plans of each graph of the first table")
    parser.add_argument("--measure", metavar="LIBRARY", help="measure with that library, and print that as JSON")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.repeats)))
        return
    found = {}
    for library in ("scipy", "networkx"):
        command = [sys.executable, __file__, "--measure", library, "--repeats", str(options.repeats)]
        found[library] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(f"{'ms to plan':28}{'SciPy':>10}{'networkx':>10}")
    for graph, taken in found["scipy"].items():
        alone = found["networkx"].get(graph)
        print(f"{graph:28}{1000 * taken:10.1f}{'' if alone is None else f'{1000 * alone:10.1f}':>10}")
    beside_others(options.dags, options.slow_dags)


if __name__ == "__main__":
    main()
