"""What live objects other than functions are made of: classes, containers, instances, modules."""

from __future__ import annotations

import builtins
import enum
import inspect
import sys
from _abc import _get_dump  # type: ignore[import-not-found]  # nothing else tells what is registered
from types import FunctionType, ModuleType
from typing import Any

from prefect_helix.core.digest import is_registered
from prefect_helix.core.fingerprint.bytecode import normalise_bytecode
from prefect_helix.core.fingerprint.components import Edge, Node
from prefect_helix.core.fingerprint.distributions import Distribution, Origin, Owner
from prefect_helix.core.fingerprint.generators import first_state, is_generator, is_shared
from prefect_helix.core.fingerprint.live import HEAP_TYPE, MISSING, Live, content_of
from prefect_helix.core.fingerprint.names import annotations_of, module_label, without_addresses
from prefect_helix.core.fingerprint.reach import Reach
from prefect_helix.core.fingerprint.values import (
    BUILTIN_CALLABLES,
    MAPPINGS,
    SEQUENCES,
    SETS,
    attributes_set,
    has_no_content,
    is_environment,
    is_means,
    is_named_type,
    is_plain,
    parts_of,
    reduced_parts,
    type_behind,
)

# fmt: off
_CLASS_FACTS = frozenset({
    "__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__abstractmethods__", "_abc_impl", "__annotate__", "__annotate_func__", "__annotations_cache__", "__signature__",
    "__parameters__", "__slotnames__",
})
# What pydantic was told, and what people write; the others it makes of that.
_PYDANTIC_FACTS = frozenset({
    "__pydantic_fields__", "__pydantic_decorators__", "__pydantic_config__", "__pydantic_init_subclass__",
    "__pydantic_on_complete__",
})
# fmt: on
_INIT_UNTIL_USE = "_no_init_or_replace_init"
"""What `typing.Protocol` gives to protocols: it looks up the constructor and puts it into the class of the instance."""


def expand(reach: Reach, node: Node, value: Any) -> None:
    """Fill in the node of a live object that is no function."""
    cls = type(value)
    live, given = reach.live, reach.is_given(node)
    if cls is dict and all(live.item(value, name) is not MISSING for name in ("__builtins__", "__name__")):
        node.own = "namespace"
        node.edges = [Edge("", "", lambda: reach.modules.module(value["__name__"]))]
    elif is_plain(value):
        live.plain(value)
        reach.constants.add(node, value)
    elif issubclass(cls, type):
        _class(reach, node, value, given)
    elif issubclass(cls, ModuleType):
        node.own = "module"
        node.edges = [Edge("", "", lambda: reach.modules.module(live.repeat(getattr, value, "__name__")))]
    elif is_named_type(value):
        node.own = f"{cls.__name__} {value.__name__}"
        behind = live.repeat(type_behind, value)
        if behind is None:
            reach.hide(node)
        node.edges = [reach.held(value, name, part, f"{node.name}.{name}", given=given) for name, part in behind or ()]
    elif parts := parts_of(value):
        node.own = cls.__name__
        for part in parts:
            live.attribute(value, part)
            node.edges.append(reach.edge(part, getattr(value, part, None), node.name, given=given))
        for name, held in live.repeat(attributes_set, value, parts):
            node.edges.append(reach.held(value, name, held, f"{node.name}.{name}", given=given))
    elif issubclass(cls, BUILTIN_CALLABLES):
        _builtin_callable(reach, node, value)
    elif cls in MAPPINGS:
        live.contents(value)
        node.own = cls.__name__
        node.edges = [reach.edge("key", key, node.name) for key in value]
        node.edges += [reach.edge(str(key), item, f"{node.name}[{key!r}]", given=given) for key, item in value.items()]
        node.edges.append(reach.edge("factory", getattr(value, "default_factory", None), node.name))
    elif cls in SEQUENCES:
        live.contents(value)
        node.own = f"{cls.__name__} {getattr(value, 'maxlen', None)}"
        node.edges = [reach.edge("", item, f"{node.name}[{i}]", given=given) for i, item in enumerate(value)]
    elif cls in SETS:
        live.contents(value)
        node.own = cls.__name__
        node.edges = [reach.edge("", item, node.name, given=given) for item in sorted(value, key=_set_order)]
    elif is_environment(value):
        reach.opaque.setdefault(node.name, []).append("os.environ")
        node.kind, node.name, node.own = "opaque", f"{node.name}: os.environ", "os.environ"
    elif is_means(value) or has_no_content(value):
        live.repeat(type, value)
        node.own = "type"
        node.edges = [reach.edge("", cls, node.name)]
        if not is_means(value):
            reach.hide(node)
    else:
        _instance(reach, node, value, given)


def _set_order(item: object) -> tuple[str, str, str]:
    """Order what a set with code in it holds; the order of two that look the same may cost a recompute."""
    code = normalise_bytecode(item.__code__).text if isinstance(item, FunctionType) else ""
    return str(getattr(item, "__qualname__", "")), code, content_of(item).hex


def _builtin_callable(reach: Reach, node: Node, value: Any) -> None:
    bound = getattr(value, "__self__", None)
    owner = getattr(value, "__objclass__", None) if bound is None else bound
    node.own = f"builtin {value.__qualname__}"
    module = getattr(value, "__module__", None)
    reach.live.attribute(value, "__module__")
    if isinstance(owner, ModuleType) or owner is None:
        if module is not None:
            node.edges = [Edge("", "", lambda: reach.modules.module(module))]
    elif not (isinstance(owner, type) and owner.__module__ == "builtins"):
        node.edges = [reach.edge("", owner, node.name)]


def _class(reach: Reach, node: Node, cls: type, given: bool) -> None:
    live = reach.live
    owner = live.owner_of_class(cls)
    for name in ("__name__", "__qualname__"):
        live.attribute(cls, name)
    is_project = owner is Origin.PROJECT
    if not (is_project or _is_made_for_project(live, cls, owner)):
        node.own = f"class {cls.__module__}:{cls.__qualname__}"
        node.edges = reach.owned_by(owner)
        return
    module = live.item(sys.modules, cls.__module__) if is_project else None
    namespace: dict[str, Any] = vars(module) if isinstance(module, ModuleType) else {"__name__": cls.__module__}
    node.kind, node.own = "class", f"class {cls.__name__}"
    node.name = f"{module_label(live, namespace)}.{cls.__qualname__}"
    file = live.item(namespace, "__file__")
    node.file = file if isinstance(file, str) else None
    live.attribute(cls, "__bases__")
    given = given or isinstance(live.owner_of_class(type(cls)), Distribution)
    if given or reach.documented:
        live.attribute(cls, "__doc__")
        node.own += f" {_docstring(cls)}"
    node.edges = reach.owned_by(owner)
    node.edges += [reach.edge("base", base, node.name) for base in cls.__bases__]
    if given or reach.documented:
        texts = [(name, text) for name, text in live.repeat(annotations_of, cls) if isinstance(text, str)]
        node.edges += reach.annotated(node, namespace, texts)
    node.edges += [reach.edge("registered", registered, node.name) for registered in live.repeat(_registered, cls)]
    metaclass = live.repeat(type, cls)
    if metaclass is not type:
        node.edges.append(reach.edge("metaclass", metaclass, node.name))
    names, values = live.repeat(_members, cls)
    members = list(zip(names, values, strict=True))
    if reach.lists_members:
        node.edges += [reach.edge("subclass", subclass, node.name) for subclass in _subclasses(live, cls)]
    for name, value in members if reach.lists_members else sorted(members):
        node.edges.append(reach.held(cls, name, value, f"{node.name}.{name}", given=given))
        reach.bind(node, value, namespace, name)


def _docstring(cls: type) -> str:
    """Return the docstring of a class as text; nothing for one that `dataclasses` has made of the fields.

    These count by themselves, and in the text a default that is a set has another order in each process.
    """
    if "__dataclass_fields__" in vars(cls):
        try:
            if cls.__doc__ == cls.__name__ + str(inspect.signature(cls)).replace(" -> None", ""):
                return ""
        except (TypeError, ValueError):
            pass
    return without_addresses(repr(cls.__doc__))


def _is_made_for_project(live: Live, cls: type, owner: Owner) -> bool:
    """Return whether a call of a function of Python or of a library has made `cls`, of what the project gave to it.

    Classes that libraries make for themselves can hold all of their state, so only one with a base of the project does.
    """
    if owner is Origin.OURS or not live.repeat(_is_made_by_call, cls):
        return False
    return owner is Origin.PYTHON or any(live.owner_of_class(base) is Origin.PROJECT for base in cls.__mro__)


def _is_made_by_call(cls: type) -> bool:
    """Return whether the module that a class of Python code says it is from knows nothing of it."""
    module = sys.modules.get(cls.__module__)
    is_python = module is builtins or str(getattr(module, "__file__", None)).endswith(".py")
    if not (cls.__flags__ & HEAP_TYPE and is_python):  # compiled modules do not hold all of their classes
        return False
    found: object = module
    for name in cls.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return not any(found is base for base in cls.__mro__)  # a mock has a copy of its class


def _members(cls: type) -> tuple[list[str], list[Any]]:
    """Return the names and values of the members of a class that count, in their order."""
    members = vars(cls)
    names = [name for name in members if name not in _CLASS_FACTS]
    names = [name for name in names if not name.startswith("__pydantic_") or name in _PYDANTIC_FACTS]
    if _has_init_by_use(cls):
        names.remove("__init__")
    if issubclass(cls, enum.Flag):  # whose members are found again there, and each combination of them that is made
        names = [name for name in names if name != "_value2member_map_"]
    return names, [members[name] for name in names]


def _has_init_by_use(cls: type) -> bool:
    """Return whether a class below a protocol was given the constructor of a base when its first instance was made."""
    made = vars(cls).get("__init__")
    below = [vars(base)["__init__"] for base in cls.__mro__[1:] if "__init__" in vars(base)]
    found = [each for each in below if getattr(each, "__name__", "") != _INIT_UNTIL_USE]
    return made is not None and len(found) < len(below) and made is found[0]


def _subclasses(live: Live, cls: type) -> list[type]:
    """Return the project's direct subclasses of `cls`, in an order that holds on every machine."""
    subclasses: list[type] = live.repeat(type.__subclasses__, cls)
    found = [each for each in subclasses if live.owner_of_class(each) is Origin.PROJECT]
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
    live = reach.live
    cls = live.repeat(type, value)
    owner = live.owner_of_class(cls)
    if is_registered(cls):  # the content that counts is what has been told; its methods count, too
        content = Node(None, node.name)
        reach.constants.add(content, value)
        node.own, node.edges = "instance", [reach.edge("class", cls, node.name), reach.settled(content)]
    elif is_generator(value):
        node.own, node.edges = "generator", [reach.edge("class", cls, node.name)]
        if not is_shared(value):  # its functions count by their modules, and so does it
            node.edges.append(reach.settled(Node("constant", node.name, first_state(value))))
            reach.draws = True
            reach.notes.setdefault(
                f"{node.name} is a random generator that outlives a call, so that the task is computed in every run. "
                "Make it inside the task, or pass it as an argument."
            )
    elif owner is Origin.OURS:
        followed, options = live.repeat(_task_parts, value)
        if followed is not None:
            for name in ("code_version", "depends_on"):
                live.attribute(options, name)
            version, depends_on = getattr(options, "code_version", None), getattr(options, "depends_on", ())
            node.own, node.edges = "task", reach.declared(followed, version, depends_on)
        elif _is_exact(live, value):
            reach.constants.add(node, value)
        else:
            _reduced(reach, node, value, given)
    elif owner is not Origin.PROJECT and _is_exact(live, value):
        reach.constants.add(node, value)
    else:
        _reduced(reach, node, value, given or isinstance(owner, Distribution))


def _reduced(reach: Reach, node: Node, value: Any, given: bool) -> None:
    """Fill in an instance from its class and what pickle would store of it."""
    node.own = "instance"
    node.edges = [reach.edge("class", type(value), node.name)]
    reduced = reach.live.repeat(reduced_parts, value, reach.lists_members)
    if reduced is None:
        reach.hide(node)
        return
    form, parts = reduced
    if form.startswith("global"):
        reach.hide(node)
    node.own += f" {form}"
    node.edges += [reach.held(value, name, part, f"{node.name}.{name}", given=given) for name, part in parts]
    module = reach.live.repeat(getattr, value, "__module__", None) if form.startswith("global") else None
    if isinstance(module, str) and not _is_python_source(reach.live, module):
        node.edges.append(Edge("", "", lambda: reach.modules.module(module)))


def _is_python_source(live: Live, module: str) -> bool:
    """Return whether a module is read function by function, so that it need not count as a whole."""
    loaded = live.item(sys.modules, module)
    if not isinstance(loaded, ModuleType) or live.owner(module) is not Origin.PROJECT:
        return False
    return str(live.item(vars(loaded), "__file__")).endswith(".py")


def _task_parts(value: object) -> tuple[object, object]:
    """Return the function that one of our objects stands for, and its options if it is a task; else None."""
    attributes = vars(value) if hasattr(value, "__dict__") else {}
    followed = next((attributes[name] for name in ("__wrapped__", "fn") if name in attributes), None)
    return followed, attributes.get("helix")


def _is_exact(live: Live, value: object) -> bool:
    """Return whether `value` is data, with nothing in it that could be code."""
    if hasattr(type(value), "__dataclass_fields__") or hasattr(type(value), "__pydantic_fields__"):
        return False
    return live.is_exact(value)
