"""The program in each project: one flow that calls the task of every case.

It reads ``cases.json``, the layout of each case, and writes what ran, what came out and what was said to the file that
its argument names. The interpreter itself tells which task bodies it enters, so that the cases need no line for it.
"""

from __future__ import annotations

import inspect
import json
import linecache
import logging
import os
import site
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from prefect_helix import helix_flow

HERE = Path(__file__).parent


class Bodies:
    """Which task bodies the interpreter enters, while it is the interpreter's profile function."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self._names: dict[int, str] = {}
        self._codes: list[CodeType] = []

    def watch(self, name: str, task: Any) -> None:
        """Watch for the body of `task`, below its decorators."""
        code = getattr(inspect.unwrap(task.fn), "__code__", None) or type(task.fn).__call__.__code__
        self._names[id(code)] = name  # equal code of two cases is not the same code
        self._codes.append(code)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            name = self._names.get(id(frame.f_code))
            if name is not None:
                self.entered.append(name)


class Said(logging.Handler):
    """What was logged to the flow run."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def load(slug: str, layout: str) -> dict[str, Any]:
    """Return the globals of a case's code."""
    if layout == "exec":
        namespace: dict[str, Any] = {"__name__": slug}
        exec((HERE / slug / "steps.py").read_text(), namespace)
        return namespace
    if layout in ("script", "cell", "console"):
        namespace = vars(sys.modules["__main__"])
        if layout != "script":
            for number, cell in enumerate((HERE / slug / "steps.py").read_text().split("# %%\n")):
                run_cell(cell, number, layout, namespace)
        return {name: value for name, value in namespace.items() if name != "call"}
    return vars(import_module(f"{slug}.steps"))


def run_cell(cell: str, number: int, layout: str, namespace: dict[str, Any]) -> None:
    """Run a cell as IPython does; a notebook's kernel names its file after the process and the text of the cell."""
    hash_ = zlib.crc32(cell.encode())
    name = f"<ipython-input-{number}-{hash_:x}>"
    if layout == "cell":
        name = f"{tempfile.gettempdir()}/ipykernel_{os.getpid()}/{hash_}.py"
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    exec(compile(cell, name, "exec", dont_inherit=True), namespace)


def main() -> None:
    """Run the flow once."""
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(HERE), *map(str, HERE.glob("*.zip"))]
    site.addsitedir(str(HERE / "installed"))
    bodies, said = Bodies(), Said()
    results: dict[str, str] = {}
    errors: dict[str, str] = {}
    calls: dict[str, Callable[[], object]] = {}
    for slug, layout in json.loads((HERE / "cases.json").read_text()).items():
        try:
            namespace = load(slug, layout)
            task = namespace[f"task_{slug}"]
            bodies.watch(slug, task)
            calls[slug] = namespace.get("call", task)
        except Exception:  # a case that cannot be loaded must not take the others down
            errors[slug] = traceback.format_exc()

    @helix_flow
    def cases() -> None:
        for slug, call in calls.items():
            sys.setprofile(bodies)  # for each call, as the interpreter drops it when a case exhausts the stack
            try:
                results[slug] = repr(call())
            except Exception:
                errors[slug] = traceback.format_exc()
            finally:
                sys.setprofile(None)

    logging.getLogger("prefect.flow_runs").addHandler(said)
    cases()
    told = {"ran": bodies.entered, "results": results, "errors": errors, "said": said.lines}
    Path(sys.argv[1]).write_text(json.dumps(told))
