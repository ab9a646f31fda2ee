"""The layout of a blob: a header, and parts that lie in it as they lie in memory, aligned and checksummed.

A blob is::

    header    magic, format version, number of parts; size and checksum of every part; checksum of all that
    part 0    the pickle stream
    part 1…   the buffers of arrays and frames, as they lie in memory

Header and parts are padded with zeros to 64 bytes, so that a mapped blob gives aligned arrays. Checksums are
BLAKE3, 16 bytes. The header names every byte that follows, so its own checksum is the content name of the blob.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Protocol

from blake3 import blake3

from prefect_helix.core.digest_writer import HASH_BYTES, content_hash
from prefect_helix.core.errors import HelixError, NotStorableError
from prefect_helix.storage.mapped import known_hash

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


def check(data: Chunk | bytearray, *, name: str) -> None:
    """Check every byte of a blob; nothing is unpickled.

    Raises:
        DecodingError: If the blob is damaged, foreign, of a newer format or another name.
    """
    verified_parts(memoryview(data).cast("B"), name, content=True)


def verified_parts(view: memoryview, name: str | None, *, content: bool) -> list[memoryview]:
    """Return the parts of a blob once its header is known to be what was written, and its content if that is asked for.

    Raises:
        DecodingError: If the blob is damaged, foreign, of a newer format or another name.
    """
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


def _padding(size: int) -> int:
    return -size % _ALIGNMENT


def _skip_padding(view: memoryview, end: int) -> int:
    padding = _padding(end)
    if view[end : end + padding] != bytes(padding):
        raise DecodingError("its padding is damaged or missing")
    return end + padding
