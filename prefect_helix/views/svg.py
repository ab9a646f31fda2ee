"""The picture of a run: its DAG as one self-contained SVG."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage
from prefect_helix.views.boxes import Box, Look, drawings
from prefect_helix.views.layout import BOX_WIDTH, Layout, layout
from prefect_helix.views.steps import count_decisions, run_time_summary
from prefect_helix.views.units import format_count, shorten

MAX_SIZE_BYTES = 200_000
"""Size of a picture; calls are folded until it is no larger than this."""

_BOX_HEIGHT = 66
_MARGIN = 24
_HEADER_HEIGHT = 112
_HEADER_WIDTH = 500
_FONT_PX = 11.5
_TIGHTEST = 0.86
_TEXT_LEFT = 38
_TEXT_RIGHT = BOX_WIDTH - 11
_ROW_GAP_MIN, _ROW_GAP_MAX = 34, 76
_ARROW = 7
_WAIT_SHIFT = 26

_INK, _MUTED = "#1f2430", "#525a68"
_PAPER, _RIM, _LINE, _WAIT_LINE = "#fcfcfa", "#d9dad5", "#868e9a", "#6f7785"


@dataclass(frozen=True, slots=True)
class _Style:
    fill: str
    line: str
    text: str
    icon: str


_STYLES: dict[Look, _Style] = {
    "compute": _Style("#fdf0e1", "#c2601a", "#8a3d08", "M-2.6-4.2L4.4 0L-2.6 4.2Z"),
    "failed": _Style("#fdeaea", "#c0353a", "#96191f", "M-3.4-3.4L3.4 3.4M3.4-3.4L-3.4 3.4"),
    "load": _Style("#e8f0fc", "#3a70c4", "#1d4b91", "M0-4.6V2M-3.2-1L0 2.2L3.2-1M-3.8 4.8H3.8"),
    "prune": _Style("#f0f1f2", "#7d8490", "#525a68", "M-3.8 0H3.8"),
}


def dag_svg(lineage: Lineage, *, width: int = 960) -> str:
    """Return the DAG of a run as an SVG document.

    Each step is a box with its decision (as colour, sign and word), its time and the size of its result. A solid
    arrow means that the value is taken, a dashed one that the step only waits. Calls of one task are folded into
    one box with their number where there are too many to read.

    Args:
        lineage: The run.
        width: Widest the picture may be, in px. Steps that lie side by side and find no room take several rows.

    Returns:
        A document without scripts, links, fonts or style sheets; about 200 kB at most.
    """
    traces = sorted(lineage.traces, key=lambda trace: trace.call)
    text = ""
    for boxes, edges in drawings(traces):
        placed = layout(len(boxes), edges, width - 2 * _MARGIN)
        text = _document(lineage, boxes, placed, width)
        if len(text.encode()) <= MAX_SIZE_BYTES:
            break
    return text


def _document(lineage: Lineage, boxes: Sequence[Box], placed: Layout, width: int) -> str:
    inner = max(placed.width, _HEADER_WIDTH)
    left = _MARGIN + (inner - placed.width) // 2
    tops = _row_tops(placed)
    full_width = inner + 2 * _MARGIN
    full_height = (tops[-1] + _BOX_HEIGHT if tops else _HEADER_HEIGHT - _MARGIN) + _MARGIN
    scale = min(1.0, width / full_width)
    title = escape(f"Plan of {_title(lineage)}")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{full_width * scale:.0f}" '
            f'height="{full_height * scale:.0f}" viewBox="0 0 {full_width} {full_height}" role="img" '
            f'aria-label="{title}" font-family="system-ui, -apple-system, \'Segoe UI\', Roboto, sans-serif" '
            f'font-size="{_FONT_PX}">',
            f'<rect x=".5" y=".5" width="{full_width - 1}" height="{full_height - 1}" rx="10" fill="{_PAPER}" '
            f'stroke="{_RIM}"/>',
            *_header(lineage, any(segment.waits for segment in placed.segments)),
            *_edges(placed, left, tops),
            *(
                _box(box, left + x - BOX_WIDTH // 2, tops[row])
                for box, x, row in zip(boxes, placed.x, placed.row, strict=False)
            ),
            "</svg>",
        )
    )


def _title(lineage: Lineage) -> str:
    run = lineage.run
    return shorten(f"{run.flow} / {run.name}" if run.name else run.flow, 120)


def _header(lineage: Lineage, has_waits: bool) -> Iterator[str]:
    yield _text(_title(lineage), _MARGIN, 38, _INK, font_px=15, room=_HEADER_WIDTH, bold=True)
    summary = [format_count(len(lineage.traces), "step"), run_time_summary(lineage.traces)]
    yield _text(" · ".join(filter(None, summary)), _MARGIN, 57, _MUTED)
    failed = sum(trace.status == "failed" for trace in lineage.traces)
    x = _MARGIN + 8
    for decision, count in count_decisions(lineage.traces).items():
        label = f"{decision} {count}" + (f" ({failed} failed)" if failed and decision is Decision.COMPUTE else "")
        yield _icon(decision.value, x, 78)
        yield _text(label, x + 14, 82, _INK)
        x += 34 + round(_width_em(label) * _FONT_PX)
    if has_waits:
        yield f'<path d="M{x - 6} 78h22" stroke="{_WAIT_LINE}" stroke-width="1.4" stroke-dasharray="4 3"/>'
        yield _text("waits for", x + 22, 82, _INK)


def _icon(look: Look, x: float, y: float) -> str:
    style = _STYLES[look]
    glyph = 'fill="#fff"' if look == "compute" else 'fill="none" stroke="#fff" stroke-width="1.8"'
    return (
        f'<g transform="translate({x:g} {y:g})"><circle r="9" fill="{style.line}"/><path d="{style.icon}" {glyph}/></g>'
    )


def _box(box: Box, x: int, y: int) -> str:
    """Return a box as a nested SVG, which clips what a font draws wider than expected."""
    style = _STYLES[box.look]
    parts = [
        f'<svg x="{x}" y="{y}" width="{BOX_WIDTH}" height="{_BOX_HEIGHT}"><title>{escape(box.tooltip)}</title>',
        f'<rect x=".75" y=".75" width="{BOX_WIDTH - 1.5}" height="{_BOX_HEIGHT - 1.5}" rx="7" fill="{style.fill}" '
        f'stroke="{style.line}" stroke-width="1.2"/>',
        _icon(box.look, 20, 20),
        _text(box.name, _TEXT_LEFT, 24, _INK, font_px=13, room=_TEXT_RIGHT - _TEXT_LEFT, bold=True),
        _text(box.detail, _TEXT_LEFT, 41, style.text),
    ]
    if box.size:
        parts.append(_text(box.size, _TEXT_LEFT, 56, style.text))
    if box.badge:
        parts.append(f'<text x="{_TEXT_RIGHT}" y="56" text-anchor="end" fill="{style.text}">{box.badge}</text>')
    return "".join((*parts, "</svg>"))


def _row_tops(placed: Layout) -> list[int]:
    """Return the top of each row; the wider the edges between two rows swing, the farther these are apart."""
    if not placed.row:
        return []
    widest = [0] * (max(placed.row) + 1)
    for segment in placed.segments:
        row = placed.row[segment.target]
        widest[row] = max(widest[row], abs(placed.x[segment.target] - placed.x[segment.source]))
    tops = [_HEADER_HEIGHT]
    for swing in widest[1:]:
        tops.append(tops[-1] + _BOX_HEIGHT + min(_ROW_GAP_MAX, _ROW_GAP_MIN + swing // 12))
    return tops


def _edges(placed: Layout, left: int, tops: Sequence[int]) -> Iterator[str]:
    """Yield the lines and their arrow heads, one element for all of a kind."""
    for waits, look in ((False, f'stroke="{_LINE}"'), (True, f'stroke="{_WAIT_LINE}" stroke-dasharray="4 3"')):
        lines: dict[str, None] = {}
        heads: dict[str, None] = {}
        for segment in placed.segments:
            if segment.waits is waits:
                (x0, y0), (x1, y1) = (
                    (left + placed.x[v] + (_WAIT_SHIFT if waits and v < placed.boxes else 0), tops[placed.row[v]])
                    for v in (segment.source, segment.target)
                )
                if segment.source >= placed.boxes:
                    lines[f"M{x0} {y0}v{_BOX_HEIGHT}"] = None
                if segment.target < placed.boxes:
                    heads[f"M{x1} {y1}l-4-{_ARROW}h8z"] = None
                    y1 -= _ARROW
                lines[_curve(x0, y0 + _BOX_HEIGHT, x1, y1)] = None
        if lines:
            yield f'<path d="{"".join(lines)}" fill="none" stroke-width="1.4" {look}/>'
            yield f'<path d="{"".join(heads)}" fill="{_WAIT_LINE if waits else _LINE}"/>'


def _curve(x0: int, y0: int, x1: int, y1: int) -> str:
    if x0 == x1:
        return f"M{x0} {y0}V{y1}"
    middle = (y0 + y1) // 2
    return f"M{x0} {y0}C{x0} {middle} {x1} {middle} {x1} {y1}"


def _text(
    text: str, x: int, y: int, fill: str, *, font_px: float = _FONT_PX, room: float = math.inf, bold: bool = False
) -> str:
    """Return a text element; what is wider than `room` px is set tighter, then cut with an ellipsis."""
    scale = font_px * (1.1 if bold else 1.0)
    squeeze = ""
    if _width_em(text) * scale > room:
        if _width_em(text) * scale > room / _TIGHTEST:
            while _width_em(f"{text}…") * scale > room / _TIGHTEST:
                text = text[:-1]
            text += "…"
        squeeze = f' textLength="{room:g}" lengthAdjust="spacingAndGlyphs"'
    font = (f' font-size="{font_px:g}"' if font_px != _FONT_PX else "") + (' font-weight="600"' if bold else "")
    return f'<text x="{x}" y="{y}"{font} fill="{fill}"{squeeze}>{escape(text)}</text>'


def _width_em(text: str) -> float:
    """Return about how many times its font size `text` is wide in the widest of the common sans-serif fonts."""
    return sum(map(_character_em, text))


def _character_em(character: str) -> float:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if character in "iljtfrI.,:;'|!()[] ":
        return 0.4
    if character in "mwMW@%…":
        return 1.0
    return 0.62 if character.isascii() and not character.isupper() else 0.72
