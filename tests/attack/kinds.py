"""What random programs are made of: each kind of definition as a template of its source.

They are in ``kinds.txt``, in groups. A line ``== kind (roles) <- needs => use`` begins a kind. ``roles``: what
it can be where another kind needs something. ``needs``: roles of what it uses as its module is imported. ``use``: how a
number is had from it, an expression of its name ``r`` and a number ``x``; whatever is callable is called.

In a template, ``{n[0]}`` is a number that an edit may change, ``{at[0]}`` something that it needs, ``{calls}`` what it
adds from other definitions, given ``x``; ``{local}``, ``{doc}``, ``{ann}`` and ``{ret}`` are looks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HEADER = """\
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache, partial, reduce, singledispatch, wraps
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from workbench import File, change, fail_at_first, place, task
"""

_TITLE = re.compile(r"(\w+)(?: \((.*?)\))?(?: <- (.*?))?(?: => (.*))?")


@dataclass(frozen=True)
class Kind:
    """A kind of definition.

    Attributes:
        source: Its template.
        use: How a number is had from it; empty if it cannot.
        roles: What it can be where another kind needs something.
        needs: Roles of what it uses as its module is imported.
    """

    source: str
    use: str = ""
    roles: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def numbers(self) -> int:
        return sum(f"{{n[{i}]}}" in self.source for i in range(9))

    @property
    def calls(self) -> bool:
        return "{calls}" in self.source

    @property
    def inside(self) -> bool:
        return "{inside}" in self.source


def _parse(table: str) -> dict[str, Kind]:
    kinds = {}
    for block in table.split("\n== ")[1:]:
        title, _, source = block.partition("\n")
        found = _TITLE.fullmatch(title)
        assert found is not None, title
        name, roles, needs, use = found.groups("")
        kinds[name] = Kind(
            source.strip("\n"),
            use or ("{r}({x})" if "callable" in roles else ""),
            tuple(roles.split(", ")) if roles else (),
            tuple(needs.split(", ")) if needs else (),
        )
    return kinds


_text = Path(__file__).with_suffix(".txt").read_text()
_tables = {table.split("\n")[0]: _parse(table) for table in ("\n" + _text).split("\n-- ")[1:]}

_TASK = """\
@task("{name}"{options})
def {name}(a, b={n[0]}, quiet=True)RETURNS:{doc}
    x = {at[0]}(a) + b
    {local} = (x * {n[1]}{calls}) % 997
    return RESULT
"""


def _task(result: str, *needs: str, returns: str = "") -> Kind:
    return Kind(_TASK.replace("RESULT", result).replace("RETURNS", returns), needs=("num", *needs))


TASKS = {
    "task": _task("{local}"),
    "task_coarse": _task("{local} % {n[2]}"),
    "task_list": _task("[{local}, {local} + 1]"),
    "task_dict": _task('{{"m": {local}, "n": {n[2]}}}'),
    "task_text": _task('"ab" * ({local} % {n[2]} * 50_000)'),
    "task_array": _task("np.full(20_000, {local})"),
    "task_backwards": _task("np.sin(np.arange(20_000) + {local})[::-1]"),
    "task_matrix": _task("np.asfortranarray(np.outer(np.arange(150.0), np.arange(150.0) + {local}) / 7)"),
    "task_frame": _task('pd.DataFrame({{"x": np.arange(20_000) + {local}}})', returns=" -> pd.DataFrame"),
    "task_pair": _task("(np.full(20_000, {local}), np.arange(20_000) + {n[2]})"),
    "task_nested": _task('{{"m": [np.full(20_000, {local}), {n[2]}], "n": ({local}, np.arange(20_000))}}'),
    "task_record": _task("{at[1]}({local})", "record"),
    "task_member": _task("{at[1]}.HIGH if {local} % 2 else {at[1]}.LOW", "enum"),
    "task_object": _task("{at[1]}({local})", "class"),
    **_tables["tasks"],
}

UNTIMELY = ("task_failing", "task_flaky", "task_changing", "task_same", "task_writing")
"""Of these it matters when they run: they are never lazy."""

SHARING = ("task_changing", "task_same")
"""These may leave two variables of the flow with one object."""

FUNCTIONS, CLASSES, CONSTANTS = _tables["functions"], _tables["classes"], _tables["constants"]
KINDS = {**FUNCTIONS, **CLASSES, **CONSTANTS, **TASKS}
