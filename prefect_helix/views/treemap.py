"""A treemap: areas in proportion to sizes (squarified: Bruls, Huizing, van Wijk, VisSym 2000)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prefect_helix.views.ink import FONT_PX, TONES, link, number, open_svg, paint, text, tooltip
from prefect_helix.views.units import format_bytes, shorten

MAX_TILES = 200
"""Tiles that are drawn one by one; the smallest of more are one tile."""

_PALETTE = tuple(tone for tone in TONES if tone.startswith("tile-"))
_HEADING = 18
_GAP = 2
_PADDING = 6
_LEAST_WIDTH, _LEAST_HEIGHT = 34, 18


@dataclass(frozen=True, slots=True)
class Tile:
    """A thing that takes room.

    Attributes:
        group: What it is put together with; the groups have an area each.
        name: What it is called.
        size_bytes: The room it takes.
        tooltip: What else there is to say of it.
        href: Where a click leads; empty for nowhere.
    """

    group: str
    name: str
    size_bytes: int
    tooltip: str = ""
    href: str = ""


class Area(NamedTuple):
    """A rectangle in px."""

    x: float
    y: float
    width: float
    height: float


def treemap(tiles: Sequence[Tile], *, title: str, width: int = 960, height: int = 360) -> str:
    """Return tiles, those of a group in one area of one tone below the name of the group.

    Args:
        tiles: What takes room; what takes none is not drawn.
        title: What the picture shows, for those who cannot see it.
        width: Its width in px.
        height: Its height in px.
    """
    groups: dict[str, list[Tile]] = defaultdict(list)
    for tile in _fewer(sorted((tile for tile in tiles if tile.size_bytes > 0), key=_rank)):
        groups[tile.group].append(tile)
    sizes = {group: sum(tile.size_bytes for tile in members) for group, members in groups.items()}
    ordered = sorted(groups, key=lambda group: (-sizes[group], group))
    areas = squarified([sizes[group] for group in ordered], Area(0, 0, width, height))
    parts = [open_svg(width, height, title, has_links=any(tile.href for tile in tiles))]
    for at, (group, area) in enumerate(zip(ordered, areas, strict=True)):
        parts += _group(group, sizes[group], groups[group], _inset(area), _PALETTE[at % len(_PALETTE)])
    return "".join((*parts, "</svg>"))


def squarified(sizes: Sequence[float], area: Area) -> list[Area]:
    """Return for each size, the largest first, its part of `area`, as near to a square as that goes.

    Complexity: O(sizes).
    """
    found: list[Area] = []
    left, at = float(sum(sizes)), 0
    while at < len(sizes):
        side = max(min(area.width, area.height), 1e-9)
        scale = area.width * area.height / left if left else 0.0
        end, filled = at, 0.0
        worst = float("inf")
        while end < len(sizes):
            filled_too = filled + sizes[end] * scale
            # areas in proportion to the sizes are in one strip along the shorter side; the extremes are at its ends
            ratios = [_ratio(sizes[i] * scale, filled_too, side) for i in (at, end)]
            if max(ratios) > worst:
                break
            worst, filled, end = max(ratios), filled_too, end + 1
        thick = filled / side
        along = 0.0
        for size in sizes[at:end]:
            length = size * scale / thick if thick else 0.0
            if area.width >= area.height:
                found.append(Area(area.x, area.y + along, thick, length))
            else:
                found.append(Area(area.x + along, area.y, length, thick))
            along += length
        left -= sum(sizes[at:end])
        at = end
        if area.width >= area.height:
            area = Area(area.x + thick, area.y, max(0.0, area.width - thick), area.height)
        else:
            area = Area(area.x, area.y + thick, area.width, max(0.0, area.height - thick))
    return found


def _ratio(own: float, strip: float, side: float) -> float:
    """Return how far from a square a tile of a strip along a side is."""
    if own <= 0 or strip <= 0:
        return float("inf")
    thick = strip / side
    return max(own / thick / thick, thick * thick / own)


def _rank(tile: Tile) -> tuple[int, str, str]:
    return -tile.size_bytes, tile.group, tile.name


def _fewer(tiles: Sequence[Tile]) -> Iterator[Tile]:
    yield from tiles[:MAX_TILES]
    rest = tiles[MAX_TILES:]
    if rest:
        yield Tile(f"{len(rest)} smaller ones", "", sum(tile.size_bytes for tile in rest))


def _group(name: str, size_bytes: int, tiles: Sequence[Tile], area: Area, tone: str) -> Iterator[str]:
    x, y, width, height = area
    has_heading = height > _HEADING + _LEAST_HEIGHT and width > 2 * _LEAST_WIDTH
    if has_heading:
        label = f"{shorten(name, 80)} · {format_bytes(size_bytes)}"
        yield text(label, x + 2, y + 13, "ink", room=width - 4, bold=True)
        y, height = y + _HEADING, height - _HEADING
    areas = squarified([tile.size_bytes for tile in tiles], Area(x, y, width, height))
    for tile, place in zip(tiles, areas, strict=True):
        yield _tile(tile, _inset(place), tone)


def _tile(tile: Tile, area: Area, tone: str) -> str:
    x, y, width, height = area
    size = format_bytes(tile.size_bytes)
    box = (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" rx="3" '
        f"{paint(tone, 'rim')}/>"
    )
    words = [tooltip([f"{tile.group} · {tile.name}".strip(" ·"), size, tile.tooltip]), box]
    room = width - 2 * _PADDING
    if width >= _LEAST_WIDTH and height >= _LEAST_HEIGHT:
        words.append(text(shorten(tile.name, 80), x + _PADDING, y + 14, "ink", room=room))
        if height >= 2 * _LEAST_HEIGHT - 2:
            words.append(text(size, x + _PADDING, y + 14 + FONT_PX + 4, "muted", room=room))
    return link(tile.href, f"{tile.group} {tile.name}".strip(), f"<g>{''.join(words)}</g>", by_keyboard=False)


def _inset(area: Area) -> Area:
    gap = _GAP / 2
    return Area(area.x + gap, area.y + gap, max(0.5, area.width - _GAP), max(0.5, area.height - _GAP))
