"""Random flows, random edits, random harm: every run gives what a run from scratch gives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.digest import digest

pytestmark = pytest.mark.timeout(120)

ROWS = 10_000


def number(value: Any) -> int:
    """What a task makes of an input, whatever it is."""
    if isinstance(value, (list, tuple)):
        return sum(map(number, value))
    if isinstance(value, pd.DataFrame):
        return int(value["x"].iloc[0]) + int(value["x"].iloc[-1])
    return int(value[0]) if isinstance(value, np.ndarray) else int(value)


def make(kind: str, n: int) -> Any:
    """A result that tells `n`."""
    frame = pd.DataFrame({"x": np.full(ROWS, n)})
    match kind:
        case "frame":
            return frame
        case "pair":
            return frame, frame + 1
        case "mixed":
            return [frame, n]
        case "array":
            return np.full(ROWS, n)
    return n


@dataclass
class Step:
    name: str
    kind: str
    salt: int
    parents: Sequence[tuple[int, int | None]]
    coarse: bool
    submitted: bool
    touched: bool = False
    returned: bool = False


class Program:
    """A random flow that is edited between its runs."""

    def __init__(self, lab: Any, rng: random.Random, *, submit: bool) -> None:
        self.lab, self.rng, self.submit = lab, rng, submit
        self.computed: list[tuple[Any, ...]] = []
        self.steps: list[Step] = []
        for i in range(rng.randint(2, 7)):
            parents = [j for j in range(i) if rng.random() < 0.5]
            self.steps.append(
                Step(
                    f"step{i}",
                    rng.choice(["frame", "pair", "mixed", "array", "small"]),
                    rng.randrange(4),
                    [(j, self._part(j)) for j in parents],
                    coarse=rng.random() < 0.4,
                    submitted=submit and rng.random() < 0.5,
                )
            )
        self.vary()

    def _part(self, j: int) -> int | None:
        return self.rng.choice([0, 1, None]) if self.steps[j].kind in ("pair", "mixed") else None

    def vary(self) -> None:
        """Choose anew what the flow looks at and returns, and edit a step or two."""
        for step in self.steps:
            step.touched = self.rng.random() < 0.2
            step.returned = self.rng.random() < 0.3
        for step in self.rng.sample(self.steps, self.rng.choice([0, 1, 1, 2])):
            step.salt = self.rng.randrange(4)

    def flow(self, param: int) -> list[Any]:
        values: list[Any] = []
        returned: list[Any] = []
        for step in self.steps:
            inputs = [self._taken(values[j], part) for j, part in step.parents]
            task = self._task(step)
            value = task.submit(inputs, param) if step.submitted else task(inputs, param)
            values.append(value)
            if step.touched:
                returned.append(number(value.result() if step.submitted else value))
            if step.returned:
                returned.append(value)
        return returned

    def _taken(self, value: Any, part: int | None) -> Any:
        if part is None:
            return value
        return (value.result() if hasattr(value, "result") else value)[part]

    def _task(self, step: Step) -> Any:
        def body(inputs: list[Any], param: int) -> Any:
            n = sum(map(number, inputs)) + step.salt + (param if step.name == "step0" else 0)
            key = (step.name, step.salt, step.kind, tuple(digest(value).hex for value in inputs), param)
            self.computed.append(key)
            return make(step.kind, n % 2 if step.coarse else n)

        return self.lab.task(body, name=step.name, version=f"{step.salt}")


def run_series(lab: Any, rng: random.Random, *, submit: bool, harm: bool) -> None:
    program = Program(lab, rng, submit=submit)
    known: set[tuple[Any, ...]] = set()
    for _ in range(5):
        param = rng.randrange(2)
        want = lab.scratch(program.flow, param=param)
        program.computed.clear()
        orders: dict[str, Any] = {}
        if harm:
            orders["budget"] = rng.choice([0, 100_000, 400_000, 1 << 40])
            orders["policy"] = rng.choice(["auto", "always", "helix", "never"])
            orders["mode"] = rng.choice(["auto", "auto", "auto", "recompute"])
        got = lab.run(program.flow, param=param, **orders)
        assert digest(got.value) == digest(want)
        if harm:
            damage(lab, rng)
        else:
            again = [key for key in program.computed if key in known]
            assert not again, "computed although nothing changed"
            assert len(set(program.computed)) == len(program.computed)
        known.update(program.computed)
        program.vary()


def damage(lab: Any, rng: random.Random) -> None:
    for path in sorted(Path(lab.url).rglob("*")):
        if path.is_file() and path.stat().st_size and rng.random() < 0.2:
            data = bytearray(path.read_bytes())
            match rng.choice(["gone", "flipped", "short"]):
                case "gone":
                    path.unlink()
                case "flipped":
                    data[rng.randrange(len(data))] ^= 4
                    path.write_bytes(data)
                case "short":
                    path.write_bytes(data[: rng.randrange(len(data))])


@pytest.mark.parametrize("submit", [False, True], ids=["direct", "submit"])
@pytest.mark.parametrize("seed", range(25))
def test_results_are_those_from_scratch_and_nothing_unchanged_computes(lab, seed, submit):
    run_series(lab, random.Random(seed), submit=submit, harm=False)


@pytest.mark.parametrize("submit", [False, True], ids=["direct", "submit"])
@pytest.mark.parametrize("seed", range(25))
def test_results_are_those_from_scratch_whatever_happens_to_the_store(lab, seed, submit):
    run_series(lab, random.Random(seed), submit=submit, harm=True)
