"""What a dotted name in live code stands for."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from prefect_helix.core.fingerprint.distributions import Origin, owner_of_class, owner_of_module
from prefect_helix.core.fingerprint.form import Chain
from prefect_helix.core.fingerprint.values import PLAIN_TYPES

Slot = tuple[int, str]
"""A place that holds a value: the identity of a namespace, and a name in it."""

_FRAME_CLASSES = {
    "pandas": ("DataFrame", "Series", "Index"),
    "polars": ("DataFrame", "LazyFrame", "Series", "Expr"),
    "xarray": ("Dataset", "DataArray"),
}

MISSING = object()
"""The value of a name that is not bound (yet)."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a dotted name stands for.

    Attributes:
        value: The live object; `MISSING` if the name is not bound.
        slot: Where it is held.
        label: The last name followed.
        rest: Attributes of `value` that were not followed.
        namespace: The module globals that hold it, None for a closure or a default.
    """

    value: object
    slot: Slot
    label: str
    rest: Chain
    namespace: dict[str, Any] | None


def resolve(function: FunctionType, chain: Chain) -> Binding:
    """Return what `chain` stands for in `function`.

    Modules are followed attribute by attribute, other objects are not. Inside a foreign module the chain ends at once,
    unless somebody has put project code there: what is live counts.
    """
    return _follow(_root(function, chain[0]), chain)


def resolve_global(namespace: dict[str, Any], chain: Chain) -> Binding:
    """Return what `chain` stands for in code of the module with globals `namespace`."""
    return _follow(_global(namespace, chain[0]), chain)


def _follow(binding: Binding, chain: Chain) -> Binding:
    foreign: Binding | None = None
    for position, attribute in enumerate(chain[1:], start=1):
        module = binding.value
        if not isinstance(module, ModuleType):
            break
        if foreign is None and owner_of_module(module.__name__) is not Origin.PROJECT:
            foreign = Binding(module, binding.slot, binding.label, chain[position:], binding.namespace)
        namespace = vars(module)
        if attribute not in namespace:
            break
        rest = chain[position + 1 :]
        binding = Binding(namespace[attribute], (id(namespace), attribute), attribute, rest, namespace)
    if foreign is not None and not is_project_code(binding.value):
        return foreign
    return binding


def is_project_code(value: object) -> bool:
    """Return whether `value` is a function or class of the project."""
    if type(value) is FunctionType:
        return owner_of_module(value.__globals__.get("__name__", "")) is Origin.PROJECT
    return isinstance(value, type) and owner_of_class(value) is Origin.PROJECT


def _root(function: FunctionType, name: str) -> Binding:
    code, namespace = function.__code__, function.__globals__
    if name in code.co_freevars and function.__closure__ is not None:
        cell = function.__closure__[code.co_freevars.index(name)]
        try:
            value = cell.cell_contents
        except ValueError:  # not bound yet
            value = MISSING
        return Binding(value, (id(cell), ""), name, (), None)
    return _global(namespace, name)


def _global(namespace: dict[str, Any], name: str) -> Binding:
    for known in (namespace, vars(builtins)):
        if name in known:
            return Binding(known[name], (id(known), name), name, (), known)
    return Binding(MISSING, (id(namespace), name), name, (), namespace)


def written_slot(function: FunctionType, chain: Chain) -> Slot:
    """Return the slot that `function` binds by an assignment to `chain`."""
    if len(chain) == 1:
        return _root(function, chain[0]).slot
    owner = held_value(function, chain[:-1])
    return id(vars(owner)) if isinstance(owner, ModuleType) else id(owner), chain[-1]


def initial_places(function: FunctionType, chain: Chain) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the modules, by their globals, and names whose initial code makes what `function` writes as `chain`."""
    root, owner = chain[0], held_value(function, chain[:-1]) if len(chain) > 1 else None
    default = dict(default_values(function)).get(root)
    if root not in function.__code__.co_varnames or type(default) not in PLAIN_TYPES:
        yield function.__globals__, root
    if isinstance(owner, ModuleType):
        module: ModuleType | None = owner
    else:
        module = sys.modules.get(str(getattr(owner, "__module__", "")))
    if len(chain) > 1 and module is not None and owner_of_module(module.__name__) is Origin.PROJECT:
        yield vars(module), chain[-1]


def held_value(function: FunctionType, chain: Chain) -> object:
    """Return the object that `chain` reaches through modules, classes and instances, `MISSING` if it is not there."""
    defaults = dict(default_values(function))
    value = defaults.get(chain[0], MISSING)
    if value is MISSING:
        value = MISSING if chain[0] in function.__code__.co_varnames else _root(function, chain[0]).value
    for attribute in chain[1:]:
        value = getattr(value, "__dict__", {}).get(attribute, MISSING)
    return value


def default_values(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the parameters of `function` that have defaults, with these, in order."""
    code, defaults = function.__code__, function.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)
    yield from sorted((function.__kwdefaults__ or {}).items())


def is_known(function: FunctionType, callee: Chain | None) -> bool:
    """Return whether `callee` is code that is followed or documented: the project, Python, or ourselves."""
    if callee is None:
        return False
    value = resolve(function, callee).value
    if isinstance(value, ModuleType):
        return isinstance(owner_of_module(value.__name__), Origin)
    if type(value) in (FunctionType, BuiltinFunctionType):
        return isinstance(owner_of_module(getattr(value, "__module__", None) or "builtins"), Origin)
    return isinstance(owner_of_class(value if isinstance(value, type) else type(value)), Origin)


def is_found_by_name(function: FunctionType) -> bool:
    """Return whether `function` is what its module holds under its name."""
    found: object = sys.modules.get(str(function.__globals__.get("__name__", "")))
    for name in function.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found is function


def patched_attribute(name: str) -> object:
    """Return the project code that has been put under `name` into a class of a frame library; None if there is none.

    A task calls it on its arguments (``df.clean()``), so that no name leads there.
    """
    for library, classes in _FRAME_CLASSES.items():
        module = sys.modules.get(library)
        for cls in classes if module is not None else ():
            value = vars(getattr(module, cls, object)).get(name)
            # an accessor of pandas or xarray, a property, a plain function or class
            code = getattr(value, "_accessor", None) or getattr(value, "fget", None) or value
            if is_project_code(code):
                return code
    return None


def module_label(namespace: dict[str, Any]) -> str:
    """Return the name people know a module by: its own, that of its file for ``__main__`` and the like."""
    name = str(namespace.get("__name__", "?"))
    file = namespace.get("__file__")
    return Path(file).stem if name.startswith("__") and isinstance(file, str) else name
