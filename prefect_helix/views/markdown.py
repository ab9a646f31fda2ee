"""Markdown as the Prefect UI shows it: tables, pictures, and text that stays as it is."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence

from prefect_helix.views.units import shorten


def table(header: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column whose name starts with ">" is aligned to the right."""
    columns = header.split(" | ")
    rule = ["---:" if column.startswith(">") else "---" for column in columns]
    lines = [[column.lstrip(">") for column in columns], rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(svg: str, what: str) -> str:
    """Return a picture that is part of the page: Prefect draws no SVG but as the source of an image."""
    return f"![{what}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')})"


def link(text: str, url: str) -> str:
    """Return text, which is markdown, as a link; as it is where there is no URL."""
    return f"[{text}](<{url}>)" if url else text


def unbroken(amount: str) -> str:
    """Return an amount that stays on one line where columns are narrow."""
    return amount.replace(" ", "\u00a0")


def bullets(lines: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {line}" for line in lines)


def verbatim(text: str, limit: int) -> str:
    """Return `text` on one line, so that markdown shows it as it is, within a table too."""
    line = shorten(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
