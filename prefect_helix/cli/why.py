"""`why`: what exactly made a step compute, or spared it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from prefect_helix.cli.finding import Archive, JsonOption, RunArgument, StoreOption, find_step, read_archive
from prefect_helix.cli.output import ago, call_names, console, print_json, visible
from prefect_helix.core.causes import Cause, Step, trace_back
from prefect_helix.core.explain import ComponentChange, changes, component_changes
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.storage.catalog import Catalog
from prefect_helix.views.steps import saved_us, spent_us
from prefect_helix.views.units import format_us

MAX_INDENT = 32
SHOWN_COMPONENTS = 20

_DONE = {Decision.COMPUTE: "computed", Decision.LOAD: "loaded", Decision.PRUNE: "pruned"}
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def why(
    run: RunArgument,
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task of the run; `fit#2` for its second call.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what made a step compute: code (with a diff), arguments, inputs and why those changed; or what it saved."""
    archive = read_archive(store)
    lineage = archive.run(run)
    trace, calls = find_step(lineage, task)
    answer = _answer(archive, lineage, trace)
    if as_json:
        print_json(_answer_json(answer, archive.catalog))
    else:
        _print(answer, archive, calls)


@dataclass(frozen=True)
class _Answer:
    """What there is to say of one step.

    Attributes:
        lineage: Its run.
        step: The step, with what changed if it was computed.
        prior: The run it is compared with; None if its task was never called before.
        origin: The run that computed the result it stands for, if it was not computed.
        notes: What else tells why, in sentences.
    """

    lineage: Lineage
    step: Step
    prior: Lineage | None
    origin: Lineage | None
    notes: tuple[str, ...]

    @cached_property
    def names(self) -> dict[str, str]:
        """What the calls of both runs are called, by signature."""
        runs = [lineage for lineage in (self.prior, self.lineage) if lineage]
        return {
            trace.signature: name
            for one in runs
            for trace, name in zip(one.traces, call_names(one.traces), strict=True)
        }


def _answer(archive: Archive, lineage: Lineage, trace: Trace) -> _Answer:
    if trace.decision is not Decision.COMPUTE:
        return _Answer(lineage, Step(trace, None), None, _origin(archive, trace), ())
    compared = archive.compared(lineage.run, trace)
    if compared is None:
        return _Answer(lineage, Step(trace, None), None, None, (f"No earlier run of {lineage.run.flow} called it.",))
    prior, before = compared
    step = trace_back(trace, before, lineage, prior)
    return _Answer(lineage, step, prior, None, tuple(_notes(lineage, trace, before)))


def _origin(archive: Archive, trace: Trace) -> Lineage | None:
    """Return the run in which the result that a step stands for was computed."""
    at = trace.computed_at_us
    computed = (
        lineage
        for lineage in archive.lineages
        for other in lineage.traces
        if other.decision is Decision.COMPUTE and other.task == trace.task and other.computed_at_us == at is not None
    )
    return next(computed, None)


def _notes(lineage: Lineage, trace: Trace, before: Trace) -> Iterator[str]:
    """Tell what no change of the call tells."""
    if lineage.run.mode != "auto":
        yield f"The run's mode {lineage.run.mode!r} computes every step."
    if changes(before, trace):
        return
    waits = [t.task for t in lineage.traces if t.signature in trace.wait_for and t.decision is Decision.COMPUTE]
    if waits:
        yield f"It waits for {', '.join(waits)}, and that was computed."
    elif before.status == "failed":
        yield "It failed in the run before."
    elif before.changed_inputs:
        yield f"It changes its argument {', '.join(before.changed_inputs)} in place, so it is computed in every run."
    elif lineage.run.mode == "auto" and not before.stored:
        yield "Nothing changed, but its result was not stored and was needed."
    elif lineage.run.mode == "auto":
        yield f"Nothing of the call changed. The run said: {trace.reason}."


def _print(answer: _Answer, archive: Archive, calls: int) -> None:
    out, trace, short = console(), answer.step.trace, archive.short_ids()
    run, spent = answer.lineage.run, spent_us(trace)
    done = "failed" if trace.status == "failed" else _DONE[trace.decision]
    took = f" in {format_us(spent)}" if spent else ""
    where = f" in run {short[run.run_id]} of {run.flow}, {ago(run.started_us)}: "
    name = visible(answer.names[trace.signature])
    out.print(Text.assemble((name, "bold"), visible(where), (f"{done}{took}", "bold")))
    if answer.prior is not None:
        prior = answer.prior.run
        out.print(Text(f"compared with run {short[prior.run_id]}, {ago(prior.started_us)}", "dim"))
    if calls > 1:
        out.print(Text(f"{visible(trace.task)} was called {calls} times; add #2 for the second call", "dim"))
    for indent, line in _cause_lines(answer.step, answer, archive.catalog, 0):
        out.print(Padding(line, (0, 0, 0, min(indent, MAX_INDENT)), expand=False))
    for note in (*answer.notes, *_spared(answer, short)):
        out.print(visible(f"• {note}"))


def _spared(answer: _Answer, short: dict[str, str]) -> Iterator[str]:
    """Tell why a step was not computed, and what that saved."""
    trace = answer.step.trace
    if trace.decision is Decision.COMPUTE:
        return
    yield f"{trace.reason[:1].upper()}{trace.reason[1:]}."
    if answer.origin is not None:
        run = answer.origin.run
        yield f"Its result is the one that run {short[run.run_id]} computed, {ago(run.started_us)}."
    if saved := saved_us(trace):
        yield f"Saved {format_us(saved)}."


def _cause_lines(step: Step, answer: _Answer, catalog: Catalog, indent: int) -> Iterator[tuple[int, Text]]:
    for cause in step.causes:
        yield indent, Text(visible(f"• {cause.change}"))
        if cause.change.kind == "code":
            for line in _code_lines(cause, catalog):
                yield indent + 4, line
        for source in cause.steps:
            trace = source.trace
            done = " failed" if trace.status == "failed" else f" was {_DONE[trace.decision]}"
            name = visible(answer.names.get(trace.signature, trace.task))
            yield indent + 4, Text.assemble((name, "bold"), visible(f": {source.note}") if source.note else done)
            yield from _cause_lines(source, answer, catalog, indent + 4)


def _code_lines(cause: Cause, catalog: Catalog) -> Iterator[Text]:
    found = _code_changes(cause, catalog)
    if found is None:
        yield Text("what changed in it is not recorded", "dim")
        return
    if not found:
        yield Text("its code_version, or how its parts are connected")
    for change in found[:SHOWN_COMPONENTS]:
        yield Text(visible(str(change)))
        for line in change.diff:
            yield Text(visible(f"  {line}"), _DIFF_STYLES.get(line[:1], ""), overflow="fold")
    if len(found) > SHOWN_COMPONENTS:
        yield Text(f"and {len(found) - SHOWN_COMPONENTS} more; --json has them all", "dim")


def _code_changes(cause: Cause, catalog: Catalog) -> tuple[ComponentChange, ...] | None:
    """Return what changed in the code of a task; None if that is not recorded."""
    before, after = (_components(catalog, hash_) for hash_ in (cause.change.before, cause.change.after))
    return None if before is None or after is None else component_changes(before, after)


def _components(catalog: Catalog, fingerprint: str) -> list[Component] | None:
    document = catalog.get_document("code", fingerprint)
    try:
        return None if document is None else [Component(**component) for component in document["components"]]
    except (KeyError, TypeError):  # written by another version
        return None


def _answer_json(answer: _Answer, catalog: Catalog) -> dict[str, Any]:
    trace, run = answer.step.trace, answer.lineage.run
    return {
        "run_id": run.run_id,
        "flow": run.flow,
        "step": answer.names[trace.signature],
        "task": trace.task,
        "decision": trace.decision.value,
        "status": trace.status,
        "reason": trace.reason,
        "cost_us": spent_us(trace),
        "saved_us": saved_us(trace),
        "compared_with": answer.prior.run.run_id if answer.prior else None,
        "computed_in": answer.origin.run.run_id if answer.origin else None,
        "causes": _causes_json(answer.step, answer, catalog),
        "notes": list(answer.notes),
    }


def _causes_json(step: Step, answer: _Answer, catalog: Catalog) -> list[dict[str, Any]]:
    return [
        {
            "kind": cause.change.kind,
            "name": cause.change.name,
            "before": cause.change.before,
            "after": cause.change.after,
            "text": str(cause.change),
            "components": _components_json(cause, catalog),
            "steps": [
                {
                    "step": answer.names.get(source.trace.signature, source.trace.task),
                    "decision": source.trace.decision.value,
                    "note": source.note,
                    "causes": _causes_json(source, answer, catalog),
                }
                for source in cause.steps
            ],
        }
        for cause in step.causes
    ]


def _components_json(cause: Cause, catalog: Catalog) -> list[dict[str, Any]] | None:
    """Return what changed in the code; None if it did not, or that is not recorded."""
    found = _code_changes(cause, catalog) if cause.change.kind == "code" else None
    if found is None:
        return None
    return [
        {
            "text": str(change),
            "before": asdict(change.before) if change.before else None,
            "after": asdict(change.after) if change.after else None,
            "diff": list(change.diff),
        }
        for change in found
    ]
