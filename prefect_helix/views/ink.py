"""What pictures are drawn with: tones that a page may change, and text that keeps to its room.

A picture is complete in itself: each tone is an attribute. It is a class too, which the style sheet of a page that
holds the picture may give another colour, as for dark screens.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from html import escape

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
FONT_PX = 11.5

_TIGHTEST = 0.86

TONES: Mapping[str, str] = {
    "ink": "#1f2430",
    "muted": "#525a68",
    "paper": "#fcfcfa",
    "rim": "#d9dad5",
    "line": "#868e9a",
    "wait": "#6f7785",
    "glyph": "#ffffff",
    "series": "#2f66b8",
    "compute-fill": "#fdf0e1",
    "compute-line": "#c2601a",
    "compute-text": "#8a3d08",
    "failed-fill": "#fdeaea",
    "failed-line": "#c0353a",
    "failed-text": "#96191f",
    "load-fill": "#e8f0fc",
    "load-line": "#3a70c4",
    "load-text": "#1d4b91",
    "prune-fill": "#f0f1f2",
    "prune-line": "#7d8490",
    "prune-text": "#525a68",
    "added": "#1f7a4d",
    "removed": "#c0353a",
    "changed": "#8a4bbf",
    "tile-1": "#dce8f8",
    "tile-2": "#f9e4cd",
    "tile-3": "#d8efdf",
    "tile-4": "#ecdff5",
    "tile-5": "#f8dde4",
    "tile-6": "#e7e8c9",
}
"""The colour of each tone on a light page."""


def paint(fill: str = "", stroke: str = "") -> str:
    """Return the attributes that give an element these tones; "none" for a part that is not painted."""
    tones = {"fill": fill, "stroke": stroke}
    classes = " ".join(f"{part}-{tone}" for part, tone in tones.items() if tone in TONES)
    colours = [f'{part}="{TONES.get(tone, tone)}"' for part, tone in tones.items() if tone]
    return " ".join([*([f'class="{classes}"'] if classes else []), *colours])


def without_classes(picture: str) -> str:
    """Return a picture that no page will give other colours; no text in it has quotes that are not escaped."""
    return re.sub(r' class="[^"]*"', "", picture)


def open_svg(
    width: float, height: float, title: str, *, shown_width: float | None = None, has_links: bool = False
) -> str:
    """Return the tag that begins a picture, which is drawn smaller if it is shown less wide than it is."""
    scale = min(1.0, (shown_width or width) / width)
    role = "group" if has_links else "img"  # an image is one thing to those who cannot see it
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * scale:.0f}" height="{height * scale:.0f}" '
        f'viewBox="0 0 {number(width)} {number(height)}" role="{role}" aria-label="{escaped(title)}" '
        f'font-family="{FONT}" font-size="{FONT_PX}">'
    )


def on_paper(picture: str) -> str:
    """Return a picture that is read on a page of any colour: nothing is known of what will be behind it."""
    tag, rest = picture.split(">", 1)
    return f'{tag}><rect width="100%" height="100%" rx="8" {paint("paper")}/>{rest}'


def link(href: str, label: str, content: str, *, by_keyboard: bool = True) -> str:
    """Return `content` as a link; as it is where `href` is empty.

    Args:
        href: Where it leads.
        label: What it is called.
        content: What it is around.
        by_keyboard: Whether the tabulator key stops there. It need not where a table beside the picture has the same.
    """
    stop = "" if by_keyboard else ' tabindex="-1"'
    return f'<a href="{escaped(href)}" aria-label="{escaped(label)}"{stop}>{content}</a>' if href else content


def tooltip(lines: Iterable[str]) -> str:
    """Return what is shown of an element when one points at it."""
    return f"<title>{escaped(chr(10).join(filter(None, lines)))}</title>"


def text(
    content: str,
    x: float,
    y: float,
    tone: str,
    *,
    font_px: float = FONT_PX,
    room: float = math.inf,
    bold: bool = False,
    anchor: str = "",
) -> str:
    """Return a text element; what is wider than `room` px is set tighter, then cut with an ellipsis."""
    scale = font_px * (1.1 if bold else 1.0)
    squeeze = ""
    if width_em(content) * scale > room:
        if width_em(content) * scale > room / _TIGHTEST:
            while content and width_em(f"{content}…") * scale > room / _TIGHTEST:
                content = content[:-1]
            content += "…"
        squeeze = f' textLength="{number(room)}" lengthAdjust="spacingAndGlyphs"'
    font = (f' font-size="{font_px:g}"' if font_px != FONT_PX else "") + (' font-weight="600"' if bold else "")
    placed = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{number(x)}" y="{number(y)}"{font}{placed} {paint(tone)}{squeeze}>{escaped(content)}</text>'


def escaped(content: str) -> str:
    """Return text as XML has it; what no XML may hold is left out."""
    if not content.isprintable():
        content = "".join(c for c in content if c in "\t\n" or c.isprintable())
    return escape(content)


def number(value: float) -> str:
    """Return a coordinate in as few characters as tell it to a hundredth of a px."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def width_em(content: str) -> float:
    """Return about how many times its font size a text is wide in the widest of the common sans-serif fonts."""
    return sum(map(_character_em, content))


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
