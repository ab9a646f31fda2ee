"""Blobs made smaller on their way to a store where bytes cost more time than computing: frame by frame.

A compressed blob is a line of magic bytes with the name of the method, and frames: length of the content, length as
stored, the stored bytes. A frame that does not shrink is stored as it is, so that a buffer of random numbers costs next
to nothing, and one of text is compressed. No frame reaches over two parts of a blob. A blob has the same name whether
it is compressed or not.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.storage.blob import Chunk, DecodingError, header_bytes, stated_bytes

_MAGIC = b"\x93HELIXZ "
_FRAME = struct.Struct("<II")
_FRAME_BYTES = 4 << 20
_HEADER_BYTES = 64 << 20
"""Headers so long are read from any blob; longer ones hold checksums that take room in the compressed one, too."""

_WORTH = 0.95
"""A frame is kept compressed if it takes at most this part of its length."""


class _Method(NamedTuple):
    """A way to compress.

    Attributes:
        package: The distribution that has it.
        load: Returns how to compress a frame, and how to get it back given its length.
    """

    package: str
    load: Callable[[], tuple[Callable[[bytes], bytes], Callable[[Chunk, int], bytes]]]


def _zstd() -> Any:
    import zstandard  # noqa: PLC0415 - optional

    def decompress(data: Chunk, size: int) -> Any:
        if zstandard.frame_content_size(data) != size:  # what it says goes before what is asked for
            raise ValueError("it says that it is of another length")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)

    return zstandard.ZstdCompressor(level=1).compress, decompress


def _lz4() -> Any:
    import lz4.block  # noqa: PLC0415 - optional

    return (
        lambda data: lz4.block.compress(data, store_size=False),
        lambda data, size: lz4.block.decompress(data, uncompressed_size=size),
    )


_METHODS = {"zstd": _Method("zstandard", _zstd), "lz4": _Method("lz4", _lz4)}


def checked_compression(name: str | None) -> str | None:
    """Return the name of a method that can be used here, or None for none.

    Raises:
        ConfigurationError: If there is no such method, or its package is not installed.
    """
    if name is None or name == "none":
        return None
    if name not in _METHODS:
        raise ConfigurationError("compression", name, f"Use one of {', '.join(map(repr, [*_METHODS, 'none']))}.")
    try:
        _METHODS[name].load()
    except ImportError as error:
        remedy = f"Install {_METHODS[name].package}: pip install 'prefect-helix[compression]'."
        raise ConfigurationError("compression", name, remedy) from error
    return name


def compressed(chunks: Iterable[Chunk], parts: Iterable[int], method: str) -> Iterator[Chunk]:
    """Yield a blob compressed.

    Args:
        chunks: The blob, in pieces of any size that do not reach over two parts.
        parts: Lengths of its parts.
        method: Name of the method.
    """
    compress, _ = _METHODS[method].load()
    yield _MAGIC + method.encode() + b"\n"
    for frame in _frames(iter(chunks), parts):
        small = compress(frame)
        shrank = len(small) <= _WORTH * len(frame)
        yield _FRAME.pack(len(frame), len(small) if shrank else len(frame))
        yield small if shrank else frame


def _frames(chunks: Iterator[Chunk], parts: Iterable[int]) -> Iterator[bytes]:
    for part in parts:
        left = part
        frame = bytearray()
        while left:
            piece = next(chunks)
            left -= len(piece)
            frame += piece
            if len(frame) >= _FRAME_BYTES or not left:
                yield bytes(frame)
                frame.clear()
    for _ in chunks:  # what follows the last byte is the check of it
        raise AssertionError("a blob is longer than its parts")


def decompressed(data: memoryview, *, name: str | None = None) -> memoryview:
    """Return a blob as it was before it was compressed; one that was not is returned as it is.

    Memory is taken for what its header says once that is known to be what was written.

    Args:
        data: The blob.
        name: The content name it must have, if known.

    Raises:
        DecodingError: If it is damaged, or cannot be decompressed here.
    """
    if bytes(data[: len(_MAGIC)]) != _MAGIC:
        return data
    start = bytes(data[:64]).find(b"\n") + 1
    method = bytes(data[len(_MAGIC) : max(start - 1, 0)]).decode("ascii", "replace")
    if method not in _METHODS:
        raise DecodingError(f"it is compressed with {method!r}, which this release does not know")
    try:
        _, decompress = _METHODS[method].load()
    except ImportError:
        raise DecodingError(
            f"it is compressed with {method}, and {_METHODS[method].package} is not installed"
        ) from None
    size_bytes = sum(size for size, _ in _stored(data, start))
    frames = (_inflated(size, stored, decompress) for size, stored in _stored(data, start))
    front = bytearray(next(frames, b""))
    if (header := header_bytes(front)) > min(size_bytes, _HEADER_BYTES + 16 * len(data)):
        raise DecodingError("its header says that there are more parts than there can be")
    while len(front) < header:
        front += next(frames)
    if stated_bytes(front, name=name) != size_bytes:
        raise DecodingError("it does not have the length it was written with")
    whole = memoryview(bytearray(size_bytes))
    end = 0
    for content in itertools.chain([front], frames):
        whole[end : end + len(content)] = content
        end += len(content)
    return whole


def _inflated(size: int, stored: memoryview, decompress: Callable[[Chunk, int], bytes]) -> Chunk:
    try:
        content = stored if len(stored) == size else decompress(stored, size)
    except Exception as error:
        raise DecodingError(f"it cannot be decompressed ({type(error).__name__}: {error})") from error
    if len(content) != size:
        raise DecodingError("a frame does not have the length it was written with")
    return content


def _stored(data: memoryview, start: int) -> Iterator[tuple[int, memoryview]]:
    """Yield the frames: length of the content, and the stored bytes."""
    while start < len(data):
        if len(data) - start < _FRAME.size:
            raise DecodingError("it is truncated")
        size, stored = _FRAME.unpack_from(data, start)
        start += _FRAME.size
        if not 0 < stored <= size <= 2 * _FRAME_BYTES or stored > len(data) - start:
            raise DecodingError("it is truncated, or a frame of it is damaged")
        yield size, data[start : start + stored]
        start += stored
