"""Code that Python has stored for a file is taken for the file's only if it surely is."""

from __future__ import annotations

import os
import py_compile
import time
from pathlib import Path

import pytest

from prefect_helix.core.fingerprint.stored import stored_code


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return a source file, and what Python has stored for it as if that had been some time later."""
    monkeypatch.setattr("sys.pycache_prefix", None)
    source = tmp_path / "project.py"
    source.write_text("def task(x):\n    return x + 1\n")
    kept = Path(
        py_compile.compile(str(source), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    )
    later(kept, 10)
    return source, kept


def later(file: Path, seconds: float) -> None:
    os.utime(file, (time.time() + seconds,) * 2)


def test_what_was_stored_well_after_the_file_was_written_is_its_code(stored: tuple[Path, Path]) -> None:
    source, _ = stored
    code = stored_code(str(source))
    assert code is not None
    assert code == compile(source.read_text(), "", "exec", dont_inherit=True)


@pytest.mark.parametrize("seconds", [0, 1.5])
def test_what_was_stored_right_after_the_file_was_written_may_be_of_another_version(
    stored: tuple[Path, Path], seconds: float
) -> None:
    """Both may have been written within what the dates of files tell apart."""
    source, kept = stored
    later(kept, seconds)
    assert stored_code(str(source)) is None


def test_a_file_put_in_place_of_another_of_its_date_and_size_has_no_stored_code(stored: tuple[Path, Path]) -> None:
    """Python itself would run the old code: it goes by date and size, and the copy has both."""
    source, kept = stored
    date = source.stat()
    later(kept, 0)  # now
    other = source.with_name("other.py")
    other.write_text(source.read_text().replace("1", "2"))
    os.utime(other, ns=(date.st_atime_ns, date.st_mtime_ns))
    other.replace(source)
    assert source.stat().st_size == date.st_size
    assert stored_code(str(source)) is None


@pytest.mark.parametrize("damage", ["size", "date", "magic", "cut", "missing"])
def test_what_is_not_of_this_file_is_not_used(stored: tuple[Path, Path], damage: str) -> None:
    source, kept = stored
    match damage:
        case "size":
            date = source.stat()
            source.write_text("def task(x):\n    return x + 10\n")
            os.utime(source, ns=(date.st_atime_ns, date.st_mtime_ns))
        case "date":
            later(source, -100)
        case "magic":
            kept.write_bytes(b"none" + kept.read_bytes()[4:])
        case "cut":
            kept.write_bytes(kept.read_bytes()[:30])
        case _:
            kept.unlink()
    if kept.exists():
        later(kept, 10)
    assert stored_code(str(source)) is None
