from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from prefect_helix.core.digest import digest
from prefect_helix.storage import files
from prefect_helix.storage.blob import ChangedWhileWritingError
from prefect_helix.storage.copies import copy_of
from prefect_helix.storage.files import File
from prefect_helix.storage.store import open_store


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths of the files that were read to be hashed, in order."""
    paths: list[str] = []
    plain = File._hash

    def counted(file: File) -> str:
        paths.append(file.path)
        return plain(file)

    monkeypatch.setattr(File, "_hash", counted)
    yield paths


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a minute ahead, so that no file was changed just now."""
    plain = time.time_ns
    monkeypatch.setattr(files.time, "time_ns", lambda: plain() + 60 * 10**9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return path


def remote(content: bytes, name: str = "data.csv") -> File:
    file = File(f"memory://files/{name}")
    with file.open("wb") as stream:
        stream.write(content)
    return file


def test_equal_content_is_equal_wherever_it_lies(path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.csv").write_bytes(path.read_bytes())
    contents = {File(path).content(), File(tmp_path / "copy.csv").content(), remote(path.read_bytes()).content()}
    assert len(contents) == 1


def test_other_content_is_another_identity(path: Path) -> None:
    before = File(path).content()
    path.write_bytes(b"a,b\n1,3\n")
    assert File(path).content() != before


def test_the_digest_is_that_of_the_content_and_exact(path: Path, tmp_path: Path) -> None:
    before = digest(File(path))
    assert before.exact
    assert digest(File(path.rename(tmp_path / "moved.csv"))) == before
    assert digest([File(tmp_path / "moved.csv")]) != before
    (tmp_path / "moved.csv").write_bytes(b"other")
    assert digest(File(tmp_path / "moved.csv")) != before


def test_a_hash_is_remembered_while_the_file_stays(path: Path, hashed: list[str], settled: None) -> None:
    assert File(path).content() == File(str(path)).content() == File(f"file://{path}").content()
    assert hashed == [str(path)]


def test_a_file_changed_just_now_is_hashed_again(path: Path, hashed: list[str]) -> None:
    """Its clock may not have ticked between two writes of the same size."""
    File(path).content()
    File(path).content()
    assert hashed == [str(path)] * 2


def test_a_time_in_the_future_is_never_trusted(path: Path, hashed: list[str], settled: None) -> None:
    os.utime(path, (time.time() + 3600,) * 2)
    File(path).content()
    File(path).content()
    assert hashed == [str(path)] * 2


@pytest.mark.usefixtures("settled")
def test_a_change_that_keeps_size_and_time_is_seen(path: Path) -> None:
    status = path.stat()
    before = File(path).content()
    path.write_bytes(b"a,b\n9,9\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert File(path).content() != before


@pytest.mark.usefixtures("settled")
def test_a_change_is_seen_where_who_does_not_open_a_file_is_told_what_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, for up to a minute after another machine has changed the file."""
    before, remembered = File(path).content(), path.stat()
    path.write_bytes(b"a,b\n1,2\n3,4\n")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda self, **options: remembered)
        after = File(path).content()
    assert after != before


@pytest.mark.usefixtures("settled")
def test_a_replaced_file_is_seen(path: Path, tmp_path: Path) -> None:
    before = File(path).content()
    (tmp_path / "new").write_bytes(b"a,b\n9,9\n")
    (tmp_path / "new").replace(path)
    assert File(path).content() != before


@pytest.mark.usefixtures("settled")
def test_a_file_changed_while_it_is_hashed_is_not_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = File._hash

    def torn(file: File) -> str:
        content = plain(file)
        path.write_bytes(b"longer than before")
        return content

    with monkeypatch.context() as patch:
        patch.setattr(File, "_hash", torn)
        torn_content = File(path).content()
    assert File(path).content() != torn_content


def test_many_threads_agree(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: File(path).content(), range(50)))) == 1


@pytest.mark.parametrize("name", ["{}/absent.csv", "memory://files/absent.csv", "file://{}/absent.csv"])
def test_a_missing_file_says_so(tmp_path: Path, name: str) -> None:
    file = File(name.format(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"There is no file .*absent\.csv\. Create it"):
        file.content()


def test_a_remote_file_with_a_tag_is_not_read(monkeypatch: pytest.MonkeyPatch, hashed: list[str]) -> None:
    first, second = remote(b"1", "one"), remote(b"2", "two")
    tags = {"/files/one": '"v1"', "/files/two": '"v1"'}
    memory = fsspec.get_filesystem_class("memory")
    monkeypatch.setattr(memory, "info", lambda self, path: {"name": path, "size": 1, "ETag": tags[path]})
    one = first.content()
    assert hashed == []
    assert second.content() != one, "an ETag is unique for its URL only"
    tags["/files/one"] = '"v2"'
    assert first.content() != one


def test_a_weak_tag_tells_nothing_of_the_bytes(monkeypatch: pytest.MonkeyPatch, hashed: list[str]) -> None:
    memory = fsspec.get_filesystem_class("memory")
    plain = memory.info
    monkeypatch.setattr(memory, "info", lambda self, path, **options: {**plain(self, path), "ETag": 'W/"v1"'})
    one = remote(b"1").content()
    assert remote(b"2").content() != one
    assert len(hashed) == 2


def test_it_is_a_value_equal_by_path_that_keeps_options_to_itself() -> None:
    file = File("memory://files/x", {"key": "secret"})
    assert file == File("memory://files/x")
    assert file != File("memory://files/y")
    assert len({file, File("memory://files/x")}) == 1
    assert repr(file) == "File(path='memory://files/x')"
    with pytest.raises(AttributeError):
        file.path = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(file)).storage_options == {"key": "secret"}


def test_local_files_are_paths(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(File(path)).read_bytes() == path.read_bytes()
    assert os.fspath(File(f"file://{path}")) == str(path)
    monkeypatch.setenv("HOME", str(path.parent))
    assert os.fspath(File("~/data.csv")) == str(path)
    with File("~/data.csv").open("r") as stream:
        assert stream.read() == "a,b\n1,2\n"


def test_remote_files_are_no_paths() -> None:
    with pytest.raises(TypeError, match=r"not a local file. Read it through File\.open"):
        os.fspath(File("s3://bucket/x"))


def test_a_file_that_is_gone_before_it_is_copied_is_no_failure_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(bytes(100_000))
    copied = copy_of(File(path))
    assert copied is not None
    path.unlink()
    with pytest.raises(ChangedWhileWritingError, match=r"out\.bin cannot be read any more"):
        open_store(tmp_path / "store").put_blob(copied[1])
