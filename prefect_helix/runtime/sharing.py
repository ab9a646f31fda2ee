"""Tells whether anybody else has a part of an object, so that it can be let go and had again unnoticed."""

from __future__ import annotations

import gc
import sys
import weakref
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from prefect_helix.runtime.nodes import Cell

_MANY = 10_000
"""Objects up to which it is worth looking."""

# Nobody can change these, so that it does not matter who has them. A frame's labels are among them.
_UNCHANGEABLE = (type(None), bool, int, float, complex, str, bytes, slice, range, type, ModuleType, weakref.ref)
_CODE = (FunctionType, BuiltinFunctionType)
_UNCHANGEABLE_OF = (
    ("numpy", "dtype"),
    ("pandas", "Index"),
    ("pandas.api.extensions", "ExtensionDtype"),
    ("pandas._libs.internals", "BlockPlacement"),
    ("pyarrow", "ChunkedArray"),
)
# Libraries whose objects hide nothing that they share: what they are made of is counted, or told by `base`.
_OPEN_LIBRARIES = frozenset({"builtins", "numpy", "pandas", "scipy"})


def is_alone(cell: Cell) -> bool:
    """Return whether nobody but a cell has the object that it keeps; parts of it may be others', too."""
    objects = [object(), cell.value]  # the first shows what the reference from this list counts as
    return sys.getrefcount(objects[1]) == sys.getrefcount(objects[0]) + 1


def is_unshared(cell: Cell) -> bool:
    """Return whether an object that a cell keeps is nobody else's, and no part of it is, as far as that can be proven.

    Every part has as many references as the object's own parts account for. That is proven for arrays, frames and
    sparse matrices of plain values, which is what large results are made of; for anything else the answer is no.
    Complexity: O(parts), an array being one.
    """
    numpy = sys.modules.get("numpy")
    parts: list[Any] = [object()]  # what one reference from this list counts as
    parts.append(cell.value)
    inner = {id(parts[1]): 1}  # the cell's own
    unchangeable = _unchangeable_types()
    at = 1
    while at < len(parts):
        if type(parts[at]).__module__.partition(".")[0] not in _OPEN_LIBRARIES or len(parts) > _MANY:
            return False
        if numpy is not None and isinstance(parts[at], numpy.ndarray):
            if parts[at].dtype.hasobject and (parts[at].dtype != object or parts[at].size > _MANY):
                return False
            held = [parts[at].base] if parts[at].base is not None else []
            if parts[at].dtype.hasobject and not held:
                held = parts[at].ravel().tolist()
        else:
            held = gc.get_referents(parts[at])
        while held:
            if isinstance(held[-1], _CODE):
                return False
            if not isinstance(held[-1], unchangeable):
                if id(held[-1]) not in inner:
                    inner[id(held[-1])] = 0
                    parts.append(held[-1])
                inner[id(held[-1])] += 1
            held.pop()
        at += 1
    alone = sys.getrefcount(parts[0])
    return all(sys.getrefcount(parts[at]) == alone + inner[id(parts[at])] for at in range(1, len(parts)))


def _unchangeable_types() -> tuple[type, ...]:
    """Return the types of objects that nobody can change, those of libraries as far as they are imported."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in _UNCHANGEABLE_OF)
    return (*_UNCHANGEABLE, *(cls for cls in found if isinstance(cls, type)))
