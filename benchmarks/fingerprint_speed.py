"""Fingerprint speed of large projects, as a ratio to what Python takes to parse and compile the same files.

python benchmarks/fingerprint_speed.py [--functions 1000] [--tasks 500]

Each figure is from a process of its own: the first fingerprint there, and the same asked again with nothing changed.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prefect_helix.core.fingerprint import fingerprint

ROUNDS = 3
MODULES = 20
HELPERS = 200
SETTLED_S = 2.5  # what Python stores of a file is used only if the file is this much older

_HELPER = '''
def {name}(rows, factor=2, *, limit=LIMIT):
    """Weigh rows.

    They are weighed by a factor.
    """
    kept = []
    for index, row in enumerate(rows):
        value = row * factor + SCALE["{key}"]  # weigh
        if value > limit:
            kept.append((index, value))
        elif isinstance(row, int):
            value -= {number}
            kept.append((index, max(value, 0)))
    total = sum(value for _, value in kept){calls}
    return [total] + sorted(kept, key=lambda pair: pair[1])
'''
_HEADER = "from project import constants\nfrom project.constants import LIMIT, SCALE\n"
_CONSTANTS = """
LIMIT = 100
SCALE = {"a": 1.5, "b": 2.5, "c": 3.5}
NAMES = ["one", "two", "three"]
TABLE = {"rows": [1, 2, 3], "columns": ("x", "y"), "kinds": {1, 2}}
"""


def helper(name: str, number: int, called: list[str]) -> str:
    """Return the source of a function of 17 lines that calls others."""
    calls = "".join(f" + len({each}(rows))" for each in called) + " + len(constants.TABLE)"
    return _HELPER.format(name=name, key="abc"[number % 3], number=number, calls=calls)


def deep_project(folder: Path, functions: int) -> None:
    """Write a project whose one task reaches so many functions, each of which calls three others."""
    sources = {module: [_HEADER] for module in range(MODULES)}
    for number in range(functions):
        called = [each for each in (2 * number + 1, 2 * number + 2, number + 7) if each < functions]
        names = []
        for each in called:
            sources[number % MODULES].append(f"from project import part{each % MODULES}\n")
            names.append(f"part{each % MODULES}.f{each}")
        sources[number % MODULES].append(helper(f"f{number}", number, names))
    files = {f"part{module}": "".join(lines) for module, lines in sources.items()}
    write(folder, {**files, "tasks": "from project.part0 import f0 as task\nTASKS = [task]\n"})


def wide_project(folder: Path, tasks: int) -> None:
    """Write a project of many tasks, each of which reaches ten of the shared functions."""
    shared = [_HEADER, *(helper(f"f{number}", number, []) for number in range(HELPERS))]
    flow = [_HEADER, "from project import shared\n"]
    for number in range(tasks):
        flow.append(helper(f"task{number}", number, [f"shared.f{(number * 7 + i * 13) % HELPERS}" for i in range(10)]))
    names = ", ".join(f"task{number}" for number in range(tasks))
    write(folder, {"shared": "".join(shared), "tasks": "".join([*flow, f"TASKS = [{names}]\n"])})


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the package ``project``."""
    package = folder / "project"
    package.mkdir()
    for name, text in {"__init__": "", "constants": _CONSTANTS, **files}.items():
        (package / f"{name}.py").write_text(text)


def seconds(run: Callable[[], object]) -> float:
    """Return the processor time of a call; others may use the machine."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(folder: str) -> dict[str, float]:
    """Return seconds: to parse and compile the project, to take all fingerprints first, and to take them again."""
    sys.path.insert(0, folder)
    tasks = importlib.import_module("project.tasks").TASKS
    texts = [file.read_text() for file in Path(folder).rglob("*.py")]
    found = {"lines": float(sum(text.count("\n") for text in texts))}
    found["first"] = seconds(lambda: [fingerprint(task) for task in tasks])
    found["again"] = min(seconds(lambda: [fingerprint(task) for task in tasks]) for _ in range(ROUNDS))
    gc.disable()  # as a fingerprint does: syntax trees are no garbage
    found["compile"] = seconds(lambda: [compile(ast.parse(text), "", "exec") for text in texts])
    return found


def main() -> None:
    """Print one line per project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", type=int, default=1000, help="functions that the one task reaches")
    parser.add_argument("--tasks", type=int, default=500, help="tasks of the flow")
    parser.add_argument("--measure", metavar="FOLDER", help="measure the project there, and print that as JSON")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    print(f"{'project':32}{'lines':>8}{'compile ms':>12}{'first ms':>10}{'ratio':>7}{'again ms':>10}{'ratio':>7}")
    projects = {
        f"1 task of {options.functions} functions": lambda folder: deep_project(folder, options.functions),
        f"{options.tasks} tasks of 11 functions": lambda folder: wide_project(folder, options.tasks),
    }
    for name, make in projects.items():
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            time.sleep(SETTLED_S)
            command = [sys.executable, __file__, "--measure", folder]
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
            rounds = [
                json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)
                for _ in range(ROUNDS)
            ]
        lines, first_s, again_s, compile_s = (min(each[key] for each in rounds) for key in rounds[0])
        print(
            f"{name:32}{lines:8.0f}{compile_s * 1e3:12.1f}{first_s * 1e3:10.1f}{first_s / compile_s:7.2f}"
            f"{again_s * 1e3:10.2f}{again_s / compile_s:7.3f}"
        )


if __name__ == "__main__":
    main()
