from __future__ import annotations

import mmap
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LinearRegression

from prefect_helix.core.digest import digest
from prefect_helix.core.errors import NotStorableError
from prefect_helix.storage.blob import ChangedWhileWritingError, DecodingError
from prefect_helix.storage.codec import decode, encode

RANDOM = np.random.default_rng(7)


def blob(value: object) -> bytes:
    return b"".join(encode(value).chunks)


def round_trip(value: Any) -> Any:
    return decode(bytearray(blob(value)))


def mixed_frame() -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": [1.0, 2.0, np.nan, 4.0], "c": ["x", "y", None, "z"]})
    frame["d"] = [4, 5, 6, 7]
    frame["time"] = pd.date_range("2020", periods=4, tz="UTC")
    frame["nullable"] = pd.array([1, None, 3, 4], dtype="Int64")
    frame["kind"] = pd.Categorical(list("abab"))
    frame["period"] = pd.period_range("2020", periods=4)
    return frame


def layout(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Kind, columns, type, strides and writability of each block."""
    blocks = []
    for block in frame._mgr.blocks:
        values = getattr(block.values, "_ndarray", block.values)
        flags = getattr(values, "flags", None)
        strides = getattr(values, "strides", None)
        writeable = getattr(flags, "writeable", None)
        blocks.append((type(block), block.mgr_locs.as_array.tolist(), str(block.dtype), strides, writeable))
    return blocks


MATRIX = RANDOM.random((30, 12))
ARRAYS = {
    "C": MATRIX,
    "F": np.asfortranarray(MATRIX),
    "permuted axes": RANDOM.random((2, 3, 4)).transpose(1, 2, 0),
    "columns": MATRIX[:, :5],
    "rows of F": np.asfortranarray(MATRIX)[::3],
    "backwards": MATRIX[::-1, ::-2],
    "broadcast": np.broadcast_to(MATRIX[0], (3, 12)),
    "field": np.ones(3, dtype=[("a", "i4"), ("b", "f8")])["b"],
    "scalar": np.array(3.5),
    "read-only": np.frombuffer(b"12345678", dtype="i4"),
    "big-endian": np.arange(5, dtype=">i8"),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_keep_type_content_strides_and_writability(array: np.ndarray) -> None:
    loaded = round_trip(array)
    assert (loaded.dtype, loaded.strides, loaded.flags.writeable) == (
        array.dtype,
        array.strides,
        array.flags.writeable,
    )
    np.testing.assert_array_equal(loaded, array)


def test_empty_arrays_keep_type_and_shape() -> None:
    loaded = round_trip(np.empty((0, 3), dtype="f4"))
    assert (loaded.shape, loaded.dtype) == ((0, 3), np.dtype("f4"))


FRAMES = {
    "mixed blocks": mixed_frame(),
    "backwards": mixed_frame().iloc[::-1],
    "every second row": mixed_frame().iloc[::2],
    "some columns": mixed_frame()[["a", "kind", "d"]],
    "first rows of C": pd.DataFrame(MATRIX.copy()).iloc[:5],
    "first rows of F": pd.DataFrame(np.asfortranarray(MATRIX)).iloc[:5],
    "transposed": pd.DataFrame(MATRIX.copy()).T,
    "time index": mixed_frame().set_index("time"),
    "hierarchical index": mixed_frame().set_index(["a", "c"]),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_frames_keep_content_block_layout_and_writability(frame: pd.DataFrame) -> None:
    loaded = round_trip(frame)
    pd.testing.assert_frame_equal(loaded, frame)
    assert layout(loaded) == layout(frame)


HIDDEN = MATRIX > 0.5
MASKED = {
    "soft": np.ma.array(MATRIX, mask=HIDDEN),
    "hard": np.ma.array(MATRIX, mask=HIDDEN, hard_mask=True),
    "no mask": np.ma.array(MATRIX),
    "empty mask": np.ma.array(MATRIX, mask=False),
    "fill value": np.ma.array(MATRIX, mask=HIDDEN, fill_value=9),
    "F": np.ma.array(np.asfortranarray(MATRIX), mask=np.asfortranarray(HIDDEN)),
    "columns": np.ma.array(MATRIX, mask=HIDDEN)[:, :5],
    "backwards": np.ma.array(MATRIX, mask=HIDDEN)[::-1, ::-2],
    "fields": np.ma.array([(1, 2.0), (3, 4.0)], mask=[(0, 1), (0, 0)], dtype=[("a", "i4"), ("b", "f8")]),
    "objects": np.ma.array([{}, None], mask=[0, 1], dtype=object),
    "scalar": np.ma.array(3.5, mask=True),
    "matrix": np.ma.array(np.matrix(MATRIX), mask=HIDDEN),
}


@pytest.mark.parametrize("array", MASKED.values(), ids=MASKED)
def test_masked_arrays_keep_mask_fill_value_and_layout(array: Any) -> None:
    loaded = round_trip(array)
    assert type(loaded) is type(array)
    assert digest(loaded) == digest(array)
    assert (loaded.hardmask, loaded.strides, loaded.mask.strides) == (array.hardmask, array.strides, array.mask.strides)
    assert loaded.fill_value == array.fill_value


def test_a_loaded_hard_mask_lets_nobody_unmask() -> None:
    loaded = round_trip(np.ma.array([1.0, 2.0], mask=[True, False], hard_mask=True))
    loaded[0] = 7.0
    assert loaded.count() == 1


def test_a_masked_array_is_loaded_where_nobody_imported_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = blob(MASKED["hard"])
    monkeypatch.delitem(sys.modules, "numpy.ma")
    assert digest(decode(stored)) == digest(MASKED["hard"])


def test_loaded_frames_can_be_written() -> None:
    loaded = round_trip(mixed_frame())
    loaded.loc[0, "b"] = 99.0
    assert loaded["b"].iloc[0] == 99.0


def test_arrow_columns_keep_their_chunks_so_that_sums_stay_equal() -> None:
    chunks = pa.chunked_array([RANDOM.random(n) * 10.0 ** RANDOM.integers(0, 9) for n in (1000, 3, 77777, 5)])
    column = pd.Series(pd.arrays.ArrowExtensionArray(chunks))
    loaded = round_trip(column)
    assert [len(chunk) for chunk in loaded.array._pa_array.chunks] == [1000, 3, 77777, 5]
    assert loaded.sum() == column.sum()


def test_arrow_strings_keep_their_chunks() -> None:
    column = pd.concat([pd.Series(["a", None]), pd.Series(["b"])], ignore_index=True)
    loaded = round_trip(column)
    pd.testing.assert_series_equal(loaded, column)
    assert loaded.array._pa_array.num_chunks == column.array._pa_array.num_chunks == 2


@pytest.mark.parametrize("chunks", [1, 2])
def test_arrow_strings_are_stored_from_where_they_lie(chunks: int) -> None:
    parts = [pd.Series([None, *(f"word {i}" for i in range(10_000))]) for _ in range(chunks)]
    column = pd.concat(parts, ignore_index=True) if chunks > 1 else parts[0]
    held = [buffer.address for chunk in column.array._pa_array.chunks for buffer in chunk.buffers() if buffer.size > 99]
    stored = [np.frombuffer(chunk, np.uint8).__array_interface__["data"][0] for chunk in encode(column).chunks]
    assert set(held) <= set(stored)
    pd.testing.assert_series_equal(round_trip(column), column)


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_slice_of_a_column_is_stored_without_the_rest(chunks: int) -> None:
    parts = [pd.Series([f"word {i}" for i in range(10_000)]) for _ in range(chunks)]
    column = pd.concat(parts, ignore_index=True) if chunks > 1 else parts[0]
    assert encode(column.iloc[9_980:9_995]).size_bytes < 4_000
    assert round_trip(column.iloc[9_980:9_995]).tolist() == column.iloc[9_980:9_995].tolist()


@pytest.mark.parametrize("value", [None, 0, "text", b"bytes", [1, (2, {3})], {"a": float("inf")}], ids=repr)
def test_small_values_come_back_equal(value: object) -> None:
    assert round_trip(value) == value


def test_estimators_come_back_bit_for_bit() -> None:
    model = LinearRegression().fit(MATRIX[:, :5], MATRIX[:, 6])
    assert round_trip(model).coef_.tobytes() == model.coef_.tobytes()


def test_functions_are_stored_by_value() -> None:
    offset = 3
    assert round_trip(lambda x: x + offset)(4) == 7


def test_shared_arrays_stay_shared() -> None:
    column = MATRIX[:, 0]
    first, second = round_trip([column, column])
    assert first is second


def test_buffers_are_aligned_and_not_copied() -> None:
    array = np.arange(1000.0)
    encoded = encode({"x": array, "y": np.arange(3, dtype="i1")})
    view = next(chunk for chunk in encoded.chunks if isinstance(chunk, memoryview))
    assert np.shares_memory(np.frombuffer(view), array)
    offset = 0
    for chunk in encoded.chunks:
        assert not isinstance(chunk, memoryview) or offset % 64 == 0
        offset += len(chunk)
    assert offset == encoded.size_bytes == len(blob({"x": array, "y": np.arange(3, dtype="i1")}))


def test_equal_content_has_one_name_and_other_content_another() -> None:
    assert encode(np.arange(5)).name == encode(np.arange(5)).name
    assert encode(np.arange(5)).name != encode(np.arange(1, 6)).name
    assert len(encode(1).name) == 32


def test_the_format_is_pinned() -> None:
    """A change here makes every stored blob unreadable: raise FORMAT_VERSION with it."""
    assert blob(b"")[:16] == b"\x93HELIX\r\n\x01\0\0\0\x01\0\0\0"
    assert encode(b"").name == "a60e58732d4b75909c82825a981b06d9"


def test_every_flipped_byte_is_detected() -> None:
    whole = blob([np.arange(5), "text", np.arange(9.0)])
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        with pytest.raises(DecodingError):
            decode(damaged)


def test_every_truncation_and_extension_is_detected() -> None:
    whole = blob([np.arange(5), np.arange(9.0)])
    for size in range(len(whole)):
        with pytest.raises(DecodingError):
            decode(whole[:size])
    for tail in (b"\0", bytes(64)):
        with pytest.raises(DecodingError):
            decode(whole + tail)


@pytest.mark.parametrize(
    "foreign", [b"", b"\0" * 200, b"PK\x03\x04" * 50, blob(1)[:12] + b"\xff\xff\xff\xff" + blob(1)[16:]]
)
def test_foreign_bytes_are_told_without_allocating_what_they_claim(foreign: bytes) -> None:
    with pytest.raises(DecodingError):
        decode(foreign)


def test_a_newer_format_is_told() -> None:
    with pytest.raises(DecodingError, match="version 2"):
        decode(blob(1)[:8] + b"\x02" + blob(1)[9:])


def test_another_blob_under_this_name_is_told() -> None:
    with pytest.raises(DecodingError, match="another blob"):
        decode(blob(1), name=encode(2).name)


class Vanishing:
    """A class that is gone when its instance is loaded."""


def test_what_cannot_be_unpickled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = blob(Vanishing())
    monkeypatch.delattr(sys.modules[__name__], "Vanishing")
    with pytest.raises(DecodingError, match="cannot be unpickled here"):
        decode(stored)


def deep_list() -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    "make", [threading.Lock, deep_list, lambda: (i for i in ())], ids=["lock", "deep", "generator"]
)
def test_what_cannot_be_pickled_is_told_with_type_and_reason(make: Any) -> None:
    value = make()
    with pytest.raises(NotStorableError) as caught:
        encode(value)
    assert type(value).__qualname__ in caught.value.type_name
    assert caught.value.cause


def test_arrays_decoded_from_immutable_bytes_can_be_written() -> None:
    loaded: Any = decode(blob(np.arange(5)))
    loaded[0] = 7
    assert loaded[0] == 7


def test_a_map_is_used_in_place_and_never_changes_the_file(tmp_path: Any) -> None:
    path = tmp_path / "blob"
    stored = blob(np.arange(100_000))
    path.write_bytes(stored)
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    loaded: Any = decode(mapped)
    assert np.shares_memory(loaded, np.frombuffer(mapped, dtype="u1"))
    loaded[:] = -1
    assert path.read_bytes() == stored


def test_verified_chunks_are_the_blob() -> None:
    value = {"x": RANDOM.random(300_000), "y": [1, 2]}
    encoded = encode(value)
    assert b"".join(map(bytes, encoded.verified_chunks())) == b"".join(encoded.chunks)


def test_a_buffer_changed_before_or_while_it_is_written_is_detected() -> None:
    array = np.zeros(300_000)
    pieces = encode(array).verified_chunks()
    next(pieces)
    array[-1] = 1
    with pytest.raises(ChangedWhileWritingError):
        list(pieces)


def test_what_is_yielded_is_what_was_hashed() -> None:
    array = np.zeros(100)
    pieces = []
    for piece in encode(array).verified_chunks():
        array[:] = 1  # after the piece was hashed, before it is written
        pieces.append(bytes(piece))
        array[:] = 0
    np.testing.assert_array_equal(decode(bytearray(b"".join(pieces))), np.zeros(100))


def test_the_name_is_the_same_in_another_process() -> None:
    code = (
        "import numpy; from prefect_helix.storage.codec import encode;"
        "print(encode([numpy.arange(9.0).reshape(3, 3)[:, :2], 'x', 3]).name)"
    )
    name = encode([np.arange(9.0).reshape(3, 3)[:, :2], "x", 3]).name
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == name
    )


def test_chunks_need_no_pickle_of_this_module() -> None:
    """A contiguous array is an ordinary protocol 5 pickle."""
    encoded = encode(np.arange(3))
    stream = next(chunk for chunk in encoded.chunks[2:] if chunk)
    assert pickle.loads(stream, buffers=[bytes(encoded.chunks[4])]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "make", [lambda: pd.DataFrame({"x": [1]}), lambda: pd.Series([1]), lambda: csr_matrix([[1.0]])]
)
def test_what_somebody_set_on_a_value_counts_and_is_kept(make: Any) -> None:
    bare, train, test = make(), make(), make()
    train.split, test.split = "train", "test"
    assert len({digest(one) for one in (bare, train, test)}) == 3
    assert round_trip(train).split == "train"
    assert digest(round_trip(train)) == digest(train)


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [{}] * 9, "b": [[1]] * 9}, dtype=object).iloc[:5],
        pd.DataFrame({"a": [{}] * 9, "b": [[1]] * 9}, dtype=object).iloc[::2],
        pd.Series([{}] * 9, dtype=object).iloc[::-2],
        np.array([[1, "a"], [2, "b"]], object)[:, ::-1],
        np.array([[1, "a"], [2, "b"]], object).T,
        np.array(["a", "bb", "ccc"], np.dtypes.StringDType())[::2],
        pa.table({"x": pa.chunked_array([[1.5], [], [2.5, None]]), "y": [1, 2, 3]}).slice(1),
        pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([[1.5], [2.5, None, 3.5]]))).iloc[:3],
    ],
    ids=["rows", "every second row", "series", "columns turned", "transposed", "strings", "chunks", "chunked column"],
)
def test_what_is_loaded_has_the_digest_it_was_stored_with(value: Any) -> None:
    assert digest(round_trip(value)) == digest(value)
