"""What a fingerprint says beside its hash, and where its rules come from."""

from __future__ import annotations

import importlib
import linecache
import os
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.digest import register_digest
from prefect_helix.core.fingerprint import Fingerprint, fingerprint
from prefect_helix.core.fingerprint.distributions import Distribution, Origin, owner_of_file, owner_of_module
from prefect_helix.core.fingerprint.take import take

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import the project module with a given source."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def load(text: str, name: str = "project_under_test") -> ModuleType:
        names.append(name)
        sys.modules.pop(name, None)
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        module = types.ModuleType(name)
        module.__file__ = str(path)
        sys.modules[name] = module
        exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))
        return module

    yield load
    for name in names:
        sys.modules.pop(name, None)


def kinds(result: Fingerprint) -> dict[str, str]:
    return {component.name: component.kind for component in result.components}


def test_components_are_named_located_and_sorted(load: Load) -> None:
    module = load("SCALE = 3\n\ndef clean(x):\n    return x * SCALE\n\ndef task(x):\n    return clean(x)\n")
    result = fingerprint(module.task)
    python = f"python {sys.version_info.major}.{sys.version_info.minor}"
    assert kinds(result) == {
        "project_under_test.SCALE": "constant",
        "project_under_test.clean": "function",
        "project_under_test.task": "function",
        python: "distribution",
    }
    assert [component.name for component in result.components] == sorted(kinds(result))
    clean = result.components[1]
    assert (clean.line, clean.source) == (3, "def clean(x):\n    return x * SCALE\n")
    assert Path(str(clean.file)).name == "project_under_test.py"
    assert result.components[0].source == "3"
    assert result.notes == ()


def test_a_component_has_a_hash_of_it_alone(load: Load) -> None:
    def hashes(constant: int) -> dict[str, str]:
        module = load(f"K = {constant}\ndef task(): return K\n")
        return {component.name: component.hash for component in fingerprint(module.task).components}

    one, two = hashes(1), hashes(2)
    assert {name for name in one if one[name] != two[name]} == {"project_under_test.K"}


def test_two_components_of_one_name_are_told_apart(load: Load) -> None:
    module = load("f, g = (lambda: 1), (lambda: 2)\ndef task(): return f(), g()\n")
    assert {"project_under_test.<lambda>", "project_under_test.<lambda> #2"} <= kinds(fingerprint(module.task)).keys()


# -- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "C = {}\ndef task(k):\n    C[k] = 1\n",
        "C = {}\ndef task(k):\n    C.setdefault(k, 1)\n",
        "C = []\ndef put(k): C.append(k)\ndef task(k): put(k)\n",
        "C = None\ndef task(k):\n    global C\n    C = C or k\n",
        "C = {'a': {}}\ndef task(k):\n    C['a'][k] = 1\n",
    ],
)
def test_a_global_that_reached_code_writes_is_state_with_a_note(load: Load, text: str) -> None:
    module = load(text)
    before = fingerprint(module.task)
    module.task(7)
    assert fingerprint(module.task).hash == before.hash
    assert kinds(before)["project_under_test.C"] == "state"
    assert len(before.notes) == 1
    assert "project_under_test.C is written" in before.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "def task(k, seen={}):\n    seen[k] = 1\n",
        "class C: n = 0\ndef task(k): C.n += 1\n",
        "class C:\n    n = 0\nc = C()\ndef task(k): c.n += 1\n",
        "def task(k): task.calls = k\n",
        "def memo(f):\n    seen = {}\n    def w(k): seen[k] = f(k)\n    return w\n@memo\ndef task(k): return k\n",
        "def make():\n    n = 0\n    def f(k):\n        nonlocal n\n        n += k\n    return f\ntask = make()\n",
        "import functools\n@functools.lru_cache\ndef h(k): return k\ndef task(k): return h(k)\n",
        "import functools\n@functools.lru_cache\ndef h(k): return k\nh.n = 0\ndef task(k): h.n += 1\n",
        "import functools\nL = dict(vars(functools))\nexec('def retry(f):\\n'\n"
        " ' @wraps(f)\\n def w(k):\\n  w.tried = k\\n  return f(k)\\n w.tried = 0\\n return w', L)\n"
        "@L['retry']\ndef h(k): return k\ndef task(k): return h(k)\n",
        "class M: pass\nm = None\ndef get():\n    global m\n    m = m or M()\ndef task(k): return get()\n",
        "class M:\n    n = 0\n    def f(self): M.n += 1\nm = M()\ndef task(k): m.f()\n",
        "import io\nB = io.BytesIO(b'a')\ndef task(k): return B.read()\n",
        "import itertools\nN = itertools.count()\ndef task(k): return next(N)\n",
        "import itertools\nclass M:\n    ids = itertools.count()\n    def __init__(self): self.id = next(M.ids)\n"
        "def task(k): return M().id\n",
        "import itertools\nC = itertools.cycle('ab')\ndef task(k): return next(C)\n",
        "import typing\nclass P(typing.Protocol):\n    def f(self): ...\nclass M(P):\n    def f(self): return 1\n"
        "def task(k): return M().f()\n",
        "import enum\nclass F(enum.Flag):\n    A = 1\n    B = 2\ndef task(k): return F.A | F.B\n",
        "import enum\nclass F(enum.Flag):\n    A = 1\n    B = 2\ndef task(k): return ~F.A\n",
        "import enum, functools\nclass E(enum.Enum):\n    A = 1\n    @functools.cached_property\n"
        "    def f(self): return [1]\ndef task(k): return E.A.f\n",
    ],
)
def test_writing_state_does_not_move_the_fingerprint(load: Load, text: str) -> None:
    module = load(text)
    before = fingerprint(module.task).hash
    module.task(7)
    assert fingerprint(module.task).hash == before


def test_a_mutable_constant_is_digested_at_every_call(load: Load) -> None:
    module = load("K = [1]\ndef task(): return K\n")
    before = fingerprint(module.task).hash
    module.K.append(2)
    assert fingerprint(module.task).hash != before


def test_a_member_of_a_class_is_no_write_of_the_global_it_is_made_of(load: Load) -> None:
    module = load("lr = 1\ndef task():\n    class Step: lr = lr\n    return Step.lr\n")
    result = fingerprint(module.task)
    assert kinds(result)["project_under_test.lr"] == "constant"
    assert result.notes == ()


@pytest.mark.parametrize(
    ("text", "may_change"),
    [
        ("def task(): return 1\n", False),
        ("K = 1\ndef task(): return K\n", True),
        ("C = {}\ndef task(k): C[k] = 1\n", True),
        ("class C: pass\ndef task(): return getattr(C, 'k', 1)\n", True),
    ],
)
def test_what_a_program_may_give_values_may_change(load: Load, text: str, may_change: bool) -> None:
    assert fingerprint(load(text).task).may_change == may_change


def test_a_list_of_paths_is_one_constant(load: Load) -> None:
    """A folder may hold many files, and each part of what is no data all through is looked at in each call."""

    def found(last: str) -> Fingerprint:
        return fingerprint(load(f"import pathlib\nK = [*map(pathlib.Path, 'ab{last}')]\ndef task(): return K\n").task)

    constants = [name for name, kind in kinds(found("c")).items() if kind == "constant"]
    assert constants == ["project_under_test.K"]
    assert found("c").hash == found("c").hash != found("d").hash


def test_a_constant_too_large_for_its_job_has_a_note(load: Load) -> None:
    module = load("import numpy\nK = numpy.zeros(9 * 2**20)\ndef task(): return K\n")
    assert "Make it an argument" in fingerprint(module.task).notes[0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("R = random.Random({})\ndef task(): return R.random()\n", "R"),
        ("R = np.random.default_rng({})\ndef task(): return R.random()\n", "R"),
        ("R = np.random.RandomState({})\ndef task(): return R.rand()\n", "R"),
        ("R = np.random.PCG64({})\ndef task(): return R.random_raw()\n", "R"),
        ("R = {{'a': random.Random({})}}\ndef task(): return R['a'].random()\n", "R['a']"),
        ("def task(rng=random.Random({})): return rng.random()\n", "task.rng"),
        (
            "def make(rng):\n def task(): return rng.random()\n return task\ntask = make(random.Random({}))\n",
            "task.rng",
        ),
        (
            "class Sampler:\n"
            "    def __init__(self, seed): self.rng = np.random.default_rng(seed)\n"
            "    def draw(self): return self.rng.random()\n"
            "task = Sampler({}).draw\n",
            "draw.rng",
        ),
    ],
)
def test_of_a_generator_the_seed_counts_and_not_what_was_drawn(load: Load, text: str, name: str) -> None:
    def loaded(seed: int) -> ModuleType:
        return load(f"import random\nimport numpy as np\n{text.format(seed)}")

    module = loaded(1)
    before = fingerprint(module.task)
    module.task()
    assert take(module.task, (), None)[0] == before
    assert fingerprint(loaded(1).task).hash == before.hash
    assert fingerprint(loaded(2).task).hash != before.hash
    assert before.draws
    assert len(before.notes) == 1
    assert f"{name} is a random generator" in before.notes[0]


def test_a_generator_of_torch_is_one(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    class Generator:
        """As far as pickle sees, it is as PyTorch's: its seed, and a state that moves with each draw."""

        __module__ = "torch"

        def __init__(self, seed: int) -> None:
            self.seed, self.state = seed, seed

        def draw(self) -> int:
            self.state = self.state * 5 % 7
            return self.state

    torch: Any = ModuleType("torch")
    torch.Generator = Generator
    monkeypatch.setitem(sys.modules, "torch", torch)
    text = "import torch\nG = torch.Generator({})\ndef task(): return G.draw()\n"
    module = load(text.format(1))
    before = fingerprint(module.task)
    module.task()
    assert take(module.task, (), None)[0] == before
    assert fingerprint(load(text.format(2)).task).hash != before.hash
    assert before.draws


def test_what_the_logger_of_a_library_keeps_does_not_count(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    class Logger:
        """As loguru's, it keeps which modules have logged."""

        __module__ = "loguru._logger"

        def __init__(self) -> None:
            self.enabled: dict[str, bool] = {}

        def info(self, text: str) -> None:
            self.enabled[text] = True

    loguru: Any = ModuleType("loguru")
    loguru.logger = Logger()
    monkeypatch.setitem(sys.modules, "loguru", loguru)
    module = load("from loguru import logger\ndef task(k): logger.info(k)\n")
    before = fingerprint(module.task)
    module.task("a")
    assert fingerprint(module.task) == before
    assert before.notes == ()


def test_of_the_generators_that_all_share_nothing_is_told(load: Load) -> None:
    module = load("from random import random\nfrom numpy.random import rand\ndef task(): return random(), rand()\n")
    assert (fingerprint(module.task).notes, fingerprint(module.task).draws) == ((), False)


# -- what cannot be seen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("eval('1')", "eval"),
        ("exec(x)", "exec"),
        ("getattr(x, x.name)", "getattr with a computed name"),
        ("__import__(x)", "__import__ with a computed name"),
        ("importlib.import_module(x)", "import_module with a computed name"),
        ("os.environ['A']", "os.environ"),
        ("os.getenv('A')", "os.environ"),
        ("open('data.csv')", "open of a file that is no argument"),
        ("open(NAME)", "open of a file that is no argument"),
        ("pathlib.Path('a').read_text()", "read_text of a file that is no argument"),
        ("pd.read_csv('data.csv')", "read_csv of a file that is no argument"),
        ("pl.scan_parquet('data.parquet')", "scan_parquet of a file that is no argument"),
        ("xr.open_dataset('data.nc')", "open_dataset of a file that is no argument"),
        ("keras.models.load_model('net.keras')", "load_model of a file that is no argument"),
        ("prompts.get_template('ask.j2').render(x=x)", "get_template of a file that is no argument"),
        ("hydra.utils.instantiate(x)", "instantiate of what a configuration names"),
    ],
)
def test_opaque_code_is_a_component_and_one_note(load: Load, body: str, what: str) -> None:
    module = load(f"import importlib, os, pathlib\nNAME = 'a'\ndef task(x): return {body}\n")
    result = fingerprint(module.task)
    assert kinds(result)[f"project_under_test.task: {what}"] == "opaque"
    assert len(result.notes) == 1
    assert "depends_on=" in result.notes[0]


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("from os import environ\ndef task(): return environ['A']\n", "project_under_test.task()"),
        ("from os import environ as env\ndef task(): return env.get('A')\n", "project_under_test.task()"),
        ("from os import environb\ndef task(): return environb[b'A']\n", "project_under_test.task()"),
        (
            "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    helix_test_variable: str = ''\n"
            "def settings(): return S()\ndef task(): return settings().helix_test_variable\n",
            "project_under_test.settings()",
        ),
        ("import os\ndef task(env=os.environ): return env['A']\n", "project_under_test.task.env"),
        ("import os\nK = [os.environ]\ndef task(): return K[0]['A']\n", "project_under_test.K[0]"),
        ("from os import environ\ndef task(): environ['HELIX_TEST_VARIABLE'] = 'b'\n", "project_under_test.task()"),
    ],
)
def test_the_environment_is_told_of_and_its_content_does_not_count(
    load: Load, monkeypatch: pytest.MonkeyPatch, text: str, who: str
) -> None:
    module = load(text)
    before = fingerprint(module.task)
    monkeypatch.setenv("HELIX_TEST_VARIABLE", "a")
    assert fingerprint(module.task) == before
    assert len(before.notes) == 1
    assert f"{who} uses os.environ." in before.notes[0]


def test_settings_that_are_made_already_count_by_what_they_hold(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    helix_test_variable: str = ''\n"
        "SETTINGS = S()\ndef task(): return SETTINGS.helix_test_variable\n"
    )
    before = fingerprint(load(text).task)
    monkeypatch.setenv("HELIX_TEST_VARIABLE", "a")
    assert fingerprint(load(text).task).hash != before.hash
    assert before.notes == ()


def test_what_numba_compiles_counts_by_its_function_and_options(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    numba = ModuleType("numba.core.dispatcher")
    monkeypatch.setitem(sys.modules, "numba.core.dispatcher", numba)
    text = (
        "import uuid\n"
        "class Dispatcher:\n"
        "    __module__ = 'numba.core.dispatcher'\n"
        "    def __init__(self, py_func, **targetoptions):\n"
        "        self.py_func, self.targetoptions = py_func, targetoptions\n"
        "    def __reduce__(self):\n"
        "        return Dispatcher, (str(uuid.uuid4()),)\n"
        "def f(x): return {}\n"
        "F = Dispatcher(f, nopython={})\n"
        "def task(x): return F(x)\n"
    )
    found = [
        fingerprint(load(text.format(body, option)).task).hash
        for body, option in [("x", True), ("x", True), ("2 * x", True), ("x", False)]
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_a_namespace_that_is_put_into_frames_of_polars_counts(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    class DataFrame: ...

    class NameSpace:
        """As polars has it."""

        __module__ = "polars"

        def __init__(self, name: str, namespace: type) -> None:
            self._accessor = name
            self._ns = namespace

    polars: Any = ModuleType("polars")
    polars.__file__, polars.DataFrame, polars.NameSpace = pd.__file__, DataFrame, NameSpace
    monkeypatch.setitem(sys.modules, "polars", polars)
    text = (
        "import polars\n"
        "class Tidy:\n"
        "    def __init__(self, frame): self.frame = frame\n"
        "    def total(self): return {}\n"
        "polars.DataFrame.tidy = polars.NameSpace('tidy', Tidy)\n"
        "def task(frame): return frame.tidy.total()\n"
    )
    found = [fingerprint(load(text.format(total)).task).hash for total in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    "body",
    [
        "open(x)",
        "open(x + '.csv').read()",
        "pathlib.Path(x, 'a').read_text()",
        "open('out.csv', 'w')",
        "pathlib.Path('out.csv').open(mode='wb')",
        "getattr(x, 'name')",
        "re.compile('a')",
        "xr.open_dataset(x / 'data.nc')",
        "keras.models.load_model(x)",
    ],
)
def test_files_named_by_arguments_and_literal_names_are_seen(load: Load, body: str) -> None:
    module = load(f"import pathlib, re\ndef task(x):\n    return {body}\n")
    assert fingerprint(module.task).notes == ()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("import not_to_be_found", "not_to_be_found uses a module that is not found"),
        ("import made_at_run_time", "made_at_run_time uses a module without a file"),
        ("import reads_environment", "reads_environment uses os.environ"),
    ],
)
def test_an_imported_module_that_cannot_be_seen_into_has_a_note(
    load: Load, monkeypatch: pytest.MonkeyPatch, body: str, what: str
) -> None:
    monkeypatch.setitem(sys.modules, "made_at_run_time", ModuleType("made_at_run_time"))
    load("import os\nHOME = os.environ['HOME']\n", "reads_environment")
    module = load(f"def task():\n    {body}\n")
    assert what in fingerprint(module.task).notes[0]


def test_a_constant_that_cannot_be_digested_has_a_note(load: Load) -> None:
    module = load("K = []\nfor _ in range(5000): K = [K]\ndef task(): return K\n")
    assert "counts by its type only" in fingerprint(module.task).notes[0]


def test_a_file_name_derived_through_variables_is_an_argument(load: Load) -> None:
    module = load("def task(x):\n    p = x / 'a'\n    with open(p) as f:\n        return f.read()\n")
    assert fingerprint(module.task).notes == ()


# -- source -----------------------------------------------------------------------------------------------------------


def test_a_file_that_changed_after_import_does_not_count(load: Load, tmp_path: Path) -> None:
    module = load("def task():\n    return 1\n")
    (tmp_path / "project_under_test.py").write_text("def task():\n    return 2  # now\n")
    stale = fingerprint(module.task)
    assert next(c for c in stale.components if c.kind == "function").source is None
    assert fingerprint(load("def task():\n    return 2  # now\n").task).hash != stale.hash


def test_a_module_counts_as_it_was_loaded(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of its file has no effect before it is loaded again, and then it has."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it is known by size and whole seconds
    path = tmp_path / "imported_late.py"
    path.write_text("K = 1\n")
    task = load("def task():\n    import imported_late\n    return imported_late.K\n").task
    before = fingerprint(task).hash
    assert task() == 1
    assert fingerprint(task).hash == before

    path.write_text("K = 22\n")
    assert task() == 1
    assert fingerprint(task).hash == before
    importlib.reload(sys.modules["imported_late"])
    assert task() == 22
    assert fingerprint(task).hash != before
    del sys.modules["imported_late"]
    path.write_text("K = 1\n")
    assert fingerprint(task).hash == before


def test_of_a_module_that_was_edited_about_when_it_was_loaded_nobody_knows_the_code(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run as the file was or as it is now: its fingerprint is one that no other process has."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "imported_late.py"
    path.write_text("K = 1\n")
    task = load("def task():\n    import imported_late\n    return imported_late.K\n").task
    before = fingerprint(task).hash
    assert task() == 1
    path.write_text("K = 22\n")
    found = fingerprint(task).hash
    assert fingerprint(task).hash == found != before

    del sys.modules["imported_late"]
    assert fingerprint(task).hash not in (found, before)


def test_state_counts_by_the_code_that_made_its_first_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not by what its file says once the module is loaded."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    text = "C = {}\ndef task(k):\n    C[k] = 1\n"
    (tmp_path / "keeps_state.py").write_text(text)
    module = importlib.import_module("keeps_state")
    before = fingerprint(module.task).hash
    (tmp_path / "keeps_state.py").write_text(text.replace("{}", "{1: 2}"))
    assert fingerprint(module.task).hash == before
    importlib.reload(module)
    assert fingerprint(module.task).hash != before
    del sys.modules["keeps_state"]


SCRIPT = """
from pathlib import Path

from prefect_helix.core.fingerprint import fingerprint

C = {}


def task(k):
    C[k] = 1


before = fingerprint(task).hash
path = Path(__file__)
path.write_text(path.read_text().replace("C = {}", "C = {1: 2}", 1))
after = fingerprint(task).hash
print(after == before)
"""


def test_state_of_a_script_counts_as_the_script_was_started(tmp_path: Path) -> None:
    """And not by what its file says while it goes on; once it is started again, the edit counts."""
    (tmp_path / "script.py").write_text(SCRIPT + "print(before)\n")
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])

    def started() -> list[str]:
        done = subprocess.run(
            [sys.executable, "script.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    (stands, first), (_, second) = started(), started()
    assert stands == "True"
    assert first != second


def test_a_notebook_cell_has_source() -> None:
    cell = "def task(x):\n    total = x  # note\n    return total\n"
    linecache.cache["<cell 1>"] = (len(cell), None, cell.splitlines(keepends=True), "<cell 1>")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(cell, "<cell 1>", "exec", dont_inherit=True), namespace)
    result = fingerprint(namespace["task"])
    assert next(c for c in result.components if c.kind == "function").source == cell


def test_a_module_in_a_zip_has_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("zipped_project.py", "def task():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path / "code.zip")
    import zipped_project  # type: ignore[import-not-found]  # noqa: PLC0415 - written above

    result = fingerprint(zipped_project.task)
    assert next(c for c in result.components if c.kind == "function").source == "def task():\n    return 1\n"
    del sys.modules["zipped_project"]


# -- arguments --------------------------------------------------------------------------------------------------------


def helper() -> int:
    return 1


def other_helper() -> int:
    return 2


def task() -> int:
    return 0


def test_code_version_stands_for_the_code() -> None:
    assert fingerprint(task, code_version="1").hash == fingerprint(helper, code_version="1").hash
    assert fingerprint(task, code_version="1").hash != fingerprint(task, code_version="2").hash
    assert fingerprint(task, code_version="1", depends_on=[1]).hash != fingerprint(task, code_version="1").hash


class Registered:
    """Cannot be pickled, but has a digest."""

    def __init__(self, content: int) -> None:
        self.content = content

    def __reduce__(self) -> str:
        raise TypeError("a handle")


register_digest(Registered, lambda value: value.content)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (helper, other_helper),
        (1, 2),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (np.zeros(2), np.zeros((2, 1))),
        (pd, np),
        (Path, str),
        (Registered(1), Registered(2)),
    ],
)
def test_what_a_task_depends_on_counts(one: object, two: object) -> None:
    found = [fingerprint(task, depends_on=[dependency]).hash for dependency in (one, one, two)]
    assert found[0] == found[1] != found[2]


def test_an_environment_variable_counts_by_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken() -> Fingerprint:
        return fingerprint(task, depends_on=["HELIX_TEST_VARIABLE"])

    monkeypatch.delenv("HELIX_TEST_VARIABLE", raising=False)
    unset = taken()
    hashes = {unset.hash}
    for value in ("", "a"):
        monkeypatch.setenv("HELIX_TEST_VARIABLE", value)
        hashes.add(taken().hash)
    assert len(hashes) == 3
    assert kinds(unset)["environment variable HELIX_TEST_VARIABLE"] == "dependency"


# -- ownership --------------------------------------------------------------------------------------------------------


def test_files_are_owned_by_who_installed_them(tmp_path: Path) -> None:
    owner = owner_of_file(str(pd.__file__))
    assert isinstance(owner, Distribution)
    assert (owner.name, owner.version) == ("pandas", pd.__version__)
    assert "numpy" in owner.requires
    assert owner_of_file(linecache.__file__) is Origin.PYTHON
    assert owner_of_file(str(tmp_path / "pandas.py")) is Origin.PROJECT
    assert owner_of_module("sys") is Origin.PYTHON
    assert owner_of_module("prefect.tasks") is Origin.OURS
    assert owner_of_module("prefect_census_flows") is Origin.PROJECT


def _install(site: Path, version: str, content_hash: str, requires: str = "") -> None:
    info = site / f"internal_tools-{version}.dist-info"
    info.mkdir(parents=True)
    (site / "internal_tools.py").write_text("def h(): return 1\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: internal-tools\nVersion: {version}\n{requires}\n")
    (info / "RECORD").write_text(f"internal_tools.py,sha256={content_hash},18\n{info.name}/RECORD,,\n")


def _installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    monkeypatch.syspath_prepend(site)
    owner = owner_of_file(str(site / "internal_tools.py"))
    assert isinstance(owner, Distribution)
    return owner


def test_a_distribution_counts_by_the_content_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for number, (version, content) in enumerate([("0.1.0", "a"), ("0.1.0", "a"), ("0.1.0", "b"), ("0.2.0", "a")]):
        _install(tmp_path / str(number), version, content)
        found.append(_installed(tmp_path / str(number), monkeypatch).hash)
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_extras_are_no_requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requires = ["Num_Py>=1", "pandas; extra == 'all'", "six ; python_version > '3'"]
    _install(tmp_path, "0.1.0", "a", "".join(f"Requires-Dist: {required}\n" for required in requires))
    assert _installed(tmp_path, monkeypatch).requires == ("num-py", "six")


def test_an_editable_install_is_project_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    _install(site, "0.1.0", "a")
    (site / "internal_tools-0.1.0.dist-info" / "RECORD").write_text("__editable__.internal_tools.pth,,\n")
    monkeypatch.syspath_prepend(site)
    assert owner_of_file(str(tmp_path / "src" / "internal_tools.py")) is Origin.PROJECT


def test_an_extension_of_the_project_counts_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for number, content in enumerate([b"a", b"a", b"b"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "fast_extension.so").write_bytes(content)
        module = types.ModuleType("fast_extension")
        module.__file__ = str(folder / "fast_extension.so")
        monkeypatch.setitem(sys.modules, "fast_extension", module)
        found.append(fingerprint(task, depends_on=[module]).hash)
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("as_constant", [True, False])
def test_a_file_counts_by_its_content(load: Load, tmp_path: Path, as_constant: bool) -> None:
    """As a constant, or as what a task depends on; a copy of it elsewhere is the same."""
    text = "from prefect_helix import File\n\nDATA = File({!r})\n\ndef task(x):\n    return DATA\n"

    def found(path: Path, content: str) -> str:
        path.write_text(content)
        module = load(text.format(str(path)))
        return (fingerprint(module.task) if as_constant else fingerprint(task, depends_on=[module.DATA])).hash

    first = found(tmp_path / "a.txt", "one")
    assert first == found(tmp_path / "b.txt", "one")
    assert first != found(tmp_path / "a.txt", "another")


def test_a_file_written_in_between_is_read_again(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    module = load(f"from prefect_helix import File\n\nDATA = File({str(path)!r})\n\ndef task(x):\n    return DATA\n")
    before = fingerprint(module.task)
    path.write_text("another")
    assert fingerprint(module.task).hash != before.hash


def test_the_object_whose_method_was_called_last_is_no_code_of_the_method(load: Load) -> None:
    """Prefect sets it on the function that all objects share."""
    module = load(
        "class Model:\n    def fit(self):\n        return self\n\nMODEL = Model()\n\ndef task(x):\n    return x\n"
    )
    before = fingerprint(module.Model.fit).hash
    module.Model.fit.__prefect_self__ = module.MODEL
    assert fingerprint(module.Model.fit).hash == before


def test_a_memo_that_is_made_when_it_is_first_asked_does_not_move_the_fingerprint(load: Load) -> None:
    project = load("""
_CACHE = None
def squared(x, how=None):
    global _CACHE
    if _CACHE is None:
        _CACHE = {}
    if x not in _CACHE:
        _CACHE[x] = x * x
    return _CACHE[x]
def task(x=2):
    return squared(x)
""")
    before = fingerprint(project.task)
    project.task()
    assert fingerprint(project.task).hash == before.hash


def test_none_is_not_said_to_be_written(load: Load) -> None:
    project = load("""
SEED = None
def count(x, out=None):
    out = {} if out is None else out
    out[x] = SEED
    return out
def task():
    return count(1)
""")
    assert fingerprint(project.task).notes == ()


@pytest.mark.parametrize("field", ["f: Any = g", "a: Annotated[int, g] = 1"])
def test_where_a_function_is_in_memory_does_not_count(load: Load, field: str) -> None:
    text = f"""
from dataclasses import dataclass
from typing import Annotated, Any
import inspect
def g(x):
    return x
@dataclass
class P:
    {field}
def task():
    return inspect.signature(P), P.__doc__
"""
    one, other = load(text), load(text)
    assert one.g is not other.g
    assert fingerprint(one.task).hash == fingerprint(other.task).hash
