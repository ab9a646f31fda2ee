"""What stands in for `prefect_helix` in a run of another system, so that the text of a flow is the same for all.

A flow imports `helix_task`, `helix_flow` and `File`. Under another system these names are what its users would write
in their place: `prefect.task` with a cache policy and `prefect.flow`, or a cached call of the function. That is fair,
because nothing else differs: the same source, the same bodies, the same calls, in a process that does not import
prefect_helix. Options that prefect_helix alone has are dropped. Libraries are imported where they are used: a process
imports what its system needs and nothing else, and the Python that has the other libraries need not have Prefect.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.workloads.plain import Calling, PlainFile, stand_in

OF_TASKS = {"code_version", "deterministic", "lazy", "materialize", "ignore", "depends_on", "max_age"}
OF_FLOWS = {"store", "budget", "policy", "mode", "storage_options"}


@dataclass
class Bodies:
    """The bodies of tasks that ran.

    Attributes:
        computed: How many, by task.
        seconds: What they took, those of all threads together.
    """

    computed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def counted(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is counted."""

        @functools.wraps(fn)  # which is whose source Prefect reads, too
        def body(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return fn(*args, **kwargs)
            finally:
                with self._counting:
                    self.computed[fn.__name__] += 1
                    self.seconds += time.perf_counter() - started

        return body


def as_prefect(choice: str, bodies: Bodies) -> types.ModuleType:
    """Make a module whose tasks and flows are plain Prefect's, and the bodies of its tasks counted.

    Prefect imports its integrations, of which prefect_helix is one. The module has to be in `sys.modules` before.
    """

    def helix_task(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        from prefect import task
        from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE

        if fn is None:
            return functools.partial(helix_task, **options)
        choices: dict[str, dict[str, Any]] = {
            "bare": {},
            "none": {"cache_policy": NO_CACHE},
            "inputs": {
                "cache_policy": INPUTS + TASK_SOURCE,
                "persist_result": True,
                "result_serializer": "pickle",
            },
        }
        return task(bodies.counted(fn), **choices[choice], **_without(options, OF_TASKS))

    def helix_flow(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        from prefect import flow

        if fn is None:
            return functools.partial(helix_flow, **options)
        return flow(fn, **_without(options, OF_FLOWS))

    module = types.ModuleType("prefect_helix")
    module.__dict__.update(helix_task=helix_task, helix_flow=helix_flow, File=PlainFile)
    return module


def cached_by(library: str, store: Path) -> types.ModuleType:
    """Make a module whose tasks are cached by the library, in the folder `store`.

    Raises:
        ModuleNotFoundError: If the library is not installed.
    """
    if library == "hamilton":
        from . import graphs

        return graphs.stand_in(store)
    return stand_in({"joblib": _by_joblib, "redun": _by_redun}[library](store))


def _by_joblib(store: Path) -> Calling:
    from joblib import Memory

    cached = functools.cache(Memory(store, verbose=0).cache)
    return lambda fn, args, kwargs: cached(fn)(*args, **kwargs)


def _by_redun(store: Path) -> Calling:
    from redun import Scheduler, task
    from redun.config import Config

    logging.getLogger("redun").setLevel(logging.WARNING)
    store.mkdir(parents=True, exist_ok=True)
    backend = {"db_uri": f"sqlite:///{store}/redun.db", "value_store_path": str(store / "values")}
    scheduler = Scheduler(config=Config({"backend": backend}))
    scheduler.load()
    task_of = functools.cache(lambda fn: task(name=fn.__name__, namespace=fn.__module__)(fn))
    return lambda fn, args, kwargs: scheduler.run(task_of(fn)(*args, **kwargs))


def _without(options: dict[str, Any], dropped: set[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in dropped}
