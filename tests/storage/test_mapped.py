"""What was loaded and left alone is known without being read, and what was changed never."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix.core import digest_writer
from prefect_helix.core.digest import digest
from prefect_helix.storage import mapped, watched
from prefect_helix.storage.codec import encode
from prefect_helix.storage.local import MAP_FROM_BYTES
from prefect_helix.storage.mapped import Look, known_among, known_hash
from prefect_helix.storage.store import open_store
from prefect_helix.storage.verified import stamp_of

from .conftest import count_hashes

LENGTH = MAP_FROM_BYTES // 4

told = pytest.mark.skipif(not mapped._is_told(), reason="this kernel does not tell which pages were written")


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known but of maps."""
    monkeypatch.setattr(watched, "_watch", lambda: None)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the long buffers that were read to be hashed."""
    return count_hashes(monkeypatch, digest_writer)


def stored(folder: Path, value: object) -> Callable[[], Any]:
    """Store a value; return what loads it."""
    store, encoded = open_store(folder), encode(value)
    store.put_blob(encoded)
    return lambda: store.get_blob(encoded.name)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(LENGTH) * 0.5, "b": np.arange(LENGTH, 0, -1) * 0.5, "c": np.arange(LENGTH)})


VALUES = {
    "array": lambda: np.arange(LENGTH),
    "fortran": lambda: np.asfortranarray(np.arange(LENGTH).reshape(-1, 64)),
    "arrays": lambda: [np.arange(LENGTH), {"b": np.arange(LENGTH) * 0.5}],
    "frame": frame,
}


@told
@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_what_was_loaded_is_known_without_being_read(tmp_path: Path, make: Any, hashed: list[int]) -> None:
    loaded = stored(tmp_path, make())()
    assert digest(loaded, known_hash) == digest(make())
    read = sum(hashed)
    assert digest(loaded, known_hash) == digest(make())
    assert sum(hashed) == 2 * read == 2 * sum(map(len, (buffer for buffer in _buffers(make()))))


def _buffers(value: object) -> list[Any]:
    return [chunk for chunk in encode(value).chunks if len(chunk) >= digest_writer.LONG_BYTES]


@pytest.mark.parametrize("at", [0, LENGTH // 2, LENGTH - 1])
def test_one_changed_element_is_seen(tmp_path: Path, at: int) -> None:
    loaded = stored(tmp_path, np.arange(LENGTH))()
    loaded.sum()
    loaded[at] = -1
    expected = np.arange(LENGTH)
    expected[at] = -1
    assert digest(loaded, known_hash) == digest(expected)


@told
def test_a_change_that_was_taken_back_is_none(tmp_path: Path, hashed: list[int]) -> None:
    loaded = stored(tmp_path, np.arange(LENGTH))()
    loaded[5] += 1
    loaded[5] -= 1
    assert digest(loaded, known_hash) == digest(np.arange(LENGTH))
    assert len(hashed) == 2


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the buffers that a look has read, for nothing was known of them."""
    return count_hashes(monkeypatch, watched)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the pieces of memory that the kernel was asked about."""
    lengths: list[int] = []
    states = mapped._states

    def counting(place: watched.Place) -> set[int] | None:
        lengths.append(place[1])
        return states(place)

    monkeypatch.setattr(mapped, "_states", counting)
    return lengths


@told
def test_one_look_at_a_value_goes_through_its_map_once(tmp_path: Path, asked: list[int], read: list[int]) -> None:
    loaded = stored(tmp_path, frame())()
    del read[:]
    assert digest(loaded, Look().hash_of) == digest(frame())
    assert (read, len(asked)) == ([], 1)


@told
@pytest.mark.parametrize("column", ["a", "c"])
def test_a_look_at_a_map_that_was_written_to_reads_what_was(
    tmp_path: Path, asked: list[int], read: list[int], column: str
) -> None:
    loaded = stored(tmp_path, frame())()
    expected = frame()
    for each in (loaded, expected):
        each.loc[LENGTH // 2, column] = -1
    del read[:]
    assert digest(loaded, Look().hash_of) == digest(expected)
    assert len(read) == 1
    assert len(asked) == 1 + 2  # the map, and its two blocks


@told
def test_each_look_asks_anew(tmp_path: Path) -> None:
    loaded = stored(tmp_path, np.arange(LENGTH))()
    first = Look()
    assert digest(loaded, first.hash_of) == digest(np.arange(LENGTH))
    loaded[7] = -1
    expected = np.arange(LENGTH)
    expected[7] = -1
    assert digest(loaded, Look().hash_of) == digest(expected)


def test_who_loads_the_same_again_does_not_see_the_change(tmp_path: Path) -> None:
    load = stored(tmp_path, np.arange(LENGTH))
    first, second = load(), load()
    first[:] = 0
    assert digest(second, known_hash) == digest(np.arange(LENGTH))
    assert digest(first, known_hash) == digest(np.zeros(LENGTH, int))


@told
def test_every_page_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = stored(tmp_path, np.arange(LENGTH))()
    monkeypatch.setattr(mapped, "_READ_BYTES", 64)
    assert known_hash(loaded.view(np.uint8)) is not None
    loaded[-1] = 0
    assert known_hash(loaded.view(np.uint8)) is None


@told
def test_nothing_is_known_of_a_map_that_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * MAP_FROM_BYTES)
    with path.open("rb") as file:
        source = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    with memoryview(source) as view:
        mapped.note(view, [(view, b"checksum")], path, stamp_of(path.stat()))
        assert known_hash(view) == b"checksum"
    source.close()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as other, memoryview(other) as view:
        assert known_hash(view) is None


def test_what_was_encoded_stays_where_it_was() -> None:
    strided = np.arange(1 << 16)[::2]
    known = known_among([encode(strided)])
    others = [np.full(1 << 15, i) for i in range(8)]
    assert [digest(other, known) for other in others] == [digest(other) for other in others]


def test_a_buffer_is_known_by_its_place_and_its_length() -> None:
    whole = np.arange(1 << 16)
    assert digest(whole[: 1 << 15], known_among([encode(whole)])) == digest(whole[: 1 << 15])


def test_a_part_of_it_is_read(tmp_path: Path) -> None:
    loaded = stored(tmp_path, np.arange(LENGTH))()
    for part in (loaded[1:], loaded[:-1], loaded[::2]):
        assert digest(part, known_hash) == digest(part)
        assert digest(part.copy(), known_hash) == digest(part.copy())


@told
def test_nothing_is_known_of_a_map_that_is_gone(tmp_path: Path) -> None:
    load = stored(tmp_path, np.arange(LENGTH))
    before = len(mapped._parts)
    loaded = load()
    assert len(mapped._parts) == before + 1
    del loaded
    assert len(mapped._parts) == before


def removed(path: Path) -> None:
    path.unlink()


def written(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"damage")


def touched(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.parametrize("harm", [removed, written, touched])
def test_of_a_file_that_was_touched_nothing_is_known(tmp_path: Path, harm: Any, hashed: list[int]) -> None:
    loaded = stored(tmp_path, np.arange(LENGTH))()
    harm(next(path for path in tmp_path.rglob("blobs/*/*") if path.is_file()))
    assert digest(loaded, known_hash) == digest(loaded)
    assert len(hashed) == 2


def test_where_the_kernel_does_not_tell_everything_is_read(
    tmp_path: Path, hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = stored(tmp_path, np.arange(LENGTH))()
    monkeypatch.setattr(mapped, "_PAGEMAP", tmp_path / "pagemap")
    assert digest(loaded, known_hash) == digest(np.arange(LENGTH))
    assert len(hashed) == 2
    mapped._is_told.cache_clear()
    assert not mapped._is_told()
    mapped._is_told.cache_clear()


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_what_was_just_encoded_is_not_read_again(make: Any, hashed: list[int]) -> None:
    value = make()
    known = known_among([encode(value)])
    expected = digest(value)
    hashed.clear()
    assert digest(value, known) == expected
    assert not hashed
