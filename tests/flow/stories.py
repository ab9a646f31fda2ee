"""Stories: a small project that is run, changed and run again, each time in a new process, with reuse and without.

A process takes all stories one step further, so that many of them cost little more than one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

HEADER = """
import importlib, logging, os, sys
from datetime import timedelta
from pathlib import Path
import numpy as np
import pandas as pd
from prefect_helix import File, helix_flow, helix_task, register_digest
RAN = logging.getLogger("ran")

def frame(start=0.0):
    return pd.DataFrame({"x": np.arange(20_000.0) + start})

"""

RUNNER = '''
"""Run the flow of each story, which is a script or a module, and write down what ran, what came out, what was said.

Twice at once, in one new process with reuse and in another one without, which has a copy of the data: forks, because
the imports take long.
"""

import importlib, itertools, json, logging, os, runpy, sys, time, traceback
from pathlib import Path
from types import SimpleNamespace

import prefect_helix.clones
import prefect_helix.runtime.session


class Lines(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())


def listen(name):
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(Lines())


def result(name):
    if Path(name, "script").exists():
        return runpy.run_path(f"{name}.py", run_name="__main__")["result"]
    return importlib.import_module(name).main()


def run(name):
    clock, environment = Path(name, "clock"), Path(name, "environment")
    days = float(clock.read_text()) if clock.exists() else 0
    prefect_helix.runtime.session.time = SimpleNamespace(time_ns=lambda: time.time_ns() + int(days * 86_400e9))
    os.environ["PREFECT_INTEGRATIONS_HELIX_STORE"] = f"stores/{name}"
    os.environ.pop("STORY", None)
    if environment.exists():
        os.environ["STORY"] = environment.read_text()
    try:
        return result(name)
    except Exception:
        return traceback.format_exc()


def run_all(mode):
    os.environ["PREFECT_INTEGRATIONS_HELIX_MODE"] = mode
    ticks = itertools.count(step=1_000_000_000)  # every task body takes a second
    prefect_helix.clones.time = SimpleNamespace(perf_counter_ns=lambda: next(ticks))
    listen("ran")
    listen("prefect.flow_runs")
    told = {}
    for name in json.loads(sys.argv[1]):
        del lines[:]
        told[name] = run(name), list(lines)
    Path("told.json").write_text(json.dumps(told))


lines, children = [], []
for mode, folder in (("auto", "."), ("off", sys.argv[2])):
    child = os.fork()
    if not child:
        os.chdir(folder)
        run_all(mode)
        sys.exit()
    children.append(child)
failed = [child for child in children if os.waitpid(child, 0)[1]]
sys.exit(f"{len(failed)} of 2 modes failed" if failed else 0)
'''


@dataclass(frozen=True)
class Place:
    """Where a story is told: its code is ``NAME.py``, its data lie in the folder ``NAME``."""

    root: Path
    name: str

    def write(self, file: str, text: str) -> None:
        """Write a file of its data."""
        self.path(file).parent.mkdir(exist_ok=True)
        self.path(file).write_text(text)

    def path(self, file: str) -> Path:
        """Return the path of a file of its data."""
        return self.root / self.name / file

    def edit(self, old: str, new: str, module: str = "") -> None:
        """Edit its code, or that of another of its modules."""
        path = self.root / f"{self.name}{module}.py"
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is not in {self.name} once"
        path.write_text(text.replace(old, new))

    def add(self, module: str, text: str) -> None:
        """Give it another module, whose name is its own and `module`."""
        (self.root / f"{self.name}{module}.py").write_text(text)

    def evict(self, task: str) -> None:
        """Delete what the store holds of a task."""
        store = open_store(str(self.root / "stores" / self.name))
        traces = [trace for lineage in Catalog(store).read().lineages for trace in lineage.traces]
        blobs = {blob for t in traces if t.task == task and t.result for blob in t.result.blobs or ()}
        assert blobs, f"nothing of {task} is stored"
        for blob in blobs:
            store.delete_blob(blob)


Change = Callable[[Place], object]


@dataclass(frozen=True)
class Step:
    """What is changed, and what has to run then.

    Attributes:
        ran: The task bodies, in their order, with spaces between.
        change: What is done before the run.
        says: Words that a warning of the run has to say.
        differs: Whether the result is another than that of mode ``off``, because the change is one that is not seen.
    """

    ran: str
    change: Change = lambda at: None
    says: str = ""
    differs: bool = False


class Story:
    """A project and its steps.

    Args:
        name: A sentence that says what has to be true.
        source: The project's module, below the imports in `HEADER`; its function ``main`` gives the result. With
            ``result = main()`` it is a script.
        steps: What happens to it.
    """

    def __init__(self, name: str, source: str, *steps: Step) -> None:
        self.name = name
        self.slug = "story_" + re.sub(r"\W+", "_", name.lower())
        self.source = HEADER + textwrap.dedent(source).replace("HERE", repr(self.slug))
        self.steps = steps


@dataclass(frozen=True)
class Told:
    """What one run of a story told: its result, the task bodies that ran, what was said, and the result of mode off."""

    result: object
    ran: str
    said: str
    plain: object


def tell(stories: Sequence[Story], root: Path, api_url: str) -> dict[str, list[Told]]:
    """Take all stories through their steps; return what each of them told, by name and step."""
    (root / "run.py").write_text(RUNNER)
    for story in stories:
        (root / f"{story.slug}.py").write_text(story.source)
        (root / story.slug).mkdir()
        if "result = main()" in story.source:
            (root / story.slug / "script").touch()
    told: dict[str, list[Told]] = {story.name: [] for story in stories}
    for number in range(max(len(story.steps) for story in stories)):
        going_on = [story for story in stories if number < len(story.steps)]
        for story in going_on:
            story.steps[number].change(Place(root, story.slug))
        reused, plain = _run(root, going_on, api_url)
        for story in going_on:
            result, lines = reused[story.slug]
            ran = " ".join(line for line in lines if " " not in line)
            said = "\n".join(line for line in lines if line.startswith("helix:"))
            told[story.name].append(Told(result, ran, said, plain[story.slug][0]))
    return told


def _run(root: Path, stories: Sequence[Story], api_url: str) -> list[dict[str, tuple[object, list[str]]]]:
    plain = root.with_name(f"{root.name}_plain")
    shutil.rmtree(plain, ignore_errors=True)
    shutil.copytree(root, plain, ignore=shutil.ignore_patterns("stores"))
    done = subprocess.run(
        [sys.executable, "run.py", json.dumps([story.slug for story in stories]), str(plain)],
        cwd=root,
        env={
            **os.environ,
            "PREFECT_API_URL": api_url,
            "PREFECT_INTEGRATIONS_HELIX_POLICY": "always",
            "PYTHONDONTWRITEBYTECODE": "1",  # two versions within a second have bytecode of the same date
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / "told.json").read_text()) for folder in (root, plain)]


def check(story: Story, told: Sequence[Told]) -> None:
    """Assert that a story went as it says."""
    for number, (step, one) in enumerate(zip(story.steps, told, strict=True)):
        where = f"step {number}: {one}"
        assert one.ran == step.ran, where
        assert (one.result == one.plain) is not step.differs, where
        assert step.says in one.said, where
