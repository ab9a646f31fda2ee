from __future__ import annotations

import pytest

from prefect_helix.storage import leases
from prefect_helix.storage.leases import EXPIRY_US, Lease
from prefect_helix.storage.store import Store

ONE, TWO = Lease("one", frozenset({"ab", "cd"}), frozenset({"signature"})), Lease("two", frozenset({"cd", "ef"}))


def test_leases_come_back_and_end(store: Store) -> None:
    for lease in (ONE, TWO, ONE):
        leases.beat(store, lease)
    assert leases.in_force(store) == [ONE, TWO]
    assert leases.needed_blobs([ONE, TWO]) == {"ab", "cd", "ef"}
    leases.end(store, "one")
    leases.end(store, "one")
    assert leases.in_force(store) == [TWO]


def test_a_lease_without_a_beat_expires_by_the_stores_clock(store: Store) -> None:
    leases.beat(store, ONE)
    (entry,) = store.list("leases")
    now_us = entry.modified_us + EXPIRY_US
    assert (leases.in_force(store, now_us), leases.expired(store, now_us)) == ([ONE], [])
    assert (leases.in_force(store, now_us + 1), leases.expired(store, now_us + 1)) == ([], [entry])


@pytest.mark.parametrize("damage", [b"", b"[1]", b"no line", b'{"blobs": 3}'])
def test_a_damaged_lease_does_not_hold(store: Store, damage: bytes) -> None:
    leases.beat(store, ONE)
    store.write("leases/two.json", [damage])
    assert leases.in_force(store) == [ONE]
