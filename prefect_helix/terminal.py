"""Lines at the foot of a terminal, kept below what everybody else writes to it."""

from __future__ import annotations

import builtins
import contextlib
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

UNLESS_STUCK_S = 1.0
"""For so long a terminal that was stopped is waited for."""

_KEEP_PLACE, _TO_PLACE = "\x1b7", "\x1b8"
_LINE_DOWN, _SCROLLED_DOWN = "\r\x1b[B", "\x1bD"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[2K", "\x1b[J"


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether what is written to a stream is seen on a terminal."""
    try:
        return stream is not None and stream.isatty()
    except Exception:  # it is closed, or somebody's own object that has no more than `write`
        return False


class Foot:
    """A few lines in a terminal, below the one that is written to, which is never touched.

    They are erased before, and drawn again after, all other output of this process: whoever writes, whether with
    `print`, through `logging` or with rich, holds one of the terminal's text streams, so it is their `write` that
    makes room. Other processes write over them, and they come back further down. While somebody is typing, or the
    process is in the background, the lines stay away. A terminal that fails is left alone.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._lines: Sequence[str] = ()
        self._drawn = 0
        self._kept_away = 0
        self._is_over = False
        self._process = os.getpid()
        self._own_write = stream.write
        self._undo: list[Callable[[], None]] = []
        for one in _streams_of_terminal(stream):
            self._make_room(one)
        self._make_room_for_questions()

    @property
    def columns(self) -> int:
        """The width of the terminal."""
        return self._size().columns

    def show(self, lines: Sequence[str]) -> None:
        """Show lines in place of those that are shown; each fits the terminal."""
        with self._lock:
            self._erase()
            encoding = self._stream.encoding or "utf-8"
            fitting = lines[: max(1, self._size().lines - 1)]
            self._lines = [line.encode(encoding, "replace").decode(encoding) for line in fitting]
            self._draw()

    def remove(self) -> None:
        """Leave the terminal as if nothing had been shown; nobody waits for one that takes nothing any more."""
        if not self._lock.acquire(timeout=UNLESS_STUCK_S):
            return
        try:
            self._lines = ()
            self._erase()
            self._is_over = True
        finally:
            for undo in self._undo:
                undo()
            self._lock.release()

    def _draw(self) -> None:
        count = len(self._lines)
        if count and not (self._kept_away or _is_elsewhere_in_use(self._stream)):
            room = _SCROLLED_DOWN * count + f"\x1b[{count}A"
            lines = "".join(_LINE_DOWN + _CLEAR_LINE + line for line in self._lines)
            self._put(room + _KEEP_PLACE + lines + _TO_PLACE)
            self._drawn = count

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = 0
            self._put(_KEEP_PLACE + _LINE_DOWN + _CLEAR_BELOW + _TO_PLACE)

    def _put(self, text: str) -> None:
        if not self._is_over:
            try:
                self._own_write(text)
                self._stream.flush()
            except (OSError, ValueError):  # the terminal is gone; who writes to it himself is told
                self._is_over = True

    def _size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = os.terminal_size((0, 0))
        return os.terminal_size((size.columns or 80, size.lines or 24))

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        with self._lock:
            self._erase()
            self._kept_away += 1
        try:
            yield
        finally:
            with self._lock:
                self._kept_away -= 1

    def _make_room(self, stream: TextIO) -> None:
        write = stream.write

        def write_above(text: str) -> int:
            if self._is_over:  # somebody who has replaced it meanwhile still calls it
                return write(text)
            if os.getpid() != self._process:  # a fork: nobody there would ever release a lock that was held
                self._erase()
                return write(text)
            with self._lock:
                self._erase()
                written = write(text)
                if text.endswith("\n"):  # else the next line, or the next look, draws again
                    stream.flush()
                    self._draw()
                return written

        self._replace(stream, "write", write_above)

    def _make_room_for_questions(self) -> None:
        ask = builtins.input

        @functools.wraps(ask)
        def ask_above(*prompt: Any) -> str:
            with self._away():
                return ask(*prompt)

        self._replace(builtins, "input", ask_above)

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        """Give an object another attribute, until the lines are removed or somebody else has replaced it again."""
        missing = object()
        old = vars(owner).get(name, missing)
        setattr(owner, name, new)

        def undo() -> None:
            if vars(owner).get(name) is not new:
                return
            if old is missing:
                delattr(owner, name)
            else:
                setattr(owner, name, old)

        self._undo.append(undo)


def _streams_of_terminal(stream: TextIO) -> list[TextIO]:
    """Return the text streams by which others write to the terminal: handlers keep those that they were made with."""
    handlers = (handler for handler in logging.root.handlers if isinstance(handler, logging.StreamHandler))
    held = [stream, sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__, *(handler.stream for handler in handlers)]
    return [one for one in {id(one): one for one in held}.values() if is_terminal(one)]


def _is_elsewhere_in_use(stream: TextIO) -> bool:
    """Return whether the terminal is another program's just now, or somebody reads keys or a password from it."""
    if termios is None:
        return False
    try:
        if os.tcgetpgrp(stream.fileno()) != os.getpgrp():
            return True
        modes = termios.tcgetattr(stream.fileno())[3]
    except (OSError, ValueError, termios.error):
        return False
    return not (modes & termios.ICANON and modes & termios.ECHO)
