"""Changed code for people: each piece once, with who uses it, and its lines side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from prefect_helix.core.comparison import CodeChange, CodeChanges
from prefect_helix.core.fingerprint import Component
from prefect_helix.views.differences import few

_HUNK = re.compile(r"@@ -(\d+),\d+ \+(\d+),\d+ @@")


@dataclass(frozen=True, slots=True)
class CodeWords:
    """What there is to say of changed code.

    Attributes:
        changed: What was and is there, each with a remark on who uses it; code first.
        told: What only came or went, and what cannot be told, in half sentences.
    """

    changed: tuple[tuple[CodeChange, str], ...]
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of two versions of a source.

    Attributes:
        kind: Whether both have it, or a part begins here whose place `old` tells.
        old_line: Its number in the old file; None if it is not there.
        old: The old line.
        new_line: Its number in the new file; None if it is not there.
        new: The new line.
    """

    kind: Literal["same", "changed", "hunk"]
    old_line: int | None
    old: str | None
    new_line: int | None
    new: str | None


def code_words(code: CodeChanges) -> CodeWords:
    """Return what changed in the code of tasks in words."""
    changed = tuple((each, _remark(each)) for each in code.found if each.change.before and each.change.after)
    return CodeWords(changed, tuple(_told(code)))


def side_by_side(diff: Iterable[str]) -> Iterator[Row]:
    """Yield the lines of a unified diff, what was removed beside what was added in its place."""
    old_line = new_line = 1
    removed: list[str] = []
    added: list[str] = []
    for line in (*diff, "@"):
        sign, content = line[:1], line[1:]
        if sign in "-+" and sign:
            (removed if sign == "-" else added).append(content)
            continue
        for was, now in zip_longest(removed, added):
            yield Row("changed", None if was is None else old_line, was, None if now is None else new_line, now)
            old_line += was is not None
            new_line += now is not None
        removed, added = [], []
        if found := _HUNK.fullmatch(line):
            old_line, new_line = int(found[1]), int(found[2])
            yield Row("hunk", None, line, None, None)
        elif sign == " ":
            yield Row("same", old_line, content, new_line, content)
            old_line, new_line = old_line + 1, new_line + 1


def _told(code: CodeChanges) -> Iterator[str]:
    for what, found in (
        ("now also uses", [each for each in code.found if each.change.before is None]),
        ("no longer uses", [each for each in code.found if each.change.after is None]),
    ):
        for users, places in _by_users(found).items():
            yield f"{users} {what} {few(places)}"
    if code.unnamed:
        yield f"the code of {few(code.unnamed)} is connected in another way, of the same parts"
    if code.unrecorded:
        yield f"the code of {few(code.unrecorded)} changed; what changed in it is not recorded"


def _remark(each: CodeChange) -> str:
    """Tell who uses a component and by way of what, unless it is the one task itself."""
    by_path: dict[tuple[str, ...], list[str]] = {}
    for task, path in each.users.items():
        if not _is_task(each, task):
            by_path.setdefault(path, []).append(task)
    users = [few(tasks) + (f" through {' → '.join(path)}" if path else "") for path, tasks in by_path.items()]
    return f"used by {'; by '.join(users)}" if users else ""


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
