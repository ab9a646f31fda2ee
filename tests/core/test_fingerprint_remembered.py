"""A fingerprint that is asked for again is what a full walk would give, whatever the program has done meanwhile."""

from __future__ import annotations

import builtins
import functools
import gc
import importlib
import json
import os
import random
import shutil
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.digest import register_digest
from prefect_helix.core.fingerprint import fingerprint
from prefect_helix.core.fingerprint.take import take

_HELPERS = """
import abc, collections, dataclasses, functools, json, threading, types
import numpy as np

def scale(x, factor=2, *, shift=1):
    return x * factor + shift

def other(x):
    return x + 1

def counted(n):
    def inner(x):
        return x + n
    return inner

adder = counted(3)
half = functools.partial(scale, factor=0.5, shift=0)

@functools.lru_cache
def cached(x):
    return x

@functools.singledispatch
def show(x):
    return "any"

@show.register
def _(x: int):
    return "int"

class Base(abc.ABC):
    rate = 2
    def run(self, x):
        return x * self.rate

class Model(Base):
    def __init__(self):
        self.weights = [1, 2]
        self.name = "m"
    @property
    def size(self):
        return len(self.weights)

class Unlike(Base):
    def run(self, x):
        return 0

class Mixed:
    def run(self, x):
        return -x

@dataclasses.dataclass
class Point:
    x: int
    y: list

class Registry:
    known = {}
    def __init_subclass__(cls):
        Registry.known[cls.__name__] = cls

class First(Registry):
    pass

LIMIT = 10
NAMES = ["a", ["b", {"k": [1]}]]
TABLE = {"x": 1, "f": other}
KINDS = {1, 2}
class Tags(set): pass
TAGS = Tags({1, scale})
QUEUE = collections.deque([1, 2], maxlen=5)
GROUPS = collections.defaultdict(int, a=1)
RAW = bytearray(b"abc")
ARRAY = np.arange(4.0)
MODEL = Model()
POINT = Point(1, [2])
BOX = types.SimpleNamespace(run=scale, deep=[[other], 1])
LOCK = threading.Lock()
MEMO = {}
COUNT = 0

def memoised(x):
    global COUNT
    COUNT += 1
    MEMO[x] = x
    return MEMO[x]
"""

_TASKS = """
import json
import helpers_under_test as helpers
import numpy as np
from helpers_under_test import LIMIT, scale, Base, Registry

FLAG = None
PAIR = (helpers.NAMES, [1])

def task(x, deep=(1, 2), table={"a": [1]}):
    import lazily_under_test
    from lazily_under_test import part
    found = [scale(x), helpers.adder(x), helpers.half(x), helpers.cached(x), helpers.show(x), helpers.memoised(x)]
    found += [helpers.MODEL.run(x), helpers.MODEL.size, helpers.POINT, helpers.Model, helpers.LOCK, Registry.known]
    found += [helpers.BOX, helpers.TAGS]
    found += [helpers.NAMES, helpers.TABLE, helpers.KINDS, helpers.QUEUE, helpers.GROUPS, helpers.RAW, helpers.ARRAY]
    found += [LIMIT, FLAG, PAIR, json.dumps(x), np.sum(x), len(found), isinstance(x, helpers.Base), x.tidy]
    return found, part(x), lazily_under_test

def listing(x):
    return Base.__subclasses__(), vars(helpers.Mixed)
"""

Change = Callable[[Any, Any, random.Random], object]


class Weighted:
    """Something without a digest of its own."""

    def __reduce__(self) -> Any:
        raise TypeError("no")


def changes(folder: Path) -> dict[str, Change]:
    """Return ways to change the program, by name; each may be made several times."""

    def write(name: str, *texts: str) -> Change:
        def change(h: Any, t: Any, r: random.Random) -> None:
            (folder / name).write_text(r.choice(texts))
            importlib.invalidate_caches()

        return change

    def put(of: Callable[[Any, Any], Any], name: str, *values: object) -> Change:
        return lambda h, t, r: setattr(of(h, t), name, r.choice(values))

    def redefine(h: Any, t: Any, r: random.Random) -> None:
        exec(f"def scale(x, factor=2, *, shift=1):\n    return x * {r.randrange(4)} + LIMIT", vars(t))

    def code(h: Any, t: Any, r: random.Random) -> None:
        h.other.__code__ = r.choice([(lambda x: x + 1).__code__, (lambda x: x + 2).__code__])

    def replaced_module(h: Any, t: Any, r: random.Random) -> None:
        if r.random() < 0.5:
            module = types.ModuleType("lazily_under_test")
            module.part = abs
            sys.modules["lazily_under_test"] = module
        else:
            sys.modules.pop("lazily_under_test", None)

    def path(h: Any, t: Any, r: random.Random) -> None:
        other = folder / "other"
        if str(other) in sys.path:
            sys.path.remove(str(other))
        else:
            sys.path.insert(0, str(other))

    def environment(h: Any, t: Any, r: random.Random) -> None:
        if r.random() < 0.3:
            os.environ.pop("HELIX_TEST_RATE", None)
        else:
            os.environ["HELIX_TEST_RATE"] = str(r.randrange(3))

    def rebased(h: Any, t: Any, r: random.Random) -> None:
        h.Model.__bases__ = r.choice([(h.Base,), (h.Unlike,)])

    def in_place(act: Callable[[Any, random.Random], object], *names: str) -> Change:
        def change(h: Any, t: Any, r: random.Random) -> None:
            act(functools.reduce(getattr, names, h), r)

        return change

    def again(h: Any, t: Any, r: random.Random) -> None:
        h.MODEL.__dict__ = dict(vars(h.MODEL))

    def deleted(h: Any, t: Any, r: random.Random) -> None:
        vars(t).pop("FLAG", None)

    def frames(h: Any, t: Any, r: random.Random) -> None:
        if "tidy" in vars(pd.DataFrame):
            del pd.DataFrame.tidy  # type: ignore[attr-defined]
        else:
            pd.DataFrame.tidy = r.choice([h.other, h.scale])  # type: ignore[attr-defined]

    def shadow(h: Any, t: Any, r: random.Random) -> None:
        if "len" in vars(t):
            del t.len
        else:
            t.len = h.other

    def of_builtins(h: Any, t: Any, r: random.Random) -> None:
        if "FLAG_OF_ALL" in vars(builtins):
            del builtins.FLAG_OF_ALL  # type: ignore[attr-defined]
        else:
            builtins.FLAG_OF_ALL = h.other  # type: ignore[attr-defined]

    def subclassed(h: Any, t: Any, r: random.Random) -> None:
        h.held = [type("New", (h.Base,), {"__module__": h.__name__, "rate": r.randrange(3)}), *getattr(h, "held", [])]

    return {
        "a helper is rebound": put(lambda h, t: t, "scale", np.sum, len),
        "a helper is rebound in its module": put(lambda h, t: h, "adder", abs, max),
        "a cell is run again": redefine,
        "code": code,
        "defaults": lambda h, t, r: setattr(h.scale, "__defaults__", (r.randrange(3),)),
        "defaults that are equal": lambda h, t, r: setattr(h.scale, "__defaults__", (r.choice([1, True, 1.0]),)),
        "a keyword default": in_place(lambda f, r: f.__kwdefaults__.update(shift=r.randrange(3)), "scale"),
        "keyword defaults": lambda h, t, r: setattr(h.scale, "__kwdefaults__", {"shift": r.randrange(3)}),
        "a default in place": lambda h, t, r: t.task.__defaults__[1]["a"].append(r.random()),
        "an attribute of a function": put(lambda h, t: h.scale, "unit", "m", "s"),
        "a name of a function": put(lambda h, t: h.scale, "__name__", "scale", "scaled"),
        "a qualified name": put(lambda h, t: h.scale, "__qualname__", "scale", "scaled"),
        "a closure cell": lambda h, t, r: (
            setattr(h.adder.__closure__[0], "cell_contents", r.randrange(3)) if hasattr(h.adder, "__closure__") else 0
        ),
        "a class attribute": put(lambda h, t: h.Base, "rate", 2, 3),
        "a method": lambda h, t, r: setattr(h.Base, "run", r.choice([h.other, h.scale])),
        "a new member": lambda h, t, r: setattr(h.Mixed, f"member{r.randrange(3)}", 1),
        "bases": rebased,
        "a virtual subclass": lambda h, t, r: h.Base.register(r.choice([h.Mixed, h.Point])),
        "a subclass": subclassed,
        "a registered subclass": lambda h, t, r: type("Second", (h.Registry,), {"__module__": h.__name__}),
        "an implementation": lambda h, t, r: h.show.register(r.choice([str, float]), r.choice([h.other, h.scale])),
        "a constant": put(lambda h, t: t, "LIMIT", 10, 11),
        "a constant of an equal value": put(lambda h, t: t, "LIMIT", 1, True, 1.0),
        "a list": in_place(lambda names, r: names.append(r.random()), "NAMES"),
        "a dict deep in a list": in_place(lambda names, r: names[1][1]["k"].append(1), "NAMES"),
        "an item of a dict": in_place(lambda table, r: table.update(x=r.randrange(3)), "TABLE"),
        "the order of a dict": in_place(lambda table, r: table.update(x=table.pop("x")), "TABLE"),
        "code in a dict": lambda h, t, r: h.TABLE.update(f=r.choice([h.other, h.scale])),
        "a set of a subclass": in_place(lambda tags, r: tags.symmetric_difference_update({r.randrange(4)}), "TAGS"),
        "a set": in_place(lambda kinds, r: kinds.symmetric_difference_update({r.randrange(4)}), "KINDS"),
        "a deque": in_place(lambda queue, r: queue.append(r.randrange(3)), "QUEUE"),
        "a group": in_place(lambda groups, r: groups[r.randrange(3)], "GROUPS"),
        "a factory": put(lambda h, t: h.GROUPS, "default_factory", int, str),
        "raw bytes": in_place(lambda raw, r: raw.append(r.randrange(3)), "RAW"),
        "an array": in_place(lambda array, r: array.__setitem__(1, r.random()), "ARRAY"),
        "an instance's attribute": put(lambda h, t: h.MODEL, "name", "m", "n"),
        "an instance's list": in_place(lambda weights, r: weights.append(1), "MODEL", "weights"),
        "an instance's class": lambda h, t, r: setattr(h.MODEL, "__class__", r.choice([h.Model, h.Unlike])),
        "an instance's dict": again,
        "a data class": in_place(lambda point, r: point.y.append(1), "POINT"),
        "what a library's object holds": in_place(lambda box, r: setattr(box, "run", r.choice([abs, len, 1])), "BOX"),
        "a library's object deep inside": in_place(
            lambda deep, r: deep[0].__setitem__(0, r.randrange(3)), "BOX", "deep"
        ),
        "a field of a data class": in_place(
            lambda fields, r: setattr(fields["y"], "default", r.randrange(3)), "Point", "__dataclass_fields__"
        ),
        "a partial": lambda h, t, r: setattr(h, "half", functools.partial(h.scale, factor=r.randrange(3))),
        "a partial's keyword": in_place(lambda half, r: half.keywords.update(shift=r.randrange(3)), "half"),
        "an environment variable": environment,
        "the text of a lazy module": write("lazily_under_test.py", "def part(x):\n    return 1\n", "part = 2\n"),
        "the text of a module that it imports": write("deeper_under_test.py", "DEEP = 1\n", "DEEP = 22\n"),
        "the text of a lazy module that imports": write(
            "lazily_under_test.py", "from deeper_under_test import DEEP as part\n"
        ),
        "the text of a loaded module": lambda h, t, r: write(
            "helpers_under_test.py", _HELPERS, f"# {r.random()}\n{_HELPERS}", _HELPERS.replace("x + 1", "x + 3")
        )(h, t, r),
        "another module of that name": replaced_module,
        "the search path": path,
        "the folder": lambda h, t, r: os.chdir(r.choice([folder, folder / "other"])),
        "a library's attribute": lambda h, t, r: setattr(json, "dumps", r.choice([h.other, h.scale, _DUMPS])),
        "an attribute of a frame": frames,
        "a builtin's name": shadow,
        "a new builtin": of_builtins,
        "a name is deleted": deleted,
        "a name comes back": put(lambda h, t: t, "FLAG", None, 1),
        "state": lambda h, t, r: h.memoised(r.randrange(5)),
        "another module's name": put(lambda h, t: h, "__name__", "helpers_under_test", "helpers_renamed"),
        "how a class is digested": lambda h, t, r: register_digest(
            Weighted, r.choice([lambda value: 1, lambda value: 2])
        ),
        "something that may have a digest": lambda h, t, r: setattr(t, "FLAG", Weighted()),
    }


_DUMPS = json.dumps
NAMES = sorted(changes(Path()))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Import the two modules of the program; what is changed of libraries is put back."""
    (tmp_path / "helpers_under_test.py").write_text(_HELPERS)
    (tmp_path / "tasks_under_test.py").write_text(_TASKS)
    (tmp_path / "lazily_under_test.py").write_text(
        "import deeper_under_test\ndef part(x):\n    return deeper_under_test\n"
    )
    (tmp_path / "deeper_under_test.py").write_text("DEEP = 0\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "lazily_under_test.py").write_text("def part(x):\n    return 3\n")
    shutil.copy(tmp_path / "deeper_under_test.py", tmp_path / "other")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    monkeypatch.setenv("HELIX_TEST_RATE", "0")
    monkeypatch.setattr(json, "dumps", json.dumps)
    monkeypatch.chdir(tmp_path)
    helpers, tasks = (importlib.import_module(name) for name in ("helpers_under_test", "tasks_under_test"))
    yield helpers, tasks
    for name in list(sys.modules):
        if name.endswith("_under_test"):
            del sys.modules[name]
    for holder, name in ((pd.DataFrame, "tidy"), (builtins, "FLAG_OF_ALL")):
        if name in vars(holder):
            delattr(holder, name)


def assert_as_walked(tasks: Any) -> None:
    for task, depends_on in ((tasks.task, ("HELIX_TEST_RATE",)), (tasks.listing, ())):
        walked, _ = take(task, depends_on, None)
        assert fingerprint(task, depends_on=depends_on) == walked
        assert fingerprint(task, depends_on=depends_on) == walked


@pytest.mark.parametrize("name", NAMES)
def test_what_is_remembered_is_what_a_walk_gives_after_a_change(
    name: str, program: tuple[Any, Any], tmp_path: Path
) -> None:
    """Each kind of change is made some times, with the fingerprint asked for in between."""
    change = changes(tmp_path)[name]
    for seed in range(6):
        assert_as_walked(program[1])
        change(*program, random.Random(seed))
    assert_as_walked(program[1])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_remembered_is_what_a_walk_gives_after_any_changes(
    seed: int, program: tuple[Any, Any], tmp_path: Path
) -> None:
    """Changes of all kinds are made in any order, some at once; one that cannot be made after another is left out."""
    random_ = random.Random(seed)
    possible = changes(tmp_path)
    for _ in range(40):
        for name in random_.choices(NAMES, k=random_.choice([1, 1, 3])):
            try:
                possible[name](*program, random_)
            except (AttributeError, TypeError):
                continue
        assert_as_walked(program[1])


def test_an_unchanged_program_is_not_walked_again(program: tuple[Any, Any]) -> None:
    """The very object is given back."""
    _, tasks = program
    first = fingerprint(tasks.task)
    assert fingerprint(tasks.task) is first
    tasks.LIMIT = 12
    assert fingerprint(tasks.task) is not first


def test_functions_that_nobody_asks_for_any_more_are_let_go(program: tuple[Any, Any]) -> None:
    tasks = program[1]
    fingerprint(tasks.task)
    made: list[weakref.ref[Any]] = []
    for number in range(1_000):
        of_a_version = eval(f"lambda x: x + {number}", vars(tasks))
        made.append(weakref.ref(of_a_version))
        fingerprint(of_a_version)
        fingerprint(tasks.task)
    del of_a_version
    gc.collect()
    alive = [reference() is not None for reference in made]
    assert not any(alive[:400])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("prefect_helix.core.fingerprint.take", lambda *_: pytest.fail("It was let go."))
        fingerprint(tasks.task)
