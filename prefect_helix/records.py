"""Runs for Python and notebooks: what they were, what changed between them, and what their steps gave."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect_helix.archive import Archive, find_call, read_archive
from prefect_helix.core.change import Summary
from prefect_helix.core.errors import NotFoundError
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.difference import Difference
from prefect_helix.runtime.retrieving import retrieve
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.views.code import code_words
from prefect_helix.views.differences import summary_words
from prefect_helix.views.notebook import difference_html, run_html
from prefect_helix.views.steps import call_names, names_by_signature, size_bytes, step_summary, time_summary
from prefect_helix.views.units import moment

_EPOCH = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True)
class StepRecord:
    """One step of a run.

    Attributes:
        name: What it is called: "fit", or "fit#2" where the task is called more than once.
        task: Name of the task.
        decision: ``compute``, ``load`` or ``prune``.
        reason: Why, in words.
        status: ``completed`` or ``failed``.
        spent: What it cost this run; None if that was not measured.
        saved: What not computing it saved; None if that is not known.
        size_bytes: Size of its result; None if it has none.
        stored: Whether its result was in the store when the run ended.
        arguments: Its literal arguments in short form.
        inputs: Names of the steps whose results it takes.
    """

    name: str
    task: str
    decision: str
    reason: str
    status: str
    spent: timedelta | None
    saved: timedelta | None
    size_bytes: int | None
    stored: bool
    arguments: Mapping[str, str]
    inputs: tuple[str, ...]


class RunRecord:
    """A run of a store, as it was when it was looked up; `find_run` and `list_runs` give it.

    Attributes:
        id: Prefect's flow run id.
        flow: Name of the flow.
        name: Name of the flow run.
        status: How it ended; ``running`` if it has not, as far as known.
    """

    def __init__(self, archive: Archive, lineage: Lineage) -> None:
        self._archive = archive
        self._lineage = lineage
        run = lineage.run
        self.id = run.run_id
        self.flow = run.flow
        self.name = run.name
        self.status = str(run.status)

    @property
    def started(self) -> datetime:
        """When the flow's body began, in UTC."""
        return _EPOCH + timedelta(microseconds=self._lineage.run.started_us)

    @property
    def finished(self) -> datetime | None:
        """When it ended, in UTC; None if it has not."""
        at_us = self._lineage.run.finished_us
        return None if at_us is None else _EPOCH + timedelta(microseconds=at_us)

    @property
    def parameters(self) -> dict[str, str]:
        """The flow's parameters in short form, secrets hidden."""
        return dict(self._lineage.run.shown_parameters)

    @property
    def metrics(self) -> dict[str, float]:
        """What numbers the run reported."""
        return dict(self._lineage.run.metrics)

    @property
    def versions(self) -> dict[str, str]:
        """Python, platform and libraries."""
        return dict(self._lineage.run.versions)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was found wrong with results that the run reused and computed again (`verify=`), in sentences."""
        return self._lineage.run.problems

    @property
    def decisions(self) -> dict[str, int]:
        """How many steps were computed, loaded and pruned, by ``compute``, ``load`` and ``prune``."""
        return {decision.value: count for decision, count in self.summary.counts.items()}

    @property
    def spent(self) -> timedelta | None:
        """What its steps cost; None if that was not measured."""
        return _duration(self.summary.spent_us)

    @property
    def saved(self) -> timedelta | None:
        """What not computing steps saved; None if that is not known."""
        return _duration(self.summary.saved_us)

    @cached_property
    def summary(self) -> Summary:
        """The run in a few figures, in microseconds and bytes, and what had changed before it."""
        return self._archive.summary(self._lineage)

    @property
    def changed(self) -> str:
        """What had changed since the run before, in a few words."""
        return summary_words(self.summary)

    @property
    def tags(self) -> tuple[str, ...]:
        """The names that people gave it."""
        return self._archive.remarks.tags_of(self.id)

    @property
    def notes(self) -> tuple[str, ...]:
        """What people said of it, oldest first."""
        return tuple(note.text for note in self._archive.remarks.notes_of(self.id))

    @cached_property
    def steps(self) -> tuple[StepRecord, ...]:
        """Its steps, in call order."""
        traces = self._lineage.traces
        names = call_names(traces)
        by_signature = names_by_signature(traces)
        return tuple(_step(trace, name, by_signature) for trace, name in zip(traces, names, strict=True))

    def load(self, task: str) -> Any:
        """Return what a step gave, from the store.

        Args:
            task: The step: "fit", or "fit#2" where the task is called more than once.

        Raises:
            NotFoundError: If the run has no such step, or more than one.
            ResultUnavailableError: If its result cannot be had; says why, and what to do.
            StoreError: If the store refuses.
        """
        trace = find_call(self._lineage, task)
        return retrieve(trace, task, self.id, store=self._archive.store, rulings=self._archive.rulings)

    def diff(self, other: RunRecord | str | None = None) -> RunDifference:
        """Return what changed from another run to this one.

        Args:
            other: A run, or a name of one; None for the one it was planned from, or else the one before.

        Raises:
            NotFoundError: If there is no such run.
        """
        if isinstance(other, RunRecord):
            before = other._lineage
        elif other is not None:
            before = self._archive.run(other)
        else:
            earlier = self._archive.earlier(self._lineage.run)
            if not earlier:
                raise NotFoundError(f"There is no run of {self.flow} before {self.id} to compare it with.")
            before = earlier[0]
        return RunDifference(Difference(self._archive, before, self._lineage))

    def tag(self, name: str) -> None:
        """Give the run a name that stands for it wherever a run is asked for; see `prefect-helix tag`.

        Raises:
            ConfigurationError: If no run can have that name.
            StoreError: If the store refuses.
        """
        self._archive.tag(self._lineage, name)

    def note(self, text: str) -> None:
        """Say something of the run for those who look at it later; see `prefect-helix note`.

        Raises:
            ConfigurationError: If the text says nothing.
            StoreError: If the store refuses.
        """
        self._archive.note(self._lineage, text)

    def __repr__(self) -> str:
        summary = self.summary
        times = time_summary(summary.spent_us, summary.scratch_us)
        told = step_summary(summary.counts) + (f"; {times}" if times else "")
        ended = "" if self.status == "completed" else f" ({self.status})"
        return f"<run {self.id[:8]} of {self.flow}{ended}, {moment(self._lineage.run.started_us)}: {told}>"

    def _repr_html_(self) -> str:
        metrics = ", ".join(f"{name} {value:.6g}" for name, value in self.metrics.items())
        facts = [
            ("run", self.id),
            ("changed", self.changed),
            ("parameters", ", ".join(f"{name}={shown}" for name, shown in self.parameters.items())),
            ("metrics", metrics),
            ("tags", ", ".join(self.tags)),
            *(("note", note) for note in self.notes),
            *(("problem", problem) for problem in self.problems),
        ]
        return run_html(self._lineage, facts)


class RunDifference:
    """What changed from one run to another; `RunRecord.diff` gives it."""

    def __init__(self, difference: Difference) -> None:
        self._difference = difference

    @property
    def changes(self) -> list[str]:
        """What changed in parameters, files, arguments, versions and code, each in a few words."""
        found = self._difference
        code = code_words(found.code)
        return [
            *(f"{told}{remark}" for told, remark in found.facts),
            *(str(each.change) for each, _ in code.changed),
            *code.told,
        ]

    @property
    def sources(self) -> dict[str, str]:
        """The unified diffs of changed code, by what changed."""
        found = {str(each.change): "\n".join(each.change.diff) for each in self._difference.code.found}
        return {name: diff for name, diff in found.items() if diff}

    @property
    def metrics(self) -> dict[str, tuple[float | None, float | None]]:
        """Each metric before and now; None where a run did not report it."""
        return {name: (one.before, one.after) for name, one in self._difference.metrics.items()}

    def __repr__(self) -> str:
        lines = [self._title, *(f"  {told}" for told in self.changes or ["same parameters, code, files and libraries"])]
        for name, (before, after) in self.metrics.items():
            was, now = ("none" if value is None else f"{value:.6g}" for value in (before, after))
            lines.append(f"  metric {name}: {was} → {now}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        found = self._difference
        return difference_html(self._title, found.facts, found.code, found.pairs, found.metrics)

    @property
    def _title(self) -> str:
        heads = (self._difference.before.run, self._difference.after.run)
        before, after = (f"{run.run_id[:8]} of {run.flow}, {moment(run.started_us)}" for run in heads)
        return f"from run {before} to run {after}"


def find_run(name: str = "last", store: str | Path | None = None) -> RunRecord:
    """Return a run of a store.

    Args:
        name: Its id or the beginning of it, its tag, the flow run's name, ``last``, or ``last~1`` for the one before.
        store: The store: an fsspec URL, a local path or ``helix-storage/NAME``; None for the settings'.

    Raises:
        NotFoundError: If there is none, or more than one.
        ConfigurationError: If the store makes no sense.
        StoreError: If it cannot be read.
    """
    archive = _archive(store)
    return RunRecord(archive, archive.run(name))


def list_runs(flow: str | None = None, store: str | Path | None = None) -> list[RunRecord]:
    """Return the runs of a store, newest first; see `find_run`.

    Args:
        flow: Only those of this flow.
        store: The store.
    """
    archive = _archive(store)
    lineages = archive.lineages if flow is None else archive.of_flow(flow)
    return [RunRecord(archive, lineage) for lineage in lineages]


def load_result(run: str, task: str, store: str | Path | None = None) -> Any:
    """Return what a step of a run gave, from the store; see `find_run` and `RunRecord.load`.

    Args:
        run: The run.
        task: The step: "fit", or "fit#2" where the task is called more than once.
        store: The store.
    """
    return find_run(run, store).load(task)


def _archive(store: str | Path | None) -> Archive:
    archive = read_archive(resolve(FlowOptions(store=store)))
    for problem in archive.problems:
        warnings.warn(problem, stacklevel=3)
    return archive


def _step(trace: Trace, name: str, names: Mapping[str, str]) -> StepRecord:
    return StepRecord(
        name=name,
        task=trace.task,
        decision=trace.decision.value,
        reason=trace.reason,
        status=trace.status,
        spent=_duration(spent_us(trace)),
        saved=_duration(saved_us(trace)),
        size_bytes=size_bytes(trace),
        stored=trace.stored,
        arguments={argument.parameter: argument.shown for argument in trace.arguments},
        inputs=tuple(names[link.signature] for link in trace.parents if link.signature in names),
    )


def _duration(us: int | None) -> timedelta | None:
    return None if us is None else timedelta(microseconds=us)
