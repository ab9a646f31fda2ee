"""One fsspec URL as a grow-only set of immutable objects.

Objects are written once, whole or not at all, and may vanish at any time: what is not found is not materialized.
Blobs live at ``blobs/<first two hex digits>/<name>``; whoever else keeps objects chooses the paths.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec

from prefect_helix.core.errors import BlobMissingError, ConfigurationError, CorruptError, HelixError, StoreError
from prefect_helix.storage.backend import Backend, Entry
from prefect_helix.storage.blob import Chunk, DecodingError, Encoded, check
from prefect_helix.storage.codec import decode
from prefect_helix.storage.compression import checked_compression, compressed, decompressed
from prefect_helix.storage.local import Local
from prefect_helix.storage.remote import OBJECT_STORES, Remote
from prefect_helix.storage.signing import SEAL_BYTES, holds, is_sealed, seal

_BLOB_NAME = re.compile(r"[0-9a-f]{32}")
_BLOB_PATH = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{30})")
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

_REMOVERS = 8

_AGAIN = "It is computed again when it is needed."


class Store:
    """A grow-only set of immutable objects, opened by `open_store`; safe to share between threads, picklable.

    Attributes:
        url: The store's URL for people, without secrets.
        is_remote: Whether every call is a request over a network.
    """

    def __init__(self, url: str, backend: Backend, *, compression: str | None = None, key: bytes | None = None) -> None:
        self.url = url
        self.is_remote = backend.is_remote
        self._backend = backend
        self._compression = compression
        self._key = key

    @property
    def is_far(self) -> bool:
        """Whether another machine keeps it, as far as can be told: a bucket, or a folder of a network drive."""
        return self._backend.is_far

    def is_there(self) -> bool:
        """Return whether the store exists; of a remote one, that is not asked."""
        return self._backend.is_there()

    def write(self, path: str, chunks: Iterable[Chunk], *, sealed: bytes | None = None) -> int:
        """Write an object, atomically; one of the same name is replaced.

        Nobody sees it before the last chunk: locally it is written aside and renamed, elsewhere it is one put or one
        completed multipart upload. Where a file system has neither, the checksums tell half an object.

        Args:
            path: Where.
            chunks: The content.
            sealed: What stands for the content in its seal, if the store has a key; None for all of it.

        Returns:
            The number of bytes written.

        Raises:
            StoreError: If the store refuses; nothing was written.
        """
        _check_path(path)
        with self._asked(f"write {path}"):
            if self._key is not None:
                if sealed is None:
                    chunks = [sealed := b"".join(chunks)]
                chunks = itertools.chain([seal(self._key, path, sealed)], chunks)
            return self._backend.write(path, chunks)

    def read(self, path: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            BlobMissingError: If it is not there.
            CorruptError: If it is not sealed with the store's key.
            StoreError: If the store refuses.
        """
        with self._reading(path):
            data = self._backend.read(path).view
        content = bytes(self._content(data))
        self.check_seal(path, content, bytes(data[:SEAL_BYTES]))
        return content

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return a part of an object, as it lies in the store, a seal included.

        Raises:
            BlobMissingError: If it is not there.
            StoreError: If the store refuses.
        """
        with self._reading(path):
            return self._backend.read_range(path, start, stop)

    def check_seal(self, path: str, content: bytes, head: bytes) -> None:
        """Make sure that an object is sealed with the store's key, if it has one.

        Raises:
            CorruptError: If it is not.
        """
        if self._key is not None and not holds(self._key, path, content, head):
            raise CorruptError(self.url, f"read {path}", "it is not signed with the key of this store", _AGAIN)

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

    def delete_all(self, paths: Iterable[str]) -> None:
        """Remove objects, some at a time; one that is not there is removed.

        Raises:
            StoreError: If the store refuses.
        """
        with ThreadPoolExecutor(_REMOVERS) as removers:
            for _ in removers.map(self.delete, paths):
                pass

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
        chunks: Iterable[Chunk] = encoded.verified_chunks()
        if self._compression is not None:
            chunks = compressed(chunks, map(len, encoded.chunks), self._compression)
        self.write(_blob_path(encoded.name), chunks, sealed=encoded.name.encode())

    def get_blob(self, name: str) -> object:
        """Return the value of a blob. In a local store its arrays are a private (copy-on-write) map of the file.

        Every byte is checked, but of a mapped file that this machine wrote or found whole, and that was not touched
        since, only the header. Complexity: O(bytes) where they are checked.

        Raises:
            BlobMissingError: If it is not there.
            CorruptError: If it is damaged, foreign, or cannot be unpickled here.
            StoreError: If the store refuses.
        """
        if not _BLOB_NAME.fullmatch(name):
            raise BlobMissingError(self.url, f"load blob {name!r}", "blobs are named by 32 hex digits")
        path = _blob_path(name)
        with self._reading(path):
            data, stamp = self._backend.read(path)
        self.check_seal(path, name.encode(), bytes(data[:SEAL_BYTES]))
        try:
            content = decompressed(self._content(data), name=name)
            value = decode(content, name=name, verified=stamp is not None and self._backend.is_verified(path, stamp))
        except DecodingError as error:
            raise CorruptError(self.url, f"load blob {name}", str(error), _AGAIN) from error
        if stamp is not None:
            self._backend.found_whole(path, stamp, content)
        return value

    def maps(self, size_bytes: int) -> bool:
        """Return whether a blob of that size, written here, is mapped into memory where it is loaded, not read."""
        return self._compression is None and self._backend.maps(size_bytes)

    def has_blob(self, name: str) -> bool:
        """Return whether a blob is there; none of it is looked at.

        Raises:
            StoreError: If the store refuses.
        """
        try:
            return bool(_BLOB_NAME.fullmatch(name)) and bool(self.read_range(_blob_path(name), 0, 1))
        except BlobMissingError:
            return False

    def blobs(self) -> dict[str, int]:
        """Return the size in bytes of every blob by name; one listing.

        Raises:
            StoreError: If the store refuses.
        """
        return {name: entry.size_bytes for name, entry in self.blob_entries().items()}

    def blob_entries(self) -> dict[str, Entry]:
        """Return every blob by name; one listing.

        Raises:
            StoreError: If the store refuses.
        """
        found = ((_BLOB_PATH.fullmatch(entry.path), entry) for entry in self.list("blobs"))
        return {match[2]: entry for match, entry in found if match}

    def delete_blob(self, name: str) -> None:
        """Remove a blob; one that is not there is removed.

        Raises:
            StoreError: If the store refuses.
        """
        if _BLOB_NAME.fullmatch(name):
            self.delete(_blob_path(name))

    def check_blob(self, name: str) -> None:
        """Read every byte of a blob and check it, whatever was found before. Nothing is unpickled.

        Raises:
            BlobMissingError: If it is not there.
            CorruptError: If it is damaged or foreign.
            StoreError: If the store refuses.
        """
        path = _blob_path(name)
        with self._reading(path):
            data, _ = self._backend.read(path)
        self.check_seal(path, name.encode(), bytes(data[:SEAL_BYTES]))
        try:
            check(decompressed(self._content(data), name=name), name=name)
        except DecodingError as error:
            raise CorruptError(self.url, f"check blob {name}", str(error), _AGAIN) from error

    def unfinished(self) -> tuple[Entry, ...]:
        """Return what writers have begun and not finished; they may be at it.

        Raises:
            StoreError: If the store refuses.
        """
        with self._asked("list unfinished writes"):
            return tuple(self._backend.unfinished())

    def discard(self, entry: Entry) -> None:
        """Remove what a writer has begun.

        Raises:
            StoreError: If the store refuses.
        """
        with self._asked(f"discard {entry.path}"), contextlib.suppress(FileNotFoundError):
            self._backend.discard(entry)

    def _content(self, data: memoryview) -> memoryview:
        return data[SEAL_BYTES:] if is_sealed(bytes(data[:SEAL_BYTES])) else data

    @contextlib.contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        _check_path(path)
        operation = f"read {path}"
        with self._asked(operation):
            try:
                yield
            except OSError as error:
                # NFS says of a file that goes while it is read that its handle is stale.
                if isinstance(error, FileNotFoundError) or error.errno == errno.ESTALE:
                    raise BlobMissingError(self.url, operation, "it is not there", _AGAIN) from error
                raise

    @contextlib.contextmanager
    def _asked(self, operation: str) -> Iterator[None]:
        try:
            yield
        except HelixError:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}".rstrip(".: ")
            raise StoreError(self.url, operation, cause, _remedy(error)) from error


def open_store(
    url: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    compression: str | None = None,
    key: bytes | None = None,
) -> Store:
    """Open a store; nothing is read, written or connected to before it is first used.

    Args:
        url: fsspec URL (``s3://bucket/helix``) or local path (``~`` is expanded).
        storage_options: Options of the fsspec file system (credentials, endpoint).
        compression: ``zstd`` or ``lz4`` for blobs that are written; what is read says itself how it was written.
        key: What objects are signed with, and have to be signed with to be read; None for neither.

    Raises:
        ConfigurationError: If no installed file system serves the URL, or the compression makes no sense.
    """
    compression = checked_compression(compression)
    text = os.fspath(url)
    if not text.strip():
        raise ConfigurationError("store", text, "Give a local path or an fsspec URL such as s3://bucket/helix.")
    if (root := folder_of(url)) is not None:
        return Store(str(root), Local(root, guarded=key is not None), compression=compression, key=key)
    scheme, _, rest = text.partition("://")
    shown = _without_secrets(text)
    if not scheme or "::" in text or (scheme in OBJECT_STORES and not rest.strip("/")):
        raise ConfigurationError("store", shown, "Name one place, such as s3://bucket/helix.")
    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError as error:
        raise ConfigurationError(
            "store", shown, f"No file system serves {scheme}://. Give a local path or an fsspec URL (s3, gs, abfs, …)."
        ) from error
    except ImportError as error:
        raise ConfigurationError("store", shown, f"Its file system is not installed: {error}.") from error
    return Store(shown, Remote(text, storage_options or {}), compression=compression, key=key)


def folder_of(url: str | os.PathLike[str]) -> Path | None:
    """Return the folder that a store is; None for one of another file system than the local one."""
    scheme, separator, rest = os.fspath(url).partition("://")
    if separator and scheme not in ("file", "local"):
        return None
    return Path(rest if separator else scheme).expanduser().absolute()


def _blob_path(name: str) -> str:
    return f"blobs/{name[:2]}/{name}"


def _is_path(path: str) -> bool:
    return all(map(_SEGMENT.fullmatch, path.split("/")))


def _check_path(path: str) -> None:
    if not _is_path(path):
        raise ValueError(f"{path!r} is not a path inside a store.")


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
