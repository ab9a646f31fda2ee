"""A program in a real terminal, and what a person sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pyte

PATIENCE_S = 120


class Terminal:
    """Runs a program in a pseudo-terminal and knows what is on its screen.

    Args:
        command: The program.
        environment: Its environment.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = 160, lines: int = 40
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=dict(environment), start_new_session=True
        )
        os.close(slave)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without those below the last that has something in it."""
        shown = [line.rstrip() for line in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    @property
    def last(self) -> str:
        """The last line on the screen."""
        return (self.lines or [""])[-1]

    def until(self, seen: Callable[[Terminal], object]) -> None:
        """Read on until what is on the screen is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while not seen(self):
            assert self._read(deadline), "\n".join(["The program ended, or this never was on its screen:", *self.lines])

    def type(self, text: str) -> None:
        """Type on its keyboard."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Read to the program's end and return its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End the program if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            some = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self.written += some
        self._stream.feed(some)
        return bool(some)
