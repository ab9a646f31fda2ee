"""What large results are made of: which parts can be stood in for, how to take them out and put them back."""

from __future__ import annotations

import enum
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, cast

from prefect_helix.core.naming import type_name
from prefect_helix.runtime.standin import is_stand_in
from prefect_helix.storage.lookup import find, findable_name

# Libraries whose own or compiled code asks for the exact type of their objects, and Prefect, whose engine does.
_EXACT_LIBRARIES = frozenset({"jax", "keras", "numpy", "polars", "pyarrow", "pydantic", "tensorflow", "torch"})
_FOREIGN = (BuiltinFunctionType, GetSetDescriptorType, MethodDescriptorType, WrapperDescriptorType)
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made while the program ran, as a class statement does
_CONTAINERS = frozenset({tuple, list, dict})
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType)
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class LeafRef:
    """What a skeleton holds in place of a leaf.

    Attributes:
        index: Position among the leaves.
    """

    index: int


def stands_in_for(value: object) -> bool:
    """Whether a stand-in for `value` does everywhere what the value does.

    True for pandas frames and series, scipy sparse matrices and arrays, scikit-learn estimators and other objects of
    classes written in Python. False where code that is out of reach asks for the exact type: numpy arrays (the buffer
    protocol, `pandas.cut` and `pyarrow.array` refuse a stand-in, and `numpy.random.Generator.shuffle` duplicates rows
    of one), tensors, Arrow objects, builtins and their subclasses, and classes of Prefect and pydantic. False also for
    dataclasses, enums, containers, iterators and files, which code takes apart or reads away.
    """
    return not is_stand_in(value) and class_stands_in(cast("type", type(value)))


@functools.lru_cache(maxsize=1024)
def class_stands_in(cls: type) -> bool:
    """Whether a stand-in does everywhere what a value of exactly this class does; see `stands_in_for`."""
    if cls.__module__.partition(".")[0] == "pandas":
        return cls.__name__ in ("DataFrame", "Series")  # an Index sits inside frames, where compiled code reads it
    if cls.__module__.startswith("scipy.sparse"):
        return cls.__name__.endswith(("_matrix", "_array")) and not cls.__name__.startswith("dok_")
    return all(_written_in_python(base) for base in cls.__mro__ if base is not object or cls is object) and not (
        issubclass(cls, (enum.Enum, Mapping, Sequence, Set))
        or any(hasattr(cls, mark) for mark in ("__dataclass_fields__", "__next__", "__await__", "fileno", "read"))
    )


def _written_in_python(base: type) -> bool:
    """Whether a class statement made `base`, in a library that does not ask for exact types."""
    library = base.__module__.partition(".")[0]
    return bool(
        base.__flags__ & _HEAP_TYPE
        and library not in _EXACT_LIBRARIES
        and not library.startswith("prefect")
        and not any(
            isinstance(member, _FOREIGN) and name not in ("__dict__", "__weakref__")
            for name, member in vars(base).items()
        )
    )


def split(value: object, is_large: Callable[[object], bool]) -> tuple[object, tuple[object, ...]]:
    """Take the large parts out of a result.

    Only exact tuples, lists and dicts (their values) are opened, down to a small depth. Containers are copied where a
    part is taken out, and nowhere else. One object in two places is one leaf. What is reachable from a container that
    occurs twice, or within itself, stays where it is: apart, it could not be put together with the same identities.
    Time is linear in the number of elements.

    Args:
        value: The result.
        is_large: Whether a part is worth taking out; asked only of parts that can be stood in for.

    Returns:
        The skeleton, which is `value` with a `LeafRef` in place of each leaf, and the leaves. A large value that can be
        stood in for is itself the one leaf. `join` is the inverse.
    """
    found: dict[int, tuple[LeafRef, object]] = {}
    skeleton = _taken_apart(value, is_large, _fixed_parts(value), found)
    return skeleton, tuple(leaf for _, leaf in found.values())


def join(skeleton: object, leaves: Sequence[object]) -> object:
    """Put leaves into a skeleton: the inverse of `split`.

    Args:
        skeleton: What `split` gave, or an equal copy. It is not changed.
        leaves: The leaves, or what is to be in their places, in the order of their indices.
    """
    return _put_together(skeleton, leaves, set())


# These two are no closures that call themselves: such a one, and with it a value, is there until garbage is collected.
def _taken_apart(
    part: object, is_large: Callable[[object], bool], fixed: Set[int], found: dict[int, tuple[LeafRef, object]]
) -> object:
    """`part` with its leaves taken out; they are put into `found`, by identity."""
    if type(part) in _ATOMS or id(part) in fixed:
        return part
    if type(part) in _CONTAINERS:
        return _rebuilt(part, lambda inner: _taken_apart(inner, is_large, fixed, found))
    if not (id(part) in found or (stands_in_for(part) and is_large(part))):
        return part
    return found.setdefault(id(part), (LeafRef(len(found)), part))[0]


def _put_together(part: object, leaves: Sequence[object], seen: set[int], depth: int = 0) -> object:
    """`part` with leaves in it again, below so many containers that it is in."""
    if type(part) is LeafRef:
        return leaves[part.index]
    if type(part) not in _CONTAINERS or depth == _DEPTH or id(part) in seen:
        return part
    seen.add(id(part))
    return _rebuilt(part, lambda inner: _put_together(inner, leaves, seen, depth + 1))


def parts_of(value: object) -> Iterator[object]:
    """Yield the objects that a value holds: items of built-in containers, attributes of other objects. O(parts)."""
    seen = {id(value)}
    waiting = [value]
    while waiting:
        whole: Any = waiting.pop()
        if isinstance(whole, (list, tuple, set, frozenset)):
            parts = list(whole)
        else:
            parts = list(whole.values()) if isinstance(whole, dict) else list(getattr(whole, "__dict__", {}).values())
        for part in parts:
            if type(part) not in _ATOMS and not isinstance(part, _CODE) and id(part) not in seen:
                seen.add(id(part))
                waiting.append(part)
                yield part


def _rebuilt(container: Any, change: Callable[[object], object]) -> object:
    """`container` with its parts changed; itself if none of them does."""
    old = _parts(container)
    new = [part if type(part) in _ATOMS else change(part) for part in old]
    if all(before is after for before, after in zip(old, new, strict=True)):
        return container
    return dict(zip(container, new, strict=True)) if type(container) is dict else type(container)(new)


def _parts(container: Any) -> Sequence[object]:
    return list(container.values()) if type(container) is dict else container


def _fixed_parts(value: object) -> set[int]:
    """Ids of the parts that must stay: within containers that occur twice, deep down, or in a dict's keys."""
    seen: set[int] = set()
    roots: list[object] = []
    level: list[object] = [value]
    for depth in range(_DEPTH + 1):
        below: list[object] = []
        for part in level:
            if type(part) not in _CONTAINERS:
                continue
            if id(part) in seen or depth == _DEPTH:
                roots.append(part)
                continue
            seen.add(id(part))
            below.extend(_parts(part))
            roots.extend(part if type(part) is dict else ())
        level = below
    fixed: set[int] = set()
    while roots:
        part = roots.pop()
        if type(part) not in _ATOMS and id(part) not in fixed:
            fixed.add(id(part))
            if type(part) in _CONTAINERS:
                roots.extend(_parts(part))
                roots.extend(part if type(part) is dict else ())
    return fixed


def approximate_size(value: object) -> int | None:
    """Roughly how many bytes `value` holds, or None where that cannot be told without going through its elements.

    Constant time for bytes, text, arrays and sparse matrices; linear in the number of columns for frames.
    """
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    if isinstance(value, memoryview):
        return value.nbytes
    numpy, pandas, sparse = (sys.modules.get(name) for name in ("numpy", "pandas", "scipy.sparse"))
    if numpy is not None and isinstance(value, numpy.ndarray):
        return None if value.dtype.hasobject else int(value.nbytes)
    if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
        columns = value.dtypes if isinstance(value, pandas.DataFrame) else [value.dtype]
        if any(dtype == "object" or getattr(dtype, "storage", "") == "python" for dtype in columns):
            return None
        usage = value.memory_usage(index=True, deep=False)
        return int(usage.sum()) if isinstance(value, pandas.DataFrame) else int(usage)
    if sparse is not None and sparse.issparse(value):
        sizes = [approximate_size(part) for part in _buffers(value)]
        return None if None in sizes or not sizes else sum(size for size in sizes if size is not None)
    return None


def _buffers(matrix: Any) -> Iterator[object]:
    """The arrays a sparse matrix is made of, whatever its format."""
    numpy = sys.modules["numpy"]
    for member in vars(matrix).values():
        yield from (part for part in (member if type(member) is tuple else [member]) if isinstance(part, numpy.ndarray))


def name_of_type(cls_or_value: object) -> str:
    """Name a class or the class of a value as ``module:qualname``, so that `find_type` finds it if anybody can."""
    cls = cls_or_value if isinstance(cls_or_value, type) else type(cls_or_value)
    return findable_name(cls) or type_name(cls)


def find_type(name: str) -> type | None:
    """The class that `name_of_type` named, its module imported if need be; None if it is not to be found."""
    found = find(name)
    return found if isinstance(found, type) else None
