"""What is written for pandas and Arrow.

The libraries are looked up where they are used: a value of one of these types is there only if the caller has
loaded them.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain
from typing import Any

from prefect_helix.core.digest_arrays import library_name, set_on, write_set
from prefect_helix.core.digest_objects import Encoder, encode_reduced
from prefect_helix.core.digest_writer import LONG_BYTES, Writer

_PIECE_ROWS = 1 << 16
_MOST_HELD = 4
"""A slice of a column may hold far more than it shows."""


def _parts(*names: str) -> Encoder:
    def encode(value: Any, out: Writer) -> None:
        out.add(library_name(value, out))
        out.attributes({name: getattr(value, name) for name in names})

    return encode


def _frame(value: Any, out: Writer) -> None:
    """Write the labels and the blocks: the columns that share one and how it lies can change a sum's last bit."""
    blocks = sorted(value._mgr.blocks, key=lambda block: block.mgr_locs.as_array.tolist()[:1])
    out.add(library_name(value, out), str(value.flags.allows_duplicate_labels), str(len(blocks)))
    out.attributes({name: getattr(value, name) for name in ("columns", "index", "attrs")})
    out.attributes({name: getattr(value, name, None) for name in value._metadata})
    write_set(attributes_of(value), out)
    names = value.columns.tolist()
    for block in blocks:
        positions = block.mgr_locs.as_array
        out.child(positions)
        columns = ", ".join(repr(names[position]) for position in positions[:3].tolist())
        out.child(block.values, f"[{columns}{', ...' if len(positions) > 3 else ''}]")


def _series(value: Any, out: Writer) -> None:
    out.add(library_name(value, out), str(value.flags.allows_duplicate_labels))
    out.attributes({name: getattr(value, name) for name in ("name", "index", "attrs", "_values")})
    out.attributes({name: getattr(value, name, None) for name in value._metadata if name not in ("name", "_name")})
    write_set(attributes_of(value), out)


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes of a frame or a series that are none of pandas'."""
    return set_on(value, {*value._metadata, *value._accessors})


def _index(value: Any, out: Writer) -> None:
    out.add(library_name(value, out))
    out.items(value.names)
    out.child(getattr(value, "_freq", None), ".freq")  # before pandas 3.1 the array has it
    out.child(value._data, ".array")


def _multi_index(value: Any, out: Writer) -> None:
    out.add(library_name(value, out))
    for part in (value.names, value.levels, value.codes):
        out.items(part)


def _sparse_array(value: Any, out: Writer) -> None:
    out.add(library_name(value, out), type(value.sp_index).__name__, str(len(value)))
    out.child(value.dtype, ".dtype")
    out.child(value.sp_values, ".sp_values")
    out.child(value.sp_index.to_int_index().indices)


def _dtype(value: Any, out: Writer) -> None:
    out.add(library_name(value, out), str(value))
    out.attributes({name: getattr(value, name) for name in value._metadata})


def _ordinal_array(value: Any, out: Writer) -> None:
    out.add(library_name(value, out))
    out.child(value.dtype, ".dtype")
    out.child(getattr(value, "_freq", None), ".freq")
    out.child(value._ndarray)


def _by_state(value: Any, out: Writer) -> None:
    out.add(library_name(value, out))
    encode_reduced(value, out)


def _singleton(value: Any, out: Writer) -> None:
    out.add(library_name(value, out))


def _timestamp(value: Any, out: Writer) -> None:
    out.add(library_name(value, out))
    out.attributes({name: getattr(value, name) for name in ("asm8", "tzinfo", "fold")})


def _column(value: Any, out: Writer) -> None:
    """Write an Arrow array: text by content alone, all else also by how it is chunked.

    A sum or a variance is one of those of the chunks, so that its last bit depends on them.
    """
    pa: Any = sys.modules["pyarrow"]
    is_chunked = isinstance(value, pa.ChunkedArray)
    chunks = value.chunks if is_chunked else [value]
    streams = _flat_streams(value.type)
    out.add("pyarrow:ChunkedArray" if is_chunked else "pyarrow:Array", str(value.type), str(len(value)))
    if streams is None:
        _ipc(pa.table({"": value if is_chunked else pa.chunked_array(chunks)}), out)
        return
    out.add("flat", str(value.null_count))
    if _text not in streams:
        out.add(*(str(len(chunk)) for chunk in chunks if len(chunk)))

    def write() -> None:
        if value.null_count:
            for piece in _pieces(chunks):
                out.stream(_fixed_width(piece.is_valid()))
        for stream in streams:
            for piece in _pieces(chunks):
                out.stream(stream(piece))

    held = [chunk.buffers() for chunk in chunks]
    buffers = [memoryview(each).cast("B") for each in chain.from_iterable(held) if each is not None]
    if LONG_BYTES <= sum(map(len, buffers)) <= _MOST_HELD * value.nbytes:
        lies = [
            (chunk.offset, len(chunk), [each is not None for each in of_chunk])
            for chunk, of_chunk in zip(chunks, held, strict=True)
        ]
        out.derived(buffers, repr(lies), write)
    else:
        write()


def _pieces(chunks: list[Any]) -> Iterator[Any]:
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE_ROWS):
            yield chunk.slice(start, _PIECE_ROWS)


def _flat_streams(kind: Any) -> tuple[Callable[[Any], memoryview], ...] | None:
    """Return what turns a piece into bytes that depend neither on its offset nor on what is under nulls, by streams."""
    types: Any = sys.modules["pyarrow"].types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return _lengths, _text
    if types.is_primitive(kind) or types.is_decimal(kind) or types.is_fixed_size_binary(kind):
        return (_fixed_width,)
    return None


def _fixed_width(piece: Any) -> memoryview:
    pa: Any = sys.modules["pyarrow"]
    if piece.null_count:
        piece = piece.drop_null()
    if pa.types.is_boolean(piece.type):
        piece = piece.cast(pa.uint8())
    width = piece.type.bit_width // 8
    return _bytes_of(piece, 1)[piece.offset * width : (piece.offset + len(piece)) * width]


def _lengths(piece: Any) -> memoryview:
    return _fixed_width(import_module("pyarrow.compute").binary_length(piece))


def _text(piece: Any) -> memoryview:
    if not len(piece):
        return memoryview(b"")
    types: Any = sys.modules["pyarrow"].types
    is_large = types.is_large_string(piece.type) or types.is_large_binary(piece.type)
    offsets = _bytes_of(piece, 1).cast("q" if is_large else "i")
    start, end = offsets[piece.offset], offsets[piece.offset + len(piece)]
    if piece.null_count and _shown_bytes(piece) != end - start:
        return _text(piece.drop_null())
    return _bytes_of(piece, 2)[start:end]


def _shown_bytes(piece: Any) -> int:
    """Return the length of all strings that are not null."""
    compute: Any = import_module("pyarrow.compute")
    return int(compute.sum(compute.binary_length(piece)).as_py() or 0)


def _bytes_of(piece: Any, index: int) -> memoryview:
    buffer = piece.buffers()[index]
    return memoryview(b"" if buffer is None else buffer).cast("B")


def _table(value: Any, out: Writer) -> None:
    out.add(library_name(value, out), str(value.num_rows))
    out.child(value.schema)
    names = value.schema.names
    out.items(value.columns, lambda i: f"[{names[i]!r}]")


def _schema(value: Any, out: Writer) -> None:
    out.add(library_name(value, out), value.serialize().to_pybytes())


def _type(value: Any, out: Writer) -> None:
    pa: Any = sys.modules["pyarrow"]
    out.add("pyarrow:DataType", pa.schema([pa.field("", value)]).serialize().to_pybytes())


def _field(value: Any, out: Writer) -> None:
    out.add(library_name(value, out), sys.modules["pyarrow"].schema([value]).serialize().to_pybytes())


def _scalar(value: Any, out: Writer) -> None:
    out.add("pyarrow:Scalar")
    _column(sys.modules["pyarrow"].array([value], type=value.type), out)


class _Sink(io.RawIOBase):
    """A file that is only hashed."""

    def __init__(self, out: Writer) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._out.stream(data)
        return len(data)


def _ipc(table: Any, out: Writer) -> None:
    pa: Any = sys.modules["pyarrow"]
    with pa.ipc.new_stream(_Sink(out), table.schema) as stream:
        stream.write_table(table)


FRAME_TYPES: dict[tuple[str, str], Encoder] = {
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Series"): _series,
    ("pandas", "Index"): _index,
    ("pandas", "RangeIndex"): _parts("name", "start", "stop", "step"),
    ("pandas", "MultiIndex"): _multi_index,
    ("pandas", "NDArrayBackedExtensionArray"): _ordinal_array,
    ("pandas", "BaseMaskedArray"): _parts("dtype", "_data", "_mask"),
    ("pandas", "ArrowExtensionArray"): _parts("dtype", "_pa_array"),
    ("pandas", "IntervalArray"): _parts("dtype", "_left", "_right"),
    ("pandas", "SparseArray"): _sparse_array,
    ("pandas", "ExtensionDtype"): _dtype,
    ("pandas", "BaseOffset"): _by_state,
    ("pandas", "Timestamp"): _timestamp,
    ("pandas", "Timedelta"): _parts("asm8"),
    ("pandas", "Interval"): _parts("left", "right", "closed"),
    ("pandas", "_Period"): _parts("ordinal", "freq"),
    ("pandas", "NaTType"): _singleton,
    ("pandas", "C_NAType"): _singleton,
    ("pandas", "NAType"): _singleton,
    ("pytz", "BaseTzInfo"): _by_state,  # the time zones of pandas 2
    ("pyarrow", "Array"): _column,
    ("pyarrow", "ChunkedArray"): _column,
    ("pyarrow", "Table"): _table,
    ("pyarrow", "RecordBatch"): _table,
    ("pyarrow", "Schema"): _schema,
    ("pyarrow", "Field"): _field,
    ("pyarrow", "DataType"): _type,
    ("pyarrow", "Scalar"): _scalar,
}
"""By library and class: encoders for the class and its subclasses."""
