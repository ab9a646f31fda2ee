"""The picture of a run: its DAG as one self-contained SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.views.boxes import Box, Look, Mark, drawings
from prefect_helix.views.ink import FONT_PX, escaped, link, open_svg, paint, text, width_em, without_classes
from prefect_helix.views.layout import BOX_WIDTH, Layout, layout
from prefect_helix.views.steps import count_decisions, run_time_summary
from prefect_helix.views.units import format_count, shorten

MAX_SIZE_BYTES = 200_000
"""Size of a picture by itself; calls are folded until it is no larger than this."""

MAX_PAGE_BYTES = 1_000_000
"""Size of a picture in a page."""

_BOX_HEIGHT = 66
_MARGIN = 24
_TITLE_HEIGHT = 56
_LEGEND_HEIGHT = 56
_HEADER_WIDTH = 500
_TEXT_LEFT = 38
_TEXT_RIGHT = BOX_WIDTH - 11
_ROW_GAP_MIN, _ROW_GAP_MAX = 34, 76
_ARROW = 7
_WAIT_SHIFT = 26

_ICONS: dict[Look, str] = {
    "compute": "M-2.6-4.2L4.4 0L-2.6 4.2Z",
    "failed": "M-3.4-3.4L3.4 3.4M3.4-3.4L-3.4 3.4",
    "load": "M0-4.6V2M-3.2-1L0 2.2L3.2-1M-3.8 4.8H3.8",
    "prune": "M-3.8 0H3.8",
}
_MARKS: dict[Mark, str] = {
    "added": "M-3.8 0H3.8M0-3.8V3.8",
    "removed": "M-3.8 0H3.8",
    "changed": "M-3.8-1.9H3.8M-3.8 1.9H3.8M-1.9 4.6L1.9-4.6",
}

Href = Callable[[Box], str]
"""Gives where a click on a box leads."""


def dag_svg(lineage: Lineage, *, width: int = 960, headed: bool = True, href: Href | None = None) -> str:
    """Return the DAG of a run as an SVG document.

    Each step is a box with its decision (as colour, sign and word), its time (a bar below tells the share of it) and
    the size of its result. A solid arrow means that the value is taken, a dashed one that the step only waits. Calls
    of one task are folded into one box with their number where there are too many to read.

    Args:
        lineage: The run.
        width: Widest the picture may be, in px. Steps that lie side by side and find no room take several rows.
        headed: Whether the picture stands by itself, and says which run it is of.
        href: Where a click on a box leads.

    Returns:
        A document without scripts, fonts or style sheets; about 200 kB at most, in a page 1 MB.
    """
    traces = sorted(lineage.traces, key=lambda trace: trace.call)
    return _picture(traces, (), f"Plan of {_title(lineage)}", lineage if headed else None, width, href)


def difference_svg(
    traces: Sequence[Trace], marks: Sequence[Mark], *, title: str, width: int = 960, href: Href | None = None
) -> str:
    """Return the steps of two runs as one DAG in which what was added, removed and changed is marked.

    Args:
        traces: The steps, each after those it takes values from.
        marks: What became of each.
        title: What the picture shows, for those who cannot see it.
        width: Widest the picture may be, in px.
        href: Where a click on a box leads.
    """
    return _picture(traces, marks, title, None, width, href)


def _picture(
    traces: Sequence[Trace], marks: Sequence[Mark], title: str, headed: Lineage | None, width: int, href: Href | None
) -> str:
    picture = ""
    for boxes, edges in drawings(traces, marks):
        placed = layout(len(boxes), edges, width - 2 * _MARGIN)
        has_waits = any(segment.waits for segment in placed.segments)
        top = _TITLE_HEIGHT if headed else 0
        legend = [*_legend(traces, marks, top + 22, has_waits)]
        header = [*(_heading(headed) if headed else ()), *legend]
        picture = _document(boxes, placed, title, header, top + _LEGEND_HEIGHT, width, href, framed=headed is not None)
        if headed:
            picture = without_classes(picture)
        if len(picture.encode()) <= (MAX_SIZE_BYTES if headed else MAX_PAGE_BYTES):
            break
    return picture


def _document(
    boxes: Sequence[Box],
    placed: Layout,
    title: str,
    header: Sequence[str],
    header_height: int,
    width: int,
    href: Href | None,
    *,
    framed: bool,
) -> str:
    inner = max(placed.width, _HEADER_WIDTH)
    left = _MARGIN + (inner - placed.width) // 2
    tops = _row_tops(placed, header_height)
    full_width = inner + 2 * _MARGIN
    full_height = (tops[-1] + _BOX_HEIGHT if tops else header_height - _MARGIN) + _MARGIN
    frame = f'<rect x=".5" y=".5" width="{full_width - 1}" height="{full_height - 1}" rx="10" {paint("paper", "rim")}/>'
    return "\n".join(
        (
            open_svg(full_width, full_height, title, shown_width=width, has_links=href is not None),
            *([frame] if framed else ()),
            *header,
            *_edges(placed, left, tops),
            *(
                _box(box, left + x - BOX_WIDTH // 2, tops[row], href(box) if href else "")
                for box, x, row in zip(boxes, placed.x, placed.row, strict=False)
            ),
            "</svg>",
        )
    )


def _title(lineage: Lineage) -> str:
    run = lineage.run
    return shorten(f"{run.flow} / {run.name}" if run.name else run.flow, 120)


def _heading(lineage: Lineage) -> Iterator[str]:
    yield text(_title(lineage), _MARGIN, 38, "ink", font_px=15, room=_HEADER_WIDTH, bold=True)
    summary = [format_count(len(lineage.traces), "step"), run_time_summary(lineage.traces)]
    yield text(" · ".join(filter(None, summary)), _MARGIN, 57, "muted")


def _legend(traces: Sequence[Trace], marks: Sequence[Mark], y: int, has_waits: bool) -> Iterator[str]:
    failed = sum(trace.status == "failed" for trace in traces)
    x = _MARGIN + 8
    for decision, count in count_decisions(traces).items():
        label = f"{decision} {count}" + (f" ({failed} failed)" if failed and decision is Decision.COMPUTE else "")
        yield _icon(decision.value, x, y)
        yield text(label, x + 14, y + 4, "ink")
        x += 34 + round(width_em(label) * FONT_PX)
    for mark, count in Counter(mark for mark in marks if mark).items():
        yield _mark(mark, x, y)
        yield text(f"{mark} {count}", x + 14, y + 4, "ink")
        x += 34 + round(width_em(f"{mark} {count}") * FONT_PX)
    if has_waits:
        yield f'<path d="M{x - 6} {y}h22" {paint("", "wait")} stroke-width="1.4" stroke-dasharray="4 3"/>'
        yield text("waits for", x + 22, y + 4, "ink")


def _icon(look: Look, x: float, y: float) -> str:
    return _sign(x, y, f"{look}-line", _ICONS[look], filled=look == "compute")


def _mark(mark: Mark, x: float, y: float) -> str:
    return _sign(x, y, mark, _MARKS[mark], filled=False)


def _sign(x: float, y: float, tone: str, glyph: str, *, filled: bool) -> str:
    look = paint("glyph") if filled else f'{paint("none", "glyph")} stroke-width="1.8"'
    return f'<g transform="translate({x:g} {y:g})"><circle r="9" {paint(tone)}/><path d="{glyph}" {look}/></g>'


def _box(box: Box, x: int, y: int, href: str) -> str:
    """Return a box as a nested SVG, which clips what a font draws wider than expected."""
    tone = f"{box.look}-text"
    rim = paint(f"{box.look}-fill", box.mark or f"{box.look}-line")
    dashed = ' stroke-dasharray="6 3"' if box.mark == "removed" else ""
    room = _TEXT_RIGHT - _TEXT_LEFT - (18 if box.mark else 0)
    parts = [
        f'<svg x="{x}" y="{y}" width="{BOX_WIDTH}" height="{_BOX_HEIGHT}"><title>{escaped(box.tooltip)}</title>',
        f'<rect x=".75" y=".75" width="{BOX_WIDTH - 1.5}" height="{_BOX_HEIGHT - 1.5}" rx="7" {rim} '
        f'stroke-width="{2 if box.mark else 1.2}"{dashed}/>',
        _icon(box.look, 20, 20),
        text(box.name, _TEXT_LEFT, 24, "ink", font_px=13, room=room, bold=True),
        text(box.detail, _TEXT_LEFT, 41, tone),
    ]
    if box.size:
        parts.append(text(box.size, _TEXT_LEFT, 56, tone))
    if box.badge:
        parts.append(text(box.badge, _TEXT_RIGHT, 56, tone, anchor="end"))
    if box.mark:
        parts.append(_mark(box.mark, BOX_WIDTH - 16, 16))
    if box.share >= 0.005:
        bar = round(box.share * (BOX_WIDTH - 14), 1)
        parts.append(f'<rect x="7" y="{_BOX_HEIGHT - 4.5}" width="{bar:g}" height="3" {paint(f"{box.look}-line")}/>')
    return link(href, f"{f'{box.name} {box.badge}'.rstrip()}, {box.detail}", "".join((*parts, "</svg>")))


def _row_tops(placed: Layout, first: int) -> list[int]:
    """Return the top of each row; the wider the edges between two rows swing, the farther these are apart."""
    if not placed.row:
        return []
    widest = [0] * (max(placed.row) + 1)
    for segment in placed.segments:
        row = placed.row[segment.target]
        widest[row] = max(widest[row], abs(placed.x[segment.target] - placed.x[segment.source]))
    tops = [first]
    for swing in widest[1:]:
        tops.append(tops[-1] + _BOX_HEIGHT + min(_ROW_GAP_MAX, _ROW_GAP_MIN + swing // 12))
    return tops


def _edges(placed: Layout, left: int, tops: Sequence[int]) -> Iterator[str]:
    """Yield the lines and their arrow heads, one element for all of a kind."""
    for waits, look in ((False, paint("none", "line")), (True, f'{paint("none", "wait")} stroke-dasharray="4 3"')):
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
            yield f'<path d="{"".join(lines)}" stroke-width="1.4" {look}/>'
            yield f'<path d="{"".join(heads)}" {paint("wait" if waits else "line")}/>'


def _curve(x0: int, y0: int, x1: int, y1: int) -> str:
    if x0 == x1:
        return f"M{x0} {y0}V{y1}"
    middle = (y0 + y1) // 2
    return f"M{x0} {y0}C{x0} {middle} {x1} {middle} {x1} {y1}"
