"""What has to be true after each run, whatever befell it: the one predicate of the attack."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from prefect_helix.core.errors import StoreError
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.storage import leases
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

Stat = tuple[int, int, int]


@dataclass(frozen=True)
class Snapshot:
    """A store at one moment.

    Attributes:
        files: Size, time and inode of every file, by path.
        whole: Names of the blobs that are what was written.
        sizes: Size in bytes of every blob, by name.
        lineages: What can be read of runs.
        problems: What cannot be read.
        leased: Blobs that leases in force hold, and the runs that do.
    """

    files: Mapping[str, Stat]
    whole: Collection[str]
    sizes: Mapping[str, int]
    lineages: Sequence[Lineage]
    problems: Sequence[str]
    leased: Mapping[str, Collection[str]]

    def traces(self) -> dict[tuple[str, Any], Trace]:
        """Return the traces by run, and call or Prefect's task run."""
        found: dict[tuple[str, Any], Trace] = {}
        for lineage in self.lineages:
            for trace in lineage.traces:
                found[lineage.run.run_id, trace.call] = trace
                if trace.task_run_id:
                    found[lineage.run.run_id, trace.task_run_id] = trace
        return found


def snapshot(root: Path) -> Snapshot:
    """Look at all of a store."""
    store = open_store(root)
    files = {}
    for file in root.rglob("*"):
        if file.is_file():
            status = file.stat()
            files[str(file.relative_to(root))] = (status.st_size, status.st_mtime_ns, status.st_ino)
    sizes = store.blobs()
    whole = set()
    for name in sizes:
        try:
            store.check_blob(name)
        except StoreError:
            continue
        whole.add(name)
    known = Catalog(store).read()
    leased = {lease.run_id: lease.blobs for lease in leases.in_force(store)}
    return Snapshot(files, whole, sizes, known.lineages, known.problems, leased)


class Body(NamedTuple):
    """A task body that ran.

    Attributes:
        call: Position of the call, or Prefect's task run.
        task: The task.
        given: Its arguments, to be told.
        key: What stands for its result: made from the model of the program, never from what the system says.
    """

    call: Any
    task: str
    given: str
    key: str

    def __repr__(self) -> str:
        return f"{self.task}{self.given} (call {self.call})"


@dataclass(frozen=True)
class Ran:
    """What is known of one run.

    Attributes:
        orders: Budget, policy and mode.
        executed: The bodies that ran.
        outcome: What the flow gave or raised; None if the process ended before.
        wanted: What it gives without reuse.
        open: Whether a body may run although an equal one ran before.
        run_id: The run's id; empty if it did not end.
        warnings: What was told, by key.
        most_bytes: The most that the store held after a write.
        mismatched: Tasks that gave another result than was recorded.
        escaped: What was raised in threads and is no task's own error.
        trouble: What was to befall it; empty for nothing.
    """

    orders: Mapping[str, Any]
    executed: Sequence[Body]
    outcome: Any
    wanted: Any
    open: Callable[[Body], bool]
    run_id: str = ""
    warnings: Mapping[str, str] = field(default_factory=dict)
    most_bytes: int = 0
    mismatched: Sequence[str] = ()
    escaped: Sequence[str] = ()
    trouble: str = ""


@dataclass
class Known:
    """What bodies ran in earlier runs: which run and call computed what a key stands for."""

    computed: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)

    def take(self, run: Ran, run_id: str) -> None:
        """Take in what a run computed, if it is known by an id; not what was changed before it could be written."""
        changed = {key.rpartition(":")[2] for key in run.warnings if key.startswith("changed:")}
        for body in run.executed if run_id else ():
            if body.task not in changed:
                self.computed.setdefault(body.key, []).append((run_id, body.call))


@dataclass(frozen=True)
class Case:
    """What there is to judge after runs that went on at the same time.

    Attributes:
        runs: They.
        before: The store before.
        after: The store after.
        known: What earlier runs computed.
        harmed: Files that were damaged or cut by hand at any time, as that left them.
        calm: Whether everything was kept and nothing was ever harmed.
    """

    runs: Sequence[Ran]
    before: Snapshot
    after: Snapshot
    known: Known
    harmed: Mapping[str, Stat | None]
    calm: bool

    @property
    def is_quiet(self) -> bool:
        """Whether nothing befell the runs."""
        return not any(run.trouble for run in self.runs)


def judge(case: Case) -> list[str]:
    """Return what is wrong after a run; nothing if all promises are kept. The first word says which promise is not.

    - ``stale``: Each run gave, bit for bit, or raised what the same version gives from scratch.
    - ``needless``: A body ran although the result of an equal one could be loaded: it was computed by a run whose
      lineage is there, all of it was in the store, and still is. Where all is kept, what was computed once is not
      computed again. Of two runs at a time each may compute. What nobody needed was not loaded.
    - ``lineage``: A run that ended has one lineage, of its status, and this says what happened: what the log of bodies
      says was computed, and what it calls computed is in that log; what was demanded was computed or loaded; parents
      are there; what it calls stored is in the store.
    - ``store``: Each blob and each file of the lineage is whole, but for those damaged by hand and not looked at since.
    - ``budget``: The store holds no more than the budget at the end, and no more after any write; what runs that were
      killed just now still have a lease on may come on top.
    - ``left``: Of a run that ended there is no lease, no journal and no unfinished write.
    - ``told``: No result was other than recorded, and nothing went wrong that is told as a defect of our own.

    What befalls a run may cost computations, its lineage and what is left of it; never another result.
    """
    return [*_stale(case), *_needless(case), *_lineage(case), *_store(case), *_budget(case), *_left(case), *_told(case)]


def _stale(case: Case) -> Iterator[str]:
    for run in case.runs:
        if run.outcome is None and not run.trouble.startswith("kills"):
            yield "stale: the run did not come to its end"
        if run.outcome is not None and run.outcome != run.wanted:
            yield f"stale: wanted {run.wanted}\n       got    {run.outcome}"


def _needless(case: Case) -> Iterator[str]:
    if not case.is_quiet:
        return
    traces = case.before.traces()
    intact = {name for name in case.before.whole if _blob(case.before, name) == _blob(case.after, name) is not None}

    # An index names the newest of equal calls alone: where that line is damaged, an older one is not found.
    blind = any(path.startswith("index/") and path in case.before.files for path in case.harmed)

    def loadable(key: str) -> bool:
        found = [] if blind else [traces[one] for one in case.known.computed.get(key, ()) if one in traces]
        return any(
            trace.status == "completed"
            and trace.result is not None
            and trace.result.blobs is not None
            and intact.issuperset(trace.result.blobs)
            for trace in found
        )

    for run in case.runs:
        if run.orders["mode"] != "auto":
            continue
        again = [
            body
            for body in run.executed
            if not run.open(body) and (loadable(body.key) or (case.calm and body.key in case.known.computed))
        ]
        if again:
            yield f"needless: computed although the result could be loaded: {again}; {dict(run.warnings)}"
        calls = [body.call for body in run.executed if not run.open(body)]
        if case.calm and len({*calls}) < len(calls):
            yield f"needless: a call was computed twice: {run.executed}"
        lineage = _lineage_of(run, case.after)
        if lineage is not None:
            yield from _needless_loads(lineage)


def _needless_loads(lineage: Lineage) -> Iterator[str]:
    taken = {link.signature for trace in lineage.traces if trace.decision is Decision.COMPUTE for link in trace.parents}
    for trace in lineage.traces:
        if trace.decision is Decision.LOAD and not trace.demanded and trace.signature not in taken:
            yield f"needless: {trace.task} (call {trace.call}) was loaded, and nobody needed it"


def _lineage(case: Case) -> Iterator[str]:
    for run in case.runs:
        if run.outcome is None or not case.is_quiet:
            continue
        lineages = [one for one in case.after.lineages if one.run.run_id == run.run_id]
        if len(lineages) != 1:
            yield f"lineage: {len(lineages)} lineages of the run {run.run_id}"
            continue
        yield from _checked_lineage(run, lineages[0], case)


def _checked_lineage(run: Ran, lineage: Lineage, case: Case) -> Iterator[str]:
    status = {"gave": "completed", "raised": "failed"}[run.outcome[0]]
    if lineage.run.status != status:
        yield f"lineage: the run is {lineage.run.status} where it {run.outcome[0]} something"
    computed = {body.call for body in run.executed}
    signatures = {trace.signature for trace in lineage.traces}
    for trace in lineage.traces:
        name = f"{trace.task} (call {trace.call})"
        ran = trace.call in computed or trace.task_run_id in computed
        if ran and trace.decision is not Decision.COMPUTE:
            yield f"lineage: {name} ran, and is told to be {trace.decision.value}"
        if not ran and trace.decision is Decision.COMPUTE and trace.status == "completed":
            yield f"lineage: {name} is told to be computed, and did not run"
        if trace.demanded and trace.decision is Decision.PRUNE and not _inline(trace):
            yield f"lineage: {name} was demanded, and is told to be pruned"
        for link in trace.parents:
            if link.signature not in signatures:
                yield f"lineage: {name} takes {link.parameter} from a step that is not there"
        if trace.stored and len(case.runs) == 1 and not _is_there(trace, case.after):
            yield f"lineage: {name} is told to be stored, and is not"
        if trace.computed_in and trace.computed_in not in {one.run.run_id for one in case.after.lineages}:
            yield from () if not case.calm else (f"lineage: {name} was computed in a run that is not there",)
    known = {trace.call for trace in lineage.traces} | {trace.task_run_id for trace in lineage.traces}
    if not computed <= known:
        yield f"lineage: bodies ran that it does not tell of: {computed - known}"


def _store(case: Case) -> Iterator[str]:
    for name in case.after.sizes.keys() - case.after.whole:
        path = f"blobs/{name[:2]}/{name}"
        if path not in case.harmed:
            yield f"store: {path} is not what was written"
        elif case.harmed[path] not in (None, case.after.files[path]):
            yield f"store: {path} was damaged by hand, was written again, and is not what was written"
    for problem in case.after.problems:
        if not any(path in problem for path in case.harmed):
            yield f"store: {problem}"


def _budget(case: Case) -> Iterator[str]:
    if not case.is_quiet:
        return
    budget_bytes = max(run.orders["budget"] for run in case.runs)
    ours = {run.run_id for run in case.runs}
    others = [blobs for run_id, blobs in case.before.leased.items() if run_id not in ours]
    leased_bytes = sum(case.after.sizes.get(name, 0) for name in set().union(*others))
    held_bytes = sum(case.after.sizes.values())
    if held_bytes > budget_bytes + leased_bytes:
        yield f"budget: {held_bytes} bytes are held, {leased_bytes} of them for dead runs; {budget_bytes} may be"
    for run in case.runs if len(case.runs) == 1 else ():
        before_bytes = sum(case.before.sizes.values())
        if run.most_bytes > max(budget_bytes, before_bytes):
            yield f"budget: {run.most_bytes} bytes were held meanwhile; {budget_bytes} may be"


def _left(case: Case) -> Iterator[str]:
    if not case.is_quiet:
        return
    ours = {run.run_id for run in case.runs}
    for path in case.after.files:
        folder, _, rest = path.partition("/")
        if folder == ".aside" and path not in case.before.files:
            yield f"left: {path}"
        if folder in ("leases", "journal") and rest.partition("/")[0].removesuffix(".json") in ours:
            yield f"left: {path}"


def _told(case: Case) -> Iterator[str]:
    for run in case.runs:
        if run.mismatched:
            yield f"told: {run.mismatched} gave another result than was recorded"
        if run.escaped:
            yield f"told: raised in threads: {run.escaped}"
        for key in ("keeping", "components"):
            if key in run.warnings and not run.trouble:
                yield f"told: {run.warnings[key]}"


def _lineage_of(run: Ran, after: Snapshot) -> Lineage | None:
    return next((one for one in after.lineages if one.run.run_id == run.run_id), None)


def _blob(found: Snapshot, name: str) -> Stat | None:
    return found.files.get(f"blobs/{name[:2]}/{name}")


def _is_there(trace: Trace, after: Snapshot) -> bool:
    blobs = trace.result.blobs if trace.result else None
    return blobs is not None and after.sizes.keys() >= {*blobs}


def _inline(trace: Trace) -> bool:
    return trace.result is not None and trace.result.inline is not None and not trace.result.leaves
