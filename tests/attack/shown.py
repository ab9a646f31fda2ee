"""Values as JSON that tells every bit of them, and whose class they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prefect_helix.runtime.standin import plain
from prefect_helix.storage.files import File


def shown(value: Any, project: set[str]) -> Any:
    """Return a value as JSON.

    Args:
        value: The value; a future is what it gives.
        project: The names of the modules whose classes tell themselves apart by their attributes.
    """

    def show(value: Any) -> Any:
        value = plain(value)
        if callable(getattr(value, "result", None)):  # a future
            return show(value.result())
        match value:
            case File():
                return ["File", Path(value.path).read_text()]
            case list() | tuple() if type(value) in (list, tuple):
                return [type(value).__name__, *map(show, value)]
            case dict():
                return ["dict", *([key, show(each)] for key, each in value.items())]
            case np.ndarray():
                return ["array", str(value.dtype), value.shape, value.strides, _hash(value.tobytes())]
            case pd.DataFrame():
                return ["frame", *([name, show(value[name].to_numpy())] for name in value)]
            case str() if len(value) > 99:
                return ["str", len(value), _hash(value.encode())]
            case Enum():
                return ["instance", type(value).__name__, repr(value)]
        if isinstance(value, tuple) or is_dataclass(value):
            return ["instance", type(value).__name__, repr(value)]
        if type(value).__module__.rpartition(".")[2] in project:
            return ["object", type(value).__name__, repr(vars(value))]
        if callable(value):
            return ["function", getattr(value, "__name__", repr(type(value)))]
        return [type(value).__name__, repr(value)]

    return show(value)


def outcome(run: Callable[[], Any]) -> list[Any]:
    """Return what a flow gives, as JSON, or what it raises."""
    try:
        return ["gave", run()]
    except Exception as error:
        return ["raised", type(error).__name__, str(error)]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
