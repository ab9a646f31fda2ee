"""`diff` and `why` name what was changed between two runs, each kind of change alone, and nothing else.

All cases are copies of one project, each with one edit; a process runs the flows of all of them before the edits, and
another one after them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prefect_helix.cli import app

PIPELINE = """
from prefect_helix import File, helix_flow, helix_task
from . import tools
import CASE_library

SCALE = 2

def adder(n):
    def add(x):
        return x + n
    return add

plus = adder(1)

class Model:
    def predict(self, x):
        return x * 3

@helix_task
def scan(source: File):
    with open(source) as file:
        return file.read()

@helix_task
def count(text, floor=0):
    return len(text) + floor

@helix_task
def scaled(n):
    return n * SCALE

@helix_task
def helped(n):
    return tools.helper(n)

@helix_task
def closed(n):
    return plus(n)

@helix_task
def predicted(n):
    return Model().predict(n)

@helix_task
def given(n, reg):
    return n * reg

@helix_task
def constant(n, k):
    return n + k

@helix_task(code_version="1")
def versioned(n):
    return n + 7

@helix_task(depends_on=[tools.setup])
def depending(n):
    return n + 8

@helix_task
def added(n):
    return n + 9

@helix_task
def foreign(n):
    return CASE_library.f(n)

@helix_task
def total(s, h, c, p, g, k, v, d, f):
    return {"total": s + h + c + p + g + k + v + d + f}

@helix_flow(name="CASE", store="../store/CASE")
def flow(path, reg):
    n = count(scan(File(path)))
    s = scaled(n)
    constant(n, 99)
    return total(
        s, helped(n), closed(n), predicted(n), given(n, reg), constant(n, 5), versioned(n), depending(n), foreign(n)
    )
"""

TOOLS = """
def helper(x):
    return x + 1

def setup():
    return 1
"""

PROGRAM = """
import json, site, sys
from importlib import import_module
from pathlib import Path
from typer.testing import CliRunner

site.addsitedir("installed")
sys.dont_write_bytecode = True
for name, parameters in json.loads(Path("cases.json").read_text()).items():
    if name in sys.argv[1:]:
        from prefect_helix.cli import app

        outcome = CliRunner().invoke(app, ["accept", f"{name}.pipeline:flow", "--yes"])
        assert outcome.exit_code == 0, outcome.output
    import_module(f"{name}.pipeline").flow(f"{name}/data.txt", **parameters)
"""


@dataclass(frozen=True)
class Case:
    """One edit.

    Attributes:
        name: What is edited, as an identifier.
        old: Text that is there before, in `file`.
        new: What takes its place.
        diff: What `diff` has to list, and nothing else.
        step: The step that `why` is asked about; empty if none was computed for it.
        why: What it has to list.
        file: The file that is edited.
        before: Parameters of the flow before the edit.
        after: And after it.
    """

    name: str
    old: str
    new: str
    diff: list[str]
    step: str
    why: list[str]
    file: str = "pipeline.py"
    before: dict[str, float] = field(default_factory=lambda: {"reg": 0.1})
    after: dict[str, float] = field(default_factory=lambda: {"reg": 0.1})


CASES = [
    Case(
        "code_of_the_task",
        "len(text) + floor",
        "len(text) + floor + 1",
        ["count() in pipeline.py changed"],
        "count",
        ["count() in pipeline.py changed"],
    ),
    Case(
        "code_of_a_helper",
        "x + 1",
        "x + 2",
        ["helper() in tools.py changed, used by helped"],
        "helped",
        ["helper() in tools.py changed, used by helped"],
        file="tools.py",
    ),
    Case(
        "a_constant",
        "SCALE = 2",
        "SCALE = 3",
        ["a_constant.pipeline.SCALE: 2 → 3, used by scaled"],
        "scaled",
        ["a_constant.pipeline.SCALE: 2 → 3, used by scaled"],
    ),
    Case(
        "a_closure",
        "adder(1)",
        "adder(2)",
        ["a_closure.pipeline.adder.<locals>.add.n: 1 → 2, used by closed through adder.<locals>.add()"],
        "closed",
        ["a_closure.pipeline.adder.<locals>.add.n: 1 → 2, used by closed through adder.<locals>.add()"],
    ),
    Case(
        "a_default",
        "floor=0",
        "floor=1",
        ["a_default.pipeline.count.floor: 0 → 1, used by count"],
        "count",
        ["a_default.pipeline.count.floor: 0 → 1, used by count"],
    ),
    Case(
        "a_method",
        "x * 3",
        "x * 4",
        ["Model.predict() in pipeline.py changed, used by predicted through Model"],
        "predicted",
        ["Model.predict() in pipeline.py changed, used by predicted through Model"],
    ),
    Case(
        "a_flow_parameter",
        "",
        "",
        ["parameter reg 0.1 → 0.2"],
        "given",
        ["flow parameter reg changed: 0.1 → 0.2"],
        after={"reg": 0.2},
    ),
    Case(
        "a_literal",
        "constant(n, 5)",
        "constant(n, 6)",
        ["argument k changed: 5 → 6, of constant"],
        "constant#2",
        ["argument k changed: 5 → 6"],
    ),
    Case(
        "a_file",
        "one",
        "one more",
        ["the content of a_file/data.txt changed: 8 bytes → 13 bytes, read by scan"],
        "scan",
        ["the content of a_file/data.txt changed: 8 bytes → 13 bytes"],
        file="data.txt",
    ),
    Case(
        "a_new_step",
        "    constant(n, 99)",
        "    constant(n, 99), added(n)",
        ["new step added"],
        "added",
        ["No earlier run of a_new_step called it."],
    ),
    Case("a_removed_step", "    constant(n, 99)\n", "", ["constant is no longer called"], "", []),
    Case(
        "a_renamed_step",
        "scaled",
        "rescaled",
        ["new step rescaled", "scaled is no longer called"],
        "rescaled",
        ["No earlier run of a_renamed_step called it."],
    ),
    Case(
        "an_input",
        "versioned(n),",
        "versioned(s),",
        ["argument n changed: 8 → 16, of versioned"],
        "versioned",
        ["argument n changed: 8 → 16"],
    ),
    Case(
        "a_library",
        "1.0",
        "2.0",
        ["a_library_library 1.0 → 2.0, used by foreign"],
        "foreign",
        ["a_library_library 1.0 → 2.0, used by foreign"],
        file="library",
    ),
    Case(
        "a_code_version",
        'code_version="1"',
        'code_version="2"',
        ["code_version: 1 → 2, used by versioned"],
        "versioned",
        ["code_version: 1 → 2, used by versioned"],
    ),
    Case(
        "a_dependency",
        "return 1",
        "return 2",
        ["setup() in tools.py changed, used by depending"],
        "depending",
        ["setup() in tools.py changed, used by depending"],
        file="tools.py",
    ),
    Case("a_comment", "return n * SCALE", "return n * SCALE  # twice", [], "", []),
    Case("an_accepted_refactoring", "n * SCALE", "SCALE * n", [], "", []),
]

ACCEPTED = "an_accepted_refactoring"


def write(folder: Path, case: Case, version: int) -> None:
    """Write the project of a case, as it is before the edit (0) or after it (1)."""
    home = folder / case.name
    home.mkdir(parents=True, exist_ok=True)
    files = {"__init__.py": "", "pipeline.py": PIPELINE, "tools.py": TOOLS, "data.txt": "one\ntwo\n"}
    for name, text in files.items():
        if version and name == case.file:
            assert case.old in text
            text = text.replace(case.old, case.new)
        (home / name).write_text(text.replace("CASE", case.name))
    site = folder / "installed"
    library = f"{case.name}_library"
    number = case.new if version and case.file == "library" else "1.0"
    for path in site.glob(f"{library}*.dist-info"):
        shutil.rmtree(path)
    info = site / f"{library}-{number}.dist-info"
    info.mkdir(parents=True)
    (site / f"{library}.py").write_text("def f(x):\n    return x\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: {number}\n")
    (info / "RECORD").write_text(f"{library}.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    """The folder of all stores, one for each case: two tasks with the same code are one."""
    root = tmp_path_factory.mktemp("changes")
    store = root / "store"
    environment = {
        **os.environ,
        "PREFECT_API_URL": prefect_server,
        "PREFECT_INTEGRATIONS_HELIX_POLICY": "always",
    }
    for version, accepted in ((0, []), (1, [ACCEPTED])):
        for case in CASES:
            write(root / "project", case, version)
        parameters = {case.name: case.after if version else case.before for case in CASES}
        (root / "project" / "cases.json").write_text(json.dumps(parameters))
        (root / "project" / "program.py").write_text(PROGRAM)
        done = subprocess.run(
            [sys.executable, "program.py", *accepted],
            cwd=root / "project",
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return store


def listed(store: Path, *arguments: str) -> Iterator[str]:
    """Yield what a verb lists, without the numbers of lines."""
    outcome = CliRunner().invoke(
        app, [*arguments, "--store", str(store)], env={"COLUMNS": "300"}, catch_exceptions=False
    )
    assert outcome.exit_code == 0, outcome.output
    for line in outcome.stdout.splitlines():
        if line.startswith("•"):
            yield re.sub(r"(\.py):\d+", r"\1", line.removeprefix("•").strip())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_is_named_and_nothing_else(case: Case, played: Path) -> None:
    store = played / case.name
    assert list(listed(store, "diff")) == case.diff
    if case.step:
        assert list(listed(store, "why", "last", case.step)) == case.why


def test_the_list_of_runs_names_what_changed_in_code(played: Path) -> None:
    told = {
        "code_of_a_helper": "code of helped (helper())",
        "a_method": "code of predicted (predict())",
        "a_constant": "code of scaled (SCALE)",
        "a_default": "code of count (floor)",
        "a_library": "code of foreign (a_library_library)",
        "a_literal": "k of constant 5 → 6",
        "a_renamed_step": "without scaled; new step rescaled",
        "a_comment": "nothing changed",
    }
    for name, words in told.items():
        call = ["runs", "--json", "--store", str(played / name)]
        assert json.loads(CliRunner().invoke(app, call).stdout)[0]["changed"] == words
