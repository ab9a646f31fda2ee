"""Templates: every value is escaped, and nothing in it can hide or turn around what stands beside it."""

from __future__ import annotations

import re
from typing import Any

import jinja2

from prefect_helix.views.units import format_bytes, format_count, format_us, iso, moment, shorten

_LONGEST_TEXT = 400_000
_MARK = "\N{REPLACEMENT CHARACTER}"
_RANGES = (
    (0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x034F, 0x034F), (0x061C, 0x061C),
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200B), (0x200E, 0x200F), (0x2028, 0x202E),
    (0x2060, 0x206F), (0x3164, 0x3164), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_HIDING = {code: _MARK for first, last in _RANGES for code in range(first, last + 1)}
"""Characters that are not seen, or change the direction of text, so that code does not read as what it is."""

_JOINING = re.compile(r"(?<![^\x00-\x7f])[\u200c\u200d\ufe00-\ufe0f]")
"""Characters that shape the one before them, as Persian and emoji need it; after an ASCII one they only hide."""


def environment() -> jinja2.Environment:
    """Return what renders the templates of this package."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("prefect_helix.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        duration=format_us,
        size=format_bytes,
        moment=moment,
        iso=iso,
        short=lambda value, limit: shorten(str(value), limit),
        cut=cut,
        count=format_count,
        figure=figure,
        sentence=sentence,
    )
    for name in made.list_templates():
        made.get_template(name)  # compiled before somebody waits for it
    return made


def figure(value: float | None) -> str:
    """Return a metric as people read it; empty where there is none."""
    return "" if value is None else f"{value:.6g}"


def cut(text: str, limit: int) -> str:
    """Return the beginning of a text that is too long, with its lines."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def sentence(words: str) -> str:
    """Return words as a sentence."""
    words = words.strip()
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) or not words else '.'}"


def _visible(value: Any) -> Any:
    """Return a value as it is shown; markup of our own is let through."""
    if value is None:
        return ""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        value = cut(value, _LONGEST_TEXT)
        return value if value.isascii() and value.isprintable() else _JOINING.sub(_MARK, value.translate(_HIDING))
    return value
