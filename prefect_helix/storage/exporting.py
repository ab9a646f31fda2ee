"""A value as a file for other programs, in the format that the file's name asks for."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle

from prefect_helix.core.errors import ConfigurationError

_TRUNCATED = 200


def export(value: object, path: Path, *, force: bool = False) -> None:
    """Write a value to a file, whole or not at all.

    Args:
        value: What.
        path: Where; ``.pkl`` takes every value, ``.parquet`` and ``.csv`` frames, ``.npy`` arrays, ``.json`` what JSON
            has.
        force: Whether a file that is there may be replaced.

    Raises:
        ConfigurationError: If the value does not go into that format, or the file is there.
        OSError: If the file cannot be written.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ConfigurationError("--to", str(path), f"Its name has to end in {', '.join(_WRITERS)}.")
    if path.exists() and not force:
        raise ConfigurationError("--to", str(path), "The file is there; name another one, or add --force.")
    aside = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        write(value, aside)
        aside.replace(path)
    except OSError:
        raise
    except Exception as error:  # of many libraries
        cause = " ".join(str(error).split())[:_TRUNCATED]
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        remedy = f"A {kind} does not go into {path.suffix} ({cause}). A name that ends in .pkl takes every value."
        raise ConfigurationError("--to", str(path), remedy) from error
    finally:
        aside.unlink(missing_ok=True)


def _pickle(value: object, path: Path) -> None:
    with path.open("wb") as file:
        cloudpickle.dump(value, file, protocol=5)


def _parquet(value: Any, path: Path) -> None:
    if hasattr(value, "write_parquet"):  # polars
        value.write_parquet(path)
    else:
        _frame(value).to_parquet(path)


def _csv(value: Any, path: Path) -> None:
    if hasattr(value, "write_csv"):  # polars
        value.write_csv(path)
        return
    frame = _frame(value)
    frame.to_csv(path, index=not _only_counts(frame.index))


def _only_counts(index: Any) -> bool:
    """Return whether an index without a name has the number of each row, from zero, as the lines of a file tell it."""
    return type(index).__name__ == "RangeIndex" and (index.start, index.step, index.name) == (0, 1, None)


def _frame(value: Any) -> Any:
    """Return a pandas frame; a series becomes one with a column."""
    pandas = sys.modules.get("pandas")  # whoever has a frame has it
    if pandas is not None and isinstance(value, pandas.Series):
        return value.to_frame()
    if pandas is None or not isinstance(value, pandas.DataFrame):
        raise TypeError("it is no frame")
    return value


def _npy(value: Any, path: Path) -> None:
    numpy = sys.modules.get("numpy")  # whoever has an array has it
    if numpy is None or not isinstance(value, numpy.ndarray):
        raise TypeError("it is no array")
    numpy.save(path, value, allow_pickle=False)


def _json(value: object, path: Path) -> None:
    _check_keys(value)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _check_keys(value: object) -> None:
    """Refuse keys that are not text: JSON would make text of numbers, and one of 1 and "1"."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
            _check_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_keys(item)


_WRITERS: Mapping[str, Callable[[Any, Path], None]] = {
    ".pkl": _pickle,
    ".parquet": _parquet,
    ".csv": _csv,
    ".npy": _npy,
    ".json": _json,
}
