"""Helix tasks on every kind of task runner: the same results as plain Prefect, and exactly the bodies that are due."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.timeout(900)

# What ran for each way in a first run, in the same run again, and after an edit of `scaled`. Calls that are equal to
# one of an earlier way are reused within a run.
RAN = {
    "chain": ("scaled table total", "", "scaled total"),
    "mapped": ("scaled scaled scaled table total total", "", "scaled scaled scaled total total"),
    "containers": ("paired scaled table table text total", "", "scaled text"),
    "parts": ("scaled split table total", "", "scaled"),
    "parts_of_a_future": ("split table total", "", ""),
    "direct_and_submitted": ("scaled scaled table total total", "", "scaled scaled total total"),
    "in_any_order": ("tagged tagged tagged tagged tagged", "", ""),
    "states": ("stated text total", "stated", "stated"),
    "waits": ("plain table tagged tagged", "plain", "plain"),
    "failures": ("boom plain tagged", "boom plain", "boom plain"),
    "allowed_failures": ("boom tagged text text", "boom", "boom"),
    "attempts": ("flaky flaky", "", ""),
    "asynchronous": ("doubled doubled", "", ""),
    "labels": ("tagged", "", ""),
    "beside_plain_tasks": ("plain plain plain scaled table total", "plain plain plain", "plain plain plain scaled"),
    "in_what_a_worker_does_not_open": ("paired plain table total", "plain", "plain"),
    "none": ("nothing text", "", ""),
    "nested": ("outer tagged total", "", ""),
    "changed_in_place": ("table zeroed", "", ""),
}
NEEDS = {"dask": "prefect_dask", "ray": "prefect_ray"}
SHARE_OBJECTS = ("threads", "dask")
READ_ONLY = {("ray", "changed_in_place")}
"""Where plain Prefect fails as well: Ray gives tasks arrays that cannot be written to."""


class Project:
    """The project in a folder of its own."""

    def __init__(self, folder: Path, api_url: str) -> None:
        self.folder = folder
        self.api_url = api_url
        for name in ("steps.py", "go.py"):
            shutil.copy(HERE / name, folder)

    def edit(self) -> None:
        path = self.folder / "steps.py"
        source = path.read_text()
        assert source.count("return frame * by\n") == 1
        path.write_text(source.replace("return frame * by\n", "return frame * by + 1\n"))

    def run(self, kind: str, *modes: str) -> list[dict[str, Any]]:
        """Run the flow in a fresh process, once for each mode."""
        log = self.folder / "log.txt"  # a pipe would stay open for as long as any worker lives
        with log.open("w") as output:
            process = subprocess.run(
                [sys.executable, "go.py", kind, "result.json", *modes],
                cwd=self.folder,
                env={**os.environ, "PREFECT_API_URL": self.api_url},
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=600,
                check=False,
            )
        assert process.returncode == 0, log.read_text()
        return list(json.loads((self.folder / "result.json").read_text()).values())


@pytest.fixture(scope="module")
def make_project(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    return lambda: Project(tmp_path_factory.mktemp("project"), prefect_server)


@pytest.fixture(scope="module")
def plain(make_project: Callable[[], Project]) -> list[dict[str, Any]]:
    """What plain Prefect gives in threads: before the edit, and after it."""
    project = make_project()
    before = project.run("threads", "off")
    project.edit()
    return before + project.run("threads", "off")


@pytest.fixture(scope="module", params=["processes", "dask", "ray"])
def runs(
    request: pytest.FixtureRequest, make_project: Callable[[], Project], plain: list[dict[str, Any]]
) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """A task runner; a first run, the same again, and one after the edit in another process; and what they should give.

    That is what plain Prefect gives in threads, but for ways in which the task runner itself is the difference.
    """
    kind = request.param
    if kind in NEEDS and importlib.util.find_spec(NEEDS[kind]) is None:
        pytest.skip(f"{NEEDS[kind]} is not installed: pip install prefect-helix[{kind}]")
    project = make_project()
    own = [way for runner, way in READ_ONLY if runner == kind]
    first, again, *off = project.run(kind, "auto", "auto", *(["off"] if own else []))
    project.edit()
    wanted = [{**turn["ways"], **{way: one["ways"][way] for one in off for way in own}} for turn in plain]
    return kind, [first, again, *project.run(kind, "auto")], [wanted[0], wanted[0], wanted[1]]


@pytest.mark.parametrize("way", RAN)
def test_a_way_gives_what_plain_prefect_gives(way: str, runs: Any) -> None:
    _, turns, wanted = runs

    assert [turn["ways"][way][0] for turn in turns] == [ways[way][0] for ways in wanted]


@pytest.mark.parametrize("way", RAN)
def test_a_way_runs_the_bodies_that_are_due_and_no_others(way: str, runs: Any) -> None:
    kind, turns, _ = runs
    ran = [turn["ways"][way][1] for turn in turns]
    due = [names.split() for names in RAN[way]]
    if way == "changed_in_place" and kind in SHARE_OBJECTS:
        due[1:] = [["zeroed"], ["zeroed"]]  # others on its worker may have seen what it did
        # What is changed while it is being stored is not kept: which of the two is first, nobody can say.
        ran[1:] = [[name for name in names if name != "table"] for names in ran[1:]]
    if (kind, way) in READ_ONLY:
        due[1:] = [["zeroed"], ["zeroed"]]  # it fails each time

    assert ran == due


def test_nothing_is_told_that_should_not_be(runs: Any) -> None:
    kind, turns, _ = runs
    warnings = {line.split(": ", 1)[1] for turn in turns for line in turn["told"] if line.startswith("WARNING")}
    in_place = ["zeroed changed", "The result of table was changed in place while it was being stored"]
    expected = ["Not all that", "nothing returned", *(in_place if kind in SHARE_OBJECTS else [])]

    assert [line for line in warnings if not line.startswith(tuple(expected))] == []


def test_every_way_is_expected() -> None:
    names = (HERE / "steps.py").read_text().partition("WAYS = {")[2]
    assert all(f"        {way},\n" in names for way in RAN)
