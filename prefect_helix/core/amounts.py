"""Amounts of which some may not be known."""

from __future__ import annotations

from collections.abc import Iterable


def total(amounts: Iterable[int | None]) -> int | None:
    """Return the sum of `amounts`; None as soon as one of them is not known."""
    known = 0
    for amount in amounts:
        if amount is None:
            return None
        known += amount
    return known
