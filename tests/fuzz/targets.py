"""The table of readers: whoever reads stored bytes, what it is given here, and what it may raise.

A reader is added by a row. A row names the functions that parse in it, so that one that is in no row is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from typer.testing import CliRunner

from prefect_helix import cli
from prefect_helix.core.errors import ConfigurationError, CorruptError, ResultUnavailableError, StoreError
from prefect_helix.core.lineage import Copy
from prefect_helix.core.rulings import Rulings
from prefect_helix.core.sizes import budget_bytes
from prefect_helix.records import list_runs
from prefect_helix.runtime import arguments
from prefect_helix.runtime.results import skeleton_of
from prefect_helix.runtime.retrieving import retrieve
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage import inventory, leases, segments
from prefect_helix.storage.blob import DecodingError, check, checksum, header_bytes, stated_bytes
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.codec import decode, encode
from prefect_helix.storage.compression import decompressed
from prefect_helix.storage.copies import is_as_it_was, put_back
from prefect_helix.storage.index import StoredIndex
from prefect_helix.storage.index_parts import Block, Table
from prefect_helix.storage.segments import BadLineError
from prefect_helix.storage.store import Store, open_store
from prefect_helix.storage.verified import Verified, _boot
from prefect_helix.web.app import create_app
from prefect_helix.web.library import Library
from tests.fuzz.mutations import NUMBERS, altered, damaged, line
from tests.fuzz.sample import Sample
from tests.fuzz.sample import index_parts as parts_of

KEY = b"a key of 32 bytes, more or less."
MB = 1 << 20

Read = Callable[[Any], object]
Given = st.SearchStrategy[Any]


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: What it reads.
        given: What it is given: bytes, or the path of a file in the store and its bytes.
        read: Reads it.
        raises: What it may raise.
        covers: The functions that parse in it.
        share: How many of the usual examples it gets: one that takes long gets fewer.
        constant_bytes: What it may take whatever it is given.
    """

    name: str
    given: Callable[[Sample], Given]
    read: Callable[[Sample], Read]
    raises: tuple[type[Exception], ...] = ()
    covers: tuple[str, ...] = ()
    share: float = 1.0
    constant_bytes: int = 16 * MB


# -- what is given -----------------------------------------------------------------------------------------------------


def raw(*folders: str) -> Callable[[Sample], Given]:
    """Damaged files of these folders."""
    return lambda sample: damaged(sample.of(*folders))


def files(*folders: str) -> Callable[[Sample], Given]:
    """Files of these folders, damaged where they are or put there with right checksums by somebody else."""

    def given(sample: Sample) -> Given:
        ways = []
        for folder in folders:
            paths = st.sampled_from(sample.named(folder))
            ways.append(st.tuples(paths, damaged(sample.of(folder))))
            if folder == "index":
                ways.append(st.tuples(paths, indexes(sample)))
            elif folder != "blobs":
                ways.append(st.tuples(paths, forged(sample, folder)))
        return st.one_of(ways)

    return given


def forged(sample: Sample, folder: str) -> st.SearchStrategy[bytes]:
    """Files whose lines have right checksums."""
    written = [[segments.parse_line(one) for one in data.splitlines()] for data in sample.of(folder)]
    return st.sampled_from(written).flatmap(
        lambda lines: st.integers(0, len(lines) - 1).flatmap(
            lambda at: altered([lines[at]]).map(
                lambda text: b"".join(
                    line(text if number == at else json.dumps(one).encode()) for number, one in enumerate(lines)
                )
            )
        )
    )


@st.composite
def indexes(draw: st.DrawFn, sample: Sample) -> bytes:
    """Indexes whose checksums are right."""
    summary, tables, blocks = parts_of(draw(st.sampled_from(sample.of("index"))))
    match draw(st.sampled_from(("summary", "table", "blocks", "head"))):
        case "summary":
            text = draw(altered([summary]))
        case "table":
            number = draw(st.integers(0, 1))
            tables[number] = draw(damaged(tables))
            text = json.dumps(summary).encode()
        case "blocks":
            lines = zlib.decompress(blocks[0]).splitlines()
            changed = [segments.parse_line(one) for one in lines]
            lines[0] = draw(altered(changed)) if draw(st.booleans()) else draw(damaged(lines))
            blocks[0] = zlib.compress(line(lines[0]) + b"\n".join(lines[1:]))
            summary["blocks"][0] = Block.of(len(lines), blocks[0])
            text = json.dumps(summary).encode()
        case _:
            text = json.dumps(summary).encode()
    sections = [zlib.compress(text), *tables]
    head = {"format": 1, "sections": [[len(one), checksum(one).hex()] for one in sections]}
    first = draw(altered([head])) if draw(st.integers(0, 3)) == 0 else json.dumps(head).encode()
    return b"".join([line(first), *sections, *blocks])


@st.composite
def forged_headers(draw: st.DrawFn, sample: Sample) -> bytes:
    """Blobs whose headers have right checksums and say anything: how many parts, how long."""
    content = draw(st.sampled_from(sample.of("blobs")))
    sizes = draw(st.lists(st.sampled_from((*NUMBERS, 64, 128)), max_size=5))
    count = draw(st.sampled_from((len(sizes), 0, 1, 2**32 - 1)))
    facts = struct.pack("<8sII", content[:8], 1, count)
    facts += b"".join(struct.pack("<Q16s", size, checksum(b"")) for size in sizes)
    return facts + checksum(facts) + content[draw(st.integers(0, len(content))) :]


def compressed_blobs(method: str) -> Callable[[Sample], Given]:
    def given(sample: Sample) -> Given:
        written = []
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(folder, compression=method)
            for value in ("text" * 500, {"a": b"x" * 30_000, "b": list(range(300))}, bytearray(9 * MB)):
                store.put_blob(encode(value))
            written = [path.read_bytes() for path in sorted(Path(folder).glob("blobs/*/*"))]
        return damaged(written)

    return given


# -- readers of bytes --------------------------------------------------------------------------------------------------


def _decompress(data: bytes) -> object:
    return decode(decompressed(memoryview(data)))


def _header(data: bytes) -> None:
    name = checksum(data[: min(header_bytes(data), len(data)) - 16]).hex()
    stated_bytes(data, name=name)
    check(data, name=name)


def _verified(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"], before = cache, os.environ["XDG_CACHE_HOME"]
        try:
            verified = Verified("store")
            verified._file.parent.mkdir(parents=True)
            verified._file.write_bytes(data.replace(b"now", _boot().encode()))
            return verified.holds("blobs/ab/abcd", (1, 2, 3, 4))
        finally:
            os.environ["XDG_CACHE_HOME"] = before


VERIFIED_LINES = [
    b"blobs/ab/abcd 1 2 3 4 now\n" * 20,
    b"blobs/ab/abce 11 22 333 4444 now\nblobs/ab/abcd 1 2 3 4 now\n",
]


def _texts(sample: Sample) -> Given:
    numbers = st.sampled_from(("20GB", "512 MiB", "1e9", "-1", "9" * 400 + "GB", "9" * 5_000, "0.5TB", "nan", "inf"))
    return st.one_of(numbers, st.text(max_size=20), st.integers(), st.none(), st.booleans(), st.floats())


# -- readers of stores -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replaced(sample: Sample, path: str, data: bytes) -> Iterator[None]:
    """Have a file of the store hold something else for a while."""
    file = sample.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    try:
        yield
    finally:
        for found in sorted(sample.folder.rglob("*")):  # what readers wrote
            if found.is_file() and str(found.relative_to(sample.folder)) not in sample.files:
                found.unlink()
        for name, whole in sample.files.items():
            kept = sample.folder / name
            if name == path or not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(whole)


def in_store(read: Callable[[Store], object]) -> Callable[[Sample], Read]:
    """A reader of a store of which one file holds something else."""

    def given(sample: Sample) -> Read:
        def one(file: tuple[str, bytes]) -> object:
            with replaced(sample, *file):
                return read(open_store(sample.folder))

        return one

    return given


def _blobs(sample: Sample) -> Read:
    """Blobs under their own names or others', plainly and with a key; a canary must stay silent under all of them."""

    def read(data: bytes) -> None:
        header = checksum(data[: 16 + 24 * min(int.from_bytes(data[12:16], "little"), 1_000)]).hex()
        problems = []
        for name in {sample.named("blobs")[0].rpartition("/")[2], header}:
            path = f"blobs/{name[:2]}/{name}"
            with replaced(sample, path, data):
                for key in (None, KEY):
                    store = open_store(sample.folder, key=key)
                    for ask in (store.check_blob, store.has_blob, store.get_blob):
                        try:
                            ask(name)
                        except StoreError as error:
                            problems.append(error)

    return read


def _sealed(sample: Sample) -> Read:
    """What is not signed with the key is never given back."""

    def read(data: bytes) -> None:
        with replaced(sample, "results/one", data):
            whole = open_store(sample.folder).read("results/one")
            assert whole in (data, data[64:])
            open_store(sample.folder, key=KEY).read("results/one")
            raise AssertionError("it was not signed")

    return read


def _sealed_given(sample: Sample) -> Given:
    with replaced(sample, "results/one", b""):
        signed = open_store(sample.folder, key=KEY)
        signed.write("results/two", [b"content" * 30])
        return damaged([(sample.folder / "results/two").read_bytes()])


def _index(store: Store) -> None:
    (entry,) = [one for one in store.list("index") if one.path.endswith(".index")][:1]
    index = StoredIndex(store, entry.path, entry.size_bytes)
    for lineage in index.lineages:
        for trace in lineage.traces:
            [*index.calls([trace.computed_by], trace.literals)]
            [*index.signed(trace.signature)]
            [*index.rows_like(trace, Rulings())]
        [*lineage.traces.of("clean")]  # type: ignore[attr-defined]
    for row in (*index.call_table.rows, *index.signature_table.rows, 0, 10**6):
        index.trace(row)
    assert all(isinstance(block, bytes) for block in index.stored_blocks())


def _catalog(store: Store) -> None:
    catalog = Catalog(store)
    known = catalog.read()
    for lineage in known.lineages:
        assert all(trace.task for trace in lineage.traces) in (True, False)
    history = known.history()
    history.facts()
    history.prior("census", {})
    history.latest("census", 3)
    for lineage in known.lineages:
        for trace in lineage.traces:
            [*history.candidates(trace.computed_by, trace.literals, trace.signature)]
            [*history.revoked(trace.computed_by, trace.literals)]
            history.moot(trace.signature)
    leases.needed_blobs(leases.in_force(store))
    leases.expired(store, 1 << 62)
    held = inventory.inventory(known.lineages, store.blob_entries())
    inventory.grouped(held)
    inventory.superfluous(held, leased=(), now_us=1 << 60, to_bytes=0)
    [*inventory.of(held, flow="census", task=None, runs=())]
    assert len(known.problems) < 40


def _compaction(store: Store) -> None:
    """What is read is written again: an index of it, and lineages of runs that were killed."""
    catalog = Catalog(store)
    catalog.close_abandoned((), 1 << 60)
    known = catalog.read()
    catalog._write_index(known)
    again = Catalog(store).read()
    assert {one.run.run_id for one in known.lineages} <= {one.run.run_id for one in again.lineages}


def _documents(store: Store) -> None:
    catalog = Catalog(store)
    rulings, unruled = catalog.rulings()
    remarks, unread = catalog.remarks()
    assert len(rulings.all) + len(unruled) == 3 and len(remarks.all) + len(unread) == 3
    for code in ("clean-1", "clean-2"):
        assert rulings.stands_for(code) and rulings.members(code)
    for entry in store.list("code"):
        fingerprint = entry.path[5:-5]
        catalog.get_document("code", fingerprint)
        components = catalog.components_of(fingerprint)
        assert components is None or all(one.name is not None for one in components)


def _results(store: Store) -> None:
    """A recorded result as an object: what is asked for is loaded, so nothing but damaged bytes is given here."""
    known = Catalog(store).read()
    for lineage in known.lineages[-2:]:
        arguments.metrics(lineage.traces, lineage.run.metrics)
        for trace in lineage.traces:
            if trace.result:
                with contextlib.suppress(StoreError):
                    skeleton_of(trace.result, store.get_blob)
                with contextlib.suppress(ResultUnavailableError, StoreError):
                    retrieve(trace, trace.task, lineage.run.run_id, store=store, rulings=known.rulings)


def _copies(sample: Sample) -> Read:
    def read(text: bytes) -> None:
        try:
            copy = segments.checked(lambda fields: Copy(**fields), json.loads(text), Copy)
        except (BadLineError, ValueError, RecursionError):
            return
        before = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # whatever it names
            try:
                assert is_as_it_was(copy, lambda name: True) in (True, False)
                if not copy.path.startswith(("/", "~", "..")):
                    put_back(copy, lambda name: b"content")
            finally:
                os.chdir(before)

    return read


_COPY = {"path": "report.txt", "content": "ab" * 16, "size_bytes": 7, "mode": 0o644, "blob": "ab" * 16}


# -- faces -------------------------------------------------------------------------------------------------------------

PAGES = ("/", "/flow?name=census", "/store", "/compare?before=last~1&after=last", "/run?id=last", "/run?id=last~2")
STEPS = ("/step?run=last~1&call=0", "/step?run=last~1&call=1", "/step?run=last&call=2")
VERBS = (
    ("runs",), ("runs", "--json"), ("show", "last"), ("show", "last~1", "--json"), ("diff", "last~1", "last"),
    ("diff", "census", "--json"), ("metrics", "census"), ("why", "last~1", "clean"), ("rulings",),
    ("store", "ls"), ("store", "du"), ("store", "verify"), ("store", "gc", "--dry-run"),
)  # fmt: skip


def _pages(sample: Sample) -> Read:
    library = Library(resolve(FlowOptions(store=str(sample.folder))))
    app = create_app(library, [])

    def status(target: str) -> int:
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 4300),
        }  # fmt: skip
        sent: list[Any] = []
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            return next(asked, None) or await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        return int(sent[0]["status"])

    def read(file: tuple[str, bytes]) -> None:
        library._archive = None
        for kept in library._made.values():
            kept.clear()
        with replaced(sample, *file):
            for target in (*PAGES, *STEPS):
                assert status(target) in (200, 404, 503), target

    return read


def _verbs(sample: Sample) -> Read:
    def read(file: tuple[str, bytes]) -> None:
        number = zlib.crc32(file[1]) % len(VERBS)
        with replaced(sample, *file):
            for verb in (VERBS[number], VERBS[number - 4], VERBS[number - 8]):
                outcome = CliRunner().invoke(cli.app, [*verb, "--store", str(sample.folder)])
                if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
                    raise AssertionError(f"{verb} broke") from outcome.exception
                outcome.stdout_bytes.decode()  # a terminal gets what it can show

    return read


def _records(store: Store) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that files are damaged
        runs = list_runs(store=store.url)
    for run in runs:
        told = (run.started, run.finished, run.spent, run.saved, run.summary, run.tags, run.notes, run.steps)
        assert str(told) and str(run) and run._repr_html_()
    for run in runs[:2]:
        with contextlib.suppress(LookupError):
            assert str(run.diff())


# -- runs --------------------------------------------------------------------------------------------------------------


def _run(sample: Sample) -> Read:
    """Whatever is damaged, a run gives what the flow gives from scratch."""
    wanted = {reg: repr(sample.work.scratch(reg=reg)) for reg in (0.1, 0.2, 0.3)}

    def read(file: tuple[str, bytes]) -> None:
        reg = (0.1, 0.2, 0.3)[len(file[1]) % 3]
        with replaced(sample, *file):
            run = sample.work.run(reg=reg)
        assert repr(run.value) == wanted[reg]

    return read


DOCUMENTS = ("lineage", "journal", "index", "code", "rulings", "remarks", "leases")


def plain(read: Read) -> Callable[[Sample], Read]:
    """A reader of bytes."""
    return lambda sample: read


def each_damaged(*folders: str) -> Callable[[Sample], Given]:
    """Any file, or one of these folders, damaged where it is."""

    def given(sample: Sample) -> Given:
        paths = st.sampled_from(sample.named(*folders) if folders else sorted(sample.files))
        return paths.flatmap(lambda path: st.tuples(st.just(path), damaged([sample.files[path]])))

    return given


TARGETS = (
    Target(
        "a blob",
        raw("blobs"),
        plain(decode),
        (DecodingError,),
        ("storage.blob:_table", "storage.blob:header_bytes"),
    ),
    Target("a blob to check", raw("blobs"), plain(lambda data: check(data, name="ab" * 16)), (DecodingError,)),
    Target("a header", forged_headers, plain(_header), (DecodingError,), ("storage.blob:_table",)),
    Target(
        "a blob of zstd",
        compressed_blobs("zstd"),
        plain(_decompress),
        (DecodingError,),
        tuple(f"storage.compression:{name}" for name in ("_stored", "_inflated", "_zstd")),
        constant_bytes=48 * MB,
    ),
    Target(
        "a blob of lz4",
        compressed_blobs("lz4"),
        plain(_decompress),
        (DecodingError,),
        ("storage.compression:_lz4",),
        constant_bytes=48 * MB,
    ),
    Target(
        "blobs of a store",
        lambda sample: damaged(sample.of("blobs")) | forged_headers(sample),
        _blobs,
        covers=("storage.store:Store.get_blob", "storage.store:Store.check_blob"),
        share=0.3,
    ),
    Target("a sealed file", _sealed_given, _sealed, (CorruptError,)),
    Target(
        "a line",
        raw("lineage", "journal"),
        plain(segments.parse_line),
        (BadLineError,),
        ("storage.segments:parse_line",),
    ),
    Target(
        "a trace",
        lambda sample: altered(sample.lines("lineage")).map(lambda text: line(text)[:-1]),
        plain(segments.parse_trace),
        (BadLineError,),
        ("storage.segments:parse_trace",),
    ),
    Target(
        "a segment",
        lambda sample: damaged(sample.of("lineage", "journal")) | forged(sample, "lineage"),
        plain(lambda data: segments.parse_segment("path", data)),
        covers=("storage.segments:parse_segment",),
    ),
    Target(
        "a table",
        lambda sample: st.binary(max_size=300),
        plain(Table.parse),
        (ValueError,),
        ("storage.index_parts:Table.parse",),
    ),
    Target(
        "an index",
        files("index"),
        in_store(_index),
        (BadLineError, StoreError),
        (
            *(f"storage.index:StoredIndex.{name}" for name in ("_open", "_run", "_inflate", "_parsed")),
            "storage.index_parts:inflated",
        ),
        constant_bytes=24 * MB,
    ),
    Target(
        "a catalog",
        files("lineage", "journal", "index", "leases", "rulings"),
        in_store(_catalog),
        covers=("storage.leases:_read", "storage.catalog:Catalog._read_segment"),
        share=0.5,
        constant_bytes=24 * MB,
    ),
    Target(
        "a catalog that is written on",
        files("lineage", "journal", "index"),
        in_store(_compaction),
        share=0.3,
        constant_bytes=24 * MB,
    ),
    Target(
        "documents",
        files("code", "rulings", "remarks"),
        in_store(_documents),
        covers=("storage.documents:Documents._read_record", "storage.documents:Documents.get_document"),
        share=0.7,
    ),
    Target(
        "results",
        each_damaged("blobs", "lineage", "journal"),
        in_store(_results),
        covers=("runtime.results:skeleton_of", "runtime.arguments:_returned_numbers"),
        share=0.3,
        constant_bytes=24 * MB,
    ),
    Target("a copied file", lambda sample: altered([_COPY]), _copies, (StoreError,)),
    Target(
        "what was verified",
        lambda sample: damaged(VERIFIED_LINES),
        plain(_verified),
        covers=("storage.verified:Verified._known",),
    ),
    Target("a budget", _texts, plain(budget_bytes), (ConfigurationError,)),
    Target("pages", files(*DOCUMENTS, "blobs"), _pages, share=0.2, constant_bytes=96 * MB),
    Target("the command line", files(*DOCUMENTS, "blobs"), _verbs, share=0.2, constant_bytes=96 * MB),
    Target(
        "records",
        files("lineage", "journal", "index", "remarks"),
        in_store(_records),
        share=0.2,
        constant_bytes=96 * MB,
    ),
    Target("a run", each_damaged(), _run, share=0.3, constant_bytes=96 * MB),
)
