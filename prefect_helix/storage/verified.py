"""Remembers on this machine which files of local stores are whole: what it found whole, and what it wrote.

A file is taken to be what it was if inode, size and both times are: the kernel sets the time of the inode on every
change of the file, and no program can set it back. A file that changed just before it was verified is not remembered,
since it may change again within one tick of that clock ("racy git"). What was written is given a time between two
ticks, which no change of it will have. Nothing is remembered when the machine starts anew: power may have gone before
the disk had the content. Bits that rot on the disk change no time; ``prefect-helix store verify`` reads every byte.
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
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what changes when a file does."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Verified:
    """The files of one store that are whole, as far as this machine knows: a file of lines that are only ever added.

    A line that is torn or altered matches no stamp, or would have to match all four numbers. Whatever goes wrong with
    the file costs a checksum.

    Args:
        store: The store's folder.
    """

    def __init__(self, store: str) -> None:
        self._file = _cache_folder() / "verified" / hash_parts("verified", store, *_machine())

    def holds(self, path: str, stamp: Stamp) -> bool:
        """Return whether the file at `path` is known to be whole with this stamp."""
        return self._known.get(path) == stamp

    def found(self, path: str, stamp: Stamp) -> None:
        """Remember that the file at `path` was found whole, unless it changed just now."""
        if not self.holds(path, stamp) and time.time_ns() - max(stamp[2:]) >= _RACY_NS:
            self._note(path, stamp)

    def wrote(self, path: str, file: Path, aside: Path) -> None:
        """Put what was written aside in the place of a file, and remember that it is whole there.

        Args:
            path: What the file is called in the store.
            file: Where it is to be.
            aside: Where it was written.
        """
        written_ns = time.time_ns()
        with contextlib.suppress(OSError):  # where times cannot be set, it is checked when it is first read
            os.utime(aside, ns=(written_ns, written_ns))
        aside.replace(file)
        with contextlib.suppress(OSError):  # removed since
            stamp = stamp_of(file.stat())
            if stamp[2] == written_ns:  # neither changed since, nor written by another
                self._note(path, stamp)

    def _note(self, path: str, stamp: Stamp) -> None:
        self._known[path] = stamp
        line = " ".join((path, *map(str, stamp), _boot())).encode() + b"\n"
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
            fields = line.decode("ascii", "replace").split(" ")
            if len(fields) == 6 and fields[5] == _boot() and all(map(_is_number, fields[1:5])):
                inode, size, mtime, ctime = map(int, fields[1:5])
                known[fields[0]] = inode, size, mtime, ctime
        return known


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prefect-helix"


def _machine() -> tuple[str, ...]:
    """Return what tells this machine from others that have the same home."""
    with contextlib.suppress(OSError):
        return platform.node(), _MACHINE_ID.read_text().strip()
    return (platform.node(),)


@functools.cache
def _boot() -> str:
    """Return what tells this start of the machine from others; nothing where that is not told."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
