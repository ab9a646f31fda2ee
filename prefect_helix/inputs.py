"""What a call is given on a cluster: what is in the memory of workers, and what it brings along."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import uuid4

import cloudpickle

from prefect_helix.runtime.arguments import immutable
from prefect_helix.runtime.execution import digest_of
from prefect_helix.runtime.nodes import Cell
from prefect_helix.workers import PlainResult

Handle: TypeAlias = Any
"""What a cluster calls a value that is on it: a Dask future, a Ray object reference."""


@dataclass
class Inputs:
    """What a task run is given from the memory of workers.

    Attributes:
        parameters: Where each goes.
        handles: What each is.
        sources: What gave each, and its digest as far as that was known.
    """

    parameters: list[str] = field(default_factory=list)
    handles: list[Handle] = field(default_factory=list)
    sources: list[tuple[Cell | PlainResult, str | None]] = field(default_factory=list)

    def add(self, parameter: str, handle: Handle, source: Cell | PlainResult) -> None:
        """Take note of one."""
        self.parameters.append(parameter)
        self.handles.append(handle)
        self.sources.append((source, _digest_of(source)))

    def made(self) -> list[tuple[str | None, int | None]]:
        """Return the digest that each had when it was made; if None, its state tells it, by the leaf that was taken.

        What was not known yet is asked again: a state that Dask made once more would tell of something else.
        """
        leaves = [source.leaf if isinstance(source, Cell) else None for source, _ in self.sources]
        digests = [digest or _digest_of(source) for source, digest in self.sources]
        return list(zip(digests, leaves, strict=True))


class Luggage:
    """What a call brings along, copied before the call is submitted.

    Dask reads the memory of arrays some time after that, when the flow may have changed them. All goes in one copy, so
    that what two arguments share is shared where they arrive.

    Args:
        handles: The class of what the cluster replaces by a value that it has, if it does.
    """

    def __init__(self, *handles: type) -> None:
        self._handles = handles
        self._values: list[object] = []
        self._copy = b""

    def add(self, value: object) -> object:
        """Return what arrives as the value; the value itself if nobody can change it, or it is a handle."""
        if immutable(value) or issubclass(type(value), self._handles):
            return value
        self._values.append(value)
        return _Packed(self, len(self._values) - 1)

    def pack(self) -> None:
        """Make the copy, of all that was added."""
        self._copy = cloudpickle.dumps(self._values)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return cloudpickle.loads, (pickle.PickleBuffer(self._copy),)


class _Packed:
    """A value in the luggage of a call; where it arrives, it is that value."""

    def __init__(self, luggage: Luggage, position: int) -> None:
        self._luggage = luggage
        self._position = position

    def __dask_tokenize__(self) -> str:
        """Return a name, which Dask puts into that of the call: it would unpack all of the luggage to make one."""
        return uuid4().hex

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return operator.getitem, (self._luggage, self._position)


def _digest_of(source: Cell | PlainResult) -> str | None:
    """Return the digest of what a task gave, or of a part of it; None where that is not known, or it has none."""
    if isinstance(source, PlainResult):
        return source.content
    result, leaf = source.node.result, source.leaf
    if result is None or (leaf is not None and leaf >= len(result.leaves)):
        return None
    return digest_of(result, leaf)
