"""What a copy of a function, or of an object, takes from modules by name, in the process that it is sent to.

cloudpickle copies a function that is not found under its name, as that of a task is not, with the values of the globals
that it uses. Functions and classes that are found under theirs are looked up where the copy arrives, and so is what
code reads from modules.
"""

from __future__ import annotations

import functools
import importlib
import io
import sys
from importlib.abc import Loader
from types import BuiltinFunctionType, FunctionType
from typing import Any

import cloudpickle

from prefect_helix.core.fingerprint.distributions import Origin, owner_of_module
from prefect_helix.core.fingerprint.reads import reads_of
from prefect_helix.core.naming import is_script
from prefect_helix.storage.lookup import findable_name

_RUNNING = (Origin.PYTHON, Origin.OURS)
_RESTORING = cloudpickle.Pickler.__module__
"""Where the functions are that put a copy together."""

_LOOKED_UP = (type, FunctionType, BuiltinFunctionType, functools._lru_cache_wrapper)
_COMPILED = frozenset({"cython_function_or_method", "fused_cython_function"})


def taken_by_name(value: object) -> set[str]:
    """Return the names of what a copy of a function, or of an object, has looked up; none if it cannot be copied.

    They are ``module:qualname``, and ``module:`` for a module as a whole. What is Python's own, Prefect's or ours is
    left out, and so is what is in a module that is copied. Complexity: O(objects); the memory of arrays is not read.
    """
    pickler = _Copier(io.BytesIO(), protocol=5, buffer_callback=lambda _: False)
    try:
        pickler.dump(value)
    except Exception:  # then it is not sent, and Prefect tells why
        return set()
    names = {name for name in map(findable_name, pickler.named) if name is not None}
    names.update(name for function in pickler.copied for name in reads_of(function) if not _is_copied(name))
    return {name for name in names if owner_of_module(name.partition(":")[0]) not in _RUNNING}


def _is_copied(name: str) -> bool:
    """Return whether what a function reads from a module comes along with it, since cloudpickle copies the module.

    It does so where nobody could import it, and where somebody has told it to.
    """
    module, _, qualname = name.partition(":")
    parts = module.split(".")
    packages = {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    copied = module not in sys.modules or not packages.isdisjoint(cloudpickle.list_registry_pickle_by_value())
    return bool(qualname) and copied  # a module as a whole may be one that is imported as the function runs


def look_up(name: str) -> object:
    """Return what has a name in this process, its module imported if need be; raises what that raises."""
    module, _, qualname = name.partition(":")
    return functools.reduce(getattr, qualname.split("."), importlib.import_module(module))


class _Copier(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle, which notes which functions it copies, and what it takes by name.

    Attributes:
        copied: The functions.
        named: The functions and classes that have a name, those with a cache in front and compiled ones among them.
    """

    def __init__(self, file: io.BytesIO, **options: Any) -> None:
        super().__init__(file, **options)
        self.copied: list[FunctionType] = []
        self.named: list[Any] = []

    def reducer_override(self, obj: Any) -> Any:
        if issubclass(type(obj), Loader):  # a module that is copied brings along what loaded it: no code of a task
            return object, ()
        reduced = super().reducer_override(obj)
        if reduced is not NotImplemented:
            self.copied += [obj] if isinstance(obj, FunctionType) else []
        elif _is_looked_up(obj):
            self.named.append(obj)
        return reduced


def _is_looked_up(obj: Any) -> bool:
    """Return whether pickle stores no more of an object than its name, which leads to code."""
    if not isinstance(obj, _LOOKED_UP) and type(obj).__name__ not in _COMPILED:
        return False
    return obj.__module__ != _RESTORING and not is_script(obj.__module__)
