"""The format of the cases: small diffs of projects, and what has to happen to their tasks.

A table is text. Each row starts with ``== outcome: name``; then follow the lines of ``steps.py``, the module of the
task, and those of further files, each after its ``@ file``. A line starts with a space (in both versions), ``-``
(before the edit) or ``+`` (after it); a line ``! words`` says that a warning has to say these words.

    == computes: a helper in another module
     from .tools import h
     def task(): return h()
    @ tools.py
    -def h(): return 1
    +def h(): return 2

The flow calls ``call()`` where ``steps.py`` has one, else ``task()``. A ``def task`` without a decorator is decorated
with ``@helix_task``. ``CASE`` stands for a name of the case's own, that of its package; the task, too, is given a name
of its own, since two tasks with the same code are one. A file ``.env`` holds environment variables, a file ``.c`` is
built, and one whose path starts with ``/`` lies beside the packages of all cases.

Outcomes: the edit ``computes`` the task or ``keeps`` its result; a task that runs ``always`` also does so without an
edit. Words in parentheses give a reason why more is computed than is needed (``computes (policy: ...)``), or why the
result is another than that of a run from scratch (``keeps (stale: ...)``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

Files = Mapping[str, str]
Outcome = Literal["computes", "keeps", "always"]
Layout = Literal["package", "zip", "bytecode", "script", "cell", "console", "exec"]

STEPS = "steps.py"

_TITLE = re.compile(r"(?P<outcome>computes|keeps|always)(?: \((?P<kind>policy|stale): (?P<reason>.+)\))?: (?P<name>.+)")
_TASK = re.compile(r"(?<![.\w'\"])task(?=[ (\n])")
_OWN = re.compile(r"(?<![A-Za-z])CASE")
_BARE_TASK = re.compile(r"^def task", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One edit of a small project.

    Attributes:
        name: What is edited.
        outcome: What has to happen to the task.
        before: Files before the edit, by path.
        after: Files after it.
        layout: Where the code lives: in a package, a zip file, bytecode without source, the script itself, a notebook
            cell, a cell of a console, or a string that is executed.
        warning: Words that a warning has to say.
        policy: Why the task is computed although its result is the same.
        stale: Why its result is not that of a run from scratch.
    """

    name: str
    outcome: Outcome
    before: Files
    after: Files
    layout: Layout = "package"
    warning: str = ""
    policy: str = ""
    stale: str = ""

    @property
    def slug(self) -> str:
        """The name as an identifier."""
        return re.sub(r"\W+", "_", self.name.lower()).strip("_")

    def text(self, text: str) -> str:
        """Return `text` with names of the case's own."""
        return _OWN.sub(self.slug, _TASK.sub(f"task_{self.slug}", text))

    def placed(self, layout: Layout, where: str) -> Case:
        """Return the same edit of code that lives elsewhere."""
        return replace(self, layout=layout, name=f"{self.name}, {where}")


def parse(table: str, *, file: str = STEPS) -> list[Case]:
    """Read the rows of `table`, which begin with the lines of `file`."""
    return [_row(block.split("\n"), file) for block in table.split("\n== ")[1:]]


def _row(lines: Iterable[str], file: str) -> Case:
    title, *rest = lines
    matched = _TITLE.fullmatch(title)
    assert matched, f"no outcome and name: {title}"
    files: dict[str, list[str]] = {file: []}
    warning = ""
    for line in rest:
        if line.startswith("@ "):
            file = line[2:]
            files[file] = []
        elif line.startswith("! "):
            warning = line[2:]
        elif not line.startswith("-- "):
            assert line[:1] in ("", " ", "+", "-"), f"{title}: no sign in {line!r}"
            files[file].append(line or " ")
    return Case(
        name=matched["name"],
        outcome=cast(Outcome, matched["outcome"]),
        before=_version(files, "-"),
        after=_version(files, "+"),
        warning=warning,
        **({matched["kind"]: matched["reason"]} if matched["kind"] else {}),
    )


def _version(files: Mapping[str, list[str]], sign: str) -> Files:
    """Return the files as they are in one version; one that has lines, but none in this version, is not there."""
    versions = {path: [line[1:] for line in lines if line[0] in (" ", sign)] for path, lines in files.items()}
    texts = {path: "".join(f"{line}\n" for line in lines) for path, lines in versions.items()}
    there = {path: text for path, text in texts.items() if text or not files[path]}
    return {path: _decorated(text) if path == STEPS else text for path, text in there.items()}


def _decorated(text: str) -> str:
    if "helix_task" not in text:
        text = _BARE_TASK.sub("@helix_task\ndef task", text)
    return f"from prefect_helix import File, helix_task\n{text}"
