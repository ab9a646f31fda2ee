"""What a dotted name in live code stands for."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from prefect_helix.core.fingerprint.distributions import Origin
from prefect_helix.core.fingerprint.form import Chain, Imported
from prefect_helix.core.fingerprint.live import MISSING, Live
from prefect_helix.core.fingerprint.values import PLAIN_TYPES, has_no_content

Slot = tuple[int, str]
"""A place that holds a value: the identity of a namespace, and a name in it."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")

_FRAME_CLASSES = {
    "pandas": ("DataFrame", "Series", "Index"),
    "polars": ("DataFrame", "LazyFrame", "Series", "Expr"),
    "xarray": ("Dataset", "DataArray"),
}
_ACCESSORS = ("_accessor", "_ns")
"""Where accessors of pandas and xarray, and namespaces of polars, have the class that they give access to."""

_WRAPPED = ("fget", "func", "__func__", "__wrapped__")
"""Where descriptors and wrappers have what they stand for."""

_MOST_WRAPPERS = 4
_KNOWN = (Origin.PYTHON, Origin.OURS)


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


def resolve(live: Live, function: FunctionType, chain: Chain) -> Binding:
    """Return what `chain` stands for in `function`.

    Modules are followed attribute by attribute, other objects are not. Inside a foreign module the chain ends at once,
    unless somebody has put project code there: what is live counts.
    """
    return _follow(live, _root(live, function, chain[0]), chain)


def resolve_global(live: Live, namespace: dict[str, Any], chain: Chain) -> Binding:
    """Return what `chain` stands for in code of the module with globals `namespace`."""
    return _follow(live, _global(live, namespace, chain[0]), chain)


def _follow(live: Live, root: Binding, chain: Chain) -> Binding:
    foreign: Binding | None = None
    binding = replace(root, rest=chain[1:])
    for position, attribute in enumerate(chain[1:], start=1):
        module = binding.value
        if not isinstance(module, ModuleType):
            break
        if foreign is None and live.owner_of_namespace(vars(module)) is not Origin.PROJECT:
            foreign = Binding(module, binding.slot, binding.label, chain[position:], binding.namespace)
        namespace = vars(module)
        value = live.item(namespace, attribute)
        if value is MISSING:
            break
        rest = chain[position + 1 :]
        binding = Binding(value, (id(namespace), attribute), attribute, rest, namespace)
    if foreign is not None and not is_project_code(live, binding.value):
        return foreign
    return binding


def asked_for(live: Live, bindings: Iterable[Binding]) -> Iterator[Imported]:
    """Yield what is asked of packages of the project that do not hold it: submodules that they load when asked."""
    for binding in bindings:
        module: object = binding.value
        if binding.rest and isinstance(module, ModuleType) and is_project_module(live, module):
            names = tuple(".".join(binding.rest[:depth]) for depth in range(1, len(binding.rest) + 1))
            yield Imported(module.__name__, 0, names)


def is_project_code(live: Live, value: object) -> bool:
    """Return whether `value` is a function or class of the project."""
    if type(value) is FunctionType:
        return live.owner_of_namespace(value.__globals__) is Origin.PROJECT
    return isinstance(value, type) and live.owner_of_class(value) is Origin.PROJECT


def _root(live: Live, function: FunctionType, name: str) -> Binding:
    code, namespace = function.__code__, function.__globals__
    if name in code.co_freevars and function.__closure__ is not None:
        cell = function.__closure__[code.co_freevars.index(name)]
        return Binding(live.cell(cell), (id(cell), ""), name, (), None)
    return _global(live, namespace, name)


def _global(live: Live, namespace: dict[str, Any], name: str) -> Binding:
    for known in (namespace, vars(builtins)):
        value = live.item(known, name)
        if value is not MISSING:
            return Binding(value, (id(known), name), name, (), known)
    return Binding(MISSING, (id(namespace), name), name, (), namespace)


def written_slot(live: Live, function: FunctionType, chain: Chain) -> Slot:
    """Return the slot that `function` binds by an assignment to `chain`."""
    if len(chain) == 1:
        return _root(live, function, chain[0]).slot
    owner = held_value(live, function, chain[:-1])
    return id(vars(owner)) if isinstance(owner, ModuleType) else id(owner), chain[-1]


def initial_places(live: Live, function: FunctionType, chain: Chain) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the modules, by their globals, and names whose initial code makes what `function` writes as `chain`."""
    root, owner = chain[0], held_value(live, function, chain[:-1]) if len(chain) > 1 else None
    default = dict(default_values(function)).get(root)
    if root not in function.__code__.co_varnames or type(default) not in PLAIN_TYPES:
        yield function.__globals__, root
    if isinstance(owner, ModuleType):
        module: ModuleType = owner
    else:
        module = live.item(sys.modules, live.repeat(_module_of, owner))
    if len(chain) > 1 and isinstance(module, ModuleType) and is_project_module(live, module):
        yield vars(module), chain[-1]


def _module_of(value: object) -> str:
    return str(getattr(value, "__module__", ""))


def is_project_module(live: Live, module: ModuleType) -> bool:
    """Return whether `module` is of the project."""
    return live.owner_of_namespace(vars(module)) is Origin.PROJECT


def held_value(live: Live, function: FunctionType, chain: Chain) -> object:
    """Return the object that `chain` reaches through modules, classes and instances, `MISSING` if it is not there."""
    defaults = dict(default_values(function))
    value = defaults.get(chain[0], MISSING)
    if value is MISSING:
        value = MISSING if chain[0] in function.__code__.co_varnames else _root(live, function, chain[0]).value
    return live.repeat(_attribute_held, value, chain[1:]) if len(chain) > 1 else value


def _attribute_held(value: object, attributes: Chain) -> object:
    for attribute in attributes:
        value = getattr(value, "__dict__", {}).get(attribute, MISSING)
    return value


def default_values(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the parameters of `function` that have defaults, with these, in order."""
    code, defaults = function.__code__, function.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)
    yield from sorted((function.__kwdefaults__ or {}).items())


def is_known(live: Live, function: FunctionType, callee: Chain | None) -> bool:
    """Return whether `callee` is code of Python or of ours, which reads no docstrings and gives nothing on."""
    if callee is None:
        return False
    value = resolve(live, function, callee).value
    if isinstance(value, ModuleType):
        return live.owner_of_namespace(vars(value)) in _KNOWN
    if type(value) in (FunctionType, BuiltinFunctionType):
        live.attribute(value, "__module__")
        return live.owner(getattr(value, "__module__", None) or "builtins") in _KNOWN
    return live.owner_of_class(value if isinstance(value, type) else live.repeat(type, value)) in _KNOWN


def is_found_by_name(function: FunctionType) -> bool:
    """Return whether `function` is what its module holds under its name."""
    found: object = sys.modules.get(str(function.__globals__.get("__name__", "")))
    for name in function.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found is function


class FrameClasses:
    """The classes of the frame libraries that are loaded, into which the project may have put code.

    A task calls it on its arguments (``df.clean()``), so that no name leads there.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        modules = [(live.item(sys.modules, library), classes) for library, classes in _FRAME_CLASSES.items()]
        loaded = [(module, name) for module, names in modules if module is not MISSING for name in names]
        self._members = [vars(live.repeat(getattr, module, name, object)) for module, name in loaded]
        self._known: dict[str, list[object]] = {}

    def patched(self, name: str) -> list[object]:
        """Return what has been put under `name` into the classes and has code of the project in it."""
        if name not in self._known:
            values = [self._live.item(members, name) for members in self._members]
            found = [self._made_accessible(value) for value in values if value is not MISSING]
            self._known[name] = [value for value in found if self._has_project_code(value)]
        return self._known[name]

    def _made_accessible(self, value: object) -> object:
        for name in _ACCESSORS:
            accessor = getattr(value, name, None)
            if isinstance(accessor, type):
                self._live.attribute(value, name)
                return accessor
        return value

    def _has_project_code(self, value: object) -> bool:
        layer = [value]
        for _ in range(_MOST_WRAPPERS):
            if any(is_project_code(self._live, code) for each in layer for code in (each, type(each))):
                return True
            layer = [held for each in layer for held in self._wrapped(each)]
        return False

    def _wrapped(self, value: object) -> list[object]:
        if isinstance(value, type) or has_no_content(value):
            return []
        names = [name for name in _WRAPPED if getattr(value, name, None) is not None]
        for name in names:
            self._live.attribute(value, name)
        return [getattr(value, name) for name in names]


def module_label(live: Live, namespace: dict[str, Any]) -> str:
    """Return the name people know a module by: its own, that of its file for ``__main__`` and the like."""
    name, file = live.item(namespace, "__name__"), live.item(namespace, "__file__")
    name = "?" if name is MISSING else str(name)
    return Path(file).stem if name.startswith("__") and isinstance(file, str) else name


def names_among(namespace: dict[str, Any], names: set[str]) -> list[str]:
    """Return those of some names that a namespace has, sorted."""
    return sorted(names & namespace.keys())


def docstring(function: FunctionType) -> str:
    """Return the docstring of a function as text; it may have been set after the function was made."""
    return without_addresses(repr(function.__doc__))


def documentation(function: FunctionType) -> str:
    """Return the docstring and the annotations of a function as text."""
    return docstring(function) + without_addresses(f"{sorted(map(str, annotations_of(function)))!r}")


def without_addresses(text: str) -> str:
    """Return `text` without where objects are in memory, as their default `repr` has it: in each process elsewhere."""
    return _ADDRESS.sub("", text)


def annotations_of(value: object) -> list[tuple[str, object]]:
    """Return the annotations of a function, or of a class itself, in order; none if they cannot be evaluated."""
    try:
        found = vars(value).get("__annotations__", {}) if isinstance(value, type) else value.__annotations__
        return list(found.items())
    except Exception:  # of what a checker of types alone knows
        return []


def chains_in(text: str) -> Iterator[Chain]:
    """Yield the dotted names in an annotation that is text."""
    yield from (tuple(name.split(".")) for name in dict.fromkeys(_DOTTED.findall(text)))
