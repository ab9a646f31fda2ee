"""Kinds of live values: plain data, containers, things made of parts, things without content."""

from __future__ import annotations

import asyncio
import contextvars
import copyreg
import datetime
import decimal
import enum
import fractions
import functools
import io
import itertools
import logging
import os
import pathlib
import queue
import re
import socket
import subprocess
import sys
import threading
import types
import typing
import uuid
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable
from typing import Any

PLAIN_TYPES: frozenset[type] = frozenset(
    {int, float, complex, bool, str, bytes, bytearray, type(None), type(...), range, re.Pattern}
    | {datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone}
    | {decimal.Decimal, fractions.Fraction, uuid.UUID}
    | {pathlib.PurePosixPath, pathlib.PosixPath, pathlib.PureWindowsPath, pathlib.WindowsPath}
)
"""Types whose values hold no code."""

MAPPINGS: frozenset[type] = frozenset({dict, OrderedDict, defaultdict, Counter, types.MappingProxyType})
SEQUENCES: frozenset[type] = frozenset({list, tuple, deque})
SETS: frozenset[type] = frozenset({set, frozenset})

PARTS: dict[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"),
    functools._lru_cache_wrapper: ("__wrapped__",),
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    functools.cached_property: ("func",),
    types.MethodType: ("__func__", "__self__"),
    types.GenericAlias: ("__origin__", "__args__"),
    types.UnionType: ("__args__",),
    typing.NewType: ("__name__", "__supertype__"),
}
"""Types whose values are the sum of these attributes."""

BUILTIN_CALLABLES = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)

# Of the last call of a method; `self` is an argument.
_SET_BY_PREFECT = frozenset({"__prefect_self__", "__prefect_cls__"})
_SET_BY_PYTHON = frozenset({*functools.WRAPPER_ASSIGNMENTS, "cache_parameters", "attrname", "lock"}) - {"__name__"}
"""But for the name, by which a data frame labels what it computes."""

_SHOWING_OTHERS = (types.MethodType, types.GenericAlias)  # their attributes are those of what they bind
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_PROXY_MODULES = frozenset({"wrapt", "_wrappers"})  # proxies refuse to be pickled
_MANY_PARTS = 20_000

_NAMED_TYPES = frozenset({"TypeVar", "TypeAliasType"})
_LOGGING = (logging.Logger, logging.LoggerAdapter, logging.Handler)
_LOGGING_LIBRARIES = frozenset({"loguru", "structlog"})  # their loggers keep who has logged, and where to
_DERIVED = frozenset({"cls_ref", "core_schema"})  # by pydantic, from what else it holds, with addresses of classes
_WITHOUT_CONTENT = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Thread,
    threading.Event,
    threading.Condition,
    threading.Semaphore,
    threading.local,
    io.IOBase,
    socket.socket,
    queue.Queue,
    subprocess.Popen,
    asyncio.AbstractEventLoop,
    asyncio.Future,
    contextvars.ContextVar,
    contextvars.Context,
    weakref.ReferenceType,
    weakref.WeakKeyDictionary,
    weakref.WeakValueDictionary,
    weakref.WeakSet,
    types.GeneratorType,
    itertools.count,
    itertools.cycle,
    types.CoroutineType,
    types.FrameType,
    types.TracebackType,
)


def is_means(value: object) -> bool:
    """Return whether `value` is a means that no result depends on (a logger): only its type counts."""
    module = type(value).__module__
    compiled_schema = module.startswith("pydantic_core.")  # holds identities; follows from its model
    logs = module.partition(".")[0] in _LOGGING_LIBRARIES or isinstance(value, _LOGGING)
    return compiled_schema or logs


def has_no_content(value: object) -> bool:
    """Return whether `value` is a handle (a lock, stream, connection, counter, mock), no data: its type counts."""
    mocks = getattr(sys.modules.get("unittest.mock"), "NonCallableMock", ())
    return isinstance(value, (*_WITHOUT_CONTENT, mocks))


def is_environment(value: object) -> bool:
    """Return whether `value` is `os.environ`: anything may change in it, and mostly what nobody reads."""
    return isinstance(value, type(os.environ))


def reads_environment(value: object) -> bool:
    """Return whether code that uses `value` reads the environment: it is `os.environ`, or a class of settings."""
    bases = value.__mro__ if isinstance(value, type) else ()
    return is_environment(value) or any(str(base.__module__).partition(".")[0] == "pydantic_settings" for base in bases)


def parts_of(value: object) -> tuple[str, ...]:
    """Return the attributes that `value` is the sum of, beside those set on it; none if it is not known to be a sum."""
    cls = type(value)
    if _is_compiled_by_numba(value):  # pickles to an id of the process
        return "__class__", "py_func", "targetoptions"
    if cls in PARTS:
        return PARTS[cls]
    base = next((base for base in cls.__mro__ if base in PARTS), None)
    return () if base is None else ("__class__", *PARTS[base])


def attributes_set(value: object, besides: Collection[str]) -> list[tuple[str, object]]:
    """Return what has been set on a function or a sum of parts, sorted by name.

    Args:
        value: The function or sum.
        besides: Attributes to leave out, along with those that Python and Prefect set.
    """
    if isinstance(value, _SHOWING_OTHERS) or _is_compiled_by_numba(value):
        return []
    by_python = () if isinstance(value, types.FunctionType) else _SET_BY_PYTHON
    left_out = {*besides, *_SET_BY_PREFECT, *by_python}
    return sorted((name, held) for name, held in _attributes(value).items() if name not in left_out)


def _is_compiled_by_numba(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "numba" and hasattr(value, "py_func")


def is_plain(value: object) -> bool:
    """Return whether `value` is data all through: its digest is all there is to it."""
    cls = type(value)
    if cls in PLAIN_TYPES:
        return True
    if cls in MAPPINGS:
        items: Iterable[object] = (*value.keys(), *value.values())  # type: ignore[attr-defined]
        if cls is defaultdict and value.default_factory not in PLAIN_TYPES:  # type: ignore[attr-defined]
            return False
        if cls is types.MappingProxyType:  # has no digest
            return False
    elif cls in SEQUENCES or cls in SETS:
        items = value  # type: ignore[assignment]
    else:
        return False
    others = [item for item in items if type(item) not in PLAIN_TYPES]
    return all(map(_is_plain_container, others))


def _is_plain_container(value: object) -> bool:
    try:
        return is_plain(value)
    except RecursionError:  # a container that holds itself
        return False


def strings_in(value: object) -> set[str] | None:
    """Return the identifiers in all strings of plain data, None if there is too much to look through."""
    found: set[str] = set()
    waiting: list[Any] = [value]
    seen = 0
    while waiting:
        item = waiting.pop()
        cls = type(item)
        seen += 1
        if seen > _MANY_PARTS:
            return None
        if isinstance(item, str):
            found.update(_IDENTIFIER.findall(item))
        elif cls in MAPPINGS:
            waiting += [*item.keys(), *item.values()]
        elif cls in SEQUENCES or cls in SETS:
            waiting += item
    return found


def reduced_parts(value: object, ordered: bool) -> tuple[str, list[tuple[str, object]]] | None:
    """Return what makes up an instance, as a text and named parts; None if it does not say.

    This is what pickle would store (PEP 307), else its attributes.

    Args:
        value: The instance.
        ordered: Whether attributes stay in the order in which they were set, instead of that of their names.
    """
    arranged = list if ordered else sorted
    if any(base.__module__.partition(".")[0] in _PROXY_MODULES for base in type(value).__mro__):
        return "proxy", [(name, getattr(value, name, None)) for name in ("__wrapped__", "_self_wrapper")]
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # a class may refuse in any way it likes; its attributes then stand for it
        attributes = _attributes(value)
        return ("attributes", arranged(attributes.items())) if attributes else None
    if isinstance(reduced, str):
        return f"global {reduced}", []
    maker, arguments, state, items, entries = (*reduced, None, None, None)[:5]
    parts: list[tuple[str, object]] = []
    if isinstance(value, (set, frozenset)) and arguments == ([*value],):
        arguments = (frozenset(value),)  # which is put in order
    if maker is copyreg.__newobj__:  # type: ignore[attr-defined]
        arguments = arguments[1:]
    elif maker is not copyreg.__newobj_ex__:  # type: ignore[attr-defined]
        parts.append(("made by", maker))
    parts += [("arguments", part) for part in arguments]
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        parts += arranged(state[1].items())
        state = state[0]
    if isinstance(state, dict) and all(isinstance(name, str) for name in state):
        parts += arranged(state.items())
    elif state is not None:
        parts.append(("state", state))
    parts += [("items", list(items or ())), ("entries", list(entries or ()))]
    if isinstance(value, enum.Enum):
        parts += arranged(_set_on_member(value).items())
    if type(value).__module__.partition(".")[0] == "pydantic":
        parts = [(name, part) for name, part in parts if name not in _DERIVED]
    return "object", parts


def _attributes(value: object) -> dict[str, object]:
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**held, **getattr(value, "__dict__", {})}


def _set_on_member(member: enum.Enum) -> dict[str, object]:
    """Return what the class of an enum sets on a member, which pickle takes by its value.

    What Python sets is left out, and what a cached property keeps: that is there once it has been asked for.
    """
    cls = type(member)
    return {
        name: held
        for name, held in vars(member).items()
        if not (name.startswith("_") and name.endswith("_"))
        and not isinstance(getattr(cls, name, None), functools.cached_property)
    }


def is_named_type(value: object) -> bool:
    """Return whether `value` is a type variable or a named alias of a type: pickle stores nothing but their names."""
    cls = type(value)
    return cls.__name__ in _NAMED_TYPES and cls.__module__ in ("typing", "typing_extensions")


def type_behind(value: object) -> list[tuple[str, object]] | None:
    """Return what a type variable is bound to, or an alias stands for; None where that cannot be evaluated."""
    has_default = getattr(value, "has_default", bool)()
    try:
        return [
            (name, getattr(value, name, None))
            for name in ("__bound__", "__constraints__", "__value__", "__type_params__", "__default__")
            if has_default or name != "__default__"
        ]
    except Exception:  # of what a checker of types alone knows
        return None


def size_bytes(value: object) -> int:
    """Return about how large a value is, without looking inside a container."""
    return int(getattr(value, "nbytes", 0) if hasattr(type(value), "__array_interface__") else sys.getsizeof(value))
