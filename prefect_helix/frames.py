"""The runs of a store as a pandas frame."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.records import list_runs

if TYPE_CHECKING:
    import pandas

_NO_LITERALS = ("nan", "inf", "-inf")
"""How floats are shown that Python's source has no literals for; a text is shown in quotation marks."""

_NUMBERS = ((bool, "boolean"), (int, "Int64"), (float, "Float64"))


def runs_frame(flow: str | None = None, store: str | Path | None = None) -> pandas.DataFrame:
    """Return the runs of a store as a frame, oldest first, with the ids of the runs as its index.

    Its columns are ``flow``, ``name``, ``status``, ``started``, ``finished``, ``computed``, ``loaded``, ``pruned``,
    ``failed``, ``spent``, ``saved``, ``added_bytes``, ``changed``, ``tags``, then ``metric.NAME`` for each metric and
    ``parameter.NAME`` for each parameter of the flow. A parameter that is a number in all runs has numbers, and
    none where it is no number (nan); every other one has text in short form.

    Args:
        flow: Only runs of this flow.
        store: The store: an fsspec URL, a local path or ``helix-storage/NAME``; None for the settings'.

    Raises:
        ConfigurationError: If pandas is not installed, or the store makes no sense.
        NotFoundError: If there is no run of the flow.
        StoreError: If the store cannot be read.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - whoever needs no frame needs no pandas
    except ImportError as error:
        raise ConfigurationError("runs_frame", "pandas", "Install pandas, or use list_runs().") from error
    records = list_runs(flow, store)[::-1]
    index = pd.Index([record.id for record in records], name="run_id", dtype="string")

    def column(values: Iterable[object], dtype: str) -> pandas.Series[Any]:
        return pd.Series(list(values), index=index, dtype=dtype)

    summaries = [record.summary for record in records]
    columns = {
        **{name: column((getattr(one, name) for one in records), "string") for name in ("flow", "name", "status")},
        **{
            name: column((getattr(one, name) for one in records), "datetime64[us, UTC]")
            for name in ("started", "finished")
        },
        **{
            name: column((getattr(one, name) for one in summaries), "Int64")
            for name in ("computed", "loaded", "pruned", "failed")
        },
        **{name: column((getattr(one, name) for one in records), "timedelta64[us]") for name in ("spent", "saved")},
        "added_bytes": column((one.added_bytes for one in summaries), "Int64"),
        "changed": column((one.changed for one in records), "string"),
        "tags": column((" ".join(one.tags) for one in records), "string"),
    }
    for name in _names(record.metrics for record in records):
        columns[f"metric.{name}"] = column((record.metrics.get(name) for record in records), "float64")
    for name in _names(record.parameters for record in records):
        columns[f"parameter.{name}"] = column(*_typed([record.parameters.get(name) for record in records]))
    return pd.DataFrame(columns, index=index)


def _names(of_runs: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in of_runs for name in names))


def _typed(shown: Sequence[str | None]) -> tuple[list[object], str]:
    """Return the values of a parameter, and the type of the column that holds them."""
    values = [None if one is None else _value(one) for one in shown]
    known = [value for value in values if value is not None]
    for kind, dtype in _NUMBERS:
        if kind is int and any(type(value) is int and value.bit_length() > 63 for value in known):
            continue
        if known and all(type(value) is kind or (kind is float and type(value) is int) for value in known):
            return values, dtype
    texts = [value if isinstance(value, str) else one for value, one in zip(values, shown, strict=True)]
    return list(texts), "string"


def _value(shown: str) -> Any:
    if shown in _NO_LITERALS:
        return float(shown)
    try:
        return ast.literal_eval(shown)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return shown
