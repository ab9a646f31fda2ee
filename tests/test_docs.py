"""What README and docs say is run: their Python, their commands, their links."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"```(\w*)")
_COMMENT = re.compile(r"<!--(.*?)-->")
_RULE = re.compile(r"\|(?:-+:?\|)+")
_LINK = re.compile(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)")
_TEST_FILE = re.compile(r"`(tests/[^`:]*)`")
_COMMAND = re.compile(r"(make|prefect-helix) (\w+)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, *languages: str | None) -> list[str]:
    """Return the lines of `page`, those outside of code blocks in these languages empty; None is what is no code."""
    lines, language = [], None
    for line in page.read_text().splitlines():
        fence = _FENCE.match(line)
        if fence:
            language = fence[1] if language is None else None
        lines.append(line if language in languages and not fence else "")
    return lines


PAGES_WITH_PYTHON = [page for page in PAGES if any(blocks(page, "python"))]


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is one program; a block relies on those above it. The page's line numbers are those of tracebacks."""
    (tmp_path / "sales.csv").write_text("price,sold\n" + "".join(f"{i},{100 - i}\n" for i in range(1, 50)) + "50,\n")
    script = tmp_path / f"{page.stem.replace('-', '_').lower()}_page.py"
    script.write_text("\n".join(blocks(page, "python")))
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, script.name],
        env={**os.environ, "PREFECT_API_URL": prefect_server, "PREFECT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@each_page
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target, _ in _LINK.findall(page.read_text()) if target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def anchors(page: Path) -> set[str]:
    """Return what GitHub calls the headings of `page` in links."""
    headings = (line.partition(" ")[2] for line in blocks(page, None) if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_to_headings(page: Path) -> None:
    links = _LINK.findall(page.read_text())
    named = [(page.parent / target if target else page, anchor[1:]) for target, anchor in links if anchor]
    assert [f"{path.name}#{anchor}" for path, anchor in named if anchor not in anchors(path)] == []


def test_headings_are_called_as_github_calls_them() -> None:
    called = anchors(ROOT / "docs" / "escape-hatches.md")
    names = ("escape-hatches", "depends_on-more-counts-as-code", "deterministicfalse-computed-whenever-it-is-needed")
    assert called.issuperset(names)


# -- what changes when a task is switched, and what is promised: each row names, in a comment, the tests that show it --

TESTED = [ROOT / "docs" / name for name in ("promises.md", "switching.md")]
COMPATIBILITY = ROOT / "tests" / "compatibility"


def rows(page: Path) -> list[str]:
    """Return the rows of the tables of `page`, those of their headers left out."""
    lines = page.read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if _RULE.fullmatch(line)]
    headers = {number - 1 for number in rules} | set(rules)
    return [line for number, line in enumerate(lines) if line.startswith("|") and number not in headers]


def evidence_of(row: str) -> list[str]:
    """Return what the comments of a row name: "group: feature" of the compatibility suite, or "file::test"."""
    return [name.strip() for comment in _COMMENT.findall(row) for name in comment.split(";")]


def known_tests() -> set[str]:
    """Return the names of all features of the compatibility suite, and of all tests."""
    known = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                known.add(f"{path.relative_to(ROOT)}::{node.name}")
            elif path.parent == COMPATIBILITY and isinstance(node, ast.Call) and ast.unparse(node.func) == "Feature":
                known.add(f"{path.stem.removeprefix('features_')}: {ast.literal_eval(node.args[0])}")
    return known


@pytest.mark.parametrize("page", TESTED, ids=lambda page: page.name)
def test_every_row_has_tests_that_exist(page: Path) -> None:
    known = known_tests()

    assert [row for row in rows(page) if not evidence_of(row)] == []
    assert [name for row in rows(page) for name in evidence_of(row) if name not in known] == []


@each_page
def test_tests_that_are_named_exist(page: Path) -> None:
    named = _TEST_FILE.findall(page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_group_of_features_is_played() -> None:
    groups = {path.stem.removeprefix("features_") for path in COMPATIBILITY.glob("features_*.py")}
    played = re.findall(
        r'^    "(\w+)": features_\1,$', (COMPATIBILITY / "test_compatibility.py").read_text(), re.MULTILINE
    )
    assert groups == set(played)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("| calls | runs | the same |", []),
        (
            "| calls | runs | the same <!-- calls: a call; tests/a.py::test_b --> |",
            ["calls: a call", "tests/a.py::test_b"],
        ),
    ],
)
def test_the_tests_of_a_row_are_found(row: str, found: list[str]) -> None:
    assert evidence_of(row) == found


@each_page
def test_commands_exist(page: Path) -> None:
    text = "\n".join(blocks(page, "sh")) + "\n".join(re.findall(r"`([^`\n]+)`", page.read_text()))
    makefile = (ROOT / "Makefile").read_text()
    for program, word in set(_COMMAND.findall(text)):
        if program == "make":
            assert re.search(rf"^{word}:", makefile, re.MULTILINE), f"make {word}"
        else:
            from prefect_helix.cli import app  # noqa: PLC0415 - imports Prefect

            assert CliRunner().invoke(app, [word, "--help"]).exit_code == 0, f"prefect-helix {word}"


@each_page
def test_options_of_commands_exist(page: Path) -> None:
    from prefect_helix.cli import app  # noqa: PLC0415 - imports Prefect

    for line in blocks(page, "sh"):
        words = line.partition("  #")[0].split()
        if words[:1] == ["prefect-helix"]:
            verb = words[1:3] if words[1] == "store" else words[1:2]
            known = CliRunner().invoke(app, [*verb, "--help"], env={"COLUMNS": "200"}).stdout
            assert [word for word in words if word.startswith("-") and word not in known] == [], line
