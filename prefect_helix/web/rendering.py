"""Templates: every value is escaped, and nothing in it can hide or turn around what stands beside it."""

from __future__ import annotations

from typing import Any

import jinja2

from prefect_helix.views.units import format_bytes, format_count, format_us, iso, moment, shorten

_LONGEST_TEXT = 400_000
_MARK = "\N{REPLACEMENT CHARACTER}"
_HIDING = {
    code: _MARK
    for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n\r"
}
"""Control characters, and those that change the direction of text, so that code does not read as what it is."""


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
        return value if value.isascii() and value.isprintable() else value.translate(_HIDING)
    return value
