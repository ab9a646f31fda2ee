"""A folder as a store: written aside and renamed, large objects mapped where that is safe."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import re
import sys
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

from prefect_helix.storage import mapped
from prefect_helix.storage.backend import Data, Entry, write_all
from prefect_helix.storage.blob import Chunk, checksums
from prefect_helix.storage.verified import Stamp, Verified, stamp_of
from prefect_helix.storage.watched import WATCHED_BYTES

if sys.platform != "win32":
    import resource

MAP_FROM_BYTES = 4 << 20
"""Objects so large are mapped. A map holds a file descriptor (until Python 3.13), so smaller ones are read."""

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
"""Those that hold one."""

_ASIDE = ".aside"
_ASIDE_MAX_AGE_S = 24 * 3600
_MOUNTS = Path("/proc/self/mounts")
_SHARED_KINDS = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "glusterfs", "lustre", "afs", "beegfs", "gpfs", "pvfs")
"""Beginnings of the kinds of file systems that other machines may be changing, too."""


class Local:
    """A folder.

    A mapped file that somebody cuts short ends the process that reads on (SIGBUS), and another machine can cut a file
    of a shared file system at any time. So only files of this machine's own file systems are mapped, and only these
    are remembered as whole.

    Args:
        root: Its path.
        guarded: Whether somebody may want to pass off a file of his own as one that was written here, which the clock
            of files is too coarse to exclude: what is written is checked when it is first read.
    """

    is_remote = False

    def __init__(self, root: Path, guarded: bool = False) -> None:
        self._root = root
        self._guarded = guarded

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._root, self._guarded)

    @functools.cached_property
    def is_far(self) -> bool:
        """Whether its file system is one that other machines may be changing, too."""
        return _kind_of_mount(self._root).startswith(_SHARED_KINDS)

    def is_there(self) -> bool:
        """Return whether the folder exists."""
        return self._root.exists()

    def write(self, path: str, chunks: Iterable[Chunk]) -> int:
        """Write an object aside and rename it."""
        target = self._root / path
        aside = self._swept_aside / uuid.uuid4().hex
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb", buffering=0) as file:
                size_bytes = write_all(chunks, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.maps(size_bytes) and not self._guarded:
                self._verified.wrote(path, target, aside)
            else:
                aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        return size_bytes

    def read(self, path: str) -> Data:
        """Return an object, mapped privately if it is large."""
        with (self._root / path).open("rb", buffering=0) as file:
            stamp = stamp_of(os.fstat(file.fileno()))
            size_bytes = stamp[1]
            pages = _map_of(file.fileno()) if self.maps(size_bytes) else None
            if pages is not None:
                return Data(memoryview(pages), stamp)
            data = memoryview(bytearray(size_bytes))
            read = 0
            while read < size_bytes and (count := file.readinto(data[read:])):
                read += count
            return Data(data[:read])

    def maps(self, size_bytes: int) -> bool:
        """Return whether an object of that size is mapped: it is large, and no other machine can cut it short."""
        return size_bytes >= MAP_FROM_BYTES and not self.is_far

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return a part of an object."""
        with (self._root / path).open("rb", buffering=0) as file:
            file.seek(start)
            stop = min(stop, os.fstat(file.fileno()).st_size)  # memory is taken for as much as is asked for
            parts = []
            while start < stop and (part := file.read(stop - start)):
                parts.append(part)
                start += len(part)
        return b"".join(parts)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects in a folder and below."""
        waiting = [str(self._root / prefix)]
        root = len(str(self._root)) + 1
        while waiting:
            with contextlib.suppress(FileNotFoundError), os.scandir(waiting.pop()) as found:  # deleted since
                for one in found:
                    if one.is_dir():
                        waiting.append(one.path)
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        status = one.stat()
                        path = one.path[root:].replace(os.sep, "/")
                        yield Entry(path, status.st_size, status.st_mtime_ns // 1000)

    def delete(self, path: str) -> None:
        """Remove an object."""
        (self._root / path).unlink()

    def unfinished(self) -> Iterator[Entry]:
        """Yield the files of writes that go on, or were killed."""
        return self.list(_ASIDE)

    def discard(self, entry: Entry) -> None:
        """Remove the file of a write."""
        (self._root / entry.path).unlink(missing_ok=True)

    def is_verified(self, path: str, stamp: Stamp) -> bool:
        """Return whether this machine wrote the object or found it whole, and it was not touched since."""
        return self._verified.holds(path, stamp)

    def found_whole(self, path: str, stamp: Stamp, blob: memoryview) -> None:
        """Remember that the object is whole, and what of it lies in memory."""
        self._verified.found(path, stamp)
        mapped.note(blob, checksums(blob, WATCHED_BYTES), self._root / path, stamp)

    @functools.cached_property
    def _verified(self) -> Verified:
        return Verified(str(self._root))

    @functools.cached_property
    def _swept_aside(self) -> Path:
        """The folder of unfinished writes, rid of what killed writers left there more than a day ago."""
        folder = self._root / _ASIDE
        oldest = time.time() - _ASIDE_MAX_AGE_S
        for left in folder.glob("*"):
            with contextlib.suppress(OSError):  # another run sweeps too, or it is not ours to remove
                if left.stat().st_mtime < oldest:
                    left.unlink()
        return folder


def _map_of(file: int) -> mmap.mmap | None:
    """Return a private map of a file; None where maps hold half the file descriptors that this process may have.

    The others are for whatever else the flow opens.
    """
    if sys.platform == "win32":
        return mmap.mmap(file, 0, access=mmap.ACCESS_COPY)
    if sys.version_info >= (3, 13):
        return mmap.mmap(file, 0, access=mmap.ACCESS_COPY, trackfd=False)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and len(_maps) >= most // 2:
        return None
    pages = mmap.mmap(file, 0, access=mmap.ACCESS_COPY)
    _maps.add(pages)
    return pages


def _kind_of_mount(folder: Path) -> str:
    """Return the kind of file system that a folder is on; empty where that cannot be told."""
    try:
        mounts = [line.split()[1:3] for line in _MOUNTS.read_bytes().splitlines()]
    except OSError:
        return ""
    real = Path(os.path.realpath(folder))
    above = {str(one) for one in (real, *real.parents)}
    within = [(len(place), os.fsdecode(kind)) for place, kind in mounts if _unescaped(place) in above]
    return max(within, default=(0, ""))[1]


def _unescaped(place: bytes) -> str:
    """Return a path as it is, which the kernel tells with spaces and the like as octal numbers."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), place))
