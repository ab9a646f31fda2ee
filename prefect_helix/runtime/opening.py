"""Opening a session: read what earlier runs left, expect this one, and plan it."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prefect_helix.core.environment import PROCESSOR
from prefect_helix.core.errors import UndigestibleError
from prefect_helix.core.fingerprint import Fingerprint
from prefect_helix.core.garbage import garbage_kept
from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.core.materialization import Policy
from prefect_helix.core.planner import Plan
from prefect_helix.core.short import is_secret
from prefect_helix.runtime.appraisal import Appraiser
from prefect_helix.runtime.arguments import literal_digest, shown
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.computing import Engine, Repeater
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.planning import plan
from prefect_helix.runtime.prediction import predict
from prefect_helix.runtime.results import objection, try_digest
from prefect_helix.runtime.session import Session, now_us
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.runtime.waiting import Waiting
from prefect_helix.runtime.world import World
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.files import File
from prefect_helix.storage.store import Store
from prefect_helix.views.units import format_count

SHOWN_PROBLEMS = 5

log = logging.getLogger(__name__)

_DISTRIBUTIONS = {
    "prefect": "prefect",
    "prefect_helix": "prefect-helix",
    "numpy": "numpy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
}


@dataclass(frozen=True)
class Order:
    """What a run is asked to be.

    Attributes:
        run_id: The flow run's id.
        flow: The flow's name.
        name: The flow run's name.
        parameters: The flow's validated parameters.
        mode: ``auto``, ``recompute`` or ``verify``.
        policy: Decides what is materialized.
        budget_bytes: What the store may hold.
        spec_of: Gives today's task for a key (``module:qualname``) and name; None where it is not loaded yet.
        parent_run_id: The flow run that calls the flow; None if it is no subflow.
        wait_seconds: How long a call waits for another run that computes it.
        verify: Share of the reused results that is computed again.
    """

    run_id: str
    flow: str
    name: str
    parameters: Mapping[str, Any]
    mode: str
    policy: Policy
    budget_bytes: int
    spec_of: Callable[[str, str], TaskSpec | None]
    parent_run_id: str | None = None
    wait_seconds: float = 0.0
    verify: float = 0.0


@dataclass
class Warnings:
    """Tells each problem of a run once, and remembers what it told."""

    log: logging.Logger | logging.LoggerAdapter[Any]
    told: dict[str, str] = field(default_factory=dict)

    def __call__(self, key: str, sentence: str) -> None:
        """Log `sentence` as a warning unless `key` was told before."""
        if key not in self.told:
            self.told[key] = sentence
            self.log.warning("helix: %s", sentence)


@dataclass(frozen=True)
class Outlook:
    """What a run is expected to be before it begins.

    Attributes:
        head: What is known of it.
        world: Its nodes, planned.
        keeper: The store.
        policy: What is worth storing.
        prior: The run it is expected to resemble.
        plan: The plan over the nodes; None where nothing is expected.
        wait_seconds: How long a call waits for another run that computes it.
        verify: Share of the reused results that is computed again.
    """

    head: Run
    world: World
    keeper: Keeper
    policy: Policy
    prior: Lineage | None
    plan: Plan | None
    wait_seconds: float = 0.0
    verify: float = 0.0

    @property
    def scratch_us(self) -> int | None:
        """What computing every expected step would take; None if the time of one is not known."""
        times = [self.world.expected_compute_us(node) for node in self.world.nodes]
        known = [time for time in times if time is not None]
        return sum(known) if known and len(known) == len(times) else None

    @property
    def predicted_us(self) -> int | None:
        """What the run is expected to take as planned; None if that cannot be told."""
        if self.plan is None or self.plan.unknown_computes or self.unfollowed:
            return None
        return self.plan.cost_us

    @property
    def unfollowed(self) -> list[str]:
        """Flow parameters that changed and that no argument came from: what they change, the plan cannot tell."""
        if self.prior is None:
            return []
        before, now = self.prior.run.parameters, self.head.parameters
        followed = {a.origin for t in self.prior.traces for a in t.arguments if a.source == "flow_parameter"}
        return [name for name in now if before.get(name) != now[name] and name not in followed]


@garbage_kept()
def look_ahead(store: Store, order: Order, warn: Callable[[str, str], None]) -> Outlook:
    """Read what earlier runs left, expect this one, and plan it. Computes and writes nothing.

    Raises:
        StoreError: If the store cannot be read.
    """
    catalog = Catalog(store)
    known = catalog.read()
    history = known.history()
    value_code = ValueCode()
    head = _head(order, value_code)
    keeper = Keeper(
        store,
        catalog,
        head.run_id,
        last_used_us=history.last_used_us,
        warn=warn,
    )
    if keeper.unnamed:
        warn(
            "unnamed",
            f"The store holds {format_count(keeper.unnamed, 'result')} of no run that is known: a file of the lineage "
            "was deleted, or a run was killed. What is computed again is found there, and the rest makes room first.",
        )
    prior = history.prior(order.flow, head.parameters)
    world = World(
        history,
        loadable=keeper.loadable,
        objection=lambda result: objection(result, keeper.get, keeper.has, value_code),
        now_us=head.started_us,
        mode=order.mode,
        priors=prior.traces if prior else (),
        run_id=head.run_id,
    )
    for problem in known.problems[:SHOWN_PROBLEMS]:
        warn(problem, problem)
    if len(known.problems) > SHOWN_PROBLEMS:
        warn("problems", f"{len(known.problems) - SHOWN_PROBLEMS} more files of the store are damaged.")
    made = None
    if prior is not None:
        predict(
            world,
            prior,
            spec_of=lambda trace: order.spec_of(trace.key, trace.task) or _past(trace),
            parameters=head.parameters,
            shown=head.shown_parameters,
            file_now=_file_now,
        )
        _tell_lost(prior, keeper, warn)
        made = plan(world)
    head = replace(head, prior_run_id=prior.run.run_id if prior else None)
    wait_seconds = order.wait_seconds if order.mode == "auto" else 0.0
    return Outlook(head, world, keeper, order.policy, prior, made, wait_seconds, order.verify)


def open_session(
    outlook: Outlook,
    engine: Engine,
    repeater: Repeater,
    warn: Callable[[str, str], None],
    inform: Callable[[str], None] = log.info,
) -> Session:
    """Begin the run that was looked ahead to.

    Args:
        outlook: What it is expected to be.
        engine: What computes.
        repeater: What computes reused results again.
        warn: Called with a key and a sentence for whatever goes wrong; the same key is told once.
        inform: Called with a sentence that whoever watches the run should read.
    """
    head = replace(outlook.head, predicted_us=outlook.predicted_us)
    world, keeper = outlook.world, outlook.keeper
    appraiser = Appraiser(world, head, outlook.policy, keeper.loadable)
    keeper.start(head, appraiser, in_use=world.blobs)
    waiting = Waiting(keeper, outlook.wait_seconds, inform) if outlook.wait_seconds else None
    return Session(
        head,
        outlook.prior,
        world=world,
        keeper=keeper,
        appraiser=appraiser,
        engine=engine,
        repeater=repeater,
        warn=warn,
        waiting=waiting,
        verify=outlook.verify,
    )


def _head(order: Order, value_code: ValueCode) -> Run:
    digests = {name: _parameter_digest(name, value, value_code) for name, value in order.parameters.items()}
    return Run(
        run_id=order.run_id,
        flow=order.flow,
        name=order.name,
        status="running",
        started_us=now_us(),
        finished_us=None,
        parameters=digests,
        shown_parameters={name: shown(name, value) for name, value in order.parameters.items()},
        prior_run_id=None,
        mode=order.mode,
        policy=order.policy.name,
        budget_bytes=order.budget_bytes,
        versions=_versions(),
        host=platform.node(),
        parent_run_id=order.parent_run_id,
    )


def _parameter_digest(name: str, value: Any, value_code: ValueCode) -> str:
    if is_secret(name):  # a hash of a short secret gives it away
        return ""
    try:
        return literal_digest(value, value_code)
    except UndigestibleError:
        return ""


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform(), PROCESSOR: _processor()}
    for module, distribution in _DISTRIBUTIONS.items():
        if module in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a checkout that is not installed
                versions[distribution] = importlib.metadata.version(distribution)
    return versions


def _processor() -> str:
    """Return the kind of processor and how many this process may use: sums of either need not have the same bits."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    return f"{_processor_kind()}, {format_count(count, 'core')}"


@functools.cache
def _processor_kind() -> str:
    with contextlib.suppress(OSError):  # there is such a file on Linux only
        if named := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return named[1]
    return platform.processor() or platform.machine()


def _past(trace: Trace) -> TaskSpec:
    """Return the task of a trace as it was, where today's is not known: if it changed, the call will depart."""
    return TaskSpec(
        name=trace.task,
        key=trace.key,
        fn=_not_loaded,
        code=Fingerprint(trace.computed_by, (), ()),
        deterministic=trace.deterministic,
    )


def _not_loaded(*_: object, **__: object) -> None:
    raise AssertionError("an expected task is not called before its call is made")


def _file_now(path: str) -> tuple[str, int | None] | None:
    """Return the digest of a file and its size, as far as known; None where there is none."""
    file = File(path)
    try:
        content = try_digest(file)
        return (content.hex, file.size_bytes()) if content else None
    except Exception:  # of the many file systems; whoever calls the task with it is told
        return None


def _tell_lost(prior: Lineage, keeper: Keeper, warn: Callable[[str, str], None]) -> None:
    lost = sorted({t.task for t in prior.traces if t.stored and t.result and not keeper.loadable(t.result)})
    if lost:
        warn(
            "lost",
            f"The store no longer holds the results of {', '.join(lost)}: they were removed by hand, or by another run "
            "that needed the room. They are computed again where they are needed.",
        )
