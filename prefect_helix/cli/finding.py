"""Finding runs and steps by the names people give them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from prefect_helix.cli.output import ago, call_names, warn
from prefect_helix.core.explain import closest
from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

SHORT_ID = 8
"""Least characters of a run id that are shown."""

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="The store: an fsspec URL or a local path. Default: the settings."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run id, the beginning of one, a flow run's name, `last`, or `last~1`."),
]

_LAST = re.compile(r"last(?:~(\d{1,9}))?")


class NotFoundError(Exception):
    """What was named is not there, or not the only one; the message says what is."""


@dataclass(frozen=True)
class Archive:
    """The runs of a store.

    Attributes:
        url: The store.
        catalog: For documents beside the lineages.
        lineages: Every readable run, newest first.
    """

    url: str
    catalog: Catalog
    lineages: tuple[Lineage, ...]

    def short_ids(self) -> dict[str, str]:
        """Return for each run id its shortest beginning that names no other run. Complexity: O(n log n)."""
        ids = sorted({lineage.run.run_id for lineage in self.lineages})
        short = {}
        for before, run_id, after in zip(["", *ids], ids, [*ids[1:], ""], strict=False):
            length = max(SHORT_ID, *(_common(run_id, other) + 1 for other in (before, after)))
            short[run_id] = run_id[:length].rstrip("-")
        return short

    def run(self, name: str) -> Lineage:
        """Return the run called `name`.

        Raises:
            NotFoundError: If there is none, or more than one.
        """
        if not self.lineages:
            raise NotFoundError(f"The store {self.url} holds no runs. Name another one with --store.")
        if last := _LAST.fullmatch(name):
            back = int(last[1] or 0)
            if back >= len(self.lineages):
                raise NotFoundError(f"There is no run {name!r}; the store {self.url} holds {len(self.lineages)}.")
            return self.lineages[back]
        exact = [lineage for lineage in self.lineages if name == lineage.run.run_id]
        begun = [lineage for lineage in self.lineages if name and lineage.run.run_id.startswith(name.lower())]
        named = [lineage for lineage in self.lineages if name == lineage.run.name]
        found = exact or named or begun
        if len(found) == 1:
            return found[0]
        short = self.short_ids()
        if found:
            several = (f"{short[lineage.run.run_id]} ({ago(lineage.run.started_us)})" for lineage in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise NotFoundError(f"{name!r} names {len(found)} runs: {', '.join(several)}{more}. Give more of the id.")
        names = [known for lineage in self.lineages for known in (lineage.run.name, short[lineage.run.run_id])]
        raise NotFoundError(f"There is no run {name!r}{_suggestion(name, names)} See `prefect-helix runs`.")

    def of_flow(self, flow: str) -> tuple[Lineage, ...]:
        """Return the runs of one flow, newest first.

        Raises:
            NotFoundError: If there are none.
        """
        found = tuple(lineage for lineage in self.lineages if lineage.run.flow == flow)
        if not found:
            flows = {lineage.run.flow for lineage in self.lineages}
            raise NotFoundError(f"There is no run of a flow {flow!r} in {self.url}{_suggestion(flow, flows)}")
        return found

    def earlier(self, run: Run) -> tuple[Lineage, ...]:
        """Return the runs to compare `run` with, best first: the one it was planned from, then its flow's others."""
        before = [lin for lin in self.lineages if lin.run.flow == run.flow and lin.run.started_us < run.started_us]
        return tuple(sorted(before, key=lambda lineage: lineage.run.run_id != run.prior_run_id))

    def compared(self, run: Run, trace: Trace) -> tuple[Lineage, Trace] | None:
        """Return the earlier run and call that `trace` is compared with; None if its task was never called before."""
        found = ((lineage, closest(trace, lineage.traces)) for lineage in self.earlier(run))
        return next(((lineage, before) for lineage, before in found if before is not None), None)


def read_archive(store: str | None) -> Archive:
    """Return the runs of a store, by default the settings', and warn of what cannot be read.

    Raises:
        ConfigurationError: If the store makes no sense.
        StoreError: If it cannot be read.
    """
    resolved = resolve(FlowOptions(store=store))
    opened = open_store(resolved.store, storage_options=resolved.storage_options)
    catalog = Catalog(opened)
    known = catalog.read()
    for problem in known.problems:
        warn("", problem)
    return Archive(opened.url, catalog, known.lineages[::-1])


def find_step(lineage: Lineage, name: str) -> tuple[Trace, int]:
    """Return the call named "fit" or "fit#2", and how often its task was called. Of several, one that was computed.

    Raises:
        NotFoundError: If the run did not make that call.
    """
    traces = lineage.traces
    named = [t for t, known in zip(traces, call_names(traces), strict=True) if name == known]
    calls = named or [trace for trace in traces if name == trace.task]
    if not calls:
        tasks = list(dict.fromkeys([*(trace.task for trace in traces), *call_names(traces)]))
        listed = f" Its tasks are {', '.join(tasks[:12])}." if tasks else " It called no helix task."
        raise NotFoundError(f"The run did not call {name!r}{_suggestion(name, tasks)}{listed}")
    computed = [trace for trace in calls if trace.decision == "compute"]
    return (computed or calls)[0], sum(trace.task == calls[0].task for trace in traces)


def _common(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _suggestion(name: str, known: Iterable[str]) -> str:
    near: Sequence[str] = difflib.get_close_matches(name, sorted(set(known)), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else "."
