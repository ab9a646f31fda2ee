"""Copies of files that results name, and how they are put back.

A copy is a blob like any other: written whole or not at all, checked, compressed and signed as the store has it. It is
no hard link: a program that later writes into the file would write into the copy as well, and a file put back as a
link would give the next program that chance. Nor does it share blocks of the disk, since the content of a blob does not
begin where a block does.
"""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from prefect_helix.core.errors import CorruptError, StoreError
from prefect_helix.core.lineage import Copy
from prefect_helix.storage.blob import (
    CHECKSUM_BYTES,
    ChangedWhileWritingError,
    Chunk,
    Encoded,
    Part,
    assemble,
    checksum,
)
from prefect_helix.storage.files import File

_PIECE_BYTES = 1 << 20
_TYPE_NAME = "prefect_helix.File"


class _Content:
    """The bytes of a file, read when they are asked for: a map of a file that is cut short would end the process."""

    def __init__(self, path: str, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def __len__(self) -> int:
        return self._size_bytes

    def __getitem__(self, where: slice, /) -> Chunk:
        start, stop, _ = where.indices(self._size_bytes)
        try:
            with Path(self._path).open("rb", buffering=0) as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as error:  # of the file, not of the store
            raise ChangedWhileWritingError(_TYPE_NAME, f"{self._path} cannot be read any more ({error})") from error


def copy_of(file: File) -> tuple[Copy, Encoded] | None:
    """Return what is recorded of a local file, and the blob of its content; None for a file that has no copy.

    What is written is what is read now, or nothing is. Complexity: O(bytes), two passes.

    Raises:
        OSError: If the file cannot be read.
    """
    if not file.is_local:
        return None
    path = os.path.realpath(file)
    status = Path(path).stat()
    content = blake3()
    with Path(path).open("rb", buffering=0) as opened:
        while piece := opened.read(_PIECE_BYTES):
            content.update(piece)
    # The stream of a bytearray whose buffer is out of band.
    stream = pickle.dumps(pickle.PickleBuffer(bytearray(1)), protocol=5, buffer_callback=lambda _: None)
    parts: list[Part] = [stream, _Content(path, status.st_size)]
    digest = content.digest(CHECKSUM_BYTES)
    if digest.hex() != file.content():  # it is being changed
        return None
    encoded = assemble(parts, [checksum(stream), digest], _TYPE_NAME, frozenset())
    return Copy(file.path, digest.hex(), status.st_size, status.st_mode & 0o777, encoded.name), encoded


def is_as_it_was(copy: Copy, has_blob: Callable[[str], bool]) -> bool:
    """Return whether a file has the content it had, or is gone and can be put back."""
    try:
        return File(copy.path).content() == copy.content
    except FileNotFoundError:
        return has_blob(copy.blob)
    except (OSError, ValueError, RuntimeError):  # or no file system here has such a path
        return False


def put_back(copy: Copy, get_blob: Callable[[str], object]) -> None:
    """Write a file that is gone; one that is there is left alone.

    Raises:
        StoreError: If its content cannot be had, or the file cannot be written.
    """
    try:
        target = Path(File(copy.path))
        if target.exists():
            return
        content = get_blob(copy.blob)
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise CorruptError("store", f"put back {copy.path}", "its copy holds something else", "")
        _write(target, content, copy.mode & 0o777)
    except StoreError:
        raise
    except (
        OSError,
        ValueError,
        RuntimeError,
        TypeError,
    ) as error:  # as paths are that are none here
        raise StoreError("store", f"put back {copy.path}", str(error), "It is computed again.") from error


def _write(target: Path, content: bytes | bytearray | memoryview, mode: int) -> None:
    """Write a file, whole or not at all."""
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        aside.write_bytes(content)
        aside.chmod(mode)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
