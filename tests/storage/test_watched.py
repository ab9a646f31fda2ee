"""What nobody has written to is known without being read, and what was written is read again, whoever wrote it."""

from __future__ import annotations

import io
import mmap
import os
import random
import threading
from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from prefect_helix.core import digest_frames
from prefect_helix.core.digest import digest
from prefect_helix.core.digest_writer import content_hash
from prefect_helix.storage import mapped, watched
from prefect_helix.storage.blob import ChangedWhileWritingError, Encoded
from prefect_helix.storage.codec import decode, encode
from prefect_helix.storage.watched import WATCHED_BYTES, hash_of, known_hash

from .conftest import count_hashes

LENGTH = WATCHED_BYTES * 4

told = pytest.mark.skipif(watched._watch() is None, reason="this kernel does not tell which pages were written")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the long buffers that were read to be hashed."""
    return count_hashes(monkeypatch, watched)


def array(length: int = LENGTH) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, length, dtype=np.uint8)


def views(of: np.ndarray) -> memoryview:
    return memoryview(of).cast("B")


VALUES: dict[str, Callable[[], Any]] = {
    "array": lambda: array().reshape(-1, 64),
    "arrays": lambda: [array(), {"b": array() * 2}],
    "frame": lambda: pd.DataFrame({"a": array() * 0.5, "b": array()}),
    "matrix": lambda: sparse.random(2000, 2000, 0.1, format="csr", random_state=0),
}


@told
@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_a_value_that_was_left_alone_is_read_once(make: Any, hashed: list[int]) -> None:
    value = make()
    first = digest(value, mapped.Look().hash_of)
    assert sum(hashed) >= LENGTH
    hashed.clear()
    assert digest(value, mapped.Look().hash_of) == first == digest(make())
    assert max(hashed, default=0) < WATCHED_BYTES


@told
def test_reading_and_copying_changes_nothing(hashed: list[int]) -> None:
    values = array()
    first = hash_of(views(values))
    assert values.sum() and values.copy().any() and bytes(values)
    assert (values.reshape(-1, 64).astype(float).T @ np.ones(len(values) // 64)).any()
    assert hash_of(views(values)) == first
    assert len(hashed) == 1


@pytest.mark.parametrize("at", [0, 1, LENGTH // 2, LENGTH - 2, LENGTH - 1])
def test_one_changed_byte_is_seen(at: int) -> None:
    values = array()
    before = hash_of(views(values))
    values[at] ^= 1
    assert known_hash(views(values)) is None
    assert hash_of(views(values)) == content_hash(views(values)) != before
    values[at] ^= 1
    assert hash_of(views(values)) == before


def write_by_view(values: np.ndarray) -> None:
    values[10:][::7][3] += 1


def write_by_kernel(values: np.ndarray) -> None:
    with Path("/dev/urandom").open("rb", buffering=0) as file:
        file.readinto(memoryview(values)[LENGTH // 2 :][:8])


def write_from_file(values: np.ndarray) -> None:
    assert io.BytesIO(bytes(reversed(bytes(values)))).readinto(memoryview(values)) == LENGTH


def write_in_thread(values: np.ndarray) -> None:
    thread = threading.Thread(target=write_by_view, args=(values,))
    thread.start()
    thread.join()


def write_all(values: np.ndarray) -> None:
    np.invert(values, out=values)


WRITES = (write_by_view, write_by_kernel, write_from_file, write_in_thread, write_all)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_whoever_writes_is_seen(write: Callable[[np.ndarray], None]) -> None:
    values = array()
    hash_of(views(values))
    write(values)
    assert known_hash(views(values)) is None
    assert hash_of(views(values)) == content_hash(views(values))


def test_what_is_written_while_it_is_hashed_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    values = array()

    def write_meanwhile(buffer: Any) -> bytes:
        found = content_hash(buffer)
        values[at] ^= 1
        return found

    with monkeypatch.context() as patched:
        patched.setattr(watched, "content_hash", write_meanwhile)
        for written in (0, LENGTH // 2, LENGTH - 1):
            at = written
            hash_of(views(values))
            assert known_hash(views(values)) is None
    assert hash_of(views(values)) == content_hash(views(values))


def test_who_watches_a_part_hides_no_write_from_who_watches_the_whole() -> None:
    values = array()
    part = values[LENGTH // 8 :][: LENGTH // 2]
    hash_of(views(values))
    values[LENGTH // 4] ^= 1
    hash_of(views(part))
    assert hash_of(views(values)) == content_hash(views(values))
    values[LENGTH // 4] ^= 1
    hash_of(views(part))
    assert known_hash(views(values)) is None


def test_who_watches_a_part_meanwhile_hides_no_write(monkeypatch: pytest.MonkeyPatch) -> None:
    values = array()
    part = values[LENGTH // 8 :][: LENGTH // 2]

    def others_meanwhile(buffer: Any) -> bytes:
        found = content_hash(buffer)
        if len(buffer) == LENGTH:
            values[LENGTH // 4] ^= 1
            hash_of(views(part))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(watched, "content_hash", others_meanwhile)
        hash_of(views(values))
    assert known_hash(views(values)) is None


@pytest.mark.parametrize("seed", range(8))
def test_no_mix_of_hashing_and_writing_gives_a_wrong_hash(seed: int) -> None:
    """Overlapping pieces of some arrays are hashed, written, let go and made anew, in any order."""
    random_ = random.Random(seed)
    arrays = [array(LENGTH) for _ in range(3)]
    for _ in range(400):
        which = random_.randrange(len(arrays))
        start = random_.randrange(LENGTH // 2) // random_.choice([1, 64, 4096]) * random_.choice([1, 64, 4096])
        stop = min(LENGTH, start + random_.randrange(LENGTH))
        if start >= stop:
            continue
        piece = arrays[which][start:stop]
        action = random_.random()
        if action < 0.7:
            assert hash_of(views(piece)) == content_hash(views(piece))
        elif action < 0.95:
            piece[random_.randrange(len(piece))] ^= random_.choice([0, 1])
        else:
            arrays[which] = array(LENGTH)


def test_threads_that_hash_and_write_never_get_a_wrong_hash() -> None:
    """Each writes to an array of its own, of which all hash pieces; the array of who asks stands still meanwhile."""
    arrays = [array(LENGTH) for _ in range(4)]
    wrong: list[int] = []

    def work(own: int) -> None:
        random_ = random.Random(own)
        for _ in range(150):
            arrays[own][random_.randrange(LENGTH)] ^= random_.choice([0, 1])
            hash_of(views(arrays[random_.randrange(4)]))
            hash_of(views(arrays[random_.randrange(4)][: LENGTH // 2]))
            if hash_of(views(arrays[own])) != content_hash(views(arrays[own])):
                wrong.append(own)

    threads = [threading.Thread(target=work, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_memory_that_was_let_go_and_mapped_anew_is_read() -> None:
    for content in (b"\1", b"\2", b"\3"):
        with mmap.mmap(-1, LENGTH) as pages, memoryview(pages) as view:
            view[:] = content * LENGTH
            assert hash_of(view) == content_hash(view)


def test_shared_memory_is_always_read() -> None:
    """Another process may write to it, and does not go through the pages of this one."""
    shared = shared_memory.SharedMemory(create=True, size=LENGTH)
    try:
        other = shared_memory.SharedMemory(shared.name)
        for number in range(3):
            other.buf[LENGTH // 2] = number
            assert hash_of(shared.buf) == content_hash(shared.buf)
            assert known_hash(shared.buf) is None
        other.close()
    finally:
        shared.close()
        shared.unlink()


def test_a_file_that_is_mapped_is_always_read(tmp_path: Path) -> None:
    file = tmp_path / "values"
    file.write_bytes(bytes(LENGTH))
    values = np.memmap(file, np.uint8, mode="r+")
    for number in range(3):
        with file.open("r+b") as stream:
            stream.seek(LENGTH // 2)
            stream.write(bytes([number]))
        assert hash_of(memoryview(values)) == content_hash(memoryview(values))
        assert known_hash(memoryview(values)) is None


@told
def test_a_child_watches_its_own_memory() -> None:
    values = array()
    before = hash_of(views(values))
    child = os.fork()
    if child == 0:  # pragma: no cover
        unknown = known_hash(views(values)) is None
        values[LENGTH // 2] ^= 1
        right = hash_of(views(values)) == content_hash(views(values)) != before
        known = known_hash(views(values)) is not None
        os._exit(0 if unknown and right and known else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert known_hash(views(values)) == before
    values[LENGTH // 2] ^= 1
    assert known_hash(views(values)) is None


@told
def test_as_many_notes_are_kept_as_are_useful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_MOST_NOTES", 3)
    arrays = [array(WATCHED_BYTES + i) for i in range(5)]
    for each in arrays:
        hash_of(views(each))
    assert [known_hash(views(each)) is not None for each in arrays] == [False, False, True, True, True]


def test_where_the_kernel_does_not_tell_everything_is_read(monkeypatch: pytest.MonkeyPatch, hashed: list[int]) -> None:
    monkeypatch.setattr(watched, "_watch", lambda: None)
    values = array()
    assert hash_of(views(values)) == hash_of(views(values))
    assert hashed == [LENGTH, LENGTH]
    assert known_hash(views(values)) is None


@pytest.mark.parametrize("refused", ["syscall", "ioctl", "wrong"])
def test_a_kernel_that_refuses_or_tells_wrongly_is_not_asked_again(
    refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object) -> int:
        raise OSError(1, "no")

    if refused == "syscall":
        monkeypatch.setattr(watched, "_SYSCALL", {})
    elif refused == "ioctl":
        monkeypatch.setattr(watched.fcntl, "ioctl", no)
    else:
        monkeypatch.setattr(watched._Watch, "_is_untouched", lambda *_: True)
    assert watched._started.__wrapped__() is None


def _pieces(blob: Encoded) -> list[bytes]:
    return [bytes(piece) for piece in blob.verified_chunks()]


@pytest.mark.parametrize("is_told", [pytest.param(True, marks=told), False])
def test_a_value_that_changes_while_it_is_written_is_not_kept(is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_told:
        monkeypatch.setattr(watched, "_watch", lambda: None)
    values = array()
    blob = encode(values)
    assert decode(b"".join(_pieces(blob))).tobytes() == values.tobytes()  # type: ignore[attr-defined]
    with pytest.raises(ChangedWhileWritingError):
        for number, _ in enumerate(blob.verified_chunks()):
            if number == 3:
                values[LENGTH // 2] ^= 1
    with pytest.raises(ChangedWhileWritingError):
        _pieces(blob)
    values[LENGTH // 2] ^= 1
    assert decode(b"".join(_pieces(blob))).tobytes() == values.tobytes()  # type: ignore[attr-defined]


def _columns() -> dict[str, pa.ChunkedArray]:
    words = [None if i % 7 == 0 else f"word {i % 1000}" * (i % 3) for i in range(100_000)]
    strings = pa.chunked_array([words[:60_000], words[60_000:]])
    numbers = pa.chunked_array([pa.array([None if i % 5 == 0 else i * 0.5 for i in range(100_000)])])
    found = {"strings": strings, "large": strings.cast(pa.large_string()), "numbers": numbers}
    found["flags"] = pa.chunked_array([pa.array([i % 3 == 0 for i in range(1_000_000)])])
    found["without nulls"] = strings.fill_null("none")
    found["bytes"] = strings.cast(pa.binary())
    return found


@pytest.mark.parametrize("column", _columns().values(), ids=_columns())
def test_a_column_of_arrow_is_gone_through_once_for_each_content(
    column: pa.ChunkedArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = [column, column.slice(1), column.slice(0, 70_000), column.slice(30_000, 50_000), column.slice(5, 10)]
    values = [*slices, *(pa.chunked_array([each.combine_chunks()]) for each in slices)]
    expected = [digest(each) for each in values]
    assert [digest(each, mapped.Look().hash_of) for each in values] == expected
    assert expected[:5] == expected[5:]
    assert len({each.hex for each in expected}) == 5
    again = pa.chunked_array([chunk.slice(0) for chunk in column.chunks])
    monkeypatch.setattr(digest_frames, "_pieces", lambda chunks: pytest.fail("It was gone through again."))
    assert digest(again, mapped.Look().hash_of) == expected[0]


@told
def test_a_frame_is_seen_to_change_in_place() -> None:
    frame = pd.DataFrame({"name": pd.array([f"word {i % 1000}" for i in range(200_000)], dtype="string[pyarrow]")})
    before = digest(frame, mapped.Look().hash_of)
    assert digest(frame, mapped.Look().hash_of) == before
    frame.loc[100_000, "name"] = "another"
    after = digest(frame, mapped.Look().hash_of)
    assert after == digest(frame) != before
    frame.loc[100_000, "name"] = f"word {100_000 % 1000}"
    assert digest(frame, mapped.Look().hash_of) == digest(frame) == before
