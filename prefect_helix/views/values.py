"""What a value is, in a line, and its beginning."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from prefect_helix.core.short import short_form
from prefect_helix.views.units import format_count

_ROWS = 6
_LINES = 12


def kind_of(value: object) -> str:
    """Return what a value is: "pandas.DataFrame, 4,000 rows, 3 columns", "list, 12 items", "float"."""
    cls = type(value)
    module = cls.__module__.partition(".")[0]
    name = cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"
    try:
        return f"{name}{_extent(value)}"
    except Exception:  # of somebody's __len__, such as that of a model which is not fitted
        return name


def _extent(value: object) -> str:
    shape = getattr(value, "shape", None)
    if type(shape) is tuple and all(isinstance(size, int) for size in shape):
        if len(shape) == 2 and hasattr(value, "columns"):
            return f", {shape[0]:,} rows, {shape[1]:,} columns"
        dtype = f" of {value.dtype}" if hasattr(value, "dtype") else ""
        return f"{dtype}, shape {shape}"
    if isinstance(value, (str, bytes)):
        return f", {format_count(len(value), 'character' if isinstance(value, str) else 'byte')}"
    if isinstance(value, Sized) and not isinstance(value, type):
        return f", {format_count(len(value), 'item')}"
    return ""


def preview(value: Any) -> list[str]:
    """Return the first lines of a value as its library shows it; bounded, whatever its size."""
    try:
        if hasattr(value, "columns") and hasattr(value, "head"):
            return str(value.head(_ROWS)).splitlines()
        lines = (str(value) if hasattr(value, "dtype") else short_form(value)).splitlines()
    except Exception as error:  # of somebody's __repr__
        return [f"(cannot be shown: {type(error).__name__}: {error})"]
    return lines if len(lines) <= _LINES else [*lines[:_LINES], "…"]
