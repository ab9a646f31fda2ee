"""A mapping that keeps what was put last."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were put last, by key. Any thread may use it.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[K, V] = {}
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value of a key, None if it is not kept."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value as the last one; those that were put the longest ago are let go."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            while len(self._values) > self._most:
                del self._values[next(iter(self._values))]

    def drop(self, key: K) -> None:
        """Keep the value of a key no longer."""
        with self._lock:
            self._values.pop(key, None)
