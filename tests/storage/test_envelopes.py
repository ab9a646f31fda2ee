"""Blobs compressed, blobs and lineages signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core.errors import ConfigurationError, CorruptError
from prefect_helix.core.rulings import Revocation
from prefect_helix.storage import compression
from prefect_helix.storage import known as known_module
from prefect_helix.storage.blob import ChangedWhileWritingError
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.codec import encode
from prefect_helix.storage.signing import SEAL_BYTES
from prefect_helix.storage.store import open_store

from .conftest import OpenStore
from .test_index import Past, committed

RANDOM = np.random.default_rng(1)
VALUES: dict[str, Any] = {
    "nothing": None,
    "an empty array": np.empty(0),
    "zeros": np.zeros(3_000_000),
    "noise": RANDOM.integers(0, 256, 12_000_000, "u1"),
    "both": [np.zeros(700_000), RANDOM.integers(0, 256, 5_600_000, "u1"), "text" * 1000],
    "a frame": pd.DataFrame({"word": [f"word {i % 100}" for i in range(100_000)], "x": RANDOM.random(100_000)}),
}
METHODS = ["zstd", "lz4"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_compressed_blobs_come_back_under_the_same_name(opens: OpenStore, method: str, value: Any) -> None:
    store, encoded = opens(compression=method), encode(value)
    store.put_blob(encoded)
    for reader in (store, opens()):
        assert encode(reader.get_blob(encoded.name)).name == encoded.name


@pytest.mark.parametrize("method", METHODS)
def test_what_shrinks_is_stored_small_and_noise_as_it_is(tmp_path: Path, method: str) -> None:
    store = open_store(tmp_path, compression=method)
    sizes = {}
    for name, value in VALUES.items():
        encoded = encode(value)
        store.put_blob(encoded)
        sizes[name] = store.blobs()[encoded.name] / encoded.size_bytes
    assert sizes["zeros"] < 0.01
    assert 1 < sizes["noise"] < 1.001
    assert 0.45 < sizes["both"] < 0.55


@pytest.mark.parametrize("method", METHODS)
def test_no_damage_to_a_compressed_blob_gives_another_value(tmp_path: Path, method: str) -> None:
    store = open_store(tmp_path, compression=method)
    encoded = encode({"x": np.arange(300), "y": "text" * 100})
    store.put_blob(encoded)
    path = tmp_path / "blobs" / encoded.name[:2] / encoded.name
    whole = path.read_bytes()
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            try:
                found = store.get_blob(encoded.name)
            except CorruptError:
                continue
            assert encode(found).name == encoded.name  # a byte that says nothing


def test_a_value_changed_while_it_is_compressed_leaves_no_blob(tmp_path: Path) -> None:
    store, array = open_store(tmp_path, compression="zstd"), np.zeros(1000)
    encoded = encode(array)
    array[0] = 1
    with pytest.raises(ChangedWhileWritingError):
        store.put_blob(encoded)
    assert store.blobs() == {}


def test_a_method_that_is_not_there_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="'zstd', 'lz4', 'none'"):
        open_store(tmp_path, compression="gzip")
    open_store(tmp_path, compression="none")
    store, encoded = open_store(tmp_path, compression="zstd"), encode(np.zeros(1000))
    store.put_blob(encoded)

    def absent() -> Any:
        raise ImportError("No module named 'zstandard'")

    monkeypatch.setitem(compression._METHODS, "zstd", compression._Method("zstandard", absent))
    with pytest.raises(ConfigurationError, match="pip install 'prefect-helix\\[compression\\]'"):
        open_store(tmp_path, compression="zstd")
    with pytest.raises(CorruptError, match="zstandard is not installed"):
        open_store(tmp_path).get_blob(encoded.name)


# -- signing -----------------------------------------------------------------------------------------------------

KEY, OTHER = b"a key of 32 bytes, more or less.", b"another key"
LARGE = np.arange(1_000_000.0)


@pytest.mark.parametrize("method", [None, *METHODS])
@pytest.mark.parametrize("value", [7, LARGE], ids=["small", "large"])
def test_a_signed_blob_is_read_with_its_key_and_without_any(opens: OpenStore, method: str | None, value: Any) -> None:
    encoded = encode(value)
    opens(key=KEY, compression=method).put_blob(encoded)
    for key in (KEY, None):
        assert encode(opens(key=key).get_blob(encoded.name)).name == encoded.name
    with pytest.raises(CorruptError, match="not signed with the key"):
        opens(key=OTHER).get_blob(encoded.name)


def test_what_is_not_signed_is_not_loaded_with_a_key(opens: OpenStore) -> None:
    encoded = encode(7)
    opens().put_blob(encoded)
    opens().write("a/b", [b"1"])
    with pytest.raises(CorruptError):
        opens(key=KEY).get_blob(encoded.name)
    with pytest.raises(CorruptError):
        opens(key=KEY).read("a/b")


def test_a_seal_holds_for_one_place_and_one_content(opens: OpenStore) -> None:
    signed, plain = opens(key=KEY), opens()
    signed.write("a/b", [b"one"])
    whole = signed.read_range("a/b", 0, 1000)
    assert (signed.read("a/b"), plain.read("a/b"), len(whole)) == (b"one", b"one", SEAL_BYTES + 3)
    for path, data in (("a/c", whole), ("a/b", whole[:-1] + b"x"), ("a/b", whole + b"x"), ("a/b", whole[1:])):
        plain.write(path, [data])
        with pytest.raises(CorruptError):
            signed.read(path)


def test_a_mapped_array_in_a_sealed_blob_is_aligned(tmp_path: Path) -> None:
    store, encoded = open_store(tmp_path, key=KEY), encode(LARGE)
    store.put_blob(encoded)
    loaded: Any = store.get_blob(encoded.name)
    assert loaded.__array_interface__["data"][0] % 64 == 0
    np.testing.assert_array_equal(loaded, LARGE)


def test_lineages_rulings_and_indexes_of_others_do_not_count(opens: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_module, "COVERED_LINEAGES", 4)
    ours, theirs = opens(key=KEY), opens()
    made = committed(Catalog(ours), 5)
    foreign = Past(2)
    foreign.runs = 100
    for _ in range(3):
        Catalog(theirs).commit(foreign.run())
    Catalog(theirs).rule(Revocation("theirs", 10**15))
    Catalog(ours).rule(Revocation("ours", 5, tasks=("nobody",)))
    known = Catalog(opens(key=KEY)).read()
    assert known.lineages == tuple(made)
    assert [one.id for one in known.rulings.all] == ["ours"]
    assert len(known.problems) >= 4
    (index,) = ours.list("index")
    assert known.index is not None
    whole = ours.read_range(index.path, 0, index.size_bytes)
    theirs.write(index.path, [whole[SEAL_BYTES:]])
    for entry in ours.list("lineage")[:4]:
        ours.delete(entry.path)
    assert Catalog(ours).read().index is None
