"""Short forms of values for people: what a constant or an argument is, never the content of a large one or a secret."""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections.abc import Mapping
from typing import Any

HIDDEN = "********"

_SECRET = re.compile(r"secret|passw|token|credential|api_?key|private_?key", re.IGNORECASE)
_CONTEXT = 12
_CUT = "…"
_LONGEST = 400
_SHAPED = {("numpy", "ndarray"), ("pandas", "DataFrame"), ("pandas", "Series")}


def is_secret(name: str) -> bool:
    """Return whether a variable or parameter of that name is likely to hold a secret."""
    return _SECRET.search(name) is not None


def attributes(value: object) -> Mapping[str, Any]:
    """Return the attributes that an object holds its content in, fields of a named tuple included."""
    if isinstance(value, type) or callable(value):
        return {}
    if isinstance(value, tuple):
        return dict(zip(getattr(value, "_fields", ()), value, strict=False))
    if dataclasses.is_dataclass(value):
        return {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}
    return getattr(value, "__dict__", {})


def has_shape(value: object) -> bool:
    """Return whether `value` is an array, a frame or a series, whose short form tells type and shape."""
    cls = type(value)
    return (cls.__module__.partition(".")[0], cls.__qualname__) in _SHAPED


def short_form(value: object) -> str:
    """Return `value` as text of some hundred characters; of an array or a frame its type, shape and ends.

    Complexity: bounded, whatever the size of the value.
    """
    text = _FORMS.repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + _CUT


def excerpts(before: str, after: str, limit: int = 60) -> tuple[str, str]:
    """Return two texts cut to where they differ, so that the difference is seen within `limit` characters of each."""
    if max(len(before), len(after)) <= limit:
        return before, after
    common = min(len(before), len(after))
    differs = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), common)
    start = max(0, differs - _CONTEXT)
    return _cut(before, start, limit), _cut(after, start, limit)


def _cut(text: str, start: int, limit: int) -> str:
    end = start + limit - 1
    return f"{_CUT if start else ''}{text[start:end]}{_CUT if end < len(text) else ''}"


class _Hidden:
    """What stands for a secret."""


_HIDDEN = _Hidden()


class _Forms(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxstring = self.maxlong = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        huge = x.bit_length() > 4 * self.maxlong  # Python refuses to write it out
        return f"<int of {x.bit_length()} bits>" if huge else super().repr_int(x, level)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        named = {key: _HIDDEN if isinstance(key, str) and is_secret(key) else value for key, value in x.items()}
        return super().repr_dict(named, level)

    def repr__Hidden(self, x: _Hidden, level: int) -> str:
        return HIDDEN

    def repr1(self, x: Any, level: int) -> str:
        if not has_shape(x):
            if type(x).__module__ != "builtins" and any(is_secret(str(name)) for name in attributes(x)):
                return f"<{type(x).__qualname__}>"
            return super().repr1(x, level)
        dtype = f" {x.dtype}" if hasattr(x, "dtype") else ""
        ends = ""
        if type(x).__name__ == "ndarray" and x.size > 1 and x.dtype.kind in "biufc":
            ends = f": {x.flat[0]} {_CUT} {x.flat[-1]}"
        return f"<{type(x).__name__}{dtype} {list(x.shape)}{ends}>"


_FORMS = _Forms()
