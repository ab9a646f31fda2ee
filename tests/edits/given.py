# ruff: noqa: F401 - the expressions use the imports
"""What the expressions of arguments are made of."""

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import random
import re
import threading
import uuid
import zoneinfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import scipy.sparse as sp
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from prefect_helix import File

Path = pathlib.Path
__all__ = [name for name in dir() if not name.startswith("__")]
__all__ += [
    "Colour",
    "Config",
    "Handle",
    "Level",
    "Pair",
    "Point",
    "Spot",
    "cyclic",
    "fitted",
    "plus",
    "shown",
    "table",
    "twice",
]


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0


@dataclasses.dataclass
class Spot:
    x: object
    y: object = 0


class Config(pydantic.BaseModel):
    rate: float
    names: list[str] = []


class Handle:
    def __reduce__(self) -> str:
        raise TypeError("a handle of something that is elsewhere")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


Pair = collections.namedtuple("Pair", "a b")


def cyclic(first: object) -> list[object]:
    made = [first]
    made.append(made)
    return made


def plus(n: int) -> object:
    return lambda x: x + n


def twice(x: int) -> int:
    return 2 * x


def fitted(slope: float) -> LinearRegression:
    return LinearRegression().fit([[0.0], [1.0]], [0.0, slope])


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns)


def shown(value: object) -> str:
    return f"{type(value).__name__} {value!r}"
