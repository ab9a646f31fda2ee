"""How a value becomes bytes for a hash: type-tagged, length-prefixed, streamed.

A value is either a *scalar*, whose token is its type's tag and its bytes, or a *composite*, whose token is the hash
of everything written for it, so that the digest of a value is a Merkle hash over its parts. Tokens are short: what
is longer than 64 bytes is replaced by its hash. So are the long buffers of arrays, since the hash of one may be known:
it is the checksum that it is stored with. Nothing is joined that grows with the value.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from reprlib import repr as short_repr
from typing import Any, cast
from uuid import UUID

from blake3 import blake3

from prefect_helix.core.recent import Recent

HASH_BYTES = 16
LONG_BYTES = 1 << 16
"""From this length on a buffer is written by its hash."""

_TOKEN_BYTES = 64
_CHUNK_ITEMS = 4096
_PACKED_CHARACTERS = 1 << 22
_TEXT_SLICE_CHARACTERS = 1 << 20
_BUFFER_BYTES = 1 << 16
_LENGTH = struct.Struct("<Q").pack

Place = Callable[[int], str]
"""Names the i-th part of a value, as Python would reach it: ``[3]``, ``.lock``."""

Known = Callable[[Any], bytes | None]
"""Gives the `content_hash` of a long contiguous buffer without reading it, where that is known."""

_derived: Recent[str, blake3] = Recent(1024)
"""By the content that it follows from: what was written, and what came before it."""

_Rows = tuple[tuple[object, ...], ...]


class Refused(Exception):
    """A part of the value has no digest; gathers the path to it on the way out, innermost step first."""

    def __init__(self, cls: type, cause: str) -> None:
        super().__init__(cls, cause)
        self.cls = cls
        self.cause = cause
        self.steps: list[str] = []

    @property
    def path(self) -> str:
        """The path from the whole value to the part."""
        return "".join(reversed(self.steps))


def frame(part: str | bytes) -> bytes:
    """Return `part` with its length in front, so that neighbours cannot run into each other."""
    data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
    return _LENGTH(len(data)) + data


def content_hash(buffer: Any) -> bytes:
    """Return the hash of a contiguous buffer: BLAKE3, 16 bytes."""
    return blake3(buffer).digest(HASH_BYTES)


def hash_bytes(*pieces: bytes) -> bytes:
    """Return the hash of some short bytes, taken together."""
    return blake3(b"".join(pieces)).digest(HASH_BYTES)


def hash_parts(tag: str, *parts: str | bytes) -> str:
    """Return the hash (32 hexadecimal digits) of some strings and bytes under a tag.

    The tag separates domains: the same parts under another tag hash differently. So do parts split elsewhere, and a
    string and its bytes.
    """
    pieces = [frame(tag)]
    for part in parts:
        pieces += (b"s" if isinstance(part, str) else b"b", frame(part))
    return blake3(b"".join(pieces)).hexdigest(HASH_BYTES)


class Writer(ABC):
    """Takes down one composite value.

    Encoders call its methods in an order that only the value decides. `witness` says that what is written stands
    for the value without proving it equal to another that writes the same.
    """

    __slots__ = ("_buffer", "_hasher")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._hasher: blake3 | None = None

    @abstractmethod
    def composite(self, value: object, place: Place, index: int) -> bytes:
        """Return the token of a part that is no scalar."""

    @abstractmethod
    def witness(self) -> None:
        """Note that equal digests prove nothing."""

    @abstractmethod
    def known(self, buffer: Any) -> bytes | None:
        """Return the `content_hash` of a long buffer without reading it, if that is known."""

    @property
    def is_long(self) -> bool:
        """Whether more was written than is kept waiting."""
        return self._hasher is not None

    def digest(self) -> bytes:
        """Return the hash of what was written."""
        hasher = blake3(self._buffer) if self._hasher is None else self._flushed()
        return hasher.digest(HASH_BYTES)

    def add(self, *parts: str | bytes) -> None:
        """Write short strings or bytes, each with its length. The first one of a value is its tag."""
        for part in parts:
            self._buffer += frame(part)
        if len(self._buffer) > _BUFFER_BYTES:
            self._flushed()

    def stream(self, buffer: Any) -> None:
        """Write a part of a buffer as it is; how it is cut does not count, so its length must follow from before."""
        self._flushed().update(buffer)

    def whole(self, buffer: Any) -> None:
        """Write a contiguous buffer of bytes, a long one by its hash; its length must follow from before."""
        if len(buffer) >= LONG_BYTES:
            buffer = self.known(buffer) or content_hash(buffer)
        self.stream(buffer)

    def derived(self, buffers: Sequence[Any], how: str, write: Callable[[], None]) -> None:
        """Write what follows from some buffers alone, which is not made again for the same content.

        Args:
            buffers: They, each contiguous and of bytes.
            how: What else it follows from; nothing but that and what was written so far.
            write: Writes it.
        """
        hashes = [self.known(each) if len(each) >= LONG_BYTES else content_hash(each) for each in buffers]
        if None in hashes:
            write()
            return
        before = self._flushed().digest(HASH_BYTES)
        key = hash_parts("derived", before, how, *cast(list[bytes], hashes))
        state = _derived.get(key)
        if state is None:
            write()
            state = self._flushed().copy()
        else:
            self._hasher = state.copy()
        _derived.put(key, state)

    def _flushed(self) -> blake3:
        if self._hasher is None:
            self._hasher = blake3()
        self._hasher.update(self._buffer)
        self._buffer.clear()
        return self._hasher

    def child(self, value: object, place: str = "") -> None:
        """Write one part."""
        self.add(self._token(value, lambda _: place, 0))

    def items(self, values: Iterable[object], place: Place = "[{}]".format) -> None:
        """Write parts in their order, together with how many they are."""
        iterator = iter(values)
        start = 0
        while chunk := tuple(islice(iterator, _CHUNK_ITEMS)):
            self._chunk(chunk, place, start)
            start += len(chunk)
        self.add(b"")

    def unordered(self, values: Iterable[object]) -> None:
        """Write parts that have no order."""
        self._tokens(sorted(self._token(value, lambda _: "{...}", 0) for value in values))

    def attributes(self, values: Mapping[str, object]) -> None:
        """Write the attributes of an object."""
        names = list(values)
        self.items(names)
        self.items(values.values(), lambda i: f".{names[i]}")

    def mapping(self, values: Mapping[Any, object]) -> None:
        """Write the entries of a mapping in their order."""
        self.items(values, ".keys()[{}]".format)
        self.items(values.values(), lambda i: f"[{short_repr(next(islice(values, i, None)))}]")

    def _token(self, value: object, place: Place, index: int) -> bytes:
        scalar = SCALARS.get(type(value))
        return scalar(value) if scalar is not None else self._part(value, place, index)

    def _part(self, value: object, place: Place, index: int) -> bytes:
        try:
            return self.composite(value, place, index)
        except Refused as refused:
            refused.steps.append(place(index))
            raise

    def _tokens(self, tokens: list[bytes]) -> None:
        self.add(b"any", bytes(map(len, tokens)), b"".join(tokens))

    def _chunk(self, chunk: tuple[object, ...], place: Place, start: int, is_column: bool = False) -> None:
        """Write a run of parts: packed where all are of one simple type, rows of one width by columns."""
        kinds = set(map(type, chunk))
        kind = kinds.pop() if len(kinds) == 1 else None
        pack = _PACKERS.get(kind)
        if pack is not None and (packed := pack(chunk)) is not None:
            self.add(*packed)
        elif kind is tuple and len(chunk) > 1 and not is_column and len(set(map(len, cast(_Rows, chunk)))) == 1:
            columns = list(zip(*cast(_Rows, chunk), strict=True))
            self.add(b"rows", str(len(chunk)), str(len(columns)))
            for c, column in enumerate(columns):
                self._chunk(column, lambda i, c=c: f"{place(i)}[{c}]", start, is_column=True)  # type: ignore[misc]
        else:
            scalar = SCALARS.get
            self._tokens(
                [
                    token(value) if (token := scalar(type(value))) is not None else self._part(value, place, i)
                    for i, value in enumerate(chunk, start)
                ]
            )


def _pack_str(chunk: tuple[Any, ...]) -> tuple[bytes, ...] | None:
    lengths = list(map(len, chunk))
    if sum(lengths) > _PACKED_CHARACTERS:
        return None
    return b"str", struct.pack(f"<{len(chunk)}I", *lengths), "".join(chunk).encode("utf-8", "surrogatepass")


def _pack_int(chunk: tuple[Any, ...]) -> tuple[bytes, ...] | None:
    try:
        return b"int", struct.pack(f"<{len(chunk)}q", *chunk)
    except struct.error:  # one does not fit into 64 bits
        return None


_PACKERS: dict[type | None, Callable[[tuple[Any, ...]], tuple[bytes, ...] | None]] = {
    str: _pack_str,
    int: _pack_int,
    float: lambda chunk: (b"float", struct.pack(f"<{len(chunk)}d", *chunk)),
    bool: lambda chunk: (b"bool", bytes(chunk)),
    type(None): lambda chunk: (b"None", str(len(chunk)).encode()),
}


def _tagged(tag: bytes, *data: Any) -> bytes:
    """Return a scalar's token: tag and bytes, or their hash where they are long."""
    if len(data) == 1 and len(data[0]) <= _TOKEN_BYTES:
        return tag + bytes(data[0])
    return _hashed(tag, data)


def _hashed(tag: bytes, pieces: Iterable[Any]) -> bytes:
    hasher = blake3(tag)
    for piece in pieces:
        hasher.update(piece)
    return b"#" + hasher.digest(HASH_BYTES)


def _text(tag: bytes) -> Callable[[Any], bytes]:
    def token(value: Any) -> bytes:
        text = str(value)
        if len(text) <= _TEXT_SLICE_CHARACTERS:
            return _tagged(tag, text.encode("utf-8", "surrogatepass"))
        return _hashed(tag, _utf8_slices(text))

    return token


def _utf8_slices(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _TEXT_SLICE_CHARACTERS):
        yield text[start : start + _TEXT_SLICE_CHARACTERS].encode("utf-8", "surrogatepass")


def _int(value: int) -> bytes:
    return _tagged(b"int:", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _timedelta(value: timedelta) -> bytes:
    return b"timedelta:%d:%d:%d" % (value.days, value.seconds, value.microseconds)


_PATHS: tuple[type[PurePath], ...] = (PurePosixPath, PosixPath, PureWindowsPath, WindowsPath)

SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"None:",
    type(Ellipsis): lambda _: b"Ellipsis:",
    type(NotImplemented): lambda _: b"NotImplemented:",
    bool: lambda value: b"bool:1" if value else b"bool:0",
    int: _int,
    float: lambda value: b"float:" + struct.pack("<d", value),
    complex: lambda value: b"complex:" + struct.pack("<2d", value.real, value.imag),
    str: _text(b"str:"),
    bytes: lambda value: _tagged(b"bytes:", value),
    bytearray: lambda value: _tagged(b"bytearray:", value),
    # The tuple, because the text of a decimal depends on the context's `capitals`.
    Decimal: lambda value: _tagged(b"Decimal:", repr(value.as_tuple()).encode()),
    Fraction: lambda value: _tagged(b"Fraction:", f"{value.numerator:x}/{value.denominator:x}".encode()),
    UUID: lambda value: b"UUID:" + value.bytes,
    date: lambda value: b"date:" + value.isoformat().encode(),
    timedelta: _timedelta,
    **{cls: _text(f"{cls.__name__}:".encode()) for cls in _PATHS},
}
"""By exact type: what makes the token of a value that has no parts."""
