"""A run that asks an index learns what a run learns that reads every lineage."""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.errors import StoreError
from prefect_helix.core.graph import Decision
from prefect_helix.core.history import History, identity
from prefect_helix.core.lineage import Argument, Leaf, Lineage, ParentLink, Result, Run, Trace
from prefect_helix.core.rulings import Acceptance, Revocation, Ruling, Rulings
from prefect_helix.core.summary import summarise
from prefect_helix.core.written import Withdrawal
from prefect_helix.storage import index as index_module
from prefect_helix.storage import index_writing, leases
from prefect_helix.storage import known as known_module
from prefect_helix.storage.catalog import GRACE_US, Catalog
from prefect_helix.storage.leases import Lease
from prefect_helix.storage.store import Store, open_store

STORES: dict[str, Callable[[Path], Store]] = {
    "local": lambda folder: open_store(folder / "store"),
    "memory": lambda folder: open_store(f"memory://helix-{uuid.uuid4().hex}/store"),
}
TASKS = ("scan", "clean", "fit")
EVERY_US = 1_000_000


@pytest.fixture(params=STORES.values(), ids=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return request.param(tmp_path)


@pytest.fixture(autouse=True)
def small_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes are written as soon as there are four lineages, in blocks of some lines, the front in two reads."""
    monkeypatch.setattr(known_module, "COVERED_LINEAGES", 4)
    monkeypatch.setattr(index_writing, "_BLOCK_BYTES", 2_000)
    monkeypatch.setattr(index_module, "_FRONT_BYTES", 1_000)


class Past:
    """Makes runs as they might have been: tasks in a chain whose code, arguments and outcomes change now and then."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made: dict[str, Trace] = {}
        self.runs = 0

    def run(self) -> Lineage:
        self.runs += 1
        started_us = self.runs * EVERY_US
        run_id = f"run-{self.runs}"
        traces: list[Trace] = []
        for call, task in enumerate(TASKS[: self.random.randint(1, len(TASKS))]):
            traces.append(self.trace(task, call, traces[-1] if traces else None, run_id, started_us + call))
        run = Run(
            run_id=run_id,
            flow=self.random.choice(["census", "shop"]),
            name=f"name-{self.runs}",
            status=self.random.choice(["completed", "completed", "failed"]),
            started_us=started_us,
            finished_us=started_us + 10,
            parameters={"reg": str(self.random.randint(0, 2))},
            shown_parameters={"reg": "0.1"},
            prior_run_id=None,
            mode="auto",
            policy="helix",
            budget_bytes=10,
        )
        return Lineage(run, tuple(traces))

    def trace(self, task: str, call: int, parent: Trace | None, run_id: str, at_us: int) -> Trace:
        version, literals = str(self.random.randint(0, 1)), f"literals {self.random.randint(0, 1)}"
        links = ()
        if parent is not None:
            known = parent.result if self.random.random() < 0.7 else None
            links = (ParentLink(parent.signature, None, known.digest if known else None, known is not None, "x"),)
        code = f"{task} {version}"
        signature = hash_parts(code, literals, *(link.signature for link in links))
        earlier = self.made.get(signature)
        if earlier is not None and self.random.random() < 0.6:
            decision = self.random.choice([Decision.LOAD, Decision.PRUNE])
            used = dataclasses.replace(earlier, call=call, parents=links, decision=decision, started_us=at_us)
            if decision is Decision.PRUNE:
                return used
            return dataclasses.replace(used, load_us=self.random.randint(1, 9000), loaded_bytes=9, loaded_blobs=1)
        failed = self.random.random() < 0.1
        digest = f"digest {self.random.random() < 0.1} of {signature}"
        result = Result(
            digest, self.random.random() < 0.8, 2_000_000, "m:T", leaves=(Leaf(digest, True, 9, "m:L", signature),)
        )
        trace = Trace(
            task=task,
            key=f"flows:{task}",
            call=call,
            signature=signature,
            fingerprint=code,
            arguments=(Argument("reg", literals),),
            literals=literals,
            parents=links,
            wait_for=(),
            decision=Decision.COMPUTE,
            reason="",
            status="failed" if failed else "completed",
            result=None if failed else result,
            compute_us=self.random.randint(1, 99),
            load_us=None,
            demanded=True,
            started_us=at_us,
            computed_at_us=at_us,
            computed_in=self.random.choice(["", run_id]),
            code="" if self.random.random() < 0.9 else f"{task} {1 - int(version)}",
        )
        if not failed:
            self.made[signature] = dataclasses.replace(trace, computed_in=run_id)
        return trace

    def ruling(self) -> Ruling:
        at_us, task = self.runs * EVERY_US, self.random.choice(TASKS)
        ruled = uuid.UUID(int=self.random.getrandbits(128)).hex[:8]
        match self.random.randint(0, 3):
            case 0:
                return Acceptance(ruled, at_us, task, f"{task} 0", f"{task} 1")
            case 1:
                return Revocation(ruled, at_us, tasks=(task,), since_us=at_us - 3 * EVERY_US)
            case 2:
                return Revocation(ruled, at_us, runs=(f"run-{self.random.randint(1, self.runs)}",))
        return Withdrawal(ruled, at_us, self.last)

    last = ""

    def ruled(self) -> Ruling:
        made = self.ruling()
        self.last = made.id
        return made


def distinct(found: Iterable[object]) -> list[object]:
    return list(dict.fromkeys(found))


def learned(history: History, signatures: set[str]) -> dict[str, Any]:
    """All that a run can learn, newest first; of what is alike only that it is there."""
    rulings = history.rulings
    calls = [(rulings.stands_for(f"{task} {v}"), f"literals {n}") for task in TASKS for v in (0, 1) for n in (0, 1)]
    return {
        "candidates": [list(dict.fromkeys(identity(t, rulings) for t in history.candidates(*call))) for call in calls],
        "revoked": [list(dict.fromkeys(identity(t, rulings) for t in history.revoked(*call))) for call in calls],
        "ambiguous": {signature for signature in signatures if history.ambiguous(signature)},
        "moot": {signature: history.renewed(signature, "f") for signature in signatures if history.moot(signature)},
        "proven": {f"{task} {v}" for task in TASKS for v in (0, 1) if history.proven(f"{task} {v}")},
        "costs": history.costs,
        "prior": [history.prior(flow, {"reg": str(n)}) for flow in ("census", "shop", "none") for n in (0, 1, 2)],
    }


@pytest.mark.parametrize("seed", range(12))
def test_with_and_without_an_index_the_same_is_learned(seed: int, tmp_path: Path) -> None:
    past, catalog = Past(seed), Catalog(open_store(tmp_path))
    everything: list[Lineage] = []
    rulings: list[Ruling] = []
    for _ in range(24):
        everything.append(past.run())
        catalog.commit(everything[-1])
        if past.random.random() < 0.15:
            rulings.append(past.ruled())
            catalog.rule(rulings[-1])
        known = catalog.read()
        assert (known.lineages, known.problems) == (tuple(everything), ())
        plain, indexed = History(everything, Rulings.of(rulings)), known.history()
        signatures = {trace.signature for lineage in everything for trace in lineage.traces}
        assert learned(indexed, signatures) == learned(plain, signatures)
        newest = past.trace("fit", 0, None, "now", past.runs * EVERY_US)
        for history in (plain, indexed):
            history.add(newest)
        assert learned(indexed, {*signatures, newest.signature}) == learned(plain, {*signatures, newest.signature})
    assert known.index is not None
    assert len(known.index.names) >= 20


def committed(catalog: Catalog, count: int, seed: int = 1) -> list[Lineage]:
    past = Past(seed)
    made = [past.run() for _ in range(count)]
    for lineage in made:
        catalog.commit(lineage)
    return made


def test_one_computation_proves_nothing_however_often_its_result_was_used_meanwhile(store: Store) -> None:
    past, catalog = Past(1), Catalog(store)
    result = Result("d", True, 2_000_000, "m:T", blob="b")
    made = next(trace for run in iter(past.run, None) for trace in run.traces if trace.decision is Decision.COMPUTE)
    going = past.run().run
    made = dataclasses.replace(made, status="completed", result=result, computed_in=going.run_id)
    used = dataclasses.replace(made, decision=Decision.LOAD)
    catalog.append(going, [made])
    for _ in range(4):
        catalog.commit(Lineage(past.run().run, (used,)))
    catalog.commit(Lineage(going, (made,)))
    assert len(store.list("index")) == 1
    assert not Catalog(store).read().history().proven(made.fingerprint)
    again = past.run().run
    catalog.commit(Lineage(again, (dataclasses.replace(made, computed_in=again.run_id),)))
    assert Catalog(store).read().history().proven(made.fingerprint)


def test_what_has_the_signature_comes_first_and_the_others_follow(tmp_path: Path) -> None:
    past, catalog = Past(4), Catalog(open_store(tmp_path))
    for _ in range(12):
        catalog.commit(past.run())
    history = catalog.read().history()
    for trace in past.made.values():
        call = trace.computed_by, trace.literals
        plain, found = [*history.candidates(*call)], [*history.candidates(*call, trace.signature)]
        signed = [one.signature == trace.signature for one in found]
        assert signed == sorted(signed, reverse=True)
        assert any(signed)
        assert sorted(found, key=plain.index) == plain


def test_an_index_alone_is_as_good_as_the_segments_it_covers(store: Store) -> None:
    made = committed(Catalog(store), 4)
    for entry in store.list("lineage"):
        store.delete(entry.path)
    known = Catalog(store).read()
    assert (known.lineages, known.recent, known.problems) == (tuple(made), {}, ())


def test_a_lost_index_is_made_again_from_the_segments(store: Store) -> None:
    catalog = Catalog(store)
    made = committed(catalog, 4)
    (entry,) = store.list("index")
    store.delete(entry.path)
    known = catalog.read()
    assert (known.lineages, known.index) == (tuple(made), None)
    catalog.compact()
    assert len(store.list("index")) == 1


def test_an_index_that_goes_on_from_another_holds_both(store: Store) -> None:
    catalog = Catalog(store)
    made = committed(catalog, 9)
    assert [int(entry.path[6:14]) for entry in store.list("index")] == [4, 8]
    for entry in store.list("lineage")[:8]:
        store.delete(entry.path)
    assert Catalog(store).read().lineages == tuple(made)


def test_an_index_that_goes_on_from_one_that_was_cut_short_holds_what_is_new(store: Store) -> None:
    past = Past(1)
    made = [past.run() for _ in range(8)]
    for lineage in made[:4]:
        Catalog(store).commit(lineage)
    Catalog(store).compact()
    (entry,) = store.list("index")
    store.write(entry.path, [store.read(entry.path)[:-9]])
    for lineage in made[4:]:
        Catalog(store).commit(lineage)
    Catalog(store).compact()
    assert [int(one.path[6:14]) for one in store.list("index")] == [4, 8]
    assert Catalog(store).read().lineages[4:] == tuple(made[4:])


def test_who_writes_an_index_does_not_matter(store: Store) -> None:
    made = committed(Catalog(store), 3)
    start = threading.Barrier(4)

    def compact(_: int) -> None:
        past = Past(99 + _)
        past.runs = 10 * (_ + 1)
        start.wait()
        catalog = Catalog(store)
        catalog.commit(past.run())
        catalog.compact()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(compact, range(4)))
    Catalog(store).compact()
    known = Catalog(store).read()
    assert known.problems == ()
    assert known.lineages[:3] == tuple(made)
    assert len(known.lineages) == 7
    assert len({lineage.run.run_id for lineage in known.lineages}) == 7


def test_lineages_that_only_a_smaller_index_covers_are_not_lost(store: Store, tmp_path: Path) -> None:
    first, second = Past(1), Past(2)
    second.runs = 50
    made = [[past.run() for _ in range(count)] for past, count in ((first, 5), (second, 4))]
    aside = open_store(f"memory://helix-{uuid.uuid4().hex}/aside")
    for place, lineages in ((store, made[0]), (aside, made[1])):
        for lineage in lineages:
            Catalog(place).commit(lineage)
    for place in (store, aside):
        Catalog(place).compact()
        for entry in place.list("lineage"):
            place.delete(entry.path)
    for entry in aside.list("index"):
        store.write(entry.path, [aside.read(entry.path)])
    catalog = Catalog(store)
    assert catalog.read().lineages == (*made[0], *made[1])
    catalog.compact()
    for entry in store.list("index")[:-1]:
        store.delete(entry.path)
    assert catalog.read().lineages == (*made[0], *made[1])


def test_what_is_covered_goes_after_a_day_and_not_before(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    made = committed(Catalog(store), 8)
    assert (len(store.list("lineage")), len(store.list("index"))) == (8, 2)
    for path in (tmp_path / "index").iterdir():
        os.utime(path, (path.stat().st_mtime - GRACE_US / 1e6 - 60,) * 2)
    past = Past(5)
    past.runs = 20
    later = [past.run() for _ in range(4)]
    for lineage in later:
        Catalog(store).commit(lineage)
        Catalog(store).compact()
    assert len(store.list("lineage")) == 4
    assert [int(entry.path[6:14]) for entry in store.list("index")] == [8, 12]
    assert Catalog(store).read().lineages == (*made, *later)


def test_of_many_indexes_the_newest_and_the_old_one_that_holds_most_are_opened(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    made = committed(Catalog(store), 20)
    assert [int(entry.path[6:14]) for entry in store.list("index")] == [4, 8, 12, 16, 20]
    for entry in store.list("index")[:2]:
        path = tmp_path / entry.path
        os.utime(path, (path.stat().st_mtime - GRACE_US / 1e6 - 60,) * 2)
    catalog = Catalog(store)
    catalog.compact()
    assert sorted(int(path[6:14]) for path in catalog._opened) == [8, 20]
    assert [int(entry.path[6:14]) for entry in store.list("index")] == [8, 12, 16, 20]
    assert len(store.list("lineage")) == 12
    assert Catalog(store).read().lineages == tuple(made)


def test_a_run_that_is_still_going_on_is_not_covered(store: Store) -> None:
    catalog = Catalog(store)
    past = Past(3)
    going = past.run()
    catalog.append(going.run, going.traces)
    for _ in range(4):
        catalog.commit(past.run())
    catalog.commit(going)
    assert going.run.run_id in {lineage.run.run_id for lineage in catalog.read().lineages}
    assert "running" not in {lineage.run.status for lineage in catalog.read().lineages}


def test_what_a_killed_run_left_is_closed_after_a_day_by_who_writes_an_index(tmp_path: Path) -> None:
    store, past = open_store(tmp_path), Past(3)
    catalog = Catalog(store)
    killed, quiet, going = (past.run() for _ in range(3))
    for lineage in (killed, quiet, going):
        begun = dataclasses.replace(lineage.run, status="running", finished_us=None)
        Catalog(store).append(begun, lineage.traces)
        leases.beat(store, Lease(begun.run_id, frozenset()))
    old = [*(tmp_path / "journal" / killed.run.run_id).iterdir(), tmp_path / "leases" / f"{killed.run.run_id}.json"]
    old += (tmp_path / "journal" / quiet.run.run_id).iterdir()  # it computes something for days
    for path in old:
        os.utime(path, (path.stat().st_mtime - GRACE_US / 1e6 - 60,) * 2)
    later = [past.run() for _ in range(4)]
    for lineage in later[:3]:
        catalog.commit(lineage)
    assert len(store.list("journal")) == 3
    catalog.commit(later[3])
    left = {quiet.run.run_id, going.run.run_id}
    assert {Path(entry.path).parent.name for entry in store.list("journal")} == left
    assert {Path(entry.path).stem for entry in store.list("leases")} == left
    found = {lineage.run.run_id: lineage for lineage in Catalog(store).read().lineages}
    assert (found[killed.run.run_id].run.status, found[killed.run.run_id].traces) == ("crashed", killed.traces)
    assert {found[run_id].run.status for run_id in left} == {"running"}


def test_one_large_run_is_worth_an_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_module, "COVERED_TRACES", 2)
    past = Past(1)
    Catalog(store).commit(next(run for run in iter(past.run, None) if len(run.traces) == 3))
    assert len(store.list("index")) == 1


def test_finding_runs_does_not_list_all_of_them_for_each(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = committed(Catalog(store), 8)
    history = Catalog(store).read().history()
    plain, listed = index_module.StoredIndex.heads.fget, []
    monkeypatch.setattr(index_module.StoredIndex, "heads", property(lambda one: listed.append(one) or plain(one)))
    assert history.runs({made[0].run.run_id}) == {made[0].run.run_id: made[0].run}
    assert len(listed) == 1


@pytest.mark.parametrize(
    ("traces", "covered", "ripe"),
    [
        (999, 0, False),
        (1_000, 0, True),
        (1_000, 16_000, True),
        (1_000, 100_000, False),
        (6_250, 100_000, True),
        (19_999, 10**9, False),
        (20_000, 10**9, True),
    ],
)
def test_a_large_index_is_not_written_again_for_each_large_run(traces: int, covered: int, ripe: bool) -> None:
    assert known_module.Backlog(1, traces, covered=covered).is_ripe is ripe


def test_what_an_index_covers_is_known_to_who_wrote_it_and_to_who_reads_it(store: Store) -> None:
    catalog = Catalog(store)
    made = committed(catalog, 5)
    traces = [len(lineage.traces) for lineage in made]
    expected = known_module.Backlog(1, traces[4], covered=sum(traces[:4]))
    assert catalog._backlog == Catalog(store).read().backlog == expected


# Damage.


def places(size_bytes: int) -> range:
    return range(0, size_bytes, max(size_bytes // 120, 1))


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_no_damage_to_an_index_raises_or_gives_what_was_not_written(damage: str, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    made = committed(Catalog(store), 4)
    (entry,) = store.list("index")
    whole = store.read(entry.path)
    for segment in store.list("lineage"):
        store.delete(segment.path)
    traces = {lineage.run.run_id: list(lineage.traces) for lineage in made}
    for at in places(len(whole)):
        store.write(
            entry.path, [whole[:at] if damage == "cut" else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]]
        )
        known = Catalog(store).read()
        for lineage in known.lineages:
            assert all(trace in traces[lineage.run.run_id] for trace in lineage.traces)
        history = known.history()
        for trace in traces["run-1"]:
            list(history.candidates(trace.fingerprint, trace.literals))
        lost = sum(map(len, traces.values())) - sum(len(lineage.traces) for lineage in known.lineages)
        assert lost or damage == "flip"


def test_a_damaged_index_is_told_and_made_again(store: Store) -> None:
    catalog = Catalog(store)
    made = committed(catalog, 4)
    (entry,) = store.list("index")
    store.write(entry.path, [b"no index"])
    known = catalog.read()
    assert known.lineages == tuple(made)
    (problem,) = known.problems
    assert problem.startswith(f"{entry.path} cannot be read")
    catalog.compact()
    assert Catalog(store).read().index is not None


def test_an_index_that_goes_while_a_run_uses_it_costs_computations_only(store: Store) -> None:
    made = committed(Catalog(store), 4)
    history = Catalog(store).read().history()
    for entry in store.list("index"):
        store.delete(entry.path)
    assert [*history.candidates(made[0].traces[0].fingerprint, made[0].traces[0].literals)] == []


def test_an_index_that_could_not_be_read_once_is_asked_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = committed(Catalog(store), 4)
    call = made[0].traces[0].computed_by, made[0].traces[0].literals
    expected = [*Catalog(store).read().history().candidates(*call)]
    history = Catalog(store).read().history()

    def refuse(*_: Any) -> bytes:
        raise StoreError(store.url, "read an index", "the server did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(store, "read_range", refuse)
        assert [*history.candidates(*call)] == []
    assert [*history.candidates(*call)] == expected != []


# What is read.


def test_a_run_reads_of_an_index_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"memory://helix-{uuid.uuid4().hex}/store")
    committed(Catalog(store), 40)
    monkeypatch.setattr(index_module, "_FRONT_BYTES", 1 << 20)
    asked: list[str] = []
    backend = store._backend
    for name in ("read", "read_range", "list"):

        def counted(*arguments: Any, _name: str = name) -> Any:
            asked.append(f"{_name} {arguments[0]}")
            return getattr(type(backend), _name)(backend, *arguments)

        monkeypatch.setattr(backend, name, counted)
    history = Catalog(store).read().history()
    assert history.prior("census", {"reg": "1"}).traces[:1]
    front = [one for one in asked if one.startswith("read_range")]
    assert len(front) == 1 + 1  # of the newest index the front, and the blocks of the prior run
    for _ in range(3):
        for task in TASKS:
            for version in (0, 1):
                list(history.candidates(f"{task} {version}", "literals 0"))
    assert len([one for one in asked if one.startswith("read_range")]) <= len(front) + index_module._SINGLE_READS + 2


def test_the_runs_of_an_index_are_listed_without_a_look_at_their_traces(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = Past(1)
    made = [past.run() for _ in range(4)]
    made = [dataclasses.replace(one, run=dataclasses.replace(one.run, summary=summarise(one, None))) for one in made]
    catalog = Catalog(store)
    for lineage in made:
        catalog.commit(lineage)
    for entry in store.list("lineage"):
        store.delete(entry.path)
    monkeypatch.setattr(index_module, "parse_trace", lambda line: pytest.fail("a trace was decoded"))
    known = Catalog(store).read()
    assert [lineage.run for lineage in known.lineages] == [lineage.run for lineage in made]
    assert all(lineage.run.summary for lineage in known.lineages)


class Meanwhile(dict[str, Any]):
    """What a catalog remembers, where something happens as soon as somebody has found something in it, once."""

    def __init__(self, remembered: dict[str, Any], happens: Callable[[], object]) -> None:
        super().__init__(remembered)
        self._happens = happens
        self._first = threading.Lock()

    def __contains__(self, key: object) -> bool:
        return bool(self._then(super().__contains__(key)))

    def get(self, key: str, default: Any = None) -> Any:
        return self._then(super().get(key, default))

    def _then(self, found: Any) -> Any:
        if found and self._first.acquire(blocking=False):
            self._happens()
        return found


@pytest.mark.parametrize("what", ["_segments", "_opened"])
def test_what_a_reader_has_found_stays_while_another_thread_reads_that_it_is_gone(what: str, store: Store) -> None:
    past, catalog, gone = Past(1), Catalog(store), []
    made = [past.run() for _ in range(4)]
    for lineage in made:
        Catalog(store).commit(lineage)
    if what == "_opened":
        Catalog(store).compact()
    catalog.read()

    def it_goes() -> None:
        if what == "_opened":
            store.delete_all(entry.path for entry in store.list("index"))
        else:
            Catalog(store).compact()  # what an index covers is not read any more
        with ThreadPoolExecutor(1) as another:
            another.submit(catalog.read).result()
        gone.append(what)

    setattr(catalog, what, Meanwhile(getattr(catalog, what), it_goes))
    assert [lineage.run for lineage in catalog.read().lineages] == [lineage.run for lineage in made]
    assert gone == [what]
