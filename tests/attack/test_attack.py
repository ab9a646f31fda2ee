"""Random programs, random edits: with reuse or without, what a flow returns is the same.

To try more than every day: ``HELIX_RANDOM_PROGRAMS=2000 python -m pytest tests/attack/test_attack.py``. What
fails is told by its seed, with the program and its edits.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.attack.edits import edit, edit_looks, make_program
from tests.attack.programs import Program

SERIES = int(os.environ.get("HELIX_RANDOM_PROGRAMS", "0"))
"""How many series to run of each kind, instead of the few of every day."""

pytestmark = pytest.mark.timeout(120)


class Runner:
    """Runs each version of a project in a process of its own; see `runner`."""

    def __init__(self, known_by: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.runner", known_by],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def runner() -> Iterator[Callable[[str], Runner]]:
    """Gives the runner that knows tasks by what is named."""
    runners: dict[str, Runner] = {}
    yield lambda known_by: runners[known_by] if known_by in runners else runners.setdefault(known_by, Runner(known_by))
    for each in runners.values():
        each.close()


class Series:
    """The versions of one program and what they did."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self.runner, self.folder = runner, folder
        self.known: set[str] = set()
        self.story: list[str] = []
        self._files: dict[str, str] = {}

    def run(self, program: Program, edits: str, **orders: Any) -> None:
        """Run a version plainly and with reuse, and compare.

        Without orders all results are kept, and nothing is computed again that was computed before: the same version of
        a task, of the same arguments.
        """
        source = self._write(program)
        self._tell(program, f"{edits} (parameter {program.parameter}, {orders})")
        order = {"folder": str(source), "parameters": {"p": program.parameter, "source": str(self.folder / "data")}}
        want = self.runner.run(**order, store=None)
        got = self.runner.run(**order, store=str(self.folder / "store"), orders=orders)
        assert "error" not in want, self._failure("the program itself fails", want["error"])
        assert "error" not in got, self._failure("it fails only with reuse", got["error"])
        assert got["value"] == want["value"], self._failure("stale", f"wanted {want}\ngot    {got}")
        executed = [(self._key(program, *each), each) for each in got["executed"]]
        if not orders:
            again = [each for key, each in executed if key in self.known and not self._is_open(program, *each)]
            assert not again, self._failure("computed although nothing changed", f"{again}\n{got['warnings']}")
            self.known.update(key for key, _ in executed)

    def _write(self, program: Program) -> Path:
        source = self.folder / f"place{program.folder}"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        for name, text in program.files().items():
            (source / name).parent.mkdir(exist_ok=True)
            (source / name).write_text(text)
        (self.folder / "data").write_text(str(program.content))
        return source

    def _is_open(self, program: Program, task: str, arguments: Any) -> bool:
        """Return whether a task may compute again: equal states of an object prove nothing where it was made anew."""
        remade = any(each.kind == "task_object" for each in program.tasks)
        return "deterministic" in program.definitions[task].options or (remade and '["object"' in json.dumps(arguments))

    def _key(self, program: Program, task: str, arguments: Any) -> str:
        """Return what a task's result follows from: its version, its arguments, and the code that these bring."""
        text = json.dumps(arguments)
        calls = [call for call in program.flow if task in call.tasks]
        brought = [program.as_value(call.helper) for call in calls if call.given in ("function", "object")]
        brought += [program.version(name) for name in program.definitions if f'"{name}"' in text]
        return json.dumps([task, program.version(task), arguments, brought])

    def _tell(self, program: Program, edits: str) -> None:
        files = program.files()
        self.story.append(f"=== {edits}")
        for name, text in files.items():
            before, after = self._files.get(name, "").splitlines(), text.splitlines()
            self.story += difflib.unified_diff(before, after, name, name, n=2, lineterm="")
        self._files = files

    def _failure(self, what: str, details: str) -> str:
        return "\n".join([what, *self.story, what, details])


def run_series(rng: Random, runner: Runner, *, harm: bool) -> None:
    program = make_program(rng)
    versions = [program.copy()]
    folder = Path(tempfile.mkdtemp(prefix="program"))
    try:
        series = Series(runner, folder)
        series.run(program, "first version", **_orders(rng, harm))
        for _ in range(rng.randint(2, 5)):
            if rng.randrange(100) >= 85:
                number = rng.randint(0, len(versions) - 1)
                program, edits = versions[number].copy(), [f"back to version {number}"]
            else:
                change = rng.choice([edit, edit_looks])
                edits = [change(program, rng) for _ in range(rng.randint(1, 3))]
            versions.append(program.copy())
            series.run(program, ", ".join(edits), **_orders(rng, harm))
    finally:
        shutil.rmtree(folder)


def _orders(rng: Random, harm: bool) -> dict[str, Any]:
    if not harm:
        return {}
    return {
        "policy": rng.choice(["auto", "always", "helix", "never"]),
        "budget": rng.choice([0, 100_000, 400_000, 1 << 40]),
        "mode": rng.choice(["auto", "auto", "auto", "recompute"]),
    }


@pytest.mark.parametrize("seed", range(SERIES or 50))
def test_an_edited_program_gives_what_it_gives_from_scratch_and_nothing_unchanged_computes(runner, seed):
    run_series(Random(seed), runner("fingerprint"), harm=False)


@pytest.mark.parametrize("seed", range(SERIES or 25))
def test_an_edited_program_gives_what_it_gives_from_scratch_whatever_is_kept(runner, seed):
    run_series(Random(seed), runner("fingerprint"), harm=True)


@pytest.mark.parametrize(
    ("known_by", "found"), [("own_code", "^stale"), ("whole_text", "^computed although nothing changed")]
)
def test_a_fingerprint_that_sees_too_little_or_too_much_is_found_out(runner, known_by, found):
    with pytest.raises(AssertionError, match=found):
        for seed in range(20):
            run_series(Random(seed), runner(known_by), harm=False)
