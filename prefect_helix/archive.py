"""The runs of a store, and steps of them, by the names people give them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from prefect_helix.core.change import Summary
from prefect_helix.core.errors import ConfigurationError, NotFoundError
from prefect_helix.core.explain import Calls
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.history import with_origin
from prefect_helix.core.lineage import Lineage, Run, Trace
from prefect_helix.core.remarks import LAST, Note, Remarks, Tag, checked_tag
from prefect_helix.core.rulings import Rulings
from prefect_helix.core.summary import summarise
from prefect_helix.core.written import Withdrawal
from prefect_helix.runtime.session import now_us
from prefect_helix.settings import Resolved
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.documents import new_id
from prefect_helix.storage.index import calls_of
from prefect_helix.storage.store import Store
from prefect_helix.views.steps import call_names
from prefect_helix.views.units import moment

SHORT_ID = 8
"""Least characters of a run id that are shown."""


@dataclass(frozen=True)
class Archive:
    """The runs of a store.

    Attributes:
        store: The store.
        catalog: For documents beside the lineages.
        lineages: Every readable run, newest first.
        rulings: What people have ruled about its results.
        useless: Paths of lineages of which nothing can be read.
        problems: What else cannot be read, in words.
        unread: Paths of lineages that cannot be read now, but another time, or by a newer release.
        remarks: The tags and notes of its runs, as they were when the archive was read.
    """

    store: Store
    catalog: Catalog
    lineages: tuple[Lineage, ...]
    rulings: Rulings
    useless: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: Remarks = field(default_factory=Remarks)
    unread: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The store's URL, for people."""
        return self.store.url

    def again(self) -> Archive:
        """Return the runs as they are now; only what is new is read.

        Raises:
            StoreError: If the store cannot be read.
        """
        return _read(self.store, self.catalog)

    @cached_property
    def short_ids(self) -> Mapping[str, str]:
        """For each run id its shortest beginning that names no other run."""
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
        if last := LAST.fullmatch(name):
            back = int(last[1] or 0)
            if back >= len(self.lineages):
                raise NotFoundError(f"There is no run {name!r}; the store {self.url} holds {len(self.lineages)}.")
            return self.lineages[back]
        tag = self.remarks.tags.get(name)
        found = [lineage for lineage in self.lineages if name == lineage.run.run_id]
        if tag is not None:
            found = found or [lineage for lineage in self.lineages if tag.run == lineage.run.run_id]
        else:
            named = [lineage for lineage in self.lineages if name == lineage.run.name]
            begun = [lineage for lineage in self.lineages if name and lineage.run.run_id.startswith(name.lower())]
            found = found or named or begun
        if len({lineage.run.run_id for lineage in found}) == 1:
            return found[0]  # of a flow run that was retried, the last attempt
        if tag is not None:
            raise NotFoundError(f"{name!r} is a tag of run {tag.run}, which {self.url} does not hold any more.")
        short = self.short_ids
        if found:
            several = (f"{short[lineage.run.run_id]} ({moment(lineage.run.started_us)})" for lineage in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise NotFoundError(f"{name!r} names {len(found)} runs: {', '.join(several)}{more}. Give more of the id.")
        names = [known for lineage in self.lineages for known in (lineage.run.name, short[lineage.run.run_id])]
        names += self.remarks.tags
        raise NotFoundError(f"There is no run {name!r}{suggestion(name, names)} See `prefect-helix runs`.")

    def of_flow(self, flow: str) -> tuple[Lineage, ...]:
        """Return the runs of one flow, newest first.

        Raises:
            NotFoundError: If there are none.
        """
        found = tuple(lineage for lineage in self.lineages if lineage.run.flow == flow)
        if not found:
            flows = {lineage.run.flow for lineage in self.lineages}
            raise NotFoundError(f"There is no run of a flow {flow!r} in {self.url}{suggestion(flow, flows)}")
        return found

    def pair(self, first: str, second: str | None) -> tuple[Lineage, Lineage]:
        """Return two runs to compare, the one to start from first.

        Args:
            first: A run; without a second one the later of the two, or the flow whose last two runs are meant.
            second: The other run.

        Raises:
            NotFoundError: If one is not there, or has no run of its flow before it.
        """
        if second is not None:
            return self.run(first), self.run(second)
        of_flow = [lineage for lineage in self.lineages if lineage.run.flow == first]
        later = of_flow[0] if of_flow else self.run(first)
        before = self._before(later.run)
        if not before:
            name = self.short_ids[later.run.run_id]
            raise NotFoundError(f"There is no run of {later.run.flow} before {name} to compare it with.")
        return before[0], later

    def earlier(self, run: Run) -> tuple[Lineage, ...]:
        """Return the runs to compare `run` with, best first: the one it was planned from, then its flow's others."""
        return tuple(sorted(self._before(run), key=lambda lineage: lineage.run.run_id != run.prior_run_id))

    def parent_of(self, run: Run) -> Lineage | None:
        """Return the run that called the flow; None if it is no subflow, or its caller is no run of the store."""
        return next((lineage for lineage in self.lineages if lineage.run.run_id == run.parent_run_id), None)

    def subflows_of(self, run: Run) -> list[Lineage]:
        """Return the runs of subflows that `run` called, oldest first."""
        return [lineage for lineage in reversed(self.lineages) if lineage.run.parent_run_id == run.run_id]

    def _before(self, run: Run) -> list[Lineage]:
        """Return the earlier runs of the same flow, newest first."""
        return [
            lineage
            for lineage in self.lineages
            if lineage.run.flow == run.flow and lineage.run.started_us < run.started_us
        ]

    def summary(self, lineage: Lineage) -> Summary:
        """Return a run in a few figures. Complexity: O(1) where it has them, else O(traces)."""
        return lineage.run.summary or summarise(lineage, next(iter(self.earlier(lineage.run)), None))

    def compared(self, run: Run, trace: Trace) -> tuple[Lineage, Trace] | None:
        """Return the earlier run and call that `trace` is compared with; None if its task was never called before.

        In the run to compare with first the task is found by its function, too, should it be called otherwise now. In
        the others it is found by its name alone, so that no other steps of them need be decoded.
        """
        for place, lineage in enumerate(self.earlier(run)):
            calls = calls_of(lineage, trace.task) if place else lineage.traces
            before = Calls(calls).closest(trace)
            if before is not None:
                return lineage, before
        return None

    def components_of(self, fingerprint: str) -> Sequence[Component] | None:
        """Return what a fingerprint is made of; None where that is not recorded.

        Raises:
            StoreError: If the store refuses.
        """
        return self.catalog.components_of(fingerprint)

    # -- what people say of runs -----------------------------------------------------------------------------------

    def tag(self, lineage: Lineage, name: str) -> None:
        """Give a run a name, and take that from the run that has it.

        Raises:
            ConfigurationError: If no run can have that name.
            StoreError: If the store refuses.
        """
        self.catalog.remark(Tag(new_id(), self._later(name), checked_tag(name), lineage.run.run_id))

    def untag(self, name: str) -> str:
        """Take a name from the run that has it, and return that run's id.

        Raises:
            NotFoundError: If no run has it.
            StoreError: If the store refuses.
        """
        tag = self.remarks.tags.get(name)
        if tag is None:
            raise NotFoundError(f"No run has the tag {name!r}{suggestion(name, self.remarks.tags)}")
        self.catalog.remark(Tag(new_id(), self._later(name), name, ""))
        return tag.run

    def _later(self, name: str) -> int:
        """Return the time of a tag that replaces all of that name, also those of machines whose clocks are ahead."""
        given = (one.at_us for one in self.remarks.all if isinstance(one, Tag) and one.name == name)
        return max([now_us(), *(at_us + 1 for at_us in given)])

    def note(self, lineage: Lineage, text: str) -> Note:
        """Write a note on a run.

        Raises:
            ConfigurationError: If the text says nothing.
            StoreError: If the store refuses.
        """
        if not text.strip():
            raise ConfigurationError("note", text, "Give a text that says something.")
        note = Note(new_id(), now_us(), lineage.run.run_id, text)
        self.catalog.remark(note)
        return note

    def withdraw_note(self, lineage: Lineage, name: str) -> Note:
        """Take back the note on a run whose id is, or begins with, `name`, and return it.

        Raises:
            NotFoundError: If there is no such note, or more than one.
            StoreError: If the store refuses.
        """
        notes = self.remarks.notes_of(lineage.run.run_id)
        found = [note for note in notes if name and note.id.startswith(name)]
        if len(found) != 1:
            problem = "names more than one note" if found else "is no note"
            raise NotFoundError(f"{name!r} {problem} of this run; `prefect-helix show` lists their ids.")
        self.catalog.remark(Withdrawal(new_id(), now_us(), found[0].id))
        return found[0]


def read_archive(resolved: Resolved) -> Archive:
    """Return the runs of the store of these settings.

    Raises:
        StoreError: If it cannot be read.
    """
    opened = resolved.open()
    return _read(opened, Catalog(opened))


def _read(store: Store, catalog: Catalog) -> Archive:
    with ThreadPoolExecutor(1) as beside:
        remarked = beside.submit(catalog.remarks)
        known = catalog.read()
        remarks, unread = remarked.result()
    problems = (*known.problems, *unread)
    return Archive(store, catalog, known.lineages[::-1], known.rulings, known.useless, problems, remarks, known.unread)


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
        raise NotFoundError(f"The run did not call {name!r}{suggestion(name, tasks)}{listed}")
    computed = [trace for trace in calls if trace.decision == "compute"]
    return (computed or calls)[0], sum(trace.task == calls[0].task for trace in traces)


def find_call(lineage: Lineage, name: str) -> Trace:
    """Return the one call named "fit" or "fit#2", with the run that computed its result.

    Raises:
        NotFoundError: If the run did not make that call, or made several of that name.
    """
    trace, calls = find_step(lineage, name)
    if calls > 1 and name == trace.task:
        raise NotFoundError(f"{name!r} was called {calls} times; say which call: {name}#1 to {name}#{calls}.")
    return with_origin(trace, lineage.run)


def _common(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: what else of `known` may be meant by a name that is not there."""
    near: Sequence[str] = difflib.get_close_matches(name, sorted(set(known)), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else "."
