"""Flows with costs and sizes, and the series of edits that are made to them; each is drawn from a seed.

The four HELIX workloads (census, genomics, information extraction, MNIST; PVLDB 2018, section 6) with the share of
their three kinds of change: data preprocessing, learning and inference, postprocessing. Graphs like those of
Derakhshan et al. (SIGMOD 2020, section 7: 500 to 2,000 nodes) and like HYPPO's (ICDE 2024: layers of five, 100 to 900
deep). Chains, diamonds, and wide maps. All of it was fixed before any policy was run on it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

RUNS = 12
"""Runs of a flow in a series: the first, and one after each edit."""

SECOND = 1_000_000
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a task.

    Attributes:
        key: Its name in the flow.
        task: The task; an edit of its code changes all its calls.
        parents: The steps whose results it takes.
        compute_us: What computing it takes.
        size_bytes: Size of its result.
        demanded: Whether the flow gives back its result.
    """

    key: str
    task: str
    parents: tuple[str, ...]
    compute_us: int
    size_bytes: int
    demanded: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """A flow and the runs of it.

    Attributes:
        family: What kind of flow it is.
        name: Its name.
        steps: Its calls, parents before children.
        versions: For each run the version of each task; those that are not named have version 0.
    """

    family: str
    name: str
    steps: tuple[Step, ...]
    versions: tuple[Mapping[str, int], ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all results of one version."""
        return sum(step.size_bytes for step in self.steps)


Drawn = Callable[[], tuple[int, int]]
"""Draws what a step takes and the size of its result."""


def edits(rng: random.Random, weights: Mapping[str, float], runs: int = RUNS) -> tuple[Mapping[str, int], ...]:
    """Draw a series in which before each run but the first one task is edited, by weight.

    One edit in ten takes back the one before it; one run in ten has no edit before it.
    """
    tasks = [*weights]
    series: list[dict[str, int]] = [{}]
    newest: dict[str, int] = {}
    for _ in range(runs - 1):
        now = dict(series[-1])
        kind = rng.random()
        if kind < 0.1 and len(series) > 1:
            now = dict(series[-2])
        elif kind < 0.9:
            task = rng.choices(tasks, [weights[task] for task in tasks])[0]
            newest[task] = now[task] = newest.get(task, 0) + 1
        series.append(now)
    return tuple(series)


def amounts(rng: random.Random, seconds: float, megabytes: float, spread: float = 1.2) -> Drawn:
    """Draw times and sizes that spread over orders of magnitude around these."""

    def draw() -> tuple[int, int]:
        compute_us = seconds * SECOND * math.exp(rng.gauss(0, spread))
        size_bytes = megabytes * MEGABYTE * math.exp(rng.gauss(0, spread))
        return max(1000, int(compute_us)), max(5000, int(size_bytes))

    return draw


# name: kind of change, parents, seconds, megabytes; the shapes and orders of magnitude are those of the HELIX paper
_CENSUS = {
    "scan": ("prepare", "", 2, 30),
    "age": ("prepare", "scan", 1, 8),
    "education": ("prepare", "scan", 1, 8),
    "occupation": ("prepare", "scan", 1, 8),
    "hours": ("prepare", "scan", 0.5, 4),
    "gain": ("prepare", "scan", 0.5, 4),
    "age_bucket": ("prepare", "age", 1, 4),
    "interaction": ("prepare", "education occupation", 3, 40),
    "target": ("prepare", "scan", 0.5, 2),
    "assemble": ("prepare", "age_bucket education hours gain interaction target", 6, 150),
    "fit": ("learn", "assemble", 15, 1),
    "predict": ("learn", "fit assemble", 2, 5),
    "evaluate": ("report", "predict target", 0.5, 0.02),
    "report": ("report", "evaluate predict", 1, 0.02),
}
_GENOMICS = {
    "articles": ("prepare", "", 4, 200),
    "genes": ("prepare", "", 1, 2),
    "sentences": ("prepare", "articles", 20, 180),
    "tokens": ("prepare", "sentences", 60, 300),
    "join": ("prepare", "tokens genes", 15, 60),
    "vectors": ("learn", "tokens", 300, 80),
    "gene_vectors": ("learn", "vectors join", 5, 6),
    "cluster": ("learn", "gene_vectors", 30, 1),
    "neighbours": ("report", "gene_vectors", 8, 3),
    "label": ("report", "cluster genes", 3, 0.5),
    "report": ("report", "label neighbours", 2, 0.05),
}
_SPOUSE = {
    "articles": ("prepare", "", 5, 120),
    "parse": ("prepare", "articles", 600, 500),
    "people": ("prepare", "parse", 60, 40),
    "pairs": ("prepare", "people", 30, 90),
    "known": ("prepare", "", 2, 5),
    "words_between": ("prepare", "pairs parse", 25, 60),
    "positions": ("prepare", "pairs parse", 20, 40),
    "dependencies": ("prepare", "pairs parse", 80, 120),
    "labels": ("prepare", "pairs known", 10, 4),
    "features": ("prepare", "words_between positions dependencies", 30, 250),
    "fit": ("learn", "features labels", 40, 2),
    "predict": ("learn", "fit features", 10, 8),
    "evaluate": ("report", "predict labels", 2, 0.05),
    "errors": ("report", "predict pairs", 3, 0.5),
}
_MNIST = {
    "images": ("prepare", "", 5, 370),
    "scale": ("prepare", "images", 3, 370),
    "fourier": ("prepare", "scale", 40, 900),
    "rectify": ("prepare", "fourier", 10, 900),
    "split": ("prepare", "rectify", 4, 900),
    "fit": ("learn", "split", 60, 3),
    "predict": ("learn", "fit split", 5, 2),
    "evaluate": ("report", "predict", 1, 0.02),
    "confusion": ("report", "predict", 2, 0.1),
}
# what changes: preprocessing, learning, postprocessing
_HELIX = {
    "census": (_CENSUS, {"prepare": 0.3, "learn": 0.2, "report": 0.5}),
    "genomics": (_GENOMICS, {"prepare": 0.2, "learn": 0.4, "report": 0.4}),
    "spouse": (_SPOUSE, {"prepare": 0.7, "learn": 0.1, "report": 0.2}),
    "mnist": (_MNIST, {"prepare": 0.2, "learn": 0.5, "report": 0.3}),
}


def helix(name: str, seed: int) -> Workload:
    """Draw a HELIX workload; its times and sizes differ from seed to seed by about a half."""
    rng = random.Random(f"{name} {seed}")
    shape, share = _HELIX[name]
    taken = {parent for _, parents, _, _ in shape.values() for parent in parents.split()}
    steps = []
    for key, (_, parents, seconds, megabytes) in shape.items():
        compute_us, size_bytes = amounts(rng, seconds, megabytes, spread=0.5)()
        steps.append(Step(key, key, tuple(parents.split()), compute_us, size_bytes, key not in taken))
    kinds = [kind for kind, *_ in shape.values()]
    weights = {key: share[kind] / kinds.count(kind) for key, (kind, *_) in shape.items()}
    return Workload(name, f"{name} {seed}", tuple(steps), edits(rng, weights))


def grown(rng: random.Random, size: int, draw: Drawn) -> list[Step]:
    """Draw a graph like those that people's scripts make: mostly one input, now and then a join, some reuse."""
    parents: list[tuple[str, ...]] = []
    taken: set[str] = set()
    for number in range(size):
        if number < 3 or rng.random() < 0.02:
            parents.append(())
            continue
        inputs = rng.choices([1, 2, 3, 5], [0.75, 0.17, 0.05, 0.03])[0]
        recent = [max(0, number - 1 - int(rng.expovariate(0.25))) for _ in range(inputs)]
        parents.append(tuple(f"s{one}" for one in sorted(set(recent))))
        taken.update(parents[-1])
    return [
        Step(f"s{number}", f"s{number}", takes, *draw(), demanded=f"s{number}" not in taken)
        for number, takes in enumerate(parents)
    ]


def collaborative(seed: int) -> Workload:
    """Draw a graph of the sizes that Derakhshan et al. draw, of times and sizes that spread widely."""
    rng = random.Random(f"collaborative {seed}")
    steps = grown(rng, rng.randint(500, 2000), amounts(rng, 1, 10, spread=1.5))
    return Workload("collaborative", f"collaborative {seed}", tuple(steps), edits(rng, _later(steps)))


def layered(seed: int, width: int = 5) -> Workload:
    """Draw layers, each step of which takes some of the layer before it, as HYPPO's authors do."""
    rng = random.Random(f"layered {seed}")
    depth = rng.randint(100, 900)
    draw = amounts(rng, 1, 10)
    steps: list[Step] = []
    for layer in range(depth):
        before = [f"l{layer - 1}.{place}" for place in range(width)] if layer else []
        for place in range(width):
            takes = tuple(sorted(rng.sample(before, rng.randint(1, 2)))) if before else ()
            key = f"l{layer}.{place}"
            steps.append(Step(key, key, takes, *draw(), demanded=layer == depth - 1))
    return Workload("layered", f"layered {seed}", tuple(steps), edits(rng, _later(steps)))


def chain(seed: int, longest: int = 60) -> Workload:
    """Draw a chain."""
    rng = random.Random(f"chain {seed} {longest}")
    draw, length = amounts(rng, 5, 50), rng.randint(4, longest)
    steps = [
        Step(f"c{n}", f"c{n}", (f"c{n - 1}",) if n else (), *draw(), demanded=n == length - 1) for n in range(length)
    ]
    return Workload("chain", f"chain {seed}", tuple(steps), edits(rng, _later(steps)))


def diamonds(seed: int, most: int = 12) -> Workload:
    """Draw a row of diamonds: each splits a result in some branches and joins them."""
    rng = random.Random(f"diamonds {seed} {most}")
    draw = amounts(rng, 5, 50)
    steps = [Step("join0", "join0", (), *draw())]
    for number in range(rng.randint(1, most)):
        branches = [f"branch{number}.{branch}" for branch in range(rng.randint(2, 4))]
        steps += (Step(key, key, (f"join{number}",), *draw()) for key in branches)
        steps.append(Step(f"join{number + 1}", f"join{number + 1}", tuple(branches), *draw()))
    steps[-1] = Step(*(getattr(steps[-1], name) for name in Step.__slots__[:-1]), demanded=True)
    return Workload("diamonds", f"diamonds {seed}", tuple(steps), edits(rng, _later(steps)))


def wide_map(seed: int, widest: int = 60) -> Workload:
    """Draw a map: a source, some tasks called for each of many parts, a reduction, and what is made of it."""
    rng = random.Random(f"map {seed} {widest}")
    width = rng.randint(5, widest)
    steps = [Step("source", "source", (), *amounts(rng, 5, 100)())]
    parts = ["source"] * width
    for stage in range(rng.randint(1, 3)):
        seconds, megabytes = math.exp(rng.gauss(0, 1)), 10 * math.exp(rng.gauss(0, 1))
        draw = amounts(rng, seconds, megabytes, spread=0.3)
        keys = [f"map{stage}[{part}]" for part in range(width)]
        steps += (Step(key, f"map{stage}", (part,), *draw()) for key, part in zip(keys, parts, strict=True))
        parts = keys
    steps.append(Step("reduce", "reduce", tuple(parts), *amounts(rng, 5, 50)()))
    steps.append(Step("fit", "fit", ("reduce",), *amounts(rng, 20, 5)()))
    steps.append(Step("report", "report", ("fit", "reduce"), *amounts(rng, 1, 0.1)(), demanded=True))
    return Workload("map", f"map {seed}", tuple(steps), edits(rng, _later(steps)))


def small(seed: int) -> Workload:
    """Draw a graph so small that the best decisions can be found by trying all."""
    rng = random.Random(f"small {seed}")
    draw, size = amounts(rng, 5, 50), rng.randint(4, 6)
    parents = [tuple(sorted(rng.sample(range(n), min(n, rng.choice([1, 1, 2]))))) for n in range(size)]
    taken = {parent for takes in parents for parent in takes}
    steps = [
        Step(f"s{n}", f"s{n}", tuple(f"s{p}" for p in takes), *draw(), demanded=n not in taken)
        for n, takes in enumerate(parents)
    ]
    series = edits(rng, _later(steps))
    # nothing is taken back: what the trial of all decisions keeps is of the newest version
    forward = [{}, *(_newest(series[: run + 1]) for run in range(1, len(series)))]
    return Workload("small", f"small {seed}", tuple(steps), tuple(forward))


def _newest(series: Sequence[Mapping[str, int]]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for versions in series:
        for task, version in versions.items():
            newest[task] = max(newest.get(task, 0), version)
    return newest


def _later(steps: Sequence[Step]) -> dict[str, float]:
    """Return weights by which the last task is edited three times as often as the first."""
    tasks = [*dict.fromkeys(step.task for step in steps)]
    return {task: 1 + 2 * place / len(tasks) for place, task in enumerate(tasks)}


def all_workloads(first_seed: int, large: int) -> Iterator[Workload]:
    """Yield the workloads that policies are compared on: 228, and twice `large` ones of many hundred steps."""
    for seed in range(first_seed, first_seed + 12):
        yield from (helix(name, seed) for name in _HELIX)
    for seed in range(first_seed, first_seed + 40):
        yield from (chain(seed), diamonds(seed), wide_map(seed))
    for seed in range(first_seed, first_seed + large):
        yield from (collaborative(seed), layered(seed))
    for seed in range(first_seed, first_seed + 60):
        yield small(seed)
