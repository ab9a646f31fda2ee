"""What is told of a run in one line, where it is not, and that showing it stands in nobody's way."""

from __future__ import annotations

import logging
import os
import pty
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from prefect_helix.core.graph import Decision
from prefect_helix.progress import Row, hide, line, show
from prefect_helix.runtime.progress import Progress, Running
from prefect_helix.terminal import Foot

S = 1_000_000
FIT = Running("fit", Decision.COMPUTE, 12 * S, 20 * S)
HALF = Progress(70 * S, 12, 8, 62 * S, 38 * S, 0, True, (FIT,), busy_us=62 * S)


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (HALF, "census  ████████████────────  62 %  computing fit (12 s)  about 38 s left"),
        (replace(HALF, running=()), "census  ████████████────────  62 %  between steps  about 38 s left"),
        (
            replace(HALF, running=(Running("rows", Decision.LOAD, 2 * S, 3 * S), FIT)),
            "census  ████████████────────  62 %  loading rows (2 s) and 1 more  about 38 s left",
        ),
        (
            replace(HALF, running=(replace(FIT, elapsed_us=30 * S),), remaining_us=0),
            "census  ████████████████████  99 %  computing fit (30 s)  longer than expected",
        ),
        (replace(HALF, unknown=2), "census  8 of 12 steps  computing fit (12 s)  70 s so far  more than 38 s left"),
        (replace(HALF, foreseen=False, remaining_us=0, running=()), "census  8 steps done  between steps  70 s so far"),
        (
            replace(HALF, running=(replace(FIT, elapsed_us=None),)),
            "census  ████████████────────  62 %  computing fit  about 38 s left",
        ),
    ],
    ids=["computing", "between", "loading", "late", "unknown", "first", "elsewhere"],
)
def test_the_line_tells_what_is_known_and_no_more(progress: Progress, told: str) -> None:
    assert line(["census"], progress).plain == f"helix {told}"


def test_the_subflow_is_named_and_the_end_told() -> None:
    ended = replace(HALF, running=(), remaining_us=0)
    assert line(["census", "train"], ended, ending="writing results").plain == (
        "helix census → train  ████████████████████  99 %  writing results"
    )
    assert line(["census", "census"], HALF).plain.startswith("helix census  ")


class Still:
    """A gauge that shows one thing."""

    def __init__(self, progress: Progress | Exception) -> None:
        self.progress = progress

    def look(self, now_us: int) -> Progress:
        if isinstance(self.progress, Exception):
            raise self.progress
        return self.progress


class OnlyWrites:
    """What people put in the place of stderr."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let stderr be a terminal; gives its other end. Not a fixture: pytest takes stderr again before a test begins."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        patch.setenv("TERM", "xterm")
        patch.delenv("CI", raising=False)
        yield master
    os.close(master)


def shown(choice: Any = "auto", gauge: Still | None = None, log: Any = None, **facts: Any) -> Row | None:
    return show(
        FlowRun(flow_id=uuid4(), **facts),
        "census",
        gauge or Still(HALF),  # type: ignore[arg-type]
        log or logging.getLogger("progress"),
        parent_id=None,
        counted=True,
        choice=choice,
    )


def is_shown(choice: Any = "auto", **facts: Any) -> bool:
    row = shown(choice, **facts)
    hide(row)
    return row is not None


def test_a_run_is_shown_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch):
        assert is_shown()
        assert not is_shown("off")
        assert not is_shown(deployment_id=uuid4())
        assert is_shown("on", deployment_id=uuid4())
        monkeypatch.setenv("CI", "true")
        assert not is_shown()
        assert is_shown("on")
        monkeypatch.setenv("TERM", "dumb")
        assert not is_shown("on")


def test_what_is_no_terminal_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open("w") as nowhere, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", nowhere)
        assert not is_shown("on")
        nowhere.close()
        assert not is_shown("on")
        patch.setattr(sys, "stderr", None)
        assert not is_shown("on")
        patch.setattr(sys, "stderr", OnlyWrites())
        assert not is_shown("on")


def test_what_goes_wrong_is_told_once_and_ends_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    enough = threading.Event()

    class Log:
        def warning(self, message: str, *args: object) -> None:
            told.append(message % args)
            enough.set()

    with terminal(monkeypatch):
        row = shown("on", Still(RuntimeError("broken")), Log())
        assert enough.wait(30)
        hide(row)
    assert told == [
        "helix: The progress is not shown any more: RuntimeError: broken. "
        "PREFECT_INTEGRATIONS_HELIX_PROGRESS=off leaves it out from the start."
    ]


def test_nobody_waits_for_a_terminal_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as master:
        stream = sys.stderr
        foot = Foot(stream)
        stuck = threading.Thread(target=foot.show, args=[["x" * 1_000_000]], daemon=True)
        stuck.start()
        os.read(master, 1)  # it has begun to write, and nobody reads on
        foot.remove()
        while stuck.is_alive():
            if select.select([master], [], [], 0.1)[0]:
                os.read(master, 65536)
        assert "write" in vars(stream)
        foot.remove()
        assert "write" not in vars(stream)
