"""What a person sees of a run as it runs: a real flow run in a real terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("pty", reason="terminals are a matter of Unix")

from .screen import Terminal

PROGRAM = Path(__file__).parent / "shown_flows.py"
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} \| [A-Z]+ +\| ((Flow|Task) run '[\w-]+'|[\w.]+) - \S.*")


class Stage:
    """A folder with a store and gates, and runs of the flows in terminals."""

    def __init__(self, folder: Path, api_url: str) -> None:
        self._folder = folder
        self._environment = {name: value for name, value in os.environ.items() if name != "CI"} | {
            "PREFECT_API_URL": api_url,
            "PREFECT_LOGGING_LEVEL": "INFO",
            "DO_NOT_TRACK": "1",  # nor tell newcomers, in a terminal, of telemetry
            "PREFECT_INTEGRATIONS_HELIX_PROGRESS": "on",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PYTHONIOENCODING": "utf-8",
        }
        self._terminals: list[Terminal] = []

    def run(self, flow: str, edit: int = 1, **environment: str) -> Terminal:
        """Start a run in a terminal."""
        terminal = Terminal(self._command(flow, edit), self._environment | environment)
        self._terminals.append(terminal)
        return terminal

    def run_piped(self, flow: str, edit: int = 1) -> subprocess.CompletedProcess[str]:
        """Run where nobody looks."""
        command = self._command(flow, edit)
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True, timeout=120)

    def shut(self, *gates: str) -> None:
        """Let steps wait at gates."""
        for gate in gates:
            os.mkfifo(self._folder / gate)

    def open(self, gate: str) -> None:
        """Let the step that waits at a gate go on."""
        (self._folder / gate).write_bytes(b"")
        (self._folder / gate).unlink()

    def close(self) -> None:
        """End what still runs."""
        for terminal in self._terminals:
            terminal.close()

    def _command(self, flow: str, edit: int) -> list[str]:
        return [sys.executable, str(PROGRAM), str(self._folder), flow, str(edit)]


@pytest.fixture
def stage(tmp_path: Path, prefect_server: str) -> Iterator[Stage]:
    made = Stage(tmp_path, prefect_server)
    yield made
    made.close()


def shows(pattern: str) -> Callable[[Terminal], object]:
    """Say whether the last line on the screen is like this."""
    return lambda terminal: re.fullmatch(pattern, terminal.last)


def torn(lines: list[str]) -> list[str]:
    """Return what is neither a line of the log nor of what the steps say."""
    whole = {"", "fit says that it has begun", "an unfinished line that is finished"}
    return [line for line in lines if not LOG_LINE.fullmatch(line) and line not in whole]


def test_a_first_run_shows_what_it_knows_below_whole_lines_and_nothing_in_the_end(stage: Stage) -> None:
    stage.shut("fit", "unfinished", "finished", "evaluate")
    terminal = stage.run("census")
    terminal.until(shows(r"helix census  1 step done  computing fit \(\d+ s\)  \d+ s so far"))
    assert terminal.lines[-3:-1] == ["fit says that it has begun", ""]
    assert torn(terminal.lines[:-1]) == []
    stage.open("fit")
    terminal.until(lambda seen: seen.lines[-2:-1] == ["an unfinished line"] and shows(r"helix census .* so far")(seen))
    stage.open("unfinished")
    terminal.until(shows(r"helix census  1 step done  computing fit \(\d+ s\)  \d+ s so far"))
    stage.open("finished")
    terminal.until(shows(r"helix census  2 steps done  computing evaluate \(\d+ s\)  \d+ s so far"))
    assert torn(terminal.lines[:-1]) == []
    stage.open("evaluate")
    assert terminal.end() == 0
    assert torn(terminal.lines) == []
    assert "helix: 3 steps: compute 3" in "\n".join(terminal.lines)


def test_a_run_that_was_predicted_shows_its_share_by_time(stage: Stage) -> None:
    takes_long = r"\(([2-9]|\d\d+) s\)"
    stage.shut("scan", "evaluate")
    before = stage.run("census")
    before.until(shows(rf"helix census  0 steps done  computing scan {takes_long}  .*"))
    stage.open("scan")
    before.until(shows(rf".*  computing evaluate {takes_long}  .*"))
    stage.open("evaluate")
    assert before.end() == 0
    stage.shut("scan", "fit", "evaluate")
    terminal = stage.run("census", 2)
    terminal.until(shows(rf".*  computing scan {takes_long}  .*"))
    stage.open("scan")
    # Of what is at a gate longer than it was expected to take, the share stays as it is.
    terminal.until(shows(r"helix census  █+▌?─+  \d\d %  computing fit \(\d+ s\)  about \d+ s left"))
    stage.open("fit")
    terminal.until(shows(r"helix census  █+▌?─*  99 %  computing evaluate \(\d+ s\)  longer than expected"))
    assert torn(terminal.lines[:-1]) == []
    stage.open("evaluate")
    assert terminal.end() == 0
    assert torn(terminal.lines) == []


def test_where_nobody_looks_nothing_is_drawn(stage: Stage) -> None:
    done = stage.run_piped("census")
    assert "helix: 3 steps: compute 3" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert "so far" not in done.stderr + done.stdout


def test_a_run_that_takes_long_is_shown_by_itself(stage: Stage) -> None:
    stage.shut("fit")
    terminal = stage.run("census", PREFECT_INTEGRATIONS_HELIX_PROGRESS="auto")
    terminal.until(shows(r"helix census  1 step done  computing fit \(\d+ s\)  [3-9] s so far"))
    stage.open("fit")
    assert terminal.end() == 0
    assert torn(terminal.lines) == []


def test_a_short_run_flickers_nothing(stage: Stage) -> None:
    terminal = stage.run("census", PREFECT_INTEGRATIONS_HELIX_PROGRESS="auto")
    assert terminal.end() == 0
    assert b"so far" not in terminal.written


@pytest.mark.parametrize("flow", ["awaited", "plain"])
def test_other_kinds_of_flows_are_shown_too(stage: Stage, flow: str) -> None:
    stage.shut("evaluate")
    terminal = stage.run(flow)
    terminal.until(shows(rf"helix {flow}  2 steps done  computing evaluate \(\d+ s\)  \d+ s so far"))
    stage.open("evaluate")
    assert terminal.end() == 0
    assert torn(terminal.lines) == []


def test_a_subflow_is_named_in_the_line_of_its_run(stage: Stage) -> None:
    stage.shut("fit")
    terminal = stage.run("outer")
    terminal.until(shows(r"helix outer → census  1 step done  computing fit \(\d+ s\)  \d+ s so far"))
    assert not any(line.startswith("helix") for line in terminal.lines[:-1])
    stage.open("fit")
    assert terminal.end() == 0
    assert torn(terminal.lines) == []


def test_two_flows_at_once_have_a_line_each(stage: Stage) -> None:
    stage.shut("fit", "evaluate")
    terminal = stage.run("both")
    terminal.until(
        lambda seen: (
            any(re.match(r"helix census  1 step done  computing fit", line) for line in seen.lines[-2:])
            and any(re.match(r"helix other  0 steps done  computing evaluate", line) for line in seen.lines[-2:])
        )
    )
    assert torn(terminal.lines[:-2]) == []
    stage.open("evaluate")
    terminal.until(lambda seen: not any("helix other" in line for line in seen.lines) and "census" in seen.last)
    stage.open("fit")
    assert terminal.end() == 0
    assert torn(terminal.lines) == []


def test_a_flow_that_fails_leaves_nothing_on_the_screen(stage: Stage) -> None:
    stage.shut("fail")
    terminal = stage.run("failing")
    terminal.until(shows(r"helix failing  1 step done  computing fail \(\d+ s\)  \d+ s so far"))
    stage.open("fail")
    assert terminal.end() == 1
    assert "ValueError: no model 1" in terminal.last
    assert not any("so far" in line for line in terminal.lines)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_flow_that_is_stopped_leaves_nothing_on_the_screen(stage: Stage, by: signal.Signals) -> None:
    stage.shut("evaluate")
    terminal = stage.run("census")
    terminal.until(shows(r"helix census  2 steps done  computing evaluate \(\d+ s\)  \d+ s so far"))
    terminal.process.send_signal(by)
    assert terminal.end() != 0
    assert not any("so far" in line for line in terminal.lines)


def test_the_line_stays_away_while_somebody_is_asked(stage: Stage) -> None:
    stage.shut("asking", "answered")
    terminal = stage.run("asking")
    terminal.until(shows(r"helix asking  1 step done  between steps  \d+ s so far"))
    stage.open("asking")
    terminal.until(shows(r"How many\?"))
    terminal.type("41\n")
    terminal.until(shows(r"helix asking  1 step done  between steps  \d+ s so far"))
    assert "How many? 41" in terminal.lines
    stage.open("answered")
    assert terminal.end() == 0


def test_forks_and_a_debugger_have_the_terminal_to_themselves(stage: Stage) -> None:
    stage.shut("forking", "forked")
    terminal = stage.run("debugged")
    terminal.until(shows(r"helix debugged  0 steps done  computing forking \(\d+ s\)  \d+ s so far"))
    stage.open("forking")
    terminal.until(lambda seen: "a child talks" in seen.lines and shows(r"helix debugged .* so far")(seen))
    stage.open("forked")
    terminal.until(shows(r"\(Pdb\)"))
    for number in range(3):
        terminal.type(f"p {number} + 100\n")
        terminal.until(lambda seen, answer=f"{number + 100}": seen.lines[-2:] == [answer, "(Pdb)"])  # type: ignore[misc]
    terminal.type("c\n")
    assert terminal.end() == 0
    assert not any("so far" in line for line in terminal.lines)


def test_a_terminal_that_can_do_little_gets_nothing(stage: Stage) -> None:
    terminal = stage.run("census", TERM="dumb")
    assert terminal.end() == 0
    assert b"so far" not in terminal.written
