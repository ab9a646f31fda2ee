"""Numbers as a plot of characters: a dot for each, on an axis that says where it begins and ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

HEIGHT = 5
"""Lines of a plot; each has two levels."""

_SPREAD = 4
_LOWER, _UPPER = "▄", "▀"


def plot(values: Sequence[float | None], width: int, height: int = HEIGHT) -> list[str]:
    """Return the lines of a plot of values in their order; what is no number is a gap.

    The axis goes from the least value to the greatest, and the first and the last line name them: it need not have a
    zero. Of more values than there are columns the last ones are drawn.

    Args:
        values: What to draw.
        width: Columns to draw in, the axis included.
        height: Lines to draw in, at least two.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return []
    margin, needed = 0, 1
    while needed > margin:  # longer labels leave fewer columns, whose values may have longer labels still
        margin = needed
        columns = max(1, width - margin - 2)
        shown = [value if value is not None and math.isfinite(value) else None for value in values[-columns:]]
        drawn = [value for value in shown if value is not None]
        low, high = min(drawn, default=min(known)), max(drawn, default=max(known))
        labels = _labels(low, high)
        needed = max(map(len, labels))
    spread = max(1, min(_SPREAD, columns // len(shown)))
    rows = [[" "] * (len(shown) * spread) for _ in range(height)]
    for place, value in enumerate(shown):
        if value is not None:
            # The difference of two numbers may be too large for one; that of their halves is not.
            share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5
            level = round(share * (2 * height - 1))
            rows[level // 2][place * spread] = _UPPER if level % 2 else _LOWER
    marks = {height - 1: labels[-1], 0: labels[0]} if high > low else {height // 2: labels[0]}
    return [
        f"{marks.get(row, ''):>{margin}} {'┤' if row in marks else '│'}{''.join(rows[row]).rstrip()}"
        for row in reversed(range(height))
    ]


def _labels(low: float, high: float) -> tuple[str, str]:
    """Return the ends of the axis with as many digits as tell one from the other."""
    digits = next((digits for digits in range(6, 17) if f"{low:.{digits}g}" != f"{high:.{digits}g}"), 6)
    return f"{low:.{digits}g}", f"{high:.{digits}g}"
