"""What the tests see of the project's runs, and how they hold them: not part of any task's code, since a logger is not.

Each flow run has a log of the task bodies that ran. A body waits at its first line while ``hold-TASK`` is there, and
tells with ``TASK-RUN.held`` that it does. On the clock here every body takes a second, so that plans do not hang on how
fast the machine is.
"""

import itertools
import logging
import os
import time
import types
from pathlib import Path

from prefect.runtime import flow_run

import prefect_helix.clones

FOLDER = Path(os.environ["EXECUTIONS"])

prefect_helix.clones.time = types.SimpleNamespace(perf_counter_ns=itertools.count(step=1_000_000_000).__next__)


class ByRun(logging.Handler):
    """Writes a line to the log of the flow run, and holds it if it is to be held."""

    def emit(self, record: logging.LogRecord) -> None:
        with (FOLDER / f"{flow_run.id}.log").open("a") as log:
            log.write(f"{record.getMessage()} {os.getpid()}\n")
        wait_while_held(record.getMessage())


def told(text: str) -> None:
    """Keep what a flow run has to say, which is the last that it does."""
    (FOLDER / f"{flow_run.id}.txt").write_text(text)
    wait_while_held("publish")


def wait_while_held(task: str) -> None:
    while (FOLDER / f"hold-{task}").exists():
        (FOLDER / f"{task}-{flow_run.id}.held").touch()
        time.sleep(0.02)


RAN = logging.getLogger("ran")
RAN.setLevel(logging.INFO)
RAN.propagate = False
RAN.addHandler(ByRun())
