"""Finds classes and functions again by the names that values are stored with."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from types import FunctionType, ModuleType
from typing import Any, cast

from prefect_helix.core.naming import is_script, module_name, type_name


def findable_name(code: type | FunctionType) -> str | None:
    """Return a name by which `find` gives this very class or function in processes like this one; None without one."""
    if is_script(code.__module__) and find(type_name(code)) is code:
        return type_name(code)
    own = _attribute(sys.modules.get(str(code.__module__)), code.__qualname__)
    return f"{code.__module__}:{code.__qualname__}" if own is code else None


def find(name: str) -> object:
    """Return what has that name, its module imported if need be; None if it is not to be found.

    What runs as a script is not imported as well. Where a file is loaded twice, nobody knows which of two classes is
    meant, and none is found.
    """
    module, _, qualname = name.partition(":")
    found = {id(one): one for one in (_attribute(one, qualname) for one in _known_as(module)) if one is not None}
    return next(iter(found.values())) if len(found) == 1 else None


def _attribute(module: ModuleType | None, qualname: str) -> object:
    try:
        return functools.reduce(getattr, qualname.split("."), cast("Any", module))
    except (AttributeError, ImportError):
        return None


def _known_as(name: str) -> list[ModuleType]:
    """Return the modules of that name: an imported one, and scripts."""
    scripts = [script for script in _scripts(len(sys.modules), next(reversed(sys.modules))) if script != name]
    loaded = [sys.modules[one] for one in (name, *scripts) if one in sys.modules and module_name(one) in (one, name)]
    if not loaded:
        with contextlib.suppress(ImportError):
            return [importlib.import_module(name)]
    return loaded


@functools.lru_cache(maxsize=1)
def _scripts(count: int, newest: str) -> tuple[str, ...]:
    """Return the names of loaded scripts; they are looked for anew when the number of modules or the newest changes."""
    return tuple(name for name in list(sys.modules) if is_script(name))
