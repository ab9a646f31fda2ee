"""`accept`: a change of code is a refactoring, so the results of before it stay."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from prefect_helix.archive import Archive, suggestion
from prefect_helix.cli.changes import code_json, code_lines, print_lines
from prefect_helix.cli.finding import FlowStoreOption, JsonOption, archive_of
from prefect_helix.cli.output import ago, console, print_json, visible
from prefect_helix.cli.rulings import NoteOption, YesOption, ask, done, ruling_json
from prefect_helix.core.change import Change
from prefect_helix.core.comparison import CodeChanges, code_changes
from prefect_helix.core.errors import NotFoundError
from prefect_helix.core.history import computations, results
from prefect_helix.core.lineage import Trace
from prefect_helix.core.rulings import Acceptance
from prefect_helix.preview import Loaded, loaded
from prefect_helix.runtime.session import now_us
from prefect_helix.runtime.specs import TaskSpec
from prefect_helix.storage.documents import new_id
from prefect_helix.views.units import format_count


@dataclass(frozen=True)
class _Edit:
    """A task whose code changed.

    Attributes:
        spec: The task as it is now.
        latest: Its latest result.
    """

    spec: TaskSpec
    latest: Trace


def accept(
    entrypoint: Annotated[
        str, typer.Argument(metavar="ENTRYPOINT", help="The flow: path/to/file.py:flow or package.module:flow.")
    ],
    task: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Tasks of it; without any, all whose code changed.")
    ] = None,
    note: NoteOption = "",
    yes: YesOption = False,
    store: FlowStoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept that changed code computes what it did before: results of before the change are used as today's."""
    with contextlib.redirect_stdout(sys.stderr):  # what the flow's module prints
        flow = loaded(entrypoint, store=store)
        archive = archive_of(flow.settings)
        edits = _edits(flow, archive, task or [])
        changes = [_changes(edit, archive) for edit in edits]
    if not as_json:
        _print(edits, changes, archive)
    names = ", ".join(edit.spec.name for edit in edits)
    ask(f"Use the earlier results of {names} as if today's code had computed them?", yes=yes, as_json=as_json)
    rulings = [
        Acceptance(new_id(), now_us(), e.spec.name, e.latest.computed_by, e.spec.fingerprint, note) for e in edits
    ]
    for ruling in rulings:
        archive.catalog.rule(ruling)
    if as_json:
        told = zip(rulings, changes, strict=True)
        print_json([ruling_json(ruling, archive.rulings) | {"components": code_json(code)} for ruling, code in told])
    else:
        done(rulings)


def _edits(flow: Loaded, archive: Archive, names: Sequence[str]) -> list[_Edit]:
    """Return the tasks of those names whose code changed, or without names all that did.

    Raises:
        NotFoundError: If a task is not there, has no result, or did not change; or if none did.
    """
    latest = _latest(flow.flow, archive)
    chosen: list[Trace] = []
    for name in names:
        found = [trace for trace in latest if name in (trace.key, trace.task)]
        if not found and flow.spec_of(name, name) is None:
            raise NotFoundError(f"The flow has no helix task {name!r}{suggestion(name, [t.task for t in latest])}")
        if not found:
            raise NotFoundError(f"No run of {flow.flow!r} left a result of {name!r}, so there is nothing to keep.")
        chosen += found
    edits = list(_edited(chosen or latest, flow, archive, named=bool(names)))
    if not edits:
        raise NotFoundError(f"The code of no task of {flow.flow!r} changed since its latest result.")
    return edits


def _latest(flow: str, archive: Archive) -> list[Trace]:
    """Return of each task that runs of the flow called the latest result that is not revoked.

    A factory makes several tasks of one key; their names tell them apart.
    """
    runs = [lineage for lineage in reversed(archive.lineages) if lineage.run.flow == flow]
    valid = (trace for trace in results(runs) if archive.rulings.revocation(trace) is None)
    return list({(trace.key, trace.task): trace for trace in valid}.values())


def _edited(traces: Sequence[Trace], flow: Loaded, archive: Archive, *, named: bool) -> Iterator[_Edit]:
    """Yield the tasks of `traces` whose code changed; all of them must have if they were `named`.

    A task that moved goes by its name, unless it has results where it is now: then another file has a flow of the same
    name with a task of that name, and its results are not those of this one.
    """
    stands_for = archive.rulings.stands_for
    keys = {trace.key for trace in traces}
    for trace in traces:
        spec = flow.spec_of(trace.key, trace.task)
        if spec is not None and spec.key != trace.key and spec.key in keys:
            continue
        if spec is not None and stands_for(spec.fingerprint) != stands_for(trace.computed_by):
            yield _Edit(spec, trace)
        elif named and spec is None:
            raise NotFoundError(f"The flow's module has no task {trace.task!r} any more.")
        elif named and spec is not None:
            how = "did not change" if spec.fingerprint == trace.computed_by else "changed, and that is accepted already"
            raise NotFoundError(f"The code of {trace.task!r} {how} since its latest result.")


def _changes(edit: _Edit, archive: Archive) -> CodeChanges:
    """Return what changed in the code of a task, by what the store has of it and what its file says now."""
    recorded, today = archive.components_of, edit.spec.code
    change = Change("code", edit.spec.name, edit.latest.computed_by, today.hash)
    return code_changes(
        [(edit.spec.name, change)], lambda code: today.components if code == today.hash else recorded(code)
    )


def _print(edits: Sequence[_Edit], changes: Sequence[CodeChanges], archive: Archive) -> None:
    out, short = console(), archive.short_ids
    known = Counter((trace.key, trace.computed_by) for trace in computations(archive.lineages))
    for edit, code in zip(edits, changes, strict=True):
        trace = edit.latest
        count = format_count(known[trace.key, trace.computed_by], "result")
        run, when = short.get(trace.computed_in, trace.computed_in), ago(trace.computed_at_us or trace.started_us)
        told = f": {count} of its earlier code, the latest of run {run}, {when}"
        out.print(Text.assemble((visible(edit.spec.name), "bold"), told))
        print_lines(out, code_lines(code))
