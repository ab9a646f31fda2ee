"""Runs versions of a project, each in a process of its own: a fork of one that has imported all but the project.

A program of its own, run by `test_attack`: it reads orders from standard input, a line of JSON each, and
answers each with a line. Its argument says what a task's code is known by.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
from tests.runtime.conftest import Lab, LabTask

from prefect_helix.core.fingerprint import Fingerprint, fingerprint
from prefect_helix.runtime.nodes import TaskSpec
from prefect_helix.runtime.standin import plain
from prefect_helix.storage.files import File

SECONDS = 60


def own_code(fn: Any) -> Fingerprint:
    """A fingerprint that is blind to helpers: what a function does by itself."""
    numbers = [constant for constant in fn.__code__.co_consts if type(constant) is int]
    own = f"{fn.__qualname__} {fn.__code__.co_code.hex()} {numbers}"
    return Fingerprint(hashlib.sha256(own.encode()).hexdigest(), (), ())


def whole_text(fn: Any) -> Fingerprint:
    """A fingerprint that any edit of the project changes."""
    texts = [file.read_bytes() for file in sorted(Path(sys.path[0]).rglob("*.py"))]
    return Fingerprint(hashlib.sha256(b"".join([fn.__qualname__.encode(), *texts])).hexdigest(), (), ())


KNOWN_BY = {"fingerprint": fingerprint, "own_code": own_code, "whole_text": whole_text}


executed: list[list[Any]] = []
project: set[str] = set()


@dataclass
class CodeTask(LabTask):
    """A task that is known by its code, read anew where it may change; notes what its body is given."""

    known_by: Callable[[Any], Fingerprint] = fingerprint
    code: Fingerprint | None = None

    def __post_init__(self) -> None:
        self.source, self.fn = self.fn, self._noted

    def spec(self) -> TaskSpec:
        if self.code is None or self.code.may_change:
            self.code = self.known_by(self.source)
        return TaskSpec(self.name, f"lab:{self.name}", self.fn, self.code, **self.options)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = inspect.signature(self.source).bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def _noted(self, *, args: Any = (), kwargs: Any = MappingProxyType({}), **named: Any) -> Any:
        counts = {name: value for name, value in named.items() if name not in self.options["ignore"]}
        executed.append([self.name, shown([args, dict(kwargs), counts])])
        return self.source(*args, **kwargs, **named)


def shown(value: Any) -> Any:
    """Return a value as JSON that tells every bit of it, and whose class it is."""
    value = plain(value)
    match value:
        case File():
            return ["File", Path(value.path).read_text()]
        case list() | tuple() if type(value) in (list, tuple):
            return [type(value).__name__, *map(shown, value)]
        case dict():
            return ["dict", *([key, shown(each)] for key, each in value.items())]
        case np.ndarray():
            return ["array", str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()[:8]]
        case pd.DataFrame():
            return ["frame", *([name, shown(value[name].to_numpy())] for name in value)]
        case str() if len(value) > 99:
            return ["str", len(value), hashlib.sha256(value.encode()).hexdigest()[:8]]
        case Enum():
            return ["instance", type(value).__name__, repr(value)]
    if isinstance(value, tuple) or is_dataclass(value):
        return ["instance", type(value).__name__, repr(value)]
    if type(value).__module__.rpartition(".")[2] in project:
        return ["object", type(value).__name__, repr(vars(value))]
    if callable(value):
        return ["function", getattr(value, "__name__", repr(type(value)))]
    return [type(value).__name__, repr(value)]


def run(order: dict[str, Any], known_by: Any) -> dict[str, Any]:
    """Run the project in a folder; without a store, plainly."""
    lab = Lab(order["store"])
    workbench = ModuleType("workbench")

    def task(name: str, deterministic: bool = True, lazy: bool = False, ignore: tuple[str, ...] = ()) -> Any:
        def decorate(fn: Any) -> CodeTask:
            options = {"deterministic": deterministic, "lazy": lazy, "ignore": frozenset(ignore)}
            made = lab.tasks[name] = CodeTask(lab, fn, name, options=options, known_by=known_by)
            return made

        return decorate

    vars(workbench).update(task=task, File=File)
    sys.modules["workbench"] = workbench
    sys.path.insert(0, order["folder"])
    project.update(path.stem for path in Path(order["folder"]).rglob("*.py"))
    import pipeline  # noqa: PLC0415 - the project

    if order["store"] is None:
        return {"value": shown(lab.scratch(pipeline.flow, **order["parameters"]))}
    ran = lab.run(pipeline.flow, **order["orders"], **order["parameters"])
    return {"value": shown(ran.value), "executed": executed, "warnings": ran.warnings}


def answer(order: dict[str, Any], known_by: Any) -> str:
    try:
        return json.dumps(run(order, known_by))
    except BaseException:
        return json.dumps({"error": traceback.format_exc()})


def serve(known_by: Any) -> None:
    fingerprint(shown)  # reads the lists of files of installed libraries, once for all
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            signal.alarm(SECONDS)
            text = answer(json.loads(line), known_by)
            with os.fdopen(writer, "w") as pipe:
                pipe.write(text)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            text = pipe.read()
        status = os.waitpid(child, 0)[1]
        print(text or json.dumps({"error": f"its process ended with status {status}"}), flush=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    logging.getLogger("lab").disabled = True
    serve(KNOWN_BY[sys.argv[1]])
