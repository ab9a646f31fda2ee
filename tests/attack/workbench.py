"""What a random program imports from outside of its project, whatever runs it: as `workbench`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from prefect_helix.storage.files import File

_tries: Counter[Any] = Counter()


def change(value: Any, by: int) -> None:
    """Change an object in place, if it can be changed."""
    if isinstance(value, np.ndarray):
        value += by
    elif isinstance(value, pd.DataFrame):
        value["x"] = value["x"] + by
    elif isinstance(value, list):
        value.append(by)
    elif isinstance(value, dict):
        value["more"] = by
    elif isinstance(value, tuple):
        for part in value:
            change(part, by)
    elif hasattr(value, "start"):
        value.start += by


def fail_at_first(*what: Any) -> None:
    """Fail every other time that a thread calls this."""
    key = (threading.get_ident(), *what)
    _tries[key] += 1
    if _tries[key] % 2:
        raise ConnectionError("try again")


def workbench(task: Callable[..., Any], place: str) -> ModuleType:
    """Return the module, with the decorator of tasks and the folder where tasks write files."""
    module = ModuleType("workbench")
    vars(module).update(task=task, place=lambda: place, File=File, change=change, fail_at_first=fail_at_first)
    return module
