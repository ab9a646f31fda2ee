"""What running flows are about to load and to compute, so that others make room elsewhere.

    leases/<run_id>.json    the blobs a run may still load, the calls it is computing if others may wait for them

A lease is economy, not safety. Whoever finds a blob gone computes what it held, a mapped file stays readable after it
is removed, and blobs are never changed; so a lease that is late, lost or overlooked costs time and nothing else. That
is why nobody takes a lock, or checks a lease again after reading it.

A lease reserves no bytes. What a run is about to write changes many times between two beats, so whoever counted it
would count what is written already a second time, and remove what there is room for. Instead every run looks at what
others wrote before it writes: together they exceed a budget by what they write between two looks, and the last of them
to end removes that.

A run writes its lease when it begins, again every `BEAT_SECONDS` while it lasts, and removes it when it ends. The lease
of a run that was killed grows old: after `EXPIRY_US` without a beat it holds no longer. Ages are differences between
times the store itself gave to objects, so that clocks of machines that disagree keep nothing alive and kill nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from prefect_helix.core.errors import BlobMissingError, CorruptError
from prefect_helix.storage.backend import Entry
from prefect_helix.storage.segments import BadLineError, encode_line, parse_line
from prefect_helix.storage.store import Store

BEAT_SECONDS = 60.0
EXPIRY_US = 10 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Lease:
    """What a run needs of the store.

    Attributes:
        run_id: The run.
        blobs: Names of the blobs it may still load.
        claims: Signatures of the calls that it is computing.
    """

    run_id: str
    blobs: frozenset[str]
    claims: frozenset[str] = frozenset()


def beat(store: Store, lease: Lease) -> None:
    """Write a lease, or write it again.

    Raises:
        StoreError: If the store refuses.
    """
    needs = {"blobs": sorted(lease.blobs), "claims": sorted(lease.claims)}
    store.write(_path(lease.run_id), [encode_line(needs)])


def end(store: Store, run_id: str) -> None:
    """Remove the lease of a run; one that is not there is removed.

    Raises:
        StoreError: If the store refuses.
    """
    store.delete(_path(run_id))


def in_force(store: Store, now_us: int = 0) -> list[Lease]:
    """Return the leases that hold. One that is damaged does not.

    Args:
        store: Where they are.
        now_us: The time by the store's clock, as far as known; a newer lease tells better.

    Raises:
        StoreError: If the store refuses.
    """
    entries = store.list("leases")
    now_us = max([now_us, *(entry.modified_us for entry in entries)])
    return [*_read(store, (entry for entry in entries if entry.modified_us >= now_us - EXPIRY_US))]


def expired(store: Store, now_us: int) -> list[Entry]:
    """Return the leases of runs that ended without a word.

    Raises:
        StoreError: If the store refuses.
    """
    return [entry for entry in store.list("leases") if entry.modified_us < now_us - EXPIRY_US]


def needed_blobs(leases: Collection[Lease]) -> set[str]:
    """Return the blobs that any of these runs may load."""
    return {name for lease in leases for name in lease.blobs}


def _read(store: Store, entries: Iterator[Entry]) -> Iterator[Lease]:
    for entry in entries:
        try:
            needs = parse_line(store.read(entry.path).rstrip(b"\n"))
            yield Lease(PurePosixPath(entry.path).stem, frozenset(needs["blobs"]), frozenset(needs["claims"]))
        except (BlobMissingError, CorruptError, BadLineError, KeyError, TypeError):
            continue  # it has ended, or says nothing


def _path(run_id: str) -> str:
    return f"leases/{run_id}.json"
