"""Sizes as people write them."""

from __future__ import annotations

import math
import re

from prefect_helix.core.errors import ConfigurationError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {f"{letter}IB": 1024 ** (power + 1) for power, letter in enumerate("KMGT")}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def budget_bytes(budget: str | int, *, setting: str = "budget") -> int:
    """Return a budget in bytes, from bytes or a text such as ``"20GB"`` or ``"512 MiB"``.

    Args:
        budget: The budget.
        setting: What it is called where the user gave it.

    Raises:
        ConfigurationError: If it makes no sense.
    """
    remedy = 'Give a number of bytes or a size such as "20GB" or "512MiB"; zero keeps nothing but small results.'
    if isinstance(budget, bool) or not isinstance(budget, (int, str)) or (isinstance(budget, int) and budget < 0):
        raise ConfigurationError(setting, budget, remedy)
    if isinstance(budget, int):
        return budget
    found = _SIZE.fullmatch(budget)
    if found is None or found[2].upper() not in _UNITS:
        raise ConfigurationError(setting, budget, remedy)
    size_bytes = float(found[1]) * _UNITS[found[2].upper()]
    if not math.isfinite(size_bytes):
        raise ConfigurationError(setting, budget, remedy)
    return int(size_bytes)
