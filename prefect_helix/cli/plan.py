"""`plan`: what the next run of a flow would do."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from prefect_helix.cli.finding import JsonOption, StoreOption
from prefect_helix.cli.output import console, print_json, steps_json, steps_table, warn
from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.lineage import Trace
from prefect_helix.core.summary import spent_us, total
from prefect_helix.preview import Preview, preview
from prefect_helix.runs import outlook_line
from prefect_helix.runtime.nodes import Node, Standing
from prefect_helix.runtime.opening import Outlook


def plan(
    entrypoint: Annotated[
        str, typer.Argument(metavar="ENTRYPOINT", help="The flow: path/to/file.py:flow or package.module:flow.")
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter of the flow; the value is JSON or text."),
    ] = None,
    store: StoreOption = None,
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


def predicted(outlook: Outlook) -> list[Trace]:
    """Return the steps of a planned run as its lineage would show them, with predicted times."""
    return [_predicted(node, outlook) for node in outlook.world.nodes]


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
    }


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
