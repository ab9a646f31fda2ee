"""Waits for the Prefect server of this process, so that no run pays for what the ones before it have told."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

QUIET_SECONDS = 3.0
BUSY_SHARE = 0.1


def settle(quiet_seconds: float = QUIET_SECONDS, patience_seconds: float = math.inf) -> bool:
    """Wait until the server is idle: its processes use less than a tenth of a processor for so many seconds.

    Returns whether it is; False once patience is over.

    Counting what the server has recorded does not do: its queues are long when ten thousand task runs were told, and
    the count stands still while it works on other parts of them.
    """
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        before = _children_cpu_seconds()
        time.sleep(quiet_seconds)
        if _children_cpu_seconds() - before < BUSY_SHARE * quiet_seconds:
            return True
    return False


def _children_cpu_seconds() -> float:
    """Return the processor time that the children of this process have used so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[1]) == os.getpid():
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
