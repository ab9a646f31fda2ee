"""A store with a short story in it, and the pages without a server: requests as they come from the network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

import pytest

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Leaf, Lineage, ParentLink, Result, Run, Trace
from prefect_helix.core.remarks import Note, Tag
from prefect_helix.core.summary import summarise
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import Store, open_store
from prefect_helix.web.app import create_app
from prefect_helix.web.library import Library

SECOND_US = 1_000_000
START_US = 1_790_000_000 * SECOND_US


def run_id(number: int) -> str:
    return f"{number}1111111-1111-4111-8111-11111111111{number}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Site:
    """The pages of a store, and three of its runs."""

    FIRST, SECOND, THIRD = map(run_id, (1, 2, 3))

    def __init__(self, folder: Path, names: Sequence[str] = ()) -> None:
        self.folder = folder
        self.store = open_store(str(folder))
        self.catalog = Catalog(self.store)
        self.library = Library(resolve(FlowOptions(store=str(folder))))
        self.app = create_app(self.library, names)

    def get(self, path: str, **values: Any) -> Answer:
        return self.ask(f"{path}?{urlencode(values)}" if values else path)

    def ask(self, target: str, *, method: str = "GET", host: str | None = "127.0.0.1") -> Answer:
        """Send a request whose target goes as it is, so that nothing mends it on its way."""
        raw_path, _, query = target.encode("utf-8", "surrogateescape").partition(b"?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"), "raw_path": raw_path,
            "query_string": query, "root_path": "", "headers": [(b"host", host.encode())] if host is not None else [],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 4300),
        }  # fmt: skip
        sent: list[Any] = []

        waiting = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.Event().wait()  # whoever asks goes on listening
            return waiting.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    """Makes the pages of the store of this test, which goes by the names given."""
    return lambda *names: Site(tmp_path / "store", names)


MakeTrace = Callable[..., Trace]
MakeRun = Callable[..., Lineage]


@pytest.fixture
def make_trace() -> MakeTrace:
    """A step that was computed in one second."""
    return a_trace


@pytest.fixture
def make_run() -> MakeRun:
    """A completed run of the flow "census"."""
    return a_run


def a_trace(task: str, call: int, code: str, parents: Sequence[Trace] = (), **fields: Any) -> Trace:
    signature = f"{task}:{code}:{':'.join(parent.signature for parent in parents)}"
    blob = hash_parts(signature)
    values: dict[str, Any] = {
        "arguments": (Argument("column", "d1", shown="'age'"),),
        "literals": "literals",
        "wait_for": (),
        "decision": Decision.COMPUTE,
        "reason": f"the code of {task} changed",
        "status": "completed",
        "result": Result(blob, True, 52_000, "pandas:DataFrame", b"x", leaves=(Leaf(blob, True, 52_000, "a:B", blob),)),
        "compute_us": SECOND_US,
        "load_us": None,
        "demanded": False,
        "started_us": START_US,
        "stored": True,
    }
    return Trace(
        task=task,
        key=f"flows.census:{task}",
        call=call,
        signature=signature,
        fingerprint=code,
        parents=tuple(ParentLink(p.signature, None, p.signature, True, p.task) for p in parents),
        **{**values, **fields},
    )


def a_run(number: int, traces: Sequence[Trace], prior: Lineage | None = None, **fields: Any) -> Lineage:
    values: dict[str, Any] = {
        "run_id": run_id(number),
        "flow": "census",
        "name": f"cobalt-otter-{number}",
        "status": "completed",
        "started_us": START_US + number * 60 * SECOND_US,
        "finished_us": START_US + (number * 60 + 30) * SECOND_US,
        "parameters": {"reg": "a"},
        "shown_parameters": {"reg": "0.1"},
        "prior_run_id": prior.run.run_id if prior else None,
        "mode": "auto",
        "policy": "auto",
        "budget_bytes": 10**9,
        "metrics": {"accuracy": 0.8 + number / 100},
        "versions": {"python": "3.11"},
    }
    lineage = Lineage(Run(**{**values, **fields}), tuple(traces))
    return Lineage(replace(lineage.run, summary=summarise(lineage, prior, 52_000)), lineage.traces)


def write_code(catalog: Catalog, code: str, name: str, source: str) -> None:
    """Record what a fingerprint is made of."""
    component = {
        "name": f"flows.census.{name}", "kind": "function", "hash": code, "file": "/home/ada/census.py", "line": 12,
        "source": source, "via": "",
    }  # fmt: skip
    catalog.put_document("code", code, {"components": [component]})


def write_blobs(store: Store, traces: Sequence[Trace]) -> None:
    """Put the results of these steps in the store; nobody loads them."""
    for trace in traces:
        for name in trace.result.kept if trace.result else ():
            store.write(f"blobs/{name[:2]}/{name}", [b"x" * 1_000])


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """Three versions: in the second `clean` is another, `check` is gone and `report` new; the third has another reg."""
    made = make_site()
    scan = a_trace("scan", 0, "scan1", reason="no earlier call of scan to compare with")
    clean = a_trace("clean", 1, "clean1", [scan])
    check = a_trace("check", 2, "check1", [clean])
    fit = a_trace("fit", 3, "fit1", [clean])
    first = a_run(1, [scan, clean, check, fit])

    pruned = replace(
        scan,
        decision=Decision.PRUNE,
        reason="unchanged, and not needed",
        computed_in=made.FIRST,
        computed_at_us=START_US,
    )
    loaded = replace(pruned, decision=Decision.LOAD, load_us=20_000, reason="unchanged, and needed")
    clean = a_trace("clean", 1, "clean2", [scan])
    fit = a_trace("fit", 2, "fit1", [clean], reason="input clean changed")
    report = a_trace("report", 3, "report1", [fit], reason="no earlier call of report to compare with")
    second = a_run(2, [loaded, clean, fit, report], first)

    kept = [replace(one, decision=Decision.PRUNE, reason="unchanged, and not needed") for one in (clean, report)]
    refit = a_trace("fit", 2, "fit1", [clean], status="failed", reason="argument reg changed: 0.1 → 0.5", result=None)
    third = a_run(
        3, [pruned, kept[0], refit, kept[1]], second, status="failed", metrics={}, problems=("fit ran out of memory.",),
        parameters={"reg": "b"}, shown_parameters={"reg": "0.5"},
    )  # fmt: skip
    for lineage in (first, second, third):
        made.catalog.commit(lineage)
    write_blobs(made.store, second.traces)
    write_code(made.catalog, "clean1", "clean", "def clean(rows):\n    return rows.dropna()\n")
    write_code(made.catalog, "clean2", "clean", "def clean(rows):\n    return rows.fillna(0)\n")
    made.catalog.remark(Tag("t1", START_US, "best", made.SECOND))
    made.catalog.remark(Note("n1", START_US, made.SECOND, "beats the baseline"))
    return made
