"""What is done to a value where it is: it is described, stored, loaded and taken apart there.

These functions travel to workers. They know values, results and stores, and nothing of nodes or plans.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from prefect_helix.core.errors import StoreError
from prefect_helix.core.lineage import Result
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.results import describe, skeleton_of, take_apart, try_digest
from prefect_helix.runtime.values import join
from prefect_helix.storage.blob import ChangedWhileWritingError
from prefect_helix.storage.store import Store


@dataclass(frozen=True)
class Account:
    """What a run has to know of a computed value that is elsewhere.

    Attributes:
        result: What the lineage says of it.
        sizes: Bytes to write to materialize it, by name of the blob.
        problem: Why it cannot be materialized, if so.
    """

    result: Result
    sizes: Mapping[str, int]
    problem: str | None = None


def account_for(value: object) -> Account:
    """Describe a computed value."""
    described = describe(value, ValueCode())
    return Account(
        result=described.result,
        sizes={piece.name: piece.size_bytes for piece in described.pieces},
        problem=described.problem,
    )


def is_changed(given: object, digest: str | None) -> bool:
    """Return whether an object is not what it was when it had that digest; one without digest is not looked at."""
    found = None if digest is None else try_digest(given)
    return digest is not None and (found is None or found.hex != digest)


def digest_of(result: Result, leaf: int | None) -> str | None:
    """Return the digest that a result, or a leaf of it, has to have."""
    return result.digest if leaf is None else result.leaves[leaf].digest


def store(value: object, into: Store, names: Collection[str]) -> None:
    """Write the blobs of those names, of which the value is made.

    Raises:
        ChangedWhileWritingError: If the value is no longer the one that was described; what changed is not written.
        StoreError: If the store refuses.
    """
    pieces = {piece.name: piece for piece in describe(value, ValueCode()).pieces}
    if not pieces.keys() >= set(names):
        raise ChangedWhileWritingError(type(value).__qualname__, "it was changed in place before it was written")
    for name in names:
        into.put_blob(pieces[name])


def load(result: Result, leaf: int | None, of: Store) -> tuple[object, int]:
    """Return a stored result, or one leaf of it, and how long that took in microseconds.

    Raises:
        StoreError: If a blob cannot be read.
    """
    started = time.perf_counter_ns()
    blobs = [one.blob for one in (result.leaves if leaf is None else [result.leaves[leaf]])]
    if None in blobs:
        raise StoreError(of.url, "load a result", "a part of it was never stored")
    parts = [of.get_blob(blob) for blob in blobs if blob is not None]
    value = parts[0] if leaf is not None else join(skeleton_of(result, of.get_blob), parts)
    return value, (time.perf_counter_ns() - started) // 1000


def part(value: object, leaf: int) -> object:
    """Return one large part of a value."""
    return take_apart(value)[1][leaf]
