"""`why`: what exactly made a step compute, or spared it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer
from rich.text import Text

from prefect_helix.archive import Archive, find_step
from prefect_helix.cli.changes import Line, bullet, code_json, code_lines, components_reader, print_lines
from prefect_helix.cli.finding import JsonOption, RunArgument, StoreOption, open_archive
from prefect_helix.cli.output import ago, console, print_json, visible
from prefect_helix.core.causes import Origin, Step, origins, trace_back
from prefect_helix.core.comparison import CodeChanges, code_changes
from prefect_helix.core.explain import changes
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.storage.catalog import Catalog
from prefect_helix.views.steps import call_names
from prefect_helix.views.units import format_us

SHOWN_ROUTES = 6

_DONE = {Decision.COMPUTE: "computed", Decision.LOAD: "loaded", Decision.PRUNE: "pruned"}


def why(
    run: RunArgument,
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task of the run; `fit#2` for its second call.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what made a step compute: code (with a diff), arguments, inputs and why those changed; or what it saved."""
    archive = open_archive(store)
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
    def origins(self) -> tuple[Origin, ...]:
        """What is at the root of it."""
        return tuple(origins(self.step))

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
    print_lines(out, _change_lines(answer, archive.catalog))
    print_lines(out, (bullet(note) for note in (*answer.notes, *_spared(answer, short))))
    print_lines(out, _route_lines(answer))


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


def _change_lines(answer: _Answer, catalog: Catalog) -> Iterator[Line]:
    """Yield what changed, each thing once whatever it is reached by: short facts first, then code."""
    told = (origin for origin in answer.origins if not (_is_code(origin) or origin.told))
    counts = Counter(_words(origin, answer) for origin in told)
    for words, count in counts.items():
        yield bullet(words if count == 1 else f"{words} ({count} calls)")
    yield from code_lines(_code(answer, catalog))


def _words(origin: Origin, answer: _Answer) -> str:
    """Return in words what changed, with the name of the step unless it is the one that was asked for."""
    trace, change = origin.step.trace, origin.change
    if change is None:
        return f"{answer.names.get(trace.signature, trace.task)} {origin.step.note}"
    asked = trace.signature == answer.step.trace.signature
    match change.kind:
        case "argument" if change.origin:
            return f"flow parameter {change.origin} changed{change.shown}" + (
                "" if asked else f", given to {trace.task}"
            )
        case "argument" | "input" if not asked:
            return f"{change.kind} {change.name} of {trace.task} changed{change.shown}"
        case "file" if not asked:
            return f"{change}, read by {trace.task}"
    return str(change)


def _is_code(origin: Origin) -> bool:
    return origin.change is not None and origin.change.kind == "code"


def _code(answer: _Answer, catalog: Catalog) -> CodeChanges:
    """Return what changed in the code of the step, and of those that it takes its inputs from."""
    edits = [
        (origin.step.trace.task, origin.change)
        for origin in answer.origins
        if origin.change is not None and origin.change.kind == "code"
    ]
    return code_changes(edits, components_reader(catalog))


def _route_lines(answer: _Answer) -> Iterator[Line]:
    """Yield by way of which steps the changes of other steps reach the one that was asked for."""
    routes = list(dict.fromkeys(_folded(origin.route) for origin in answer.origins if len(origin.route) > 1))
    if not routes:
        return
    yield Line(0, Text(visible(f"how that reaches {answer.step.trace.task}:"), "dim"))
    for route in routes[:SHOWN_ROUTES]:
        yield Line(4, Text(visible(" → ".join(route))))
    if len(routes) > SHOWN_ROUTES:
        yield Line(4, Text(f"and {len(routes) - SHOWN_ROUTES} more ways; --json has them all", "dim"))


def _folded(route: Sequence[str]) -> tuple[str, ...]:
    """Return a route with only the ends of a long one."""
    return (*route[:3], f"{len(route) - 6} more", *route[-3:]) if len(route) > 8 else tuple(route)


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
        "code": code_json(_code(answer, catalog)),
        "causes": _causes_json(answer.step, answer),
        "notes": list(answer.notes),
    }


def _causes_json(step: Step, answer: _Answer) -> list[dict[str, Any]]:
    return [
        {
            "kind": cause.change.kind,
            "name": cause.change.name,
            "before": cause.change.before,
            "after": cause.change.after,
            "text": str(cause.change),
            "steps": [
                {
                    "step": answer.names.get(source.trace.signature, source.trace.task),
                    "decision": source.trace.decision.value,
                    "note": source.note,
                    "causes": _causes_json(source, answer),
                }
                for source in cause.steps
            ],
        }
        for cause in step.causes
    ]
