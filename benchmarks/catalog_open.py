"""How long a run needs to learn what it must know, with an index and without, as traces add up.

    python benchmarks/catalog_open.py [TRACES] [STEPS]

A store is filled with runs of STEPS steps each; every tenth run has other code in one of ten tasks. Read are the
lineage, the prior run, and the candidates of every step of it, as at the start of a run. Requests are those that an
object store would get, each listing counted as one a thousand objects.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Leaf, Lineage, ParentLink, Result, Run, Trace
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import Store, open_store

TASKS = 10
REPEATS = 7


def runs(count: int, steps: int) -> Iterator[Lineage]:
    """Yield lineages, each about as large as one of a real flow."""
    for number in range(count):
        traces: list[Trace] = []
        for call in range(steps):
            code = hash_parts("code", str(call % TASKS), str((number // 10 + call) // TASKS))
            literals = hash_parts("literals", str(call // TASKS))
            parents = tuple(
                ParentLink(one.signature, None, one.result.digest if one.result else None, True, "rows")
                for one in traces[-2:]
            )
            signature = hash_parts(code, literals, *(link.signature for link in parents))
            digest = hash_parts("digest", signature)
            leaf = Leaf(digest, True, 5_000_000, "pandas:DataFrame", hash_parts("blob", digest))
            traces.append(
                Trace(
                    task=f"task_{call % TASKS}",
                    key=f"flows.shop:task_{call % TASKS}",
                    call=call,
                    signature=signature,
                    fingerprint=code,
                    arguments=(Argument("part", literals, shown=str(call)),),
                    literals=literals,
                    parents=parents,
                    wait_for=(),
                    decision=Decision.PRUNE,
                    reason="unchanged, and not needed",
                    status="completed",
                    result=Result(digest, True, 5_000_000, "pandas:DataFrame", leaves=(leaf,), standin=True),
                    compute_us=2_000_000,
                    load_us=None,
                    demanded=False,
                    started_us=number * 60_000_000 + call,
                    computed_at_us=number // 10,
                    computed_in=f"run-{number // 10 * 10}",
                    stored=True,
                )
            )
        yield Lineage(
            Run(
                run_id=hash_parts("run", str(number)),
                flow="shop",
                name="brave-newt",
                status="completed",
                started_us=number * 60_000_000,
                finished_us=number * 60_000_000 + 1,
                parameters={"path": hash_parts("path"), "reg": hash_parts(str(number % 3))},
                shown_parameters={"path": "'sales.csv'", "reg": "0.1"},
                prior_run_id=None,
                mode="auto",
                policy="helix",
                budget_bytes=10**10,
                versions={"python": "3.11", "pandas": "3.1", "platform": "Linux-6.1-x86_64"},
            ),
            tuple(traces),
        )


def begin(store: Store) -> int:
    """Learn what a run has to know at its start; return the number of candidates it looked at."""
    history = Catalog(store).read().history()
    prior = history.prior("shop", {"path": hash_parts("path"), "reg": hash_parts("1")})
    assert prior is not None
    found = 0
    for trace in prior.traces:
        found += next(history.candidates(trace.fingerprint, trace.literals)).signature == trace.signature
        assert not history.ambiguous(trace.signature)
    return found


def timed(store: Store, steps: int) -> tuple[float, float]:
    """Return the first and the median time of a start."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        assert begin(store) == steps
        times.append(time.perf_counter() - started)
    return times[0], statistics.median(times)


def requests(store: Store) -> Counter[str]:
    """Return what a start asks of a store, by kind."""
    asked: Counter[str] = Counter()
    backend: Any = store._backend

    class Counting:
        is_remote = True

        def __getattr__(self, name: str) -> Any:
            def ask(*arguments: Any) -> Any:
                found = getattr(backend, name)(*arguments)
                if name == "list":
                    found = list(found)
                    asked["list"] += len(found) // 1000 + 1
                else:
                    asked[f"{name} {arguments[0].split('/')[0]}"] += 1
                return found

            return ask

    begin(Store(store.url, Counting()))  # type: ignore[arg-type]
    return asked


def main(traces: int, steps: int) -> None:
    """Print a line for each way to keep the same lineages."""
    print(f"{'traces':>9} {'kept as':<26}{'first':>9}{'median':>9}   requests")
    for count in (traces // 10, traces):
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(folder)
            catalog = Catalog(store)
            lineages = list(runs(count // steps, steps))
            if count <= 20_000:
                for lineage in lineages:
                    write(store, lineage)
                show(count, "segments", store, steps)
            for lineage in lineages:
                write(store, lineage)
            catalog.compact()
            show(count, "index, segments not yet gone", store, steps)
            for entry in store.list("lineage"):
                store.delete(entry.path)
            last = lineages[-1]
            for number in range(1, 10):
                head = replace(last.run, run_id=f"later-{number}", started_us=last.run.started_us + number)
                write(store, Lineage(head, last.traces))
            show(count, "index and 9 later runs", store, steps)
            write(store, Lineage(replace(last.run, run_id="last", started_us=last.run.started_us + 10), last.traces))
            started = time.perf_counter()
            catalog.compact()
            print(f"{'':>9} the next index is written in {time.perf_counter() - started:.2f} s")
            size = max(entry.size_bytes for entry in store.list("index"))
            print(f"{'':>9} the index: {size / 1e6:.1f} MB, {size / count:.0f} bytes a trace")


def write(store: Store, lineage: Lineage) -> None:
    """Write a segment as a run does that leaves compaction to others."""
    Catalog(store).commit(lineage)


def show(count: int, label: str, store: Store, steps: int) -> None:
    """Print one line."""
    first, median = timed(store, steps)
    asked = ", ".join(f"{number} {kind}" for kind, number in requests(store).items())
    print(f"{count:>9,} {label:<26}{first:>8.3f}s{median:>8.3f}s   {asked}", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in [*sys.argv[1:], *["100000", "100"][len(sys.argv) - 1 :]]))
