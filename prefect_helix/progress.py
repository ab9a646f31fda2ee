"""Shows in the terminal how far long runs are, as they run; one line for each outermost flow run."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from rich.console import Console
from rich.text import Text

from prefect_helix.core.graph import Decision
from prefect_helix.reporting import Log
from prefect_helix.runtime.progress import Gauge, Progress, Running, together
from prefect_helix.runtime.session import now_us
from prefect_helix.settings import Shown
from prefect_helix.terminal import UNLESS_STUCK_S, Foot, is_terminal
from prefect_helix.views.units import format_count, format_us, shorten

LONG_US = 3_000_000
"""Runs that are shown took as long, or are expected to."""

EVERY_S = 0.25

RESTING = 100
"""So many times what drawing takes is waited until it is done again, if that is longer: a large run is not slowed."""

_BAR_CELLS = 20
_VERBS = {Decision.COMPUTE: "computing", Decision.LOAD: "loading"}


@dataclass(eq=False)
class Row:
    """A flow run that is shown.

    Attributes:
        run_id: Its id.
        flow: Its flow's name.
        gauge: Tells how far it is.
        log: Where it logs to.
        parent_id: The flow run that called it.
        counted: Whether its time is its own, and not that of a step of its parent that it runs in.
        at_once: Whether it is shown however long it takes.
        ending: What it does since its body has ended, such as "writing results"; empty before.
        calls_flows: Whether it has called a subflow: what these take is not in its plan, and more may come.
    """

    run_id: UUID
    flow: str
    gauge: Gauge
    log: Log
    parent_id: UUID | None
    counted: bool
    at_once: bool
    ending: str = ""
    calls_flows: bool = False

    def look(self) -> Progress:
        """Return how far it is now."""
        progress = self.gauge.look(now_us())
        return replace(progress, foreseen=False) if self.calls_flows else progress


class Display:
    """The rows of this process and the thread that draws them, which runs while there are some.

    Nothing that goes wrong here reaches a flow, and no flow waits for it.
    """

    def __init__(self) -> None:
        self._rows: dict[UUID, Row] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._foot: Foot | None = None

    def add(self, row: Row) -> None:
        """Show a run from now on, once it is long enough."""
        if not self._changed.acquire(timeout=UNLESS_STUCK_S):
            return
        try:
            self._rows[row.run_id] = row
            if row.counted and row.parent_id in self._rows:
                self._rows[row.parent_id].calls_flows = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._go_on, name="helix-progress", daemon=True)
                self._thread.start()
        finally:
            self._changed.release()

    def remove(self, row: Row) -> None:
        """Show a run no more; when this returns, it is gone from the screen, unless that takes nothing any more."""
        if self._rows.pop(row.run_id, None) is None:
            return
        if self._changed.acquire(timeout=UNLESS_STUCK_S):
            try:
                if not self._rows:
                    self._clear()
                self._changed.notify_all()
            finally:
                self._changed.release()

    def _clear(self) -> None:
        foot, self._foot = self._foot, None
        if foot is not None:
            foot.remove()

    def _go_on(self) -> None:
        while True:
            with self._changed:
                rows = [*self._rows.values()]
                if not rows:
                    self._clear()
                    self._thread = None
                    return
            started = time.perf_counter()
            try:
                lines = _lines(rows)
                with self._changed:
                    if rows == [*self._rows.values()]:
                        self._show(lines)
            except Exception as error:
                self._give_up(error)
            with self._changed:
                if rows == [*self._rows.values()]:
                    self._changed.wait(max(EVERY_S, RESTING * (time.perf_counter() - started)))

    def _show(self, lines: Sequence[Text]) -> None:
        if self._foot is None:
            if not lines:
                return
            # Rich, while it shows something itself, has a stand-in for the stream.
            self._foot = Foot(sys.__stderr__ if sys.__stderr__ and is_terminal(sys.__stderr__) else sys.stderr)
        console = Console(width=self._foot.columns, markup=False, emoji=False, highlight=False, stderr=True)
        self._foot.show([_drawn(line, console) for line in lines])

    def _give_up(self, error: Exception) -> None:
        with self._changed:
            rows = [*self._rows.values()]
            self._rows.clear()
            self._clear()
        for row in rows[:1]:
            _tell(row.log, error)


def _tell(log: Log, error: Exception) -> None:
    log.warning(
        "helix: The progress is not shown any more: %s: %s. "
        "PREFECT_INTEGRATIONS_HELIX_PROGRESS=off leaves it out from the start.",
        type(error).__name__,
        error,
    )


_display = Display()


def show(
    run: FlowRun, flow: str, gauge: Gauge, log: Log, *, parent_id: UUID | None, counted: bool, choice: Shown
) -> Row | None:
    """Show a flow run from now on where somebody is looking; see `Row`.

    Returns:
        What `hide` takes; None where nobody looks.
    """
    try:
        if choice == "off" or not _can_be_drawn() or (choice == "auto" and _is_unattended(run)):
            return None
        row = Row(run.id, flow, gauge, log, parent_id, counted, at_once=choice == "on")
        _display.add(row)
    except Exception as error:  # such as of somebody's own stream; no flow fails because it is not watched
        _tell(log, error)
        return None
    return row


def hide(row: Row | None) -> None:
    """Show a run no more."""
    if row is None:
        return
    try:
        _display.remove(row)
    except Exception as error:
        _tell(row.log, error)


def _can_be_drawn() -> bool:
    if not is_terminal(sys.stderr):
        return False
    console = Console(stderr=True)
    return not (console.is_dumb_terminal or console.legacy_windows or console.is_jupyter)


def _is_unattended(run: FlowRun) -> bool:
    """Return whether nobody looks at this very process: a deployment's run, a build, or a process of a pool."""
    return run.deployment_id is not None or "CI" in os.environ or multiprocessing.parent_process() is not None


# -- what is drawn -----------------------------------------------------------------------------------------------------


def _lines(rows: Sequence[Row]) -> list[Text]:
    """Return a line for each outermost run that is long enough: how far it is, or the subflows that it is in."""
    by_id = {row.run_id: row for row in rows}
    groups: dict[UUID, list[Row]] = {}
    for row in rows:
        first = row
        while first.parent_id is not None and first.parent_id in by_id:
            first = by_id[first.parent_id]
        groups.setdefault(first.run_id, []).append(row)
    lines = []
    for outermost, *inner in groups.values():
        whole = outermost.look()
        calling = {row.parent_id for row in inner if row.counted}
        subflows = [row for row in inner if row.counted and row.run_id not in calling]
        progress = together([row.look() for row in subflows]) if subflows else whole
        if outermost.at_once or whole.elapsed_us + progress.left_us >= LONG_US:
            latest = inner[-1] if inner else outermost
            lines.append(line([outermost.flow, latest.flow], progress, ending=latest.ending))
    return lines


def line(flows: Sequence[str], progress: Progress, *, ending: str = "") -> Text:
    """Return what is told of a run: "helix census  ████▌────  62 %  computing fit (12 s)  about 18 s left".

    Args:
        flows: The names of its flow and of the subflow that it is in.
        progress: How far the last of these is.
        ending: What that does since its body has ended; empty before.
    """
    names = dict.fromkeys(shorten(flow, 30) for flow in flows)
    share = progress.share
    parts = [Text.assemble(("helix ", "bold"), (" → ".join(names), "bold magenta"))]
    if share is None:
        parts.append(Text(_counts(progress)))
    else:
        parts += [Text(_bar(share), "cyan"), Text(f"{min(99, int(100 * share)):2} %", "bold")]
    parts.append(Text(_doing(progress.running, ending)))
    if share is None:
        parts.append(Text(f"{_seconds(progress.elapsed_us)} so far", "dim"))
    if not ending:
        parts.append(Text(_left(progress), "dim"))
    return Text("  ").join(part for part in parts if part)


def _bar(share: float) -> str:
    halves = int(2 * _BAR_CELLS * share)
    return ("█" * (halves // 2) + "▌" * (halves % 2)).ljust(_BAR_CELLS, "─")


def _counts(progress: Progress) -> str:
    if progress.foreseen:
        return f"{progress.settled} of {format_count(progress.steps, 'step')}"
    return f"{format_count(progress.settled, 'step')} done"


def _doing(running: Sequence[Running], ending: str) -> str:
    if not running:
        return ending or "between steps"
    first, others = running[0], len(running) - 1
    time_told = "" if first.elapsed_us is None else f" ({_seconds(first.elapsed_us)})"
    rest = f" and {others} more" if others else ""
    return f"{_VERBS[first.decision]} {shorten(first.task, 30)}{time_told}{rest}"


def _left(progress: Progress) -> str:
    """Return how long it still takes; nothing where nothing is known, or where what is known is over already."""
    left_us = progress.left_us
    if not progress.known:
        return f"more than {_seconds(left_us)} left" if left_us >= 1_000_000 else ""
    if left_us:
        return f"about {_seconds(left_us)} left" if left_us >= 1_000_000 else "less than 1 s left"
    return "longer than expected" if progress.running else ""


def _seconds(us: int) -> str:
    """Return a time as `format_us` does, but for its tenths of seconds, which would flicker."""
    return f"{us // 1_000_000} s" if us < 10_000_000 else format_us(us)


def _drawn(line: Text, console: Console) -> str:
    """Return a line as it is written to the terminal, one cell short of its width: some wrap after the last."""
    line.truncate(console.width - 1, overflow="ellipsis")
    with console.capture() as capture:
        console.print(line, end="", no_wrap=True, overflow="ignore", crop=False)
    text = capture.get()
    return text.translate(_PLAIN) if console.options.ascii_only else text


_PLAIN = str.maketrans({"█": "#", "▌": "-", "─": "-", "→": ">", "…": "."})
