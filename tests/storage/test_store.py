from __future__ import annotations

import contextlib
import os
import pickle
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.registry import known_implementations

from prefect_helix.core.errors import BlobMissingError, ConfigurationError, CorruptError, StoreError
from prefect_helix.storage import local
from prefect_helix.storage.backend import Entry
from prefect_helix.storage.blob import ChangedWhileWritingError
from prefect_helix.storage.codec import encode
from prefect_helix.storage.store import Store, open_store

BIG = 6 << 20


# The contract of every store.


def test_what_was_written_is_read(store: Store) -> None:
    assert store.write("a/b/c.txt", [b"one", memoryview(b"two"), b""]) == 6
    assert store.read("a/b/c.txt") == b"onetwo"


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.write("empty", [])
    assert store.read("empty") == b""


def test_a_second_write_replaces_the_whole_object(store: Store) -> None:
    store.write("x", [b"a long first text"])
    store.write("x", [b"short"])
    assert store.read("x") == b"short"


def test_reading_what_is_missing_says_so(store: Store) -> None:
    with pytest.raises(BlobMissingError, match="computed again"):
        store.read("no/such")


def test_listings_are_recursive_sorted_and_fresh(store: Store) -> None:
    assert store.list("a") == []
    store.write("a/z", [b"12"])
    store.write("a/b/c", [b"123"])
    store.write("ab/d", [b"1"])
    assert store.list("a") == [Entry("a/b/c", 3), Entry("a/z", 2)]
    store.write("a/new", [b"1"])
    store.delete("a/z")
    assert [entry.path for entry in store.list("a")] == ["a/b/c", "a/new"]


def test_listings_are_fresh_when_another_store_object_writes(store: Store) -> None:
    other = pickle.loads(pickle.dumps(store))
    assert store.list("a") == []
    other.write("a/b", [b"1"])
    assert store.list("a") == [Entry("a/b", 1)]


def test_deleting_is_idempotent(store: Store) -> None:
    store.write("a/b", [b"1"])
    store.delete("a/b")
    store.delete("a/b")
    assert store.list("a") == []


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".aside/x", "a b", "a\n"])
def test_paths_that_leave_the_layout_are_refused(store: Store, path: str) -> None:
    for act in (store.read, store.list, store.delete, lambda path: store.write(path, [b""])):
        with pytest.raises(ValueError, match="not a path inside a store"):
            act(path)


def test_a_good_store_is_writable_and_left_as_it_was(store: Store) -> None:
    store.check_writable()
    assert store.list("probe") == []


def test_blobs_come_back_and_are_listed(store: Store) -> None:
    value = {"x": np.arange(1000.0).reshape(10, 100).T, "y": "text"}
    encoded = encode(value)
    store.put_blob(encoded)
    loaded: Any = store.get_blob(encoded.name)
    np.testing.assert_array_equal(loaded["x"], value["x"])
    assert loaded["y"] == "text"
    assert store.blobs() == {encoded.name: encoded.size_bytes}
    assert store.list("blobs") == [Entry(f"blobs/{encoded.name[:2]}/{encoded.name}", encoded.size_bytes)]


@pytest.mark.parametrize("size_bytes", [100, BIG])
def test_loaded_arrays_can_be_written_and_the_blob_stays(store: Store, size_bytes: int) -> None:
    encoded = encode(np.zeros(size_bytes, dtype="u1"))
    store.put_blob(encoded)
    loaded: Any = store.get_blob(encoded.name)
    loaded[:] = 1
    again: Any = store.get_blob(encoded.name)
    assert not again.any()


def test_a_loaded_array_outlives_its_blob(store: Store) -> None:
    encoded = encode(np.arange(BIG // 8))
    store.put_blob(encoded)
    loaded: Any = store.get_blob(encoded.name)
    store.delete_blob(encoded.name)
    assert loaded.sum() == np.arange(BIG // 8).sum()


def test_missing_blobs_say_so_and_deleting_them_is_fine(store: Store) -> None:
    name = "0" * 32
    store.delete_blob(name)
    with pytest.raises(BlobMissingError):
        store.get_blob(name)
    assert store.blobs() == {}


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 31, "G" * 32, "a" * 33, "0" * 32 + "\n"])
def test_names_that_are_none_are_missing_blobs(store: Store, name: str) -> None:
    with pytest.raises(BlobMissingError):
        store.get_blob(name)
    store.delete_blob(name)


def test_foreign_objects_among_the_blobs_are_no_blobs(store: Store) -> None:
    for path in ("blobs/readme.txt", f"blobs/ab/{'c' * 32}", f"blobs/ab/{'a' * 31}", f"blobs/x/ab/ab{'0' * 30}"):
        store.write(path, [b"x"])
    assert store.blobs() == {}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"",
        lambda data: b"not a blob",
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: b"".join(encode("another value").chunks),
    ],
    ids=["truncated", "extended", "empty", "foreign", "flipped", "of another name"],
)
def test_damaged_blobs_are_told_and_healed_by_writing_them_again(
    store: Store, damage: Callable[[bytes], bytes]
) -> None:
    encoded = encode(np.arange(100))
    path = f"blobs/{encoded.name[:2]}/{encoded.name}"
    store.write(path, [damage(b"".join(encoded.chunks))])
    with pytest.raises(CorruptError, match="computed again"):
        store.get_blob(encoded.name)
    store.put_blob(encoded)
    np.testing.assert_array_equal(store.get_blob(encoded.name), np.arange(100))


def test_a_value_changed_while_it_is_written_leaves_no_blob(store: Store) -> None:
    array = np.zeros(1000)
    encoded = encode(array)
    array[0] = 1
    with pytest.raises(ChangedWhileWritingError):
        store.put_blob(encoded)
    assert store.blobs() == {}


@pytest.mark.parametrize("death", [KeyboardInterrupt, ChangedWhileWritingError("x", "y"), StopAsyncIteration])
def test_an_interrupted_write_leaves_what_was_there(store: Store, death: Any) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half of"
        raise death

    store.write("x", [b"whole"])
    for path in ("x", "y"):
        with pytest.raises((KeyboardInterrupt, ChangedWhileWritingError, StoreError)):
            store.write(path, chunks())
    assert store.read("x") == b"whole"
    with pytest.raises(BlobMissingError):
        store.read("y")


def test_an_object_is_not_there_before_its_last_chunk(store: Store) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        assert store.list("a") == []
        with pytest.raises(BlobMissingError):
            store.read("a/x")
        yield b"whole"

    store.write("a/x", chunks())
    assert store.list("a") == [Entry("a/x", 9)]


def test_concurrent_writers_and_readers_of_one_blob_see_whole_blobs(
    store: Store, request: pytest.FixtureRequest
) -> None:
    encoded = encode(np.arange(50_000))
    start = threading.Barrier(8)
    # rclone's server takes an object away for a moment where it is written again. It still gives no part of one.
    gaps = request.node.callspec.params["opens"] == "rclone"

    def work(_: int) -> None:
        start.wait()
        for _ in range(5):
            store.put_blob(encoded)
            with contextlib.suppress(*[BlobMissingError] * gaps):
                assert int(store.get_blob(encoded.name).sum()) == 1249975000  # type: ignore[attr-defined]
        assert gaps or len(store.blobs()) == 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(store.blobs()) == 1


def test_a_store_travels_to_another_process(store: Store) -> None:
    store.write("x", [b"1"])
    other = pickle.loads(pickle.dumps(store))
    assert (other.url, other.read("x")) == (store.url, b"1")


# Local stores.


def test_opening_touches_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    assert store.list("blobs") == []
    assert not (tmp_path / "store").exists()


def test_home_is_expanded_and_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert open_store("~/a").url == open_store("a").url == open_store(f"file://{tmp_path}/a").url == str(tmp_path / "a")


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_files_have_the_permissions_the_umask_grants(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        open_store(tmp_path).write("a/x", [b"1"])
    finally:
        os.umask(before)
    assert (tmp_path / "a/x").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o777 & ~umask


def test_what_killed_writers_left_is_not_listed_and_goes_after_a_day(tmp_path: Path) -> None:
    aside = tmp_path / ".aside"
    aside.mkdir()
    for name, age_s in {"old": 25 * 3600, "young": 3600}.items():
        (aside / name).write_bytes(b"half")
        os.utime(aside / name, (time.time() - age_s,) * 2)
    store = open_store(tmp_path)
    store.write("x/y", [b"1"])
    assert [path.name for path in aside.iterdir()] == ["young"]
    assert store.list("x") == [Entry("x/y", 1)]


def test_what_cannot_be_removed_from_aside_keeps_nobody_from_writing(tmp_path: Path) -> None:
    """As what a killed run of another user left, in a folder where everybody may remove his own files only."""
    left = tmp_path / ".aside" / "left"
    left.mkdir(parents=True)
    os.utime(left, (time.time() - 25 * 3600,) * 2)
    store = open_store(tmp_path)
    store.write("x/y", [b"1"])
    assert store.read("x/y") == b"1"


def test_finished_and_failed_writes_leave_nothing_aside(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write("x", [b"1"])
    with pytest.raises(StoreError):
        store.write("y", [1])  # type: ignore[list-item]
    assert list((tmp_path / ".aside").iterdir()) == []


def test_a_store_removed_under_a_run_is_made_again(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.write("x", [b"1"])
    (tmp_path / "store").rename(tmp_path / "gone")
    store.write("x", [b"2"])
    assert store.read("x") == b"2"


def test_a_big_blob_is_mapped_and_a_replaced_one_keeps_its_content(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    encoded = encode(np.zeros(BIG, dtype="u1"))
    store.put_blob(encoded)
    path = tmp_path / "blobs" / encoded.name[:2] / encoded.name
    stored = path.read_bytes()
    loaded: Any = store.get_blob(encoded.name)
    assert str(path) in Path("/proc/self/maps").read_text()
    store.put_blob(encoded)
    loaded[:] = 1
    assert path.read_bytes() == stored


def test_results_in_memory_leave_file_descriptors_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAP_FROM_BYTES", 1 << 12)
    store = open_store(tmp_path)
    limit = 2 * (len([*Path("/proc/self/fd").iterdir()]) + 100)
    arrays = [np.full(1024, number) for number in range(limit)]
    names = [encode(array).name for array in arrays]
    for array in arrays:
        store.put_blob(encode(array))
    plain = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, plain[1]))
    try:
        loaded = [store.get_blob(name) for name in names]
        with contextlib.ExitStack() as others:
            for _ in range(50):
                others.enter_context(Path(os.devnull).open())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, plain)
    np.testing.assert_array_equal(loaded, arrays)


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"")
    return folder / "file" / "store"


def unwritable(folder: Path) -> Path:
    if os.geteuid() == 0:
        return Path("/proc/helix-store")
    folder.chmod(0o500)
    return folder / "store"


@pytest.mark.parametrize("place", [below_a_file, unwritable])
def test_an_unwritable_place_says_what_to_do(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    store = open_store(place(tmp_path))
    with pytest.raises(StoreError) as caught:
        store.check_writable()
    assert caught.value.url == store.url
    assert caught.value.remedy in str(caught.value)
    with pytest.raises(StoreError):
        store.put_blob(encode(1))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(28, "No space left on device"), "Free some space there"),
        (PermissionError(13, "Permission denied"), "credentials"),
        (type("NoCredentialsError", (Exception,), {})("Unable to locate credentials"), "credentials"),
        (FileNotFoundError("The specified bucket does not exist"), "Create the bucket"),
        (TimeoutError("Read timed out"), "network"),
        (type("EndpointConnectionError", (Exception,), {})("Could not connect"), "network"),
        (RuntimeError("something else"), "Check that the store exists"),
    ],
)
def test_every_failure_of_a_file_system_becomes_a_store_error_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", fail)
    with pytest.raises(StoreError, match=remedy) as caught:
        open_store("memory://bucket").check_writable()
    assert str(error).partition("] ")[2] in str(caught.value)
    assert caught.value.__cause__ is error


# Names of stores.


@pytest.mark.parametrize("url", ["foo://x", "://x", "", " ", "s3://", "simplecache::s3://bucket"])
def test_urls_that_name_no_store_are_configuration_errors(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store="):
        open_store(url)


def test_a_file_system_that_is_not_installed_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(known_implementations, "absent", {"class": "absent_fs.FS", "err": "Install absent_fs"})
    with pytest.raises(ConfigurationError, match="Install absent_fs"):
        open_store("absent://x/y")


def test_secrets_in_a_url_are_not_shown() -> None:
    store = open_store("memory://key:secret@bucket/helix?token=hidden#part")
    assert store.url == "memory://bucket/helix"
    with pytest.raises(ConfigurationError) as caught:
        open_store("foo://key:secret@bucket")
    assert "secret" not in str(caught.value)


def test_storage_options_reach_the_file_system_and_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}
    memory = fsspec.get_filesystem_class("memory")
    monkeypatch.setattr(memory, "__init__", lambda self, **options: seen.update(options))
    store = open_store("memory://bucket", storage_options={"key": "secret"})
    assert seen == {}
    with pytest.raises(StoreError):
        store.write("x", [b"1"])
    assert seen["key"] == "secret"
    assert "secret" not in repr(vars(store)["url"])
