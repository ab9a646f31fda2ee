"""A mapped file that was not written here is checked once, and any again when anything about it changed."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefect_helix.core.errors import CorruptError
from prefect_helix.storage import blob as blobs
from prefect_helix.storage import local, verified
from prefect_helix.storage.blob import Encoded
from prefect_helix.storage.codec import encode
from prefect_helix.storage.store import open_store


@pytest.fixture
def blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Encoded]:
    """A large blob in a store that came from elsewhere, long ago as far as the clock tells."""
    path, encoded = written(tmp_path, monkeypatch)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(verified.time, "time_ns", lambda now=time.time_ns: now() + 10**10)
    return path, encoded


def written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Encoded]:
    """Write a large blob to a store."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    encoded = encode(np.arange(1_000_000))
    open_store(folder / "store").put_blob(encoded)
    return folder / "store/blobs" / encoded.name[:2] / encoded.name, encoded


def checked(path: Path, encoded: Encoded, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the content is checked when the blob is loaded by a new process."""
    sizes: list[int] = []

    def count(data: Any) -> bytes:
        sizes.append(len(data))
        return checksum(data)

    checksum = blobs.checksum
    monkeypatch.setattr(blobs, "checksum", count)
    try:
        loaded: Any = open_store(path.parents[2]).get_blob(encoded.name)
    finally:
        monkeypatch.setattr(blobs, "checksum", checksum)
    assert loaded[-1] == 999_999
    return max(sizes) > 1_000_000


def test_a_file_is_checked_the_first_time_only(blob: tuple[Path, Encoded], monkeypatch: pytest.MonkeyPatch) -> None:
    assert [checked(*blob, monkeypatch) for _ in range(3)] == [True, False, False]


def touched(path: Path) -> None:
    os.utime(path, (1, 1))


def replaced(path: Path) -> None:
    aside = path.with_name("aside")
    aside.write_bytes(path.read_bytes())
    status = path.stat()
    aside.replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def rewritten(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [touched, replaced, rewritten])
def test_a_file_that_was_touched_is_checked_again(
    blob: tuple[Path, Encoded], change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked(*blob, monkeypatch)
    change(blob[0])
    assert [checked(*blob, monkeypatch) for _ in range(2)] == [True, False]


def test_damage_is_found_after_a_good_load(blob: tuple[Path, Encoded], monkeypatch: pytest.MonkeyPatch) -> None:
    path, encoded = blob
    checked(path, encoded, monkeypatch)
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\xff")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(CorruptError, match="checksum"):
        open_store(path.parents[2]).get_blob(encoded.name)


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, encoded = written(tmp_path, monkeypatch)
    shutil.rmtree(tmp_path / "cache")
    assert [checked(path, encoded, monkeypatch) for _ in range(2)] == [True, True]


def test_what_was_written_here_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, encoded = written(tmp_path, monkeypatch)
    assert not checked(path, encoded, monkeypatch)


def test_what_was_signed_and_written_here_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "open_store", functools.partial(open_store, key=b"k" * 32))
    path, encoded = written(tmp_path, monkeypatch)
    monkeypatch.setattr(verified.time, "time_ns", lambda now=time.time_ns: now() + 10**10)
    assert [checked(path, encoded, monkeypatch) for _ in range(2)] == [True, False]


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(first)


@pytest.mark.parametrize("change", [touched, replaced, rewritten, overwritten])
def test_what_was_written_here_and_touched_since_is_checked(
    change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, encoded = written(tmp_path, monkeypatch)
    change(path)
    assert checked(path, encoded, monkeypatch)


def test_damage_of_what_was_just_written_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, encoded = written(tmp_path, monkeypatch)
    with path.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\xff")
    with pytest.raises(CorruptError, match="checksum"):
        open_store(path.parents[2]).get_blob(encoded.name)


def test_what_another_put_in_its_place_meanwhile_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(self: Path, target: Path) -> None:
        os.replace(self, target)  # noqa: PTH105 - the method is this one
        overwritten(target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        path, encoded = written(tmp_path, monkeypatch)
    assert checked(path, encoded, monkeypatch)


def test_where_times_cannot_be_set_what_is_written_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(verified.os, "utime", refuse)
        path, encoded = written(tmp_path, monkeypatch)
    assert checked(path, encoded, monkeypatch)


def test_a_file_is_checked_again_when_the_machine_was_started_anew(
    blob: tuple[Path, Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [checked(*blob, monkeypatch) for _ in range(2)] == [True, False]
    monkeypatch.setattr(verified, "_boot", lambda: "another")
    assert [checked(*blob, monkeypatch) for _ in range(2)] == [True, False]


def test_where_starts_are_not_told_apart_all_else_holds(
    blob: tuple[Path, Encoded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "_BOOT_ID", tmp_path / "none")
    monkeypatch.setattr(verified, "_boot", verified._boot.__wrapped__)
    assert [checked(*blob, monkeypatch) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("damage", [b"", b"\xff\n\n x y\n", b"blobs 1 2 3\n", None])
def test_a_damaged_memory_costs_a_checksum(
    blob: tuple[Path, Encoded], damage: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(*blob, monkeypatch)
    (file,) = (tmp_path / "cache/prefect-helix/verified").iterdir()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert [checked(*blob, monkeypatch) for _ in range(2)] == [True, False]


def test_a_home_that_cannot_be_written_costs_a_checksum(
    blob: tuple[Path, Encoded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [checked(*blob, monkeypatch) for _ in range(2)] == [True, True]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p", "lustre"])
def test_a_file_that_other_machines_may_cut_is_read_and_checked(
    blob: tuple[Path, Encoded], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path / 'store'} {kind} rw 0 0\n")
    monkeypatch.setattr(local, "_MOUNTS", mounts)
    assert [checked(*blob, monkeypatch) for _ in range(2)] == [True, True]
    loaded: Any = open_store(tmp_path / "store").get_blob(blob[1].name)
    assert str(blob[0]) not in Path("/proc/self/maps").read_text()
    loaded[0] = 1


def test_where_a_folder_is_mounted_is_told_in_any_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts, folder = tmp_path / "mounts", tmp_path / "les données"
    escaped = os.fsencode(folder).replace(b" ", b"\\040")
    mounts.write_bytes(b"/dev/sdb /media/\xff\xfe vfat rw 0 0\nserver:/x " + escaped + b" nfs4 rw 0 0\n")
    monkeypatch.setattr(local, "_MOUNTS", mounts)
    assert local._kind_of_mount(folder / "store") == "nfs4"
