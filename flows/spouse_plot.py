"""A plot of how probabilities keep their word, drawn as SVG."""

from __future__ import annotations

import numpy as np
import pandas as pd

SIDE, MARGIN = 320, 48
COLOUR = "#1f5fbf"


def calibration_svg(bins: pd.DataFrame, curve: pd.DataFrame, title: str) -> str:
    """Draw predicted against observed shares (a dot per bin, larger for more pairs), and precision against recall."""
    dots = "".join(
        f'<circle cx="{_x(row.predicted):.1f}" cy="{_y(row.observed):.1f}" r="{2 + np.log1p(row.pairs):.1f}" '
        f'fill="{COLOUR}" fill-opacity="0.7"><title>{row.pairs:.0f} pairs</title></circle>'
        for row in bins.itertuples()
    )
    diagonal = f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="#999" stroke-dasharray="4"/>'
    points = "L".join(f"{_x(row.recall):.1f} {_y(row.precision):.1f}" for row in curve.itertuples())
    line = f'<path d="M{points}" stroke="{COLOUR}" stroke-width="2" fill="none"/>'
    panels = [
        _panel(0, "predicted probability", "share of true pairs", diagonal + dots),
        _panel(SIDE + 2 * MARGIN, "recall", "precision", line),
    ]
    width, height = 2 * (SIDE + 2 * MARGIN), SIDE + 2 * MARGIN
    heading = f'<text x="{width / 2}" y="20" text-anchor="middle">{title}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="13">{heading}{"".join(panels)}</svg>'
    )


def _panel(left: int, below: str, beside: str, content: str) -> str:
    middle = MARGIN + SIDE / 2
    ticks = "".join(
        f'<text x="{_x(share):.0f}" y="{MARGIN + SIDE + 16}" text-anchor="middle">{share:.1f}</text>'
        f'<text x="{MARGIN - 6}" y="{_y(share) + 4:.0f}" text-anchor="end">{share:.1f}</text>'
        for share in (0, 0.5, 1)
    )
    return (
        f'<g transform="translate({left} 0)">'
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#ccc"/>{ticks}{content}'
        f'<text x="{middle}" y="{MARGIN + SIDE + 34}" text-anchor="middle">{below}</text>'
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{beside}</text></g>'
    )


def _x(share: float) -> float:
    return MARGIN + SIDE * share


def _y(share: float) -> float:
    return MARGIN + SIDE * (1 - share)
