"""Imports go down only: core, then storage and views, then runtime, then the Prefect layer, then the faces.

Every import counts: in functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "prefect_helix"
ROOT = Path(__file__).parent.parent / PACKAGE
MODULES = sorted(ROOT.rglob("*.py"))


PREFECT_LAYER = (
    "answers archive blocks clones clusters compat difference elsewhere engine flows frames futures helix_run inputs "
    "metrics outlooks preview progress records repeating reporting runners runs settings tasks terminal verifying "
    "visiting workers"
)
PREFECT_AND_BELOW = f"core storage views runtime {PREFECT_LAYER}"

# A room, or one module of it: the other rooms and the libraries it may import, besides the standard library.
LAW = {
    "core": ("", ""),
    "core.digest_writer": ("", "blake3"),
    "core.planner.networkx_flow": ("", "networkx"),
    "core.planner.scipy_flow": ("", "numpy scipy"),
    "storage": ("core", "blake3 cloudpickle fsspec"),
    "storage.compression": ("core", "lz4 zstandard"),
    "storage.codec": ("core", "blake3 cloudpickle numpy"),
    "views": ("core", "networkx"),
    "runtime": ("core storage views", ""),
    **dict.fromkeys(PREFECT_LAYER.split(), (PREFECT_AND_BELOW, "prefect pydantic pydantic_settings")),
    "frames": (PREFECT_AND_BELOW, "pandas"),
    "inputs": (PREFECT_AND_BELOW, "cloudpickle"),
    "progress": (PREFECT_AND_BELOW, "prefect rich"),
    "terminal": ("", ""),
    "web": (f"{PREFECT_AND_BELOW} __init__", "jinja2 starlette uvicorn"),
    "cli": (f"{PREFECT_AND_BELOW} web __init__", "rich typer"),
    "__init__": (PREFECT_AND_BELOW, ""),
}


def module_name(path: Path) -> str:
    """Dotted name below the package; ``__init__`` for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Give the line and the absolute name of everything `source` imports, seen from `package`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outer = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*outer, *filter(None, [node.module])])
            if base == PACKAGE:
                yield from ((node.lineno, f"{PACKAGE}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def room_of(name: str) -> str:
    """Room of an absolute name of this package; a name that is no module belongs to ``__init__``."""
    first = name.split(".")[1] if "." in name else "__init__"
    return first if first in LAW or (ROOT / first).is_dir() or (ROOT / f"{first}.py").is_file() else "__init__"


def violations(name: str, source: str, *, is_package: bool = False) -> list[str]:
    """Say what the module called `name` (below the package) imports against the law."""
    room = name.split(".", maxsplit=1)[0]
    if room not in LAW:
        return [f"{name}: {room!r} has no place in LAW; add it there, in the layer it belongs to"]
    rooms, libraries = LAW.get(name, LAW[room])
    package = PACKAGE if name == "__init__" else f"{PACKAGE}.{name}"
    if not is_package and name != "__init__":
        package = package.rpartition(".")[0]
    found = []
    for line, target in imported(source, package):
        top = target.split(".")[0]
        if top == PACKAGE:
            allowed = room_of(target) in {room, *rooms.split()}
        else:
            allowed = top in sys.stdlib_module_names or top in libraries.split()
        if not allowed:
            found.append(f"{name}:{line}: {room} may not import {target}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down_only(path: Path) -> None:
    assert violations(module_name(path), path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.costs", "import prefect"),
        ("core.costs", "import networkx"),
        ("core.planner", "import networkx"),
        ("core.planner.networkx_flow", "import numpy"),
        ("core.costs", "from prefect_helix.storage import codec"),
        ("core.costs", "from prefect_helix import storage"),
        ("core.costs", "from ..storage import codec"),
        ("core.costs", "def later():\n    import fsspec"),
        ("core.costs", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import prefect_helix.tasks"),
        ("views.svg", "from prefect_helix.storage import store"),
        ("storage.store", "from prefect_helix.views import svg"),
        ("runtime.session", "import fsspec"),
        ("runtime.session", "from prefect import task"),
        ("runtime.session", "from prefect_helix import helix_task"),
        ("tasks", "from prefect_helix.cli import app"),
        ("tasks", "import fsspec"),
        ("cli", "import prefect"),
        ("web", "import prefect"),
        ("web", "import fsspec"),
        ("web", "import cloudpickle"),
        ("web", "from prefect_helix.cli import app"),
        ("attic", "import os"),
    ],
)
def test_a_forbidden_import_is_caught(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "core.planner.networkx_flow",
            "import networkx as nx\nfrom prefect_helix.core import graph\nfrom . import model",
        ),
        ("core.planner.scipy_flow", "import numpy\nimport scipy"),
        ("storage.store", "import fsspec\nfrom ..core.errors import StoreError"),
        ("runtime.session", "from prefect_helix.storage.catalog import Catalog"),
        ("tasks", "from prefect import Task\nfrom prefect_helix.runtime import session"),
        ("cli", "import typer\nfrom prefect_helix import __version__"),
    ],
)
def test_an_import_that_goes_down_is_allowed(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_every_room_of_the_package_has_modules_to_check() -> None:
    assert {module_name(path).split(".")[0] for path in MODULES} >= {"core", "runtime", "storage", "views", "__init__"}
