"""Cases that are two arguments: the edit is one of the call, not of the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .table import STEPS, Case, Files, parse

GIVEN = Path(__file__).with_name("given.py").read_text()


def parse_arguments(table: str) -> list[Case]:
    """Read a table whose rows are expressions of an argument, and of what the task does with it after ``@ use``."""
    return [
        replace(case, before=_steps(case.before), after=_steps(case.after)) for case in parse(table, file="argument")
    ]


def _steps(files: Mapping[str, str]) -> Files:
    """Return the module of a task that takes the argument."""
    given = {"use": "shown(value)", **files}
    steps = [
        "from given import *",
        "from prefect_helix import helix_task",
        "HERE = Path(__file__).parent",
        "@helix_task",
        f"def task(value): return {given.pop('use').strip()}",
        f"def call(): return task({given.pop('argument').strip()})",
        "",
    ]
    return {STEPS: "\n".join(steps), "/given.py": GIVEN, **given}
