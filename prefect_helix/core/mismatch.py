"""How a value differs from what it was recorded to be, in a line for people.

Array and frame libraries are looked up where they are used: a value of their types is there only if the caller has
loaded them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from prefect_helix.core.digest import digest
from prefect_helix.core.errors import UndigestibleError
from prefect_helix.core.short import HIDDEN, attributes, excerpts, has_shape, is_secret, short_form

MAX_PARTS = 3
"""Differences that are told one by one."""

MAX_DEPTH = 8
_SHOWN_CHARACTERS = 60

_Parts = Iterator[tuple[str, str]]


def mismatch(recorded: object, now: object) -> str:
    """Return how two values that have different digests differ: where, and what each has there.

    Args:
        recorded: What it was.
        now: What it is.

    Complexity: a few passes over both.
    """
    parts = [*islice(_unlike("", recorded, now, MAX_DEPTH), MAX_PARTS + 1)]
    told = "; ".join(f"{path}: {text}" if path else text for path, text in parts[:MAX_PARTS])
    more = "; and more" if len(parts) > MAX_PARTS else ""
    return (told or f"a {_type(now)} with the same content, built otherwise") + more


def by_digest(recorded: str | None, now: str | None) -> str:
    """Return how two values differ of which no more is known than their digests."""
    shown = ((one or "none")[:_HASH_CHARACTERS] for one in (recorded, now))
    return "recorded digest {}, now {}".format(*shown)


_HASH_CHARACTERS = 12


def _unlike(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    """Yield where two values differ, as a path into them, and how."""
    if _same(recorded, now):
        return
    if type(recorded) is not type(now):
        yield path, f"recorded {_type(recorded)} {_shown(recorded)}, now {_type(now)} {_shown(now)}"
        return
    compare = _comparison(now) if depth else None
    found = False
    for part in compare(path, recorded, now, depth - 1) if compare else ():
        found = True
        yield part
    if not found and compare is _attributes:
        yield path, by_digest(digest(recorded).hex, digest(now).hex)
    elif not found:
        yield path, f"recorded {_shown(recorded, now)}, now {_shown(now, recorded)}{_step(recorded, now)}"


def _comparison(value: Any) -> Callable[[str, Any, Any, int], _Parts] | None:
    """Return what compares two values of this type part by part; None where a value has no parts."""
    np, pd = sys.modules.get("numpy"), sys.modules.get("pandas")
    if isinstance(value, Mapping):
        return _mappings
    if isinstance(value, (list, tuple)) and not attributes(value):
        return _sequences
    if isinstance(value, (set, frozenset)):
        return _sets
    if np is not None and type(value) in (np.ndarray, np.memmap, np.recarray):
        return _arrays
    if pd is not None and isinstance(value, pd.DataFrame):
        return _frames
    if pd is not None and isinstance(value, pd.Series):
        return _series
    return _attributes if attributes(value) else None


def _mappings(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    for key in (key for key in recorded if key not in now):
        yield f"{path}[{_shown(key)}]", "recorded, and gone now"
    for key in (key for key in now if key not in recorded):
        yield f"{path}[{_shown(key)}]", "new, not recorded"
    if recorded.keys() == now.keys() and [*recorded] != [*now]:
        yield path, "the same keys in another order"
    for key in (key for key in recorded if key in now):
        yield from _named(f"{path}[{_shown(key)}]", key, recorded[key], now[key], depth)


def _sequences(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    if len(recorded) != len(now):
        yield path, f"recorded {len(recorded)} items, now {len(now)}"
    for index, (one, other) in enumerate(zip(recorded, now, strict=False)):
        yield from _unlike(f"{path}[{index}]", one, other, depth)


def _sets(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    for text, items in (("gone now", recorded - now), ("new", now - recorded)):
        if items:
            yield path, f"{len(items)} {text}, such as {_shown(min(items, key=repr))}"


def _attributes(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    before, after = attributes(recorded), attributes(now)
    for name in (name for name in before if name in after):
        yield from _named(f"{path}.{name}", name, before[name], after[name], depth)


def _is_secret(name: object) -> bool:
    if isinstance(name, tuple):  # a label of several levels
        return any(map(_is_secret, name))
    return isinstance(name, str) and is_secret(name)


def _named(path: str, name: object, recorded: Any, now: Any, depth: int) -> _Parts:
    """Yield how what goes by a name differs; of a secret only that it does."""
    if _is_secret(name):
        if not _same(recorded, now):
            yield path, f"recorded {HIDDEN}, now another one"
        return
    yield from _unlike(path, recorded, now, depth)


# -- arrays and frames ---------------------------------------------------------------------------------------------


def _arrays(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    np: Any = sys.modules["numpy"]
    if recorded.dtype != now.dtype or recorded.shape != now.shape:
        yield path, f"recorded {recorded.dtype} {[*recorded.shape]}, now {now.dtype} {[*now.shape]}"
    elif now.dtype.names:
        for name in now.dtype.names:
            yield from _named(f"{path}[{_shown(name)}]", name, recorded[name], now[name], depth)
    elif now.dtype.hasobject:
        yield from _unlike(path, recorded.tolist(), now.tolist(), depth)
    else:
        unlike = recorded != now
        if now.dtype.kind in "fcmM":  # what is no number is not equal to itself
            unlike = unlike & ~((recorded != recorded) & (now != now))
        places = np.argwhere(unlike)
        if not len(places):
            yield path, "the same elements, otherwise in memory"
            return
        first = tuple(places[0])
        yield (
            path,
            f"{len(places)} of {now.size} elements differ{_at_most(recorded[unlike], now[unlike])}; first "
            f"{[int(index) for index in first]}: recorded {recorded[first]}, now {now[first]}",
        )


def _frames(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    before, after = [*recorded.columns], [*now.columns]
    if lost := [name for name in before if name not in after]:
        yield path, f"without recorded columns {_names(lost)}"
    if new := [name for name in after if name not in before]:
        yield path, f"with new columns {_names(new)}"
    if not (lost or new) and before != after:
        yield path, "columns in another order"
    if len(recorded) != len(now):
        yield path, f"recorded {len(recorded)} rows, now {len(now)}"
        return
    yield from _labels(path, recorded.index, now.index)
    for place, name in enumerate(before):
        if before == after or before.count(name) == after.count(name) == 1:
            other = place if before == after else after.index(name)
            cells = recorded.iloc[:, place], now.iloc[:, other]
            compared = _named(path, name, *cells, depth) if _is_secret(name) else _cells(path, *cells)
            yield from ((f"{path}[{_shown(name)}]", text) for _, text in compared)


def _series(path: str, recorded: Any, now: Any, depth: int) -> _Parts:
    if recorded.name != now.name:
        yield path, f"recorded name {_shown(recorded.name)}, now {_shown(now.name)}"
    if len(recorded) != len(now):
        yield path, f"recorded {len(recorded)} values, now {len(now)}"
        return
    yield from _labels(path, recorded.index, now.index)
    yield from _named(path, now.name, recorded, now, depth) if _is_secret(now.name) else _cells(path, recorded, now)


def _labels(path: str, recorded: Any, now: Any) -> _Parts:
    if not _same(recorded, now):
        yield path, "other row labels"


def _cells(path: str, recorded: Any, now: Any) -> _Parts:
    np: Any = sys.modules["numpy"]
    if recorded.dtype != now.dtype:
        yield path, f"recorded {recorded.dtype}, now {now.dtype}"
        return
    before, after = recorded.array, now.array
    if now.dtype.kind == "O":
        unlike = np.array([not _same(*pair) for pair in zip(before, after, strict=True)], dtype=bool)
    else:
        missing = np.asarray(recorded.isna()), np.asarray(now.isna())
        equal = np.asarray((recorded.reset_index(drop=True) == now.reset_index(drop=True)).fillna(value=False))
        unlike = ~(equal.astype(bool) | (missing[0] & missing[1]))
    places = np.flatnonzero(unlike)
    if len(places):
        first = int(places[0])
        if any(map(_is_secret, now.index[places] if now.index.dtype.kind == "O" else ())):
            yield path, f"{len(places)} of {len(now)} cells differ: recorded {HIDDEN}, now others"
            return
        numbers = (np.asarray(one)[unlike] for one in (before, after))
        most = _at_most(*numbers) if now.dtype.kind in "iuf" else ""
        shown = f"recorded {_shown(before[first])}, now {_shown(after[first])}"
        yield path, f"{len(places)} of {len(now)} cells differ{most}; first in row {first}: {shown}"


def _at_most(recorded: Any, now: Any) -> str:
    """Return by how much elements of two arrays differ at most, where that is a number."""
    np: Any = sys.modules["numpy"]
    if now.dtype.kind not in "iufc":
        return ""
    wide = complex if now.dtype.kind == "c" else float
    with np.errstate(all="ignore"):
        apart = np.abs(recorded.astype(wide) - now.astype(wide))
    apart = apart[np.isfinite(apart)]
    return f" by up to {apart.max():.4g}" if apart.size else ""


# -- values --------------------------------------------------------------------------------------------------------


def _same(recorded: Any, now: Any) -> bool:
    """Return whether two values have the same digest; of what has none, nothing can be told."""
    if recorded is now:
        return True
    try:
        return digest(recorded).hex == digest(now).hex
    except UndigestibleError:
        return type(recorded) is type(now)


def _step(recorded: Any, now: Any) -> str:
    """Return how far a number has gone, if it is one."""
    if isinstance(now, (int, float)) and not isinstance(now, bool) and abs(now - recorded) < math.inf:
        return f" ({now - recorded:+.4g})"
    return ""


def _shown(value: Any, other: Any = None) -> str:
    """Return a value in short; of a long text what is not in the other one."""
    if isinstance(value, (str, bytes)) and type(other) is type(value):
        return excerpts(repr(value), repr(other), _SHOWN_CHARACTERS)[0]
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.generic):
        return HIDDEN if any(map(is_secret, value.dtype.names or ())) else str(value)
    text = short_form(value)
    return text if has_shape(value) or len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _names(columns: Collection[Any]) -> str:
    shown = ", ".join(_shown(name) for name in islice(columns, MAX_PARTS))
    return shown + (f" and {len(columns) - MAX_PARTS} more" if len(columns) > MAX_PARTS else "")


def _type(value: object) -> str:
    return type(value).__qualname__
