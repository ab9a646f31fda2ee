"""A file as a value: wherever it lies, it is what it contains."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import fsspec
from blake3 import blake3

from prefect_helix.core.digest import register_digest
from prefect_helix.storage.blob import CHECKSUM_BYTES

_PIECE_BYTES = 1 << 20
_RACY_NS = 2_000_000_000
_TAGS = ("ETag", "etag", "md5Hash", "Content-MD5", "content_md5", "checksum")
_WEAK = "W/"
"""So begins an ETag that stays when bytes change that do not matter to who made it (RFC 9110, section 8.8.1)."""

_Stamp = tuple[int, int, int, int]
_hashes: dict[str, tuple[_Stamp, str]] = {}
_hashes_lock = threading.Lock()


@dataclass(frozen=True)
class File:
    """A file argument or a file result, identified by its content.

    Attributes:
        path: fsspec URL or local path (``~`` is expanded). Equal paths make equal values.
        storage_options: Options of the fsspec file system (credentials, endpoint); shown nowhere.
    """

    path: str
    storage_options: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    def __init__(self, path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "path", os.fspath(path))
        object.__setattr__(self, "storage_options", storage_options)

    def __fspath__(self) -> str:
        """Return the local path, for `open` and every library that takes one.

        Raises:
            TypeError: If the file is not local.
        """
        scheme, separator, rest = self.path.partition("://")
        if separator and scheme not in ("file", "local"):
            raise TypeError(f"{self.path} is not a local file. Read it through File.open().")
        return str(Path(rest if separator else self.path).expanduser())

    def open(self, mode: str = "rb") -> IO[Any]:
        """Open the file through fsspec; the caller closes it."""
        path = os.fspath(self) if self.is_local else self.path
        file: IO[Any] = fsspec.open(path, mode, **(self.storage_options or {})).open()
        return file

    def content(self) -> str:
        """Return the identity of the content: equal identities mean equal bytes.

        A local file is hashed (BLAKE3), and the hash is remembered for as long as size, times and inode stay. A remote
        file is identified by its URL and its strong ETag or checksum where it has one, because an ETag need only be
        unique for its URL (RFC 9110, section 8.8.3); else it is read and hashed.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        try:
            return self._local_content() if self.is_local else self._remote_content()
        except FileNotFoundError as error:
            raise FileNotFoundError(f"There is no file {self.path}. Create it, or correct the path.") from error

    def size_bytes(self) -> int | None:
        """Return the size of a local file; None for any other, which would have to be asked for.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        return Path(self).stat().st_size if self.is_local else None

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        scheme, separator, _ = self.path.partition("://")
        return not separator or scheme in ("file", "local")

    def _local_content(self) -> str:
        path = os.path.realpath(self)
        before = _stamp(path)
        with _hashes_lock:
            stamp, known = _hashes.get(path, (None, ""))
        if stamp == before:
            return known
        content = self._hash()
        # As in git's index ("racy git"): a file changed just now may change again within the same tick of its clock,
        # with size and times as they are, so that its hash is not remembered.
        if time.time_ns() - max(before[1], before[2]) > _RACY_NS:
            with _hashes_lock:
                _hashes[path] = (before, content)
        return content

    def _remote_content(self) -> str:
        fs, path = fsspec.url_to_fs(self.path, **(self.storage_options or {}))
        fs.invalidate_cache(fs._parent(path))
        info = fs.info(path)
        tags = ((key, str(info[key])) for key in _TAGS if info.get(key))
        tag = next((f"{key} {tag}" for key, tag in tags if not tag.startswith(_WEAK)), None)
        if tag is None:
            return self._hash()
        return blake3("\0".join((self.path, tag, str(info.get("size")))).encode()).hexdigest(length=CHECKSUM_BYTES)

    def _hash(self) -> str:
        content = blake3()
        with self.open() as file:
            while piece := file.read(_PIECE_BYTES):
                content.update(piece)
        return content.hexdigest(length=CHECKSUM_BYTES)


def _stamp(path: str) -> _Stamp:
    """Return what changes when a file does: size, times of content and of inode, inode.

    It is opened, since NFS asks its server then, and tells others for up to a minute what it remembers: nfs(5),
    "Close-to-open cache consistency".
    """
    with Path(path).open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


register_digest(File, File.content)


def files(value: Any) -> Iterator[File]:
    """Yield the files in a value: itself, or what it holds in nested built-in containers, each once. O(parts)."""
    waiting, seen = [value], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, File):
            yield part
        elif type(part) in (list, tuple, set, frozenset, dict) and id(part) not in seen:
            seen.add(id(part))
            waiting += reversed([*(part.values() if type(part) is dict else part)])
