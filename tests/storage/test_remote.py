"""What a store far away needs besides the contract of every store: ranges, parts, retries and their limits."""

from __future__ import annotations

import errno
import pickle
import random
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pytest
import s3fs
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from prefect_helix.core.errors import BlobMissingError, StoreError
from prefect_helix.storage import remote
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.codec import encode
from prefect_helix.storage.store import Store, open_store

from .conftest import OpenStore
from .test_catalog import lineage, make_run, make_trace

LARGE = np.random.default_rng(1).integers(0, 255, 20 << 20, dtype="u1")


def test_ranges_are_what_lies_there(store: Store) -> None:
    store.write("x", [b"0123456789"])
    assert [store.read_range("x", *ends) for ends in ((0, 4), (3, 7), (8, 20))] == [b"0123", b"3456", b"89"]
    with pytest.raises(BlobMissingError):
        store.read_range("y", 0, 4)


def test_large_objects_are_read_by_ranges(store: Store) -> None:
    store.write("x", [LARGE.data])
    assert store.read("x") == LARGE.tobytes()
    assert store.read_range("x", 5, 18 << 20) == LARGE.tobytes()[5 : 18 << 20]


@pytest.mark.parametrize("size_bytes", [remote._PART_BYTES + extra for extra in (-1, 0, 1)])
def test_objects_at_the_edge_of_a_range_are_read_whole(store: Store, size_bytes: int) -> None:
    store.write("x", [LARGE.data[:size_bytes]])
    assert store.read("x") == LARGE.tobytes()[:size_bytes]


def test_a_large_blob_is_uploaded_in_parts(opens: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SINGLE_PUT_BYTES", 1 << 20)
    monkeypatch.setattr(remote, "_UPLOAD_PART_BYTES", 6 << 20)
    store = opens()
    encoded = encode(LARGE)
    store.put_blob(encoded)
    np.testing.assert_array_equal(store.get_blob(encoded.name), LARGE)
    assert store.blobs() == {encoded.name: encoded.size_bytes}


class CautiousFileSystem(MemoryFileSystem):
    """Memory that replaces a file by an upload only where it is told to, as adlfs does."""

    def put_file(self, lpath: str, rpath: str, overwrite: bool = False, **options: Any) -> None:
        if self.exists(rpath) and not overwrite:
            raise FileExistsError("File already exists!")
        super().put_file(lpath, rpath, **options)


def test_a_large_object_on_azure_is_replaced_by_a_second_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_registry, "az", CautiousFileSystem)
    monkeypatch.setattr(remote, "_SINGLE_PUT_BYTES", 1)
    store = open_store(f"az://helix-{uuid.uuid4().hex}/store")
    for content in (b"first", b"second"):
        store.write("x", [content])
        assert store.read("x") == content


def test_small_objects_need_no_place_for_files_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose own file system is full, or cannot be written."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    store = open_store(f"memory://helix-{uuid.uuid4().hex}/store")
    assert store.write("x", [b"one", memoryview(b"two"), b""]) == 6
    assert store.read("x") == b"onetwo"


def test_who_is_handed_a_store_with_each_task_connects_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[MemoryFileSystem] = []

    class CountedFileSystem(MemoryFileSystem):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    monkeypatch.setitem(_registry, "counted", CountedFileSystem)
    url = f"counted://helix-{uuid.uuid4().hex}/store"
    sent, other = (pickle.dumps(open_store(url, storage_options={"key": key})) for key in ("a", "b"))
    for number in range(3):
        pickle.loads(sent).write(f"a/{number}", [b"1"])
    assert len(made) == 1
    assert len(pickle.loads(other).list("a")) == 3
    assert [one.storage_options["key"] for one in made] == ["a", "b"]


def test_where_nothing_was_begun_nothing_is_unfinished(store: Store) -> None:
    store.write("x", [b"1"])
    assert store.unfinished() == ()


def test_only_uploads_to_the_store_are_its_unfinished_writes(moto_options: Mapping[str, Any]) -> None:
    bucket = f"helix-{uuid.uuid4().hex}"
    server = s3fs.S3FileSystem(**moto_options, skip_instance_cache=True)
    server.mkdir(bucket)
    for key in ("store/blobs/ab/cd", "store-of-others/blobs/ab/cd", "blobs/ab/ef", "backup.tar"):
        server.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    for place, key in ((f"{bucket}/store", "store/blobs/ab/cd"), (bucket, "blobs/ab/ef")):
        store = open_store(f"s3://{place}", storage_options=moto_options)
        (entry,) = store.unfinished()
        assert entry.path.startswith(f"{key} ")
        store.discard(entry)
        assert store.unfinished() == ()


def test_the_stores_own_clock_tells_what_is_newer(store: Store) -> None:
    store.write("a/x", [b"1"])
    (entry,) = store.list("a")
    assert entry.modified_us > 0
    store.write("a/x", [b"2"])
    assert entry.modified_us <= store.list("a")[0].modified_us


class Trouble(Exception):
    """Named so that it says nothing of whether it passes."""


class TroubledFileSystem(MemoryFileSystem):
    """Memory whose calls fail as a test says."""

    protocol = "troubled"
    cachable = False
    fails: Callable[[str], Exception | None] = staticmethod(lambda method: None)
    asked: list[str]

    def _trouble(self, method: str) -> None:
        type(self).asked.append(method)
        error = type(self).fails(method)
        if error is not None:
            raise error

    def pipe_file(self, *arguments: Any, **options: Any) -> Any:
        self._trouble("pipe_file")
        return super().pipe_file(*arguments, **options)

    def cat_file(self, *arguments: Any, **options: Any) -> Any:
        self._trouble("cat_file")
        return super().cat_file(*arguments, **options)

    def find(self, *arguments: Any, **options: Any) -> Any:
        self._trouble("find")
        return super().find(*arguments, **options)

    def rm_file(self, *arguments: Any, **options: Any) -> Any:
        self._trouble("rm_file")
        return super().rm_file(*arguments, **options)


@pytest.fixture
def troubled(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[TroubledFileSystem]]:
    """The file system of ``troubled://``; pauses between tries are not waited for."""
    fsspec.register_implementation("troubled", TroubledFileSystem, clobber=True)
    monkeypatch.setattr(remote, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: None))
    TroubledFileSystem.asked = []
    yield TroubledFileSystem
    TroubledFileSystem.fails = staticmethod(lambda method: None)


def troubled_store() -> Store:
    return open_store(f"troubled://helix-{uuid.uuid4().hex}/store")


def test_one_request_in_five_that_fails_is_not_noticed(troubled: type[TroubledFileSystem]) -> None:
    chance = random.Random(3)
    troubled.fails = staticmethod(lambda method: ConnectionResetError("reset") if chance.random() < 0.2 else None)
    store = troubled_store()
    for number in range(100):
        store.write(f"a/{number}", [str(number).encode()])
    assert [store.read(f"a/{number}") for number in range(100)] == [str(number).encode() for number in range(100)]
    assert len(store.list("a")) == 100


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (TimeoutError("stalled"), remote._TRIES),
        (ConnectionError("refused"), remote._TRIES),
        (OSError(16, "Please reduce your request rate"), remote._TRIES),
        (type("EndpointConnectionError", (Exception,), {})("no route"), remote._TRIES),
        (PermissionError("Forbidden"), 1),
        (OSError(28, "No space left on device"), 1),
        (Trouble("who knows"), 1),
    ],
)
def test_what_may_pass_is_tried_a_few_times_and_nothing_for_ever(
    troubled: type[TroubledFileSystem], error: Exception, tries: int
) -> None:
    troubled.fails = staticmethod(lambda method: error)
    with pytest.raises(StoreError):
        troubled_store().write("x", [b"1"])
    assert troubled.asked == ["pipe_file"] * tries


def test_nobody_waits_longer_than_the_limit(
    troubled: type[TroubledFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def stall(method: str) -> Exception:
        clock[0] += 2 * remote._PATIENCE_S
        return TimeoutError("stalled")

    troubled.fails = staticmethod(stall)
    monkeypatch.setattr(remote, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: None))
    with pytest.raises(StoreError, match="network"):
        troubled_store().read("x")
    assert troubled.asked == ["cat_file"]


def test_a_missing_object_is_asked_for_once(troubled: type[TroubledFileSystem]) -> None:
    with pytest.raises(BlobMissingError):
        troubled_store().read("x")
    assert troubled.asked == ["cat_file"]


def test_an_object_that_goes_while_it_is_read_is_missing(troubled: type[TroubledFileSystem]) -> None:
    """As NFS tells it, where another machine removes a file, or writes one in its place."""
    store = troubled_store()
    store.write("x", [b"1"])
    troubled.fails = staticmethod(lambda method: OSError(errno.ESTALE, "Stale file handle"))
    with pytest.raises(BlobMissingError):
        store.read("x")


def test_an_object_cut_short_while_it_is_read_is_an_error(troubled: type[TroubledFileSystem]) -> None:
    store = troubled_store()
    store.write("x", [LARGE.data])

    def cut(method: str) -> None:
        if troubled.asked.count("cat_file") == 2:
            (file,) = (file for path, file in MemoryFileSystem.store.items() if store.url.split("/")[2] in path)
            file.truncate(5)

    troubled.fails = staticmethod(cut)
    with pytest.raises(StoreError, match="shorter than its size"):
        store.read("x")


def test_the_journal_of_a_run_that_ends_is_removed_some_segments_at_a_time(troubled: type[TroubledFileSystem]) -> None:
    store = troubled_store()
    catalog = Catalog(store)
    for call in range(4):
        catalog.append(make_run(status="running"), [make_trace(call)])
    two = threading.Barrier(2)

    def meet(method: str) -> None:
        if method == "rm_file":
            two.wait(timeout=30)

    troubled.fails = staticmethod(meet)
    catalog.commit(lineage())
    assert store.list("journal") == []
