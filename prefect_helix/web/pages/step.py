"""One step of a run: why it was decided so, what it was given and gave, its code, and its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from prefect_helix.answers import answer
from prefect_helix.core.errors import NotFoundError
from prefect_helix.core.explain import Calls
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Lineage, Result, Run, Trace
from prefect_helix.core.summary import saved_us, spent_us
from prefect_helix.settings import prefect_address
from prefect_helix.storage.index import calls_of
from prefect_helix.views.charts import Part, stacked_bars
from prefect_helix.views.steps import call_names
from prefect_helix.web.asking import PICTURE_WIDTH, Ask, Page
from prefect_helix.web.pages.code import shown_changes
from prefect_helix.web.pages.flows import version_of

SHOWN_LINES = 1_000
SHOWN_HISTORY = 20
"""Versions whose traces are read for the history of a step."""

_CODE_KINDS = ("function", "class", "module", "state")
_SOURCES = {"constant": "constant", "flow_parameter": "flow parameter", "file": "file"}


@dataclass(frozen=True)
class Given:
    """Something that a step was given: a literal, or the result of another step."""

    parameter: str
    source: str
    href: str
    shown: str


@dataclass(frozen=True)
class Past:
    """The step in one version."""

    run: Run
    trace: Trace
    href: str
    here: bool

    @property
    def spent_us(self) -> int | None:
        """What it cost then."""
        return spent_us(self.trace)


@dataclass(frozen=True)
class Source:
    """A piece of code with the numbers of its lines."""

    name: str
    file: str
    line: int | None
    lines: list[tuple[int, str]]
    more: int


def step_page(ask: Ask) -> Page:
    """Show the step that the address names by its run and call."""
    lineage = ask.links.find(ask.text("run"))
    run, traces = lineage.run, lineage.traces
    names = dict(zip(map(id, traces), call_names(traces), strict=True))
    call = ask.text("call")
    trace = next((one for one in traces if str(one.call) == call), None)
    if trace is None:
        raise NotFoundError(f"The run {ask.links.short(run)} has no step of that number. See the list of its steps.")
    found = answer(ask.archive, lineage, trace)
    components = ask.archive.components_of(trace.computed_by)
    history = list(_history(ask, lineage, trace))
    values = {
        "run": run,
        "trace": trace,
        "name": names[id(trace)],
        "spent_us": spent_us(trace),
        "saved_us": saved_us(trace),
        "prefect_url": prefect_address("task-run", trace.task_run_id),
        "prior": found.prior.run if found.prior else None,
        "origin": found.origin.run if found.origin else None,
        "words": [*found.words, *found.notes],
        "changed_code": shown_changes(found.code),
        "routes": [" → ".join(route) for route in found.routes],
        "inputs": list(_inputs(ask, lineage, trace, names)),
        "used_by": list(_users(ask, lineage, trace, names)),
        "stored": _stored(ask, trace.result, trace.stored),
        "history": history,
        "history_limit": SHOWN_HISTORY,
        "history_chart": _history_chart(ask, history[::-1]),
        "components": components,
        "sources": [_source(one) for one in components or () if one.source and one.kind in _CODE_KINDS],
        "others": [one for one in components or () if not one.source or one.kind not in _CODE_KINDS],
    }
    return Page("step.html", f"{names[id(trace)]} of {run.name or ask.links.short(run)}", values)


def _inputs(ask: Ask, lineage: Lineage, trace: Trace, names: dict[int, str]) -> Iterator[Given]:
    by_signature = {one.signature: one for one in reversed(lineage.traces)}
    for link in trace.parents:
        made = by_signature.get(link.signature)
        part = f", part {link.leaf + 1}" if link.leaf is not None else ""
        source = "a step of another run" if made is None else names[id(made)]
        href = "" if made is None else ask.links.step(lineage.run, made.call)
        shown = made.result.type_name if made and made.result else ""
        yield Given(link.parameter, f"{source}{part}", href, shown)
    taken = {link.parameter for link in trace.parents}
    for argument in trace.arguments:
        if not (argument.parameter in taken and argument.shown.startswith("<result of ")):  # told already
            yield Given(argument.parameter, _source_words(argument), "", argument.shown)
    for signature in trace.wait_for:
        waited = by_signature.get(signature)
        if waited is not None:
            yield Given("(waits for)", names[id(waited)], ask.links.step(lineage.run, waited.call), "")


def _source_words(argument: Argument) -> str:
    return f"{_SOURCES[argument.source]} {argument.origin}".rstrip()


def _users(ask: Ask, lineage: Lineage, trace: Trace, names: dict[int, str]) -> Iterator[Given]:
    for one in lineage.traces:
        if any(link.signature == trace.signature for link in one.parents):
            yield Given("", names[id(one)], ask.links.step(lineage.run, one.call), "")


def _stored(ask: Ask, result: Result | None, then: bool) -> str:
    """Return whether a result was stored when its run ended, and whether it is there now."""
    if result is None:
        return ""
    if result.blobs == ():
        return "in the lineage itself, since it is small"
    there = result.blobs is not None and all(map(ask.archive.store.has_blob, result.blobs))
    if there:
        return "yes" if then else "yes, since a later run"
    return "not any more; it was when the run ended" if then else "no"


def _history(ask: Ask, lineage: Lineage, trace: Trace) -> Iterator[Past]:
    """Yield the step in this version, in later ones and in earlier ones, newest first."""
    versions = [one for one in ask.archive.lineages if one.run.flow == lineage.run.flow]
    here = next(i for i, one in enumerate(versions) if one is lineage)
    first = max(0, here - SHOWN_HISTORY // 4)
    for one in islice(versions, first, first + SHOWN_HISTORY):
        same = trace if one is lineage else Calls(calls_of(one, trace.task)).closest(trace)
        if same is not None:
            yield Past(one.run, same, ask.links.step(one.run, same.call), one is lineage)


def _history_chart(ask: Ask, history: Sequence[Past]) -> str:
    """Draw what the step cost in each version, oldest first."""

    def amounts(decision: Decision) -> list[int | None]:
        return [past.spent_us if past.trace.decision is decision else 0 for past in history]

    parts = [
        Part("compute", "compute-line", "full", amounts(Decision.COMPUTE)),
        Part("load", "load-line", "narrow", amounts(Decision.LOAD)),
        Part("saved", "prune-line", "hollow", [saved_us(past.trace) for past in history]),
    ]
    versions = [version_of(ask, past.run, past.href) for past in history]
    return stacked_bars(parts, versions, title="Time of the step over versions", width=PICTURE_WIDTH)


def _source(component: Component) -> Source:
    lines = (component.source or "").splitlines()
    first = component.line or 1
    shown = [(first + i, line) for i, line in enumerate(lines[:SHOWN_LINES])]
    return Source(component.name, component.file or "", component.line, shown, max(0, len(lines) - SHOWN_LINES))
