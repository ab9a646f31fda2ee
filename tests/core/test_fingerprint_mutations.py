"""Any single piece of a task's code, changed alone, changes its fingerprint: nothing that is written is overlooked.

The rules of what counts are in `test_fingerprint_edits`, edit by edit. Here the edits are made by machine: every name,
attribute, operator, constant, argument and statement of a specimen is replaced or left out, one at a time.
"""

from __future__ import annotations

import ast
import copy
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from prefect_helix.core.fingerprint import fingerprint

PACKAGE = """
@ pkg/__init__.py
from .registry import REGISTRY, register
from .models import *
from . import effects
@ pkg/registry.py
REGISTRY = {}
LABELS = []
def register(name, scale, *, label="none"):
    def add(cls):
        REGISTRY[name] = (cls, scale)
        LABELS.append(label)
        return cls
    return add
def find(name): return REGISTRY[name]
@ pkg/base.py
class Base:
    kinds = {}
    rate = 0.5
    def __init_subclass__(cls, kind=None, **rest):
        super().__init_subclass__(**rest)
        Base.kinds[kind] = cls
    def __init__(self, depth=3): self.depth = depth
    def fit(self, x): return self.step(x) * self.rate
    def step(self, x): return x
@ pkg/models.py
from .base import Base
from .registry import register
from . import config
import numpy as np
__all__ = ["Linear", "Tree"]
@register("linear", 2, label="plain")
class Linear(Base, kind="l"):
    def step(self, x): return np.mean(x) + config.DEFAULTS["bias"]
@register("tree", 3, label="deep")
class Tree(Base, kind="t"):
    rate = config.SETTINGS.rate
    def step(self, x): return [self.depth, helper(x)]
def helper(x): return x - config.SETTINGS.limits[1]
@ pkg/config.py
from pydantic import BaseModel
DEFAULTS = {"bias": 1.5, "names": ["a", "b"]}
class Settings(BaseModel):
    rate: float = 0.25
    limits: tuple = (1, 2)
SETTINGS = Settings(rate=0.75)
@ pkg/effects.py
from .registry import register
@register("late", 5, label="side")
def late(x): return x // 2
@ pkg/lazy.py
from .config import DEFAULTS
def half(x): return x / len(DEFAULTS["names"])
@ project.py
import pkg
from pkg.registry import find, LABELS
from pkg.base import Base
from pkg import models as m
def task(name, x):
    cls, scale = find(name)
    from pkg.lazy import half
    other = Base.kinds["t"](depth=4)
    return cls().fit(x) * scale, half(x), other.fit(x), m.helper(x), LABELS, pkg.Tree
"""

SPECIMENS = {
    "a package": PACKAGE,
    "names and attributes": """
import enum, math, types
import numpy as np
from collections import OrderedDict
class Metric(enum.Enum):
    RMSE = 1
    MAE = 2
class Base:
    scale = 2
    def shift(self, by): return by + self.scale
class Model(Base):
    rate = 0.5
    names = ("a", "b")
    def fit(self, x, *, tol=1e-3): return super().shift(x) * self.rate + tol
    @property
    def size(self): return len(self.names)
    @classmethod
    def load(cls, path): return cls()
    @staticmethod
    def clip(x, low=0): return max(x, low)
class Deep:
    gamma = 2
    delta = 3
settings = types.SimpleNamespace(beta=Deep())
settings.alpha = 1
TABLE = {"first": math.sqrt, "second": [1, {2: "two"}]}
FACTOR = 3
OFFSET = 4
def helper(x, y=2, *rest, z=1, **more): return x * FACTOR - y + z
def task(x, y):
    model = Model()
    a = model.fit(x, tol=settings.alpha)
    b = settings.beta.gamma + settings.beta.delta
    c = helper(a, b, 7, z=OFFSET, extra=model.size)
    d = TABLE["first"](c) + TABLE["second"][0]
    e = np.linalg.norm(x) + np.array([1, 2]).sum() + math.floor(y)
    best = Metric.RMSE if Metric.MAE.value > d else Metric["MAE"]
    f = OrderedDict(x=e).get("x", best)
    return Model.load("p").rate, Model.clip(f), sorted(y, key=str.lower), isinstance(x, (int, Base)), best.name
""",
    "statements": """
import contextlib, time
LIMIT = 10
OTHER = 11
def first(x): return x + 1
def second(x): return x - 1
@contextlib.contextmanager
def opened(x):
    yield x
def task(x, y):
    total = 0
    count: int = 1
    for i, j in zip(x, y):
        if i > LIMIT and j < OTHER or not i:
            total += i
            continue
        elif i == j:
            break
        total -= j ** 2
    else:
        count = 2
    while count < LIMIT:
        count += 1
    try:
        value = first(total)
    except (ValueError, KeyError) as error:
        value = str(error)
    except TypeError:
        raise RuntimeError("bad") from None
    else:
        value = second(value)
    finally:
        count = -count
    with opened(x) as a, opened(y) as b:
        value = a, b
    assert total >= 0, "negative"
    del count
    global STATE
    def inner(k):
        nonlocal total
        total = k
        return first(k)
    pick = lambda k, m=2: k % m
    import json as j2
    from math import floor as low, ceil
    count = low(j2.loads(ceil(total)))
    x[0], y[1:2:3] = total, value
    x.size = inner(3)
    pass
    return pick(total), value if total is None else x is not y, total in y, not total
""",
    "expressions": """
import numpy as np
SCALE = 2
SHIFT = 3
def f(x, *args, **kwargs): return x
def g(x): return -x
def task(x, y, z):
    a = [f(i) + SCALE for i in x if i % 2 if i > 1 for k in y]
    b = {f(i): g(i) for i in x if i}
    c = {g(i) for i in y}
    d = sum(f(i) for i in x)
    e = f(*x, *y, **z, one=1, **{"two": 2})
    h = f"{a!r:>{SCALE}} and {b} {c:.2f}"
    i = (n := len(x)) + n
    j = x[1:, ::2], y[-1], z[...]
    k = x < y <= SCALE != SHIFT
    m = x @ y + ~SCALE - +SHIFT // 2 << 1 >> 2 | 4 & 5 ^ 6
    n2 = 1, 1.5, 2j, "s", b"s", True, None, ()
    o = [*x, 1], {**z, "k": SHIFT}, (*y,), {*x}
    p = (lambda q, /, r, *s, t=SCALE, **u: q + t)(1, 2)
    return a, b, c, d, e, h, i, j, k, m, n2, o, p
""",
    "patterns": """
import enum
from dataclasses import dataclass
class Kind(enum.Enum):
    A = "a"
    B = "b"
@dataclass
class Point:
    x: int
    y: int = 0
def f(x): return x
def task(value):
    match value:
        case Kind.A: return f(1)
        case Point(x=0, y=other) if other > 2: return other
        case Point(1, 2): return 3
        case [first, *rest]: return first, rest
        case {"k": found, **more}: return found, more
        case "text" | 5 | None: return 6
        case (1 | 2) as number: return number
        case _: return 7
""",
    "async and generators": """
import asyncio
PAUSE = 1
OTHER = 2
def g(n):
    got = yield n
    yield from range(got)
async def numbers(n):
    for i in range(n):
        yield i
async def work(x):
    async with asyncio.Lock() as lock:
        await asyncio.sleep(PAUSE)
    async for i in numbers(x):
        x += i
    return [i async for i in numbers(OTHER)], lock
def task(x):
    return asyncio.run(work(x)), list(g(x))
""",
    "decorators and state": """
import functools
from dataclasses import dataclass, field
MEMO = {"start": 1}
SEEN = []
def scaled(by, offset):
    def decorate(fn):
        @functools.wraps(fn)
        def wrapped(*args): return fn(*args) * by + offset
        return wrapped
    return decorate
@scaled(3, offset=1)
def h(x): return x
@functools.singledispatch
def show(x): return "any"
@show.register
def show_int(x: int): return "int"
@dataclass(frozen=True)
class Config:
    depth: int = 3
    names: list = field(default_factory=lambda: ["a"])
CONFIG = Config(depth=4)
part = functools.partial(h, 2)
def make(k):
    def run(x, by=CONFIG.depth): return x + k + by
    return run
run = make(5)
def task(x, options=MEMO):
    options["x"] = x
    SEEN.append(x)
    return run(x), part(), show(x), CONFIG.names, Config(depth=1).depth
""",
}

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.MatMult: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitXor, ast.BitXor: ast.BitOr, ast.And: ast.Or, ast.Or: ast.And,
    ast.Not: ast.USub, ast.USub: ast.UAdd, ast.UAdd: ast.USub, ast.Invert: ast.USub, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
OTHER_NAMES = 3
NO_CODE = {"annotation", "returns", "type_comment", "ctx", "kind", "simple", "type_ignores"}
"""Fields without effect, or of which `test_fingerprint_edits` says when they have one."""


def mutants(files: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what was changed in words, and the files with that change, for each single change."""
    for file, source in files.items():
        for what, changed in _mutants_of_one(source):
            yield f"{file}: {what}", {**files, file: changed}


def _mutants_of_one(source: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse(source)
    nodes = [*_walk(tree)]
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]  # count by what is read
    aliases = [alias for node in imports for alias in node.names]
    names = sorted({node.id for node in nodes if isinstance(node, ast.Name)})
    original = ast.unparse(tree)
    for number, node in enumerate(nodes):
        for name, old in ast.iter_fields(node):
            if name in NO_CODE or node in imports or node in aliases:
                continue
            for what, new in _changes(node, name, old, names):
                changed = copy.deepcopy(tree)
                setattr([*_walk(changed)][number], name, new)
                try:
                    text = ast.unparse(ast.fix_missing_locations(changed))
                    compile(text, "mutant", "exec")
                except (SyntaxError, ValueError, AttributeError, TypeError):  # no code
                    continue
                if text != original:
                    yield f"{type(node).__name__}.{name} in line {getattr(node, 'lineno', 0)}: {what}", text


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree but for annotations, in one order."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in NO_CODE:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.AST):
                    yield from _walk(part)


def _changes(node: ast.AST, name: str, old: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    match old:
        case str() if isinstance(node, ast.Name):
            place = names.index(old)
            others = [*names[place + 1 :], *names[:place]]
            yield from ((f"{old} is {other}", other) for other in others[:OTHER_NAMES])
        case str() if isinstance(node, ast.Constant):
            yield f"{old!r}", f"{old}_"
        case str():
            yield old, f"{old}_"
        case bool():
            yield f"{old}", not old
        case int():
            yield f"{old}", old + 1
            yield f"{old} as a float", old + 0.0
        case float() | complex():
            yield f"{old}", old + 1
        case bytes():
            yield f"{old!r}", old + b"_"
        case ast.AST() if type(old) in SWAPPED:
            yield type(old).__name__, SWAPPED[type(old)]()
        case ast.expr() if not isinstance(old, ast.Constant):
            yield f"{ast.unparse(old)} is None", ast.Constant(None)
        case list() if not isinstance(node, ast.Module):
            for index, part in enumerate(old):
                if isinstance(part, str):
                    yield part, [*old[:index], f"{part}_", *old[index + 1 :]]
                elif type(part) in SWAPPED:
                    yield type(part).__name__, [*old[:index], SWAPPED[type(part)](), *old[index + 1 :]]
                rest = [*old[:index], *old[index + 1 :]]
                yield f"without number {index}", rest or [ast.Pass()] if isinstance(part, ast.stmt) else rest
                if index and not isinstance(node, ast.ClassDef):
                    swapped = [*old[: index - 1], part, old[index - 1], *old[index + 1 :]]
                    yield f"numbers {index - 1} and {index} in the other order", swapped


@pytest.mark.parametrize("specimen", SPECIMENS.values(), ids=SPECIMENS)
def test_every_piece_of_code_counts(specimen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    files = _files(specimen)
    base = _hash(files, tmp_path / "base")
    assert base is not None
    unparsed = {file: ast.unparse(ast.parse(source)) for file, source in files.items()}
    assert base == _hash(unparsed, tmp_path / "again")
    tried, overlooked = 0, []
    for number, (what, changed) in enumerate(mutants(files)):
        found = _hash(changed, tmp_path / str(number))
        if found is not None:
            tried += 1
            overlooked += [what] if found == base else []
    assert overlooked == []
    assert tried > 50


def _files(specimen: str) -> dict[str, str]:
    """Read a specimen: the source of `project.py`, or files that each begin with ``@ name``."""
    parts = [part.split("\n", 1) for part in f"\n{specimen}".split("\n@ ")[1:] if ".py\n" in part]
    return dict(parts) or {"project.py": specimen}


def _hash(files: Mapping[str, str], folder: Path) -> str | None:
    """Return the hash of the task of `project.py`; None if that cannot be imported."""
    for file, source in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(source)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    _forget()  # another test may have left one
    try:
        return fingerprint(importlib.import_module("project").task).hash
    except Exception:  # the change makes no sense
        return None
    finally:
        sys.path.remove(str(folder))
        _forget()


def _forget() -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in ("project", "pkg"):
            del sys.modules[name]
