"""One fsspec URL as a grow-only set of immutable objects.

Objects are written once, whole or not at all, and may vanish at any time: what is not found is not materialized.
Blobs live at ``blobs/<first two hex digits>/<name>``; whoever else keeps objects chooses the paths.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import fsspec
from fsspec.dircache import DirCache

from prefect_helix.core.errors import BlobMissingError, ConfigurationError, CorruptError, HelixError, StoreError
from prefect_helix.storage.codec import Chunk, DecodingError, Encoded, decode

_BLOB_NAME = re.compile(r"[0-9a-f]{32}")
_BLOB_PATH = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{30})")
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

_MAP_FROM_BYTES = 4 << 20  # A map holds a file descriptor (until Python 3.13), so small blobs are read.
_SINGLE_PUT_BYTES = 64 << 20
_ASIDE = ".aside"
_ASIDE_MAX_AGE_S = 24 * 3600
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "r2", "tos"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a listing.

    Attributes:
        path: Path relative to the store's root, with slashes.
        size_bytes: Length of the object.
    """

    path: str
    size_bytes: int


class _Backend(Protocol):
    """Where objects are kept; raises what its library raises. Paths are relative to the root."""

    def write(self, path: str, chunks: Iterable[Chunk]) -> int: ...
    def read(self, path: str) -> bytes | bytearray | memoryview: ...
    def list(self, prefix: str) -> Iterator[Entry]: ...
    def delete(self, path: str) -> None: ...


class Store:
    """A grow-only set of immutable objects, opened by `open_store`; safe to share between threads, picklable.

    Attributes:
        url: The store's URL for people, without secrets.
    """

    def __init__(self, url: str, backend: _Backend) -> None:
        self.url = url
        self._backend = backend

    def write(self, path: str, chunks: Iterable[Chunk]) -> int:
        """Write an object, atomically; one of the same name is replaced.

        Nobody sees it before the last chunk: locally it is written aside and renamed, elsewhere it is one put or one
        completed multipart upload. Where a file system has neither, the checksums tell half an object.

        Returns:
            The number of bytes written.

        Raises:
            StoreError: If the store refuses; nothing was written.
        """
        _check_path(path)
        with self._asked(f"write {path}"):
            return self._backend.write(path, chunks)

    def read(self, path: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            BlobMissingError: If it is not there.
            StoreError: If the store refuses.
        """
        return bytes(self._read(path))

    def list(self, prefix: str) -> list[Entry]:
        """Return the objects in the folder `prefix` and below, sorted by path, fresh; none where there is no folder.

        Raises:
            StoreError: If the store refuses.
        """
        _check_path(prefix)
        with self._asked(f"list {prefix}"):
            ours = (entry for entry in self._backend.list(prefix) if _is_path(entry.path))
            return sorted(ours, key=lambda entry: entry.path)

    def delete(self, path: str) -> None:
        """Remove an object; one that is not there is removed.

        Raises:
            StoreError: If the store refuses.
        """
        _check_path(path)
        with self._asked(f"delete {path}"), contextlib.suppress(FileNotFoundError):
            self._backend.delete(path)

    def check_writable(self) -> None:
        """Write, read and delete a small object.

        Raises:
            StoreError: If one of the three fails; says what to do about it.
        """
        path = f"probe/{uuid.uuid4().hex}"
        self.write(path, [b"helix"])
        found = self.read(path)
        self.delete(path)
        if found != b"helix":
            raise CorruptError(self.url, f"read {path}", "it does not give back what was written")

    def put_blob(self, encoded: Encoded) -> None:
        """Write a blob under its content name.

        Raises:
            ChangedWhileWritingError: If the value changed meanwhile; nothing was written.
            StoreError: If the store refuses; nothing was written.
        """
        self.write(_blob_path(encoded.name), encoded.verified_chunks())

    def get_blob(self, name: str) -> object:
        """Return the value of a blob. In a local store its arrays are a private (copy-on-write) map of the file.

        Complexity: O(bytes), to check them.

        Raises:
            BlobMissingError: If it is not there.
            CorruptError: If it is damaged, foreign, or cannot be unpickled here.
            StoreError: If the store refuses.
        """
        if not _BLOB_NAME.fullmatch(name):
            raise BlobMissingError(self.url, f"load blob {name!r}", "blobs are named by 32 hex digits")
        data = self._read(_blob_path(name))
        try:
            return decode(data, name=name)
        except DecodingError as error:
            raise CorruptError(
                self.url, f"load blob {name}", str(error), "It is computed again when it is needed."
            ) from error

    def blobs(self) -> dict[str, int]:
        """Return the size in bytes of every blob by name; one listing.

        Raises:
            StoreError: If the store refuses.
        """
        found = ((_BLOB_PATH.fullmatch(entry.path), entry.size_bytes) for entry in self.list("blobs"))
        return {match[2]: size_bytes for match, size_bytes in found if match}

    def delete_blob(self, name: str) -> None:
        """Remove a blob; one that is not there is removed.

        Raises:
            StoreError: If the store refuses.
        """
        if _BLOB_NAME.fullmatch(name):
            self.delete(_blob_path(name))

    def _read(self, path: str) -> bytes | bytearray | memoryview:
        _check_path(path)
        operation = f"read {path}"
        with self._asked(operation):
            try:
                return self._backend.read(path)
            except FileNotFoundError as error:
                raise BlobMissingError(
                    self.url, operation, "it is not there", "It is computed again when it is needed."
                ) from error

    @contextlib.contextmanager
    def _asked(self, operation: str) -> Iterator[None]:
        try:
            yield
        except HelixError:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}".rstrip(".: ")
            raise StoreError(self.url, operation, cause, _remedy(error)) from error


def open_store(url: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> Store:
    """Open a store; nothing is read, written or connected to before it is first used.

    Args:
        url: fsspec URL (``s3://bucket/helix``) or local path (``~`` is expanded).
        storage_options: Options of the fsspec file system (credentials, endpoint).

    Raises:
        ConfigurationError: If no installed file system serves the URL.
    """
    text = os.fspath(url)
    if not text.strip():
        raise ConfigurationError("store", text, "Give a local path or an fsspec URL such as s3://bucket/helix.")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme in ("file", "local"):
        root = Path(rest if separator else text).expanduser().absolute()
        return Store(str(root), _Local(root))
    shown = _without_secrets(text)
    if not scheme or "::" in text or (scheme in _OBJECT_STORES and not rest.strip("/")):
        raise ConfigurationError("store", shown, "Name one place, such as s3://bucket/helix.")
    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError as error:
        raise ConfigurationError(
            "store", shown, f"No file system serves {scheme}://. Give a local path or an fsspec URL (s3, gs, abfs, …)."
        ) from error
    except ImportError as error:
        raise ConfigurationError("store", shown, f"Its file system is not installed: {error}.") from error
    return Store(shown, _Remote(text, dict(storage_options or {})))


class _Local:
    """A folder; written aside and renamed, mapped privately."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, chunks: Iterable[Chunk]) -> int:
        target = self._root / path
        aside = self._swept_aside / uuid.uuid4().hex
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb") as file:
                size_bytes = _write_all(chunks, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        return size_bytes

    def read(self, path: str) -> bytearray | memoryview:
        with (self._root / path).open("rb", buffering=0) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes >= _MAP_FROM_BYTES:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
            data = bytearray(size_bytes)
            return data[: file.readinto(data)]

    def list(self, prefix: str) -> Iterator[Entry]:
        for folder, _, names in os.walk(self._root / prefix, onerror=_raise_unless_missing):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # deleted since
                    yield Entry(path.relative_to(self._root).as_posix(), path.stat().st_size)

    def delete(self, path: str) -> None:
        (self._root / path).unlink()

    @functools.cached_property
    def _swept_aside(self) -> Path:
        """The folder of unfinished writes, rid of what killed writers left there more than a day ago."""
        folder = self._root / _ASIDE
        oldest = time.time() - _ASIDE_MAX_AGE_S
        for left in folder.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # another run sweeps too
                if left.stat().st_mtime < oldest:
                    left.unlink()
        return folder


class _Remote:
    """Any other fsspec file system; connected to on first use, its listing cache off."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._url = url
        self._options = options
        self._connecting = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._url, self._options)

    @functools.cached_property
    def _connection(self) -> tuple[Any, str]:
        # An instance of our own, so that switching off its listing cache changes nothing for the user's.
        fs, root = fsspec.url_to_fs(self._url, skip_instance_cache=True, **self._options)
        fs.dircache = DirCache(use_listings_cache=False)
        return fs, root.rstrip("/")

    def _connect(self) -> tuple[Any, str]:
        with self._connecting:
            return self._connection

    def write(self, path: str, chunks: Iterable[Chunk]) -> int:
        fs, root = self._connect()
        target = f"{root}/{path}"
        if self._url.partition("://")[0] not in _OBJECT_STORES:  # there, it would make the bucket
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        # The upload starts once the last chunk is known to be good.
        with tempfile.NamedTemporaryFile() as aside:
            size_bytes = _write_all(chunks, aside)
            aside.flush()
            if size_bytes <= _SINGLE_PUT_BYTES:
                aside.seek(0)
                fs.pipe_file(target, aside.read())
            else:
                fs.put_file(aside.name, target)
        return size_bytes

    def read(self, path: str) -> bytes:
        fs, root = self._connect()
        data: bytes = fs.cat_file(f"{root}/{path}")
        return data

    def list(self, prefix: str) -> Iterator[Entry]:
        fs, root = self._connect()
        try:
            found = fs.find(f"{root}/{prefix}", detail=True)
        except FileNotFoundError:
            return
        for path, info in found.items():
            yield Entry(path.removeprefix(f"{root}/"), int(info["size"]))

    def delete(self, path: str) -> None:
        fs, root = self._connect()
        fs.rm_file(f"{root}/{path}")


def _blob_path(name: str) -> str:
    return f"blobs/{name[:2]}/{name}"


def _is_path(path: str) -> bool:
    return all(map(_SEGMENT.fullmatch, path.split("/")))


def _check_path(path: str) -> None:
    if not _is_path(path):
        raise ValueError(f"{path!r} is not a path inside a store.")


def _write_all(chunks: Iterable[Chunk], file: IO[bytes]) -> int:
    return sum(file.write(chunk) for chunk in chunks)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _without_secrets(url: str) -> str:
    """Return `url` without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _remedy(error: Exception) -> str:
    name = type(error).__name__  # of the many libraries, none of which may be installed
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space there: any file of the store may be deleted and is computed again."
    if isinstance(error, PermissionError) or "Credentials" in name:
        return "Check the credentials (storage options, environment) and that they may read, write and list there."
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "Choose a store whose path does not lead through a file."
    if isinstance(error, FileNotFoundError):
        return "Create the bucket or folder first, or correct the store's URL."
    if isinstance(error, TimeoutError | ConnectionError) or "Connect" in name or "Timeout" in name:
        return "Check the network and the endpoint in the storage options."
    return "Check that the store exists and can be read and written."
