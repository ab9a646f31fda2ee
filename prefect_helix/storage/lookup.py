"""Finds classes and functions again by the names that values are stored with."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from prefect_helix.core.naming import is_script, module_name, type_name


class Program:
    """Code that runs: until it has ended, the names of its module are looked up as it has them.

    That matters where it was sent here with copies of the classes that it names, or where a file is loaded twice.

    Args:
        fn: Its main function.
    """

    def __init__(self, fn: Callable[..., object]) -> None:
        names = getattr(inspect.unwrap(fn), "__globals__", {})
        self._module = module_name(names.get("__name__"))
        self._names = _Names(names)
        with _lock:
            _running.setdefault(self._module, []).append(self._names)

    def end(self) -> None:
        """Look its names up in modules again."""
        with _lock:
            _running[self._module].remove(self._names)


class _Names:
    """Globals as attributes: those that are there now."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.__dict__ = names


_lock = threading.Lock()
_running: dict[str, list[_Names]] = {}


def findable_name(code: type | FunctionType) -> str | None:
    """Return a name by which `find` gives this very class or function in processes like this one; None without one."""
    if is_script(code.__module__) and find(type_name(code)) is code:
        return type_name(code)
    own = _attribute(sys.modules.get(str(code.__module__)), code.__qualname__)
    return f"{code.__module__}:{code.__qualname__}" if own is code else None


def find(name: str) -> object:
    """Return what has that name, its module imported if need be; None if it is not to be found.

    What runs as a script is not imported as well. Where two things have the name, nobody knows which of them is meant,
    and none is found.
    """
    module, _, qualname = name.partition(":")
    with _lock:
        running = list(_running.get(module, ()))
    found = {id(one): one for one in (_attribute(one, qualname) for one in running or _known_as(module))}
    found.pop(id(None), None)
    return next(iter(found.values())) if len(found) == 1 else None


def _attribute(owner: object, qualname: str) -> object:
    try:
        return functools.reduce(getattr, qualname.split("."), owner)
    except (AttributeError, ImportError):
        return None


def _known_as(name: str) -> list[ModuleType]:
    """Return the modules of that name: an imported one, and scripts."""
    scripts = [script for script in _scripts(*_extent()) if script != name]
    loaded = [sys.modules[one] for one in (name, *scripts) if one in sys.modules and module_name(one) == name]
    if not loaded:
        with contextlib.suppress(ImportError):
            return [importlib.import_module(name)]
    return loaded


def _extent() -> tuple[int, str]:
    """Return how many modules are loaded, and the newest; asked for each name that is looked up."""
    while True:
        with contextlib.suppress(RuntimeError):  # another thread has imported one just now
            return len(sys.modules), next(reversed(sys.modules))


@functools.lru_cache(maxsize=1)
def _scripts(count: int, newest: str) -> tuple[str, ...]:
    """Return the names of loaded scripts; they are looked for anew when the number of modules or the newest changes."""
    return tuple(name for name in list(sys.modules) if is_script(name))
