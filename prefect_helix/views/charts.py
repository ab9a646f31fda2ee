"""Charts: numbers of one run after the other in, a picture out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prefect_helix.views.ink import FONT_PX, link, number, open_svg, paint, text, tooltip, width_em
from prefect_helix.views.units import and_more, format_us, shorten

MAX_PANELS = 24
"""Lines that are drawn; of more a sentence tells the number."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 14, 8, 26
_PANEL_HEIGHT, _TITLE_HEIGHT, _PANEL_GAP = 96, 22, 14
_BARS_HEIGHT = 150
_WIDEST_BAR = 34
_DOT = 3.2
_FEW_DOTS = 200
_LARGEST = 1e300
_UNSEEN = 'fill="none" pointer-events="all"'
_SECOND_US = 1_000_000
_LONG_STEPS_US = tuple(s * _SECOND_US for s in (10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400))


@dataclass(frozen=True, slots=True)
class Version:
    """A place on the horizontal axis: one run.

    Attributes:
        label: What stands below it.
        tooltip: What else there is to say of it, shown with its numbers.
        href: Where a click leads; empty for nowhere.
    """

    label: str
    tooltip: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What each bar has of one kind.

    Attributes:
        name: What it is.
        tone: Its colour; see `prefect_helix.views.ink.TONES`.
        shape: What tells it from others without colour.
        amounts: One for each version; None where it is not known.
    """

    name: str
    tone: str
    shape: Literal["full", "narrow", "hollow"]
    amounts: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class _Axis:
    """A vertical axis from `low` at the bottom to `high`, with ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Return how far up a value is, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def line_chart(
    lines: Mapping[str, Sequence[float | None]], versions: Sequence[Version], *, title: str, width: int = 720
) -> str:
    """Return one line for each name over the versions, each in a panel with an axis of its own.

    A value that is missing, or no finite number, leaves a gap.

    Args:
        lines: For each name one value per version.
        versions: The horizontal axis.
        title: What the picture shows, for those who cannot see it.
        width: Its width in px.
    """
    shown = dict([*lines.items()][:MAX_PANELS])
    places = _places(len(versions), width)
    panel = _TITLE_HEIGHT + _PANEL_HEIGHT + _PANEL_GAP
    more = and_more(len(lines) - MAX_PANELS)
    bottom = _TOP + panel * len(shown) - (_PANEL_GAP if shown else 0)
    height = bottom + _BOTTOM + (18 if more else 0)
    parts = [open_svg(width, height, title, has_links=any(version.href for version in versions))]
    for at, (name, values) in enumerate(shown.items()):
        parts += _panel(name, values, versions, places, _TOP + at * panel, width)
    parts += _labels(versions, places, bottom, width)
    if more:
        parts.append(text(more, _LEFT, height - 6, "muted"))
    return "".join((*parts, "</svg>"))


def stacked_bars(parts: Sequence[Part], versions: Sequence[Version], *, title: str, width: int = 720) -> str:
    """Return one bar of times for each version, its parts on top of each other, the first one at the bottom.

    Args:
        parts: What the bars are made of, in microseconds.
        versions: The horizontal axis.
        title: What the picture shows, for those who cannot see it.
        width: Its width in px.
    """
    places = _places(len(versions), width)
    totals = [sum(part.amounts[i] or 0 for part in parts) for i in range(len(versions))]
    axis = _time_axis(max(totals, default=0))
    top = _TOP + _TITLE_HEIGHT
    bottom = top + _BARS_HEIGHT
    bar = min(_WIDEST_BAR, max(1.0, 0.7 * (width - _LEFT - _RIGHT) / max(1, len(versions))))
    drawn = [open_svg(width, bottom + _BOTTOM, title, has_links=any(version.href for version in versions))]
    drawn += _legend(parts)
    drawn += _grid(axis, top, _BARS_HEIGHT, width, lambda tick: format_us(round(tick)))
    for i, (version, x) in enumerate(zip(versions, places, strict=True)):
        amounts = [(part, part.amounts[i]) for part in parts]
        told = [version.tooltip or version.label, *(f"{part.name} {format_us(amount)}" for part, amount in amounts)]
        boxes, low = [], 0
        for part, amount in amounts:
            if amount:
                y0, y1 = (bottom - axis.share(end) * _BARS_HEIGHT for end in (low, low + amount))
                boxes.append(_bar(part, x, bar, y1, max(y0 - y1, 0.75)))
                low += amount
        # what is too small to point at is pointed at by the whole height of its place
        hit = f'<rect x="{number(x - bar / 2)}" y="{top}" width="{number(bar)}" height="{_BARS_HEIGHT}" {_UNSEEN}/>'
        group = f"<g>{tooltip(told)}{hit}{''.join(boxes)}</g>"
        drawn.append(link(version.href, version.label, group, by_keyboard=False))
    drawn += _labels(versions, places, bottom, width)
    return "".join((*drawn, "</svg>"))


def sparkline(values: Sequence[float | None], *, title: str, width: int = 120, height: int = 28) -> str:
    """Return a line without axes, with a dot at its last value."""
    known = [_finite(value) for value in values]
    axis = _value_axis([value for value in known if value is not None])
    step = (width - 8) / max(1, len(known) - 1)
    points = [
        None if v is None else (4 + i * step, 4 + (1 - axis.share(v)) * (height - 8)) for i, v in enumerate(known)
    ]
    parts = [open_svg(width, height, title), *_paths(points)]
    if last := next((point for point in reversed(points) if point is not None), None):
        parts.append(_dot(*last))
    return "".join((*parts, "</svg>"))


def _panel(
    name: str,
    values: Sequence[float | None],
    versions: Sequence[Version],
    places: Sequence[float],
    top: int,
    width: int,
) -> Iterator[str]:
    known = [_finite(value) for value in values]
    axis = _value_axis([value for value in known if value is not None])
    last = next((f"{value:.6g}" for value in reversed(known) if value is not None), "no value")
    room = width - _LEFT - _RIGHT - width_em(last) * FONT_PX - 12
    yield text(shorten(name, 200), _LEFT, top + 13, "ink", room=room, bold=True)
    yield text(last, width - _RIGHT, top + 13, "muted", anchor="end")
    top += _TITLE_HEIGHT
    yield from _grid(axis, top, _PANEL_HEIGHT, width, _tick_words(axis.ticks))
    points = [
        None if value is None else (x, top + (1 - axis.share(value)) * _PANEL_HEIGHT)
        for x, value in zip(places, known, strict=True)
    ]
    yield from _paths(points)
    few = len(versions) <= _FEW_DOTS
    for i, point in enumerate(points):
        alone = point and not any(points[max(0, i - 1) : i]) and not any(points[i + 1 : i + 2])
        if point and (few or alone):
            told = tooltip([f"{shorten(name, 200)} {known[i]:.6g}", versions[i].tooltip or versions[i].label])
            label = f"{shorten(name, 80)} {known[i]:.6g}, {versions[i].label}"
            yield link(versions[i].href, label, f"<g>{told}{_dot(*point)}</g>", by_keyboard=False)


def _grid(axis: _Axis, top: int, height: int, width: int, words: Callable[[float], str]) -> Iterator[str]:
    for tick in axis.ticks:
        y = number(top + (1 - axis.share(tick)) * height)
        yield f'<path d="M{_LEFT} {y}H{width - _RIGHT}" {paint("none", "rim")}/>'
        yield text(words(tick), _LEFT - 8, float(y) + 4, "muted", room=_LEFT - 10, anchor="end")


def _labels(versions: Sequence[Version], places: Sequence[float], top: int, width: int) -> Iterator[str]:
    """Yield as many labels as find room, the last one among them."""
    if not versions:
        return
    labels = [shorten(version.label, 24) for version in versions]
    room = max(map(width_em, labels)) * FONT_PX + 14
    step = max(1, math.ceil(room / ((width - _LEFT - _RIGHT) / len(versions))))
    for i in range((len(versions) - 1) % step, len(versions), step):
        half = width_em(labels[i]) * FONT_PX / 2
        x = min(max(places[i], half + 2), width - half - 2)
        yield f'<path d="M{number(places[i])} {top}v4" {paint("none", "line")}/>'
        yield text(labels[i], x, top + 18, "muted", anchor="middle")


def _legend(parts: Sequence[Part]) -> Iterator[str]:
    x = float(_LEFT)
    for part in parts:
        yield _bar(part, x + 6, 12, _TOP + 3, 11)
        yield text(part.name, x + 18, _TOP + 13, "ink")
        x += 40 + width_em(part.name) * FONT_PX


def _bar(part: Part, x: float, width: float, y: float, height: float) -> str:
    wide = width * (0.55 if part.shape == "narrow" else 1)
    look = f'{paint("none", part.tone)} stroke-dasharray="3 2"' if part.shape == "hollow" else paint(part.tone)
    inset = min(0.5, height / 2, wide / 2) if part.shape == "hollow" else 0.0
    corner = (number(x - wide / 2 + inset), number(y + inset))
    size = (number(wide - 2 * inset), number(height - 2 * inset))
    return f'<rect x="{corner[0]}" y="{corner[1]}" width="{size[0]}" height="{size[1]}" {look}/>'


def _paths(points: Sequence[tuple[float, float] | None]) -> Iterator[str]:
    """Yield the line through the points, with gaps where there is none."""
    path, pen = "", "M"
    for point in points:
        if point is None:
            pen = "M"
        else:
            path += f"{pen}{number(point[0])} {number(point[1])}"
            pen = "L"
    if path:
        yield f'<path d="{path}" {paint("none", "series")} stroke-width="1.8" stroke-linejoin="round"/>'


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="{_DOT}" {paint("series")}/>'


def _places(count: int, width: int) -> list[float]:
    """Return where the versions are on the horizontal axis."""
    return [_LEFT + (i + 0.5) * (width - _LEFT - _RIGHT) / count for i in range(count)]


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < _LARGEST else None  # no number is less than anything


def _value_axis(values: Sequence[float]) -> _Axis:
    """Return an axis that holds all values, with round ticks."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)) or high - low < 1e-290:
        room = abs(high) / 10 or 1.0
        low, high = low - room, high + room
    step = round_step((high - low) / 3)
    ticks = [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]
    return _Axis(ticks[0], ticks[-1], tuple(ticks))


def _time_axis(highest_us: int) -> _Axis:
    step = round_step(max(highest_us, 4) / 4)
    if step > 5 * _SECOND_US:
        day = _LONG_STEPS_US[-1]
        step = next((s for s in _LONG_STEPS_US if 4 * s >= highest_us), math.ceil(highest_us / 4 / day) * day)
    step = max(1, step)
    count = max(1, math.ceil(highest_us / step))
    return _Axis(0, count * step, tuple(step * i for i in range(count + 1)))


def round_step(least: float) -> float:
    """Return the least of 1, 2 and 5 times powers of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _tick_words(ticks: Sequence[float]) -> Callable[[float], str]:
    """Return what writes ticks with as many digits as tell one from the next."""
    step = ticks[1] - ticks[0]
    largest = max(map(abs, ticks))
    if step > 1e-4 and largest < 1e7:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return lambda tick: f"{tick:.{decimals}f}"
    digits = min(16, max(1, math.ceil(math.log10(largest / step)) + 1))
    return lambda tick: f"{0.0 if abs(tick) < step / 2 else tick:.{digits}g}"
