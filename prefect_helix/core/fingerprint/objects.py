"""What live objects other than functions are made of: classes, containers, instances, modules."""

from __future__ import annotations

import sys
from _abc import _get_dump  # type: ignore[import-not-found]  # nothing else tells what is registered
from types import FunctionType, ModuleType
from typing import Any

from prefect_helix.core.digest import digest
from prefect_helix.core.errors import UndigestibleError
from prefect_helix.core.fingerprint.bytecode import normalise_bytecode
from prefect_helix.core.fingerprint.components import Edge, Node
from prefect_helix.core.fingerprint.distributions import (
    Distribution,
    Origin,
    module_file,
    owner_of_class,
    owner_of_module,
)
from prefect_helix.core.fingerprint.names import module_label
from prefect_helix.core.fingerprint.reach import Reach
from prefect_helix.core.fingerprint.values import (
    BUILTIN_CALLABLES,
    MAPPINGS,
    PARTS,
    SEQUENCES,
    SETS,
    has_no_content,
    is_means,
    is_plain,
    reduced_parts,
)

# fmt: off
_CLASS_FACTS = frozenset({
    "__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__abstractmethods__", "_abc_impl", "__annotate__", "__annotate_func__", "__annotations_cache__", "__signature__",
    "__parameters__", "__slotnames__",
})
# fmt: on
_PYDANTIC_FIELDS = frozenset({"__pydantic_fields__", "__pydantic_decorators__"})


def expand(reach: Reach, node: Node, value: Any) -> None:
    """Fill in the node of a live object that is no function."""
    cls = type(value)
    given = reach.is_given(node)
    if cls is dict and "__builtins__" in value and "__name__" in value:  # a module's namespace
        node.own = "namespace"
        node.edges = [Edge("", "", lambda: reach.modules.module(value["__name__"]))]
    elif is_plain(value):
        reach.constant(node, value)
    elif issubclass(cls, type):
        _class(reach, node, value, given)
    elif issubclass(cls, ModuleType):
        node.own = "module"
        node.edges = [Edge("", "", lambda: reach.modules.module(value.__name__))]
    elif cls in PARTS:
        node.own = cls.__name__
        node.edges = [reach.edge(part, getattr(value, part), node.name, given=given) for part in PARTS[cls]]
    elif issubclass(cls, BUILTIN_CALLABLES):
        _builtin_callable(reach, node, value)
    elif cls in MAPPINGS:
        node.own = cls.__name__
        node.edges = [reach.edge("key", key, node.name) for key in value]
        node.edges += [reach.edge(str(key), item, f"{node.name}[{key!r}]", given=given) for key, item in value.items()]
        node.edges.append(reach.edge("factory", getattr(value, "default_factory", None), node.name))
    elif cls in SEQUENCES:
        node.own = f"{cls.__name__} {getattr(value, 'maxlen', None)}"
        node.edges = [reach.edge("", item, f"{node.name}[{i}]", given=given) for i, item in enumerate(value)]
    elif cls in SETS:
        node.own = cls.__name__
        node.edges = [reach.edge("", item, node.name, given=given) for item in sorted(value, key=_set_order)]
    elif is_means(value) or has_no_content(value):
        node.own = "type"
        node.edges = [reach.edge("", cls, node.name)]
        if not is_means(value):
            reach.hide(node)
    else:
        _instance(reach, node, value, given)


def _set_order(item: object) -> str:
    """Order what a set with code in it holds; the order of two that look the same may cost a recompute."""
    name = str(getattr(item, "__qualname__", ""))
    if isinstance(item, FunctionType):
        return f"{name}:{normalise_bytecode(item.__code__).text}"
    return f"{name}:{item!r}" if is_plain(item) else name


def _builtin_callable(reach: Reach, node: Node, value: Any) -> None:
    owner = getattr(value, "__objclass__", None) or getattr(value, "__self__", None)
    node.own = f"builtin {value.__qualname__}"
    module = getattr(value, "__module__", None)
    if isinstance(owner, ModuleType) or owner is None:
        if module is not None:
            node.edges = [Edge("", "", lambda: reach.modules.module(module))]
    elif not (isinstance(owner, type) and owner.__module__ == "builtins"):
        node.edges = [reach.edge("", owner, node.name)]


def _class(reach: Reach, node: Node, cls: type, given: bool) -> None:
    owner = owner_of_class(cls)
    if owner is not Origin.PROJECT:
        node.own = f"class {cls.__module__}:{cls.__qualname__}"
        node.edges = reach.owned_by(owner)
        return
    module = sys.modules.get(cls.__module__)
    namespace: dict[str, Any] = {"__name__": cls.__module__} if module is None else vars(module)
    node.kind, node.own = "class", f"class {cls.__name__}"
    node.name = f"{module_label(namespace)}.{cls.__qualname__}"
    node.file = None if module is None else module_file(module)
    given = given or isinstance(owner_of_class(type(cls)), Distribution)
    if given or reach.documented:
        node.own += f" {cls.__doc__!r}"
    node.edges = [reach.edge("base", base, node.name) for base in cls.__bases__]
    node.edges += [reach.edge("registered", registered, node.name) for registered in _registered(cls)]
    if type(cls) is not type:
        node.edges.append(reach.edge("metaclass", type(cls), node.name))
    members = list(vars(cls).items()) if reach.lists_members else sorted(vars(cls).items())
    if reach.lists_members:
        node.edges += [reach.edge("subclass", subclass, node.name) for subclass in _subclasses(cls)]
    for name, value in members:
        if name in _CLASS_FACTS or (name.startswith("__pydantic_") and name not in _PYDANTIC_FIELDS):
            continue
        node.edges.append(reach.held(cls, name, value, f"{node.name}.{name}", given=given))
        reach.bind(node, value, namespace, name)


def _subclasses(cls: type) -> list[type]:
    """Return the project's direct subclasses of `cls`, in an order that holds on every machine."""
    subclasses: list[type] = type.__subclasses__(cls)
    found = [each for each in subclasses if owner_of_class(each) is Origin.PROJECT]
    return sorted(found, key=_class_name)


def _registered(cls: type) -> list[type]:
    """Return what is registered as a virtual subclass of an abstract class."""
    if "_abc_impl" not in vars(cls):
        return []
    references = _get_dump(cls)[0]
    return sorted(filter(None, (reference() for reference in references)), key=_class_name)


def _class_name(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _instance(reach: Reach, node: Node, value: Any, given: bool) -> None:
    cls = type(value)
    owner = owner_of_class(cls)
    if owner is Origin.OURS:
        attributes = vars(value) if hasattr(value, "__dict__") else {}
        followed = next((attributes[name] for name in ("__wrapped__", "fn") if name in attributes), None)
        if followed is not None:
            options = attributes.get("helix")  # of one of our tasks
            version, depends_on = getattr(options, "code_version", None), getattr(options, "depends_on", ())
            node.own, node.edges = "task", reach.declared(followed, version, depends_on)
        elif _is_exact(value):
            reach.constant(node, value)
        else:
            _reduced(reach, node, value, given)
    elif owner is not Origin.PROJECT and _is_exact(value):
        reach.constant(node, value)
    else:
        _reduced(reach, node, value, given or isinstance(owner, Distribution))


def _reduced(reach: Reach, node: Node, value: Any, given: bool) -> None:
    """Fill in an instance from its class and what pickle would store of it."""
    node.own = "instance"
    node.edges = [reach.edge("class", type(value), node.name)]
    reduced = reduced_parts(value)
    if reduced is None:
        reach.hide(node)
        return
    form, parts = reduced
    if form.startswith("global"):
        reach.hide(node)
    node.own += f" {form}"
    node.edges += [reach.held(value, name, part, f"{node.name}.{name}", given=given) for name, part in parts]
    module = getattr(value, "__module__", None)
    if form.startswith("global") and isinstance(module, str) and not _is_python_source(module):
        node.edges.append(Edge("", "", lambda: reach.modules.module(module)))


def _is_python_source(module: str) -> bool:
    """Return whether a module is read function by function, so that it need not count as a whole."""
    loaded = sys.modules.get(module)
    return loaded is not None and str(module_file(loaded)).endswith(".py") and owner_of_module(module) is Origin.PROJECT


def _is_exact(value: object) -> bool:
    """Return whether `value` is data, with nothing in it that could be code."""
    if hasattr(type(value), "__dataclass_fields__") or hasattr(type(value), "__pydantic_fields__"):
        return False
    try:
        return digest(value).exact
    except UndigestibleError:
        return False
