"""What README and docs say is run: their Python, their commands, their links."""

from __future__ import annotations

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
_LINK = re.compile(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)")
_COMMAND = re.compile(r"(make|prefect-helix) (\w+)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the lines of `page`, those outside of code blocks in these languages empty."""
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
