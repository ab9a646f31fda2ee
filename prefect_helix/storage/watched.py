"""Which memory nobody has written to since its content was hashed, so that it need not be read again to know that.

A task may change what it is given in place, so that its arguments are hashed again when it has ended, and a value again
while it is written. Linux can tell instead, from 6.7 on: pages are write-protected in a way that resolves itself
(`UFFD_FEATURE_WP_ASYNC` of userfaultfd(2)). Nobody is notified of a write; it lifts the protection of its page, and
`PAGEMAP_SCAN` (the kernel's Documentation/admin-guide/mm/pagemap.rst) tells of which pages that is so. Reading is as
ever.

- A note is of content, not of an object. Memory that was freed and is used again has the same content until somebody
  writes to it, and what is mapped anew at the same address is not protected.
- Pages are protected first and read then: whatever is written meanwhile counts as written.
- Notes do not overlap. Who protects pages lifts what was known of them, so that no write is forgotten.
- Only pages of private memory count, that are there: others may be written by who does not go through these.
- The pieces of pages at both ends are compared with copies.

Where the kernel does not tell, or not as expected, nothing is known here, and content is hashed.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
import platform
import struct
import sys
import threading
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_helix.core.digest_writer import content_hash

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WATCHED_BYTES = 1 << 18
"""Shorter buffers are hashed: that is as quick as asking."""

Place = tuple[int, int]
"""Address and length of a buffer."""

_MOST_NOTES = 4096
_PAGE = mmap.PAGESIZE

# The numbers of linux/userfaultfd.h and linux/fs.h.
_SYSCALL = {"x86_64": 323, "aarch64": 282}
_USER_MODE_ONLY = 1
_API, _FEATURE_WP_UNPOPULATED, _FEATURE_WP_ASYNC = 0xAA, 1 << 13, 1 << 15
_REGISTER_MODE_WP = 2
_UFFDIO_API, _API_ARGUMENT = 0xC018AA3F, struct.Struct("QQQ")
_UFFDIO_REGISTER, _REGISTER_ARGUMENT = 0xC020AA00, struct.Struct("QQQQ")
_PAGEMAP_SCAN, _SCAN_ARGUMENT = 0xC0606610, struct.Struct("12Q")
_SCAN_PROTECT, _SCAN_PROTECTED_ONLY = 1, 2
_WRITTEN, _OF_FILE, _PRESENT = 2, 4, 8
_WALK_END = 4
_REGIONS = 512


def place_of(buffer: Any) -> Place | None:
    """Return where a contiguous buffer of bytes lies; None where that cannot be told."""
    np: Any = sys.modules.get("numpy")  # whoever has large buffers has loaded it
    if np is None:
        return None
    array = np.frombuffer(buffer, np.uint8)
    return array.__array_interface__["data"][0], len(array)


def hash_of(buffer: Any) -> bytes:
    """Return the `content_hash` of a contiguous buffer of bytes, read only if it may have changed since the last time.

    Complexity: O(bytes); O(pages / 500) and a system call if nobody has written to it.
    """
    place = place_of(buffer) if len(buffer) >= WATCHED_BYTES else None
    watch = None if place is None else _watch()
    return content_hash(buffer) if place is None or watch is None else watch.hash_of(buffer, place)


def known_hash(buffer: Any) -> bytes | None:
    """Return the `content_hash` of a contiguous buffer of bytes, if nobody has written to it since it was hashed."""
    place = place_of(buffer) if len(buffer) >= WATCHED_BYTES else None
    watch = None if place is None else _watch()
    return None if place is None or watch is None else watch.known_hash(buffer, place)


@dataclass(slots=True, eq=False)
class _Note:
    """What is known of a buffer.

    Attributes:
        place: Where it lies.
        first: Address of its first whole page.
        end: Address after its last whole page.
        ends: What lies before and after these pages.
        hash: Of its content; None while that is read.
    """

    place: Place
    first: int
    end: int
    ends: tuple[bytes, bytes]
    hash: bytes | None = None


class _Watch:
    """Protects pages of this process and tells which were written.

    Args:
        userfaultfd: Its descriptor.
        pagemap: A descriptor of `/proc/self/pagemap`.

    Raises:
        OSError: If the kernel cannot do that.
    """

    def __init__(self, userfaultfd: int, pagemap: int) -> None:
        self._userfaultfd = userfaultfd
        self._pagemap = pagemap
        self._lock = threading.Lock()
        self._notes: dict[int, _Note] = {}
        self._firsts: list[int] = []
        features = _FEATURE_WP_ASYNC | _FEATURE_WP_UNPOPULATED
        fcntl.ioctl(userfaultfd, _UFFDIO_API, bytearray(_API_ARGUMENT.pack(_API, features, 0)))

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._userfaultfd)
        os.close(self._pagemap)

    def hash_of(self, buffer: Any, place: Place) -> bytes:
        known = self.known_hash(buffer, place)
        if known is not None:
            return known
        note = self._protected(buffer, place)
        hash_ = content_hash(buffer)
        if note is not None and _ends(buffer, note) == note.ends:
            note.hash = hash_
        return hash_

    def known_hash(self, buffer: Any, place: Place) -> bytes | None:
        note = self._notes.get(_whole_pages(place)[0])
        if note is None or note.place != place or note.hash is None:
            return None
        if not self._is_untouched(note) or _ends(buffer, note) != note.ends:
            return None
        # If others have protected its pages meanwhile, they have removed the note before that.
        return note.hash if self._notes.get(note.first) is note else None

    def _protected(self, buffer: Any, place: Place) -> _Note | None:
        """Protect the pages of a buffer and return a note of it; None if it cannot be watched."""
        note = _Note(place, *_whole_pages(place), ends=(b"", b""))
        note.ends = _ends(buffer, note)
        with self._lock:
            self._forget(note.first, note.end)
            try:
                if self._scan(note.first, note.end, 0, 0, _OF_FILE, (ctypes.c_uint64 * 3)())[0]:
                    return None
                self._protect(note)
            except OSError:
                return None
            self._notes[note.first] = note
            insort(self._firsts, note.first)
            while len(self._notes) > _MOST_NOTES:
                oldest = next(iter(self._notes.values()))
                self._forget(oldest.first, oldest.end)
        return note

    def _forget(self, first: int, end: int) -> None:
        """Remove the notes of buffers that have pages in a range; they do not overlap."""
        start = bisect_right(self._firsts, first)
        if start and self._notes[self._firsts[start - 1]].end > first:
            start -= 1
        stop = max(start, bisect_left(self._firsts, end))
        for each in self._firsts[start:stop]:
            del self._notes[each]
        del self._firsts[start:stop]

    def _protect(self, note: _Note) -> None:
        length = note.end - note.first
        argument = _REGISTER_ARGUMENT.pack(note.first, length, _REGISTER_MODE_WP, 0)
        fcntl.ioctl(self._userfaultfd, _UFFDIO_REGISTER, bytearray(argument))
        regions = (ctypes.c_uint64 * (3 * _REGIONS))()
        start = note.first
        while start < note.end:
            _, start = self._scan(start, note.end, _SCAN_PROTECT | _SCAN_PROTECTED_ONLY, 0, _WRITTEN, regions)

    def _is_untouched(self, note: _Note) -> bool:
        """Return whether all whole pages of a buffer are there, private, and as they were when they were protected."""
        try:
            found, _ = self._scan(
                note.first,
                note.end,
                _SCAN_PROTECTED_ONLY,
                _PRESENT,  # counts where it is missing
                _WRITTEN | _OF_FILE | _PRESENT,
                (ctypes.c_uint64 * 3)(),
            )
        except OSError:  # other memory lies there now
            return False
        return not found

    def _scan(self, start: int, end: int, flags: int, inverted: int, any_of: int, regions: Any) -> tuple[int, int]:
        """Return how many pages have one of some properties, and up to where that was found out."""
        size, room = _SCAN_ARGUMENT.size, len(regions) // 3
        at = ctypes.addressof(regions)
        argument = bytearray(_SCAN_ARGUMENT.pack(size, flags, start, end, 0, at, room, 0, inverted, 0, any_of, any_of))
        found = fcntl.ioctl(self._pagemap, _PAGEMAP_SCAN, argument)
        return found, _SCAN_ARGUMENT.unpack(argument)[_WALK_END]


def _whole_pages(place: Place) -> tuple[int, int]:
    start, length = place
    return -(-start // _PAGE) * _PAGE, (start + length) // _PAGE * _PAGE


def _ends(buffer: Any, note: _Note) -> tuple[bytes, bytes]:
    start = note.place[0]
    return bytes(buffer[: note.first - start]), bytes(buffer[note.end - start :])


def _watch() -> _Watch | None:
    """Return what watches the memory of this process; None if this kernel does not tell what it should."""
    with _starting:
        return _started()


_starting = threading.Lock()


@functools.cache
def _started() -> _Watch | None:
    if sys.platform != "linux":
        return None
    watch = None
    with contextlib.suppress(OSError):
        watch = _opened()
        if watch is not None and _tells(watch):
            return watch
    if watch is not None:
        watch.close()
    return None


def _opened() -> _Watch | None:
    number = _SYSCALL.get(platform.machine())
    if number is None:
        return None
    userfaultfd = ctypes.CDLL(None).syscall(number, os.O_CLOEXEC | os.O_NONBLOCK | _USER_MODE_ONLY)
    if userfaultfd < 0:  # an older kernel, or it is forbidden here
        return None
    pagemap = -1
    try:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        return _Watch(userfaultfd, pagemap)
    except OSError:
        for descriptor in (userfaultfd, pagemap):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        return None


def _tells(watch: _Watch) -> bool:
    """Return whether what was only read is known, and what this process or the kernel has written is not."""
    with mmap.mmap(-1, 4 * WATCHED_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
        pages.write(b"\1" * len(pages))
        with memoryview(pages) as view, Path("/dev/zero").open("rb", buffering=0) as zeros:
            buffers = [view[i * WATCHED_BYTES : (i + 1) * WATCHED_BYTES] for i in range(4)]
            places = [place_of(buffer) for buffer in buffers]
            told = []
            for i, (buffer, place) in enumerate(zip(buffers, places, strict=True)):
                assert place is not None, "numpy is there"
                watch.hash_of(buffer, place)
                sum(buffer[::_PAGE])
                if i == 1:
                    buffer[_PAGE] = 2
                elif i == 2:
                    zeros.readinto(buffer[_PAGE : _PAGE + 1])
                elif i == 3:
                    pages.madvise(mmap.MADV_DONTNEED, i * WATCHED_BYTES, WATCHED_BYTES)
                told.append(watch.known_hash(buffer, place) is not None)
            del buffer
            for each in buffers:
                each.release()
    return told == [True, False, False, False]


def _after_fork() -> None:
    """Let a child watch its own memory: what it has from its parent is of the parent's."""
    watch = _started() if _started.cache_info().currsize else None
    _started.cache_clear()
    if watch is not None:
        watch.close()
    _starting.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_after_fork)
