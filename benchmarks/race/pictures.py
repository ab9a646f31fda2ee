"""The pictures of a race: what each system took in all, and up to each iteration, all on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from prefect_helix.views.charts import round_step
from prefect_helix.views.ink import FONT_PX, number, on_paper, open_svg, paint, text, width_em

from .standings import Outcome, Standing
from .systems import BOUND, PLAIN

_WIDTH, _MARGIN, _GAP = 860, 14, 8
_ROW, _BAR = 22, 14
_PLOT_HEIGHT, _LABEL_HEIGHT = 300, 15
_OURS = "auto"
_TONES = {_OURS: "series", BOUND: "ink", PLAIN: "compute-line"}
_DASHED = 'stroke-dasharray="4 3"'


def totals(outcome: Outcome) -> str:
    """Return a bar for each system: the bodies of all iterations together, and what of that the lower bound is."""
    rows = [(standing, standing.seconds) for standing in outcome.ordered if standing.seconds is not None]
    bound = next((seconds for standing, seconds in rows if standing.system == BOUND), 0.0)
    left = _MARGIN + max((_wide(_name(standing)) for standing, _ in rows), default=0) + _GAP
    scale = (_WIDTH - left - _MARGIN - _wide(_told(10_000)) - _GAP) / max((seconds for _, seconds in rows), default=1.0)
    height = 2 * _MARGIN + _ROW * len(rows)
    drawn = [open_svg(_WIDTH, height, f"{outcome.workload}: flow bodies of all iterations together, by system")]
    for at, (standing, seconds) in enumerate(rows):
        top, least = _MARGIN + _ROW * at, min(bound, seconds)
        drawn += [
            text(_name(standing), left - _GAP, top + 12, _ink(standing), bold=standing.system == _OURS, anchor="end"),
            _box(left, top, least * scale, "tile-1"),
            _box(left + least * scale, top, (seconds - least) * scale, _tone(standing)),
            text(_told(seconds), left + seconds * scale + _GAP, top + 12, "muted"),
        ]
    if bound:
        x = number(left + bound * scale)
        drawn.append(f'<path d="M{x} {_MARGIN - 6}V{height - _MARGIN}" {paint("none", "load-line")} {_DASHED}/>')
    return on_paper("".join((*drawn, "</svg>")))


def iterations(outcome: Outcome) -> str:
    """Return a line for each system that stores what it likes: the bodies up to each iteration together."""
    lines = [standing for standing in outcome.unlimited if standing.at]
    ends = [f"{_name(standing)}  {_told(standing.at[-1])}" for standing in lines]
    left, top = _MARGIN + _wide(_told(10_000)) + _GAP, _MARGIN
    right = _WIDTH - _MARGIN - max(map(_wide, ends), default=0) - 2 * _GAP
    ticks = _ticks(max((standing.at[-1] for standing in lines), default=1.0))
    step = (right - left) / max(1, len(outcome.changes) - 1)
    bottom = top + _PLOT_HEIGHT

    def height_of(seconds: float) -> float:
        return bottom - seconds / ticks[-1] * _PLOT_HEIGHT

    title = f"{outcome.workload}: flow bodies up to each iteration, by system"
    drawn = [open_svg(_WIDTH, bottom + 2 * _MARGIN + _LABEL_HEIGHT, title)]
    for tick in ticks:
        y = height_of(tick)
        drawn.append(f'<path d="M{number(left)} {number(y)}H{number(right)}" {paint("none", "rim")}/>')
        drawn.append(text(_told(tick), left - _GAP, y + 4, "muted", anchor="end"))
    for at in range(len(outcome.changes)):
        drawn.append(text(str(at), left + at * step, bottom + _LABEL_HEIGHT + 4, "muted", anchor="middle"))
    for standing in lines:
        points = "L".join(f"{number(left + at * step)} {number(height_of(s))}" for at, s in enumerate(standing.at))
        look = f'stroke-width="{2.6 if standing.system == _OURS else 1.5}" {_DASHED if standing.wrong else ""}'
        drawn.append(f'<path d="M{points}" {paint("none", _tone(standing))} {look} stroke-linejoin="round"/>')
    for standing, told, y in _apart(lines, ends, [height_of(standing.at[-1]) for standing in lines], bottom):
        drawn.append(text(told, right + _GAP, y + 4, _ink(standing), bold=standing.system == _OURS))
    return on_paper("".join((*drawn, "</svg>")))


def _apart(
    lines: Sequence[Standing], words: Sequence[str], heights: Sequence[float], bottom: float
) -> Iterator[tuple[Standing, str, float]]:
    """Yield what stands at the end of each line, from the lowest up, one above the other where lines end together."""
    room = bottom + _LABEL_HEIGHT
    for at in sorted(range(len(lines)), key=heights.__getitem__, reverse=True):
        room = min(heights[at], room - _LABEL_HEIGHT)
        yield lines[at], words[at], room


def _ticks(highest: float) -> list[float]:
    step = round_step(max(highest, 1e-3) / 5)
    return [step * i for i in range(math.ceil(highest / step) + 1)]


def _box(x: float, y: float, width: float, tone: str) -> str:
    return f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{_BAR}" {paint(tone)}/>'


def _name(standing: Standing) -> str:
    return f"{standing.system} (WRONG results: {len(standing.wrong)})" if standing.wrong else standing.system


def _tone(standing: Standing) -> str:
    return _TONES.get(standing.system, "line")


def _ink(standing: Standing) -> str:
    return "ink" if standing.system in _TONES else "muted"


def _told(seconds: float) -> str:
    return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:,.0f} s"


def _wide(words: str) -> float:
    return width_em(words) * FONT_PX * 1.1
