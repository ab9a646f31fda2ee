"""Short forms of values for people: what a constant or an argument is, never the content of a large one or a secret."""

from __future__ import annotations

import re
import reprlib
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


class _Forms(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxstring = self.maxlong = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        huge = x.bit_length() > 4 * self.maxlong  # Python refuses to write it out
        return f"<int of {x.bit_length()} bits>" if huge else super().repr_int(x, level)

    def repr1(self, x: Any, level: int) -> str:
        if not has_shape(x):
            return super().repr1(x, level)
        dtype = f" {x.dtype}" if hasattr(x, "dtype") else ""
        ends = ""
        if type(x).__name__ == "ndarray" and x.size > 1 and x.dtype.kind in "biufc":
            ends = f": {x.flat[0]} {_CUT} {x.flat[-1]}"
        return f"<{type(x).__name__}{dtype} {list(x.shape)}{ends}>"


_FORMS = _Forms()
