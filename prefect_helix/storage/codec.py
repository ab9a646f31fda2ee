"""Values to blobs and back: pickle protocol 5 with its buffers outside the stream, aligned and checksummed.

A blob is::

    header    magic, format version, number of parts; size and checksum of every part; checksum of all that
    part 0    the pickle stream
    part 1…   the buffers of arrays and frames, as they lie in memory

Header and parts are padded with zeros to 64 bytes, so that a mapped blob gives aligned arrays. Checksums are
BLAKE3, 16 bytes. The header names every byte that follows, so its own checksum is the content name of the blob.

A loaded value computes what the encoded one would, bit for bit. NumPy's and pandas' own pickles drop the strides of
views with gaps (every `frame.iloc[:n]` is one), and pandas' join the chunks of Arrow columns; either changes how floats
are summed. Both are kept here. PyTorch's copies a tensor three times, and forgets its gradient; see `tensors`.
Known exceptions: strided object arrays and strided masked arrays come back contiguous, in C order.

Classes and functions are kept by name, those of a script too: an instance of a copied class is none of the class.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

import cloudpickle
from blake3 import blake3

from prefect_helix.core.digest_writer import HASH_BYTES, content_hash
from prefect_helix.core.errors import HelixError, NotStorableError
from prefect_helix.core.naming import is_script
from prefect_helix.storage.lookup import find, findable_name
from prefect_helix.storage.mapped import hash_of, known_hash
from prefect_helix.storage.tensors import reduce_tensor, restore_tensor

if TYPE_CHECKING:
    import numpy

Chunk = bytes | memoryview
Code = type | FunctionType


class Part(Protocol):
    """A piece of a blob that is read where it lies: live memory, or a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> Chunk: ...


FORMAT_VERSION = 1
CHECKSUM_BYTES = HASH_BYTES

_ALIGNMENT = 64
_MAGIC = b"\x93HELIX\r\n"
_PREFIX = struct.Struct("<8sII")
_PART = struct.Struct(f"<Q{CHECKSUM_BYTES}s")
_PIECE_BYTES = 1 << 20


class DecodingError(HelixError):
    """A blob is damaged, foreign, too new, or cannot be unpickled here; whatever it held is computed again.

    Its text is a cause, in words that follow a colon.
    """


class ChangedWhileWritingError(NotStorableError):
    """A value changed after it was encoded and before all of it was written, so nothing was kept."""


@dataclass(frozen=True)
class Encoded:
    """An encoded value whose buffers are still the value's own memory.

    Attributes:
        name: Content name, 32 hex digits: equal names mean equal blobs.
        size_bytes: Length of the whole blob.
        chunks: The blob in order; memory views are views on live memory, not copies.
        checksums: For each chunk the checksum taken when the value was encoded.
        type_name: Type of the value, for messages.
        code: Classes of the objects in the value, and the classes and functions that are values in it.
    """

    name: str
    size_bytes: int
    chunks: tuple[Part, ...]
    checksums: tuple[bytes, ...]
    type_name: str
    code: frozenset[Code] = frozenset()

    def verified_chunks(self) -> Iterator[Chunk]:
        """Yield the blob in pieces of bounded size.

        Where it is told whether somebody writes to the memory meanwhile, they are of that memory. Else each is hashed
        in the very copy that is yielded. A piece is good until the next one is asked for: all copies are made into the
        same memory, which stays in the processor's cache while it is hashed and written.

        Raises:
            ChangedWhileWritingError: After a chunk that is no longer what was encoded; what was written is to be
                thrown away.
        """
        copy = memoryview(bytearray(min(_PIECE_BYTES, max(map(len, self.chunks)))))
        for chunk, expected in zip(self.chunks, self.checksums, strict=True):
            told = _known_hash(chunk) == expected
            written = blake3()
            for start in range(0, len(chunk), _PIECE_BYTES):
                live = chunk[start : start + _PIECE_BYTES]
                if told:
                    yield live
                else:
                    piece = copy[: len(live)]
                    piece[:] = live
                    written.update(piece)
                    yield piece
            if (_known_hash(chunk) if told else written.digest(CHECKSUM_BYTES)) != expected:
                raise ChangedWhileWritingError(self.type_name, "its memory changed while it was being written")


def _known_hash(chunk: Part) -> bytes | None:
    return known_hash(chunk) if isinstance(chunk, bytes | memoryview) else None


def checksum(data: Chunk | bytearray) -> bytes:
    """Return the 16-byte BLAKE3 checksum of `data`, which is what digests know a long buffer by."""
    return content_hash(data)


def encode(value: object) -> Encoded:
    """Return `value` as a blob.

    Arrays and frames are not copied unless their memory has gaps. Complexity: O(bytes), one pass to hash them.

    Raises:
        NotStorableError: If the value cannot be pickled.
    """
    type_name = f"{type(value).__module__}.{type(value).__qualname__}"
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    pickler = _Pickler(stream, protocol=5, buffer_callback=buffers.append)
    try:
        pickler.dump(value)
        parts: list[Chunk] = [stream.getvalue(), *(buffer.raw() for buffer in buffers)]
    except Exception as error:
        raise NotStorableError(type_name, f"{type(error).__name__}: {error}") from error
    if pickler.copied:
        raise NotStorableError(type_name, f"{pickler.copied[0]} is not to be found. Define the class in a module.")

    return assemble(parts, [hash_of(part) for part in parts], type_name, frozenset(pickler.code))


def assemble(parts: Sequence[Part], checksums: Sequence[bytes], type_name: str, code: frozenset[Code]) -> Encoded:
    """Return the blob of a pickle stream and its buffers.

    Args:
        parts: They, in order.
        checksums: Of each its checksum.
        type_name: Type of the value, for messages.
        code: See `Encoded`.
    """
    facts = _PREFIX.pack(_MAGIC, FORMAT_VERSION, len(parts)) + b"".join(
        _PART.pack(len(part), digest) for part, digest in zip(parts, checksums, strict=True)
    )
    name = checksum(facts)
    header = facts + name
    chunks: list[Part] = []
    chunk_checksums: list[bytes] = []
    for chunk, digest in zip((header, *parts), (checksum(header), *checksums), strict=True):
        padding = bytes(_padding(len(chunk)))
        chunks += (chunk, padding)
        chunk_checksums += (digest, checksum(padding))
    return Encoded(name.hex(), sum(map(len, chunks)), tuple(chunks), tuple(chunk_checksums), type_name, code)


def code_in(value: object) -> frozenset[Code]:
    """Return the classes of the objects in `value`, and the classes and functions that are values in it.

    A value that cannot be pickled is known by its own class alone. Complexity: O(objects); buffers are not read.
    """
    pickler = _Pickler(io.BytesIO(), protocol=5, buffer_callback=lambda _: False)
    try:
        pickler.dump(value)
    except Exception:  # pickling runs the code of the value's classes, which may raise anything
        return frozenset({type(value)})
    return frozenset(pickler.code)


def decode(data: Chunk | bytearray, *, name: str | None = None, verified: bool = False) -> object:
    """Return the value of a blob after checking every byte of it.

    Arrays lie in `data` itself where it is writable (a private map, a bytearray) and in a copy where it is not, so
    that a loaded array can be written like the one that was stored.

    Args:
        data: The whole blob.
        name: The content name it must have, if known.
        verified: Whether the content is known to be whole, so that the header alone is checked.

    Raises:
        DecodingError: If the blob is damaged, foreign, of a newer format or another name, or if unpickling fails
            (a module is missing, a class has changed).
    """
    view = memoryview(data).cast("B")
    parts = _verified_parts(view, name, content=not verified)
    buffers = [bytearray(part) if view.readonly else part for part in parts[1:]]
    try:
        return _Unpickler(io.BytesIO(parts[0]), buffers=buffers).load()
    except Exception as error:
        raise DecodingError(f"it cannot be unpickled here ({type(error).__name__}: {error})") from error


def check(data: Chunk | bytearray, *, name: str) -> None:
    """Check every byte of a blob; nothing is unpickled.

    Raises:
        DecodingError: If the blob is damaged, foreign, of a newer format or another name.
    """
    _verified_parts(memoryview(data).cast("B"), name, content=True)


def checksums(data: Chunk | bytearray, least_bytes: int) -> Iterator[tuple[memoryview, bytes]]:
    """Yield the parts of a blob that was checked, each with its checksum; those that are shorter are left out."""
    view = memoryview(data).cast("B")
    end = header_bytes(view)
    for size, found in _table(view):
        start = end + _padding(end)
        end = start + size
        if size >= least_bytes:
            yield view[start:end], found


def header_bytes(front: Chunk | bytearray) -> int:
    """Return the length of the header of a blob that begins like this.

    Raises:
        DecodingError: If it is no blob, or of a newer format.
    """
    if len(front) < _PREFIX.size:
        raise DecodingError("it is shorter than a header")
    magic, version, count = _PREFIX.unpack_from(front)
    if magic != _MAGIC:
        raise DecodingError("it does not begin like a blob")
    if version != FORMAT_VERSION:
        raise DecodingError(f"its format has version {version}, and this release reads version {FORMAT_VERSION}")
    return int(_PREFIX.size + count * _PART.size + CHECKSUM_BYTES)


def stated_bytes(front: Chunk | bytearray, *, name: str | None = None) -> int:
    """Return how long the header of a blob says that it is.

    Args:
        front: What the blob begins with, its header at least.
        name: The content name it must have, if known.

    Raises:
        DecodingError: If the header is damaged, foreign, or that of another blob.
    """
    view = memoryview(front).cast("B")
    table_end = _checked_header(view, name)
    end = table_end + CHECKSUM_BYTES
    end += _padding(end)
    for size, _ in _table(view):
        end += size + _padding(size)
    return end


def _table(view: memoryview) -> Iterator[tuple[int, bytes]]:
    """Yield the length and the checksum of each part, as the header has them."""
    return _PART.iter_unpack(view[_PREFIX.size : header_bytes(view) - CHECKSUM_BYTES])


def _checked_header(view: memoryview, name: str | None) -> int:
    """Return where the table of parts ends, once the header is known to be what was written."""
    header_end = header_bytes(view)
    table_end = header_end - CHECKSUM_BYTES
    digest = checksum(view[:table_end])
    if digest != view[table_end:header_end]:
        raise DecodingError("its header does not have the checksum it was written with")
    if name is not None and digest.hex() != name:
        raise DecodingError("it has the content of another blob")
    return table_end


def _verified_parts(view: memoryview, name: str | None, *, content: bool) -> list[memoryview]:
    table_end = _checked_header(view, name)
    parts = []
    end = _skip_padding(view, table_end + CHECKSUM_BYTES)
    for size, expected in _table(view):
        start, end = end, end + size
        if end > len(view):
            raise DecodingError("it is truncated")
        part = view[start:end]
        if content and checksum(part) != expected:
            raise DecodingError("its content does not have the checksum it was written with")
        parts.append(part)
        end = _skip_padding(view, end)
    if not parts or end != len(view):
        raise DecodingError("it does not have the length it was written with")
    return parts


def _padding(size: int) -> int:
    return -size % _ALIGNMENT


def _skip_padding(view: memoryview, end: int) -> int:
    padding = _padding(end)
    if view[end : end + padding] != bytes(padding):
        raise DecodingError("its padding is damaged or missing")
    return end + padding


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle, with the memory layout of arrays and columns kept, and code taken by name wherever it has one.

    Attributes:
        code: The code that the value relies on.
        copied: Names of classes that no process finds by them: all that could be stored is a copy.
    """

    def __init__(self, file: io.BytesIO, **options: Any) -> None:
        super().__init__(file, **options)
        self.code: set[Code] = set()
        self.copied: list[str] = []

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if isinstance(obj, (type, FunctionType)):
            if obj.__module__ not in _RESTORING:  # what restores a value is no part of it
                self.code.add(obj)
            if is_script(obj.__module__):
                name = findable_name(obj)
                if name is not None:
                    return _found, (name,)
                if isinstance(obj, type) and "<locals>" not in obj.__qualname__:
                    self.copied.append(f"{obj.__module__}.{obj.__qualname__}")
        else:
            self.code.add(kind)
        reduce = _LAYOUT_REDUCERS.get((kind.__module__, kind.__qualname__))
        reduced = NotImplemented if reduce is None else reduce(obj)
        return super().reducer_override(obj) if reduced is NotImplemented else reduced


class _Unpickler(pickle.Unpickler):
    """pickle, with what was imported then and is in a script now found there, and the other way round."""

    def find_class(self, module: str, name: str) -> Any:
        found = find(f"{module}:{name}")
        return super().find_class(module, name) if found is None else found


def _found(name: str) -> object:
    found = find(name)
    if found is None:
        raise AttributeError(f"{name} is not to be found")
    return found


def _reduce_array(array: numpy.ndarray[Any, Any]) -> Any:
    if array.flags.c_contiguous or array.flags.f_contiguous or array.dtype.hasobject:
        return NotImplemented
    return _restore_array, (array.copy(order="C"), array.strides, array.flags.writeable)


def _restore_array(
    content: numpy.ndarray[Any, Any], strides: tuple[int, ...], writeable: bool
) -> numpy.ndarray[Any, Any]:
    """Return `content` laid out by `strides`, in a block as large as the one the original was a view on."""
    reaches = [(length - 1) * stride for length, stride in zip(content.shape, strides, strict=True)]
    block = bytearray(sum(map(abs, reaches)) + content.itemsize)
    offset = -sum(reach for reach in reaches if reach < 0)
    array = type(content)(content.shape, content.dtype, block, offset, strides)
    array[...] = content
    array.flags.writeable = writeable
    return array


def _reduce_block(block: Any) -> Any:
    # Block.__reduce_ex__ would make a view contiguous first; __reduce__ leaves that to `_reduce_array`.
    return block.__reduce__()


def _reduce_arrow_column(column: Any) -> Any:
    chunks = column._pa_array.chunks
    if len(chunks) < 2:
        return NotImplemented
    # Concatenating a chunk with nothing leaves out the rows of the column it was cut from.
    compact = [sys.modules["pyarrow"].concat_arrays([chunk]) for chunk in chunks]
    return copyreg.__newobj__, (type(column),), {**column.__dict__, "_pa_array": compact, "_cache": {}}  # type: ignore[attr-defined]


_RESTORING = (__name__, restore_tensor.__module__)

_LAYOUT_REDUCERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("numpy", "ndarray"): _reduce_array,
    ("pandas.core.internals.blocks", "NumpyBlock"): _reduce_block,
    ("pandas.arrays", "ArrowExtensionArray"): _reduce_arrow_column,
    ("pandas.arrays", "ArrowStringArray"): _reduce_arrow_column,
    ("torch", "Tensor"): reduce_tensor,
    ("torch.nn.parameter", "Parameter"): reduce_tensor,
}
