"""Whether a process has what a task takes from modules: it may have loaded them before an edit, or in another place."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import itertools
import pickle
import sys
import threading
import types
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from prefect_helix.runtime.agreement import Taken, disagreement, taken

SOURCES = {
    "agreeing_lower": """
BASE = 1


def base():
    return BASE
""",
    "agreeing_lazy": """
EDGE = 3


def lately(x):
    return x + 1


def edged(x):
    return x + EDGE
""",
    "agreeing_tools": """
import functools
from pathlib import Path

from agreeing_lower import base

RATE = 2
TABLE = {"a": 1}
SEEN = {"limit": 5}
ROOT = Path(__file__).parent
SOURCE = "/agreeing/a"


def weight(x, by=5):
    return x * by + base()


def looked_up(x):
    return TABLE[x]


def limited(x):
    SEEN[x] = SEEN.get(x, SEEN["limit"])
    return SEEN[x]


@functools.lru_cache
def cached(x):
    return x * 7


def placed(name):
    return ROOT / name


def sourced(name):
    return SOURCE + name


def later(x):
    from agreeing_lazy import lately

    return lately(x)


class Model:
    rate = 4

    def fit(self, x):
        return x * self.rate


class Lasting:
    def __init__(self):
        self.seen = None

    def see(self, x):
        self.seen = x
        return x


LASTING = Lasting()


OTHER = Lasting()


def lasting(x):
    return LASTING.see(x)


def lasting_too(x):
    return LASTING.see(x), OTHER.seen


def timed(function):
    def wrapper(*args):
        return function(*args) + 0

    return wrapper
""",
    "agreeing_steps": """
import math

import agreeing_tools
from agreeing_tools import Model, cached, lasting, lasting_too, later, limited, looked_up
from agreeing_tools import placed, sourced, timed, weight

from prefect_helix import helix_task

SHIFT = 10


@helix_task
def calls(x):
    return weight(x) + SHIFT


@helix_task
def reads(x):
    return agreeing_tools.RATE * x


@helix_task
def looks_up(x):
    return looked_up(x)


@helix_task
def caches(x):
    return cached(x)


@helix_task
def limits(x):
    return limited(x)


@helix_task
def makes(x):
    return Model().fit(x)


@helix_task
def imports(x):
    from agreeing_lazy import lately

    return lately(x)


@helix_task
def imports_below(x):
    return later(x)


@helix_task
@timed
def wrapped(x):
    return agreeing_tools.weight(math.sqrt(x))


@helix_task
def places(x):
    return placed(x)


@helix_task
def roots(x):
    return agreeing_tools.ROOT / x


@helix_task
def sources(x):
    return sourced(x)


@helix_task
def lasts(x):
    return lasting(x)


@helix_task
def lasts_too(x):
    return lasting_too(x)


@helix_task
def holds(x):
    return agreeing_tools.LASTING.see(x)


@helix_task
def alone(x):
    return math.sqrt(x) + SHIFT


def undecorated(x):
    return weight(x)


called = helix_task(undecorated)
""",
}
TASKS = [
    "calls", "reads", "looks_up", "caches", "limits", "makes", "imports", "imports_below", "wrapped", "places", "roots",
    "sources", "lasts", "lasts_too", "holds", "alone", "called",
]  # fmt: skip


class HookedLoader(SourceFileLoader):
    """As what libraries that hook into imports load modules by."""


class Project:
    """Modules in a folder, and a process that has them loaded."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch

    def write(self, edit: tuple[str, str, str] | None = None) -> None:
        """Write all modules, one of them after an edit."""
        self.folder.mkdir(exist_ok=True)
        for name, source in SOURCES.items():
            if edit is not None and edit[0] == name:
                assert source.count(edit[1]) == 1
                source = source.replace(*edit[1:])
            (self.folder / f"{name}.py").write_text(source)

    def load(self) -> None:
        """Have the modules as a process that begins now has them."""
        with self._monkeypatch.context() as patched:
            patched.syspath_prepend(self.folder)
            patched.setattr(sys, "dont_write_bytecode", True)  # it is known by size and whole seconds
            forget()
            for name in SOURCES:
                importlib.import_module(name)

    def sends(self, task: str, edit: tuple[str, str, str] | None = None) -> tuple[Taken, ...]:
        """What a task takes in a process that begins now, with all modules written anew, one after an edit."""
        self.write(edit)
        self.load()
        return self.takes(task)

    def takes(self, task: str) -> tuple[Taken, ...]:
        """What a task takes, on its way to another process."""
        found: tuple[Taken, ...] = pickle.loads(pickle.dumps(taken(getattr(sys.modules["agreeing_steps"], task).fn)))
        return found


def forget() -> None:
    for name in SOURCES:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Project]]:
    """Makes projects in folders."""
    yield lambda name: Project(tmp_path / name, monkeypatch)
    forget()


@pytest.mark.parametrize("task", TASKS)
def test_a_process_that_begins_with_the_same_code_agrees(task: str, project: Callable[[str], Project]) -> None:
    one = project("one")
    there = one.sends(task)
    one.load()

    assert disagreement(there) == ""
    assert bool(there) == (task != "alone")


@pytest.mark.parametrize("is_on_disk", [True, False], ids=["loaded before the edit", "another file"])
@pytest.mark.parametrize(
    ("task", "module", "old", "new", "told"),
    [
        ("calls", "agreeing_tools", "x * by", "x / by", "agreeing_tools:weight"),
        ("calls", "agreeing_tools", "by=5", "by=55", "agreeing_tools:weight"),
        ("calls", "agreeing_lower", "BASE = 1", "BASE = 11", "agreeing_tools:weight"),
        ("calls", "agreeing_lower", "return BASE", "return BASE + 0", "agreeing_tools:weight"),
        ("reads", "agreeing_tools", "RATE = 2", "RATE = 22", "agreeing_tools:RATE"),
        ("reads", "agreeing_tools", "RATE = 2", "RATE = '/a'", "agreeing_tools:RATE"),
        ("looks_up", "agreeing_tools", '{"a": 1}', '{"a": 1.5}', "agreeing_tools:looked_up"),
        ("caches", "agreeing_tools", "x * 7", "x * 77", "agreeing_tools:cached"),
        ("makes", "agreeing_tools", "x * self.rate", "x / self.rate", "agreeing_tools:Model"),
        ("makes", "agreeing_tools", "rate = 4", "rate = 44", "agreeing_tools:Model"),
        ("imports", "agreeing_lazy", "x + 1", "x + 11", "agreeing_lazy:"),
        ("imports_below", "agreeing_lazy", "x + 1", "x + 11", "agreeing_tools:later"),
        ("wrapped", "agreeing_tools", "x * by", "x / by", "agreeing_tools:weight"),
        ("places", "agreeing_tools", "ROOT / name", "ROOT / 'a' / name", "agreeing_tools:placed"),
        ("places", "agreeing_tools", "Path(__file__).parent", "Path(__file__)", "agreeing_tools:placed"),
        ("called", "agreeing_tools", "x * by", "x / by", "agreeing_steps:undecorated"),
        ("called", "agreeing_steps", "    return weight(x)\n\n\ncalled", "    return -weight(x)\n\n\ncalled",
         "agreeing_steps:undecorated"),
    ],
)  # fmt: skip
def test_a_process_with_code_from_before_an_edit_does_not(
    task: str, module: str, old: str, new: str, told: str, is_on_disk: bool, project: Callable[[str], Project]
) -> None:
    one = project("one")
    there = one.sends(task, (module, old, new))
    one.write()
    one.load()
    if is_on_disk:
        one.write((module, old, new))

    assert disagreement(there) == told


@pytest.mark.parametrize(
    ("task", "module", "old", "new"),
    [
        ("calls", "agreeing_tools", "ROOT / name", "ROOT / 'a' / name"),
        ("calls", "agreeing_steps", "weight(x) + SHIFT", "weight(x) - SHIFT"),  # what is sent is of the flow's process
        ("calls", "agreeing_steps", "SHIFT = 10", "SHIFT = 110"),
        ("wrapped", "agreeing_tools", "(*args) + 0", "(*args) + 1"),
        ("alone", "agreeing_tools", "x * by", "x / by"),
    ],
)
def test_an_edit_of_what_is_not_taken_there_does_not_matter(
    task: str, module: str, old: str, new: str, project: Callable[[str], Project]
) -> None:
    one = project("one")
    there = one.sends(task, (module, old, new))
    one.write()
    one.load()

    assert disagreement(there) == ""


@pytest.mark.parametrize("task", TASKS)
def test_code_may_be_in_another_place(task: str, project: Callable[[str], Project]) -> None:
    one, other = project("one"), project("other")
    there = one.sends(task)
    other.write()
    other.load()

    assert disagreement(there) == ""


@pytest.mark.parametrize(
    ("task", "old", "new", "told"),
    [
        ("places", "ROOT / name", "ROOT / 'a' / name", "agreeing_tools:placed"),
        ("sources", '"/agreeing/a"', '"/agreeing/b"', "agreeing_tools:sourced"),
    ],
)
def test_code_in_another_place_is_compared(
    task: str, old: str, new: str, told: str, project: Callable[[str], Project]
) -> None:
    one, other = project("one"), project("other")
    there = one.sends(task)
    other.write(("agreeing_tools", old, new))
    other.load()

    assert disagreement(there) == told


def test_what_passes_for_a_module_is_no_hindrance(
    project: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        """As cffi makes one."""

        __slots__ = ()
        __class__ = property(lambda self: ModuleType)

    monkeypatch.setitem(sys.modules, "agreeing_library", Library())
    one = project("one")
    there = one.sends("calls")
    one.load()

    assert disagreement(there) == ""


def test_a_process_without_a_module_does_not_agree(project: Callable[[str], Project]) -> None:
    one = project("one")
    there = one.sends("calls")
    forget()

    assert disagreement(there) == "agreeing_tools:weight"


def test_what_running_tasks_changed_is_no_difference_until_the_module_is_loaded_again(
    project: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = project("one")
    there = one.sends("lasts")
    tools: Any = sys.modules["agreeing_tools"]

    assert disagreement(there) == ""
    tools.LASTING.see(3)
    assert disagreement(there) == ""
    tools.LASTING.see(None)
    one.write(("agreeing_tools", "self.seen = x\n", "self.seen = x + 1\n"))
    monkeypatch.syspath_prepend(one.folder)
    importlib.reload(tools)
    assert disagreement(there) == "agreeing_tools:lasting"


@pytest.mark.parametrize(
    ("task", "old", "new", "told"),
    [
        ("lasts_too", "self.rate", "-self.rate", ""),
        ("lasts_too", "self.seen = None", "self.seen = 0", "agreeing_tools:lasting_too"),
        ("lasts_too", "self.seen = x\n", "self.seen = -x\n", "agreeing_tools:lasting_too"),
        ("lasts_too", "LASTING.see(x), OTHER.seen", "OTHER.see(x), LASTING.seen", "agreeing_tools:lasting_too"),
        ("lasts_too", "LASTING.see(x), OTHER.seen", "LASTING.see(x + 0), OTHER.seen", "agreeing_tools:lasting_too"),
        ("holds", "self.rate", "-self.rate", ""),
        ("holds", "self.seen = None", "self.seen = 0", "agreeing_tools:LASTING"),
    ],
)
def test_what_a_task_has_filled_in_is_no_difference_for_another_one(
    task: str, old: str, new: str, told: str, project: Callable[[str], Project]
) -> None:
    one = project("one")
    one.write()
    one.load()
    there, loaded = one.takes("lasts"), {name: sys.modules[name] for name in SOURCES}
    one.write(("agreeing_tools", old, new))
    one.load()
    edited = one.takes(task)

    one.write()
    sys.modules.update(loaded)
    assert disagreement(there) == ""
    loaded["agreeing_tools"].LASTING.see(3)
    assert disagreement(edited) == told


class Lagging:
    """An object that a second thread begins to look at while a first one does, and has seen once that went on."""

    ready, begun, changed = threading.Event(), threading.Event(), threading.Event()
    second = threading.Thread()

    def __init__(self) -> None:
        self.seen = 0

    def __getstate__(self) -> dict[str, Any]:
        if threading.current_thread() is self.second:
            self.changed.wait(60)
        elif self.ready.is_set() and not self.begun.is_set():
            self.second.start()
            self.begun.wait(60)
        return {"seen": self.seen}


def test_of_two_tasks_that_begin_at_once_the_quicker_one_is_no_difference(project: Callable[[str], Project]) -> None:
    one = project("one")
    one.write()
    one.load()
    tools: Any = sys.modules["agreeing_tools"]
    tools.LASTING = Lagging()
    there, found = one.takes("lasts"), []

    def look() -> None:
        Lagging.begun.set()
        found.append(disagreement(there))

    Lagging.second = threading.Thread(target=look, daemon=True)
    Lagging.ready.set()
    found.append(disagreement(there))
    tools.LASTING.seen = 1
    Lagging.changed.set()
    Lagging.second.join(60)
    assert found == ["", ""]


class Counting:
    """An object that counts how often somebody looks at what it holds."""

    looks = itertools.count()

    def __getstate__(self) -> dict[str, Any]:
        next(self.looks)
        return {"looked_at": True}


@pytest.mark.parametrize("is_other", [False, True])
def test_a_process_looks_once(is_other: bool, project: Callable[[str], Project]) -> None:
    one = project("one")
    one.write()
    one.load()
    tools: Any = sys.modules["agreeing_tools"]
    tools.LASTING = Counting()
    there = one.takes("lasts")
    if is_other:
        there = tuple(dataclasses.replace(one, hash="", hash_without_places="", parts=()) for one in there)
    told = "agreeing_tools:lasting" if is_other else ""

    assert disagreement(there) == told
    looks = next(Counting.looks)
    assert disagreement(there) == told
    assert next(Counting.looks) == looks + 1


def test_a_constant_is_looked_at_again_when_its_module_is_loaded_again(
    project: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = project("one")
    there = one.sends("reads")

    assert disagreement(there) == ""
    one.write(("agreeing_tools", "RATE = 2", "RATE = 22"))
    monkeypatch.syspath_prepend(one.folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.reload(sys.modules["agreeing_tools"])
    assert disagreement(there) == "agreeing_tools:RATE"


@pytest.mark.parametrize(
    ("task", "module", "old", "new", "told"),
    [
        ("imports", "agreeing_lazy", "EDGE = 3", "EDGE = 33", "agreeing_lazy:"),
        ("limits", "agreeing_tools", '"limit": 5', '"limit": 55', "agreeing_tools:limited"),
    ],
)
def test_what_counts_by_the_text_of_a_file_is_that_of_the_text_that_was_loaded(
    task: str, module: str, old: str, new: str, told: str, project: Callable[[str], Project]
) -> None:
    one = project("one")
    one.write()
    one.load()
    there, loaded = one.takes(task), {name: sys.modules[name] for name in SOURCES}
    assert disagreement(there) == ""
    one.write((module, old, new))
    one.load()
    edited = one.takes(task)

    sys.modules.update(loaded)
    assert disagreement(edited) == told
    one.load()
    assert disagreement(edited) == ""


def test_versions_of_libraries_count() -> None:
    import numpy  # noqa: PLC0415

    def root(x: float) -> Any:
        return numpy.sqrt(x)

    there = taken(root)
    other = [dataclasses.replace(one, hash="", hash_without_places="") for one in there]

    assert [one.name for one in there] == ["numpy:"]
    assert (disagreement(there), disagreement(other)) == ("", "numpy:")


def test_versions_of_libraries_count_for_their_compiled_functions() -> None:
    from numpy import array  # noqa: PLC0415

    def root(x: float) -> Any:
        return array(x)

    assert [one.name for one in taken(root)] == ["numpy:array"]


def test_what_cannot_be_copied_takes_nothing() -> None:
    class Refusing:
        def __reduce__(self) -> Any:
            raise ValueError("no")

    refusing = Refusing()

    def held() -> Any:
        return refusing

    assert taken(held) == ()


def test_what_is_in_a_module_that_is_copied_comes_along() -> None:
    made: Any = types.ModuleType("agreeing_made")  # as loaded from a file, under no name
    made.RATE = 2

    def root(x: int) -> Any:
        return made.RATE * x

    assert taken(root) == ()


def test_what_is_in_a_module_that_somebody_has_copied_comes_along(project: Callable[[str], Project]) -> None:
    one = project("one")
    one.write()
    one.load()
    tools: Any = sys.modules["agreeing_tools"]

    def root(x: int) -> Any:
        return tools.RATE * x

    assert [one.name for one in taken(root)] == ["agreeing_tools:RATE"]
    cloudpickle.register_pickle_by_value(tools)
    try:
        names = {one.name for one in taken(root)}
    finally:
        cloudpickle.unregister_pickle_by_value(tools)
    # What its functions take, which come along with it; the one with a cache in front pickle takes by name.
    assert names == {"agreeing_lower:base", "agreeing_lazy:", "agreeing_tools:cached"}


def test_what_loaded_a_module_that_somebody_has_copied_is_no_code_of_it(project: Callable[[str], Project]) -> None:
    one = project("one")
    one.write()
    one.load()
    tools: Any = sys.modules["agreeing_tools"]
    tools.__loader__ = tools.__spec__.loader = HookedLoader(tools.__name__, tools.__file__)  # as beartype's is, by name

    def root(x: int) -> Any:
        return tools.RATE * x

    cloudpickle.register_pickle_by_value(tools)
    try:
        names = {one.name for one in taken(root)}
    finally:
        cloudpickle.unregister_pickle_by_value(tools)
    assert "agreeing_tools:cached" in names
    assert not [name for name in names if name.endswith("HookedLoader")]


def test_what_cannot_be_looked_at_stops_nobody(project: Callable[[str], Project]) -> None:
    class Unbound:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("no request is being answered")

    one = project("one")
    one.write()
    one.load()
    tools: Any = sys.modules["agreeing_tools"]
    tools.REQUEST = Unbound()

    def root() -> Any:
        return tools.REQUEST

    assert taken(root) == ()


def test_a_module_that_is_to_be_loaded_at_its_first_use_is_left_alone(
    project: Callable[[str], Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = project("one")
    there = one.sends("calls")
    one.load()
    (tmp_path / "agreeing_unused.py").write_text("raise ImportError('what it needs is not installed')")
    spec = importlib.util.spec_from_file_location("agreeing_unused", tmp_path / "agreeing_unused.py")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    unused = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unused)
    monkeypatch.setitem(sys.modules, "agreeing_unused", unused)

    assert disagreement(there) == ""
    assert type(unused) is not types.ModuleType


def test_the_class_of_an_object_is_compared(project: Callable[[str], Project]) -> None:
    one = project("one")
    one.write(("agreeing_tools", "x * self.rate", "x / self.rate"))
    one.load()
    there = taken({"model": sys.modules["agreeing_tools"].Model()})
    one.write()
    one.load()

    assert disagreement(there) == "agreeing_tools:Model"


def test_what_a_task_says_it_depends_on_is_compared(
    project: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = project("one")
    one.write()
    one.load()
    monkeypatch.setenv("AGREEING_REGION", "north")
    tools: Any = sys.modules["agreeing_tools"]
    there = taken(None, [tools.weight, sys.modules["agreeing_lazy"], "AGREEING_REGION", 3])

    assert [one.name for one in there] == ["AGREEING_REGION", "agreeing_lazy:", "agreeing_tools:weight"]
    assert disagreement(there) == ""
    monkeypatch.setenv("AGREEING_REGION", "south")
    assert disagreement(there) == "AGREEING_REGION"
    monkeypatch.setenv("AGREEING_REGION", "north")
    assert disagreement(there) == ""
    one.write(("agreeing_lower", "BASE = 1", "BASE = 11"))
    one.load()
    assert disagreement(there) == "agreeing_tools:weight"
