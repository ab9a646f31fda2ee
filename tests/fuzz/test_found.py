"""What attacks on readers have found, each once."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_helix.core.errors import ConfigurationError, CorruptError, StoreError
from prefect_helix.core.lineage import Copy
from prefect_helix.core.rulings import day
from prefect_helix.core.sizes import budget_bytes
from prefect_helix.storage.blob import checksum
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.codec import encode
from prefect_helix.storage.copies import is_as_it_was, put_back
from prefect_helix.storage.index_parts import Block, Table
from prefect_helix.storage.segments import encode_line
from prefect_helix.storage.store import open_store
from prefect_helix.storage.verified import Verified
from tests.fuzz.sample import Sample, fill, index_parts
from tests.runtime.conftest import Lab

ZEROS = bytearray(4 << 20)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return fill(tmp_path_factory.mktemp("sample"))


def claims_of_frames(stored: bytes, method: str) -> bytes:
    """A blob of 9 kB that says that it has 8 GB."""
    return stored[: stored.index(b"\n") + 1] + (struct.pack("<II", 8 << 20, 1) + b"x") * 1_000


def claims_of_zstd(stored: bytes, method: str) -> bytes:
    """A frame that tells its own decompressor that it holds 2 GB."""
    start = stored.index(b"\n") + 1
    frame = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 31) + bytes(20)
    return stored[:start] + struct.pack("<II", 100, len(frame)) + frame


def repeated_frames(stored: bytes, method: str) -> bytes:
    """A blob whose last frame, of zeros, is there five hundred times: all of them can be decompressed."""
    start = stored.index(b"\n") + 1
    frames = []
    while start < len(stored):
        length = struct.unpack_from("<II", stored, start)[1]
        frames.append(stored[start : start + 8 + length])
        start += 8 + length
    largest = max(frames, key=lambda frame: struct.unpack_from("<I", frame)[0])
    return stored + largest * 500


def parts_without_end(stored: bytes, method: str) -> bytes:
    """A header of a hundred gigabytes that begins in frames that can all be decompressed."""
    whole = repeated_frames(stored, method)
    front = struct.pack("<8sII", b"\x93HELIX\r\n", 1, 2**32 - 1)
    start = stored.index(b"\n") + 1
    return whole[:start] + struct.pack("<II", len(front), len(front)) + front + whole[start:]


@pytest.mark.parametrize("method", ["zstd", "lz4"])
@pytest.mark.parametrize("claim", [claims_of_frames, claims_of_zstd, repeated_frames, parts_without_end])
def test_no_memory_is_taken_for_what_a_compressed_blob_claims(
    tmp_path: Path, method: str, claim: Callable[[bytes, str], bytes]
) -> None:
    store, encoded = open_store(tmp_path, compression=method), encode(ZEROS)
    store.put_blob(encoded)
    path = tmp_path / "blobs" / encoded.name[:2] / encoded.name
    path.write_bytes(claim(path.read_bytes(), method))
    tracemalloc.start()
    for ask in (store.get_blob, store.check_blob):
        with pytest.raises(CorruptError):
            ask(encoded.name)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 32 << 20


def test_a_part_of_a_file_takes_no_more_memory_than_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write("index/x", [b"content"])
    tracemalloc.start()
    assert store.read_range("index/x", 3, 1 << 40) == b"tent"
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 20


def rewritten_index(sample: Sample, change: Callable[[dict[str, Any], list[bytes], list[bytes]], None]) -> bytes:
    """An index with right checksums in which something is not as it was written."""
    summary, tables, blocks = index_parts(sample.of("index")[0])
    change(summary, tables, blocks)
    sections = [zlib.compress(json.dumps(summary).encode()), *tables]
    head = {"format": 1, "sections": [[len(one), checksum(one).hex()] for one in sections]}
    return b"".join([encode_line(head), *sections, *blocks])


def rows_that_are_none(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    tables[:] = [Table.of((key, 10**6) for key, _ in Table.parse(table).entries()).encode() for table in tables]


def runs_that_are_none(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    for run in summary["runs"]:
        run[2] = '{"flow": 5}'


def blocks_that_are_not_deflated(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    blocks[:] = [b"not deflated" * 9 for _ in blocks]
    summary["blocks"] = [Block.of(known[0], data) for known, data in zip(summary["blocks"], blocks, strict=True)]


def a_run_that_is_a_number(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    summary["runs"][0][2] = 5


def a_head_that_is_short(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    del summary["runs"][0][1][4]


def blocks_without_end(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    summary["blocks"][0][1] = 1 << 62


def a_torn_table(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    tables[0] = tables[0][:-4]


@pytest.mark.parametrize(
    ("change", "is_index"),
    [
        (rows_that_are_none, True),
        (runs_that_are_none, True),
        (blocks_that_are_not_deflated, True),
        (blocks_without_end, True),
        (a_run_that_is_a_number, False),
        (a_head_that_is_short, False),
        (a_torn_table, False),
    ],
)
def test_an_index_of_another_shape_costs_computations_only(
    sample: Sample, tmp_path: Path, change: Callable[..., None], is_index: bool
) -> None:
    store = open_store(tmp_path)
    store.write("index/00000009-x.index", [rewritten_index(sample, change)])
    known = Catalog(store).read()
    assert (known.index is not None, len(known.problems)) == (is_index, 0 if is_index else 1)
    for lineage in known.lineages:
        assert lineage.run.flow == "census"
        assert len([*lineage.traces]) <= 4
    if known.index is not None:
        assert len(known.lineages) == len(known.index.names)
        assert all(known.index.trace(row) is None or row < 10**6 for row in known.index.call_table.rows)


def deflated_bombs(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    blocks[:] = [zlib.compress(bytes(64 << 20)) for _ in blocks]
    summary["blocks"] = [Block.of(known[0], data) for known, data in zip(summary["blocks"], blocks, strict=True)]


def a_deflated_bomb(summary: dict[str, Any], tables: list[bytes], blocks: list[bytes]) -> None:
    summary["bomb"] = "x" * (64 << 20)


@pytest.mark.parametrize("change", [deflated_bombs, a_deflated_bomb])
def test_no_memory_is_taken_for_zeros_in_an_index(sample: Sample, tmp_path: Path, change: Callable[..., None]) -> None:
    store = open_store(tmp_path)
    store.write("index/00000009-x.index", [rewritten_index(sample, change)])
    tracemalloc.start()
    for lineage in Catalog(store).read().lineages:
        assert not [*lineage.traces]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 48 << 20


def test_what_was_verified_is_forgotten_where_its_numbers_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_helix.storage.verified._boot", lambda: "now")
    verified = Verified("a store of this test")
    verified._file.parent.mkdir(parents=True, exist_ok=True)
    verified._file.write_bytes(b"a 1 2 3 " + b"9" * 5_000 + b" now\nb 1 2 3 4 now\n")
    assert (verified.holds("a", (1, 2, 3, 4)), verified.holds("b", (1, 2, 3, 4))) == (False, True)


@pytest.mark.parametrize("path", ["~nobody-has-this-name/x", "a\0b", "alien://host/x", "x" * 5_000])
def test_a_copy_for_a_path_that_is_none_here_is_not_put_back(path: str) -> None:
    copy = Copy(path, "ab" * 16, 7, 1 << 40, "ab" * 16)
    assert not is_as_it_was(copy, lambda name: False)
    with pytest.raises(StoreError):
        put_back(copy, lambda name: b"content")


def test_a_copy_is_put_back_with_permissions_and_nothing_else(tmp_path: Path) -> None:
    copy = Copy(str(tmp_path / "x"), "ab" * 16, 7, 0o104_640, "ab" * 16)
    put_back(copy, lambda name: b"content")
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o640


def test_a_budget_beyond_all_numbers_is_none() -> None:
    with pytest.raises(ConfigurationError, match="budget"):
        budget_bytes("9" * 400 + "GB")


@pytest.mark.parametrize("at_us", [1 << 62, -(1 << 62)])
def test_a_ruling_of_no_day_is_told_in_words(at_us: int) -> None:
    assert day(at_us) == "an unknown day"


def test_a_number_that_no_float_holds_is_no_metric(tmp_path: Path) -> None:
    lab = Lab(str(tmp_path / "store"))

    @lab.task
    def count() -> dict[str, int]:
        return {"atoms": 10**400, "rows": 7}

    run = lab.run(lambda: count())
    assert run.lineage is not None
    assert dict(run.lineage.run.metrics) == {"rows": 7.0}


def test_code_that_is_no_list_is_not_recorded(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number, components in enumerate((0, "x", {"a": 1}, [5], {})):
        store.write(f"code/c{number}.json", [encode_line({"components": components})])
        assert not Catalog(store).components_of(f"c{number}")
    assert Catalog(store).components_of("c0") is None
