"""What is asserted of a case that was played."""

from __future__ import annotations

import re
import shutil
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pytest

from .conftest import Played
from .table import Case

BUILDS = bool(shutil.which("gcc")) and (Path(sysconfig.get_paths()["include"]) / "Python.h").exists()


def parameters(cases: Iterable[Case]) -> list[object]:
    """Return the cases as parameters of a test, marked where one cannot be played or is known to fail."""
    return [pytest.param(case, id=case.name, marks=list(_marks(case))) for case in cases]


def playable(cases: Iterable[Case]) -> list[Case]:
    """Return the cases that can be played here."""
    return [case for case in cases if BUILDS or not _is_built(case)]


def _marks(case: Case) -> Iterable[pytest.MarkDecorator]:
    if _is_built(case):
        yield pytest.mark.skipif(not BUILDS, reason="needs gcc and the headers of Python")


def _is_built(case: Case) -> bool:
    return any(path.endswith(".c") for path in case.before)


def problems(case: Case, played: Played) -> list[str]:
    """Return what is wrong with a case: what ran, results that are stale or computed for nothing, what was said."""
    first, edited, scratch = played.first, played.edited, played.scratch
    again = "computed" if case.outcome == "always" else "kept"
    told = [
        ("before the edit", first, "computed"),
        ("after the edit", edited, "kept" if case.outcome == "keeps" else "computed"),
        ("after the edit, mode off", scratch, "computed"),
        ("back before the edit", played.reverted, again),
        ("elsewhere, before the edit", played.moved, again),
    ]
    found = [f"{when}: {run[case]}, not {right}" for when, run, right in told if run[case] != right]
    before, after, right, reverted, moved = (run.results.get(case.slug) for _, run, _ in told)
    if not before == reverted == moved:
        found.append(f"three runs of one version gave {before}, {reverted} and {moved}")
    if (after != right) != bool(case.stale):
        found.append(f"stale: {after}, not {right}" if after != right else f"not stale, although {case.stale}")
    if case.outcome == "computes" and (before == right) != bool(case.policy):
        found.append(f"needless: both give {right}" if before == right else f"needed, although {case.policy}")
    warnings = [line for line in first.said if re.search(rf"\b(task_)?{case.slug}\b", line)]
    if case.warning and not any(case.warning in line for line in warnings):
        found.append(f"no warning says {case.warning!r}")
    if warnings and not case.warning:
        found.append(f"warned without need: {warnings}")
    return found
