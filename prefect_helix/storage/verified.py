"""Remembers on this machine which files of local stores were found whole.

A file is taken to be what it was if inode, size and both times are: the kernel sets the time of the inode on every
change of the file, and no program can set it back. A file that changed just before it was verified is not remembered,
since it may change again within one tick of that clock ("racy git"). Bits that rot on the disk change no time;
``prefect-helix store verify`` reads every byte.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import time
from pathlib import Path

from prefect_helix.core.digest import hash_parts

Stamp = tuple[int, int, int, int]
"""Inode, size, time of the content and time of the inode in nanoseconds."""

_RACY_NS = 2_000_000_000
_MOST_LINES = 20_000
_MOST_DIGITS = 20
_MACHINE_ID = Path("/etc/machine-id")


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what changes when a file does."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Verified:
    """The files of one store that this machine found whole: a file of lines that are only ever added.

    A line that is torn or altered matches no stamp, or would have to match all four numbers. Whatever goes wrong with
    the file costs a checksum.

    Args:
        store: The store's folder.
    """

    def __init__(self, store: str) -> None:
        self._file = _cache_folder() / "verified" / hash_parts("verified", store, *_machine())

    def holds(self, path: str, stamp: Stamp) -> bool:
        """Return whether the file at `path` was found whole with this stamp."""
        return self._known.get(path) == stamp

    def note(self, path: str, stamp: Stamp) -> None:
        """Remember that the file at `path` is whole, unless it changed just now."""
        if time.time_ns() - max(stamp[2:]) < _RACY_NS:
            return
        self._known[path] = stamp
        line = " ".join((path, *map(str, stamp))).encode() + b"\n"
        with contextlib.suppress(OSError):  # a home that cannot be written costs a checksum
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab", buffering=0) as file:
                file.write(line)

    @functools.cached_property
    def _known(self) -> dict[str, Stamp]:
        try:
            lines = self._file.read_bytes().splitlines()
        except OSError:
            return {}
        if len(lines) > _MOST_LINES:
            with contextlib.suppress(OSError):
                self._file.unlink()
        known: dict[str, Stamp] = {}
        for line in lines:
            path, *numbers = line.decode("ascii", "replace").split(" ")
            if len(numbers) == 4 and all(number.isdecimal() and len(number) <= _MOST_DIGITS for number in numbers):
                inode, size, mtime, ctime = map(int, numbers)
                known[path] = inode, size, mtime, ctime
        return known


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prefect-helix"


def _machine() -> tuple[str, ...]:
    """Return what tells this machine from others that have the same home."""
    with contextlib.suppress(OSError):
        return platform.node(), _MACHINE_ID.read_text().strip()
    return (platform.node(),)
