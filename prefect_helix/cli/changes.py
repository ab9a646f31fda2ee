"""How `why` and `diff` show changed code: each piece once, with its diff and who uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from prefect_helix.cli.output import visible
from prefect_helix.core.comparison import CodeChange, CodeChanges
from prefect_helix.core.fingerprint import Component

SHOWN_COMPONENTS = 20
SHOWN_DIFF_LINES = 60
SHOWN_NAMES = 6

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
    changed = [each for each in code.found if each.change.before and each.change.after]
    for each in changed[:SHOWN_COMPONENTS]:
        yield bullet(str(each.change), _remark(each))
        yield from _diff_lines(each.change.diff)
    if len(changed) > SHOWN_COMPONENTS:
        yield bullet(f"and {len(changed) - SHOWN_COMPONENTS} more; --json has them all")
    for what, found in (
        ("now also uses", [each for each in code.found if each.change.before is None]),
        ("no longer uses", [each for each in code.found if each.change.after is None]),
    ):
        for users, places in _by_users(found).items():
            yield bullet(f"{users} {what} {few(places)}")
    if code.unnamed:
        yield bullet(f"the code of {few(code.unnamed)} is connected in another way, of the same parts")
    if code.unrecorded:
        yield bullet(f"the code of {few(code.unrecorded)} changed; what changed in it is not recorded")


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


def few(names: Sequence[str]) -> str:
    """Return "a, b and c", with at most some of them by name."""
    shown = list(names[:SHOWN_NAMES])
    if len(names) > SHOWN_NAMES:
        shown.append(f"{len(names) - SHOWN_NAMES} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def _remark(each: CodeChange) -> str:
    """Tell who uses a component and by way of what, unless it is the one task itself."""
    by_path: dict[tuple[str, ...], list[str]] = {}
    for task, path in each.users.items():
        if not _is_task(each, task):
            by_path.setdefault(path, []).append(task)
    users = [few(tasks) + (f" through {' → '.join(path)}" if path else "") for path, tasks in by_path.items()]
    return f", used by {'; by '.join(users)}" if users else ""


def _is_task(each: CodeChange, task: str) -> bool:
    component = each.change.component
    return not component.via and component.kind == "function" and component.name.rpartition(".")[2] == task


def _is_made_by_python(component: Component) -> bool:
    """Return whether a component is none of the source's: methods and fields of a dataclass, annotations."""
    generated = component.file is not None and component.file.startswith("<string")
    return generated or (component.kind == "constant" and ".__" in component.name)


def _by_users(found: Iterable[CodeChange]) -> Mapping[str, list[str]]:
    by_users: dict[str, list[str]] = {}
    for each in found:
        if not _is_made_by_python(each.change.component):
            by_users.setdefault(few(tuple(each.users)), []).append(each.change.place)
    return by_users


def _diff_lines(diff: Sequence[str]) -> Iterator[Line]:
    for line in diff[:SHOWN_DIFF_LINES]:
        yield Line(4, Text(visible(line), _DIFF_STYLES.get(line[:1], "")))
    if len(diff) > SHOWN_DIFF_LINES:
        yield Line(4, Text(f"and {len(diff) - SHOWN_DIFF_LINES} more lines; --json has them all", "dim"))
