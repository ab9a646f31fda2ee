"""What is written for Python's own composite types, and for any object through its reduced state."""

from __future__ import annotations

import copyreg
import enum
import re
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import datetime, time, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from prefect_helix.core.digest_writer import Refused, Writer
from prefect_helix.core.naming import module_name, type_name

Encoder = Callable[[Any, Writer], None]

# Protocol 5 would hand out buffers that belong to a pickler.
_PROTOCOL = 4


def _sequence(tag: str) -> Encoder:
    def encode(value: Any, out: Writer) -> None:
        out.add(tag)
        out.items(value)

    return encode


def _unordered(tag: str) -> Encoder:
    def encode(value: Any, out: Writer) -> None:
        out.add(tag)
        out.unordered(value)

    return encode


def _mapping(tag: str) -> Encoder:
    def encode(value: Any, out: Writer) -> None:
        out.add(tag)
        out.mapping(value)
        out.attributes(vars(value))

    return encode


def _dict(value: dict[Any, Any], out: Writer) -> None:
    out.add("dict")
    out.mapping(value)


def _fields(tag: str, *names: str) -> Encoder:
    def encode(value: Any, out: Writer) -> None:
        out.add(tag)
        out.attributes({name: getattr(value, name) for name in names})

    return encode


def _defaultdict(value: defaultdict[Any, Any], out: Writer) -> None:
    out.add("defaultdict")
    out.child(value.default_factory, ".default_factory")
    out.mapping(value)


def _deque(value: deque[Any], out: Writer) -> None:
    out.add("deque", str(value.maxlen))
    out.items(value)


def _memoryview(value: memoryview, out: Writer) -> None:
    out.add("memoryview", value.format, str(value.shape))
    out.whole(value.cast("B") if value.c_contiguous and value.nbytes else value.tobytes())


def _clock(value: Any, out: Writer) -> None:
    out.add(type(value).__name__, value.replace(tzinfo=None).isoformat(), str(value.fold))
    out.child(value.tzinfo, ".tzinfo")


def _timezone(value: timezone, out: Writer) -> None:
    out.add("timezone", str(value))
    out.child(value.utcoffset(None))


def _zone(value: ZoneInfo, out: Writer) -> None:
    if value.key is None:
        raise Refused(ZoneInfo, "it was read from a file and has no key")
    out.add("ZoneInfo", value.key)


def _class(value: type, out: Writer) -> None:
    out.add("class", type_name(value))
    if value.__module__ != "builtins":
        out.witness()


def _function(value: types.FunctionType, out: Writer) -> None:
    out.witness()
    out.add("function", module_name(value.__module__ or ""), value.__qualname__)
    names = ("__code__", "__defaults__", "__kwdefaults__", "__closure__", "__dict__")
    out.attributes({name: getattr(value, name) for name in names})


def _code(value: types.CodeType, out: Writer) -> None:
    names = ("co_name", "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_consts")
    counts = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_exceptiontable")
    out.add("code")
    out.attributes({name: getattr(value, name, b"") for name in (*names, *counts)})


def _cell(value: types.CellType, out: Writer) -> None:
    try:
        content = (value.cell_contents,)
    except ValueError:  # the variable has no value yet
        content = ()  # type: ignore[assignment]
    out.add("cell")
    out.items(content, lambda _: ".cell_contents")


def _enum(value: enum.Enum, out: Writer) -> None:
    out.add("enum", type_name(type(value)), str(value._name_))
    out.child(value._value_, ".value")


def _namedtuple(value: Any, out: Writer) -> None:
    if getattr(value, "__dict__", None):
        encode_object(value, out)
        return
    out.add("namedtuple", type_name(type(value)), *value._fields)
    out.items(value, lambda i: f".{value._fields[i]}")


def _set_subclass(value: Any, out: Writer) -> None:
    out.witness()
    out.add("set of", type_name(type(value)))
    out.unordered(value)
    out.attributes(getattr(value, "__dict__", {}))


def _dataclass(value: Any, out: Writer) -> None:
    getstate = getattr(type(value), "__getstate__", None)
    written_by_dataclass = getattr(getstate, "__module__", None) == "dataclasses"
    _record(value, out, written_by_dataclass or getstate is getattr(object, "__getstate__", None))


def _pydantic_model(value: Any, out: Writer) -> None:
    _record(value, out, type(value).__getstate__ is sys.modules["pydantic"].BaseModel.__getstate__)


def _record(value: object, out: Writer, state_is_complete: bool) -> None:
    """Write an object that is the sum of its attributes, unless its class reduces it in a way of its own."""
    cls = type(value)
    if not (state_is_complete and cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__):
        out.witness()
    encode_reduced(value, out)


def encode_object(value: object, out: Writer) -> None:
    """Write an object that no encoder knows: its reduced state, as a witness."""
    out.witness()
    encode_reduced(value, out)


def encode_reduced(value: object, out: Writer) -> None:
    """Write what `copyreg` or ``__reduce_ex__`` makes of an object, as pickle would (PEP 307).

    Raises:
        Refused: If the object cannot be reduced.
    """
    cls = type(value)
    try:
        reducer = copyreg.dispatch_table.get(cls)
        reduced: Any = value.__reduce_ex__(_PROTOCOL) if reducer is None else reducer(value)
    except (RecursionError, MemoryError):
        raise
    except Exception as error:
        raise Refused(cls, str(error) or type(error).__name__) from error
    if isinstance(reduced, str):
        out.add("global", type_name(cls), module_name(getattr(value, "__module__", None) or ""), reduced)
        out.child(getattr(value, "__wrapped__", None), ".__wrapped__")
        return
    padded: tuple[Any, ...] = (*reduced, None, None, None, None)
    function, arguments, state, items, entries, setter = padded[:6]
    if getattr(function, "__module__", None) == "copyreg" and arguments[:1] == (cls,):
        arguments = arguments[1:]
    out.add("object", type_name(cls))
    _reconstructor(function, out)
    out.items(arguments, ".__reduce__()[1][{}]".format)
    _state(state, out)
    if items is not None:
        out.add("items")
        out.items(items)
    if entries is not None:
        out.add("entries")
        out.mapping(dict(entries))
    if setter is not None:
        out.add("setter")
        out.child(setter, ".__reduce__()[5]")


def _reconstructor(function: Any, out: Writer) -> None:
    """Write what rebuilds an object: by name where it has one, as the code behind it belongs to the type."""
    is_code = isinstance(function, (type, types.FunctionType, types.BuiltinFunctionType))
    is_bound = not isinstance(getattr(function, "__self__", None), (types.ModuleType, type(None)))
    if is_code and not is_bound and "<" not in function.__qualname__:
        out.add("by name", type_name(function))
    else:
        out.add("by value")
        out.child(function, ".__reduce__()[0]")


def _state(state: Any, out: Writer) -> None:
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], (dict, type(None))):
        out.add("attributes and slots")
        for part in state:
            _state(part, out)
    elif type(state) is dict and all(type(name) is str for name in state):
        out.add("attributes")
        out.attributes(state)
    else:
        out.add("state")
        out.child(state, ".__getstate__()")


EXACT_TYPES: dict[type, Encoder] = {
    list: _sequence("list"),
    tuple: _sequence("tuple"),
    dict: _dict,
    set: _unordered("set"),
    frozenset: _unordered("frozenset"),
    OrderedDict: _mapping("OrderedDict"),
    Counter: _mapping("Counter"),
    defaultdict: _defaultdict,
    deque: _deque,
    memoryview: _memoryview,
    range: _fields("range", "start", "stop", "step"),
    slice: _fields("slice", "start", "stop", "step"),
    datetime: _clock,
    time: _clock,
    timezone: _timezone,
    ZoneInfo: _zone,
    re.Pattern: _fields("re.Pattern", "pattern", "flags"),
    partial: _fields("partial", "func", "args", "keywords", "__dict__"),
    types.FunctionType: _function,
    types.CodeType: _code,
    types.CellType: _cell,
}
"""Encoders for values of exactly these types; a subclass may hold more than they write."""


def family_encoder(cls: type) -> Encoder:
    """Return the encoder for a class that is in no table."""
    if issubclass(cls, type):
        return _class
    if issubclass(cls, enum.Enum):
        return _enum
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _namedtuple
    if issubclass(cls, (set, frozenset)):
        return _set_subclass
    if "__dataclass_fields__" in vars(cls):
        return _dataclass
    if any(type_name(base) == "pydantic.main:BaseModel" for base in cls.__mro__):
        return _pydantic_model
    return encode_object
