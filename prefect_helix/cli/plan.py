"""`plan`: what the next run of a flow would do."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from prefect_helix.cli.finding import FlowStoreOption, JsonOption
from prefect_helix.cli.output import STYLES, complain, console, print_json, steps_json, steps_table, warn
from prefect_helix.core.amounts import total
from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.lineage import Trace
from prefect_helix.core.summary import spent_us
from prefect_helix.outlooks import outlook_line
from prefect_helix.preview import Preview, preview
from prefect_helix.runtime.nodes import Node, Standing
from prefect_helix.runtime.opening import Outlook
from prefect_helix.runtime.whatif import WhatIf, what_if
from prefect_helix.views.steps import call_names
from prefect_helix.views.units import format_bytes, format_us, shorten

SHOWN_RESULTS = 20


def plan(
    entrypoint: Annotated[
        str, typer.Argument(metavar="ENTRYPOINT", help="The flow: path/to/file.py:flow or package.module:flow.")
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter of the flow; the value is JSON or text."),
    ] = None,
    store: FlowStoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan the next run of a flow and predict its time. The flow is not run and nothing is written."""
    with contextlib.redirect_stdout(sys.stderr):  # what the flow's module prints
        found = preview(entrypoint, _parameters(parameter or []), store=store, warn=warn)
    steps = predicted(found.outlook) if found.outlook else []
    if as_json:
        print_json(_plan_json(found, steps))
        return
    out = console()
    if found.outlook is None:
        out.print(f"helix: mode 'off'; {found.flow} runs as plain Prefect")
        return
    out.print(outlook_line(found.outlook))
    if steps:
        out.print()
        out.print(steps_table(steps))
    if found_results := what_if(found.outlook):
        out.print()
        out.print(_results_table(found_results, _names(found.outlook)))
        if len(found_results) > SHOWN_RESULTS:
            complain(f"{len(found_results) - SHOWN_RESULTS} more stored results are not shown; --json has them all.")


def predicted(outlook: Outlook) -> list[Trace]:
    """Return the steps of a planned run as its lineage would show them, with predicted times."""
    return [_predicted(node, outlook) for node in outlook.world.nodes]


def _names(outlook: Outlook) -> dict[str, str]:
    """Return what the calls of a planned run are called, by the keys of their nodes."""
    nodes = outlook.world.nodes
    return {node.key: name for node, name in zip(nodes, call_names(predicted(outlook)), strict=True)}


def _results_table(results: Sequence[WhatIf], names: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("stored result of", max_width=22, overflow="fold")
    table.add_column("used", no_wrap=True)
    for heading in ("size", "load", "without it", "later, on average"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in results[:SHOWN_RESULTS]:
        table.add_row(
            shorten(names[one.node.key], 80),
            Text("yes", STYLES["load"]) if one.used else "",
            format_bytes(one.size_bytes),
            format_us(one.load_us),
            _more(one.more_us) if one.used else "",
            _more(round(one.later_us)),
        )
    return table


def _more(us: int | None) -> str:
    if us is None:
        return "unknown"
    return format_us(us) if us < 0 else f"+{format_us(us)}" if us else "the same"


def _predicted(node: Node, outlook: Outlook) -> Trace:
    world = outlook.world
    spared = "; spared if that comes out as before" if node.standing is Standing.PROVISIONAL else ""
    return replace(
        world.facts(node),
        reason=(node.reason or world.reason(node)) + spared,
        compute_us=world.expected_compute_us(node),
        load_us=world.expected_load_us(node),
        stored=world.loadable(node),
    )


def _plan_json(found: Preview, steps: list[Trace]) -> dict[str, Any]:
    outlook = found.outlook
    return {
        "flow": found.flow,
        "mode": found.mode,
        "prior_run_id": outlook.head.prior_run_id if outlook else None,
        "predicted_us": total(map(spent_us, steps)) if steps else None,
        "scratch_us": outlook.scratch_us if outlook else None,
        "steps": steps_json(steps),
        "results": _results_json(outlook) if outlook else [],
    }


def _results_json(outlook: Outlook) -> list[dict[str, Any]]:
    names = _names(outlook)
    return [
        {
            "step": names[one.node.key],
            "task": one.node.spec.name,
            "used": one.used,
            "size_bytes": one.size_bytes,
            "load_us": one.load_us,
            "more_us": one.more_us,
            "later_us": round(one.later_us),
        }
        for one in what_if(outlook)
    ]


def _parameters(given: list[str]) -> dict[str, Any]:
    parameters = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name:
            raise ConfigurationError("-p", one, "Give a parameter as name=value.")
        try:
            parameters[name] = json.loads(text)
        except ValueError:
            parameters[name] = text
    return parameters
