"""Which memory holds what is known by its checksum: what was just encoded, and what was loaded and left alone.

Large objects are loaded as private maps of files. Whoever first writes to a page of one gets a copy of it, and Linux
tells of each page whether it is still the file's (bit 61 of `/proc/self/pagemap`). Until then the content of an array
that was loaded has the checksum that it was stored with. So it need not be read to know that a task which was given it
left it alone.

Where the kernel does not tell, or not as expected, nothing is known here, and content is hashed. Files of a store are
written once: one that somebody changes in place by a shared map of it may pass for what it was, here as in `verified`.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_helix.core.digest_writer import LONG_BYTES, Known
from prefect_helix.storage import watched
from prefect_helix.storage.verified import Stamp, stamp_of
from prefect_helix.storage.watched import Place, place_of

if TYPE_CHECKING:
    from prefect_helix.storage.blob import Encoded

_PAGEMAP = Path("/proc/self/pagemap")
_ENTRY_BYTES = 8
_READ_BYTES = 1 << 20
# The upper three bits of an entry: present, swapped, of a file.
_STATE_SHIFT = 61
_ABSENT, _OF_FILE, _WRITTEN = 0, 5, 4


class _Map(NamedTuple):
    place: Place
    pages: weakref.ref[mmap.mmap]
    file: Path
    stamp: Stamp


class _Part(NamedTuple):
    place: Place
    checksum: bytes
    of: _Map


_parts: dict[int, _Part] = {}


def note(data: memoryview, parts: Iterable[tuple[memoryview, bytes]], file: Path, stamp: Stamp) -> None:
    """Remember what a private map holds, for as long as it is there.

    Args:
        data: The map.
        parts: Parts of it, and the checksum of each in a blob that was found whole.
        file: The file.
        stamp: What the file was when it was mapped.
    """
    source = data.obj
    if not isinstance(source, mmap.mmap) or "numpy" not in sys.modules or not _is_told():
        return
    noted: dict[int, _Part] = {}

    def forget(_: object) -> None:
        for address, part in noted.items():
            if _parts.get(address) is part:  # else another map lies there by now
                _parts.pop(address, None)

    whole = place_of(data)
    assert whole is not None, "numpy is there"
    of = _Map(whole, weakref.ref(source, forget), file, stamp)
    for part, checksum in parts:
        place = place_of(part)
        if place is not None:
            noted[place[0]] = _Part(place, checksum, of)
    _parts.update(noted)


class Look:
    """One look at the memory of a value: a map is gone through once, however many buffers lie in it.

    Each question to the kernel lets other threads take the interpreter, and a frame may have hundreds of buffers.
    """

    def __init__(self) -> None:
        self._maps: dict[int, tuple[_Map, mmap.mmap | None]] = {}

    def hash_of(self, buffer: Any) -> bytes:
        """Return the `content_hash` of a contiguous buffer of bytes, which is read if that is not known.

        Complexity: O(bytes); O(1) in a map that nobody wrote to, and O(its pages), 8 bytes for each, the first time.
        """
        part = _part_at(buffer)
        if part is None:
            return watched.hash_of(buffer)
        if id(part.of) not in self._maps:
            self._maps[id(part.of)] = part.of, _untouched(part.of, part.of.place)
        if self._maps[id(part.of)][1] is None and _untouched(part.of, part.place) is None:
            return watched.hash_of(buffer)
        return part.checksum


def known_hash(buffer: Any) -> bytes | None:
    """Return the `content_hash` of a contiguous buffer of bytes, if nobody has written to it since that is known.

    Complexity: O(pages) in a map, 8 bytes for each.
    """
    part = _part_at(buffer)
    if part is None or _untouched(part.of, part.place) is None:
        return watched.known_hash(buffer)
    return part.checksum


def _part_at(buffer: Any) -> _Part | None:
    """Return the part of a map that a buffer is; None if it is none, or no more than a piece of one."""
    place = place_of(buffer) if _parts else None
    part = None if place is None else _parts.get(place[0])
    return part if part is not None and part.place == place else None


def _untouched(of: _Map, place: Place) -> mmap.mmap | None:
    """Return a map if its file is as it was and every page that a part of it lies on still the file's; else None."""
    pages = of.pages()  # while it is held nothing else can lie there
    if pages is None or pages.closed or _has_changed(of.file, of.stamp):
        return None
    states = _states(place)
    return None if states is None or states - {_ABSENT, _OF_FILE} else pages


def known_among(blobs: Iterable[Encoded]) -> Known:
    """Return what knows the checksums of the buffers of values that were just encoded, and that nobody else has."""
    held = tuple(blobs)  # and with them their buffers, so that nothing else can lie there
    checksums = {
        place_of(chunk): checksum
        for blob in held
        for chunk, checksum in zip(blob.chunks, blob.checksums, strict=True)
        if len(chunk) >= LONG_BYTES
    }

    def known(buffer: Any) -> bytes | None:
        place = place_of(buffer) if held else None
        return None if place is None else checksums.get(place)

    return known


def _has_changed(file: Path, stamp: Stamp) -> bool:
    try:
        return stamp_of(file.stat()) != stamp
    except OSError:
        return True


def _states(place: Place) -> set[int] | None:
    """Return the states of the pages that a buffer lies on; None where the kernel does not tell."""
    np: Any = sys.modules["numpy"]
    start, length = place
    first, last = start // mmap.PAGESIZE, (start + length - 1) // mmap.PAGESIZE
    left = (last - first + 1) * _ENTRY_BYTES
    states: set[int] = set()
    try:
        with _PAGEMAP.open("rb", buffering=0) as pagemap:
            pagemap.seek(first * _ENTRY_BYTES)
            while left:
                entries = pagemap.read(min(left, _READ_BYTES))
                if not entries or len(entries) % _ENTRY_BYTES:
                    return None
                left -= len(entries)
                found = (np.frombuffer(entries, np.uint64) >> np.uint64(_STATE_SHIFT)).astype(np.intp)
                states.update(np.flatnonzero(np.bincount(found)).tolist())
    except OSError:
        return None
    return states


@functools.cache
def _is_told() -> bool:
    """Return whether this kernel tells of a page that was only read and of one that was written what it should."""
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError), tempfile.TemporaryFile() as file:
        file.write(os.urandom(2 * mmap.PAGESIZE))
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
            pages[mmap.PAGESIZE] = pages[0] ^ 1  # the first is read, the second written
            with memoryview(pages) as view:
                places = [place_of(view[: mmap.PAGESIZE]), place_of(view[mmap.PAGESIZE :])]
            return [place and _states(place) for place in places] == [{_OF_FILE}, {_WRITTEN}]
    return False
