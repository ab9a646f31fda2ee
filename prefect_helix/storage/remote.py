"""Any fsspec file system as a store: parallel reads of ranges, uploads in parts, a limited number of retries."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import cloudpickle
import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.dircache import DirCache

from prefect_helix.core.recent import Recent
from prefect_helix.storage.backend import Data, Entry, write_all
from prefect_helix.storage.blob import Chunk
from prefect_helix.storage.verified import Stamp

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "r2", "tos"})

_S3 = frozenset({"s3", "s3a"})
_AZURE = frozenset({"az", "abfs", "abfss"})
_S3_PATIENCE = {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 2, "mode": "standard"}}
"""A server that does not answer is given up in seconds. What botocore tries again, `_TRIES` multiplies."""

_PART_BYTES = 8 << 20
_UPLOAD_PART_BYTES = 16 << 20
_PARALLEL = 4
_SINGLE_PUT_BYTES = 64 << 20
_TRIES = 4
_FIRST_PAUSE_S = 0.1
_PATIENCE_S = 60.0
_SLOWEST_BYTES_PER_S = 1 << 20
_PASSING = frozenset({errno.EBUSY, errno.EIO, errno.EAGAIN, errno.ECONNRESET, errno.ETIMEDOUT, errno.EPIPE})
_PASSING_NAMES = ("Timeout", "Connect", "Incomplete", "ServerDisconnected", "ClientPayload", "SlowDown", "Throttl")
_UPLOAD = " upload "
_FOLDERS_OF_LARGE = ("blobs", "index", "lineage", "results")
_TIMES = ("LastModified", "mtime", "updated", "last_modified", "created")


class Remote:
    """A place of a file system that is not local; connected to on first use, its listing cache off.

    What fails for a passing reason is tried `_TRIES` times with growing pauses, a minute at most besides the time for
    the bytes. So a server that stalls costs a run that minute once: it is not asked again after it failed.

    Args:
        url: The place.
        options: Of the file system.
    """

    is_remote = True
    is_far = True

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        self._scheme = url.partition("://")[0]
        self._options = dict(options)
        self._connecting = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return _arrived, (self._url, self._options)

    def is_there(self) -> bool:
        """Return True: what is asked first tells it, and many file systems have no place before it holds something."""
        return True

    def write(self, path: str, chunks: Iterable[Chunk]) -> int:
        """Write an object. The upload starts once the last chunk is known to be good; a large one waits on the disk."""
        fs, root = self._connect()
        target = f"{root}/{path}"
        if self._scheme not in OBJECT_STORES:  # there, it would make the bucket
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        small, rest = io.BytesIO(), iter(chunks)
        for chunk in rest:
            if small.tell() + memoryview(chunk).nbytes > _SINGLE_PUT_BYTES:
                break
            small.write(chunk)
        else:
            self._ask("pipe_file", target, small.getvalue(), size_bytes=small.tell())
            return small.tell()
        with tempfile.NamedTemporaryFile(buffering=0) as aside:
            size_bytes = write_all(itertools.chain([small.getbuffer(), chunk], rest), aside)
            self._ask("put_file", aside.name, target, size_bytes=size_bytes, **self._upload_options())
        return size_bytes

    def _upload_options(self) -> dict[str, Any]:
        if self._scheme in _S3:
            return {"chunksize": _UPLOAD_PART_BYTES, "max_concurrency": _PARALLEL}
        return {"overwrite": True} if self._scheme in _AZURE else {}  # adlfs refuses to replace what is there

    def read(self, path: str) -> Data:
        """Return an object: a small one with one request, a large one by ranges in parallel."""
        _, root = self._connect()
        target = f"{root}/{path}"
        try:
            first = self._ask("cat_file", target, size_bytes=_PART_BYTES, start=0, end=_PART_BYTES)
        except OSError as error:
            if error.errno != errno.EINVAL:  # that an empty object has no first byte
                raise
            first = self._ask("cat_file", target)
        if len(first) < _PART_BYTES:
            return Data(memoryview(bytearray(first)))
        size_bytes = int(self._ask("info", target)["size"])
        return Data(memoryview(self._ranges(target, size_bytes, first)))

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return a part of an object, in parallel if it is large."""
        _, root = self._connect()
        target = f"{root}/{path}"
        if stop - start <= _PART_BYTES:
            part: bytes = self._ask("cat_file", target, size_bytes=stop - start, start=start, end=stop)
            return part
        return bytes(self._ranges(target, stop, b"", start))

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects in a folder and below."""
        _, root = self._connect()
        try:
            found = self._ask("find", f"{root}/{prefix}", detail=True)
        except FileNotFoundError:
            return
        for path, info in found.items():
            yield Entry(path.removeprefix(f"{root}/"), int(info["size"]), _modified_us(info))

    def delete(self, path: str) -> None:
        """Remove an object."""
        _, root = self._connect()
        self._ask("rm_file", f"{root}/{path}")

    def unfinished(self) -> Iterator[Entry]:
        """Yield the uploads in parts that go on, or were killed: S3 keeps what they sent, and it is paid for."""
        if self._scheme not in _S3:
            return
        _, root = self._connect()
        bucket, *prefix = root.split("/")
        ours = tuple("/".join((*prefix, folder, "")) for folder in _FOLDERS_OF_LARGE)  # others use the bucket, too
        try:
            uploads = self._ask("list_multipart_uploads", bucket)
        except FileNotFoundError:  # what rclone's server says of a bucket without any
            return
        for upload in uploads:
            if upload["Key"].startswith(ours):
                at_us = int(upload["Initiated"].timestamp() * 1e6)
                yield Entry(f"{upload['Key']}{_UPLOAD}{upload['UploadId']}", 0, at_us)

    def discard(self, entry: Entry) -> None:
        """Give up an upload in parts."""
        _, root = self._connect()
        key, _, upload = entry.path.partition(_UPLOAD)
        self._ask("abort_mpu", root.partition("/")[0], key, upload)

    def maps(self, size_bytes: int) -> bool:
        """Return False: what comes over a network is read."""
        return False

    def is_verified(self, path: str, stamp: Stamp) -> bool:
        """Return False: what comes over a network is checked every time."""
        return False

    def found_whole(self, path: str, stamp: Stamp, blob: memoryview) -> None:
        """Remember nothing."""

    def _ranges(self, target: str, size_bytes: int, first: bytes, start: int = 0) -> bytearray:
        """Return the bytes of an object from `start` to `size_bytes`, of which the first are known."""
        whole = bytearray(size_bytes - start)
        whole[: len(first)] = first

        def read(at: int) -> None:
            end = min(at + _PART_BYTES, size_bytes)
            part = self._ask("cat_file", target, size_bytes=end - at, start=at, end=end)
            if len(part) != end - at:
                raise OSError(errno.EIO, "the object is shorter than its size")
            whole[at - start : end - start] = part

        with ThreadPoolExecutor(_PARALLEL) as readers:
            for _ in readers.map(read, range(start + len(first), size_bytes, _PART_BYTES)):
                pass
        return whole

    def _ask(self, method: str, *arguments: Any, size_bytes: int = 0, **options: Any) -> Any:
        """Call a method of the file system, again if it fails for a passing reason."""
        fs, _ = self._connect()
        deadline = time.monotonic() + _PATIENCE_S + size_bytes / _SLOWEST_BYTES_PER_S
        for left in reversed(range(_TRIES)):
            if isinstance(fs, AsyncFileSystem):
                options["timeout"] = max(deadline - time.monotonic(), 1)
            try:
                return getattr(fs, method)(*arguments, **options)
            except Exception as error:
                pause_s = _FIRST_PAUSE_S * 4 ** (_TRIES - 1 - left) * random.uniform(0.5, 1.5)
                if not left or not _is_passing(error) or time.monotonic() + pause_s > deadline:
                    raise
                time.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def _connect(self) -> tuple[Any, str]:
        with self._connecting:
            return self._connection

    @functools.cached_property
    def _connection(self) -> tuple[Any, str]:
        options = dict(self._options)
        if self._scheme in _S3:
            options["config_kwargs"] = {**_S3_PATIENCE, **options.get("config_kwargs", {})}
        # An instance of our own, so that switching off its listing cache changes nothing for the user's.
        fs, root = fsspec.url_to_fs(self._url, skip_instance_cache=True, **options)
        fs.dircache = DirCache(use_listings_cache=False)
        return fs, root.rstrip("/")


def _arrived(url: str, options: Mapping[str, Any]) -> Remote:
    """Return a place in the process that it was sent to: a worker that is handed it with each task connects once."""
    place = os.getpid(), cloudpickle.dumps((url, options))  # a connection is of no use to a child of the process
    known = _known.get(place)
    if known is None:
        known = Remote(url, options)
        _known.put(place, known)
    return known


_known: Recent[tuple[int, bytes], Remote] = Recent(8)


def _is_passing(error: Exception) -> bool:
    """Return whether what failed may succeed a moment later."""
    if isinstance(error, FileNotFoundError | PermissionError):
        return False
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return any(
        isinstance(one, TimeoutError | ConnectionError)
        # a file system in memory, listed while another thread writes
        or (isinstance(one, RuntimeError) and "changed size during iteration" in str(one))
        or getattr(one, "errno", None) in _PASSING
        or any(name in type(one).__name__ for name in _PASSING_NAMES)
        for one in chain
    )


def _modified_us(info: Mapping[str, Any]) -> int:
    for name in _TIMES:
        at = info.get(name)
        if isinstance(at, datetime):
            return int(at.timestamp() * 1e6)
        with contextlib.suppress(TypeError, ValueError):
            if at is not None:
                return int(float(at) * 1e6)
    return 0
