"""How `why` and `diff` show changed code: each piece once, with its diff and who uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from prefect_helix.cli.output import visible
from prefect_helix.core.comparison import CodeChanges
from prefect_helix.views.code import code_words
from prefect_helix.views.units import and_more

SHOWN_COMPONENTS = 20
SHOWN_DIFF_LINES = 60

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class Line(NamedTuple):
    """A line, how far it is indented, and a mark that stands before it."""

    indent: int
    text: Text
    mark: str = ""


def print_lines(out: Console, lines: Iterable[Line]) -> None:
    """Print indented lines; what is too long for the terminal goes on below its beginning."""
    for line in lines:
        before = f"{line.mark:<{line.indent}}"
        for part in line.text.wrap(out, out.width - line.indent, overflow="fold"):
            part.rstrip()
            out.print(Text.assemble(before, part))
            before = " " * line.indent


def bullet(text: str, remark: str = "") -> Line:
    """Return a line of a list; the remark is less important than the text."""
    return Line(2, Text.assemble(visible(text), (visible(remark), "dim")), "•")


def code_lines(code: CodeChanges) -> Iterator[Line]:
    """Yield what changed, each with its diff; what only came or went is told by name at the end."""
    words = code_words(code)
    for each, users in words.changed[:SHOWN_COMPONENTS]:
        yield bullet(str(each.change), f", {users}" if users else "")
        yield from _diff_lines(each.change.diff)
    if more := and_more(len(words.changed) - SHOWN_COMPONENTS):
        yield bullet(f"{more}; --json has them all")
    yield from map(bullet, words.told)


def code_json(code: CodeChanges) -> list[dict[str, Any]]:
    """Return what changed in the code as JSON-ready data."""
    return [
        {
            "text": str(each.change),
            "kind": each.change.component.kind,
            "before": asdict(each.change.before) if each.change.before else None,
            "after": asdict(each.change.after) if each.change.after else None,
            "diff": list(each.change.diff),
            "used_by": {task: list(path) for task, path in each.users.items()},
        }
        for each in code.found
    ]


def _diff_lines(diff: Sequence[str]) -> Iterator[Line]:
    for line in diff[:SHOWN_DIFF_LINES]:
        yield Line(4, Text(visible(line), _DIFF_STYLES.get(line[:1], "")))
    if more := and_more(len(diff) - SHOWN_DIFF_LINES, "line"):
        yield Line(4, Text(f"{more}; --json has them all", "dim"))
