"""Runs a flow without Prefect and without reuse: every task is a plain function, called at once and timed.

    python -m benchmarks.workloads.plain mnist '{"blocks": 4}' [FOLDER]

That is what a flow's bodies take by themselves, and what its result has to be.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

FLOWS = Path(__file__).parents[2] / "flows"


@dataclass
class Step:
    """One call of a task."""

    task: str
    seconds: float


@dataclass
class Played:
    """What a flow gave, and the calls it was made of."""

    result: Any
    seconds: float
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class PlainFile:
    """A file argument that is only read."""

    path: str

    def open(self, mode: str = "rb") -> Any:
        """Open the file."""
        return fsspec.open(self.path, mode).open()


@dataclass(frozen=True)
class Future:
    """What `submit` gives back: the task has run already."""

    value: Any

    def result(self) -> Any:
        """Return what the task returned."""
        return self.value


def _settled(argument: Any) -> Any:
    """Return an argument with futures, also those in lists, tuples and dicts, replaced by what they stand for."""
    if isinstance(argument, Future):
        return argument.value
    if isinstance(argument, (list, tuple)):
        return type(argument)(map(_settled, argument))
    if isinstance(argument, dict):
        return {name: _settled(value) for name, value in argument.items()}
    return argument


Calling = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""Calls a task's function with the arguments that it is given, by whatever way."""


def stand_in(calling: Calling) -> types.ModuleType:
    """Make a module that stands in for `prefect_helix` and calls tasks, at once, by `calling`."""

    def helix_task(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        if fn is None:
            return functools.partial(helix_task, **options)

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            return calling(fn, _settled(args), _settled(kwargs))

        call.fn = fn  # type: ignore[attr-defined]
        call.submit = lambda *args, **kwargs: Future(call(*args, **kwargs))  # type: ignore[attr-defined]
        return call

    def helix_flow(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        if fn is None:
            return functools.partial(helix_flow, **options)
        fn.fn = fn  # type: ignore[attr-defined]
        return fn

    module = types.ModuleType("prefect_helix")
    module.__dict__.update(helix_task=helix_task, helix_flow=helix_flow, File=PlainFile)
    return module


@contextlib.contextmanager
def _importing(folder: Path, standing_in: types.ModuleType) -> Iterator[None]:
    """Import modules from `folder` and the stand-in; afterwards, what was imported before is there again."""
    modules, path, no_bytecode = dict(sys.modules), list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # an edit within a second of the last, and of the same length, would not be seen
    for name in [name for name in modules if name.split(".")[0] == "prefect_helix" or (folder / f"{name}.py").exists()]:
        del sys.modules[name]
    sys.modules["prefect_helix"] = standing_in
    importlib.invalidate_caches()
    try:
        yield
    finally:
        of_folder = [name for name, module in sys.modules.items() if _lies_in(module, folder)]
        for name in [*of_folder, "prefect_helix"]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in modules.items() if name not in sys.modules})
        sys.path[:], sys.dont_write_bytecode = path, no_bytecode


def _lies_in(module: types.ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).parent == folder


def play_in(standing_in: types.ModuleType, flow: str, parameters: Mapping[str, Any], folder: Path) -> tuple[Any, float]:
    """Run the flow of that name, as it is in `folder`, in this process, with another `prefect_helix`.

    Return what it gave, and the seconds.
    """
    with _importing(folder, standing_in):
        body = getattr(importlib.import_module(flow), flow)
        started = time.perf_counter()
        result = body(**parameters)
        return result, time.perf_counter() - started


def play_by(calling: Calling, flow: str, parameters: Mapping[str, Any], folder: Path = FLOWS) -> tuple[Any, float]:
    """Run the flow of that name, as it is in `folder`, in this process; return what it gave, and the seconds."""
    return play_in(stand_in(calling), flow, parameters, folder)


def play(flow: str, parameters: Mapping[str, Any], folder: Path = FLOWS) -> Played:
    """Run the flow of that name, as it is in `folder`, in this process."""
    steps: list[Step] = []

    def timed(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        started = time.perf_counter()
        result = fn(*args, **kwargs)
        steps.append(Step(fn.__name__, time.perf_counter() - started))
        return result

    return Played(*play_by(timed, flow, parameters, folder), steps)


def main() -> None:
    """Play a flow and print what it took, by task, and what it gave."""
    parser = argparse.ArgumentParser(description="Run a flow without Prefect.")
    parser.add_argument("flow")
    parser.add_argument("parameters", nargs="?", type=json.loads, default={}, help="as JSON")
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWS, help="where the flow is")
    options = parser.parse_args()
    played = play(options.flow, options.parameters, options.folder)
    of_task: dict[str, list[float]] = {}
    for step in played.steps:
        of_task.setdefault(step.task, []).append(step.seconds)
    for task, seconds in of_task.items():
        print(f"{task:>20} {len(seconds):4} calls {sum(seconds):8.2f} s")
    print(f"{'in all':>20} {len(played.steps):4} calls {played.seconds:8.2f} s")
    print(played.result)


if __name__ == "__main__":
    main()
