from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prefect_helix.core.change import Change, Changed, Summary
from prefect_helix.core.errors import StoreError
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import (
    Argument,
    Leaf,
    Lineage,
    ParentLink,
    Result,
    Run,
    Trace,
    run_to_json,
    trace_to_json,
)
from prefect_helix.core.remarks import Note, Remarks, Tag
from prefect_helix.core.rulings import Acceptance, Revocation, Rulings
from prefect_helix.core.written import Withdrawal, record_to_json
from prefect_helix.storage.blob import checksum
from prefect_helix.storage.catalog import GRACE_US, Catalog
from prefect_helix.storage.journals import JOINED
from prefect_helix.storage.known import COVERED_LINEAGES, Known
from prefect_helix.storage.segments import encode_line
from prefect_helix.storage.store import Store, open_store

STORES: dict[str, Callable[[Path], Store]] = {
    "local": lambda folder: open_store(folder / "store"),
    "memory": lambda folder: open_store(f"memory://helix-{uuid.uuid4().hex}/store"),
}
NAME = "ab" * 16


@pytest.fixture(params=STORES.values(), ids=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return request.param(tmp_path)


@pytest.fixture
def catalog(store: Store) -> Catalog:
    return Catalog(store)


SUMMARY = Summary(2, 1, 0, 1, 12, None, 9, 7, "run-0", (Changed("fit", Change("code", "fit", "a", "b"), 2),), 3)


def make_run(run_id: str = "run-1", **changes: Any) -> Run:
    run = Run(
        run_id=run_id,
        flow="census",
        name="brave-newt",
        status="completed",
        started_us=1_700_000_000_000_000,
        finished_us=1_700_000_000_500_000,
        parameters={"path": "ab", "reg": "cd"},
        shown_parameters={"path": "'größer.csv\\n'", "reg": "0.1"},
        prior_run_id=None,
        mode="auto",
        policy="auto",
        budget_bytes=10**10,
        metrics={"accuracy": 0.9, "count": 3.0, "unbounded": float("inf")},
        versions={"python": "3.11"},
        problems=("One thing.",),
        summary=SUMMARY,
    )
    return dataclasses.replace(run, **changes)


def make_trace(call: int = 0, **changes: Any) -> Trace:
    trace = Trace(
        task="fit",
        key="census:fit",
        call=call,
        signature=f"signature-{call}",
        fingerprint="f",
        arguments=(Argument("reg", "d", "flow_parameter", "reg", "0.1"),),
        literals="l",
        parents=(ParentLink("p", 0, "d", True, "rows"), ParentLink("q", None, None, False, "x")),
        wait_for=("w",),
        decision=Decision.COMPUTE,
        reason="the code of clean() changed",
        status="completed",
        result=Result("d", True, 12, "m:T", inline=b"\x00\xff", leaves=(Leaf("d", False, 3, "m:L", NAME),)),
        compute_us=12,
        load_us=None,
        demanded=True,
        started_us=5,
        changed_inputs=("rows",),
    )
    return dataclasses.replace(trace, **changes)


def lineage(run_id: str = "run-1", **changes: Any) -> Lineage:
    return Lineage(make_run(run_id, **changes), (make_trace(0), make_trace(1, result=None, status="failed")))


def test_an_empty_store_knows_nothing(catalog: Catalog) -> None:
    assert catalog.read() == Known({})


def test_lineages_come_back_equal_and_oldest_first(catalog: Catalog) -> None:
    later, earlier = lineage("a", started_us=10**15), lineage("b", started_us=9)
    catalog.commit(later)
    catalog.commit(earlier)
    known = catalog.read()
    assert known.lineages == (earlier, later)
    assert known.problems == ()


def test_a_journal_is_a_running_lineage_with_the_latest_trace_of_each_call(store: Store, catalog: Catalog) -> None:
    catalog.append(make_run(name="first", status="running"), [make_trace(1), make_trace(0, decision=Decision.PRUNE)])
    catalog.append(make_run(name="second", status="running"), [make_trace(0, decision=Decision.LOAD)])
    expected = Lineage(
        make_run(name="second", status="running"), (make_trace(0, decision=Decision.LOAD), make_trace(1))
    )
    assert catalog.read().lineages == (expected,)
    assert [entry.path for entry in store.list("journal")] == [
        "journal/run-1/00000000.jsonl",
        "journal/run-1/00000001.jsonl",
    ]


def test_a_run_that_was_killed_as_it_ended_has_the_status_it_was_about_to_have(catalog: Catalog) -> None:
    catalog.append(make_run(status="running"), [make_trace(0)])
    catalog.append(make_run(status="cancelled"), [])
    assert catalog.read().lineages == (Lineage(make_run(status="cancelled"), (make_trace(0),)),)


def test_a_resumed_run_goes_on_where_its_journal_ended(store: Store) -> None:
    Catalog(store).append(make_run(), [make_trace(0)])
    Catalog(store).append(make_run(), [make_trace(1)])
    store.delete("journal/run-1/00000000.jsonl")
    Catalog(store).append(make_run(), [make_trace(2)])
    assert [trace.call for trace in Catalog(store).read().lineages[0].traces] == [1, 2]


def test_a_long_journal_is_kept_in_few_segments_and_holds_all(store: Store, catalog: Catalog) -> None:
    counts = []
    for call in range(3 * JOINED):
        catalog.append(make_run(status="running"), [make_trace(call), make_trace(0, compute_us=call)])
        counts.append(len(store.list("journal")))
    assert counts[JOINED - 1] == JOINED, "who has listed them finds them"
    assert (max(counts), counts[-1]) == (2 * JOINED, JOINED + 2)
    (found,) = Catalog(store).read().lineages
    assert [trace.call for trace in found.traces] == list(range(3 * JOINED))
    assert found.traces[0].compute_us == 3 * JOINED - 1


def test_what_a_segment_that_failed_was_to_hold_again_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(store)

    def refuse(path: str, chunks: object) -> int:
        raise StoreError(store.url, "write", "no space is left")

    for call in range(2 * JOINED):
        with monkeypatch.context() as patched, contextlib.ExitStack() as expected:
            if call == JOINED - 1:
                patched.setattr(store, "write", refuse)
                expected.enter_context(pytest.raises(StoreError))
            catalog.append(make_run(status="running"), [make_trace(call)])
    (found,) = Catalog(store).read().lineages
    assert {*range(JOINED - 1)} <= {trace.call for trace in found.traces}


def test_commit_replaces_the_journal_of_its_run_only(store: Store, catalog: Catalog) -> None:
    catalog.append(make_run(), [make_trace(0)])
    catalog.append(make_run("run-10", status="running"), [make_trace(0)])
    catalog.commit(lineage())
    assert [entry.path for entry in store.list("journal")] == ["journal/run-10/00000000.jsonl"]
    assert [known.run.status for known in catalog.read().lineages] == ["completed", "running"]


def test_a_journal_left_beside_its_lineage_is_ignored_and_goes_after_a_day(store: Store, catalog: Catalog) -> None:
    catalog.commit(lineage())
    catalog.append(make_run(), [make_trace(7)])
    assert catalog.read().lineages == (lineage(),)
    (entry,) = store.list("journal")
    later_us = entry.modified_us + GRACE_US
    for running, now_us, left in (((), later_us, 1), (["run-1"], later_us + 1, 1), ((), later_us + 1, 0)):
        assert catalog.close_abandoned(running, now_us) == []
        assert len(store.list("journal")) == left


def test_the_journal_of_a_later_attempt_of_the_same_flow_run_counts(catalog: Catalog) -> None:
    catalog.commit(lineage(status="suspended"))
    resumed = make_run(status="running", started_us=1_700_000_001_000_000)
    catalog.append(resumed, [make_trace(7)])
    assert catalog.read().lineages == (lineage(status="suspended"), Lineage(resumed, (make_trace(7),)))


def test_a_run_that_ends_while_the_catalog_is_read_is_seen(
    store: Store, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.append(make_run(status="running"), [make_trace(0)])
    read = store.read

    def read_late(path: str) -> bytes:
        if path.startswith("journal"):
            monkeypatch.undo()
            Catalog(store).commit(lineage())
        return read(path)

    monkeypatch.setattr(store, "read", read_late)
    assert catalog.read().lineages == (lineage(),)


def test_concurrent_appends_lose_nothing(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda call: catalog.append(make_run(), [make_trace(call)]), range(40)))
    assert [trace.call for trace in catalog.read().lineages[0].traces] == list(range(40))


# Damage. The written traces are the only ones that may ever be read.


def written_segment(kind: str, store: Store) -> tuple[str, bytes]:
    """Write one segment; return its path and its bytes."""
    if kind == "lineage":
        Catalog(store).commit(lineage())
    else:
        Catalog(store).append(make_run(status="running"), lineage().traces)
    (entry,) = store.list(kind)
    return entry.path, store.read(entry.path)


def flipped(whole: bytes) -> list[bytes]:
    # The last byte only ends the last line.
    return [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole) - 1)]


def truncated(whole: bytes) -> list[bytes]:
    return [whole[:size] for size in range(len(whole) - 1)]


@pytest.mark.parametrize("damage", [flipped, truncated])
@pytest.mark.parametrize("kind", ["lineage", "journal"])
def test_no_damage_raises_or_alters_a_trace_and_all_is_told(
    kind: str, damage: Callable[[bytes], list[bytes]], store: Store
) -> None:
    path, whole = written_segment(kind, store)
    store.delete(path)
    damaged = {f"{kind}/{at}/{at}.jsonl": data for at, data in enumerate(damage(whole))}
    for path, data in damaged.items():
        store.write(path, [data])
    known = Catalog(store).read()
    assert known.lineages
    for found in known.lineages:
        assert dataclasses.replace(found.run, status="completed") == make_run()
        assert all(trace in lineage().traces for trace in found.traces)
    assert {problem.split(" is damaged")[0] for problem in known.problems} == set(damaged)
    assert all("computed again" in problem for problem in known.problems)


def test_a_removed_line_is_told(store: Store) -> None:
    path, whole = written_segment("lineage", store)
    head, first, _ = whole.splitlines(keepends=True)
    store.write(path, [head, first])
    known = Catalog(store).read()
    assert known.lineages == (Lineage(make_run(), lineage().traces[:1]),)
    assert known.problems == (f"{path} is damaged: 1 of 2 traces can be read; the others are computed again.",)


def test_a_deleted_segment_is_a_run_less(store: Store) -> None:
    store.delete(written_segment("lineage", store)[0])
    assert Catalog(store).read() == Known({})


def test_a_damaged_lineage_leaves_the_others_readable(store: Store, catalog: Catalog) -> None:
    catalog.commit(lineage("a", started_us=1))
    catalog.commit(lineage("b", started_us=2))
    store.write(f"lineage/{1:020}-a.jsonl", [b"\xff\x00garbage"])
    known = Catalog(store).read()
    assert [found.run.run_id for found in known.lineages] == ["b"]
    assert len(known.problems) == 1


def test_a_lineage_deleted_while_it_is_read_is_a_run_less(
    store: Store, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.commit(lineage())
    entries = store.list("lineage")
    store.delete(entries[0].path)
    monkeypatch.setattr(store, "list", lambda folder: entries if folder == "lineage" else [])
    assert Catalog(store).read() == Known({})


def test_a_segment_that_cannot_be_read_is_told(store: Store, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> bytes:
        raise StoreError("s3://x", f"read {path}", "access was denied")

    catalog.commit(lineage())
    monkeypatch.setattr(store, "read", refuse)
    known = Catalog(store).read()
    assert known.lineages == ()
    assert "access was denied" in known.problems[0]


def test_the_journal_of_a_run_that_is_retried_is_read_anew(store: Store, catalog: Catalog) -> None:
    first, second = make_run(started_us=1, status="running"), make_run(started_us=10, status="running")
    catalog.append(first, [make_trace(0)])
    reader = Catalog(store)
    assert [len(found.traces) for found in reader.read().lineages] == [1]
    catalog.commit(Lineage(dataclasses.replace(first, status="failed"), (make_trace(0),)))
    Catalog(store).append(second, [make_trace(0), make_trace(1)])
    assert [len(found.traces) for found in reader.read().lineages] == [1, 2]


# Hostile content, with good checksums.


def raw_line(text: bytes) -> bytes:
    return b'["%b",%b]\n' % (checksum(text).hex().encode(), text)


def head_line(**changes: Any) -> bytes:
    return encode_line({"format": 1, "traces": 1, "run": run_to_json(make_run()), **changes})


def trace_line(**changes: Any) -> bytes:
    return encode_line({**trace_to_json(make_trace(0)), **changes})


DEEP = b"[" * 200_000 + b"]" * 200_000
BAD_TRACES = {
    "deep": raw_line(DEEP),
    "huge number": raw_line(json.dumps(trace_to_json(make_trace(0))).encode().replace(b'"call": 0', b'"call": 1e999')),
    "long number": raw_line(b"9" * 10_000),
    "int beyond 64 bits": trace_line(compute_us=1 << 64),
    "no object": raw_line(b"[1]"),
    "no JSON": raw_line(b"{"),
    "not UTF-8": raw_line(b'"\xff"'),
    "string for int": trace_line(call="0"),
    "bool for int": trace_line(compute_us=True),
    "float for int": trace_line(started_us=0.5),
    "null for string": trace_line(task=None),
    "list for string": trace_line(signature=["x"]),
    "unknown decision": trace_line(decision="guess"),
    "unknown status": trace_line(status="running"),
    "unknown field": trace_line(surprise=1),
    "number for list": trace_line(parents=3),
    "wrong parent": trace_line(parents=[{"signature": "x"}]),
    "wrong result": trace_line(result={"digest": 1}),
    "text for result": trace_line(result="text"),
    "no base64": trace_line(result={**trace_to_json(make_trace(0))["result"], "inline": "%%%"}),
    "missing field": encode_line({"task": "fit"}),
}


@pytest.mark.parametrize("line", BAD_TRACES.values(), ids=BAD_TRACES)
def test_a_line_that_is_no_trace_is_skipped_and_told(store: Store, catalog: Catalog, line: bytes) -> None:
    store.write("lineage/1-x.jsonl", [head_line(traces=2), line, trace_line()])
    known = catalog.read()
    assert known.lineages == (Lineage(make_run(), (make_trace(0),)),)
    assert known.problems == (
        "lineage/1-x.jsonl is damaged: 1 of 2 traces can be read; the others are computed again.",
    )


BAD_HEADS = {
    "deep": raw_line(DEEP),
    "no object": raw_line(b"[1]"),
    "text": raw_line(b'"format"'),
    "no version": encode_line({"run": run_to_json(make_run())}),
    "odd version": head_line(format="1"),
    "odd count": head_line(traces=[1]),
    "no run": head_line(run=3),
    "odd run": head_line(run={**run_to_json(make_run()), "metrics": {"accuracy": "high"}}),
    "odd parameters": head_line(run={**run_to_json(make_run()), "parameters": [1]}),
    "odd status": head_line(run={**run_to_json(make_run()), "status": ["completed"]}),
    "odd number": head_line(run={**run_to_json(make_run()), "started_us": None}),
}


@pytest.mark.parametrize("line", BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_segment_without_a_head_is_skipped_and_told(store: Store, catalog: Catalog, line: bytes) -> None:
    store.write("lineage/1-x.jsonl", [line, trace_line()])
    known = catalog.read()
    assert known.lineages == ()
    assert known.problems == ("lineage/1-x.jsonl is damaged in its first line; its results are computed again.",)


def test_a_newer_format_is_skipped_and_told(store: Store, catalog: Catalog) -> None:
    store.write("lineage/1-x.jsonl", [encode_line({"format": 2, "traces": 0, "anything": "else"})])
    known = catalog.read()
    assert known.lineages == ()
    assert "lineage/1-x.jsonl was written by a newer prefect-helix" in known.problems[0]


def test_foreign_files_are_ignored(store: Store, tmp_path: Path, catalog: Catalog) -> None:
    catalog.commit(lineage())
    store.write("lineage/notes.txt", [b"x"])
    if (tmp_path / "store").exists():
        (tmp_path / "store/lineage/odd name.jsonl").write_bytes(b"x")
    assert catalog.read().problems == ()


# Documents.


def test_documents_come_back_equal(catalog: Catalog) -> None:
    data = {"components": {"census:fit": "ab"}, "source": "naïve\n"}
    assert catalog.get_document("code", NAME) is None
    catalog.put_document("code", NAME, data)
    assert catalog.get_document("code", NAME) == data


def test_documents_are_written_once_and_healed(store: Store, catalog: Catalog) -> None:
    catalog.put_document("code", NAME, {"a": 1})
    catalog.put_document("code", NAME, {"a": 2})
    assert catalog.get_document("code", NAME) == {"a": 1}
    whole = store.read(f"code/{NAME}.json")
    for damaged in (b"", whole[:-2], whole.replace(b"1", b"2"), raw_line(b"[1]"), raw_line(DEEP)):
        store.write(f"code/{NAME}.json", [damaged])
        assert catalog.get_document("code", NAME) is None
    catalog.put_document("code", NAME, {"a": 2})
    assert catalog.get_document("code", NAME) == {"a": 2}


def test_a_run_of_an_early_version_is_read_without_what_it_did_not_write(store: Store, catalog: Catalog) -> None:
    early = {**run_to_json(make_run()), "scratch_us": 5}
    for name in ("summary", "changed", "host", "parent_run_id"):
        del early[name]
    store.write("lineage/1-run-1.jsonl", [encode_line({"format": 1, "traces": 0, "run": early})])
    known = catalog.read()
    assert known.problems == ()
    assert [lineage.run for lineage in known.lineages] == [make_run(summary=None)]


# -- rulings -----------------------------------------------------------------------------------------------------

RULINGS = (
    Acceptance("a", 1, "fit", "old", "new", "größer"),
    Revocation("r", 2, ("fit",), ("run-1",), 3, None, "bad disk"),
    Withdrawal("w", 3, "a"),
)


def test_rulings_come_back_equal_and_in_the_order_they_were_made(catalog: Catalog) -> None:
    for ruling in reversed(RULINGS):
        catalog.rule(ruling)
    known = catalog.read()
    assert (known.rulings, known.problems) == (Rulings(RULINGS), ())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-5],
        lambda data: data.replace(b"bad disk", b"bad risk"),
        lambda data: b"",
        lambda data: encode_line({"kind": "revocation", "id": "r"}),
        lambda data: encode_line({"kind": "amnesty", "id": "r", "at_us": 2}),
        lambda data: encode_line({**record_to_json(RULINGS[1]), "since_us": "3"}),
        lambda data: encode_line({**record_to_json(RULINGS[1]), "tasks": "fit"}),
        lambda data: encode_line({**record_to_json(RULINGS[1]), "kind": []}),
        lambda data: encode_line([]),  # type: ignore[arg-type]
    ],
)
def test_a_ruling_that_cannot_be_read_does_not_hold_and_is_told(
    store: Store, catalog: Catalog, damage: Callable[[bytes], bytes]
) -> None:
    for ruling in RULINGS:
        catalog.rule(ruling)
    path = "rulings/00000000000000000002-r.json"
    store.write(path, [damage(store.read(path))])
    known = catalog.read()
    assert known.rulings == Rulings((RULINGS[0], RULINGS[2]))
    (problem,) = known.problems
    assert problem.startswith(f"{path} is damaged, or was written by a newer prefect-helix")
    assert "revoke them anew" in problem


def test_a_store_that_refuses_a_ruling_cannot_be_read(
    store: Store, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.rule(RULINGS[1])
    read = Store.read

    def refuse(self: Store, path: str) -> bytes:
        if path.startswith("rulings/"):
            raise StoreError(self.url, f"read {path}", "Forbidden")
        return read(self, path)

    monkeypatch.setattr(Store, "read", refuse)
    with pytest.raises(StoreError, match="Forbidden"):
        catalog.read()


# -- remarks -----------------------------------------------------------------------------------------------------

REMARKS = (Tag("t", 1, "best", "run-1"), Note("n", 2, "run-1", "größer"), Withdrawal("w", 3, "n"))


def test_remarks_come_back_equal_and_in_the_order_they_were_made(catalog: Catalog) -> None:
    for remark in reversed(REMARKS):
        catalog.remark(remark)
    assert catalog.remarks() == (Remarks(REMARKS), ())


def test_a_remark_that_cannot_be_read_is_told_and_the_others_hold(store: Store, catalog: Catalog) -> None:
    for remark in REMARKS:
        catalog.remark(remark)
    path = "remarks/00000000000000000002-n.json"
    store.write(path, [store.read(path).replace(b"run-1", b"run-2")])
    remarks, (problem,) = catalog.remarks()
    assert remarks == Remarks((REMARKS[0], REMARKS[2]))
    assert problem.startswith(f"{path} is damaged")


def test_of_many_who_tag_at_once_every_reader_sees_the_same_one_and_no_note_is_lost(store: Store) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> None:
        catalog = Catalog(store)
        start.wait()
        catalog.remark(Tag(f"t{number}", 7, "best", f"run-{number}"))
        catalog.remark(Note(f"n{number}", 8, "run-1", str(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    read = [Catalog(store).remarks()[0] for _ in range(3)]
    assert {remarks.tags["best"].run for remarks in read} == {"run-7"}
    assert [note.text for note in read[0].notes_of("run-1")] == [str(number) for number in range(8)]


def test_a_second_attempt_leaves_what_a_killed_first_one_finished(store: Store) -> None:
    Catalog(store).append(make_run(started_us=1, status="running"), [make_trace(0), make_trace(1)])
    second = Catalog(store)
    second.append(make_run(started_us=10, status="running"), [make_trace(0)])
    second.commit(Lineage(make_run(started_us=10, status="failed"), (make_trace(0),)))
    found = Catalog(store).read().lineages
    assert [(one.run.status, len(one.traces)) for one in found] == [("crashed", 2), ("failed", 1)]
    assert store.list("journal") == []


def test_an_index_of_a_newer_release_is_left_to_it(store: Store) -> None:
    path = "index/00000064-ab.index"
    store.write(path, [encode_line({"format": 2, "sections": []})])
    known = Catalog(store).read()
    assert (known.useless, known.unread) == ((), (path,))


def test_a_lineage_of_a_newer_release_is_left_to_it(store: Store) -> None:
    path = "lineage/00000000000000000001-run-1.jsonl"
    store.write(path, [encode_line({"format": 2, "traces": 0, "run": {}})])
    known = Catalog(store).read()
    assert (known.useless, known.unread) == ((), (path,))


def test_what_cannot_be_read_now_is_told_apart_from_what_is_damaged(
    store: Store, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.commit(lineage())
    (entry,) = store.list("lineage")

    def refuse(self: Store, path: str) -> bytes:
        raise StoreError(self.url, f"read {path}", "TimeoutError")

    monkeypatch.setattr(Store, "read", refuse)
    assert Catalog(store).read().unread == (entry.path,)


def test_a_reader_remembers_no_more_than_it_reads(store: Store) -> None:
    reader, writer = Catalog(store), Catalog(store)
    for number in range(70):
        writer.commit(lineage(f"run-{number}"))
        reader.read()
    assert len(reader.read().lineages) == 70
    assert len(reader._segments) <= COVERED_LINEAGES
    assert len(reader._opened) == len(store.list("index"))


def test_a_killed_run_is_closed_only_where_all_of_its_journal_can_be_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, read = Catalog(store), Store.read
    for call in range(3):
        killed.append(make_run(status="running", finished_us=None), [make_trace(call)])
    late_us = max(entry.modified_us for entry in store.list("journal")) + GRACE_US + 1

    def refuse(self: Store, path: str) -> bytes:
        if path.endswith("00000001.jsonl"):
            raise StoreError(self.url, f"read {path}", "TimeoutError")
        return read(self, path)

    monkeypatch.setattr(Store, "read", refuse)
    assert Catalog(store).close_abandoned((), late_us) == []
    monkeypatch.setattr(Store, "read", read)
    (closed,) = Catalog(store).close_abandoned((), late_us)
    assert [trace.call for trace in closed.traces] == [0, 1, 2]
