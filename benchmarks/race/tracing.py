"""Runs a version of a flow without Prefect and notes what the lower bound is made of: its calls.

For each call: its task; its key, which is the fingerprint of its code and the digests of its arguments; what its body
takes; what a load of its result takes at the least, which is to unpickle it with its arrays where they lie, for they
can be mapped; the calls whose results are in its arguments; and whether the flow reads its result.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

from prefect_helix.core.digest import digest
from prefect_helix.core.fingerprint import fingerprint

from .bound import Call

SCALARS = (bool, int, float, str, bytes, type(None))


class Tracer:
    """Calls functions and notes each call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.body_seconds = 0.0
        self._maker: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no other object gets an id that is known

    def __call__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function."""
        key = "-".join((fingerprint(fn).hash, digest(args).hex, digest(kwargs).hex))
        parents = self.makers((args, kwargs))
        started = time.perf_counter()
        result = fn(*args, **kwargs)
        seconds = time.perf_counter() - started
        self.body_seconds += seconds
        number = len(self.calls)
        self.calls.append(Call(fn.__name__, key, round(seconds * 1e6), _load_us(result), parents, _is_small(result)))
        self._alive.append(result)
        self._maker |= dict.fromkeys(map(id, _objects(result)), number)
        return result

    def makers(self, value: Any) -> tuple[int, ...]:
        """Return the numbers of the calls whose results are in a value."""
        return tuple(sorted({self._maker[id(part)] for part in _objects(value) if id(part) in self._maker}))


def _objects(value: Any) -> Iterator[Any]:
    if isinstance(value, SCALARS) or (isinstance(value, tuple) and not value):  # those are shared by all
        return
    yield value
    if isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _objects(part)


def _is_small(value: Any) -> bool:
    """Return whether a flow may have read it: numbers, words, and what is made of a few of them."""
    if isinstance(value, dict):
        return len(value) <= 100 and all(map(_is_small, value.values()))
    if isinstance(value, (list, tuple)):
        return len(value) <= 100 and all(map(_is_small, value))
    return isinstance(value, SCALARS)


def _load_us(value: Any) -> int:
    buffers: list[pickle.PickleBuffer] = []
    stored = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    started = time.perf_counter()
    pickle.loads(stored, buffers=buffers)
    return round((time.perf_counter() - started) * 1e6)
