"""`why`: what exactly made a step compute, or spared it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from prefect_helix.answers import Answer, answer
from prefect_helix.archive import find_step
from prefect_helix.cli.changes import Line, bullet, code_json, code_lines, print_lines
from prefect_helix.cli.finding import JsonOption, RunArgument, StoreOption, TaskArgument, open_archive
from prefect_helix.cli.output import ago, console, print_json, visible
from prefect_helix.core.causes import Step
from prefect_helix.core.graph import Decision
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.views.units import and_more, format_us

SHOWN_ROUTES = 6

_DONE = {Decision.COMPUTE: "computed", Decision.LOAD: "loaded", Decision.PRUNE: "pruned"}


def why(
    run: RunArgument,
    task: TaskArgument,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what made a step compute: code (with a diff), arguments, inputs and why those changed; or what it saved."""
    archive = open_archive(store)
    lineage = archive.run(run)
    trace, calls = find_step(lineage, task)
    found = answer(archive, lineage, trace)
    if as_json:
        print_json(_answer_json(found))
    else:
        _print(found, calls)


def _print(found: Answer, calls: int) -> None:
    out, trace, short = console(), found.step.trace, found.archive.short_ids
    run, spent = found.lineage.run, spent_us(trace)
    done = "failed" if trace.status == "failed" else _DONE[trace.decision]
    took = f" in {format_us(spent)}" if spent else ""
    where = f" in run {short[run.run_id]} of {run.flow}, {ago(run.started_us)}: "
    name = visible(found.name)
    out.print(Text.assemble((name, "bold"), visible(where), (f"{done}{took}", "bold")))
    if found.prior is not None:
        prior = found.prior.run
        out.print(Text(f"compared with run {short[prior.run_id]}, {ago(prior.started_us)}", "dim"))
    if calls > 1:
        out.print(Text(f"{visible(trace.task)} was called {calls} times; add #2 for the second call", "dim"))
    print_lines(out, _change_lines(found))
    print_lines(out, (bullet(note) for note in (*found.notes, *_spared(found, short))))
    print_lines(out, _route_lines(found))


def _spared(found: Answer, short: Mapping[str, str]) -> Iterator[str]:
    """Tell why a step was not computed, and what that saved."""
    trace = found.step.trace
    if trace.decision is Decision.COMPUTE:
        return
    yield f"{trace.reason[:1].upper()}{trace.reason[1:]}."
    if found.origin is not None:
        run = found.origin.run
        yield f"Its result is the one that run {short[run.run_id]} computed, {ago(run.started_us)}."
    if saved := saved_us(trace):
        yield f"Saved {format_us(saved)}."


def _change_lines(found: Answer) -> Iterator[Line]:
    """Yield what changed: short facts first, then code."""
    yield from map(bullet, found.words)
    yield from code_lines(found.code)


def _route_lines(found: Answer) -> Iterator[Line]:
    routes = found.routes
    if not routes:
        return
    yield Line(0, Text(visible(f"how that reaches {found.step.trace.task}:"), "dim"))
    for route in routes[:SHOWN_ROUTES]:
        yield Line(4, Text(visible(" → ".join(route))))
    if more := and_more(len(routes) - SHOWN_ROUTES, "way"):
        yield Line(4, Text(f"{more}; --json has them all", "dim"))


def _answer_json(found: Answer) -> dict[str, Any]:
    trace, run = found.step.trace, found.lineage.run
    return {
        "run_id": run.run_id,
        "flow": run.flow,
        "step": found.name,
        "task": trace.task,
        "decision": trace.decision.value,
        "status": trace.status,
        "reason": trace.reason,
        "cost_us": spent_us(trace),
        "saved_us": saved_us(trace),
        "compared_with": found.prior.run.run_id if found.prior else None,
        "computed_in": found.origin.run.run_id if found.origin else None,
        "code": code_json(found.code),
        "causes": _causes_json(found.step, found),
        "notes": list(found.notes),
    }


def _causes_json(step: Step, found: Answer) -> list[dict[str, Any]]:
    return [
        {
            "kind": cause.change.kind,
            "name": cause.change.name,
            "before": cause.change.before,
            "after": cause.change.after,
            "text": str(cause.change),
            "steps": [
                {
                    "step": found.names.get(source.trace.signature, source.trace.task),
                    "decision": source.trace.decision.value,
                    "note": source.note,
                    "causes": _causes_json(source, found),
                }
                for source in cause.steps
            ],
        }
        for cause in step.causes
    ]
