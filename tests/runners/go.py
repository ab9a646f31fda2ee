"""Runs the project's flow on a task runner, once for each mode named: ``go.py RUNNER RESULT MODE...``."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import steps
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from prefect_helix import helix_flow


@contextlib.contextmanager
def runners(kind: str) -> Iterator[Callable[[], Any]]:
    """Give what makes task runners of a kind; a cluster outlasts the flow runs."""
    if kind == "dask":
        from distributed import LocalCluster  # noqa: PLC0415
        from prefect_dask import DaskTaskRunner  # noqa: PLC0415

        options = {"dashboard_address": None, "memory_limit": 0, "host": "127.0.0.1"}
        with LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
            yield lambda: DaskTaskRunner(address=cluster.scheduler_address)
    elif kind == "ray":
        import ray  # noqa: PLC0415
        from prefect_ray import RayTaskRunner  # noqa: PLC0415

        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200_000_000, _node_ip_address="127.0.0.1")
        yield RayTaskRunner
        ray.shutdown()
    elif kind == "processes":
        yield lambda: ProcessPoolTaskRunner(max_workers=1)
    else:
        yield lambda: ThreadPoolTaskRunner(max_workers=2)


class Told(logging.Handler):
    """Collects what is told to people."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("helix:"):
            self.lines.append(f"{record.levelname} {record.getMessage()}")


@contextlib.contextmanager
def listening() -> Iterator[Told]:
    """Give what flow runs tell meanwhile."""
    log, told = logging.getLogger("prefect.flow_runs"), Told()
    log.setLevel(logging.INFO)
    log.addHandler(told)
    yield told
    log.removeHandler(told)


def main() -> None:
    kind, result, *modes = sys.argv[1:]
    found = {}
    with runners(kind) as make:
        for turn, mode in enumerate(modes):
            flow = helix_flow(store=str(steps.HERE / "store"), policy="always", mode=mode, task_runner=make())
            with listening() as told:
                found[f"{turn}"] = {"ways": flow(steps.every_way)(), "told": told.lines}
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
