"""Tells whether anybody else has a part of an object, so that it can be let go and had again unnoticed."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from prefect_helix.runtime.nodes import Cell

_MANY = 10_000
"""Objects up to which it is worth looking."""

# Nobody can change these, so that it does not matter who has them.
_UNCHANGEABLE = frozenset({type(None), bool, int, float, complex, str, bytes, slice, range, weakref.ref})
_UNCHANGEABLE_KINDS = (type, ModuleType)
_CODE = (FunctionType, BuiltinFunctionType)
# Nor these of libraries, but for a frame's labels: whoever lets go of the frame keeps them.
_UNCHANGEABLE_OF = (
    ("numpy", "dtype"),
    ("pandas", "Index"),
    ("pandas.api.extensions", "ExtensionDtype"),
    ("pandas._libs.internals", "BlockPlacement"),
    ("pyarrow", "ChunkedArray"),
)
# What is large, and hides nothing that it shares: its parts are counted, or told by `base`.
_LARGE_OF = (
    ("numpy", "ndarray"),
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("scipy.sparse", "sparray"),
    ("scipy.sparse", "spmatrix"),
)
_OPEN_LIBRARIES = frozenset({"builtins", "numpy", "pandas", "scipy"})


def is_alone(cell: Cell) -> bool:
    """Return whether nobody but a cell has the object that it keeps; parts of it may be others', too."""
    objects = [object(), cell.value]  # the first shows what the reference from this list counts as
    return sys.getrefcount(objects[1]) == sys.getrefcount(objects[0]) + 1


def is_unshared(cell: Cell) -> bool:
    """Return whether an object that a cell keeps is nobody else's, and no part of it is, as far as that can be proven.

    Every part has as many references as the object's own parts account for. That is proven for arrays, frames and
    sparse matrices of plain values, which is what large results are made of; for anything else the answer is no. The
    labels of a frame are not looked at. Complexity: O(parts), an array being one.
    """
    parts: list[Any] = [object()]  # what one reference from this list counts as
    parts.append(cell.value)
    if not isinstance(parts[1], _imported(_LARGE_OF)):
        return False
    inner = {id(parts[1]): 1}  # the cell's own
    unchangeable = (*_UNCHANGEABLE_KINDS, *_imported(_UNCHANGEABLE_OF))
    at = 1
    while at < len(parts):
        held = _parts_of(parts, at)
        if held is None or len(parts) > _MANY:
            return False
        while held:
            if isinstance(held[-1], _CODE):
                return False
            if type(held[-1]) not in _UNCHANGEABLE and not isinstance(held[-1], unchangeable):
                if id(held[-1]) not in inner:
                    inner[id(held[-1])] = 0
                    parts.append(held[-1])
                inner[id(held[-1])] += 1
            held.pop()
        at += 1
    alone = sys.getrefcount(parts[0])
    return all(sys.getrefcount(parts[at]) == alone + inner[id(parts[at])] for at in range(1, len(parts)))


def _parts_of(parts: list[Any], at: int) -> list[Any] | None:
    """Return what one of the parts refers to, itself or in a view of it; None if that cannot be told.

    It is told by its place, since a name for it would be one reference more.
    """
    if type(parts[at]).__module__.partition(".")[0] not in _OPEN_LIBRARIES:
        return None
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(parts[at], numpy.ndarray):
        return gc.get_referents(parts[at])
    if type(parts[at]) is not numpy.ndarray or parts[at].dtype.names is not None:  # there may be more to it
        return None
    if parts[at].base is not None:
        return [parts[at].base]
    if not parts[at].dtype.hasobject:
        return []
    return parts[at].ravel().tolist() if parts[at].size <= _MANY else None


def _imported(names: Iterable[tuple[str, str]]) -> tuple[type, ...]:
    """Return the classes of these names, as far as their modules are imported."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in names)
    return tuple(cls for cls in found if isinstance(cls, type))
