"""How long each page of `prefect-helix ui` takes on a store with many runs: the first time, and again.

    python benchmarks/web_pages.py [RUNS] [STEPS]

The store is made without running anything. Every run has one change: a task's code, or a parameter. Of each page the
first answer of a fresh server is measured, which has only opened the store, and the median of those that follow; beside
each the time that the processor was busy with it, which other work of the machine does not change.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import httpx

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Leaf, Lineage, ParentLink, Result, Run, Trace
from prefect_helix.core.summary import summarise
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import Store, open_store
from prefect_helix.web.app import create_app
from prefect_helix.web.library import Library

FLOWS = 5
TASKS = 20
REPEATS = 5
MINUTE_US = 60_000_000
START_US = 1_780_000_000_000_000


def runs(count: int, steps: int) -> Iterator[Lineage]:
    """Yield runs of some flows in turn, each about as large as one of a real flow."""
    prior: dict[str, Lineage] = {}
    for number in range(count):
        lineage = one_run(number, steps, prior.get(f"flow {number % FLOWS}"))
        prior[lineage.run.flow] = lineage
        yield lineage


def one_run(number: int, steps: int, prior: Lineage | None) -> Lineage:
    """Return a run in which one task of the flow has other code than before."""
    flow, version = f"flow {number % FLOWS}", number // FLOWS
    started_us = START_US + number * 10 * MINUTE_US
    known = {trace.signature: trace for trace in prior.traces} if prior else {}
    traces: list[Trace] = []
    for call in range(steps):
        task = f"task_{call % TASKS}"
        code = fingerprint(flow, call % TASKS, version)
        literals = hash_parts("literals", str(call))
        parents = tuple(
            ParentLink(one.signature, None, one.result.digest if one.result else None, True, f"rows_{i}")
            for i, one in enumerate(traces[-min(call % 7, 2) - 1 :: -5][:2])
        )
        signature = hash_parts(code, literals, *(link.signature for link in parents))
        before = known.get(signature)
        decision = Decision.COMPUTE if before is None else (Decision.LOAD, Decision.PRUNE)[call % 3 > 0]
        blob = hash_parts("blob", signature)
        leaf = Leaf(blob, True, 50_000 * (call % 17 + 1), "pandas:DataFrame", blob)
        run_id = hash_parts("run", str(number))
        traces.append(
            Trace(
                task=task,
                key=f"flows.shop:{task}",
                call=call,
                signature=signature,
                fingerprint=code,
                arguments=(Argument("part", literals, shown=str(call)),),
                literals=literals,
                parents=parents,
                wait_for=(),
                decision=decision,
                reason="unchanged, and not needed" if before else f"the code of {task} changed",
                status="completed",
                result=Result(
                    blob, True, leaf.size_bytes, "pandas:DataFrame", b"skeleton", leaves=(leaf,), standin=True
                ),
                compute_us=2_000_000 + call * 7_919 % 900_000,
                load_us=20_000 if decision is Decision.LOAD else None,
                demanded=False,
                started_us=started_us + call,
                computed_at_us=before.computed_at_us if before else started_us + call,
                computed_in=before.computed_in if before else run_id,
                stored=True,
            )
        )
    run = Run(
        run_id=run_id,
        flow=flow,
        name=f"brave-newt-{number}",
        status="completed",
        started_us=started_us,
        finished_us=started_us + MINUTE_US,
        parameters={"path": hash_parts("path"), "reg": hash_parts(str(version % 3))},
        shown_parameters={"path": "'sales.csv'", "reg": f"0.{version % 3}"},
        prior_run_id=prior.run.run_id if prior else None,
        mode="auto",
        policy="auto",
        budget_bytes=10**10,
        metrics={"accuracy": 0.8 + number % 37 / 400, "loss": 0.4 - number % 23 / 90, "rows": 48_842.0},
        versions={"python": "3.11", "pandas": "3.1", "platform": "Linux-6.1-x86_64"},
    )
    lineage = Lineage(run, tuple(traces))
    return Lineage(replace(run, summary=summarise(lineage, prior, 10_000_000)), lineage.traces)


def fingerprint(flow: str, task: int, version: int) -> str:
    """Return the code of a task in a version: every version edits the next task."""
    return hash_parts("code", flow, str(task), str((version + TASKS - 1 - task) // TASKS))


def fill(store: Store, count: int, steps: int) -> list[Lineage]:
    """Write the runs, the code of their tasks and the newest results, which are small."""
    catalog = Catalog(store)
    lineages = list(runs(count, steps))
    for lineage in lineages:
        catalog.commit(lineage)
    for code, task in {(trace.fingerprint, trace.task) for lineage in lineages for trace in lineage.traces}:
        source = f"def {task}(rows):\n" + "".join(f"    rows = rows.assign(c{i}=rows.a * {i})\n" for i in range(30))
        source += f"    return rows  # {code}\n"
        component = {
            "name": f"flows.shop.{task}", "kind": "function", "hash": code, "file": "shop.py", "line": 7,
            "source": source, "via": "",
        }  # fmt: skip
        catalog.put_document("code", code, {"components": [component]})
    names = dict.fromkeys(leaf.blob for one in lineages for trace in one.traces for leaf in trace.result.leaves)  # type: ignore[union-attr]
    for name in [*names][-3_000:]:
        store.write(f"blobs/{name[:2]}/{name}", [b"x" * 1_000])
    return lineages


def pages(lineages: list[Lineage]) -> dict[str, str]:
    """Return the path of each page by its name."""
    last = lineages[-1]
    run_id, before = last.run.run_id, last.run.prior_run_id or last.run.run_id
    first = lineages[(len(lineages) - 1) % FLOWS].run.run_id
    computed = next((t for t in last.traces if t.decision is Decision.COMPUTE), last.traces[0])
    pruned = next((t for t in last.traces if t.decision is Decision.PRUNE), last.traces[-1])
    addresses: dict[str, tuple[str, dict[str, object]]] = {
        "flows": ("/", {}),
        "versions of a flow": ("/flow", {"name": last.run.flow}),
        "a run": ("/run", {"id": run_id}),
        "a computed step": ("/step", {"run": run_id, "call": computed.call}),
        "a pruned step": ("/step", {"run": run_id, "call": pruned.call}),
        "a run and the last": ("/compare", {"before": before, "after": run_id}),
        "the first and the last": ("/compare", {"before": first, "after": run_id}),
        "the store": ("/store", {}),
    }
    return {name: f"{path}?{urlencode(values)}" for name, (path, values) in addresses.items()}


async def timed(folder: str, path: str) -> tuple[list[float], list[float], int]:
    """Return the times of the answers, the processor's share of them, and the size of the last answer in bytes."""
    library = Library(resolve(FlowOptions(store=folder)))
    app = create_app(library)
    library.archive()  # as the server does before it listens
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        times, busy = [], []
        for _ in range(1 + REPEATS):
            started, worked = time.perf_counter(), time.process_time()
            answer = await client.get(path)
            times.append(time.perf_counter() - started)
            busy.append(time.process_time() - worked)
            assert answer.status_code == 200, answer.text
    return times, busy, len(answer.content)


def main(count: int, steps: int) -> None:
    """Print a line for each page."""
    with tempfile.TemporaryDirectory() as folder:
        lineages = fill(open_store(folder), count, steps)
        asyncio.run(timed(folder, "/static/style.css"))  # imports and templates
        print(f"{count} runs of {steps} steps")
        print(f"{'page':<24}{'first':>10}{'processor':>10}{'again':>10}{'processor':>10}{'size':>10}")
        for name, path in pages(lineages).items():
            times, busy, size_bytes = asyncio.run(timed(folder, path))
            columns = [amount for each in (times, busy) for amount in (each[0], statistics.median(each[1:]))]
            shown = "".join(f"{1e3 * columns[i]:>7.0f} ms" for i in (0, 2, 1, 3))
            print(f"{name:<24}{shown}{size_bytes / 1e3:>7.0f} kB")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]) if len(sys.argv) > 1 else (500, 200))
